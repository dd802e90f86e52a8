"""The native endpoints: answers whole or as events, and the validation of any text."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request, Response
from sse_starlette.event import ServerSentEvent

from cnaps_rag.errors import RequestError
from cnaps_rag.render.json import AnswerJson, ReportJson
from cnaps_rag.request import AnswerRequest
from cnaps_rag.server.answering import Answering, Asked
from cnaps_rag.server.failures import FAILURES_TOLD, Failed
from cnaps_rag.server.wire import (
    AnsweredJson,
    AnswersBody,
    RequestJson,
    ServedEvent,
    ValidateBody,
    begun,
    dump_json,
    dump_with_bundle,
    json_response,
    sse,
    sse_response,
    unless_gone,
)
from cnaps_rag.settings import Settings


def answers_routes(answering: Answering) -> APIRouter:
    """Routes ``/v1/answers`` and ``/v1/validate``."""
    router = APIRouter(tags=["native"], responses=FAILURES_TOLD)

    @router.post("/v1/answers", summary="Answer a request", responses={200: _ANSWERED_TOLD})
    async def answers(body: AnswersBody, http: Request) -> Response:
        asked = Asked(
            request=_read_request(body, answering.settings),
            drafter=body.drafter,
            proof=body.proof,
            stream=body.stream,
            scope=http.scope,
        )
        events = answering.events_of(asked)
        if not body.stream:
            return json_response(_dump_answered(await unless_gone(http, _whole(events))))
        return sse_response(_stream(asked.request, await begun(http, events)), answering.server)

    @router.post("/v1/validate", summary="Check any text against a request's sources", responses=_REPORT_TOLD)
    async def validate(body: ValidateBody, http: Request) -> Response:
        request = body.request
        if isinstance(request, str):
            request = AnswerRequest.from_text(request, settings=answering.settings)
        request.check_limits(answering.settings)
        _check_length(body.text, answering.settings.request_limit_chars)
        return json_response(dump_json(await unless_gone(http, answering.report(body.text, request))))

    return router


def _check_length(text: str, limit_chars: int) -> None:
    """Holds a text to the limit of a request: both cost the server time by the character."""
    if len(text) > limit_chars:
        raise RequestError(
            f"It has {len(text):,} characters; the limit is {limit_chars:,}.",
            remedy="Shorten it; the server's owner can raise CNAPS_RAG_REQUEST_LIMIT_CHARS.",
            field="text",
        )


def _read_request(body: AnswersBody, settings: Settings) -> AnswerRequest:
    if body.text is not None and body.request is None:
        return AnswerRequest.from_text(body.text, settings=settings)
    if body.request is None or body.text is not None:
        raise RequestError(
            "The body holds both of them." if body.text is not None else "The body holds neither of them.",
            remedy="Supply the request as JSON under `request`, or in the text layout under `text`.",
            field="request, text",
        )
    body.request.check_limits(settings)
    return body.request


async def _whole(events: AsyncGenerator[ServedEvent]) -> AnsweredJson:
    answer: AnswerJson | None = None
    proof: dict[str, Any] | None = None
    async with aclosing(events):
        async for event in events:
            if event["event"] == "answer_done":
                answer = event["answer"]
            elif event["event"] == "proof":
                proof = event["bundle"]
    assert answer is not None, "events end with the answer"
    return AnsweredJson(answer=answer, proof=proof)


async def _stream(request: AnswerRequest, events: AsyncGenerator[ServedEvent]) -> AsyncGenerator[ServerSentEvent]:
    async with aclosing(events):
        told = request.model_dump(mode="json")
        read = RequestJson(event="request", markdown="", request=told, warnings=list(request.warnings))
        yield sse(dump_json(read), event="request")
        try:
            async for event in events:
                yield sse(_dump_event(event), event=event["event"])
        except Failed as failure:
            yield sse(dump_json(failure.body), event="error")


def _dump_event(event: ServedEvent) -> str:
    if event["event"] != "proof":
        return dump_json(event)
    return dump_with_bundle({"event": event["event"], "markdown": event["markdown"]}, "bundle", event["bundle"])


def _dump_answered(answered: AnsweredJson) -> str:
    if answered["proof"] is None:
        return dump_json(answered)
    return dump_with_bundle({"answer": answered["answer"]}, "proof", answered["proof"])


_ANSWERED_TOLD: dict[str, Any] = {
    "model": AnsweredJson,
    "description": (
        "The answer, or with `stream` server-sent events. Each has `event`, its name, and `markdown`, what it adds to "
        "the answer: joined in order, the `markdown` of all is the answer's. Offsets count in the whole answer. The "
        "first is `request`, the request as it was read, which the offsets of evidence count in; the last is "
        "`answer_done`, after it `proof` where one is asked for; `error`, with the body of a failure, breaks a "
        "stream off."
    ),
    "content": {
        "text/event-stream": {
            "example": 'event: section_started\ndata: {"event":"section_started","markdown":"\\n## 1. Task\\n", …}\n\n'
        }
    },
}
_REPORT_TOLD: dict[int | str, dict[str, Any]] = {
    200: {"model": ReportJson, "description": "Every finding on the links and claims of the text."}
}
