"""The whole way of one request: passages, index, fit, draft, validation, repair, answer.

Read in this order: `events` and `events_json` (what a stream tells), `calls` (what is asked of an LLM), `repair`,
`sections` (what a slot shows), `release` and `writing` (the answer as it grows), `driving`, and then `Answerer` here.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial

from cnaps_rag.answer import Answer
from cnaps_rag.draft import Brief, Draft
from cnaps_rag.errors import ServiceError, UntraceableError
from cnaps_rag.extractive import ExtractiveDrafter
from cnaps_rag.fit import assess_fit
from cnaps_rag.index import PassageIndex
from cnaps_rag.llm import LLM, Reply, Streams, Usage
from cnaps_rag.pipeline.calls import LLMCall, ask
from cnaps_rag.pipeline.driving import Steps, arun_steps, astream_steps, run_steps, stream_in_thread
from cnaps_rag.pipeline.events import AnswerEvent, Progress, Stage
from cnaps_rag.pipeline.repair import JudgeDraft, JudgedSlot, Repaired, draft_ledger, judge_slots, remembered, repair
from cnaps_rag.pipeline.sections import SlotKey, SlotSources
from cnaps_rag.pipeline.writing import AnswerWriter, Emit
from cnaps_rag.prompt import Prompt, build_prompt
from cnaps_rag.render.phrases import BROKEN_OFF, LEFT_OUT, LLM_FAILED, not_told
from cnaps_rag.render.shown import shown_title
from cnaps_rag.report import LedgerEntry
from cnaps_rag.request import AnswerRequest
from cnaps_rag.settings import Settings
from cnaps_rag.validation import ClaimJudge, judge_draft, load_index, load_judge
from cnaps_rag.verifier import Verifier

__all__ = ["Answerer"]

TellStage = Callable[[Stage, str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Drafted:
    """A first draft, what it cost, and what the answer should say of its making."""

    draft: Draft
    usage: Usage
    prompt_sha256: str | None = None
    notes: tuple[str, ...] = ()


class _OwnWords:
    """What an emptied slot of one answer may be closed with: the sources' own sentences, or that they do not tell."""

    def __init__(self, brief: Brief, judge: ClaimJudge, judge_all: JudgeDraft) -> None:
        self._brief = brief
        self._judge = judge
        self._judge_all = judge_all
        self._slots: tuple[JudgedSlot, ...] | None = None

    def take(self, slots: tuple[JudgedSlot, ...]) -> None:
        """Takes slots that were drafted from the sources' own sentences already."""
        self._slots = slots

    def by_key(self) -> dict[SlotKey, JudgedSlot]:
        """Judged slots drafted from the sources' own sentences; made when first asked for."""
        if self._slots is None:
            self._slots = judge_slots(ExtractiveDrafter().draft(self._brief), self._brief, self._judge_all)
        return {(slot.slot.name, slot.slot.subject): slot for slot in self._slots}

    def is_absent(self, key: SlotKey) -> bool:
        """True where the absence check over all supplied passages passes for a slot of a model or paper."""
        request = self._brief.request
        if key[0] == "paper":
            return not any(request.source(twin).text for twin in request.twins(key[1]))
        phrase = not_told(key[0], shown_title(key[1], request))
        return self._judge.judge(phrase, subject=key[1], cited=None).verdict == "supported"


class _EarlyJudging:
    """Judges a draft while it arrives; a failure of the judge is held back, or it would pass for one of the LLM."""

    def __init__(self, take: Callable[[Draft], None]) -> None:
        self._take = take
        self._failure: ServiceError | None = None

    def on_part(self, draft: Draft) -> None:
        """Takes what is whole of the draft, until the judge fails."""
        try:
            if self._failure is None:
                self._take(draft)
        except ServiceError as error:
            self._failure = error

    def raise_failure(self) -> None:
        """To be called when drafting is over.

        Raises:
            ServiceError: the judge failed.
        """
        if self._failure is not None:
            raise self._failure


