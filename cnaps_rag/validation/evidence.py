"""Evidence for a claim: which passages may speak of its source, and the small windows of them that could support it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnaps_rag.fit import tells_of
from cnaps_rag.index import PassageIndex
from cnaps_rag.passages import Passage, PassageId
from cnaps_rag.report import Citation
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, FieldName, SourceId
from cnaps_rag.words import content_stems

N_NEAREST = 3
"""Passages of a source that windows are built around."""

_WEIGHT_OF_WORDS = 0.5  # of shared words beside cosine, in ranking passages; names and numbers are words


@dataclass(frozen=True, slots=True)
class Window:
    """One passage, or a few of one source read together, in the source's order."""

    passages: tuple[Passage, ...]

    @property
    def text(self) -> str:
        """The passages' texts, a blank between them."""
        return " ".join(passage.text for passage in self.passages)

    @property
    def source_id(self) -> SourceId:
        """The source that all its passages belong to."""
        return self.passages[0].source_id

    @property
    def is_entry(self) -> bool:
        """True where it is nothing but a name or a title."""
        return all(is_entry(passage) for passage in self.passages)

    @property
    def citations(self) -> tuple[Citation, ...]:
        """One citation a passage; passages that touch are not merged, so that each keeps its id's span."""
        return tuple(cite(passage) for passage in self.passages)


def is_entry(passage: Passage) -> bool:
    """True for ``M1.0`` and ``P1.0``."""
    return passage.field in ("name", "title")


def cite(passage: Passage, start: int | None = None, end: int | None = None) -> Citation:
    """Citation of a passage, or of a span of its field that it holds."""
    start = passage.start if start is None else start
    end = passage.end if end is None else end
    return Citation(
        source_id=passage.source_id,
        field=passage.field,
        start=start,
        end=end,
        quote=passage.text[start - passage.start : end - passage.start],
    )


def passages_about(index: PassageIndex, source_id: SourceId) -> tuple[Passage, ...]:
    """Passages that can speak of a source: its own, its twins', and of a model sentences that tell of it by name.

    A name is no text: entries of models are left out (policy.md, "A name may warn, never vouch").
    """
    request = index.passages.request
    if source_id == QUESTION_ID:
        return index.passages.of(QUESTION_ID)
    twins = request.twins(source_id)
    own = [passage for twin in twins for passage in index.passages.of(twin) if passage.field != "name"]
    names = [request.source(twin).title for twin in twins if request.source(twin).kind == "model"]
    naming = [
        passage
        for passage in index.passages.all
        if passage.field == "summary"
        and passage.source_id not in twins
        and any(tells_of(passage.text, name) for name in names)
    ]
    return (*own, *naming)


def nearest(
    index: PassageIndex, claim: str, vector: NDArray[np.float32], passages: Iterable[Passage]
) -> list[tuple[float, Passage]]:
    """Passages with how near they are to a claim, in meaning and in words, nearest first."""
    rows = rows_of(index)
    candidates = list(passages)
    if not candidates:
        return []
    stems = frozenset(content_stems(claim))
    cosines = index.vectors[[rows[passage.id] for passage in candidates]] @ vector
    ranked = [
        (float(cosine) + _WEIGHT_OF_WORDS * _share(stems, passage.text), passage)
        for cosine, passage in zip(cosines, candidates, strict=True)
    ]
    return sorted(ranked, key=lambda pair: -round(pair[0], 5))


def rows_of(index: PassageIndex) -> dict[PassageId, int]:
    """Row of each passage in ``index.vectors``."""
    return {passage.id: row for row, passage in enumerate(index.passages.all)}


def _share(stems: Collection[str], text: str) -> float:
    return len(set(stems) & set(content_stems(text))) / len(stems) if stems else 0.0


def windows_around(ranked: Sequence[tuple[float, Passage]], first: Sequence[Passage], limit: int) -> tuple[Window, ...]:
    """Windows to hold a claim against: what it cites, then near passages, alone, with a neighbour and two together.

    Args:
        ranked: passages that may be used, nearest first.
        first: passages that the claim cites.
        limit: most windows.
    """
    allowed = {passage.id: passage for _, passage in ranked}
    windows: list[tuple[Passage, ...]] = [(passage,) for passage in first]
    if len(first) > 1 and len({passage.source_id for passage in first}) == 1:
        windows.append(tuple(first))
    near = [passage for _, passage in ranked[:N_NEAREST]]
    windows += [(passage,) for passage in near]
    for passage in [*first, *near][:2]:
        windows += _with_neighbours(passage, allowed)
    windows += [(one, other) for one in near[:2] for other in near[1:] if _can_join(one, other)]
    if len(near) > 2 and _can_join(near[0], near[1]) and _can_join(near[1], near[2]):
        windows.append(tuple(near))
    ordered = (tuple(sorted(window, key=_place)) for window in windows)
    return tuple(Window(window) for window in dict.fromkeys(ordered))[:limit]


def _with_neighbours(passage: Passage, allowed: dict[PassageId, Passage]) -> list[tuple[Passage, ...]]:
    source_id, number = _place(passage)
    neighbours = [allowed.get(PassageId(f"{source_id}.{number + step}")) for step in (-1, 1)]
    return [(passage, other) for other in neighbours if other is not None and _can_join(passage, other)]


def _can_join(one: Passage, other: Passage) -> bool:
    """Only sentences of one source are read together; a title joins none, since it would vouch for what they say."""
    same = one.source_id == other.source_id and one.id != other.id
    return same and not is_entry(one) and not is_entry(other)


def _place(passage: Passage) -> tuple[str, int]:
    source_id, _, number = passage.id.rpartition(".")
    return source_id, int(number)


def cite_field(request: AnswerRequest, source_id: SourceId, field: FieldName) -> Citation:
    """Citation of a whole field of a source."""
    text = request.text(source_id, field)
    return Citation(source_id=source_id, field=field, start=0, end=len(text), quote=text)
