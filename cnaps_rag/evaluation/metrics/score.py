"""What a metric is, and what it gives for one answer: a value, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from cnaps_rag.evaluation.outcome import Outcome
from cnaps_rag.evaluation.readings import Readings
from cnaps_rag.evaluation.suite import Gold

Better = Literal["higher", "lower", "neither"]
Unit = Literal["share", "yes_no", "count", "seconds", "cost"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A metric's value for one answer, over `n` things counted; `value` None is unscored, which is neither 0 nor bad.

    Attributes:
        value: a share is 0 to 1, a yes 1.0 and a no 0.0.
        why: why it is unscored, in words; "" where it is not.
    """

    value: float | None
    n: int = 1
    why: str = ""


def unscored(why: str) -> Score:
    """No value, and why."""
    return Score(value=None, n=0, why=why)


def share(hits: Sequence[bool], why_none: str) -> Score:
    """Share of true ones; unscored where there are none to count."""
    return Score(value=sum(hits) / len(hits), n=len(hits)) if hits else unscored(why_none)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """Everything that a metric may look at."""

    outcome: Outcome
    gold: Gold
    readings: Readings


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One figure of an answer.

    Attributes:
        measure: the metric itself; its docstring is the definition, with the paper it comes from.
        better: which way is better; ``neither`` is never gated by "no worse than".
        is_minor: left out of the short tables.
    """

    name: str
    title: str
    better: Better
    unit: Unit
    measure: Callable[[Scored], Score]
    is_minor: bool = False

    @property
    def definition(self) -> str:
        """What is measured, in words."""
        return " ".join((self.measure.__doc__ or "").split())
