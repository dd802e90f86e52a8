"""What a verifier is, and what it is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pair = tuple[str, str]
"""Evidence first, claim second."""


class Verifier(Protocol):
    """Tells how probable it is that a text supports a claim."""

    @property
    def threshold(self) -> float:
        """A claim is supported when its score reaches this."""
        ...

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Probability of support of each (evidence, claim) pair, shape ``(len(pairs),)``, 0 to 1, never NaN.

        Evidence may be of any length. Neither order nor what else is in `pairs` changes a score.
        """
        ...


class PairReader(Protocol):
    """A network that reads one pair at a time: what a verifier's scores come from."""

    @property
    def threshold(self) -> float:
        """Where the one who trained it, or nobody in particular, divides supported from not supported."""
        ...

    def read(self, pairs: Sequence[Pair]) -> list[float]:
        """Probability of support of each pair, as it would be of that pair alone.

        Raises:
            ServiceError: the network failed.
        """
        ...


def sigmoid(logit: float) -> float:
    """Probability of a logit, without overflow."""
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else 1 - 1 / (1 + math.exp(logit))
