"""OpenAI-compatible chat: the endpoints, and an answer's events → a completion or its chunks.

Offsets of annotations count Unicode code points of the content, as in Python and as everywhere else in this library.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal, NotRequired

from fastapi import APIRouter, Request, Response
from sse_starlette.event import ServerSentEvent
from typing_extensions import TypedDict

from cnaps_rag.render.json import CitationJson, ClaimJson, FitJson, LedgerEntryJson
from cnaps_rag.render.shown import can_be_shown, shown_title
from cnaps_rag.request import AnswerRequest
from cnaps_rag.server.answering import Answering, Asked
from cnaps_rag.server.conversation import DRAFTER_BY_MODEL, ChatBody, check_parameters, read_request, unknown_model
from cnaps_rag.server.failures import FAILURES_TOLD, Failed
from cnaps_rag.server.wire import ServedEvent, begun, dump_json, json_response, sse, sse_response, unless_gone
from cnaps_rag.sources import Source

MODELS_MADE = 1_763_683_200
"""When the models were made, as seconds since 1970: OpenAI's form asks for it, and clients only sort by it."""

DONE = ServerSentEvent("[DONE]", sep="\n")
"""What a stream of OpenAI's API ends with."""


class UrlCitation(TypedDict):
    """A link of a source, at the claim that rests on it: ``content[start_index:end_index]``, in code points."""

    title: str
    url: str
    start_index: int
    end_index: int


class Annotation(TypedDict):
    """One citation that has a link."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class EvidenceJson(TypedDict):
    """All that OpenAI's form has no place for: every claim's evidence, and what was dropped and why.

    Spans of `claims` count in the content; those of citations in the field of the source that they name.
    """

    version: str
    drafter: str
    ok: bool
    abstained: bool
    complete: bool
    notes: list[str]
    warnings: list[str]
    claims: list[ClaimJson]
    citations: list[CitationJson]
    dropped: list[LedgerEntryJson]
    fit: FitJson


class PromptTokensDetails(TypedDict):
    """How many tokens were not sent again, because the answer was made before."""

    cached_tokens: int


class ChatUsage(TypedDict):
    """Tokens of all LLM calls of the answer, also where it was made earlier and kept."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class Message(TypedDict):
    """The answer as a message."""

    role: Literal["assistant"]
    content: str
    refusal: None
    annotations: list[Annotation]


class Choice(TypedDict):
    """The one choice."""

    index: Literal[0]
    message: Message
    logprobs: None
    finish_reason: Literal["stop"]


class ChatCompletion(TypedDict):
    """A whole completion."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: ChatUsage
    cnaps_rag: EvidenceJson


class Delta(TypedDict, total=False):
    """What a chunk adds to the message."""

    role: Literal["assistant"]
    content: str
    annotations: list[Annotation]


class ChunkChoice(TypedDict):
    """The one choice of a chunk."""

    index: Literal[0]
    delta: Delta
    logprobs: None
    finish_reason: Literal["stop"] | None


class ChatChunk(TypedDict):
    """One chunk of a stream; `cnaps_rag` stands in the one that has a `finish_reason`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: NotRequired[ChatUsage | None]
    cnaps_rag: NotRequired[EvidenceJson]


