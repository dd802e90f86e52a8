"""Claims to test with: those of an answer, and the sentences of the sources told as plain claims of their source."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cnaps_rag.answer import Answer
from cnaps_rag.discourse import asks, goes_on, points_back
from cnaps_rag.evaluation.mutations.kinds import Specimen, quotes
from cnaps_rag.links import find_links
from cnaps_rag.passages import split_passages
from cnaps_rag.render.shown import shown_title
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import SourceId
from cnaps_rag.validation import split_claims

_LEAST_WORDS, _MOST_WORDS = 6, 60  # fewer are headings; more are lists that no answer tells in one claim
_FIRST_PERSON = (
    (re.compile(r"(?:^|(?<=\W))We(?= )"), "The authors"),
    (re.compile(r"\bwe(?= )"), "the authors"),
    (re.compile(r"\bOur\b"), "Their"),
    (re.compile(r"\bour\b"), "their"),
)
_LEFT_OVER = re.compile(r"\b(?:I|my|us|ours|ourselves|we)\b", re.IGNORECASE)


def split_answer(answer: Answer) -> Iterator[Specimen]:
    """Claims of an answer as validation reads them, its footnotes left out, and its lines that hold links."""
    request = answer.request
    spans = [(claim.start, claim.end) for claim in answer.claims if claim.accepted]
    seen: set[tuple[str, SourceId | None]] = set()
    for claim in split_claims(answer.markdown, request):
        is_rendered = any(start < claim.end and claim.start < end for start, end in spans)
        key = (claim.plain, claim.subject)
        if claim.is_claim and is_rendered and key not in seen and not find_links(claim.text):
            seen.add(key)
            yield Specimen(text=claim.plain, subject=claim.subject)
    yield from _lines(answer)


def _lines(answer: Answer) -> Iterator[Specimen]:
    ids = {shown_title(source.id, answer.request): source.id for source in answer.request.sources}
    subject: SourceId | None = None
    for line in answer.markdown.splitlines():
        heading = re.match(r"#+ (.+)", line)
        subject = ids.get(heading[1].replace("\\", "")) if heading else subject
        title = next((title for title in ids if line.replace("\\", "").startswith(f"- **{title}**")), None)
        if "<http" in line and not line.startswith("[^") and (title or subject):
            yield Specimen(text=line.strip(), subject=ids[title] if title else subject, is_line=True)


def tell_sources(request: AnswerRequest) -> Iterator[Specimen]:
    """Each sentence of a source that can stand alone, told as a claim of its source: "We find …" as "The authors …"."""
    for passage in split_passages(request).all:
        if passage.source_id == "Q" or passage.id.endswith(".0"):
            continue
        if (specimen := tell(passage.text, passage.source_id)) is not None:
            yield specimen


def tell(sentence: str, subject: SourceId) -> Specimen | None:
    """A sentence of a source as a plain claim of it; None for one that asks, leans on others, links or quotes."""
    text = " ".join(sentence.split())
    leans = points_back(text) and not goes_on(text)
    n_words = len(text.split())
    if asks(text) or leans or not _LEAST_WORDS <= n_words <= _MOST_WORDS or quotes(text) or find_links(text):
        return None
    told = text
    for pattern, new in _FIRST_PERSON:
        told = pattern.sub(new, told)
    is_whole = told.endswith(".") and told[0].isupper() and sum(c.isascii() for c in told) > 0.9 * len(told)
    if _LEFT_OVER.search(told) or not is_whole:
        return None
    return Specimen(text=told, subject=subject, is_own_work=told != text)
