"""The calls of one completion: retried in one place, asked for less where the endpoint refuses or ignores something.

A server that refuses or ignores JSON schemas is asked for plain JSON, then for text; its reply is checked as much
either way.
"""

from __future__ import annotations

import os
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from cnaps_rag.errors import BadDraftError, ServiceError, ServiceUnavailableError
from cnaps_rag.llm.asking import Asking
from cnaps_rag.llm.dialect import Dialect, Dialects, ReplyFormat
from cnaps_rag.llm.failures import failure_of, is_overflow, is_usable_address, quoted, shown_address
from cnaps_rag.llm.usage import Usage, estimated_cost
from cnaps_rag.prompt import count_tokens
from cnaps_rag.settings import Settings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

DEFAULT_BASE_URL = "https://api.openai.com/v1"

CONNECT_S = 10.0
"""Most seconds to open a connection: a silent host must not use up the time of a retry."""

_dialects = Dialects()
_backoff_s = wait_random_exponential(multiplier=0.5, max=20)

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A reply that holds all that was asked for: its text as sent, what it cost, and how its form was asked for.

    `llm` is the name the server gave, or the one asked for where it gave none. `discarded` are earlier replies of the
    same call that held no answer, after which it was asked for in a weaker way.
    """

    text: str
    usage: Usage
    llm: str
    reply_format: ReplyFormat
    discarded: tuple[str, ...] = ()


class Lenient(BaseModel):
    """What comes from an endpoint: read for what is needed, whatever else it holds."""

    model_config = ConfigDict(extra="ignore")


class ChatMessage(Lenient):
    """Content of a reply, or why there is none."""

    content: str | None = None
    refusal: str | None = None


class Choice(Lenient):
    """One reply."""

    message: ChatMessage
    finish_reason: str | None = None


class TokenCounts(Lenient):
    """Tokens as the server counted them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class ChatCompletion(Lenient):
    """What is read of a chat completion. The client checks none of it: HTML and broken JSON pass through it."""

    choices: list[Choice]
    model: str | None = None
    usage: TokenCounts | None = None


