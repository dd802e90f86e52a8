"""What a stream tells while an answer is made: one type an event, each with the Markdown that it adds to the answer.

Within one run the `markdown` of all events, joined in order, equals ``answer.markdown`` of the last one, `AnswerDone`.
Whatever stands there has passed the checks; a claim that did not is told by `ClaimDropped`, whose `markdown` is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cnaps_rag.answer import Answer
from cnaps_rag.draft import SlotName
from cnaps_rag.fit import Fit
from cnaps_rag.llm import Usage
from cnaps_rag.render.markdown import RenderedClaim
from cnaps_rag.report import LedgerEntry, SlotState
from cnaps_rag.sources import SourceId

Stage = Literal["index", "draft", "check", "repair", "close"]
"""Stages of one answer, in order; ``repair`` only where something was rejected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """A stage that begins, in words: "waiting for gpt-4o", "repairing what was rejected".

    `seconds` are those since the stream began: what a thread has done in one go is told together, and later.
    """

    stage: Stage
    words: str
    seconds: float
    markdown: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFit:
    """Which papers bear on the question and whether each model fits it; its Markdown is the answer's lead."""

    fit: Fit
    claims: tuple[RenderedClaim, ...]
    markdown: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionStarted:
    """The heading of one of the three sections."""

    number: Literal[1, 2, 3]
    title: str
    markdown: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimAccepted:
    """A claim that passed. `filled`: the drafter told nothing that did, and this is the sources' own sentence."""

    slot: SlotName
    subject: SourceId
    claim: RenderedClaim
    filled: bool
    markdown: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimRepaired:
    """A claim that passed after it was drafted anew; `entry` tells its form before, and why it passes now."""

    slot: SlotName
    subject: SourceId
    claim: RenderedClaim
    entry: LedgerEntry
    markdown: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimDropped:
    """A drafted claim that is not shown, and why: it did not pass, or was said before. It adds nothing."""

    entry: LedgerEntry
    markdown: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimMarked:
    """A claim that did not pass and is shown as such, because ``on_untraceable`` is ``mark``."""

    slot: SlotName
    subject: SourceId
    claim: RenderedClaim
    entry: LedgerEntry
    markdown: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotOpen:
    """A slot that its claims do not fill, and what the answer says of it; `claim` is the absence, where it is one."""

    slot: SlotName
    subject: SourceId
    state: SlotState
    claim: RenderedClaim | None
    markdown: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionDone:
    """The end of a section; `claims` are those of its closing lines: why papers were not used."""

    number: Literal[1, 2, 3]
    claims: tuple[RenderedClaim, ...]
    markdown: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageTold:
    """What the LLM calls cost, all together."""

    usage: Usage
    markdown: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerDone:
    """The whole answer, validated as a whole; its Markdown is the closing lines and the footnotes."""

    answer: Answer
    markdown: str


AnswerEvent = (
    Progress
    | SourceFit
    | SectionStarted
    | ClaimAccepted
    | ClaimRepaired
    | ClaimDropped
    | ClaimMarked
    | SlotOpen
    | SectionDone
    | UsageTold
    | AnswerDone
)
"""Order in a stream: `SourceFit`; for each section `SectionStarted`, its claims and open slots in their order in the
answer, `SectionDone`; then `UsageTold` and `AnswerDone`. `Progress` and `ClaimDropped` may come anywhere between."""
