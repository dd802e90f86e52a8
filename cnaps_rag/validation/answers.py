"""The only place that makes an `Answer`: what fails the validation of its own Markdown does not reach the reader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cnaps_rag.answer import Answer
from cnaps_rag.errors import UntraceableError
from cnaps_rag.fit import Fit
from cnaps_rag.llm import Usage
from cnaps_rag.render.layout import AnswerBody
from cnaps_rag.render.markdown import RenderedClaim, RenderedMarkdown, render_markdown
from cnaps_rag.report import AnswerSlot, ClaimFinding, LedgerEntry, LinkFinding, Report, Section
from cnaps_rag.validation.judge import ClaimJudge
from cnaps_rag.validation.texts import judge_text
from cnaps_rag.verifier import usage_of

Finding = ClaimFinding | LinkFinding


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """What of a body may be shown: all of it but the claims in `dropped`; `report` is on ``rendered.text``."""

    body: AnswerBody
    rendered: RenderedMarkdown
    report: Report
    dropped: tuple[LedgerEntry, ...]


def make_answer(
    body: AnswerBody,
    *,
    judge: ClaimJudge,
    ledger: tuple[LedgerEntry, ...],
    usage: Usage,
    prompt_sha256: str | None = None,
    released: str = "",
) -> Answer:
    """Answer whose Markdown passes `judge_text`; claims that were kept to be marked are all that may fail there.

    Raises:
        UntraceableError: as `settle`.
    """
    settled = settle(body, judge, released)
    spent = usage + usage_of(judge.verifier)
    ledger += settled.dropped
    return Answer(body=settled.body, report=settled.report, ledger=ledger, usage=spent, prompt_sha256=prompt_sha256)


def settle(body: AnswerBody, judge: ClaimJudge, released: str = "") -> Settled:
    """`body`, whole or known in part, without the claims that do not pass where they stand; the rest is judged again.

    Args:
        body: what is to be shown.
        judge: judge of the request's claims.
        released: the beginning of its Markdown that a reader has seen already, and that must stay as it is.

    Raises:
        UntraceableError: something fails that can be left out of no answer, or no more; nothing is then shown.
    """
    dropped: tuple[LedgerEntry, ...] = ()
    while True:
        rendered = render_markdown(body)
        report = judge_text(rendered.text, judge)
        faults = _faults(report)
        failed: dict[int, tuple[int, RenderedClaim, Finding]] = {}
        for place, claim in enumerate(rendered.claims):
            if claim.accepted and (found := _first_in(claim, faults)) is not None:
                # Claims without a full stop are read as one sentence: of those that fail together only the last goes.
                failed[found.start] = (place, claim, found)
        is_marked = any(not claim.accepted for claim in rendered.claims)
        if not failed and (not faults or is_marked) and rendered.text.startswith(released):
            return Settled(body=body, rendered=rendered, report=report, dropped=_in_order(dropped, body))
        changed = body
        for place, claim, found in reversed(failed.values()):
            if claim.start >= len(released):
                changed, entries = _without(changed, rendered.claims, place, claim, found)
                dropped = entries + dropped
        if changed == body:
            question = body.passages.request.question
            found = faults[0] if faults else None
            told = f"{found.text!r}: {found.reason}" if found is not None else "what was shown of it has changed"
            raise UntraceableError(f"The answer to {question!r} did not pass: {told}", findings=faults)
        body = changed


def _in_order(dropped: tuple[LedgerEntry, ...], body: AnswerBody) -> tuple[LedgerEntry, ...]:
    slots = [(slot.name, slot.subject) for section in body.sections for slot in section.slots]
    return tuple(sorted(dropped, key=lambda entry: slots.index((entry.slot, entry.subject))))


def _faults(report: Report) -> tuple[Finding, ...]:
    links = tuple(link for link in report.links if link.verdict != "supplied")
    return links + tuple(claim for claim in report.claims if claim.verdict not in ("supported", "not_a_claim"))


def _first_in(claim: RenderedClaim, faults: Iterable[Finding]) -> Finding | None:
    return next((fault for fault in faults if fault.start < claim.end and claim.start < fault.end), None)


def _without(
    body: AnswerBody, claims: Sequence[RenderedClaim], place: int, claim: RenderedClaim, found: Finding
) -> tuple[AnswerBody, tuple[LedgerEntry, ...]]:
    """`body` without the claim at `place` of its rendered `claims`; the same body where it cannot be left out."""
    if claim.kind == "drafted":
        number = sum(other.kind == "drafted" for other in claims[:place])
        return _without_drafted(body, number, found)
    if claim.kind == "unused":
        return _without_reason(body, claim), ()
    if claim.kind == "fit":
        return replace(body, fit=_with_fit_open(body.fit, claim)), ()
    if claim.kind == "absence" and place < _n_lead(body):
        return _without_fit(body, claim), ()
    if claim.kind == "absence":
        number = sum(other.kind == "absence" for other in claims[_n_lead(body) : place])
        return _without_absence(body, number), ()
    return body, ()


def _n_lead(body: AnswerBody) -> int:
    """Number of claims on the fit of models, which stand before all sections."""
    by_id = body.passages.by_id
    return sum(
        1 if not fit.evidence else len({by_id[passage].source_id for passage in fit.evidence})
        for fit in body.fit.models
    )


def _without_drafted(body: AnswerBody, number: int, found: Finding) -> tuple[AnswerBody, tuple[LedgerEntry, ...]]:
    """`body` without its drafted claim `number`, counted from 0 over all slots; an emptied slot says so."""
    sections: list[Section] = []
    entries: tuple[LedgerEntry, ...] = ()
    for section in body.sections:
        slots: list[AnswerSlot] = []
        for slot in section.slots:
            if 0 <= number < len(slot.claims):
                entries = (_dropped(slot, slot.claims[number].text, found),)
                kept = slot.claims[:number] + slot.claims[number + 1 :]
                state = "none_passed" if slot.state == "answered" and not kept else slot.state
                slot = replace(slot, claims=kept, state=state)
                number = -1
            elif number >= 0:
                number -= len(slot.claims)
            slots.append(slot)
        sections.append(replace(section, slots=tuple(slots)))
    return replace(body, sections=tuple(sections)), entries


def _dropped(slot: AnswerSlot, text: str, found: Finding) -> LedgerEntry:
    is_claim = isinstance(found, ClaimFinding)
    return LedgerEntry(
        round=0,
        slot=slot.name,
        subject=slot.subject,
        before=text,
        after=None,
        action="dropped",
        verdict=found.verdict if isinstance(found, ClaimFinding) else "not_found",
        layer=found.layer if isinstance(found, ClaimFinding) else "links",
        reason=f"where it stands in the answer: {found.reason}" if is_claim else found.reason,
    )


def _without_absence(body: AnswerBody, number: int) -> AnswerBody:
    """`body` where the slot that says absence `number` says instead that no statement passed the checks."""
    sections: list[Section] = []
    for section in body.sections:
        slots: list[AnswerSlot] = []
        for slot in section.slots:
            if slot.state == "not_told" and slot.name != "task":
                slot = replace(slot, state="none_passed") if number == 0 else slot
                number -= 1
            slots.append(slot)
        sections.append(replace(section, slots=tuple(slots)))
    return replace(body, sections=tuple(sections))


def _with_fit_open(fit: Fit, claim: RenderedClaim) -> Fit:
    """`fit` where the sources do not tell whether the model that `claim` speaks of fits."""
    models = tuple(
        replace(model, verdict="not_told", evidence=()) if model.source_id == claim.subject else model
        for model in fit.models
    )
    return replace(fit, models=models)


def _without_fit(body: AnswerBody, claim: RenderedClaim) -> AnswerBody:
    """`body` without a judgement on the model's fit; it then says that no statement on it passed."""
    models = tuple(model for model in body.fit.models if model.source_id != claim.subject)
    return replace(body, fit=replace(body.fit, models=models))


def _without_reason(body: AnswerBody, claim: RenderedClaim) -> AnswerBody:
    """`body` where the passage that `claim` quotes is not the closest of its paper."""
    quoted = {(citation.field, citation.start) for citation in claim.citations}
    by_id = body.passages.by_id
    papers = tuple(
        replace(
            paper,
            passage_ids=tuple(p for p in paper.passage_ids if (by_id[p].field, by_id[p].start) not in quoted),
        )
        if paper.source_id == claim.subject
        else paper
        for paper in body.fit.papers
    )
    return replace(body, fit=replace(body.fit, papers=papers))
