"""What our self-contained pages share: files beside the code, the hashes that admit them, escaping by default."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template


def csp_hash(text: str) -> str:
    """Source expression by which a content security policy admits this inline style or script (CSP 3, section 2.3)."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


@cache
def read_page_file(path: Path) -> str:
    """Text of a style sheet, script or template, without white space at its ends."""
    return path.read_text(encoding="utf-8").strip()


def load_template(folder: Path, name: str, *included: str, finalize: Callable[[Any], Any] | None = None) -> Template:
    """Template `name` of `folder`, which may include the others; every value is escaped, and none may be undefined."""
    from jinja2 import DictLoader, Environment, StrictUndefined

    environment = Environment(
        loader=DictLoader({each: read_page_file(folder / each) for each in (name, *included)}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
    return environment.get_template(name)
