"""A completion that is read while it arrives: its text part by part, then the reply that all of it makes.

Until the first part has come, a call is retried and asked for less as any other. From then on nothing is asked again
that could already be in use: a reply that breaks off is a broken-off reply.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import InstanceOf

from cnaps_rag.errors import BadDraftError, ServiceError, ServiceUnavailableError
from cnaps_rag.llm.asking import AskingParts
from cnaps_rag.llm.completion import ChatCompletion, ChatMessage, Choice, Completion, Lenient, Reply, TokenCounts
from cnaps_rag.llm.dialect import Dialect
from cnaps_rag.llm.failures import failure_of, transport_error_of
from cnaps_rag.settings import Settings

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream

_T = TypeVar("_T")


AT_ONCE_S = 0.001
"""A chunk that comes sooner lay there already, and so may the next: reading on costs little."""

PAUSE_S_BY_READER, LIMIT_PAUSE_S = 0.0015, 0.1
"""To be woken for a token costs more than to read it. With many replies at once each is looked at less often, so that
tokens come by the handful; a claim is whole by so much later, at most."""


class _Readers:
    """How many replies are being read in this process."""

    def __init__(self) -> None:
        self.n_open = 0

    def pause_s(self) -> float:
        """Seconds to leave a reply alone; none where there are few."""
        pause_s = min(self.n_open * PAUSE_S_BY_READER, LIMIT_PAUSE_S)
        return pause_s if pause_s > 0.01 else 0.0


readers = _Readers()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplyPart:
    """The next part of a reply's text; `starts` where it is the first, and what came before is void."""

    text: str
    starts: bool = False


class _Delta(Lenient):
    content: InstanceOf[str] | None = None  # `str` itself would refuse half a character
    refusal: InstanceOf[str] | None = None


class _ChunkChoice(Lenient):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(Lenient):
    choices: list[_ChunkChoice] | None = None
    model: str | None = None
    usage: TokenCounts | None = None


