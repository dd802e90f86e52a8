from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
from redis_servers import running_redis

from cnaps_rag.server.redis_server import Outage
from cnaps_rag.server.settings import ServerSettings
from cnaps_rag.server.store import MemoryStore, RedisStore, open_store


def test_memory_keeps_what_was_used_last_within_count_and_bytes() -> None:
    async def run() -> None:
        store = MemoryStore(limit_answers=2, limit_bytes=10)
        await store.put("a", b"aaa", ttl_s=60)
        await store.put("b", b"bbb", ttl_s=60)
        assert await store.get("a") == b"aaa"
        await store.put("c", b"ccc", ttl_s=60)
        assert [await store.get(key) for key in "abc"] == [b"aaa", None, b"ccc"]
        await store.put("d", b"d" * 9, ttl_s=60)
        assert [await store.get(key) for key in "acd"] == [None, None, b"d" * 9]
        await store.put("e", b"e" * 11, ttl_s=60)
        assert await store.get("e") is None, "larger than everything together may be"
        await store.put("d", b"dd", ttl_s=60)
        await store.put("f", b"f" * 8, ttl_s=60)
        assert [await store.get(key) for key in "df"] == [b"dd", b"f" * 8], "the old content's bytes count no more"

    asyncio.run(run())


def test_memory_forgets_what_is_too_old() -> None:
    async def run() -> None:
        store = MemoryStore(limit_answers=2, limit_bytes=10)
        await store.put("a", b"aaa", ttl_s=0.02)
        assert await store.get("a") == b"aaa"
        await asyncio.sleep(0.03)
        assert await store.get("a") is None

    asyncio.run(run())


def test_a_cache_of_no_answers_keeps_none() -> None:
    async def run() -> None:
        for url in (None, "redis://127.0.0.1:1/0"):
            store = open_store(ServerSettings.model_validate({"cache_answers": 0, "redis_url": url}))
            await store.put("a", b"a", ttl_s=60)
            assert await store.get("a") is None

    asyncio.run(run())


def test_workers_share_what_is_in_redis(tmp_path: Path) -> None:
    async def run(url: str) -> None:
        first, second = (open_store(ServerSettings.model_validate({"redis_url": url})) for _ in range(2))
        assert isinstance(first, RedisStore)
        assert await second.get("a") is None
        await first.put("a", b"\x00\xff", ttl_s=60)
        await first.put("b", b"b", ttl_s=0.05)
        assert await second.get("a") == b"\x00\xff"
        await asyncio.sleep(0.1)
        assert await second.get("b") is None
        await first.close()
        await second.close()

    with running_redis(tmp_path) as redis:
        asyncio.run(run(redis.url))


def test_a_redis_that_goes_is_a_miss_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        with running_redis(tmp_path) as redis:
            store = RedisStore(redis.url)
            await store.put("a", b"a", ttl_s=60)
            redis.stop()
            started = time.monotonic()
            for _ in range(5):
                assert await store.get("a") is None
                await store.put("a", b"a", ttl_s=60)
            assert time.monotonic() - started < 2, "after the first failure Redis is left alone"
            await store.close()

    with caplog.at_level("INFO", "cnaps_rag.server"):
        asyncio.run(run())
    assert caplog.text.count("redis_failed") == 1


def test_a_redis_that_says_nothing_costs_half_a_second_once(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> float:
        # Connections to it are taken by the kernel, and nobody ever says a word.
        with socket.create_server(("127.0.0.1", 0)) as silent:
            store = RedisStore(f"redis://:secret@127.0.0.1:{silent.getsockname()[1]}/0")
            started = time.monotonic()
            for _ in range(5):
                assert await store.get("a") is None
            took_s = time.monotonic() - started
            await store.close()
            return took_s

    assert asyncio.run(run()) < 1.5
    assert "redis_failed" in caplog.text
    assert "secret" not in caplog.text


def test_redis_is_used_again_when_it_is_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        with running_redis(tmp_path) as redis:
            store = RedisStore(redis.url, outage=Outage("cache", instead="-", left_alone_s=0.05))
            redis.stop()
            assert await store.get("a") is None
            redis.start()
            await asyncio.sleep(0.1)
            await store.put("a", b"a", ttl_s=60)
            assert await store.get("a") == b"a"
            await store.close()

    with caplog.at_level("INFO", "cnaps_rag.server"):
        asyncio.run(run())
    assert caplog.text.count("redis_answers_again") == 1
