"""Who comes in, and with how much: the name that is called, the site that calls, the key, its rate, the body's size."""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cnaps_rag.server.failures import Failed, failed
from cnaps_rag.server.keys import KeyRing
from cnaps_rag.server.limits import RateLimit, TooBusy
from cnaps_rag.server.logs import tell
from cnaps_rag.server.metrics import Metrics
from cnaps_rag.server.settings import ServerSettings
from cnaps_rag.server.wire import ClientGone

_GUARDED: Final = "/v1/"
"""What is under this path needs a key and counts against its rate; the page and the probes do not."""

_OWN_SITE: Final = ("same-origin", "none")
"""Values of ``Sec-Fetch-Site`` of the server's own page, and of what a user typed."""

_BODY_LIMIT_S: Final = 60.0
"""Most seconds for the whole body: 4 MB over 1 Mbit/s take 32, and a client that drips bytes must not stay."""

_DISCARD_LIMIT_S: Final = 2.0
"""Seconds for which a body that is too large is read on and thrown away, so that its client gets to read why."""


class Gate:
    """ASGI middleware that turns away, before any of it is parsed, what must not come in."""

    def __init__(
        self, app: ASGIApp, *, server: ServerSettings, keys: KeyRing, rate: RateLimit, metrics: Metrics
    ) -> None:
        self._app = app
        self._server = server
        self._keys = keys
        self._rate = rate
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request in, or says why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check_host(scope)
            self._check_site(scope)
            await self._check_key(scope)
            body = await _read_body(receive, Headers(scope=scope), self._server.limit_body_bytes)
        except (Failed, TooBusy) as error:
            if isinstance(error, TooBusy):
                self._metrics.refused(error.reason)
            failure = failed(error)
            tell(scope, refused=failure.code or "")
            await failure.response()(scope, receive, send)
        except ClientGone:
            return
        else:
            await self._app(scope, _Replay(body, receive), send)

    def _check_host(self, scope: Scope) -> None:
        """Holds the ``Host`` header to known names: a page elsewhere may have its own name point at loopback."""
        name = _host_name(Headers(scope=scope).get("host", ""))
        allowed = self._server.allowed_hosts
        is_allowed = (
            name in {host.lower() for host in allowed} or "*" in allowed
            if allowed
            else self._keys.needs_key or _is_loopback(name)
        )
        if not is_allowed:
            raise Failed(
                403,
                "This server does not answer under the name in the Host header. Its owner can add the name to "
                "CNAPS_RAG_SERVER_ALLOWED_HOSTS.",
                code="host_not_allowed",
            )

    def _check_site(self, scope: Scope) -> None:
        """Keeps out what a browser sends for pages of other sites: without keys, nothing else shows whose wish it is.

        They could not read the answer, but have it made, and use up the rate. Others than browsers send no such header.
        """
        headers = Headers(scope=scope)
        origins = self._server.cors_origins
        if self._keys.needs_key or not scope["path"].startswith(_GUARDED) or "*" in origins:
            return
        if headers.get("sec-fetch-site", "none") not in _OWN_SITE and headers.get("origin") not in origins:
            raise Failed(
                403,
                "This server does not answer to pages of other sites. Its owner can add their origin to "
                "CNAPS_RAG_SERVER_CORS_ORIGINS.",
                code="site_not_allowed",
            )

    async def _check_key(self, scope: Scope) -> None:
        if not scope["path"].startswith(_GUARDED):
            return
        authorization = Headers(scope=scope).get("authorization")
        owner = self._keys.owner_of(authorization)
        if owner is None:
            finding = "The API key is not one of this server's." if authorization else "No API key was sent."
            raise Failed(
                401,
                f"{finding} Send one that is: Authorization: Bearer KEY.",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        tell(scope, owner=owner)
        if scope["method"] == "POST":
            await self._rate.check(owner)


class _Replay:
    """Gives the body that was read once, then what comes after it: that the client has gone."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read_body(receive: Receive, headers: Headers, limit_bytes: int) -> bytes:
    """The whole body.

    Raises:
        Failed: it is too large, whatever its ``Content-Length`` says, or comes too slowly.
        ClientGone: the client closed the connection before its end.
    """
    parts: list[bytes] = []
    n_bytes = 0
    try:
        async with asyncio.timeout(_BODY_LIMIT_S):
            if _length(headers) > limit_bytes:
                if "expect" not in headers:  # with it, the client asks first and sends nothing in vain
                    await _discard(receive, limit_bytes)
                raise _too_large(limit_bytes)
            while True:
                part, is_last = await _next_part(receive)
                parts.append(part)
                n_bytes += len(part)
                if n_bytes > limit_bytes:
                    await _discard(receive, 0 if is_last else limit_bytes)
                    raise _too_large(limit_bytes)
                if is_last:
                    return b"".join(parts)
    except TimeoutError:
        raise Failed(
            408, f"The body did not arrive within {_BODY_LIMIT_S:g} s. Send it faster.", code="body_too_slow"
        ) from None


def _too_large(limit_bytes: int) -> Failed:
    return Failed(
        413,
        f"The body is larger than {limit_bytes:,} bytes. Shorten it; the server's owner can raise "
        "CNAPS_RAG_SERVER_LIMIT_BODY_BYTES.",
        code="body_too_large",
    )


async def _next_part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), not message.get("more_body", False)


async def _discard(receive: Receive, limit_bytes: int) -> None:
    """Reads on for a while; closed at once, the connection would take the refusal with it."""
    n_bytes, is_last = 0, False
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_LIMIT_S):
            while n_bytes < limit_bytes and not is_last:
                part, is_last = await _next_part(receive)
                n_bytes += len(part)


def _length(headers: Headers) -> int:
    text = headers.get("content-length", "")
    return int(text) if text.isdecimal() else 0


def _host_name(host: str) -> str:
    """Name without port and brackets, in small letters."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
