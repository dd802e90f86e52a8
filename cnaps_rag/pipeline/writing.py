"""From judged slots to the answer, in its order: each slot closed as soon as nothing can change it any more.

Where somebody listens, what stands is told at once and never changes from then on; else all of it is settled at the
end, in one go. Both make the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import takewhile
from typing import Literal, TypedDict

from cnaps_rag.answer import Answer
from cnaps_rag.draft import MODEL_SLOTS, Brief, SlotName
from cnaps_rag.llm import Usage
from cnaps_rag.pipeline.events import (
    AnswerDone,
    AnswerEvent,
    ClaimAccepted,
    ClaimDropped,
    ClaimMarked,
    ClaimRepaired,
    SectionDone,
    SectionStarted,
    SlotOpen,
    SourceFit,
    UsageTold,
)
from cnaps_rag.pipeline.release import Part, ReleasedBody
from cnaps_rag.pipeline.repair import JudgedSlot
from cnaps_rag.pipeline.sections import (
    SECTION_TITLES,
    SlotKey,
    SlotSources,
    close_slot,
    is_shown,
    shown_claims,
    slot_keys,
    tells,
)
from cnaps_rag.render import phrases
from cnaps_rag.render.layout import AnswerBody
from cnaps_rag.render.markdown import RenderedClaim
from cnaps_rag.report import AnswerClaim, AnswerSlot, LedgerEntry, Section
from cnaps_rag.sources import SourceId
from cnaps_rag.validation import ClaimJudge, make_answer

Emit = Callable[[AnswerEvent], None]
SectionNumber = Literal[1, 2, 3]

_NUMBERS: tuple[SectionNumber, ...] = (1, 2, 3)

_MARKS = re.compile(rf"(?:\[\^\d+\])*(?: \*\*\[{re.escape(phrases.NOT_TRACEABLE)}\]\*\*)?")
"""What may stand right behind a claim: its footnote marks, and that it is not traceable."""


class _Told(TypedDict):
    """What each event of a claim tells."""

    slot: SlotName
    subject: SourceId
    claim: RenderedClaim
    markdown: str


class AnswerWriter:
    """Writes one answer."""

    def __init__(self, brief: Brief, closing: SlotSources, judge: ClaimJudge, emit: Emit | None) -> None:
        """Nobody listens where `emit` is None."""
        self._closing = closing
        self._judge = judge
        self._emit = emit
        self._keys = slot_keys(brief)
        self._n_closed = self._n_claims_told = 0
        self._said: set[str] = set()
        self._repairs: dict[tuple[SlotKey, str], LedgerEntry] = {}
        self._ledger: list[LedgerEntry] = []
        body = AnswerBody(passages=brief.passages, sections=(), fit=brief.fit, drafter="", known_to="section")
        self._standing = ReleasedBody(body, judge)

    @property
    def _body(self) -> AnswerBody:
        return self._standing.body

    def begin(self) -> None:
        """Tells the lead and the first heading."""
        part = self._grow(self._body)
        self._tell(SourceFit(fit=self._body.fit, claims=part.claims, markdown=part.added))
        self._start_section(1)

    def note_repairs(self, entries: Iterable[LedgerEntry]) -> None:
        """Takes what a round of repair changed, to be told with the claims."""
        for entry in entries:
            if entry.action == "repaired" and entry.after is not None:
                self._repairs[(entry.slot, entry.subject), entry.after] = entry

    def advance(self, slots: tuple[JudgedSlot, ...], *, is_drafted: bool, may_repair: bool) -> None:
        """Writes on as far as `slots` are settled: whole, and without a claim that may still be repaired."""
        judged_by_key: dict[SlotKey, JudgedSlot] = {(slot.slot.name, slot.slot.subject): slot for slot in slots}
        while self._n_closed < len(self._keys):
            key = self._keys[self._n_closed]
            judged = judged_by_key.get(key)
            self._enter(_section_of(key))
            if judged is not None and ((judged.slot.ended and not is_drafted) or (judged.rejected and may_repair)):
                self._begin_slot(key, judged)
                return
            self._close_slot(key, judged)
        self._enter(3)

    def finish(
        self,
        *,
        drafter: str,
        notes: tuple[str, ...],
        ledger: tuple[LedgerEntry, ...],
        usage: Usage,
        prompt_sha256: str | None,
    ) -> Answer:
        """The answer, when all slots are written; `ledger` is what became of its claims before that.

        Raises:
            UntraceableError: it does not pass as a whole.
        """
        self._end_section()
        released = self._standing.markdown
        answer = make_answer(
            replace(self._body, drafter=drafter, notes=notes, known_to="whole"),
            judge=self._judge,
            ledger=(*ledger, *self._ledger, *self._standing.dropped),
            usage=usage,
            prompt_sha256=prompt_sha256,
            released=released,
        )
        self._tell(UsageTold(usage=answer.usage))
        if self._emit is not None:
            self._emit(AnswerDone(answer=answer, markdown=answer.markdown[len(released) :]))
        return answer

    # Sections

    def _enter(self, number: SectionNumber) -> None:
        """Starts sections up to `number`, ending those before it."""
        while (n_started := len(self._body.sections)) < number:
            if n_started:
                self._end_section()
            self._start_section(_NUMBERS[n_started])

    def _start_section(self, number: SectionNumber) -> None:
        section = Section(number=number, title=SECTION_TITLES[number], slots=())
        part = self._grow_last(replace(self._body, sections=(*self._body.sections, section), known_to="slot"))
        self._tell(SectionStarted(number=number, title=section.title, markdown=part.added))

    def _end_section(self) -> None:
        part = self._grow(replace(self._body, known_to="section"))
        self._tell(SectionDone(number=self._body.sections[-1].number, claims=part.claims, markdown=part.added))

    # Slots

    def _begin_slot(self, key: SlotKey, judged: JudgedSlot) -> None:
        """Tells the claims that stand whatever becomes of those after them."""
        sure = takewhile(lambda claim: claim.accepted, judged.claims)
        passed = tuple(claim for claim in sure if is_shown(claim) and claim.claim.text not in self._said)
        # Of a slot that tells nothing of its subject yet, the answer may show something else in the end.
        if self._emit is None or not tells(key, passed):
            return
        begun = AnswerSlot(name=key[0], subject=key[1], state="answered", claims=shown_claims(passed))
        slot = self._without_dropped(begun)
        while len(slot.claims) > self._n_claims_told:
            part = self._standing.grow_last(self._with(slot), only_whole=True)
            self._tell_dropped(part.dropped)
            if not part.dropped:
                self._tell_claims(slot, part, judged, ())
                return
            slot = self._without_dropped(slot)

    def _close_slot(self, key: SlotKey, judged: JudgedSlot | None) -> None:
        slot, entries = close_slot(key, judged, self._closing, self._said)
        self._said.update(claim.text for claim in slot.claims)
        self._ledger += entries
        self._tell_dropped(entries)
        part = self._grow_last(self._with(self._without_dropped(slot)))
        self._tell_dropped(part.dropped)
        kept = self._body.sections[-1].slots[-1]
        if self._emit is not None:
            self._tell_claims(kept, part, judged, tuple(entries))
            self._tell_open(kept, part)
        self._n_closed += 1
        self._n_claims_told = 0

    def _without_dropped(self, slot: AnswerSlot) -> AnswerSlot:
        """`slot` without the claims that were found not to pass where they would stand."""
        dropped = {entry.before for entry in self._standing.dropped if (entry.slot, entry.subject) == _key_of(slot)}
        claims = tuple(claim for claim in slot.claims if claim.text not in dropped)
        is_emptied = slot.state == "answered" and bool(slot.claims) and not claims
        return replace(slot, claims=claims, state="none_passed" if is_emptied else slot.state)

    def _with(self, slot: AnswerSlot) -> AnswerBody:
        """The body with `slot` at its end, in place of what was told of it before."""
        *before, last = self._body.sections
        others = last.slots[:-1] if last.slots and _key_of(last.slots[-1]) == _key_of(slot) else last.slots
        return replace(self._body, sections=(*before, replace(last, slots=(*others, slot))), known_to="slot")

    # Telling

    def _grow(self, body: AnswerBody) -> Part:
        return self._standing.grow(body) if self._emit is not None else self._kept(body)

    def _grow_last(self, body: AnswerBody) -> Part:
        return self._standing.grow_last(body) if self._emit is not None else self._kept(body)

    def _kept(self, body: AnswerBody) -> Part:
        """Nothing to tell: where nobody listens, all is settled at the end."""
        self._standing.body = body
        return Part(markdown="", start=0, claims=())

    def _tell(self, event: AnswerEvent) -> None:
        if self._emit is not None:
            self._emit(event)

    def _tell_dropped(self, entries: Iterable[LedgerEntry]) -> None:
        for entry in entries:
            if entry.action == "dropped":
                self._tell(ClaimDropped(entry=entry))

    def _tell_claims(
        self, slot: AnswerSlot, part: Part, judged: JudgedSlot | None, entries: tuple[LedgerEntry, ...]
    ) -> None:
        """One event for each drafted claim of `part`, the last ones of `slot`."""
        drafted = {claim.claim.text for claim in judged.claims} if judged is not None else set[str]()
        filled = {entry.after for entry in entries if entry.action == "filled"}
        for claim, event_markdown, rendered in _placed(slot.claims[self._n_claims_told :], part):
            told = _Told(slot=slot.name, subject=slot.subject, claim=rendered, markdown=event_markdown)
            repair = self._repairs.get((_key_of(slot), claim.text))
            if not claim.accepted:
                entry = next(entry for entry in entries if entry.action == "marked" and entry.before == claim.text)
                self._tell(ClaimMarked(**told, entry=entry))
            elif repair is not None:
                self._tell(ClaimRepaired(**told, entry=repair))
            else:
                is_filled = claim.text in filled or claim.text not in drafted
                self._tell(ClaimAccepted(**told, filled=is_filled))
        self._n_claims_told = len(slot.claims)

    def _tell_open(self, slot: AnswerSlot, part: Part) -> None:
        """What the answer says of a slot that its claims do not fill."""
        drafted_end = max(
            (_end_with_marks(part, c.end) for c in part.claims if c.kind == "drafted"), default=part.start
        )
        rest = part.markdown[drafted_end:]
        if rest or slot.state != "answered":
            claim = next((claim for claim in part.claims if claim.kind != "drafted"), None)
            self._tell(SlotOpen(slot=slot.name, subject=slot.subject, state=slot.state, claim=claim, markdown=rest))


def _placed(claims: Iterable[AnswerClaim], part: Part) -> Iterator[tuple[AnswerClaim, str, RenderedClaim]]:
    """Each drafted claim with the Markdown that it adds, marks and all, and as it stands there."""
    start = part.start
    for claim, rendered in zip(claims, (c for c in part.claims if c.kind == "drafted"), strict=True):
        end = _end_with_marks(part, rendered.end)
        yield claim, part.markdown[start:end], rendered
        start = end


def _end_with_marks(part: Part, end: int) -> int:
    marks = _MARKS.match(part.markdown, end)
    return end if marks is None else marks.end()


def _key_of(slot: AnswerSlot) -> SlotKey:
    return slot.name, slot.subject


def _section_of(key: SlotKey) -> SectionNumber:
    return 2 if key[0] in MODEL_SLOTS else 1 if key[0] == "task" else 3
