"""Sentences of the sources with exact character offsets, each with an id that a draft can cite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from cnaps_rag.sources import FieldName, SourceId

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
