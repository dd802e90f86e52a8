"""Sentences of the sources with exact character offsets, each with an id that a draft can cite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


def split_passages(request: AnswerRequest) -> Passages:
    """Entry and sentences of every source, and the sentences of the question."""
    sources = (request.source(QUESTION_ID), *request.sources)
    return Passages(request=request, all=tuple(passage for source in sources for passage in _split_source(source)))


def _split_source(source: Source) -> Iterator[Passage]:
    if source.kind != "question":
        yield _passage(source, 0, source.title_field, source.title, 0, len(source.title))
    for number, (start, end) in enumerate(split_sentences(source.text), 1):
        yield _passage(source, number, source.text_field, source.text, start, end)


def _passage(source: Source, number: int, field: FieldName, text: str, start: int, end: int) -> Passage:
    passage_id = PassageId(f"{source.id}.{number}")
    return Passage(id=passage_id, source_id=source.id, field=field, start=start, end=end, text=text[start:end])
