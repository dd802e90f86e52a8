"""Guard for any loop: the last answer of a chat, checked against the sources that it had to keep to. Needs no LLM.

Messages are those of OpenAI's API, sources a request or a list of models, papers and (title, text) pairs.

    messages = [{"role": "user", "content": question}]
    messages.append(client.chat.completions.create(model="any", messages=messages).choices[0].message)
    report = guard(messages, [("GrainNet: Photographs at Night", text)])
    if not report.ok:
        faults = [(claim.text, claim.reason) for claim in report.claims if claim.verdict != "supported"]
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import BaseModel

from cnaps_rag.errors import RequestError
from cnaps_rag.report import Report
from cnaps_rag.request import AnswerRequest
from cnaps_rag.settings import Settings
from cnaps_rag.sources import RecommendedModel, RelatedPaper
from cnaps_rag.validation import validate
from cnaps_rag.verifier import Verifier

__all__ = ["GuardMessage", "GuardSource", "GuardSources", "aguard", "build_request", "guard", "read_turns"]

GuardMessage = str | Mapping[str, Any] | BaseModel
"""A message in OpenAI's form, as a mapping or as that client's own object; a plain string is the answer where it comes
last, and else a user's message."""

GuardSource = RecommendedModel | RelatedPaper | Mapping[str, Any] | tuple[str, str]
"""A source; as a mapping it has a ``name`` (a model) or a ``title`` (a paper), as a pair it is a title and its text."""

GuardSources = AnswerRequest | Sequence[GuardSource]

_Role = Literal["user", "assistant"]

_OTHER_ROLES = frozenset({"system", "developer", "tool", "function"})
_EXAMPLE = '{"role": "assistant", "content": "..."}'


def guard(
    messages: Sequence[GuardMessage],
    sources: GuardSources,
    *,
    settings: Settings | None = None,
    verifier: Verifier | None = None,
) -> Report:
    """Every finding on the last assistant message; offsets count in its text (the parts of its content joined).

    The last user message before it is the question; where there is none, `sources` must be a request, whose own
    question then stands. Evidence names the sources in their order: ``M1``, ... the models, ``P1``, ... the papers. A
    message without text, as a call of a tool, asserts nothing and is ok.

    Example:
        >>> report = guard([{"role": "user", "content": question}, {"role": "assistant", "content": text}], request)
        >>> report.ok or [(claim.text, claim.reason) for claim in report.claims]

    Raises:
        RequestError: `messages` or `sources` are not what they must be, with the place and what to do.
        ServiceError: the encoder or the verifier failed; never because of what the answer is.
    """
    question, text = read_turns(messages)
    request = build_request(sources, question, settings=settings)
    return validate(text, request, settings=settings, verifier=verifier)


async def aguard(
    messages: Sequence[GuardMessage],
    sources: GuardSources,
    *,
    settings: Settings | None = None,
    verifier: Verifier | None = None,
) -> Report:
    """`guard` in a thread, for asyncio."""
    return await asyncio.to_thread(guard, messages, sources, settings=settings, verifier=verifier)


def read_turns(messages: Sequence[GuardMessage]) -> tuple[str | None, str]:
    """The last user message before the last assistant message (None where there is none), and the latter's text.

    Raises:
        RequestError: there is no assistant message, or something is no message.
    """
    entries = _entries(messages, "messages", remedy=f"Pass a list of messages: [..., {_EXAMPLE}].")
    turns = [_read_message(message, number, len(entries)) for number, message in enumerate(entries)]
    place = max((number for number, (role, _) in enumerate(turns) if role == "assistant"), default=None)
    if place is None:
        raise RequestError(
            "There is no assistant's message to check.", remedy=f"Add it at the end: {_EXAMPLE}.", field="messages"
        )
    questions = [text for role, text in turns[:place] if role == "user"]
    return (questions[-1] if questions else None), turns[place][1]


def build_request(
    sources: GuardSources, question: str | None = None, *, settings: Settings | None = None, place: str = "sources"
) -> AnswerRequest:
    """The request that asks `question` of `sources`: what evidence points into.

    A question that is a whole request, in the text layout or as JSON, stands for the question in it. `place` is what
    errors call the sources.

    Raises:
        RequestError: something is no source, or nothing asks.
    """
    asked = None if question is None else _asked(question, settings)
    if isinstance(sources, AnswerRequest):
        if asked is None or asked == sources.question:
            return sources
        return _request_of([*sources.models, *sources.papers], asked, settings)
    if asked is None:
        raise RequestError(
            "Nothing asks a question of the sources.",
            remedy="Put a user's message before the answer, or pass an AnswerRequest, which has its own question.",
        )
    remedy = "Pass an AnswerRequest, or a list of models, papers and (title, text) pairs."
    entries = _entries(sources, place, remedy=remedy)
    return _request_of(
        [_read_source(source, f"{place}[{number}]") for number, source in enumerate(entries)], asked, settings
    )


