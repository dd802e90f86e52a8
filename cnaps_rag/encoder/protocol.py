"""What an encoder is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Encoder(Protocol):
    """Turns texts into vectors whose inner product is their cosine."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit rows, shape ``(len(texts), d)``: never NaN, and the same whatever else is in `texts` (to 1e-6)."""
        ...


class IdentifiedEncoder(Encoder, Protocol):
    """An encoder that says which one it is, so that its vectors can be kept and found again."""

    @property
    def identity(self) -> str:
        """Differs wherever the same text could give another vector."""
        ...


def without_surrogates(text: str) -> str:
    """The text with lone surrogates as ``?``: JSON can hold them, UTF-8 and so the tokenizers cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