class _Received:
    """What has come of one reply."""

    def __init__(self) -> None:
        self.text = self.refusal = self._half = ""
        self.finish_reason: str | None = None
        self.model: str | None = None
        self.usage: TokenCounts | None = None

    def take(self, chunk: _Chunk) -> str:
        """Adds a chunk; the text that it brought."""
        self.model = chunk.model or self.model
        self.usage = chunk.usage or self.usage
        brought = ""
        for choice in (chunk.choices or [])[:1]:
            self.finish_reason = choice.finish_reason or self.finish_reason
            brought = (choice.delta.content or "") if choice.delta is not None else ""
            self.refusal += (choice.delta.refusal or "") if choice.delta is not None else ""
        brought = self._whole_characters(brought)
        self.text += brought
        return brought

    def _whole_characters(self, brought: str) -> str:
        """`brought` with the half character before it, and without one at its end: some servers cut surrogate pairs."""
        brought = self._half + brought
        self._half = brought[-1:] if "\ud800" <= brought[-1:] <= "\udbff" else ""
        whole = brought[: len(brought) - len(self._half)]
        return whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def take_whole(self, completion: ChatCompletion) -> None:
        """Takes a completion that came in one piece."""
        choice = completion.choices[0]
        self.text, self.refusal = choice.message.content or "", choice.message.refusal or ""
        self.finish_reason, self.model, self.usage = choice.finish_reason or "stop", completion.model, completion.usage

    def completion(self) -> ChatCompletion:
        """All of it as a completion that came whole."""
        message = ChatMessage(content=self.text, refusal=self.refusal or None)
        choice = Choice(message=message, finish_reason=self.finish_reason)
        return ChatCompletion(choices=[choice], model=self.model, usage=self.usage)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A reply whose first text has come: what it is, and the chunks still to come; none where it came whole."""

    received: _Received
    chunks: AsyncGenerator[_Chunk, None] | None


class StreamedCompletion:
    """One completion on its way, in parts."""

    def __init__(self, settings: Settings, prompt: AskingParts, limit_s: float) -> None:
        self._prompt = prompt
        self._limit_s = limit_s
        self._completion = Completion(settings, prompt, limit_s)

    async def parts(self) -> AsyncGenerator[ReplyPart | Reply, None]:
        """Parts of the reply's text, and last the reply that holds all that was asked for.

        Raises:
            ServiceError: as `LLM.acomplete`; what came of a reply that broke off is its error's `partial_text`.
        """
        failure: ServiceError
        readers.n_open += 1
        try:
            async with self._completion.client() as client, aclosing(self._tries(client)) as tries:
                async for part in tries:
                    read_from = time.monotonic()
                    yield part
                    self._completion.pause(time.monotonic() - read_from)
                return
        except ServiceError as error:
            failure = error
        finally:
            readers.n_open -= 1
        failure.usage = self._completion.usage()
        # Outside the handler, so that no exception of the client, which knows the key, stays chained to ours.
        raise failure

    async def _tries(self, client: AsyncOpenAI) -> AsyncGenerator[ReplyPart | Reply, None]:
        discarded: list[str] = []
        while True:
            opened = await self._in_time(self._completion.retried(client, self._open))
            received = opened.received
            yield ReplyPart(text=received.text, starts=True)
            if opened.chunks is not None:
                async with aclosing(self._texts(opened.chunks, received)) as texts:
                    async for text in texts:
                        yield ReplyPart(text=text)
            completion = received.completion()
            self._completion.count(completion)
            text = self._completion.text_of(completion.choices[0])
            if self._is_accepted(text):
                yield self._completion.reply(completion, text, discarded)
                return
            discarded.append(text)

    def _is_accepted(self, text: str) -> bool:
        """Whether the reply will do; one that will not is asked for again only where nothing of it can be in use."""
        if self._prompt.is_obeyed(text):
            return True
        is_whole = self._completion.accepts(text)
        if not is_whole and self._prompt.is_begun(text):
            raise BadDraftError(f"The reply of {self._completion.settings.llm!r} is not whole.", partial_text=text)
        return is_whole

    async def _open(self, client: AsyncOpenAI, dialect: Dialect) -> _Opened:
        """A reply up to its first text; one that is sent whole, because the endpoint does not stream, whole."""
        from openai import APIConnectionError, AsyncStream

        arguments = dialect.arguments(self._prompt, self._completion.settings, streams=True)
        # `object`, because the client's own chunk type costs more than all else that is done with a chunk.
        stream: AsyncStream[object] = await client.post(
            "/chat/completions", cast_to=object, body=arguments, stream=True, stream_cls=AsyncStream[object]
        )
        received = _Received()
        if not stream.response.headers.get("content-type", "").startswith("text/event-stream"):
            try:
                body = await stream.response.aread()
            except transport_error_of(stream.response) as error:
                raise APIConnectionError(request=stream.response.request) from error
            received.take_whole(self._completion.read(body))
            return _Opened(received, None)
        chunks = self._chunks(stream)
        try:
            async for chunk in chunks:
                if received.take(chunk) or received.finish_reason:
                    return _Opened(received, chunks)
        except BaseException:
            await chunks.aclose()
            raise
        raise ServiceUnavailableError(f"{self._completion.address} sent an empty stream.")

    async def _chunks(self, stream: AsyncStream[object]) -> AsyncGenerator[_Chunk, None]:
        """Chunks of a stream, read leniently; ends the call when it is closed.

        Raises:
            ServiceError: the stream breaks, holds an error, or a chunk that cannot be read and may be a part of the
                reply.
        """
        from openai import OpenAIError

        address = self._completion.address
        failure: ServiceError | None = None
        try:
            async with stream:
                async for chunk in stream:
                    # Some proxies send notes of their own between the chunks.
                    if isinstance(chunk, dict) and ("choices" in chunk or "usage" in chunk):
                        yield _Chunk.model_validate(chunk)
        except OpenAIError as error:
            failure = failure_of(error, self._completion.settings, address)
        except (ValueError, RecursionError):  # no UTF-8, no JSON, nested too deep, or no chunk
            failure = ServiceUnavailableError(f"{address} sent a chunk that cannot be read.")
        if failure is not None:
            raise failure

    async def _texts(self, chunks: AsyncGenerator[_Chunk, None], received: _Received) -> AsyncGenerator[str, None]:
        """Texts of the further chunks.

        Raises:
            BadDraftError: the reply breaks off.
        """
        failure: ServiceError | None = None
        async with aclosing(chunks):
            while failure is None:
                asked_at = time.monotonic()
                try:
                    chunk = await self._in_time(anext(chunks, None))
                except ServiceError as error:
                    failure = error
                    continue
                if chunk is None:
                    break
                was_awaited = time.monotonic() - asked_at > AT_ONCE_S
                if text := received.take(chunk):
                    yield text
                if was_awaited and (pause_s := readers.pause_s()):
                    await asyncio.sleep(pause_s)
        is_ended = received.finish_reason is not None or self._prompt.is_answered(received.text)
        if failure is not None or not is_ended:
            raise self._broken_off(received, failure)

    def _broken_off(self, received: _Received, failure: ServiceError | None) -> BadDraftError:
        self._completion.count(received.completion())
        why = f" {failure}" if failure is not None else ""
        llm = self._completion.settings.llm
        return BadDraftError(f"The reply of {llm!r} broke off.{why}", partial_text=received.text)

    async def _in_time(self, awaited: Awaitable[_T]) -> _T:
        """What `awaited` brings before the deadline."""
        try:
            async with asyncio.timeout(max(0.0, self._completion.seconds_left)):
                return await awaited
        except TimeoutError:
            pass
        raise ServiceUnavailableError(
            f"{self._completion.address} sent no whole reply within {self._limit_s:g} s. CNAPS_RAG_LLM_TIMEOUT_S "
            "allows more."
        )
