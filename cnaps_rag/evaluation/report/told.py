"""What an answer tells, claim by claim: its words, the verdicts on them, and the places in the sources they rest on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from cnaps_rag.errors import RequestError
from cnaps_rag.fit import Fit
from cnaps_rag.passages import split_passages
from cnaps_rag.render.escape import is_web_address
from cnaps_rag.render.layout import AnswerBody, Link, Statement, Words, build_layout
from cnaps_rag.render.layout import Run as LayoutRun
from cnaps_rag.render.markdown import RenderedClaim, render_markdown
from cnaps_rag.report import Citation, ClaimFinding, Report, Section
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, FieldName, SourceId

_GOOD = frozenset({"supported", "not_a_claim", "supplied"})


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict as it is shown: ``supported · verifier 0.93``."""

    told: str
    reason: str
    is_good: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """A citation's number in a case, and the id of its span; both None where its quote does not stand in its source.

    `is_first` where it is cited for the first time: there its span leads back to.
    """

    number: int | None
    id: str | None
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Words of an answer. `kind` is ``words``, ``strong``, ``link`` or ``claim``; only claims carry the rest."""

    kind: Literal["words", "strong", "link", "claim"]
    text: str
    href: str | None = None
    findings: tuple[Finding, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def is_good(self) -> bool:
        """False where a verdict or a citation is against it."""
        return all(found.is_good for found in self.findings) and all(mark.id for mark in self.marks)


@dataclass(frozen=True, slots=True)
class Block:
    """A heading (level 2 or 3), a paragraph, an item (level 1 or 2), or text as it came (``raw``)."""

    kind: Literal["heading", "paragraph", "item", "raw"]
    level: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a source's field: plain, or cited by the spans `ids`, of which `starting` begin here."""

    text: str
    ids: tuple[str, ...] = ()
    starting: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class CitedSource:
    """A source with its cited words marked; of its fields those that hold text."""

    id: str
    kind: str
    fields: tuple[tuple[str, tuple[Span, ...]], ...]


class Evidence:
    """Citations of one case, numbered in the order in which its answers cite them.

    Args:
        request: what the offsets of citations count in; None where the run holds no such case.
        prefix: of all ids, unique in the page.
    """

    def __init__(self, request: AnswerRequest | None, prefix: str) -> None:
        self._request = request
        self._prefix = prefix
        self._marks: dict[Citation, Mark] = {}

    def mark(self, citation: Citation) -> Mark:
        """The citation's mark; without number where its quote does not stand at its offsets."""
        known = self._marks.get(citation)
        if known is not None:
            return known
        text = self._text(citation.source_id, citation.field)
        if not citation.quote or text[citation.start : citation.end] != citation.quote:
            return Mark(None, None)
        number = len(self._marks) + 1
        mark = self._marks[citation] = Mark(number, f"{self._prefix}-c{number}")
        return replace(mark, is_first=True)

    def sources(self) -> Iterator[CitedSource]:
        """Every source with the words that were marked; to be asked for when all answers are told."""
        if self._request is None:
            return
        for source in (self._request.source(QUESTION_ID), *self._request.sources):
            fields = ((name, tuple(self._spans(source.id, name))) for name in source.field_names if source.field(name))
            yield CitedSource(source.id, source.kind, tuple(fields))

    def _text(self, source_id: SourceId, field: FieldName) -> str:
        try:
            return self._request.text(source_id, field) if self._request is not None else ""
        except KeyError:
            return ""

    def _spans(self, source_id: SourceId, field: FieldName) -> Iterator[Span]:
        text = self._text(source_id, field)
        cited = [one for one in self._marks if (one.source_id, one.field) == (source_id, field)]
        edges = sorted({0, len(text), *(edge for one in cited for edge in (one.start, one.end))})
        for start, end in pairwise(edges):
            over = [one for one in cited if one.start <= start and end <= one.end]
            yield Span(
                text[start:end],
                tuple(self._marks[one].id or "" for one in over),
                tuple(self._marks[one] for one in over if one.start == start),
            )


