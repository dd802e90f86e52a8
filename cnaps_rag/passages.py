"""Sentences of the sources with exact character offsets, each with an id that a draft can cite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NewType

from cnaps_rag.request import AnswerRequest
from cnaps_rag.sentences import split_sentences
from cnaps_rag.sources import QUESTION_ID, FieldName, Source, SourceId

__all__ = ["Hit", "Passage", "PassageId", "Passages", "split_passages", "split_sentences"]

PassageId = NewType("PassageId", str)
"""``P2.3``: paper 2, sentence 3 (from 1); ``M1.0``: the whole entry of model 1; ``Q.1``: the question's first."""


LIMIT_PASSAGE_CHARS = 900
"""Longest passage: a quotation of up to 1,000 characters is read as one, and a sentence has some 150."""

LIMIT_QUOTED_CHARS = 1_800
"""Most characters that one claim quotes: with the words around them, up to 2,000 are read as one claim."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A span of one field of a source: ``source.field(field)[start:end] == text``, always.

    Offsets count Unicode code points, half open. The entry ``X.0`` spans the whole title or name.
    """

    id: PassageId
    source_id: SourceId
    field: FieldName
    start: int
    end: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A passage and its score: cosine with the query, -1 to 1."""

    passage: Passage
    score: float


@dataclass(frozen=True, kw_only=True)
class Passages:
    """All passages of one request: the question's first, then source by source, entry before sentences."""

    request: AnswerRequest
    all: tuple[Passage, ...]

    @cached_property
    def by_id(self) -> Mapping[PassageId, Passage]:
        """Each passage by its id."""
        return MappingProxyType({passage.id: passage for passage in self.all})

    def of(self, source_id: SourceId) -> tuple[Passage, ...]:
        """Passages of one source, its entry first; of the question, its sentences.

        Raises:
            KeyError: where the request has no such source.
        """
        return self._by_source[source_id]

    @cached_property
    def _by_source(self) -> dict[SourceId, tuple[Passage, ...]]:
        ids = [QUESTION_ID, *(source.id for source in self.request.sources)]
        passages: dict[SourceId, list[Passage]] = {source_id: [] for source_id in ids}
        for passage in self.all:
            passages[passage.source_id].append(passage)
        return {source_id: tuple(of_source) for source_id, of_source in passages.items()}


def quotable(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """As many of these, from the first on, as one claim can quote."""
    n_chars = [len(passage.text) for passage in passages]
    return tuple(p for at, p in enumerate(passages) if sum(n_chars[: at + 1]) <= LIMIT_QUOTED_CHARS)


def split_passages(request: AnswerRequest) -> Passages:
    """Entry and sentences of every source, and the sentences of the question."""
    sources = (request.source(QUESTION_ID), *request.sources)
    return Passages(request=request, all=tuple(passage for source in sources for passage in _split_source(source)))


def _split_source(source: Source) -> Iterator[Passage]:
    if source.kind != "question":
        yield _passage(source, 0, source.title_field, source.title, 0, len(source.title))
    places = (place for sentence in split_sentences(source.text) for place in _cut(source.text, *sentence))
    for number, (start, end) in enumerate(places, 1):
        yield _passage(source, number, source.text_field, source.text, start, end)


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence as one place, or as several, cut at blanks where there are any, where it is too long to be quoted."""
    while end - start > LIMIT_PASSAGE_CHARS:
        blank = text.rfind(" ", start + 1, start + LIMIT_PASSAGE_CHARS)
        cut = blank if blank > 0 else start + LIMIT_PASSAGE_CHARS
        yield start, cut
        start = cut + (blank > 0)
    yield start, end


def _passage(source: Source, number: int, field: FieldName, text: str, start: int, end: int) -> Passage:
    passage_id = PassageId(f"{source.id}.{number}")
    return Passage(id=passage_id, source_id=source.id, field=field, start=start, end=end, text=text[start:end])
