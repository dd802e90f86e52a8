"""Events of a stream as plain values for JSON. The typed dictionaries are their documentation.

Each has `event`, its name, and `markdown`, what it adds to the answer. Offsets of claims count in the whole answer.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from typing_extensions import TypedDict

from cnaps_rag.draft import SlotName
from cnaps_rag.pipeline.events import (
    AnswerDone,
    AnswerEvent,
    ClaimAccepted,
    ClaimDropped,
    ClaimMarked,
    ClaimRepaired,
    Progress,
    SectionDone,
    SectionStarted,
    SlotOpen,
    SourceFit,
    Stage,
    UsageTold,
)
from cnaps_rag.render.json import (
    AnswerJson,
    ClaimJson,
    FitJson,
    LedgerEntryJson,
    Offsets,
    render_claim_json,
    render_entry_json,
    render_fit_json,
)
from cnaps_rag.render.markdown import RenderedClaim
from cnaps_rag.render.offsets import Utf16
from cnaps_rag.report import SlotState
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import SourceId


class ProgressJson(TypedDict):
    """A stage that begins, in words."""

    event: Literal["progress"]
    markdown: str
    stage: Stage
    words: str
    seconds: float


class SourceFitJson(TypedDict):
    """Which papers bear on the question, whether each model fits it."""

    event: Literal["source_fit"]
    markdown: str
    fit: FitJson
    claims: list[ClaimJson]


class SectionStartedJson(TypedDict):
    """The heading of one of the three sections."""

    event: Literal["section_started"]
    markdown: str
    number: Literal[1, 2, 3]
    title: str


class ClaimAcceptedJson(TypedDict):
    """A claim that passed; `filled` where it is the sources' own sentence in place of the drafter's."""

    event: Literal["claim_accepted"]
    markdown: str
    slot: SlotName
    subject: SourceId
    filled: bool
    claim: ClaimJson


class ClaimRepairedJson(TypedDict):
    """A claim that passed after it was drafted anew; `entry.before` is its first form."""

    event: Literal["claim_repaired"]
    markdown: str
    slot: SlotName
    subject: SourceId
    claim: ClaimJson
    entry: LedgerEntryJson


class ClaimDroppedJson(TypedDict):
    """A drafted claim that is not shown, and why."""

    event: Literal["claim_dropped"]
    markdown: str
    entry: LedgerEntryJson


class ClaimMarkedJson(TypedDict):
    """A claim that did not pass and is shown as such."""

    event: Literal["claim_marked"]
    markdown: str
    slot: SlotName
    subject: SourceId
    claim: ClaimJson
    entry: LedgerEntryJson


class SlotOpenJson(TypedDict):
    """A slot that its claims do not fill."""

    event: Literal["slot_open"]
    markdown: str
    slot: SlotName
    subject: SourceId
    state: SlotState
    claim: ClaimJson | None


class SectionDoneJson(TypedDict):
    """The end of a section, with the claims of its closing lines."""

    event: Literal["section_done"]
    markdown: str
    number: Literal[1, 2, 3]
    claims: list[ClaimJson]


class UsageJson(TypedDict):
    """What the LLM calls cost."""

    event: Literal["usage"]
    markdown: str
    usage: dict[str, Any]


class AnswerDoneJson(TypedDict):
    """The whole answer."""

    event: Literal["answer_done"]
    markdown: str
    answer: AnswerJson


EventJson = (
    ProgressJson
    | SourceFitJson
    | SectionStartedJson
    | ClaimAcceptedJson
    | ClaimRepairedJson
    | ClaimDroppedJson
    | ClaimMarkedJson
    | SlotOpenJson
    | SectionDoneJson
    | UsageJson
    | AnswerDoneJson
)


class EventsJson:
    """Plain values of the events of one stream, which are to be given in their order."""

    def __init__(self, request: AnswerRequest) -> None:
        self._offsets = Offsets(request)
        self._markdown = ""

    def render(self, event: AnswerEvent) -> EventJson:
        """Plain values of the next event, ready for ``json.dumps``."""
        self._markdown += event.markdown
        match event:
            case Progress():
                return ProgressJson(
                    event="progress", markdown="", stage=event.stage, words=event.words, seconds=event.seconds
                )
            case SectionStarted():
                return SectionStartedJson(
                    event="section_started", markdown=event.markdown, number=event.number, title=event.title
                )
            case ClaimDropped():
                return ClaimDroppedJson(event="claim_dropped", markdown="", entry=render_entry_json(event.entry))
            case UsageTold():
                return UsageJson(event="usage", markdown="", usage=asdict(event.usage))
            case AnswerDone():
                return AnswerDoneJson(event="answer_done", markdown=event.markdown, answer=event.answer.to_json())
            case _:
                return self._with_claims(event)

    def _with_claims(
        self, event: SourceFit | SectionDone | SlotOpen | ClaimAccepted | ClaimRepaired | ClaimMarked
    ) -> EventJson:
        units = Utf16(self._markdown)

        def claim_json(claim: RenderedClaim) -> ClaimJson:
            return render_claim_json(claim, units, self._offsets)

        match event:
            case SourceFit():
                claims = [claim_json(claim) for claim in event.claims]
                return SourceFitJson(
                    event="source_fit", markdown=event.markdown, fit=render_fit_json(event.fit), claims=claims
                )
            case SectionDone():
                claims = [claim_json(claim) for claim in event.claims]
                return SectionDoneJson(
                    event="section_done", markdown=event.markdown, number=event.number, claims=claims
                )
            case SlotOpen():
                return SlotOpenJson(
                    event="slot_open",
                    markdown=event.markdown,
                    slot=event.slot,
                    subject=event.subject,
                    state=event.state,
                    claim=None if event.claim is None else claim_json(event.claim),
                )
            case ClaimAccepted():
                return ClaimAcceptedJson(
                    event="claim_accepted",
                    markdown=event.markdown,
                    slot=event.slot,
                    subject=event.subject,
                    filled=event.filled,
                    claim=claim_json(event.claim),
                )
            case ClaimRepaired():
                return ClaimRepairedJson(
                    event="claim_repaired",
                    markdown=event.markdown,
                    slot=event.slot,
                    subject=event.subject,
                    claim=claim_json(event.claim),
                    entry=render_entry_json(event.entry),
                )
            case ClaimMarked():
                return ClaimMarkedJson(
                    event="claim_marked",
                    markdown=event.markdown,
                    slot=event.slot,
                    subject=event.subject,
                    claim=claim_json(event.claim),
                    entry=render_entry_json(event.entry),
                )
