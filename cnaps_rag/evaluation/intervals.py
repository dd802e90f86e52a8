"""Intervals of measured shares."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054
"""97.5% quantile of the standard normal distribution: a two-sided 95% interval."""


def wilson_interval(n_hits: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Score interval of a share, 0 to 1: Wilson 1927 (JASA 22), as in Brown, Cai and DasGupta 2001, equation 4.

    Chosen over the textbook interval because it holds at shares near 0 and 1 and at small `n`.

    Raises:
        ValueError: `n_hits` is no count out of `n`.
    """
    if not 0 <= n_hits <= n:
        raise ValueError(f"{n_hits} of {n} is no share")
    if n == 0:
        return 0.0, 1.0
    share = n_hits / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    whole = 1 + z * z / n
    # The ends are exact where all or none hit; rounding must not take them outside.
    low = 0.0 if n_hits == 0 else (middle - half) / whole
    high = 1.0 if n_hits == n else (middle + half) / whole
    return low, high
