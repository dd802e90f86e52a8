"""Exchanges with an LLM, kept as they went and given again: the same prompt gets the same reply, without an LLM."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from cnaps_rag.errors import BadDraftError, ServiceError, ServiceUnavailableError
from cnaps_rag.llm.asking import Asking, AskingParts
from cnaps_rag.llm.completion import Reply
from cnaps_rag.llm.dialect import ReplyFormat
from cnaps_rag.llm.streamed import ReplyPart
from cnaps_rag.llm.usage import Usage
from cnaps_rag.settings import Settings

FailureKind = Literal["bad_draft", "unavailable", "failed"]


class Completes(Protocol):
    """Whatever replies to a prompt: the LLM itself, or a record of it."""

    def complete(self, prompt: Asking, *, deadline_s: float | None = None) -> Reply:
        """Reply to `prompt`, as `LLM.complete`."""
        ...

    async def acomplete(self, prompt: Asking, *, deadline_s: float | None = None) -> Reply:
        """`complete` for asyncio."""
        ...


class Streams(Completes, Protocol):
    """Whatever replies to a prompt, whole or part by part."""

    def astream(
        self, prompt: AskingParts, *, deadline_s: float | None = None
    ) -> AsyncGenerator[ReplyPart | Reply, None]:
        """Parts of the reply and last the reply, as `LLM.astream`."""
        ...


class Failure(BaseModel):
    """Why a call brought no reply that could be used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FailureKind
    message: str
    partial_text: str = ""


class Asked(BaseModel):
    """Hashes of what was sent: all of it, as `hash_asked` makes it, and the messages and the schema alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    messages_sha256: str
    schema_sha256: str


class Exchange(BaseModel):
    """One call: what was asked, as hashes, and all that came back.

    Attributes:
        text: the reply as sent; None where `failure` tells why there is none.
        discarded: earlier replies of the same call that were no answer, as sent.
        llm: the LLM as the server called it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    asked: Asked
    llm: str
    text: str | None = None
    discarded: tuple[str, ...] = ()
    reply_format: ReplyFormat = "schema"
    failure: Failure | None = None
    usage: Usage


def sha256_of(value: object) -> str:
    """Hash of a plain value: SHA-256 of its JSON with sorted keys and no blanks, in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def hash_asked(prompt: Asking, settings: Settings) -> Asked:
    """Hashes of all that decides a reply as far as the caller can: a change of any of it wants another recording."""
    messages = list(prompt.messages)
    asked = {
        "messages": messages,
        "schema": prompt.schema,
        "llm": settings.llm,
        "temperature": settings.llm_temperature,
        "seed": settings.llm_seed,
        "reply_limit_tokens": settings.reply_limit_tokens,
    }
    return Asked(sha256=sha256_of(asked), messages_sha256=sha256_of(messages), schema_sha256=sha256_of(prompt.schema))


class RecordingLLM:
    """Passes every call on to `llm` and keeps it in `exchanges`, failures included. Thread-safe."""

    def __init__(self, llm: Streams, settings: Settings) -> None:
        self._llm = llm
        self._settings = settings
        self._lock = threading.Lock()
        self._exchanges: list[Exchange] = []

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Everything so far, in the order in which the calls ended."""
        with self._lock:
            return tuple(self._exchanges)

    def complete(self, prompt: Asking, *, deadline_s: float | None = None) -> Reply:
        """As `LLM.complete`.

        Raises:
            ServiceError: what `llm` raises.
        """
        try:
            reply = self._llm.complete(prompt, deadline_s=deadline_s)
        except ServiceError as error:
            self._keep_failure(prompt, error)
            raise
        return self._kept(prompt, reply)

    async def acomplete(self, prompt: Asking, *, deadline_s: float | None = None) -> Reply:
        """`complete` for asyncio."""
        try:
            reply = await self._llm.acomplete(prompt, deadline_s=deadline_s)
        except ServiceError as error:
            self._keep_failure(prompt, error)
            raise
        return self._kept(prompt, reply)

    async def astream(
        self, prompt: AskingParts, *, deadline_s: float | None = None
    ) -> AsyncGenerator[ReplyPart | Reply, None]:
        """As `LLM.astream`; a stream that is closed early is no exchange.

        Raises:
            ServiceError: what `llm` raises.
        """
        try:
            async with aclosing(self._llm.astream(prompt, deadline_s=deadline_s)) as parts:
                async for part in parts:
                    yield part if isinstance(part, ReplyPart) else self._kept(prompt, part)
        except ServiceError as error:
            self._keep_failure(prompt, error)
            raise

    def _kept(self, prompt: Asking, reply: Reply) -> Reply:
        kept = Exchange(
            asked=hash_asked(prompt, self._settings),
            llm=reply.llm,
            text=reply.text,
            discarded=reply.discarded,
            reply_format=reply.reply_format,
            usage=reply.usage,
        )
        self._keep(kept)
        return reply

    def _keep_failure(self, prompt: Asking, error: ServiceError) -> None:
        failure = Failure(kind=_kind_of(error), message=str(error), partial_text=getattr(error, "partial_text", ""))
        llm, usage = self._settings.llm or "", error.usage or Usage()
        self._keep(Exchange(asked=hash_asked(prompt, self._settings), llm=llm, failure=failure, usage=usage))

    def _keep(self, exchange: Exchange) -> None:
        with self._lock:
            self._exchanges.append(exchange)


