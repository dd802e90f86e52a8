"""What makes a generator sure: all that is supplied of a claim's source, and how much of a claim a text holds."""

from __future__ import annotations

import re
from functools import lru_cache

from cnaps_rag.request import AnswerRequest
from cnaps_rag.sentences import split_sentences
from cnaps_rag.sources import QUESTION_ID, SourceId
from cnaps_rag.words import content_stems

_LEAST_SHARE_TOLD = 0.5
"""Of a claim's content words: a sentence with as many may tell the same, so nothing is planted there."""

_LEAST_STEMS_LACKING = 5
"""Content words of a claim that a source has to lack, so that the claim surely does not hold of it as well."""

ABSENCE = re.compile(
    r"\b(?:sources?|request|supplied|entry|entries|title|name|summary|description)\b[^.]{0,60}"
    r"\b(?:not|nothing|none|no|cannot)\b|"
    r"\b(?:not|nothing|none|no|neither|nor)\b[^.]{0,60}\b(?:sources?|supplied|texts?|entries)\b|"
    r"\b(?:no|neither)\s(?:recommended |related )*(?:papers?|models?)\b|"
    r"\bnot (?:say|tell|mention|state|specify|bear)\b|\bno statement\b",
    re.IGNORECASE,
)
"""Claims that something is missing: a changed name or number leaves most of them true."""


@lru_cache(maxsize=512)
def own_text(request: AnswerRequest, subject: SourceId | None) -> str:
    """Every text that may support a claim of `subject`: of a paper its own, of a model or where unknown all of them."""
    if subject is not None and subject != QUESTION_ID and request.source(subject).kind == "paper":
        sources = [request.source(twin) for twin in request.twins(subject)]
        if all(source.kind == "paper" for source in sources):
            return "\n".join(f"{source.title}.\n{source.text}" for source in sources)
    return "\n".join([request.question, *(f"{source.title}.\n{source.text}" for source in request.sources)])


@lru_cache(maxsize=2_048)
def own_stems(request: AnswerRequest, subject: SourceId | None) -> frozenset[str]:
    """Stems of every content word of `own_text`."""
    return frozenset(content_stems(own_text(request, subject)))


@lru_cache(maxsize=2_048)
def _sentence_stems(text: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(content_stems(text[start:end])) for start, end in split_sentences(text))


def _shares(claim: str, text: str) -> list[float]:
    stems = set(content_stems(claim))
    return [len(stems & sentence) / len(stems) for sentence in _sentence_stems(text)] if stems else [1.0]


def is_specific(claim: str, text: str) -> bool:
    """True where `text` lacks several of a claim's words: "we present an efficient approach" may hold of any paper."""
    held = {stem for sentence in _sentence_stems(text) for stem in sentence}
    return len(set(content_stems(claim)) - held) >= _LEAST_STEMS_LACKING


def may_tell(claim: str, text: str) -> bool:
    """True where a sentence of `text` holds so many of a claim's words that it may tell the same."""
    return max(_shares(claim, text), default=0.0) >= _LEAST_SHARE_TOLD


def may_tell_again(claim: str, text: str) -> bool:
    """True where, beside the sentence of `text` that a claim is from, another one may tell the same."""
    return sum(share >= _LEAST_SHARE_TOLD for share in _shares(claim, text)) > 1
