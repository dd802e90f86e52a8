"""What the server writes of itself: one line a request, and what goes wrong. Never source text, questions or keys.

All lines, also uvicorn's, go to standard error through one formatter. An exception is told by its type and its places
in the code, without its message: messages may quote what the request held.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import traceback
import uuid
from collections.abc import MutableMapping
from typing import Any, Final, Literal, Protocol, cast

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars, merge_contextvars
from typing_extensions import TypedDict, Unpack

REQUEST_ID: Final = "x-request-id"

_KEY: Final = "cnaps_rag.request"  # of what is known of a request, in its ASGI scope
_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")  # what gateways make; no blank or line end that could forge a line
_OTHER_ROUTE: Final = "other"  # a path that is no route of ours: as a label it would let anybody make new series
_QUIET_ROUTES: Final = frozenset({"/healthz", "/readyz", "/metrics"})  # asked every few seconds by machines
_LOGGER_NAME: Final = "cnaps_rag.server"

Event = MutableMapping[str, Any]


class Told(TypedDict, total=False):
    """All that a request's line may say beside its route, status and seconds: names and counts, no text."""

    owner: str
    drafter: str
    stream: bool
    cached: bool
    proof: bool
    failure: str
    refused: str
    n_accepted: int
    n_repaired: int
    n_dropped: int
    n_open: int
    prompt_tokens: int
    completion_tokens: int
    wait_s: float
    first_claim_s: float


class CountsRequests(Protocol):
    """What counts finished requests: `metrics.Metrics`."""

    def request_done(self, route: str, status: int, seconds: float) -> None:
        """Counts one request."""
        ...


def tell(scope: Scope, **told: Unpack[Told]) -> None:
    """Adds to the line that will be written of the request with this ASGI scope."""
    scope.setdefault(_KEY, {}).update(told)


def request_id(scope: Scope) -> str:
    """Id of the request with this ASGI scope: its own ``X-Request-Id`` where that is sane, else one that was made."""
    known: str | None = scope.setdefault(_KEY, {}).get("request_id")
    if known is None:
        given = Headers(scope=scope).get(REQUEST_ID, "")
        known = given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
        scope[_KEY]["request_id"] = known
    return known


class RequestLog:
    """ASGI middleware: an id for each request, one line about it when it ends, and its count in the metrics.

    It is plain ASGI, so a stream is neither gathered nor kept alive, and a client that leaves is seen by the app.
    """

    def __init__(self, app: ASGIApp, *, metrics: CountsRequests) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the app for one request and tells of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        answered = _Answered(send, request_id(scope))
        with bound_contextvars(request_id=request_id(scope)):
            try:
                await self._app(scope, receive, answered)
            finally:
                self._tell(scope, answered, time.perf_counter() - started)

    def _tell(self, scope: Scope, answered: _Answered, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", _OTHER_ROUTE)
        status = answered.status if answered.status is not None else 500 if sys.exc_info()[1] is not None else 499
        self._metrics.request_done(route, status, seconds)
        raised = sys.exc_info()[1]
        told = {name: value for name, value in scope[_KEY].items() if name != "request_id"}
        write = logger.debug if route in _QUIET_ROUTES and raised is None else logger.info
        write(
            "request",
            route=route,
            method=scope["method"],
            status=status,
            seconds=round(seconds, 4),
            complete=answered.complete,
            **told,
            **({"exc_info": raised} if isinstance(raised, Exception) else {}),
        )


class _Answered:
    """Sends what the app sends, with the request's id, and keeps what became of it."""

    def __init__(self, send: Send, known_as: str) -> None:
        self._send = send
        self._known_as = known_as
        self.status: int | None = None
        self.complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[REQUEST_ID] = self._known_as
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete = True


def log_config(style: Literal["json", "console"] | None) -> dict[str, Any]:
    """Configuration for `logging` (and uvicorn's ``log_config``): every line to standard error, in one form."""
    as_console = style == "console" or (style is None and sys.stderr.isatty())
    renderer = structlog.dev.ConsoleRenderer() if as_console else structlog.processors.JSONRenderer(ensure_ascii=False)
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        "foreign_pre_chain": [_first_line, *_CHAIN],
    }
    own = {"level": "INFO", "handlers": ["stderr"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}},
        "loggers": {"uvicorn": own, _LOGGER_NAME: own},
        # Others only where something is wrong: the LLM client's info lines hold addresses.
        "root": {"level": "WARNING", "handlers": ["stderr"]},
    }


def _with_pid(_: object, __: str, event: Event) -> Event:
    """Which worker says it."""
    event["pid"] = os.getpid()
    return event


def _first_line(_: object, __: str, event: Event) -> Event:
    """First line alone: asyncio's messages repeat the exception, and so what it quotes, from their second line on."""
    event["event"] = str(event["event"]).partition("\n")[0]
    return event


def _exception_places(_: object, __: str, event: Event) -> Event:
    """Types of an exception and its causes, and where it was raised; no message, no value."""
    given: object = event.pop("exc_info", None)
    raised = (
        sys.exc_info()[1]
        if given is True
        else cast(tuple[object, ...], given)[1]
        if isinstance(given, tuple)
        else given
    )
    if not isinstance(raised, BaseException):
        return event
    chain: list[BaseException] = []
    following: BaseException | None = raised
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or following.__context__
    frames = traceback.extract_tb(raised.__traceback__)
    event["exception"] = [type(link).__name__ for link in chain]
    event["places"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


_CHAIN: Final[list[structlog.types.Processor]] = [
    merge_contextvars,
    _with_pid,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _exception_places,
]

logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
    logging.getLogger(_LOGGER_NAME),
    wrapper_class=structlog.stdlib.BoundLogger,
    processors=[
        structlog.stdlib.filter_by_level,
        *_CHAIN,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
)
