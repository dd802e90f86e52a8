"""Redis as this server uses it: connections with short timeouts, and whether it answers just now.

Nothing of an answer depends on Redis. An outage is told once in the log, and for a while Redis is then left alone.
"""

from __future__ import annotations

import time
from typing import Final

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from cnaps_rag.errors import RequestError
from cnaps_rag.server.logs import logger

_TIMEOUT_S: Final = 0.5  # an answer takes seconds, but none should wait for its cache
_LEFT_ALONE_S: Final = 5.0  # a Redis that hangs then costs one request in five seconds its half second
_N_RETRIES: Final = 1  # for a connection that Redis closed while it lay idle; not after a timeout


def redis_pool(url: str) -> ConnectionPool:
    """Connections to the Redis at `url`; none is opened yet.

    Raises:
        RequestError: this is no address of a Redis.
    """
    try:
        return ConnectionPool.from_url(
            url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), _N_RETRIES, supported_errors=(RedisConnectionError,)),
        )
    except ValueError:
        # Without the address: it may hold a password.
        raise RequestError(
            "this is no address of a Redis.", remedy="Use redis://HOST:PORT/0, rediss:// or unix://.", field="redis_url"
        ) from None


class Outage:
    """Tells whether to ask Redis. `purpose` is what it is asked for: ``cache``, ``rate``."""

    def __init__(self, purpose: str, *, instead: str, left_alone_s: float = _LEFT_ALONE_S) -> None:
        """`instead` says in the log what is done while it lasts; `left_alone_s` how long Redis is not asked again."""
        self._purpose = purpose
        self._instead = instead
        self._left_alone_s = left_alone_s
        self._left_alone_until = 0.0
        self._is_out = False

    @property
    def left_alone(self) -> bool:
        """True for some seconds after a failure."""
        return time.monotonic() < self._left_alone_until

    def failed(self, error: Exception) -> None:
        """Notes a failure; the first of an outage is told by its type, as messages hold addresses."""
        self._left_alone_until = time.monotonic() + self._left_alone_s
        if not self._is_out:
            logger.error("redis_failed", purpose=self._purpose, instead=self._instead, exception=type(error).__name__)
        self._is_out = True

    def answered(self) -> None:
        """Notes that Redis answered; the end of an outage is told."""
        if self._is_out:
            logger.info("redis_answers_again", purpose=self._purpose)
        self._is_out = False
