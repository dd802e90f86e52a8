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

N_SINGLES = 2
"""Passages that a claim is held against one by one, beside those that it cites."""

N_JOINED_SOURCES = 2
"""Sources of which two and three passages are read together, where it is not known of which the claim speaks."""

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


def windows_in_rounds(ranked: Sequence[Passage], cited: Sequence[Passage]) -> tuple[tuple[Window, ...], ...]:
    """Windows to hold a claim against, the smallest first: single passages, then two together, then three.

    What is cited comes before what is near. Two and three are of one source: each source's best passage with those of
    it that come next. So the first window that supports a claim is also a smallest one.

    Args:
        ranked: passages that may be used, nearest first.
        cited: passages that the claim cites; they may be used too.
    """
    ordered = list(dict.fromkeys((*cited, *ranked)))
    singles = [(passage,) for passage in ordered[: max(len(cited), N_SINGLES)]]
    pairs: list[tuple[Passage, ...]] = []
    threes: list[tuple[Passage, ...]] = []
    for source_id in list(dict.fromkeys(passage.source_id for (passage,) in singles))[:N_JOINED_SOURCES]:
        together = [passage for passage in ordered if passage.source_id == source_id and not is_entry(passage)]
        pairs += [(together[0], other) for other in together[1:3]]
        threes += [tuple(together[:3])] if len(together) > 2 else []
    if len(cited) > 3 and len({passage.source_id for passage in cited}) == 1:
        threes.append(tuple(cited))
    rounds = (singles, pairs, threes)
    return tuple(
        tuple(Window(tuple(sorted(passages, key=_number))) for passages in dict.fromkeys(windows)) for windows in rounds
    )


def _number(passage: Passage) -> int:
    return int(passage.id.rpartition(".")[2])


def cite_field(request: AnswerRequest, source_id: SourceId, field: FieldName) -> Citation:
    """Citation of a whole field of a source."""
    text = request.text(source_id, field)
    return Citation(source_id=source_id, field=field, start=0, end=len(text), quote=text)
