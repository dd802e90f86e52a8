"""What a reader sees of a text: markup cut out, and every character still tied to its place in that text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LINK = "\ufffc"
"""Stands in a visible text where a link was: one character, so that the link stays with its sentence."""

# Line ends become \n; what no reader sees goes; what no encoder takes (lone surrogates) becomes a mark of loss.
_CLEANED = re.compile(
    r"(?P<newline>\r\n?)"
    r"|(?P<nothing>[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]+)"
    r"|(?P<blank>[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufffc])"
    r"|(?P<lost>[\ud800-\udfff])"
)
_REPLACEMENTS = {"newline": "\n", "nothing": "", "blank": " ", "lost": "\ufffd"}

Edit = tuple[int, int, str]
"""``text[start:end]`` gives way to the string."""


@dataclass(frozen=True, slots=True)
class Visible:
    """A text made of pieces of another one: `span` says from where in that one any part of `text` comes.

    Attributes:
        text: what is seen.
        starts: where in `text` each piece starts, ascending.
        origins: ``(start, end)`` of each piece in the text it comes from. A piece as long as its origin stands there
            character by character; any other stands for its origin as a whole.
    """

    text: str
    starts: tuple[int, ...]
    origins: tuple[tuple[int, int], ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where ``text[start:end]``, not empty, comes from: first to last character, what was cut between included."""
        return self._origin(start)[0], self._origin(end - 1)[1]

    def edit(self, edits: Iterable[Edit], start: int = 0, end: int | None = None) -> Visible:
        """``text[start:end]`` with `edits` made; they are in order and do not overlap."""
        at, stop = start, len(self.text) if end is None else end
        pieces: list[tuple[str, int, int]] = []
        for edit_start, edit_end, replacement in edits:
            pieces += self._pieces(at, edit_start)
            if replacement:
                pieces.append((replacement, *self.span(edit_start, edit_end)))
            at = edit_end
        pieces += self._pieces(at, stop)
        return join_pieces(pieces)

    def pieces(self) -> list[tuple[str, int, int]]:
        """All pieces: what is seen, and its origin's start and end."""
        return list(self._pieces(0, len(self.text)))

    def _origin(self, at: int) -> tuple[int, int]:
        index = bisect_right(self.starts, at) - 1
        start, end = self.origins[index]
        piece_end = self.starts[index + 1] if index + 1 < len(self.starts) else len(self.text)
        if piece_end - self.starts[index] != end - start:
            return start, end
        place = start + at - self.starts[index]
        return place, place + 1

    def _pieces(self, start: int, end: int) -> Iterator[tuple[str, int, int]]:
        index = bisect_right(self.starts, start) - 1
        while start < end:
            piece_end = self.starts[index + 1] if index + 1 < len(self.starts) else len(self.text)
            part_end = min(end, piece_end)
            origin_start, origin_end = self._origin(start)[0], self._origin(part_end - 1)[1]
            yield self.text[start:part_end], origin_start, origin_end
            start, index = part_end, index + 1


def join_pieces(pieces: Iterable[tuple[str, int, int]]) -> Visible:
    """`Visible` of ``(text, origin start, origin end)`` pieces, in the order of their origins."""
    kept = [piece for piece in pieces if piece[0]]
    starts: list[int] = []
    at = 0
    for piece, _, _ in kept:
        starts.append(at)
        at += len(piece)
    text = "".join(piece for piece, _, _ in kept)
    return Visible(text, tuple(starts), tuple((start, end) for _, start, end in kept))


def join_visible(parts: Iterable[Visible]) -> Visible:
    """Parts of one text, in its order, with a blank for what lies between each two."""
    pieces: list[tuple[str, int, int]] = []
    for part in (part for part in parts if part.text):
        if pieces:
            pieces.append((" ", pieces[-1][2], part.origins[0][0]))
        pieces += part.pieces()
    return join_pieces(pieces)


def see(text: str, links: Sequence[tuple[int, int]]) -> Visible:
    """`text` without what no reader sees, each of `links` (spans in order, not overlapping) as one `LINK`."""
    pieces: list[tuple[str, int, int]] = []
    at = 0
    for start, end in links:
        pieces += _clean(text, at, start)
        pieces.append((LINK, start, end))
        at = end
    pieces += _clean(text, at, len(text))
    return join_pieces(pieces)


def _clean(text: str, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    for match in _CLEANED.finditer(text, start, end):
        yield text[start : match.start()], start, match.start()
        yield _REPLACEMENTS[match.lastgroup or "blank"], match.start(), match.end()
        start = match.end()
    yield text[start:end], start, end
