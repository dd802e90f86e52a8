"""A conversation in OpenAI's form → the request in it: sources of one message or of the body, the last question."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from cnaps_rag.request import AnswerRequest
from cnaps_rag.server.failures import Failed
from cnaps_rag.server.wire import EXAMPLE_TEXT, EXAMPLE_VALUES, Drafter
from cnaps_rag.settings import Settings
from cnaps_rag.sources import RecommendedModel, RelatedPaper

DRAFTER_BY_MODEL: dict[str, Drafter | None] = {"cnaps-rag": None, "cnaps-rag-extractive": "extractive"}
"""The models that `/v1/models` lists, and who drafts for each; None leaves it to the settings."""

Content = Annotated[
    Any, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]})
]


class ChatMessage(BaseModel):
    """One message; only those of role ``user`` are read."""

    model_config = ConfigDict(frozen=True, extra="allow")

    role: str
    content: Content = Field(default=None, description="Text, or a list of parts of type `text`.")


class StreamOptions(BaseModel):
    """What a stream ends with."""

    model_config = ConfigDict(frozen=True, extra="allow")

    include_usage: bool | None = None


class ChatBody(BaseModel):
    """A conversation. Parameters that are not listed, such as ``temperature`` and ``max_tokens``, are ignored."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        json_schema_extra={
            "examples": [
                {"model": "cnaps-rag", "messages": [{"role": "user", "content": EXAMPLE_TEXT}], "stream": True},
                {
                    "model": "cnaps-rag-extractive",
                    "messages": [{"role": "user", "content": EXAMPLE_VALUES["question"]}],
                    "models": EXAMPLE_VALUES["models"],
                    "papers": EXAMPLE_VALUES["papers"],
                },
            ]
        },
    )

    model: str = Field(description="`cnaps-rag` or `cnaps-rag-extractive`.")
    messages: tuple[ChatMessage, ...] = Field(
        description="The latest user message in the layout of data/requests/*.txt, or as JSON, supplies the sources; "
        "a later user message is a new question over them."
    )
    models: tuple[RecommendedModel, ...] = Field(default=(), description="Sources, where no message holds them.")
    papers: tuple[RelatedPaper, ...] = Field(default=(), description="Sources, where no message holds them.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=None, description="Only 1.")
    tools: Any = Field(default=None, description="Refused, as are `functions` and a `tool_choice` that needs them.")
    tool_choice: Any = None
    functions: Any = None
    function_call: Any = None
    logprobs: bool | None = Field(default=None, description="Refused.")
    top_logprobs: int | None = Field(default=None, description="Refused.")
    response_format: dict[str, Any] | None = Field(default=None, description="Only `text`: answers are Markdown.")
    modalities: tuple[str, ...] | None = Field(default=None, description="Only `text`.")

    @property
    def include_usage(self) -> bool:
        """True where a stream is to end with its usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


def check_parameters(body: ChatBody) -> Drafter | None:
    """Who is to draft.

    Raises:
        Failed: the model is not known, or a parameter asks for what cannot be given and must not be ignored.
    """
    if body.model not in DRAFTER_BY_MODEL:
        raise unknown_model(body.model)
    refused = next((name for name, is_refused in _refusals(body) if is_refused), None)
    if refused is not None:
        raise Failed(400, f"{refused}: {_WHY_REFUSED[refused]}", param=refused, code="unsupported_parameter")
    return DRAFTER_BY_MODEL[body.model]


def unknown_model(name: str) -> Failed:
    """That there is no such model, as OpenAI says it."""
    known = ", ".join(DRAFTER_BY_MODEL)
    return Failed(
        404, f"The model `{name}` does not exist. This server has: {known}.", param="model", code="model_not_found"
    )


def _refusals(body: ChatBody) -> Iterable[tuple[str, bool]]:
    yield "n", body.n is not None and body.n != 1
    yield "tools", bool(body.tools)
    yield "functions", bool(body.functions)
    yield "tool_choice", body.tool_choice not in (None, "none")
    yield "function_call", body.function_call not in (None, "none")
    yield "logprobs", bool(body.logprobs)
    yield "top_logprobs", bool(body.top_logprobs)
    yield "response_format", body.response_format is not None and body.response_format.get("type") != "text"
    yield "modalities", body.modalities is not None and set(body.modalities) != {"text"}


_NO_TOOLS = "Answers come from the supplied sources alone, so no tools are called. Leave it out."
_NO_LOGPROBS = "An answer is validated text, not tokens with probabilities. Leave it out."
_WHY_REFUSED = {
    "n": "There is one answer to a request. Leave it out, or send 1.",
    "tools": _NO_TOOLS,
    "functions": _NO_TOOLS,
    "tool_choice": _NO_TOOLS,
    "function_call": _NO_TOOLS,
    "logprobs": _NO_LOGPROBS,
    "top_logprobs": _NO_LOGPROBS,
    "response_format": "Answers are Markdown. Leave it out; POST /v1/answers gives JSON.",
    "modalities": "Answers are text. Leave it out.",
}


def read_request(body: ChatBody, settings: Settings) -> AnswerRequest:
    """The request that a conversation holds: the sources of one place, and the question of its last user message.

    Raises:
        RequestError: the message with the sources cannot be read, or is larger than the settings allow.
        Failed: there is no user message, no source, or one message too many that supplies sources.
    """
    texts = [_text_of(message, place) for place, message in enumerate(body.messages) if message.role == "user"]
    if not texts or not texts[-1].strip():
        raise Failed(
            400,
            "messages: The last user message is missing or empty. Supply one.",
            param="messages",
            code="no_question",
        )
    if body.models or body.papers:
        return _with_body_sources(texts[-1], body, settings)
    for text in reversed(texts):
        if _supplies_sources(text):
            request = AnswerRequest.from_text(text, settings=settings)
            return request if text is texts[-1] else _asking(request, texts[-1], settings)
    raise Failed(
        400,
        "messages: No user message supplies sources, and an answer may rest on nothing else. Send them as `models` and "
        f"`papers` beside `messages`, or write the message like this example:\n\n{EXAMPLE_TEXT}",
        param="messages",
        code="no_sources",
    )


def _with_body_sources(text: str, body: ChatBody, settings: Settings) -> AnswerRequest:
    if _supplies_sources(text):
        raise Failed(
            400,
            "messages: Sources came both in the message and as `models` and `papers`. Supply them in one place.",
            param="messages",
            code="sources_twice",
        )
    values = {"question": text, "models": body.models, "papers": body.papers}
    return AnswerRequest.model_validate(values, context={"settings": settings})


def _asking(request: AnswerRequest, question: str, settings: Settings) -> AnswerRequest:
    """A new question over the sources of `request`."""
    values = {"question": question, "models": request.models, "papers": request.papers}
    return AnswerRequest.model_validate(values, context={"settings": settings})


# A heading of the layout, alone on its line, with whatever signs around it. Possessive, and never past the line's end:
# a message of many empty lines costs linear time.
_SIGNS = r"(?:[^\w\n]|_)*+"
_SOURCES_HEADING = re.compile(rf"^{_SIGNS}(?:recommended (?:ai )?models?|related papers?){_SIGNS}$", re.I | re.M)
_SOURCES_KEY = re.compile(r'"(?:models|papers)"\s*:')


def _supplies_sources(text: str) -> bool:
    """Whether a message is meant as a request, so that one that is broken is told, and never taken for a question."""
    is_json = text.lstrip("\ufeff \t\r\n").startswith("{")
    return (_SOURCES_KEY if is_json else _SOURCES_HEADING).search(text) is not None


def _text_of(message: ChatMessage, place: int) -> str:
    content: object = message.content
    if content is None or isinstance(content, str):
        return content or ""
    parts = cast("list[object]", content) if isinstance(content, list) else [content]
    texts = [_part_text(part) for part in parts]
    if None in texts:
        param = f"messages[{place}].content"
        raise Failed(
            400, f"{param}: Only text can be read. Send a text, or parts of type `text`.", param=param, code="no_text"
        )
    return "\n".join(text for text in texts if text is not None)


def _part_text(part: object) -> str | None:
    """Text of one part of a message; None where it is no text."""
    match part:
        case {"type": "text", "text": str() as text}:
            return text
        case _:
            return None
