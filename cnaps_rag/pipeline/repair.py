"""Rejected claims alone go back to the LLM, with reasons, within a budget; accepted claims stay byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from cnaps_rag.draft import Brief, Claim, Draft, Slot, SlotName
from cnaps_rag.errors import RequestError, ServiceError
from cnaps_rag.extractive import frame_copies
from cnaps_rag.llm import Reply, Usage
from cnaps_rag.pipeline.calls import LLMCall, ask
from cnaps_rag.prompt import Prompt, RejectedClaim, build_repair_prompt
from cnaps_rag.render.phrases import REPAIR_GIVEN_UP
from cnaps_rag.report import LedgerAction, LedgerEntry
from cnaps_rag.settings import Settings
from cnaps_rag.sources import SourceId
from cnaps_rag.validation import Judgement

JudgeDraft = Callable[[Draft], tuple[tuple[Judgement, ...], ...]]
"""Draft → judgements, one tuple a slot in the draft's order, one judgement a claim in the slot's order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedClaim:
    """A drafted claim, what the judge decided on it, and the round of drafting it comes from."""

    claim: Claim
    judgement: Judgement
    round: int = 0

    @property
    def accepted(self) -> bool:
        """True when the claim may reach the user as a statement."""
        return self.judgement.verdict == "supported"


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedSlot:
    """A slot of the draft with its claims judged."""

    slot: Slot
    claims: tuple[JudgedClaim, ...]

    @property
    def rejected(self) -> tuple[JudgedClaim, ...]:
        """Claims that did not pass, in order."""
        return tuple(claim for claim in self.claims if not claim.accepted)


@dataclass(frozen=True, kw_only=True, slots=True)
class Repaired:
    """All slots after repair, what it cost, and how each claim got there."""

    slots: tuple[JudgedSlot, ...]
    usage: Usage
    ledger: tuple[LedgerEntry, ...]
    notes: tuple[str, ...] = ()


Repairing = Generator[LLMCall, Reply | None, Repaired]
OnRound = Callable[[tuple[JudgedSlot, ...], Sequence[LedgerEntry]], None]
"""Takes the slots after a round of repair, and what it changed."""


def judge_slots(draft: Draft, brief: Brief, judge_draft: JudgeDraft) -> tuple[JudgedSlot, ...]:
    """Slots of `draft` with a judgement for each claim; a claim said twice in one slot is judged once and kept once."""
    framed = frame_copies(draft, brief)
    slots = tuple(replace(slot, claims=_distinct(slot.claims)) for slot in framed.slots)
    judgements = judge_draft(replace(framed, slots=slots))
    return tuple(
        JudgedSlot(
            slot=slot,
            claims=tuple(
                JudgedClaim(claim=claim, judgement=judgement)
                for claim, judgement in zip(slot.claims, judged, strict=True)
            ),
        )
        for slot, judged in zip(slots, judgements, strict=True)
    )


def remembered(judge_draft: JudgeDraft) -> JudgeDraft:
    """`judge_draft`, but no claim of a slot is judged twice: a draft is judged as it grows while it arrives."""
    known: dict[tuple[SlotName, SourceId, Claim], Judgement] = {}

    def judge(draft: Draft) -> tuple[tuple[Judgement, ...], ...]:
        fresh = tuple(
            replace(slot, claims=tuple(claim for claim in slot.claims if (*_place(slot), claim) not in known))
            for slot in draft.slots
        )
        for slot, judged in zip(fresh, judge_draft(replace(draft, slots=fresh)), strict=True):
            known.update(
                ((*_place(slot), claim), judgement) for claim, judgement in zip(slot.claims, judged, strict=True)
            )
        return tuple(tuple(known[(*_place(slot), claim)] for claim in slot.claims) for slot in draft.slots)

    return judge


def _place(slot: Slot) -> tuple[SlotName, SourceId]:
    return slot.name, slot.subject


def repair(
    slots: tuple[JudgedSlot, ...], brief: Brief, judge_draft: JudgeDraft, settings: Settings, on_round: OnRound
) -> Repairing:
    """Asks again for what was rejected until all passes or the budget of calls, tokens or seconds is spent.

    A failing LLM ends the repair, never the answer: what was accepted by then stays, and a note says so.
    """
    ledger = list(draft_ledger(slots))
    usage, notes = Usage(), list[str]()
    for repair_round in range(1, settings.repair_limit_calls + 1):
        rejected = [(slot, claim) for slot in slots for claim in slot.rejected]
        prompt = _affordable_prompt(brief, rejected, settings, usage)
        # The LLM's own seconds, not the wall clock's: what is recorded is then decided again in the same way.
        seconds_left = settings.repair_limit_s - usage.seconds
        if prompt is None or seconds_left <= 0:
            break
        deadline_s = min(seconds_left, settings.llm_timeout_s)
        try:
            drawn = yield from ask(prompt, deadline_s=deadline_s, llm=settings.llm or "")
        except ServiceError as error:
            usage += error.usage or Usage()
            notes.append(f"{REPAIR_GIVEN_UP}: {error}")
            break
        usage += drawn.usage
        repaired = _with_repairs(slots, judge_slots(drawn.draft, brief, judge_draft), repair_round)
        changes = _changes(slots, repaired, drawn.usage, n_sent=len(rejected))
        ledger += changes
        says_the_same = _texts(repaired) == _texts(slots)
        slots = repaired  # also where only the evidence is new: that may be what was wrong
        on_round(slots, changes)
        if says_the_same:
            break
    return Repaired(slots=slots, usage=usage, ledger=tuple(ledger), notes=tuple(notes))


