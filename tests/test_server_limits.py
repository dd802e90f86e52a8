from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from redis_servers import free_port, running_redis

from cnaps_rag.server.limits import Admission, RateLimit, TooBusy
from cnaps_rag.server.settings import ServerSettings


def server(**given: Any) -> ServerSettings:
    return ServerSettings(**given)


async def n_let_through(limit: RateLimit, owner: str, n_tries: int) -> int:
    n = 0
    for _ in range(n_tries):
        try:
            await limit.check(owner)
        except TooBusy:
            continue
        n += 1
    return n


def test_each_key_has_its_own_rate() -> None:
    async def run() -> None:
        limit = RateLimit(server(rate_per_minute=3))
        assert await n_let_through(limit, "a", 5) == 3
        assert await n_let_through(limit, "b", 5) == 3
        with pytest.raises(TooBusy) as refused:
            await limit.check("a")
        assert refused.value.reason == "rate"
        assert 50 < refused.value.retry_after_s <= 60, "the window frees a place when its first request is a minute old"

    asyncio.run(run())


def test_no_rate_is_no_limit() -> None:
    assert asyncio.run(n_let_through(RateLimit(server(rate_per_minute=0)), "a", 500)) == 500


def test_workers_count_together_in_redis(tmp_path: Path) -> None:
    async def run(url: str) -> None:
        first, second = (RateLimit(server(rate_per_minute=4, redis_url=url)) for _ in range(2))
        try:
            assert await n_let_through(first, "a", 3) == 3
            assert await n_let_through(second, "a", 3) == 1
            assert await n_let_through(second, "b", 3) == 3
        finally:
            await first.close()
            await second.close()

    with running_redis(tmp_path) as redis:
        asyncio.run(run(redis.url))


def test_the_limit_outlives_redis_and_the_outage_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        with running_redis(tmp_path) as redis:
            limit = RateLimit(server(rate_per_minute=4, redis_url=redis.url))
            assert await n_let_through(limit, "a", 2) == 2
            redis.stop()
            assert await n_let_through(limit, "a", 9) == 4, "this worker's own count, and never no limit"
            await limit.close()

    with caplog.at_level("INFO", "cnaps_rag.server"):
        asyncio.run(run())
    assert caplog.text.count("redis_failed") == 1


def test_a_redis_that_never_was_is_told_without_its_address(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()

    async def run() -> None:
        limit = RateLimit(server(rate_per_minute=2, redis_url=f"redis://:secret@127.0.0.1:{port}/0"))
        assert await n_let_through(limit, "a", 5) == 2
        await limit.close()

    asyncio.run(run())
    assert "redis_failed" in caplog.text
    assert "secret" not in caplog.text
    assert str(port) not in caplog.text


def test_places_are_bounded_and_given_in_order_of_arrival() -> None:
    async def run() -> None:
        seen: list[tuple[int, int]] = []
        admission = Admission(
            server(limit_running=2, limit_waiting=2), watch=lambda running, waiting: seen.append((running, waiting))
        )
        order: list[int] = []
        go = asyncio.Event()

        async def answer(number: int) -> None:
            async with admission.place():
                order.append(number)
                await go.wait()

        tasks = [asyncio.create_task(answer(number)) for number in range(4)]
        await asyncio.sleep(0.01)
        assert (order, admission.running, admission.waiting) == ([0, 1], 2, 2)
        with pytest.raises(TooBusy) as refused:
            await answer(4)
        assert refused.value.reason == "queue_full"
        assert refused.value.retry_after_s >= 1
        go.set()
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2, 3]
        assert (admission.running, admission.waiting) == (0, 0)
        assert max(running for running, _ in seen) == 2
        assert seen[-1] == (0, 0)

    asyncio.run(run())


def test_one_who_waits_too_long_is_sent_away_and_leaves_no_trace() -> None:
    async def run() -> None:
        admission = Admission(server(limit_running=1, limit_wait_s=0.05))
        async with admission.place():
            with pytest.raises(TooBusy) as refused:
                async with admission.place():
                    pytest.fail("there was no place")
            assert refused.value.reason == "queue_wait"
        async with admission.place():
            assert (admission.running, admission.waiting) == (1, 0)

    asyncio.run(run())


def test_one_who_may_not_wait_still_gets_a_free_place() -> None:
    async def run() -> None:
        admission = Admission(server(limit_running=1, limit_waiting=0, limit_wait_s=0))
        for _ in range(3):
            async with admission.place():
                with pytest.raises(TooBusy):
                    async with admission.place():
                        pytest.fail("there was no place")

    asyncio.run(run())


def test_a_client_that_leaves_gives_back_its_place_wherever_it_was() -> None:
    async def run() -> None:
        admission = Admission(server(limit_running=1, limit_waiting=5))

        async def answer() -> None:
            async with admission.place():
                await asyncio.sleep(60)

        tasks = [asyncio.create_task(answer()) for _ in range(4)]
        await asyncio.sleep(0.01)
        for task in (tasks[2], tasks[0], tasks[1], tasks[3]):  # one that waits, the one that runs, its heirs
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0.01)
        assert (admission.running, admission.waiting) == (0, 0)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(admission.place())

    asyncio.run(run())


def test_a_place_is_given_back_when_the_answer_fails() -> None:
    async def run() -> None:
        admission = Admission(server(limit_running=1, limit_waiting=0))
        for _ in range(3):
            with pytest.raises(ValueError, match="failed"):
                async with admission.place():
                    raise ValueError("failed")

    asyncio.run(run())


def test_the_queue_tells_a_longer_wait_where_answers_take_longer() -> None:
    async def retry_after_s(answer_s: float) -> float:
        admission = Admission(server(limit_running=1, limit_waiting=0))
        for _ in range(30):
            async with admission.place():
                await asyncio.sleep(answer_s)
        async with admission.place():
            with pytest.raises(TooBusy) as refused:
                async with admission.place():
                    pytest.fail("there was no place")
        return refused.value.retry_after_s

    assert asyncio.run(retry_after_s(0.0)) == 1.0, "a wait below a second is told as one"
