"""The whole way of one request: passages, index, fit, draft, validation, repair, answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cache, partial

from cnaps_rag.answer import Answer
from cnaps_rag.draft import Brief, Draft
from cnaps_rag.errors import ServiceError, UntraceableError
from cnaps_rag.extractive import ExtractiveDrafter
from cnaps_rag.fit import assess_fit
from cnaps_rag.index import PassageIndex
from cnaps_rag.llm import LLM, Completes, Reply, Usage
from cnaps_rag.pipeline.calls import LLMCall, ask
from cnaps_rag.pipeline.repair import JudgedSlot, Repaired, draft_ledger, judge_slots, repair
from cnaps_rag.pipeline.sections import SlotKey, SlotSources, build_sections
from cnaps_rag.prompt import Prompt, build_prompt
from cnaps_rag.render.phrases import LEFT_OUT, LLM_FAILED, not_told
from cnaps_rag.render.shown import shown_title
from cnaps_rag.request import AnswerRequest
from cnaps_rag.settings import Settings
from cnaps_rag.validation import judge_draft, load_index, load_judge, make_answer
from cnaps_rag.verifier import Verifier

Steps = Generator[LLMCall, Reply, Answer]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Drafted:
    """A first draft, what it cost, and what the answer should say of its making."""

    draft: Draft
    usage: Usage
    prompt_sha256: str | None = None
    notes: tuple[str, ...] = ()


class Answerer:
    """Answers requests by one group of settings. Thread-safe; the models it needs are loaded once per process.

    Example:
        >>> answer = Answerer(Settings()).answer(AnswerRequest.from_prompt(text))
        >>> print(answer.markdown)
    """

    def __init__(
        self, settings: Settings | None = None, *, verifier: Verifier | None = None, llm: Completes | None = None
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
        steps = self._steps(request, progress or _silent)
        call = _next_call(steps.__next__)
        while isinstance(call, LLMCall):
            try:
                reply = self._llm.complete(call.prompt, deadline_s=call.deadline_s)
            except ServiceError as error:
                call = _next_call(partial(steps.throw, error))
            else:
                call = _next_call(partial(steps.send, reply))
        return call

    async def aanswer(self, request: AnswerRequest, *, progress: Callable[[str], None] | None = None) -> Answer:
        """`answer` for asyncio: awaits the LLM, and does its own work in a thread."""
        steps = self._steps(request, progress or _silent)
        call = await asyncio.to_thread(_next_call, steps.__next__)
        while isinstance(call, LLMCall):
            try:
                reply = await self._llm.acomplete(call.prompt, deadline_s=call.deadline_s)
            except ServiceError as error:
                call = await asyncio.to_thread(_next_call, partial(steps.throw, error))
            else:
                call = await asyncio.to_thread(_next_call, partial(steps.send, reply))
        return call

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

    def _steps(self, request: AnswerRequest, progress: Callable[[str], None]) -> Steps:
        """The whole way as a generator of LLM calls, so that one text of it serves threads and asyncio alike."""
        progress("indexing the supplied sources")
        index = load_index(request, self.settings)
        brief = self._brief(index)
        judge = load_judge(index, self._verifier, settings=self.settings, llm=self._llm)
        judge_all = partial(judge_draft, judge=judge)
        drafted = yield from self._draft(brief, progress)
        progress("checking the draft")
        slots = judge_slots(drafted.draft, brief, judge_all)
        is_extractive = drafted.draft.drafter == ExtractiveDrafter.name
        if is_extractive:
            repaired = Repaired(slots=slots, usage=Usage(), ledger=draft_ledger(slots))
        else:
            progress("repairing what was rejected")
            repaired = yield from repair(slots, brief, judge_all, self.settings)
        self._raise_untraceable(repaired.slots)

        @cache
        def own_words() -> dict[SlotKey, JudgedSlot]:
            own = slots if is_extractive else judge_slots(ExtractiveDrafter().draft(brief), brief, judge_all)
            return {(slot.slot.name, slot.slot.subject): slot for slot in own}

        def is_absent(key: SlotKey) -> bool:
            if key[0] == "paper":
                return not any(request.source(twin).text for twin in request.twins(key[1]))
            phrase = not_told(key[0], shown_title(key[1], request))
            return judge.judge(phrase, subject=key[1], cited=None).verdict == "supported"

        closing = SlotSources(own_words=own_words, is_absent=is_absent, marks=self.settings.on_untraceable == "mark")
        sections, closing_ledger = build_sections(repaired.slots, brief, closing)
        return make_answer(
            request,
            sections=sections,
            fit=brief.fit,
            ledger=repaired.ledger + closing_ledger,
            usage=drafted.usage + repaired.usage,
            drafter=drafted.draft.drafter,
            prompt_sha256=drafted.prompt_sha256,
            notes=drafted.notes + repaired.notes,
            judge=judge,
        )

    def _draft(self, brief: Brief, progress: Callable[[str], None]) -> Generator[LLMCall, Reply, _Drafted]:
        if not self.drafts_by_llm:
            progress("drafting from the sources' own sentences")
            return _Drafted(draft=ExtractiveDrafter().draft(brief), usage=Usage())
        progress(f"waiting for {self.settings.llm}")
        try:
            return (yield from self._draft_by_llm(brief))
        except ServiceError as error:
            if self.settings.on_llm_failure == "raise":
                raise
            note = f"{LLM_FAILED}: {error}"
            return _Drafted(draft=ExtractiveDrafter().draft(brief), usage=error.usage or Usage(), notes=(note,))

    def _draft_by_llm(self, brief: Brief) -> Generator[LLMCall, Reply, _Drafted]:
        prompt = build_prompt(brief, self.settings)
        deadline_s = self.settings.llm_timeout_s
        draft, usage = yield from ask(prompt, deadline_s=deadline_s, llm=self.settings.llm or "")
        notes = (f"{LEFT_OUT}: {', '.join(prompt.left_out)}",) if prompt.left_out else ()
        return _Drafted(draft=draft, usage=usage, prompt_sha256=prompt.sha256, notes=notes)

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


def _silent(_: str) -> None:
    """Progress that nobody asked for."""


def _next_call(resume: Callable[[], LLMCall]) -> LLMCall | Answer:
    """Runs the steps up to their next LLM call, or to the answer."""
    try:
        return resume()
    except StopIteration as done:
        answer: Answer = done.value
        return answer