class Answerer:
    """Answers requests by one group of settings. Thread-safe; the models it needs are loaded once per process.

    Example:
        >>> answer = Answerer(Settings()).answer(AnswerRequest.from_prompt(text))
        >>> print(answer.markdown)
    """

    def __init__(
        self, settings: Settings | None = None, *, verifier: Verifier | None = None, llm: Streams | None = None
    ) -> None:
        """Loads nothing yet; `verifier` and `llm` stand in for those that the settings name."""
        self.settings = settings if settings is not None else Settings()
        self._verifier = verifier
        self._llm = llm if llm is not None else LLM(self.settings)

    def answer(self, request: AnswerRequest, *, progress: Callable[[str], None] | None = None) -> Answer:
        """Validated answer to `request`; `progress` is told, in words, what begins.

        Raises:
            RequestError: the request does not fit the settings' limits or the prompt's budget.
            ServiceError: the LLM failed, and `on_llm_failure` is ``raise``.
            UntraceableError: `on_untraceable` is ``raise`` and a claim did not pass.
        """
        return run_steps(self._steps(request, _in_words(progress)), self._llm)

    async def aanswer(self, request: AnswerRequest, *, progress: Callable[[str], None] | None = None) -> Answer:
        """`answer` for asyncio: awaits the LLM, and does its own work in a thread."""
        return await arun_steps(self._steps(request, _in_words(progress)), self._llm)

    def stream(self, request: AnswerRequest) -> Generator[AnswerEvent, None, None]:
        """Events of one answer as it is made: each claim as soon as it has passed, last the whole answer.

        Closing the generator ends the LLM's call.

        Example:
            >>> for event in Answerer(settings).stream(request):
            ...     print(event.markdown, end="", flush=True)

        Raises:
            RequestError, ServiceError, UntraceableError: as `answer`; what was told before has passed all the same.
        """
        return stream_in_thread(self.astream(request))

    def astream(self, request: AnswerRequest) -> AsyncGenerator[AnswerEvent, None]:
        """`stream` for asyncio."""
        told: deque[AnswerEvent] = deque()
        began = time.monotonic()

        def tell_stage(stage: Stage, words: str) -> None:
            told.append(Progress(stage=stage, words=words, seconds=time.monotonic() - began))

        return astream_steps(self._steps(request, tell_stage, told.append), told, self._llm)

    def draft_prompt(self, request: AnswerRequest) -> Prompt:
        """The prompt that `answer` would send for the draft; nothing is sent."""
        return build_prompt(self._brief(load_index(request, self.settings)), self.settings)

    @property
    def drafts_by_llm(self) -> bool:
        """True when an LLM drafts: one is named, and `drafter` does not say otherwise."""
        return (self.settings.drafter or ("llm" if self.settings.llm else "extractive")) == "llm"

    def _brief(self, index: PassageIndex) -> Brief:
        passages = index.passages
        hits = index.search(passages.request.question, k=len(passages.all))
        return Brief(passages=passages, hits=hits, fit=assess_fit(passages, hits, index.vectors))

    def _steps(self, request: AnswerRequest, tell_stage: TellStage, emit: Emit | None = None) -> Steps:
        """The whole way as a generator of LLM calls: one text of it for threads and asyncio, whole and streamed."""
        tell_stage("index", "indexing the supplied sources")
        index = load_index(request, self.settings)
        brief = self._brief(index)
        judge = load_judge(index, self._verifier, settings=self.settings, llm=self._llm)
        judge_all = remembered(partial(judge_draft, judge=judge))
        own = _OwnWords(brief, judge, judge_all)
        marks = self.settings.on_untraceable == "mark"
        closing = SlotSources(own_words=own.by_key, is_absent=own.is_absent, marks=marks)
        writer = AnswerWriter(brief, closing, judge, emit)
        writer.begin()

        def write_on(slots: tuple[JudgedSlot, ...], *, is_drafted: bool) -> None:
            if emit is not None:
                writer.advance(slots, is_drafted=is_drafted, may_repair=self.settings.repair_limit_calls > 0)

        early = _EarlyJudging(lambda draft: write_on(judge_slots(draft, brief, judge_all), is_drafted=False))

        def on_round(slots: tuple[JudgedSlot, ...], changes: Sequence[LedgerEntry]) -> None:
            writer.note_repairs(changes)
            write_on(slots, is_drafted=True)

        drafted = yield from self._draft(brief, tell_stage, None if emit is None else early.on_part)
        early.raise_failure()
        tell_stage("check", "checking the draft")
        slots = judge_slots(drafted.draft, brief, judge_all)
        if drafted.draft.drafter == ExtractiveDrafter.name:
            own.take(slots)
            repaired = Repaired(slots=slots, usage=Usage(), ledger=draft_ledger(slots))
        else:
            write_on(slots, is_drafted=True)
            tell_stage("repair", "repairing what was rejected")
            repaired = yield from repair(slots, brief, judge_all, self.settings, on_round)
        self._raise_untraceable(repaired.slots)
        tell_stage("close", "writing the answer")
        writer.advance(repaired.slots, is_drafted=True, may_repair=False)
        return writer.finish(
            drafter=drafted.draft.drafter,
            notes=drafted.notes + repaired.notes,
            ledger=repaired.ledger,
            usage=drafted.usage + repaired.usage,
            prompt_sha256=drafted.prompt_sha256,
        )

    def _draft(
        self, brief: Brief, tell_stage: TellStage, on_part: Callable[[Draft], None] | None
    ) -> Generator[LLMCall, Reply | None, _Drafted]:
        if not self.drafts_by_llm:
            tell_stage("draft", "drafting from the sources' own sentences")
            return _Drafted(draft=ExtractiveDrafter().draft(brief), usage=Usage())
        tell_stage("draft", f"waiting for {self.settings.llm}")
        try:
            return (yield from self._draft_by_llm(brief, on_part))
        except ServiceError as error:
            if self.settings.on_llm_failure == "raise":
                raise
            note = f"{LLM_FAILED}: {error}"
            return _Drafted(draft=ExtractiveDrafter().draft(brief), usage=error.usage or Usage(), notes=(note,))

    def _draft_by_llm(
        self, brief: Brief, on_part: Callable[[Draft], None] | None
    ) -> Generator[LLMCall, Reply | None, _Drafted]:
        prompt = build_prompt(brief, self.settings)
        deadline_s = self.settings.llm_timeout_s
        drawn = yield from ask(prompt, deadline_s=deadline_s, llm=self.settings.llm or "", on_part=on_part)
        notes: tuple[str, ...] = (f"{BROKEN_OFF}: {drawn.failure}",) if drawn.failure is not None else ()
        notes += (f"{LEFT_OUT}: {', '.join(prompt.left_out)}",) if prompt.left_out else ()
        return _Drafted(draft=drawn.draft, usage=drawn.usage, prompt_sha256=prompt.sha256, notes=notes)

    def _raise_untraceable(self, slots: tuple[JudgedSlot, ...]) -> None:
        rejected = tuple(claim for slot in slots for claim in slot.rejected)
        if self.settings.on_untraceable == "raise" and rejected:
            raise UntraceableError(
                f"{len(rejected)} drafted claims did not pass; the first: {rejected[0].claim.text!r}: "
                f"{rejected[0].judgement.reason}",
                findings=tuple(
                    claim.judgement.finding(claim.claim.text, 0, len(claim.claim.text)) for claim in rejected
                ),
            )


def _in_words(progress: Callable[[str], None] | None) -> TellStage:
    """Stages told to `progress` in their words, or to nobody."""

    def tell(_: Stage, words: str) -> None:
        if progress is not None:
            progress(words)

    return tell
