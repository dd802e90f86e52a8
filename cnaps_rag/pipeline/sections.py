"""What each slot of an answer shows, and why, where nothing of the draft passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cnaps_rag.draft import MODEL_SLOTS, Brief, SlotName, plan_form
from cnaps_rag.pipeline.repair import JudgedClaim, JudgedSlot, ledger_entry
from cnaps_rag.report import AnswerClaim, AnswerSlot, LedgerAction, LedgerEntry
from cnaps_rag.sources import QUESTION_ID, SourceId

SlotKey = tuple[SlotName, SourceId]

SECTION_TITLES = {1: "Task", 2: "Workflow: input → model → output", 3: "Papers and tools"}


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotSources:
    """What an emptied slot may be closed with.

    Attributes:
        own_words: judged slots drafted from the sources' own sentences, by slot; asked for only where one is needed.
        is_absent: True where the absence check over all supplied passages passes for a slot of a model or paper.
        marks: whether rejected claims stay, marked, instead of being dropped.
    """

    own_words: Callable[[], dict[SlotKey, JudgedSlot]]
    is_absent: Callable[[SlotKey], bool]
    marks: bool


def slot_keys(brief: Brief) -> tuple[SlotKey, ...]:
    """Every slot an answer to this request has, in order, whether or not a prompt had room for its passages."""
    return tuple((slot.name, slot.subject) for slot in plan_form(brief, brief.passages.by_id))


def close_slot(
    key: SlotKey, judged: JudgedSlot | None, closing: SlotSources, said: set[str]
) -> tuple[AnswerSlot, list[LedgerEntry]]:
    """One slot as the answer shows it; `said` are the claims of earlier slots, which are not said again."""
    drafted = judged.claims if judged is not None else ()
    passed = tuple(claim for claim in drafted if is_shown(claim) and claim.claim.text not in said)
    ledger = _left_out(judged, said, marks=closing.marks)
    marked = tuple(claim for claim in drafted if not claim.accepted) if closing.marks else ()
    if tells(key, passed) or marked:
        return _answered(key, tuple(claim for claim in drafted if claim in passed or claim in marked)), ledger
    if judged is not None and judged.slot.ended:
        return AnswerSlot(name=key[0], subject=key[1], state="ended", claims=shown_claims(passed)), ledger
    own = closing.own_words().get(key)
    own_passed = tuple(claim for claim in own.claims if is_shown(claim)) if own is not None else ()
    if key[0] != "task" and closing.is_absent(key):
        start = passed or tuple(claim for claim in own_passed if claim.claim.text not in said)
        return AnswerSlot(name=key[0], subject=key[1], state="not_told", claims=shown_claims(start)), ledger
    if own is None or not tells(key, own_passed):
        return AnswerSlot(name=key[0], subject=key[1], state="none_passed", claims=shown_claims(passed)), ledger
    if own is not judged:
        ledger += [ledger_entry(own.slot, claim, "filled", before="") for claim in own_passed]
    return _answered(key, own_passed), ledger


def is_shown(claim: JudgedClaim) -> bool:
    """Accepted statements; what is absent is said by the slot's own state, once and in fixed words."""
    return claim.accepted and claim.judgement.layer != "absence"


def tells(key: SlotKey, claims: tuple[JudgedClaim, ...]) -> bool:
    """True when the claims say something of the slot's subject: for a model, more than what the user asks or has."""
    if key[0] not in MODEL_SLOTS:
        return bool(claims)
    return any(citation.source_id != QUESTION_ID for claim in claims for citation in claim.judgement.evidence)


def _answered(key: SlotKey, claims: tuple[JudgedClaim, ...]) -> AnswerSlot:
    return AnswerSlot(name=key[0], subject=key[1], state="answered", claims=shown_claims(claims))


def shown_claims(claims: tuple[JudgedClaim, ...]) -> tuple[AnswerClaim, ...]:
    """Claims as the answer shows them."""
    return tuple(
        AnswerClaim(
            text=claim.claim.text,
            citations=claim.judgement.evidence,
            accepted=claim.accepted,
            reason="" if claim.accepted else claim.judgement.reason,
        )
        for claim in claims
    )


def _left_out(judged: JudgedSlot | None, said: set[str], *, marks: bool) -> list[LedgerEntry]:
    """Entries for the drafted claims that the slot does not show as statements."""
    entries: list[LedgerEntry] = []
    for claim in judged.claims if judged is not None else ():
        if judged is not None and (not claim.accepted or claim.claim.text in said):
            action: LedgerAction = "marked" if marks and not claim.accepted else "dropped"
            entry = ledger_entry(judged.slot, claim, action, before=claim.claim.text)
            entries.append(replace(entry, reason="an earlier slot says it already") if claim.accepted else entry)
    return entries
