"""Bodies of the native endpoints, and how anything is written to the wire: JSON, server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import AppStatus, EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from cnaps_rag.pipeline.events_json import EventJson
from cnaps_rag.proof.bundle import ProofBundle, canonical_bytes
from cnaps_rag.render.json import AnswerJson
from cnaps_rag.request import AnswerRequest
from cnaps_rag.server.settings import ServerSettings
from cnaps_rag.settings import Settings

Drafter = Literal["llm", "extractive"]

# Left on, a SIGTERM would cut every stream off; uvicorn lets them end, within its own limit.
AppStatus.enable_automatic_graceful_drain = False

EXAMPLE = AnswerRequest.model_validate(
    {
        "question": "When zooming to different sizes, how does AI decide what edges or patterns to sharpen?",
        "models": [
            {
                "name": "Deblur-MSSNet-GoPro",
                "paper": "https://cg.postech.ac.kr/Research/MSSNet/MSSNet.pdf",
                "github": "https://github.com/kky7/MSSNet",
            }
        ],
        "papers": [
            {
                "title": "FeatSharp: Your Vision Model Features, Sharper",
                "paper": "http://arxiv.org/pdf/2502.16025v1.pdf",
                "summary": (
                    "We introduce a novel method to coherently and cheaply upsample the feature maps of low-res "
                    "vision encoders while picking up on fine-grained details that would otherwise be lost due to "
                    "resolution."
                ),
            }
        ],
    },
    # By the default limits, so that importing this does not depend on the environment.
    context={"settings": Settings.model_construct()},
)
"""A request of ``data/requests`` (003.txt), shortened: what the documentation and a refusal show."""

EXAMPLE_TEXT = EXAMPLE.to_prompt()
EXAMPLE_VALUES: dict[str, Any] = EXAMPLE.model_dump(mode="json", exclude_none=True)


class AnswersBody(BaseModel):
    """A request, as JSON or in the text layout, and how its answer is to be made and sent."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"request": EXAMPLE_VALUES, "drafter": "extractive", "stream": False, "proof": False},
                {"text": EXAMPLE_TEXT, "stream": True},
            ]
        },
    )

    request: AnswerRequest | None = Field(default=None, description="The request as JSON.")
    text: str | None = Field(
        default=None, description="In its place: the request in the layout of data/requests/*.txt."
    )
    drafter: Drafter | None = Field(default=None, description="Who drafts; null leaves it to the server's settings.")
    stream: bool = Field(default=False, description="Send events as the answer is made, not one JSON object.")
    proof: bool = Field(default=False, description="Send a proof bundle too, which `cnaps-rag verify` checks.")


def _form_of(value: object) -> str:
    return "text" if isinstance(value, str) else "json"


class ValidateBody(BaseModel):
    """Any text of any LLM, and the request whose sources it must rest on."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [{"text": "FeatSharp upsamples the feature maps of vision encoders.", "request": EXAMPLE_TEXT}]
        },
    )

    text: str = Field(description="What is to be checked: Markdown or plain text.")
    request: Annotated[Annotated[str, Tag("text")] | Annotated[AnswerRequest, Tag("json")], Discriminator(_form_of)] = (
        Field(description="The request as JSON, or in the layout of data/requests/*.txt.")
    )


class RequestJson(TypedDict):
    """First of a stream: the request as it was read, which the offsets of all evidence count in."""

    event: Literal["request"]
    markdown: str
    request: dict[str, Any]
    warnings: list[str]


class ProofJson(TypedDict):
    """Last of a stream where a proof was asked for: all that made the answer, checked again by ``cnaps-rag verify``.

    On the wire, `bundle` comes last and stands as in a bundle's file: those very bytes are what can be verified.
    """

    event: Literal["proof"]
    markdown: str
    bundle: dict[str, Any]


ServedEvent = EventJson | ProofJson
"""What a stream is made of."""


class AnsweredJson(TypedDict):
    """Body of ``POST /v1/answers`` where no stream is asked for."""

    answer: AnswerJson
    proof: dict[str, Any] | None


def dump_json(content: object) -> str:
    """JSON on one line and in ASCII: what an LLM wrote may hold half of a surrogate pair, which UTF-8 cannot carry."""
    return json.dumps(content, allow_nan=False, separators=(",", ":"))


def dump_with_bundle(content: Mapping[str, object], key: str, bundle: dict[str, Any]) -> str:
    """JSON of `content`, and last under `key` the bundle in its canonical form."""
    canonical = canonical_bytes(ProofBundle.model_validate(bundle)).decode().rstrip("\n")
    return f"{dump_json(content)[:-1]},{dump_json(key)}:{canonical}}}"


def json_response(content: str) -> Response:
    """A whole response of JSON."""
    return Response(content.encode(), media_type="application/json")


def sse(content: str, *, event: str | None = None) -> ServerSentEvent:
    """One server-sent event whose data is JSON."""
    return ServerSentEvent(content, event=event, sep="\n")


def sse_response(events: AsyncGenerator[ServerSentEvent], server: ServerSettings) -> Response:
    """A stream of `events`, with a comment in its silences so that no proxy takes it for dead.

    A reader that takes nothing for as long as an answer may take is given up.
    """
    return EventSourceResponse(
        events,
        ping=server.ping_s,
        sep="\n",
        ping_message_factory=_ping,
        send_timeout=server.limit_request_s,
        cleanup_timeout=_CLEANUP_LIMIT_S,
    )


_CLEANUP_LIMIT_S = 10.0
"""Seconds that closing a stream may take: more than `answering` needs to let go of the LLM."""


def _ping() -> ServerSentEvent:
    return ServerSentEvent(comment="ping", sep="\n")


class ClientGone(Exception):  # noqa: N818 (no fault of anybody)
    """The client has closed the connection: nobody waits for an answer."""


_T = TypeVar("_T")


async def unless_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """What `work` returns; cancels it as soon as the client closes the connection.

    Raises:
        ClientGone: it did.
    """
    working, watching = asyncio.create_task(work), asyncio.create_task(_disconnect(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return await working
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def begun(request: Request, events: AsyncGenerator[_T]) -> AsyncGenerator[_T]:
    """`events`, of which the first is there: what fails before it is raised here, where a status can still be sent.

    Raises:
        ClientGone: the client closed the connection before.
    """
    first = await unless_gone(request, _next(events))
    return _from_first(first, events)


async def _next(events: AsyncGenerator[_T]) -> _T:
    return await anext(events)


async def _from_first(first: _T, events: AsyncGenerator[_T]) -> AsyncGenerator[_T]:
    async with aclosing(events):
        yield first
        async for event in events:
            yield event
