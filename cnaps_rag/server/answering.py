"""The one way to an answer: those made before, a place in the queue, the making, and what is counted of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import anyio
from starlette.types import Scope

from cnaps_rag.answer import Answer
from cnaps_rag.errors import RequestError
from cnaps_rag.llm import LLM, RecordingLLM, Streams, sha256_of
from cnaps_rag.pipeline import Answerer
from cnaps_rag.pipeline.events import AnswerDone
from cnaps_rag.pipeline.events_json import EventsJson
from cnaps_rag.prompt import prompts_sha256
from cnaps_rag.proof.bundle import canonical_bytes, settings_values
from cnaps_rag.proof.installed import files_of
from cnaps_rag.proof.proving import build_bundle
from cnaps_rag.render.json import AnswerJson, ReportJson, render_report_json
from cnaps_rag.request import AnswerRequest
from cnaps_rag.server.failures import failed
from cnaps_rag.server.limits import Admission, TooBusy
from cnaps_rag.server.logs import logger, tell
from cnaps_rag.server.metrics import Metrics
from cnaps_rag.server.settings import ServerSettings
from cnaps_rag.server.store import Store
from cnaps_rag.server.telemetry import Tracing
from cnaps_rag.server.watch import FAILURES, Watch
from cnaps_rag.server.wire import Drafter, ProofJson, ServedEvent, dump_json
from cnaps_rag.settings import Settings
from cnaps_rag.validation import avalidate
from cnaps_rag.verifier import Verifier

_CLOSE_LIMIT_S = 5.0
"""Seconds that a cancelled answer has to let go of the LLM, which takes some ms, before it is left to itself."""

_Emit = Callable[[ServedEvent | TimeoutError], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One request as it came: how its answer is to be made, and for whom.

    Attributes:
        model: of our own models, under whose name it is traced.
        scope: of the HTTP request, to whose log line counts are added; None where there is none.
    """

    request: AnswerRequest
    drafter: Drafter | None = None
    proof: bool = False
    stream: bool = False
    model: str = "cnaps-rag"
    scope: Scope | None = None


