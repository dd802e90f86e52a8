"""Which encoder, verifier and libraries are here: names, and hashes of the files themselves."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import as_file
from pathlib import Path
from typing import Final

from cnaps_rag.encoder import shipped as shipped_encoder
from cnaps_rag.errors import ServiceError
from cnaps_rag.model_files import Kind, find_folder, shipped_folder
from cnaps_rag.proof.bundle import ModelFiles
from cnaps_rag.verifier import shipped as shipped_verifier

SHIPPED_FILES: Final = ("config.json", "model.onnx", "tokenizer.json")

COMPUTING: Final = ("faiss-cpu", "numpy", "onnxruntime", "tiktoken", "tokenizers")
"""Libraries whose version could move a score's last digits, or what is read of a text."""

# Where on the hub a name without an organisation may be, as `encoder.named` and `verifier.named` look it up.
_ORGANISATION: Final[dict[Kind, str]] = {"encoder": "sentence-transformers", "verifier": "cross-encoder"}
_SHIPPED: Final[dict[Kind, str]] = {"encoder": shipped_encoder.NAME, "verifier": shipped_verifier.NAME}


def files_of(kind: Kind, name_or_path: str | None) -> ModelFiles:
    """The shipped encoder or verifier (None), or the one of this name or in this folder.

    Raises:
        ServiceError: it is not on this disk, or its files cannot be read.
    """
    try:
        if name_or_path is None:
            return ModelFiles(name=_SHIPPED[kind], sha256=_shipped_sha256(_SHIPPED[kind]))
        folder = find_folder(name_or_path, kind, (_ORGANISATION[kind],))
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        sha256 = {path.relative_to(folder).as_posix(): _file_sha256(path) for path in files}
    except OSError as error:
        raise ServiceError(f"The {kind}'s files cannot be read: {error}.") from error
    return ModelFiles(name=shown_name(name_or_path), sha256=sha256)


def shown_name(name_or_path: str) -> str:
    """A name as it is; of a folder its own name, since where it lies tells only of this machine."""
    folder = Path(name_or_path).expanduser()
    return folder.resolve().name if folder.is_dir() else name_or_path


def installed_versions() -> dict[str, str]:
    """Version of each library of `COMPUTING` that is installed."""
    found: dict[str, str] = {}
    for name in COMPUTING:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _shipped_sha256(name: str) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for file_name in SHIPPED_FILES:
        file = shipped_folder(name) / file_name
        if file.is_file():
            with as_file(file) as path:
                hashes[file_name] = _file_sha256(path)
    return hashes


def _file_sha256(path: Path) -> str:
    found = path.stat()
    return _sha256(path, found.st_size, found.st_mtime_ns)


@cache
def _sha256(path: Path, n_bytes: int, changed_ns: int) -> str:
    """Read once while size and time of change stay: a service may make many bundles."""
    del n_bytes, changed_ns
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
