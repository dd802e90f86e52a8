"""Texts to unit vectors: the shipped ONNX file, or any sentence-transformers model on this disk; cached by content.

`protocol` says what an encoder is, `shipped` and `named` are two of them, `cache` keeps what they made, in memory and
through `vector_file` between processes; `load_encoder` puts them together as the settings say.
"""

from __future__ import annotations

import functools
import threading

from cnaps_rag.encoder.cache import CachedEncoder
from cnaps_rag.encoder.named import SentenceTransformersEncoder
from cnaps_rag.encoder.protocol import Encoder, IdentifiedEncoder, Vectors
from cnaps_rag.encoder.shipped import ShippedEncoder
from cnaps_rag.settings import Settings

__all__ = [
    "CachedEncoder",
    "Encoder",
    "IdentifiedEncoder",
    "SentenceTransformersEncoder",
    "ShippedEncoder",
    "Vectors",
    "load_encoder",
]

_loading = threading.Lock()


def load_encoder(settings: Settings) -> Encoder:
    """The encoder that the settings name, cached by content: the same object for the same settings in one process.

    Raises:
        ServiceError: the named model is not on this disk or cannot be loaded, or the cache file cannot be used.
    """
    with _loading:
        return _load_cached(settings.encoder, settings.encoder_cache_vectors, settings.encoder_cache_file)


@functools.cache
def _load_cached(name: str | None, limit_vectors: int, file: str | None) -> Encoder:
    encoder = _load(name)
    return CachedEncoder(encoder, limit_vectors=limit_vectors, file=file) if limit_vectors else encoder


@functools.cache
def _load(name: str | None) -> IdentifiedEncoder:
    return ShippedEncoder() if name is None else SentenceTransformersEncoder(name)
