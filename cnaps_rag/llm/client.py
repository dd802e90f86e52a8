"""The LLM behind any OpenAI-compatible endpoint: its reply to a prompt, whole or piece by piece, and what it cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from cnaps_rag.errors import ServiceError, ServiceUnavailableError
from cnaps_rag.llm.asking import Asking, AskingParts
from cnaps_rag.llm.completion import Completion, Reply
from cnaps_rag.llm.streamed import ReplyPart, StreamedCompletion
from cnaps_rag.settings import Settings


class LLM:
    """The LLM that the settings name. Thread-safe; keeps no connection between calls."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def complete(self, prompt: Asking, *, deadline_s: float | None = None) -> Reply:
        """Reply to `prompt` within `deadline_s` seconds (default ``settings.llm_timeout_s``), retries included.

        Raises:
            BadDraftError: it replied with nothing whole: a refusal, a cut-off, no JSON.
            ServiceUnavailableError: it failed in a way that may pass, and no time or retry was left.
            ServiceError: it failed in a way that will not pass. `usage` of each error counts the calls up to then.
        """
        return run_coroutine(self.acomplete(prompt, deadline_s=deadline_s))

    async def acomplete(self, prompt: Asking, *, deadline_s: float | None = None) -> Reply:
        """`complete` for asyncio."""
        limit_s = self.settings.llm_timeout_s if deadline_s is None else deadline_s
        completion = Completion(self.settings, prompt, limit_s)
        failure: ServiceError
        try:
            # Around everything, because the client's own timeout starts again with every byte that arrives.
            async with asyncio.timeout(limit_s):
                return await completion.run()
        except TimeoutError:
            failure = ServiceUnavailableError(
                f"{completion.address} sent no whole reply within {limit_s:g} s. CNAPS_RAG_LLM_TIMEOUT_S allows more."
            )
        except ServiceError as error:
            failure = error
        failure.usage = completion.usage()
        # Outside the handlers, so that no exception of the client, which knows the key, stays chained to ours.
        raise failure

    def astream(
        self, prompt: AskingParts, *, deadline_s: float | None = None
    ) -> AsyncGenerator[ReplyPart | Reply, None]:
        """Parts of the reply's text as they arrive, and last the reply; closing it ends the call.

        The deadline is as of `complete`, but seconds in which the caller kept the LLM waiting do not count.

        Raises:
            ServiceError: as `complete`; of a reply that broke off, `BadDraftError` with what had come.
        """
        limit_s = self.settings.llm_timeout_s if deadline_s is None else deadline_s
        return StreamedCompletion(self.settings, prompt, limit_s).parts()


_T = TypeVar("_T")


def run_coroutine(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Result of `coroutine`, run in this thread or, where an event loop runs in it already, in another."""

    def run() -> _T:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(coroutine)

    try:
        asyncio.get_running_loop()
        is_within_loop = True
    except RuntimeError:
        is_within_loop = False
    if not is_within_loop:
        return run()
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(run).result()