def _read_message(message: object, number: int, n_messages: int) -> tuple[_Role | None, str]:
    """Role and text of one message; no role where it is neither the user's nor the assistant's."""
    place = f"messages[{number}]"
    if isinstance(message, str):
        return ("assistant" if number == n_messages - 1 else "user"), message
    fields = message.model_dump() if isinstance(message, BaseModel) else message
    if not isinstance(fields, Mapping):
        raise RequestError(f"It is {_kind(message)}, not a message.", remedy=f"Write it as {_EXAMPLE}.", field=place)
    named = cast("Mapping[str, object]", fields)
    role = named.get("role")
    if role in _OTHER_ROLES:
        return None, ""
    if role not in ("user", "assistant"):
        raise RequestError(
            f"{role!r} is no role of a chat." if "role" in named else "It has no role.",
            remedy=f"Use one of user, assistant, {', '.join(sorted(_OTHER_ROLES))}.",
            field=f"{place}.role",
        )
    text = _read_content(named.get("content"), f"{place}.content")
    # A refusal is what the user reads in place of an answer.
    return role, text or str(named.get("refusal") or "")


def _read_content(content: object, place: str) -> str:
    """Text of a message's content: a string, or the text parts of a list; pictures and the like hold none."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        raise RequestError(f"It is {_kind(content)}.", remedy="Supply text, or a list of parts.", field=place)
    return "".join(
        _read_part(part, f"{place}[{number}]") for number, part in enumerate(cast("Sequence[object]", content))
    )


def _read_part(part: object, place: str) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise RequestError(
            f"It is {_kind(part)}, not a part.", remedy='Write it as {"type": "text", "text": "..."}.', field=place
        )
    named = cast("Mapping[str, object]", part)
    text = named.get("text", named.get("refusal", ""))
    if not isinstance(text, str):
        raise RequestError(f"Its text is {_kind(text)}.", remedy="Supply text.", field=place)
    return text


def _asked(question: str, settings: Settings | None) -> str:
    """The question in a user's message: all of it, unless it is a request that brings sources along."""
    try:
        return AnswerRequest.from_text(question, settings=settings).question
    except RequestError:
        return question


def _entries(listed: object, place: str, *, remedy: str) -> Sequence[object]:
    """The entries of what must be a list: a text or a mapping can be gone through too, and is a slip here."""
    kind = _kind(listed)
    if isinstance(listed, str | bytes | Mapping) or not isinstance(listed, Sequence):
        raise RequestError(f"It is {kind}, no list.", remedy=remedy, field=place)
    return cast("Sequence[object]", listed)


def _read_source(source: object, place: str) -> RecommendedModel | RelatedPaper:
    kind = _kind(source)
    if isinstance(source, RecommendedModel | RelatedPaper):
        return source
    if isinstance(source, tuple) and len(cast("tuple[object, ...]", source)) == 2:
        title, text = cast("tuple[object, object]", source)
        return _checked("papers", {"title": title, "summary": text}, place).papers[0]
    if isinstance(source, Mapping) and ("name" in source) != ("title" in source):
        fields = dict(cast("Mapping[str, object]", source))
        if "name" in fields:
            return _checked("models", fields, place).models[0]
        return _checked("papers", fields, place).papers[0]
    raise RequestError(
        f"It is {kind}, not a source.",
        remedy="Supply a RecommendedModel, a RelatedPaper, a mapping with a name (model) or a title (paper), or a "
        "(title, text) pair.",
        field=place,
    )


def _checked(group: Literal["models", "papers"], fields: Mapping[str, object], place: str) -> AnswerRequest:
    """A request of this one source, so that its values pass the same checks; what fails is told at `place`."""
    try:
        return AnswerRequest.model_validate({"question": "?", group: [fields]})
    except RequestError as error:
        path = (error.field or group).replace(f"{group}[0]", place).replace(group, place)
        raise RequestError(error.finding, remedy=error.remedy, field=path) from error


def _request_of(
    sources: Sequence[RecommendedModel | RelatedPaper], question: str, settings: Settings | None
) -> AnswerRequest:
    models = [source for source in sources if isinstance(source, RecommendedModel)]
    papers = [source for source in sources if isinstance(source, RelatedPaper)]
    return AnswerRequest.model_validate(
        {"question": question, "models": models, "papers": papers}, context={"settings": settings or Settings()}
    )


def _kind(value: object) -> str:
    """What a value is, in words that a caller of a list of messages or sources knows."""
    if isinstance(value, Mapping):
        keys = ", ".join(sorted(str(key) for key in cast("Mapping[object, object]", value)))
        return f"a mapping with {keys or 'nothing'}"
    return "None" if value is None else f"of type {type(value).__name__}"