def _affordable_prompt(
    brief: Brief, rejected: Sequence[tuple[JudgedSlot, JudgedClaim]], settings: Settings, spent: Usage
) -> Prompt | None:
    """The next prompt, or None where there is nothing to repair or no budget for it."""
    if not rejected:
        return None
    told = [
        RejectedClaim(
            name=slot.slot.name, subject=slot.slot.subject, text=claim.claim.text, reason=claim.judgement.reason
        )
        for slot, claim in rejected
    ]
    try:
        prompt = build_repair_prompt(brief, told, settings)
    except RequestError:  # with what was rejected the prompt outgrows its limit
        return None
    spent_tokens = spent.prompt_tokens + spent.completion_tokens
    return prompt if spent_tokens + prompt.n_tokens <= settings.repair_limit_tokens else None


def _with_repairs(
    slots: tuple[JudgedSlot, ...], redrafted: tuple[JudgedSlot, ...], repair_round: int
) -> tuple[JudgedSlot, ...]:
    """Slots where rejected claims gave way, in order, to the redraft's accepted claims; nothing else is touched."""
    redrafted_by_key = {(slot.slot.name, slot.slot.subject): slot for slot in redrafted}
    return tuple(
        _with_slot_repaired(slot, redrafted_by_key.get((slot.slot.name, slot.slot.subject)), repair_round)
        for slot in slots
    )


def _with_slot_repaired(slot: JudgedSlot, redrafted: JudgedSlot | None, repair_round: int) -> JudgedSlot:
    if redrafted is None:
        return slot
    kept_texts = {claim.claim.text for claim in slot.claims if claim.accepted}
    candidates = iter(
        sorted(
            (claim for claim in redrafted.claims if claim.claim.text not in kept_texts),
            key=lambda claim: not claim.accepted,
        )
    )
    claims: list[JudgedClaim] = []
    for claim in slot.claims:
        better = None if claim.accepted else next(candidates, None)
        claims.append(claim if better is None else replace(better, round=repair_round))
    return replace(slot, claims=tuple(claims))


def _texts(slots: tuple[JudgedSlot, ...]) -> list[str]:
    return [claim.claim.text for slot in slots for claim in slot.claims]


def _distinct(claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
    first_by_text: dict[str, Claim] = {}
    for claim in claims:
        first_by_text.setdefault(claim.text, claim)
    return tuple(first_by_text.values())


def _changes(
    before: tuple[JudgedSlot, ...], after: tuple[JudgedSlot, ...], usage: Usage, *, n_sent: int
) -> list[LedgerEntry]:
    """One entry for each claim that was drafted anew; the round's cost is shared equally among all sent back."""
    tokens, seconds = (usage.prompt_tokens + usage.completion_tokens) // n_sent, usage.seconds / n_sent
    return [
        replace(
            ledger_entry(new_slot.slot, new, "repaired" if new.accepted else "rejected", before=old.claim.text),
            tokens=tokens,
            seconds=seconds,
        )
        for old_slot, new_slot in zip(before, after, strict=True)
        for old, new in zip(old_slot.claims, new_slot.claims, strict=True)
        if new is not old
    ]


def draft_ledger(slots: tuple[JudgedSlot, ...]) -> tuple[LedgerEntry, ...]:
    """Round 0: what became of each claim of the first draft."""
    return tuple(
        ledger_entry(slot.slot, claim, "accepted" if claim.accepted else "rejected", before=claim.claim.text)
        for slot in slots
        for claim in slot.claims
    )


def ledger_entry(slot: Slot, claim: JudgedClaim, action: LedgerAction, *, before: str) -> LedgerEntry:
    """What became of `claim` in the round it was last drafted in; nothing stands after a claim that is not shown."""
    return LedgerEntry(
        round=claim.round,
        slot=slot.name,
        subject=slot.subject,
        before=before,
        after=None if action in ("rejected", "dropped") else claim.claim.text,
        action=action,
        verdict=claim.judgement.verdict,
        layer=claim.judgement.layer,
        reason=claim.judgement.reason,
    )
