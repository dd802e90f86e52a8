"""Runs the steps of an answer: makes the LLM calls that they yield, in threads or on asyncio, whole or as a stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from anyio import CancelScope
from anyio.from_thread import start_blocking_portal

from cnaps_rag.answer import Answer
from cnaps_rag.errors import ServiceError
from cnaps_rag.llm import Completes, Reply, Streams
from cnaps_rag.pipeline.calls import LLMCall
from cnaps_rag.pipeline.events import AnswerEvent

Steps = Generator[LLMCall, Reply | None, Answer]
Resume = Callable[[], LLMCall]

_T = TypeVar("_T")


def run_steps(steps: Steps, llm: Completes) -> Answer:
    """The answer at the end of `steps`."""
    call = _next_call(steps.__next__)
    while isinstance(call, LLMCall):
        try:
            reply = llm.complete(call.prompt, deadline_s=call.deadline_s)
        except ServiceError as error:
            call = _next_call(partial(steps.throw, error))
        else:
            call = _next_call(partial(steps.send, reply))
    return call


async def arun_steps(steps: Steps, llm: Completes) -> Answer:
    """`run_steps` for asyncio: the steps run in a thread."""
    call = await asyncio.to_thread(_next_call, steps.__next__)
    while isinstance(call, LLMCall):
        resume = await _asked(call, steps, llm)
        call = await asyncio.to_thread(_next_call, resume)
    return call


async def astream_steps(steps: Steps, told: deque[AnswerEvent], llm: Streams) -> AsyncGenerator[AnswerEvent, None]:
    """Events that the steps put into `told`, as soon as they do; closing it ends the LLM's call and the steps."""
    resume: Resume = steps.__next__
    try:
        while True:
            call = await _in_thread(partial(_next_call, resume))
            while told:
                yield told.popleft()
            if not isinstance(call, LLMCall):
                return
            if call.reader is None:
                resume = await _asked(call, steps, llm)
                continue
            async with aclosing(_read_parts(call, steps, llm)) as parts:
                async for going_on in parts:
                    resume = going_on
                    while told:
                        yield told.popleft()
    finally:
        steps.close()


async def _asked(call: LLMCall, steps: Steps, llm: Completes) -> Resume:
    """How the steps go on after `call`."""
    try:
        reply = await llm.acomplete(call.prompt, deadline_s=call.deadline_s)
    except ServiceError as error:
        return partial(steps.throw, error)
    return partial(steps.send, reply)


async def _read_parts(call: LLMCall, steps: Steps, llm: Streams) -> AsyncGenerator[Resume, None]:
    """Feeds the reply to the call's reader; yields whenever the steps have taken news, last how they go on."""
    resume: Resume = steps.__next__
    try:
        async with aclosing(llm.astream(call.prompt, deadline_s=call.deadline_s)) as parts:
            async for part in parts:
                if isinstance(part, Reply):
                    resume = partial(steps.send, part)
                elif call.takes(part):
                    await _in_thread(steps.__next__)
                    yield steps.__next__
    except ServiceError as error:
        resume = partial(steps.throw, error)
    yield resume


async def _in_thread(work: Callable[[], _T]) -> _T:
    """What `work` returns; a caller that is cancelled waits for its end: steps cannot be closed while they run."""
    working = asyncio.get_running_loop().run_in_executor(None, work)
    cancelled: asyncio.CancelledError | None = None
    with CancelScope(shield=True):  # a scope of anyio's that is cancelled cancels whatever it holds, again and again
        while not working.done():
            try:
                await asyncio.wait([working])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        working.exception()  # retrieved, or the loop would log it
        raise cancelled
    return working.result()


def stream_in_thread(events: AsyncGenerator[_T, None]) -> Generator[_T, None, None]:
    """`events` for a caller without an event loop, or within one that must not wait; closing it closes `events`."""
    turn = asyncio.Lock()

    async def take() -> _T:
        async with turn:
            return await anext(events)

    async def close() -> None:
        async with turn:
            await events.aclose()

    with start_blocking_portal() as portal:
        taking: Future[_T] | None = None
        try:
            while True:
                taking = portal.start_task_soon(take)
                try:
                    event = taking.result()
                except StopAsyncIteration:
                    return
                yield event
        finally:
            if taking is not None:
                taking.cancel()  # still going on where the caller was interrupted while it waited
            portal.call(close)


def _next_call(resume: Resume) -> LLMCall | Answer:
    """Runs the steps up to their next LLM call, or to the answer."""
    try:
        return resume()
    except StopIteration as done:
        answer: Answer = done.value
        return answer
