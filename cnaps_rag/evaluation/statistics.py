"""Means with intervals, and comparisons of two runs paired by case; cases are drawn, not single answers.

Several answers to one case (``--repeat``) are not independent: the bootstrap draws whole cases (Efron and Tibshirani
1993, An Introduction to the Bootstrap, chapter 8), and comparisons are of case means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

N_DRAWS = 4_000
"""Bootstrap draws: the ends of a 95% interval then move by about 2% of its width between seeds."""

_SEED = 20_240_117
"""Of all draws, so that the same run gives the same intervals."""

LEAST_CASES = 5
"""Fewer cases make no interval: with 4 the bootstrap's ends are little more than the best and the worst case."""

_MeansOf = Callable[[NDArray[np.int64]], NDArray[np.float64]]

ValuesByCase = Mapping[str, Sequence[float]]
"""Case id → its values, one an answer, unscored ones left out."""

Outcome = Literal["better", "worse", "not distinguishable", "too few cases"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Mean over `n` answers to `n_cases` cases, with a 95% interval (None below `LEAST_CASES`) and quantiles.

    `repeat_sd` is the standard deviation between answers to one case, pooled over cases; None without repeats.
    """

    mean: float
    n: int
    n_cases: int
    interval: tuple[float, float] | None
    median: float
    p95: float
    repeat_sd: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What changed from a first to a second run, over the cases that both are scored on.

    Attributes:
        difference: mean of the second less mean of the first, of case means; `interval` 95%, None where too few.
        p_value: of McNemar's exact test where all values are yes or no, else None; `n_gained` and `n_lost` count the
            cases that changed to yes and to no.
    """

    n_cases: int
    first: float
    second: float
    difference: float
    interval: tuple[float, float] | None
    p_value: float | None = None
    n_gained: int | None = None
    n_lost: int | None = None

    def outcome(self, *, higher_is_better: bool) -> Outcome:
        """Whether the second run is better: only where the interval leaves out 0, and McNemar's test agrees (5%)."""
        if self.interval is None:
            return "too few cases"
        low, high = self.interval
        if low <= 0 <= high or (self.p_value is not None and self.p_value >= 0.05):
            return "not distinguishable"
        return "better" if (self.difference > 0) == higher_is_better else "worse"


def estimate(values_by_case: ValuesByCase) -> Estimate | None:
    """Mean, interval and quantiles; None where nothing is scored."""
    rows = [np.asarray(values, dtype=np.float64) for _, values in sorted(values_by_case.items()) if len(values)]
    if not rows:
        return None
    all_values = np.concatenate(rows)
    sums, counts = np.array([row.sum() for row in rows]), np.array([len(row) for row in rows])
    interval = _interval(lambda drawn: sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), len(rows))
    return Estimate(
        mean=float(all_values.mean()),
        n=len(all_values),
        n_cases=len(rows),
        interval=interval,
        median=float(np.quantile(all_values, 0.5)),
        p95=float(np.quantile(all_values, 0.95)),
        repeat_sd=_repeat_sd(rows),
    )


def compare_paired(first: ValuesByCase, second: ValuesByCase) -> Difference | None:
    """Difference of case means over the cases that both hold; None where they share none.

    Paired bootstrap over cases; McNemar's exact test (McNemar 1947, Psychometrika 12; exact form: Fagerland et al.
    2013, doi 10.1186/1471-2288-13-91) where every case mean is 0 or 1.
    """
    shared = sorted(case for case in first if first[case] and second.get(case))
    if not shared:
        return None
    a, b = (np.array([float(np.mean(run[case])) for case in shared]) for run in (first, second))
    steps = b - a
    interval = _interval(lambda drawn: steps[drawn].mean(axis=1), len(shared))
    p_value = n_gained = n_lost = None
    if set(a) | set(b) <= {0.0, 1.0}:
        n_gained, n_lost = int((steps > 0).sum()), int((steps < 0).sum())
        p_value = mcnemar_p(n_gained, n_lost)
    return Difference(
        n_cases=len(shared),
        first=float(a.mean()),
        second=float(b.mean()),
        difference=float(steps.mean()),
        interval=interval,
        p_value=p_value,
        n_gained=n_gained,
        n_lost=n_lost,
    )


def mcnemar_p(n_gained: int, n_lost: int) -> float:
    """Two-sided p of McNemar's exact test: chance of so uneven a split of the changed cases if both ways are alike."""
    from scipy.stats import binomtest  # pyright: ignore[reportUnknownVariableType]

    n_changed = n_gained + n_lost
    return float(binomtest(n_gained, n_changed, 0.5).pvalue) if n_changed else 1.0


def _interval(means_of: _MeansOf, n_cases: int) -> tuple[float, float] | None:
    """Expanded percentile interval over draws of cases; `means_of` maps draws (n, n_cases) to means (n,).

    The plain percentile interval is too narrow for few cases; its quantiles are moved out as far as the t interval is
    wider than the normal one with the plug-in deviation (Hesterberg 2015, What Teachers Should Know About the
    Bootstrap, arXiv 1411.5279). Of 1,000 samples of normal values it holds the mean in 91% with 5 cases (plain: 83%),
    96% with 8 (88%), 95% with 40 (94%).
    """
    from scipy.stats import norm, t

    if n_cases < LEAST_CASES:
        return None
    drawn = np.random.default_rng(_SEED).integers(0, n_cases, size=(N_DRAWS, n_cases))
    tail = norm.cdf(-np.sqrt(n_cases / (n_cases - 1)) * t.ppf(0.975, n_cases - 1))
    low, high = np.quantile(means_of(drawn), [tail, 1 - tail])
    return float(low), float(high)


def _repeat_sd(rows: Sequence[NDArray[np.float64]]) -> float | None:
    repeated = [row for row in rows if len(row) > 1]
    if not repeated:
        return None
    squares = sum(float(((row - row.mean()) ** 2).sum()) for row in repeated)
    return float(np.sqrt(squares / sum(len(row) - 1 for row in repeated)))