class RecordedLLM:
    """Gives recorded exchanges again, each once, to whoever asks the same; no LLM, no network. Thread-safe."""

    def __init__(self, exchanges: Iterable[Exchange], settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._left: defaultdict[str, deque[Exchange]] = defaultdict(deque)
        for exchange in exchanges:
            self._left[exchange.asked.sha256].append(exchange)

    @property
    def left(self) -> tuple[Exchange, ...]:
        """Exchanges that nobody has asked for yet."""
        with self._lock:
            return tuple(exchange for left in self._left.values() for exchange in left)

    def complete(self, prompt: Asking, *, deadline_s: float | None = None) -> Reply:
        """The reply that this very prompt got; what failed then fails again, in the same way.

        Raises:
            ServiceError: it failed then, or nothing was recorded for this prompt.
        """
        del deadline_s  # what was recorded came in time, or is recorded as too late
        with self._lock:
            left = self._left[hash_asked(prompt, self._settings).sha256]
            exchange = left.popleft() if left else None
        if exchange is None:
            raise ServiceError(
                "Nothing was recorded for this prompt: the request, the prompts or the settings are not those of the "
                "recording. Record again."
            )
        if exchange.failure is not None:
            error = _error_of(exchange.failure)
            error.usage = exchange.usage
            raise error
        return Reply(
            text=exchange.text or "",
            usage=exchange.usage,
            llm=exchange.llm,
            reply_format=exchange.reply_format,
            discarded=exchange.discarded,
        )

    async def acomplete(self, prompt: Asking, *, deadline_s: float | None = None) -> Reply:
        """`complete` for asyncio."""
        return await asyncio.to_thread(self.complete, prompt, deadline_s=deadline_s)

    async def astream(
        self, prompt: AskingParts, *, deadline_s: float | None = None
    ) -> AsyncGenerator[ReplyPart | Reply, None]:
        """The recorded reply as one part, then as the reply.

        Raises:
            ServiceError: as `complete`.
        """
        reply = await self.acomplete(prompt, deadline_s=deadline_s)
        yield ReplyPart(text=reply.text, starts=True)
        yield reply


def _kind_of(error: ServiceError) -> FailureKind:
    if isinstance(error, BadDraftError):
        return "bad_draft"
    return "unavailable" if isinstance(error, ServiceUnavailableError) else "failed"


def _error_of(failure: Failure) -> ServiceError:
    if failure.kind == "bad_draft":
        return BadDraftError(failure.message, partial_text=failure.partial_text)
    return (ServiceUnavailableError if failure.kind == "unavailable" else ServiceError)(failure.message)