class Answering:
    """Makes the answers of one app, for one event loop."""

    def __init__(
        self,
        settings: Settings,
        server: ServerSettings,
        *,
        store: Store,
        metrics: Metrics,
        tracing: Tracing,
        verifier: Verifier | None = None,
        llm: Streams | None = None,
    ) -> None:
        """Loads nothing yet; `verifier` and `llm` stand in for those that the settings name."""
        self.settings = settings
        self.server = server
        self._store = store
        self._metrics = metrics
        self._tracing = tracing
        self._verifier = verifier
        self._llm = llm
        self._admission = Admission(server, watch=metrics.places)

    async def events(
        self, request: AnswerRequest, *, drafter: Drafter | None = None, proof: bool = False
    ) -> AsyncGenerator[ServedEvent]:
        """`events_of` a request that did not come over HTTP."""
        async with aclosing(self.events_of(Asked(request=request, drafter=drafter, proof=proof))) as events:
            async for event in events:
                yield event

    async def events_of(self, asked: Asked) -> AsyncGenerator[ServedEvent]:
        """Events of the answer, as it is made or as it was made before; closing it cancels all, the LLM's call too.

        The answer is made in a task of its own: a slow reader holds neither a place nor the LLM, and what waits for it
        is never more than one answer.

        Raises:
            Failed: it cannot be made, or breaks off; nothing that did not pass the checks has been given by then.
        """
        waiting: asyncio.Queue[ServedEvent | TimeoutError | None] = asyncio.Queue()
        making = asyncio.create_task(self._make(asked, waiting.put_nowait))
        making.add_done_callback(lambda _: waiting.put_nowait(None))
        try:
            while (event := await waiting.get()) is not None:
                if isinstance(event, TimeoutError):
                    self._raise_failure(event, asked.scope)
                else:
                    yield event
            self._raise_failure(making.exception(), asked.scope)
        finally:
            making.cancel()
            # Shielded: the client may be gone, and then every await here would be cancelled at once.
            with anyio.CancelScope(shield=True):
                await asyncio.wait([making], timeout=_CLOSE_LIMIT_S)
            if making.done() and not making.cancelled():
                making.exception()  # looked at: of an answer that nobody waits for, no failure is told

    async def report(self, text: str, request: AnswerRequest) -> ReportJson:
        """Every finding on any text; it takes a place like an answer.

        Raises:
            Failed: there is none: no place came free, it took too long, or a model failed.
        """
        checking = asyncio.create_task(self._report(text, request))
        try:
            await asyncio.wait([checking])
        finally:
            checking.cancel()
        self._raise_failure(checking.exception(), None)
        return checking.result()

    async def _report(self, text: str, request: AnswerRequest) -> ReportJson:
        async with self._admission.place(), asyncio.timeout(self.server.limit_request_s):
            found = await avalidate(text, request, settings=self.settings, verifier=self._verifier)
        for claim in found.claims:
            self._metrics.claim("checked", claim.verdict)
        return render_report_json(found, text, request)

    async def _make(self, asked: Asked, emit: _Emit) -> None:
        headers = {name.decode("latin-1"): content.decode("latin-1") for name, content in _headers(asked.scope)}
        with self._tracing.answer(asked.model, stream=asked.stream, headers=headers) as span:
            watch = Watch(self._metrics, span, asked.scope)
            answerer = self._answerer(asked)
            key = self._key(asked.request, answerer)
            kept = None if asked.proof else await self._kept(key)
            watch.began(_drafter_of(answerer), proof=asked.proof, stream=asked.stream, cached=kept is not None)
            if kept is not None:
                for event in kept:
                    emit(event)
                return
            async with self._admission.place(), self._in_time(emit):
                watch.placed()
                made = await self._make_anew(asked, answerer, watch, emit)
            if self._can_be_kept(made, answerer):
                await self._store.put(key, dump_json(made).encode(), ttl_s=self.server.cache_ttl_s)

    @asynccontextmanager
    async def _in_time(self, emit: _Emit) -> AsyncGenerator[None]:
        """The time limit. It is told to the client when it is reached: a step in a thread must run to its end first."""
        limit_s = self.server.limit_request_s
        telling = asyncio.get_running_loop().call_later(limit_s, emit, TimeoutError())
        try:
            async with asyncio.timeout(limit_s):
                yield
        finally:
            telling.cancel()

    async def _make_anew(self, asked: Asked, answerer: Answerer, watch: Watch, emit: _Emit) -> list[ServedEvent]:
        """Emits the events as they come, and returns all but the proof, which comes last where one is wanted."""
        made: list[ServedEvent] = []
        recording = RecordingLLM(self._llm or LLM(answerer.settings), answerer.settings) if asked.proof else None
        if recording is not None:
            answerer = Answerer(answerer.settings, verifier=self._verifier, llm=recording)
        values = EventsJson(asked.request)
        answer: Answer | None = None
        async with aclosing(answerer.astream(asked.request)) as events:
            async for event in events:
                told = values.render(event)
                if told["event"] == "answer_done":
                    told["answer"]["notes"] = _told_notes(told["answer"])
                watch.saw(told)
                made.append(told)
                emit(told)
                answer = event.answer if isinstance(event, AnswerDone) else answer
        if recording is not None and answer is not None:
            bundle = await asyncio.to_thread(
                build_bundle, answer, recording.exchanges, answerer.settings, verifier=self._verifier
            )
            emit(ProofJson(event="proof", markdown="", bundle=json.loads(canonical_bytes(bundle))))
        return made

    def _answerer(self, asked: Asked) -> Answerer:
        if asked.drafter == "llm" and self.settings.llm is None:
            raise RequestError(
                "No LLM is configured on this server.", remedy="Leave it out, or say extractive.", field="drafter"
            )
        update = {} if asked.drafter is None else {"drafter": asked.drafter}
        return Answerer(self.settings.model_copy(update=update), verifier=self._verifier, llm=self._llm)

    # What is kept

    def _key(self, request: AnswerRequest, answerer: Answerer) -> str:
        """Hash of all that decides an answer, the address of the LLM included: two may serve one name."""
        settings = answerer.settings
        asked = {
            "request": request.model_dump(mode="json"),
            "settings": settings_values(settings) | {"drafter": _drafter_of(answerer)},
            "endpoint": settings.openai_base_url,
        }
        return sha256_of({**self._fixed, **asked})

    @cached_property
    def _fixed(self) -> dict[str, Any]:
        encoder, verifier = self.settings.encoder, self.settings.verifier
        return {
            "library": version("cnaps_rag"),
            "prompts": prompts_sha256(),
            # The shipped files change with the library alone.
            "encoder_files": None if encoder is None else files_of("encoder", encoder).sha256,
            "verifier_files": None if verifier is None else files_of("verifier", verifier).sha256,
            "own_verifier": None if self._verifier is None else type(self._verifier).__qualname__,
        }

    async def _kept(self, key: str) -> list[ServedEvent] | None:
        if not self.server.cache_answers:
            return None
        content = await self._store.get(key)
        events = None if content is None else _read_events(content)
        self._metrics.cache(hit=events is not None)
        return events

    def _can_be_kept(self, made: list[ServedEvent], answerer: Answerer) -> bool:
        """Whether the answer was made without a failure: the next one may go better, and is not to be spoiled."""
        last = made[-1] if made else None
        if last is None or last["event"] != "answer_done" or not self.server.cache_answers:
            return False
        answer = last["answer"]
        has_failed = (
            answer["usage"]["failed_calls"] > 0
            or any(note.startswith(FAILURES) for note in answer["notes"])
            or any(slot["state"] == "ended" for section in answer["sections"] for slot in section["slots"])
        )
        # A judge that failed leaves claims undecided, and no trace.
        can_tell = not answerer.settings.llm_judge or answerer.settings.on_llm_judge_failure == "raise"
        return can_tell and not has_failed

    def _raise_failure(self, error: BaseException | None, scope: Scope | None) -> None:
        if error is None:
            return
        failure = failed(error)
        if isinstance(error, TooBusy):
            self._metrics.refused(error.reason)
        if scope is not None:
            tell(scope, failure=failure.code or "")  # here, because a stream that has begun ends with status 200
        if failure.status >= 500:
            logger.error("answer_failed", code=failure.code, exc_info=error)
        # Without the error itself: it may quote the request, and whoever logs this one would log it too.
        raise failure from None


def _drafter_of(answerer: Answerer) -> Drafter:
    return "llm" if answerer.drafts_by_llm else "extractive"


def _read_events(content: bytes) -> list[ServedEvent] | None:
    """Events that were kept, with their usage marked so; None where this is no whole answer: then it is made anew."""
    try:
        events: list[ServedEvent] = json.loads(content)
        is_whole = events[-1]["event"] == "answer_done"
        for event in events:
            if event["event"] == "usage":
                event["usage"]["cached"] = True
    except (ValueError, LookupError, TypeError) as error:
        logger.error("kept_answer_unusable", exc_info=error)
        return None
    return events if is_whole else None


def _headers(scope: Scope | None) -> list[tuple[bytes, bytes]]:
    return [] if scope is None else list(scope["headers"])


def _told_notes(answer: AnswerJson) -> list[str]:
    """The notes of an answer without the words of errors, which may hold the address of the LLM."""
    return [next((words for words in FAILURES if note.startswith(words)), note) for note in answer["notes"]]
