"""Any encoder that sentence-transformers can load from this disk; no network is waited for."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnaps_rag.encoder.protocol import Vectors, without_surrogates
from cnaps_rag.errors import ServiceError
from cnaps_rag.model_files import find_folder, loading, torch_waiting_passively

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
        with torch_waiting_passively():
            folder = find_folder(name_or_path, "encoder", ("sentence-transformers",))
            self.identity = f"{name_or_path} {_fingerprint(folder)}"
            with loading(name_or_path, "encoder", folder):
                from sentence_transformers import SentenceTransformer

                self._encoder = SentenceTransformer(str(folder), local_files_only=True)

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


def _fingerprint(folder: Path) -> str:
    """Hash of every file's name, size and time of change: reading the weights themselves would take seconds."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    stats = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(stats).encode("utf-8", "surrogatepass")).hexdigest()
