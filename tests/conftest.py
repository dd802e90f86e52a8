"""Where the tests find requests: five in the repository, more beside it in ``../shared`` where that is checked out."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
REQUESTS = ROOT / "data" / "requests"
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def requests_dir() -> Path:
    return REQUESTS


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("../shared is not checked out beside this repository")
    return SHARED


@pytest.fixture(scope="session")
def read_jsonl(shared: Path) -> Callable[[str], list[dict[str, Any]]]:
    """Reads one file of ../shared, also a packed one, as a list of objects."""

    def read(name: str) -> list[dict[str, Any]]:
        path = shared / name
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return [json.loads(line) for line in raw.decode("utf-8").splitlines() if line.strip()]

    return read
