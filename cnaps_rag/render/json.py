"""An answer as plain values for JSON. The typed dictionaries are its documentation; their key order is the output's.

Strings of sources and claims are raw, as read and as drafted; only `AnswerJson.markdown` and the texts that point into
it are in the form that may be shown. Offsets are half open, in code points, and beside them in UTF-16 code units.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from typing_extensions import TypedDict  # pydantic reads the standard library's only from Python 3.12 on

from cnaps_rag.draft import SlotName
from cnaps_rag.fit import Fit
from cnaps_rag.llm import Usage
from cnaps_rag.render.layout import AnswerBody, StatementKind
from cnaps_rag.render.markdown import RenderedClaim, RenderedMarkdown
from cnaps_rag.render.offsets import Utf16
from cnaps_rag.report import (
    Citation,
    ClaimFinding,
    Layer,
    Ledger,
    LedgerAction,
    LedgerEntry,
    LinkFinding,
    LinkVerdict,
    Report,
    Rule,
    Section,
    SlotState,
    Verdict,
)
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import FieldName, SourceId

VERSION: Literal["cnaps_rag.answer/1"] = "cnaps_rag.answer/1"
"""Rises when a key is renamed, removed or changes its meaning; a key may be added without."""


class SpanJson(TypedDict):
    """A span of a text: half open, in code points and in UTF-16 code units."""

    start: int
    end: int
    start_utf16: int
    end_utf16: int


class CitationJson(SpanJson):
    """A span of a source's field: ``request`` holds that field, and ``field[start:end] == quote``."""

    source_id: SourceId
    field: FieldName
    quote: str


class ClaimJson(SpanJson):
    """A claim as it stands in `AnswerJson.markdown`, at ``start:end`` of it."""

    text: str
    kind: StatementKind
    subject: SourceId
    accepted: bool
    reason: str
    citations: list[CitationJson]


class SlotClaimJson(TypedDict):
    """A claim as it was drafted."""

    text: str
    accepted: bool
    reason: str
    citations: list[CitationJson]


class SlotJson(TypedDict):
    """One slot of a section: its claims, and in `state` why it has none."""

    name: SlotName
    subject: SourceId
    state: SlotState
    claims: list[SlotClaimJson]


class SectionJson(TypedDict):
    """One of the three numbered sections."""

    number: Literal[1, 2, 3]
    title: str
    slots: list[SlotJson]


class PaperFitJson(TypedDict):
    """Whether a paper bears on the question, its passages best first."""

    source_id: SourceId
    bears: bool
    score: float
    passage_ids: list[str]
    reason: str


class ModelFitJson(TypedDict):
    """Whether what the sources tell of a recommended model fits the question."""

    source_id: SourceId
    verdict: Literal["fits", "does_not_fit", "not_told"]
    evidence: list[str]
    reason: str


class FitJson(TypedDict):
    """Fit of all sources, in the request's order."""

    papers: list[PaperFitJson]
    models: list[ModelFitJson]


class LinkFindingJson(SpanJson):
    """Verdict on one link of the text that was checked."""

    text: str
    verdict: LinkVerdict
    reason: str
    source_ids: list[SourceId]


class ClaimFindingJson(SpanJson):
    """Verdict on one claim of the text that was checked."""

    text: str
    verdict: Verdict
    layer: Layer
    rule: Rule | None
    score: float
    reason: str
    evidence: list[CitationJson]


class ReportJson(TypedDict):
    """All findings, in the order of their offsets in the text that was checked."""

    ok: bool
    links: list[LinkFindingJson]
    claims: list[ClaimFindingJson]


class LedgerEntryJson(TypedDict):
    """What became of one drafted claim in one round."""

    round: int
    slot: SlotName
    subject: SourceId
    before: str
    after: str | None
    action: LedgerAction
    verdict: Verdict
    layer: Layer
    reason: str
    tokens: int
    seconds: float


class AnswerJson(TypedDict):
    """A whole answer. `report` is on `markdown`; `citations` are in the order of its footnotes."""

    version: Literal["cnaps_rag.answer/1"]
    drafter: str
    prompt_sha256: str | None
    abstained: bool
    complete: bool
    notes: list[str]
    request: dict[str, Any]
    markdown: str
    claims: list[ClaimJson]
    citations: list[CitationJson]
    sections: list[SectionJson]
    fit: FitJson
    report: ReportJson
    ledger: list[LedgerEntryJson]
    usage: dict[str, Any]


