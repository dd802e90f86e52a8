"""How much the server takes on: requests a minute of one key, answers made at once, requests that wait for a place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool

from cnaps_rag.server.redis_server import Outage, redis_pool
from cnaps_rag.server.settings import ServerSettings

_MIN_RETRY_S: Final = 1.0  # Retry-After counts whole seconds
_MAX_RETRY_S: Final = 60.0  # a guess about later than a minute is none
_GUESSED_ANSWER_S: Final = 10.0  # until the first answer is done; a hosted LLM takes about this
_WEIGHT_OF_NEWEST: Final = 0.2  # of the running mean of an answer's seconds: about the last ten count

_KEY_PREFIX: Final = "cnaps_rag:rate"

Busy = Literal["rate", "queue_full", "queue_wait"]


class TooBusy(Exception):  # noqa: N818 (an answer to the caller, who may come again)
    """No place now.

    Attributes:
        reason: ``rate`` (this key asks too often), ``queue_full``, or ``queue_wait`` (waited as long as allowed).
        retry_after_s: seconds after which it may work.
    """

    def __init__(self, message: str, *, reason: Busy, retry_after_s: float) -> None:
        self.reason: Busy = reason
        self.retry_after_s = min(max(retry_after_s, _MIN_RETRY_S), _MAX_RETRY_S)
        super().__init__(message)


class RateLimit:
    """Requests that each key may make a minute, counted over a moving window.

    Workers count together in Redis where one is set. While Redis does not answer, each worker counts by itself: the
    limit is then at most as many times larger as there are workers, and never gone.
    """

    def __init__(self, server: ServerSettings) -> None:
        self._limit = RateLimitItemPerMinute(server.rate_per_minute) if server.rate_per_minute else None
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._shared: MovingWindowRateLimiter | None = None
        self._pool: ConnectionPool | None = None
        self._outage = Outage("rate", instead="each worker counts by itself")
        if server.redis_url is not None:
            self._pool = redis_pool(server.redis_url.get_secret_value())
            # limits reads from the address only of what kind it is: the pool brings the connections.
            options: Any = {"connection_pool": self._pool}
            storage = RedisStorage(
                "async+redis://", wrap_exceptions=True, implementation="redispy", key_prefix=_KEY_PREFIX, **options
            )
            self._shared = MovingWindowRateLimiter(storage)

    async def close(self) -> None:
        """Closes the connections to Redis."""
        if self._pool is not None:
            await self._pool.disconnect()

    async def check(self, owner: str) -> None:
        """Counts a request of `owner`.

        Raises:
            TooBusy: it was one too many.
        """
        if self._limit is None:
            return
        if self._shared is not None and not self._outage.left_alone:
            try:
                await self._hit(self._shared, self._limit, owner)
            except StorageError as error:
                self._outage.failed(error)
            else:
                self._outage.answered()
                return
        await self._hit(self._own, self._limit, owner)

    async def _hit(self, limiter: MovingWindowRateLimiter, limit: RateLimitItemPerMinute, owner: str) -> None:
        if await limiter.hit(limit, owner):
            return
        window = await limiter.get_window_stats(limit, owner)
        raise TooBusy(
            f"This key may make {limit.amount} requests a minute.",
            reason="rate",
            retry_after_s=window.reset_time - time.time(),
        )


def _unwatched(_running: int, _waiting: int) -> None:
    """A watcher that nobody set."""


class Admission:
    """Places for the answers that are made at once, and a bounded queue for them, in the order of arrival.

    For one event loop. `watch` is told the numbers of running and waiting whenever one changes.
    """

    def __init__(self, server: ServerSettings, *, watch: Callable[[int, int], None] = _unwatched) -> None:
        self._limit_running = server.limit_running
        self._limit_waiting = server.limit_waiting
        self._limit_wait_s = server.limit_wait_s
        self._places = asyncio.Semaphore(server.limit_running)
        self._watch = watch
        self._mean_s = _GUESSED_ANSWER_S
        self.running = 0
        self.waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """A place, for as long as the context lasts.

        Raises:
            TooBusy: too many wait already, or this one waited as long as it may.
        """
        await self._enter()
        started = time.monotonic()
        try:
            yield
        finally:
            self._mean_s += _WEIGHT_OF_NEWEST * (time.monotonic() - started - self._mean_s)
            self._leave()

    async def _enter(self) -> None:
        if self._places.locked() and self.waiting >= self._limit_waiting:
            raise self._too_busy("All places are taken, and as many requests wait as may.", "queue_full")
        self._count(waiting=1)
        try:
            # timeout() and not wait_for(): a place that is given as the time runs out is then not lost.
            async with asyncio.timeout(self._limit_wait_s):
                await self._places.acquire()
        except TimeoutError:
            raise self._too_busy("No place came free in the time that a request may wait.", "queue_wait") from None
        finally:
            self._count(waiting=-1)
        self._count(running=1)

    def _leave(self) -> None:
        self._places.release()
        self._count(running=-1)

    def _count(self, *, running: int = 0, waiting: int = 0) -> None:
        self.running += running
        self.waiting += waiting
        self._watch(self.running, self.waiting)

    def _too_busy(self, message: str, reason: Busy) -> TooBusy:
        ahead = self.waiting + 1
        return TooBusy(message, reason=reason, retry_after_s=self._mean_s * ahead / self._limit_running)
