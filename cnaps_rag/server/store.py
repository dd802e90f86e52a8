"""Answers that were made before: in this process, or in Redis for all workers."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from cnaps_rag.server.redis_server import Outage, redis_pool
from cnaps_rag.server.settings import ServerSettings

_KEY_PREFIX: Final = "cnaps_rag:answer:"


class Store(Protocol):
    """Contents by key, each for a time. Never raises for a reason of its own: what fails is a miss."""

    async def get(self, key: str) -> bytes | None:
        """Content that was put under `key` and is not too old; None where there is none."""
        ...

    async def put(self, key: str, content: bytes, *, ttl_s: float) -> None:
        """Keeps `content` under `key` for `ttl_s` seconds, or less where room is short."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class _Kept:
    content: bytes
    until: float  # by time.monotonic


class MemoryStore:
    """A store in this process, for one event loop; the least recently used goes first when room is short."""

    def __init__(self, *, limit_answers: int, limit_bytes: int) -> None:
        self._limit_answers = limit_answers
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._n_bytes = 0

    async def get(self, key: str) -> bytes | None:
        """Content under `key`, or None."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until <= time.monotonic():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept.content

    async def put(self, key: str, content: bytes, *, ttl_s: float) -> None:
        """Keeps `content`, at the cost of what was longest unused."""
        self._drop(key)
        if len(content) > self._limit_bytes or self._limit_answers == 0:
            return
        self._kept[key] = _Kept(content, time.monotonic() + ttl_s)
        self._n_bytes += len(content)
        while len(self._kept) > self._limit_answers or self._n_bytes > self._limit_bytes:
            self._drop(next(iter(self._kept)))

    async def close(self) -> None:
        """Forgets everything."""
        self._kept.clear()
        self._n_bytes = 0

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._n_bytes -= len(kept.content)


class RedisStore:
    """A store that all workers share. While Redis does not answer, nothing is found and nothing kept.

    Redis bounds what is kept, by age here and by its own ``maxmemory`` (policy ``allkeys-lru`` or ``volatile-lru``).
    """

    def __init__(self, url: str, *, outage: Outage | None = None) -> None:
        self._redis = Redis(connection_pool=redis_pool(url))
        self._outage = outage if outage is not None else Outage("cache", instead="every answer is made anew")

    async def get(self, key: str) -> bytes | None:
        """Content under `key`, or None; also when Redis fails."""
        if self._outage.left_alone:
            return None
        try:
            content = await self._redis.get(_KEY_PREFIX + key)
        except (RedisError, OSError) as error:
            self._outage.failed(error)
            return None
        self._outage.answered()
        return content if isinstance(content, bytes) else None

    async def put(self, key: str, content: bytes, *, ttl_s: float) -> None:
        """Keeps `content`, unless Redis fails."""
        if self._outage.left_alone:
            return
        try:
            await self._redis.set(_KEY_PREFIX + key, content, px=max(1, round(ttl_s * 1_000)))
        except (RedisError, OSError) as error:
            self._outage.failed(error)
        else:
            self._outage.answered()

    async def close(self) -> None:
        """Closes the connections to Redis."""
        await self._redis.aclose(close_connection_pool=True)


def open_store(server: ServerSettings) -> Store:
    """The store that the settings ask for; no connection is made yet."""
    if server.redis_url is not None and server.cache_answers:
        return RedisStore(server.redis_url.get_secret_value())
    return MemoryStore(limit_answers=server.cache_answers, limit_bytes=server.cache_limit_bytes)