class Completion:
    """One completion on its way: its calls, what they cost so far, and what the endpoint was found to take."""

    def __init__(self, settings: Settings, prompt: Asking, limit_s: float) -> None:
        self.settings = settings
        self.prompt = prompt
        self.address = shown_address(settings.openai_base_url or DEFAULT_BASE_URL)
        self._started_at = time.monotonic()
        self._paused_s = 0.0
        self._limit_s = limit_s
        self._spent = Usage(left_out=prompt.left_out)
        self._n_calls = self._n_replies = 0
        self._dialect = _dialects.recall(self.address, settings.llm or "")

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; those in which our own reader kept the LLM waiting do not count."""
        return self._limit_s - self._seconds()

    def pause(self, seconds: float) -> None:
        """Leaves `seconds` out of the count: the reader was busy, not the LLM."""
        self._paused_s += seconds

    def _seconds(self) -> float:
        return time.monotonic() - self._started_at - self._paused_s

    def usage(self) -> Usage:
        """What was spent up to now."""
        spent = self._spent
        cost = estimated_cost(self.settings, spent.prompt_tokens, spent.completion_tokens) if self._n_calls else 0.0
        n_failed = self._n_calls - self._n_replies
        return spent + Usage(calls=self._n_calls, failed_calls=n_failed, seconds=self._seconds(), cost=cost)

    async def run(self) -> Reply:
        """The first reply that holds all that was asked for."""
        discarded: list[str] = []
        async with self.client() as client:
            while True:
                completion = await self.retried(client, self._send)
                text = self.text_of(completion.choices[0])
                if self.prompt.is_obeyed(text) or self.accepts(text):
                    return self.reply(completion, text, discarded)
                discarded.append(text)

    def reply(self, completion: ChatCompletion, text: str, discarded: Iterable[str]) -> Reply:
        """The reply that `text` is, with all that was spent up to now."""
        return Reply(
            text=text,
            usage=self.usage(),
            llm=completion.model or self.settings.llm or "",
            reply_format=self._dialect.reply_format,
            discarded=tuple(discarded),
        )

    async def retried(self, client: AsyncOpenAI, send: Callable[[AsyncOpenAI, Dialect], Awaitable[_T]]) -> _T:
        """What `send` brings, after as many tries as the settings and the deadline allow."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(ServiceUnavailableError),
            stop=stop_after_attempt(1 + self.settings.llm_max_retries) | stop_before_delay(self.seconds_left),
            wait=_wait_s,
            reraise=True,
        )
        return await retrying(self._call, client, send)

    async def _call(self, client: AsyncOpenAI, send: Callable[[AsyncOpenAI, Dialect], Awaitable[_T]]) -> _T:
        """What one call brings; asks again, for less, where the endpoint refuses something optional."""
        from openai import APIStatusError, OpenAIError

        dialect: Dialect | None = self._dialect
        failure: ServiceError | None = None
        while dialect is not None:
            self._n_calls += 1
            try:
                received = await send(client, dialect)
            except APIStatusError as error:
                failure = failure_of(error, self.settings, self.address)
                dialect = None if is_overflow(error) else dialect.after(error)
            except OpenAIError as error:
                failure, dialect = failure_of(error, self.settings, self.address), None
            else:
                self._learn(dialect)
                return received
        raise failure if failure is not None else AssertionError("a dialect was tried")

    async def _send(self, client: AsyncOpenAI, dialect: Dialect) -> ChatCompletion:
        create: Any = client.chat.completions.with_raw_response.create
        body: bytes = (await create(**dialect.arguments(self.prompt, self.settings))).content
        completion = self.read(body)
        self.count(completion)
        return completion

    def _learn(self, dialect: Dialect) -> None:
        if dialect != self._dialect:
            self._dialect = dialect
            _dialects.remember(self.address, self.settings.llm or "", dialect)

    def read(self, body: bytes) -> ChatCompletion:
        """The completion in a body.

        Raises:
            ServiceUnavailableError: it holds none; a proxy that is starting or failing often sends such.
        """
        try:
            completion = ChatCompletion.model_validate_json(body)
        except ValidationError:
            completion = None
        if completion is not None and completion.choices:
            return completion
        if body[:200].lstrip().lower().startswith((b"<!doctype", b"<html")):
            raise ServiceError(
                f"{self.address} replied with a web page. Set OPENAI_BASE_URL to the address of an OpenAI-compatible "
                "API (it often ends in /v1)."
            )
        told = quoted(body[:1_000].decode("utf-8", "replace"), self.settings)
        raise ServiceUnavailableError(f"{self.address} replied with something that is no chat completion: {told!r}.")

    def count(self, completion: ChatCompletion) -> None:
        """Counts a reply and its tokens, by our own count where the server tells none."""
        told = completion.usage or TokenCounts()
        text = completion.choices[0].message.content or ""
        self._n_replies += 1
        self._spent += Usage(
            prompt_tokens=self.prompt.n_tokens if told.prompt_tokens is None else told.prompt_tokens,
            completion_tokens=count_tokens(text) if told.completion_tokens is None else told.completion_tokens,
            estimated=told.prompt_tokens is None or told.completion_tokens is None,
            llms=(completion.model,) if completion.model else (),
        )

    def text_of(self, choice: Choice) -> str:
        """Text of a reply that is whole.

        Raises:
            BadDraftError: a refusal, a filtered, cut-off or empty reply.
        """
        llm, text = self.settings.llm, choice.message.content or ""
        if choice.message.refusal:
            raise BadDraftError(f"{llm!r} refused: {quoted(choice.message.refusal, self.settings)}", partial_text=text)
        if choice.finish_reason == "content_filter":
            raise BadDraftError(
                f"The content filter of {self.address} stopped the reply of {llm!r}.", partial_text=text
            )
        if choice.finish_reason == "length":
            raise BadDraftError(
                f"The reply of {llm!r} was cut off. CNAPS_RAG_REPLY_LIMIT_TOKENS allows more tokens than "
                f"{self.settings.reply_limit_tokens}.",
                partial_text=text,
            )
        if not text.strip():
            raise BadDraftError(f"The reply of {llm!r} is empty.")
        return text

    def accepts(self, text: str) -> bool:
        """Whether a reply that breaks the schema will do; either way the next request asks in a weaker way.

        Raises:
            BadDraftError: it will not, and there is no weaker way.
        """
        is_whole = self.prompt.is_answered(text)
        weaker = self._dialect.weaker()
        if weaker is None and not is_whole:
            raise BadDraftError(f"The reply of {self.settings.llm!r} holds no JSON of this form.", partial_text=text)
        if weaker is not None and (self._dialect.reply_format == "schema" or not is_whole):
            _dialects.remember(self.address, self.settings.llm or "", weaker)
            self._dialect = self._dialect if is_whole else weaker
        return is_whole

    def client(self) -> AsyncOpenAI:
        """A client for this completion alone: a connection kept for later may be dead by then, or of another loop.

        Raises:
            ServiceError: no LLM is named, or the key or the address cannot be used.
        """
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

        if not self.settings.llm:
            raise ServiceError("No LLM is named. Set CNAPS_RAG_LLM, or let the extractive drafter draft.")
        # Servers in this machine want no key, but the client wants one.
        secret = self.settings.openai_api_key
        key = (secret.get_secret_value().strip() if secret is not None else "") or "none"
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise ServiceError(
                "OPENAI_API_KEY holds a character that cannot stand in a key: blank, control, not ASCII."
            )
        base_url = self.settings.openai_base_url or DEFAULT_BASE_URL
        if not is_usable_address(base_url):
            raise ServiceError("OPENAI_BASE_URL must be the address of an API, as in http://127.0.0.1:8000/v1.")
        try:
            http_client = DefaultAsyncHttpxClient(
                # Redirects are not followed: prompt and key go to the address that the caller named, nowhere else.
                follow_redirects=False,
                verify=_tls_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
                timeout=Timeout(self._limit_s, connect=min(CONNECT_S, self._limit_s)),
                # Proxies of the environment are used, but never to reach this machine itself.
                mounts=dict.fromkeys(("all://localhost", "all://127.0.0.1", "all://[::1]")),
            )
        except (OSError, ValueError) as error:
            raise ServiceError(
                f"No client for {self.address} could be set up: {quoted(str(error), self.settings)}. Check HTTP_PROXY, "
                "HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE."
            ) from None
        return AsyncOpenAI(api_key=key, base_url=base_url, max_retries=0, http_client=http_client)


@cache
def _tls_context(cafile: str | None, capath: str | None) -> ssl.SSLContext:
    """What connections are secured with; made once, because reading all certificates takes 20 ms."""
    return ssl.create_default_context(cafile=cafile, capath=capath)


def _wait_s(state: RetryCallState) -> float:
    """Seconds to the next try: what the server asked for and a little more, else exponential with full jitter."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked_s = error.retry_after_s if isinstance(error, ServiceUnavailableError) else None
    # A little more, so that clients which were sent away together do not come back together.
    return _backoff_s(state) if not asked_s else asked_s + random.uniform(0, 0.5)