def render_json(
    body: AnswerBody,
    rendered: RenderedMarkdown,
    *,
    report: Report,
    ledger: Ledger,
    usage: Usage,
    prompt_sha256: str | None,
    abstained: bool,
    complete: bool,
) -> AnswerJson:
    """Plain values of a whole answer, ready for ``json.dumps``; `report` must be on ``rendered.text``."""
    offsets = Offsets(body.passages.request)
    return AnswerJson(
        version=VERSION,
        drafter=body.drafter,
        prompt_sha256=prompt_sha256,
        abstained=abstained,
        complete=complete,
        notes=list(body.notes),
        request=body.passages.request.model_dump(mode="json"),
        markdown=rendered.text,
        claims=_claims(rendered, offsets),
        citations=offsets.citations(rendered.citations),
        sections=[_section(section, offsets) for section in body.sections],
        fit=render_fit_json(body.fit),
        report=render_report_json(report, rendered.text, body.passages.request),
        ledger=[render_entry_json(entry) for entry in ledger],
        usage=asdict(usage),
    )


def render_report_json(report: Report, text: str, request: AnswerRequest) -> ReportJson:
    """Plain values of a report on `text`, whose evidence points into `request`."""
    offsets, units = Offsets(request), Utf16(text)
    return ReportJson(
        ok=report.ok,
        links=[_link_finding(finding, units) for finding in report.links],
        claims=[_claim_finding(finding, units, offsets) for finding in report.claims],
    )


class Offsets:
    """Citations of one request with their UTF-16 offsets; each field is gone through once."""

    def __init__(self, request: AnswerRequest) -> None:
        self._request = request
        self._units: dict[tuple[SourceId, FieldName], Utf16] = {}

    def citations(self, citations: tuple[Citation, ...]) -> list[CitationJson]:
        """Plain values of `citations`, in their order."""
        return [self._citation(citation) for citation in citations]

    def _citation(self, citation: Citation) -> CitationJson:
        place = (citation.source_id, citation.field)
        if place not in self._units:
            self._units[place] = Utf16(self._request.text(*place))
        return CitationJson(
            **_span(citation, self._units[place]),
            source_id=citation.source_id,
            field=citation.field,
            quote=citation.quote,
        )


def _span(placed: Citation | RenderedClaim | LinkFinding | ClaimFinding, units: Utf16) -> SpanJson:
    return SpanJson(
        start=placed.start, end=placed.end, start_utf16=units.at(placed.start), end_utf16=units.at(placed.end)
    )


def _claims(rendered: RenderedMarkdown, offsets: Offsets) -> list[ClaimJson]:
    units = Utf16(rendered.text)
    return [render_claim_json(claim, units, offsets) for claim in rendered.claims]


def render_claim_json(claim: RenderedClaim, units: Utf16, offsets: Offsets) -> ClaimJson:
    """Plain values of a claim that stands in the text of `units`."""
    return ClaimJson(
        **_span(claim, units),
        text=claim.text,
        kind=claim.kind,
        subject=claim.subject,
        accepted=claim.accepted,
        reason=claim.reason,
        citations=offsets.citations(claim.citations),
    )


def _section(section: Section, offsets: Offsets) -> SectionJson:
    return SectionJson(
        number=section.number,
        title=section.title,
        slots=[
            SlotJson(
                name=slot.name,
                subject=slot.subject,
                state=slot.state,
                claims=[
                    SlotClaimJson(
                        text=claim.text,
                        accepted=claim.accepted,
                        reason=claim.reason,
                        citations=offsets.citations(claim.citations),
                    )
                    for claim in slot.claims
                ],
            )
            for slot in section.slots
        ],
    )


def render_fit_json(fit: Fit) -> FitJson:
    """Plain values of the fit of all sources."""
    return FitJson(
        papers=[
            PaperFitJson(
                source_id=paper.source_id,
                bears=paper.bears,
                score=float(paper.score),
                passage_ids=list(paper.passage_ids),
                reason=paper.reason,
            )
            for paper in fit.papers
        ],
        models=[
            ModelFitJson(
                source_id=model.source_id, verdict=model.verdict, evidence=list(model.evidence), reason=model.reason
            )
            for model in fit.models
        ],
    )


def render_entry_json(entry: LedgerEntry) -> LedgerEntryJson:
    """Plain values of one entry of a ledger."""
    return LedgerEntryJson(
        round=entry.round,
        slot=entry.slot,
        subject=entry.subject,
        before=entry.before,
        after=entry.after,
        action=entry.action,
        verdict=entry.verdict,
        layer=entry.layer,
        reason=entry.reason,
        tokens=entry.tokens,
        seconds=entry.seconds,
    )


def _link_finding(finding: LinkFinding, units: Utf16) -> LinkFindingJson:
    return LinkFindingJson(
        **_span(finding, units),
        text=finding.text,
        verdict=finding.verdict,
        reason=finding.reason,
        source_ids=list(finding.source_ids),
    )


def _claim_finding(finding: ClaimFinding, units: Utf16, offsets: Offsets) -> ClaimFindingJson:
    return ClaimFindingJson(
        **_span(finding, units),
        text=finding.text,
        verdict=finding.verdict,
        layer=finding.layer,
        rule=finding.rule,
        score=float(finding.score),
        reason=finding.reason,
        evidence=offsets.citations(finding.evidence),
    )