class Completion:
    """Writes the events of one answer as a completion or as chunks."""

    def __init__(self, request: AnswerRequest, body: ChatBody) -> None:
        self._request = request
        self._body = body
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._dropped: list[LedgerEntryJson] = []
        self._usage = _usage({})

    async def whole(self, events: AsyncGenerator[ServedEvent]) -> ChatCompletion:
        """The completion, when the last event has come."""
        content = ""
        evidence: EvidenceJson | None = None
        async with aclosing(events):
            async for event in events:
                content += event["markdown"]
                evidence = self._read(event)
        assert evidence is not None, "a stream of events ends with the answer"
        message = Message(
            role="assistant", content=content, refusal=None, annotations=self._annotations(evidence["claims"])
        )
        return ChatCompletion(
            id=self._id,
            object="chat.completion",
            created=self._created,
            model=self._body.model,
            choices=[Choice(index=0, message=message, logprobs=None, finish_reason="stop")],
            usage=self._usage,
            cnaps_rag=evidence,
        )

    async def chunks(self, events: AsyncGenerator[ServedEvent]) -> AsyncGenerator[ChatChunk]:
        """One chunk for each event that adds to the content, as the events come; then the evidence, and the usage."""
        yield self._chunk(Delta(role="assistant", content=""))
        async for event in events:
            if event["markdown"]:
                yield self._chunk(Delta(content=event["markdown"]))
            if (evidence := self._read(event)) is not None:
                last = self._chunk(Delta(annotations=self._annotations(evidence["claims"])), finish_reason="stop")
                last["cnaps_rag"] = evidence
                yield last
        if self._body.include_usage:
            yield self._with_choices([], usage=self._usage)

    def _read(self, event: ServedEvent) -> EvidenceJson | None:
        """Keeps what is told at the end; the evidence, when this is the end."""
        if event["event"] == "claim_dropped":
            self._dropped.append(event["entry"])
        if event["event"] == "usage":
            self._usage = _usage(event["usage"])
        if event["event"] != "answer_done":
            return None
        answer = event["answer"]
        return EvidenceJson(
            version=answer["version"],
            drafter=answer["drafter"],
            ok=answer["report"]["ok"],
            abstained=answer["abstained"],
            complete=answer["complete"],
            notes=answer["notes"],
            warnings=list(self._request.warnings),
            claims=answer["claims"],
            citations=answer["citations"],
            dropped=self._dropped,
            fit=answer["fit"],
        )

    def _annotations(self, claims: list[ClaimJson]) -> list[Annotation]:
        """One annotation for each claim and each source with a link that it rests on."""
        annotations: list[Annotation] = []
        for claim in claims:
            for source_id in dict.fromkeys(citation["source_id"] for citation in claim["citations"]):
                link = _link_of(self._request.source(source_id))
                if link is not None:
                    title = shown_title(source_id, self._request)
                    place = UrlCitation(title=title, url=link, start_index=claim["start"], end_index=claim["end"])
                    annotations.append(Annotation(type="url_citation", url_citation=place))
        return annotations

    def _chunk(self, delta: Delta, *, finish_reason: Literal["stop"] | None = None) -> ChatChunk:
        choice = ChunkChoice(index=0, delta=delta, logprobs=None, finish_reason=finish_reason)
        return self._with_choices([choice], usage=None)

    def _with_choices(self, choices: list[ChunkChoice], *, usage: ChatUsage | None) -> ChatChunk:
        chunk = ChatChunk(
            id=self._id,
            object="chat.completion.chunk",
            created=self._created,
            model=self._body.model,
            choices=choices,
        )
        if self._body.include_usage:
            chunk["usage"] = usage
        return chunk


def _link_of(source: Source) -> str | None:
    """The link under which a source is cited: its paper before its code, and only one that may be shown."""
    return next((link for link in (source.paper, source.github) if link is not None and can_be_shown(link)), None)


def _usage(usage: dict[str, Any]) -> ChatUsage:
    prompt_tokens: int = usage.get("prompt_tokens", 0)
    completion_tokens: int = usage.get("completion_tokens", 0)
    return ChatUsage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=prompt_tokens if usage.get("cached") else 0),
    )


# The endpoints


class ModelJson(TypedDict):
    """One model, in OpenAI's form."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsJson(TypedDict):
    """All models."""

    object: Literal["list"]
    data: list[ModelJson]


def chat_routes(answering: Answering) -> APIRouter:
    """Routes of OpenAI's API: chat completions and models."""
    router = APIRouter(tags=["OpenAI-compatible"], responses=FAILURES_TOLD)

    @router.post("/v1/chat/completions", summary="Answer the last user message", responses={200: _COMPLETION_TOLD})
    async def chat_completions(body: ChatBody, http: Request) -> Response:
        drafter = check_parameters(body)
        request = read_request(body, answering.settings)
        stream = bool(body.stream)
        asked = Asked(request=request, drafter=drafter, stream=stream, model=body.model, scope=http.scope)
        events = answering.events_of(asked)
        completion = Completion(request, body)
        if not stream:
            return json_response(dump_json(await unless_gone(http, completion.whole(events))))
        return sse_response(_stream(completion, await begun(http, events)), answering.server)

    @router.get("/v1/models", summary="The models that answer")
    async def models() -> ModelsJson:
        return ModelsJson(object="list", data=[_model(name) for name in DRAFTER_BY_MODEL])

    @router.get("/v1/models/{model}", summary="One of them")
    async def model(model: str) -> ModelJson:
        if model not in DRAFTER_BY_MODEL:
            raise unknown_model(model)
        return _model(model)

    return router


def _model(name: str) -> ModelJson:
    return ModelJson(id=name, object="model", created=MODELS_MADE, owned_by="cnaps_rag")


async def _stream(completion: Completion, events: AsyncGenerator[ServedEvent]) -> AsyncGenerator[ServerSentEvent]:
    async with aclosing(events), aclosing(completion.chunks(events)) as chunks:
        try:
            async for chunk in chunks:
                yield sse(dump_json(chunk))
        except Failed as failure:
            # As OpenAI does; its clients raise it, so that a broken-off answer is never taken for a whole one.
            yield sse(dump_json(failure.body))
        else:
            yield DONE


_COMPLETION_TOLD: dict[str, Any] = {
    "model": ChatCompletion,
    "description": "The completion, or with `stream` its chunks as server-sent events, `[DONE]` at the end.",
    "content": {"text/event-stream": {"example": 'data: {"id":"chatcmpl-1","object":"chat.completion.chunk", …}\n\n'}},
}
