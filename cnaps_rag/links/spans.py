"""Sets of spans that answer, in the time of one look-up, whether one of them holds or touches another."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate


class SpanSet:
    """Spans ``start, end`` of one text, half open, which may overlap."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(spans)
        self._starts = [start for start, _ in ordered]
        self._furthest = list(accumulate((end for _, end in ordered), max))

    def hold(self, start: int, end: int) -> bool:
        """True when one of the spans holds all of ``start, end``."""
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and self._furthest[index] >= end

    def touch(self, start: int, end: int) -> bool:
        """True when one of the spans shares a character with ``start, end``."""
        index = bisect_left(self._starts, end) - 1
        return index >= 0 and self._furthest[index] > start