def tell_answer(answer: Mapping[str, Any], evidence: Evidence) -> tuple[Block, ...]:
    """An answer as `Answer.to_json` gives it, laid out as its readers see it.

    What cannot be laid out so that it is word for word the Markdown that was scored is shown as that Markdown.
    """
    markdown, report = str(answer.get("markdown", "")), answer.get("report")
    try:
        body = _read_body(answer)
        findings = _report_reader().validate_python(report).claims
        rendered = render_markdown(body)
    except (ValidationError, KeyError, RequestError):
        return tell_text(markdown, report, evidence)
    if rendered.text != markdown:
        return tell_text(markdown, report, evidence)
    claims = iter(rendered.claims)
    return tuple(
        Block(block.kind, block.level, tuple(_part(run, claims, findings, evidence) for run in block.runs))
        for block in build_layout(body)
        if block.kind != "rule"
    )


def tell_text(text: str, report: object, evidence: Evidence) -> tuple[Block, ...]:
    """A text as it came, cut where `report` (`ReportJson`) finds claims and links; uncut where that cannot be read."""
    try:
        found = _report_reader().validate_python(report)
    except ValidationError:
        return (Block("raw", 1, (Part("words", text),)),)
    return (Block("raw", 1, tuple(_cut(text, found, evidence))),)


def _read_body(answer: Mapping[str, Any]) -> AnswerBody:
    return AnswerBody(
        passages=split_passages(AnswerRequest.model_validate(answer["request"])),
        sections=_sections_reader().validate_python(answer["sections"]),
        fit=_fit_reader().validate_python(answer["fit"]),
        drafter=answer["drafter"],
        notes=tuple(answer["notes"]),
    )


def _part(
    run: LayoutRun, claims: Iterator[RenderedClaim], findings: Sequence[ClaimFinding], evidence: Evidence
) -> Part:
    match run:
        case Words(text=text, strong=strong):
            return Part("strong" if strong else "words", text)
        case Link(url=url):
            return Part("link", url, href=url if is_web_address(url) else None)
        case Statement():
            claim = next(claims)  # both come in reading order, one for one
            touching = [found for found in findings if found.start < claim.end and claim.start < found.end]
            told = [*_shown(touching), *([] if run.accepted else [Finding("not traceable", run.reason, False)])]
            marks = (evidence.mark(citation) for citation in dict.fromkeys(run.citations))
            return Part("claim", run.text, findings=tuple(dict.fromkeys(told)), marks=tuple(marks))


def _shown(findings: Iterable[ClaimFinding]) -> Iterator[Finding]:
    for found in findings:
        told = f"{found.verdict.replace('_', ' ')} · {found.layer} {found.score:.2f}"
        yield Finding(told, found.reason, found.verdict in _GOOD)


def _cut(text: str, report: Report, evidence: Evidence) -> Iterator[Part]:
    """The text at the edges of its findings: claims, links, and the words between; what overlaps goes to the first."""
    placed: list[tuple[int, int, Part]] = []
    for found in report.claims:
        marks = tuple(evidence.mark(citation) for citation in dict.fromkeys(found.evidence))
        placed.append((found.start, found.end, Part("claim", "", findings=tuple(_shown([found])), marks=marks)))
    for link in report.links:
        finding = Finding(link.verdict.replace("_", " "), link.reason, link.verdict in _GOOD)
        placed.append((link.start, link.end, Part("claim", "", findings=(finding,))))
    done = 0
    for start, end, part in sorted(placed, key=lambda row: row[:2]):
        if start > done:
            yield Part("words", text[done:start])
        yield Part(part.kind, text[max(start, done) : end], findings=part.findings, marks=part.marks)
        done = max(done, end)
    yield Part("words", text[done:])


@cache
def _report_reader() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


@cache
def _sections_reader() -> TypeAdapter[tuple[Section, ...]]:
    return TypeAdapter(tuple[Section, ...])


@cache
def _fit_reader() -> TypeAdapter[Fit]:
    return TypeAdapter(Fit)
