"""Whether Redis answers: an outage is told once, and for a while Redis is then left alone."""

from __future__ import annotations

import time
from typing import Final

from cnaps_rag.server.logs import logger

REDIS_TIMEOUT_S: Final = 0.5
"""Most seconds for one question to Redis: an answer takes seconds, but none should wait for its cache."""

_LEFT_ALONE_S: Final = 5.0  # a Redis that hangs then costs one request in five seconds its half second


class Outage:
    """Tells whether to ask Redis. `purpose` is what it is asked for: ``cache``, ``rate``."""

    def __init__(self, purpose: str, *, instead: str) -> None:
        """`instead` says in the log what is done while it lasts."""
        self._purpose = purpose
        self._instead = instead
        self._left_alone_until = 0.0
        self._is_out = False

    @property
    def left_alone(self) -> bool:
        """True for some seconds after a failure."""
        return time.monotonic() < self._left_alone_until

    def failed(self, error: Exception) -> None:
        """Notes a failure; the first of an outage is told by its type, as messages hold addresses."""
        self._left_alone_until = time.monotonic() + _LEFT_ALONE_S
        if not self._is_out:
            logger.error("redis_failed", purpose=self._purpose, instead=self._instead, exception=type(error).__name__)
        self._is_out = True

    def answered(self) -> None:
        """Notes that Redis answered; the end of an outage is told."""
        if self._is_out:
            logger.info("redis_answers_again", purpose=self._purpose)
        self._is_out = False
