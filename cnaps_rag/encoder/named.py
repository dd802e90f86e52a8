"""Any encoder that sentence-transformers can load from this disk; no network is waited for."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import sys
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnaps_rag.encoder.protocol import Vectors, without_surrogates
from cnaps_rag.errors import ServiceError

# What a folder that is no encoder, or a broken one, was seen to raise in transformers, safetensors and torch.
_LOAD_FAULTS = (
    AttributeError,
    ImportError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)
_BATCH_TEXTS = 4  # the fastest on the sentences of a request, which sentence-transformers sorts by length


class SentenceTransformersEncoder:
    """A sentence-transformers model, by folder or by its name on the hub, where that is in Hugging Face's cache.

    Attributes:
        identity: changes whenever a file of the model does, so that kept vectors of another state are never used.
    """

    def __init__(self, name_or_path: str) -> None:
        """Loads the model.

        Raises:
            ServiceError: it is not on this disk, or cannot be loaded.
        """
        self._name = name_or_path
        # Threads that encode at once halve each other's speed in torch.
        self._lock = threading.Lock()
        with _torch_waiting_passively():
            folder = _find_folder(name_or_path)
            self.identity = f"{name_or_path} {_fingerprint(folder)}"
            import safetensors as untyped_safetensors

            safetensors: Any = untyped_safetensors
            try:
                from sentence_transformers import SentenceTransformer

                with _no_progress_bars():
                    self._encoder = SentenceTransformer(str(folder), local_files_only=True)
            except (*_LOAD_FAULTS, safetensors.SafetensorError) as error:
                raise ServiceError(f"Encoder {name_or_path!r} cannot be loaded from {folder}: {error}") from error

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit rows, shape ``(len(texts), d)``; where the model gives a vector of length zero, a row of zeros.

        Raises:
            ServiceError: the model failed, or gave something else than a vector for each text.
        """
        # An empty list would lose the dimension, so a text is encoded for it and left out.
        cleaned = [without_surrogates(text) for text in texts] or [""]
        try:
            with self._lock:
                encoded = self._encoder.encode(
                    cleaned,
                    batch_size=_BATCH_TEXTS,
                    convert_to_numpy=True,
                    normalize_embeddings=True,
                    show_progress_bar=False,
                )
        except (IndexError, RuntimeError, ValueError) as error:
            raise ServiceError(f"Encoder {self._name!r} failed on {len(texts)} texts: {error}") from error
        vectors = np.ascontiguousarray(encoded, dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(cleaned) or not np.isfinite(vectors).all():
            raise ServiceError(f"Encoder {self._name!r} gave no finite vector for each text: shape {vectors.shape}.")
        return vectors[: len(texts)]


def _find_folder(name_or_path: str) -> Path:
    """Folder of the model's files: sentence-transformers itself asks the network before it looks at a name's files."""
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder.resolve()
    import huggingface_hub

    hub: Any = huggingface_hub  # its types, as those of the modules below, are partly unknown to pyright

    names = [name_or_path] if "/" in name_or_path else [name_or_path, f"sentence-transformers/{name_or_path}"]
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            cache = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
            return Path(hub.snapshot_download(name, local_files_only=True, cache_dir=cache))
    raise ServiceError(
        f"Encoder {name_or_path!r} is neither a folder nor in the cache of Hugging Face on this machine, and nothing "
        f"is downloaded here. Fetch it with `hf download {names[-1]}`, give the path of a folder, or leave "
        "CNAPS_RAG_ENCODER unset for the shipped encoder."
    )


def _fingerprint(folder: Path) -> str:
    """Hash of every file's name, size and time of change: reading the weights themselves would take seconds."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    stats = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(stats).encode("utf-8", "surrogatepass")).hexdigest()


@contextlib.contextmanager
def _torch_waiting_passively() -> Generator[None]:
    """Where torch is not imported yet: its threads, made inside, sleep while they wait.

    They spin otherwise, and with a core shared one question took 215 ms instead of 12. OpenMP reads the variable when
    torch is imported and never again, so it is gone afterwards; who imported torch before us has chosen already.
    """
    if "torch" in sys.modules or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    try:
        import torch  # noqa: F401  # pyright: ignore[reportUnusedImport]

        yield
    finally:
        os.environ.pop("OMP_WAIT_POLICY", None)


@contextlib.contextmanager
def _no_progress_bars() -> Generator[None]:
    """Keeps transformers from drawing on standard error while it loads."""
    from transformers.utils import logging as untyped_logging

    logging: Any = untyped_logging

    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()
