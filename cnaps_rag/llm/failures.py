"""Every failure of an endpoint as one of our errors; no message holds the key."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from cnaps_rag.errors import ServiceError, ServiceUnavailableError
from cnaps_rag.settings import Settings

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAIError

_OVERFLOW = re.compile(r"context[ _-]?(?:length|size|window)|maximum context|too many tokens|prompt is too long", re.I)

_PASSING = frozenset({408, 409, 425, 429})
"""Statuses below 500 after which the same call may work: time out, conflict, too early, too many requests."""

_CLIP_CHARS = 300
"""Most characters of a server's own words in a message: some send whole pages."""


def shown_address(address: str) -> str:
    """An endpoint's address for messages, without user name, password and query."""
    if not is_usable_address(address):
        return "the endpoint"
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def is_usable_address(address: str) -> bool:
    """True when `address` is an http or https locator with a host."""
    try:
        parts = urlsplit(address)
        is_clean = address.isprintable() and " " not in address
        return is_clean and parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def failure_of(error: OpenAIError, settings: Settings, address: str) -> ServiceError:
    """Our error for one that the client raised."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    if isinstance(error, APITimeoutError):
        return ServiceUnavailableError(f"{address} did not answer in time.")
    if isinstance(error, APIConnectionError):
        cause = type(error.__cause__).__name__ if error.__cause__ is not None else "no connection"
        return ServiceUnavailableError(f"{address} could not be reached, or dropped the connection ({cause}).")
    if isinstance(error, APIStatusError):
        return _status_failure(error, settings, address)
    return ServiceError(f"The client of {address} failed: {quoted(str(error), settings)}")


def transport_error_of(response: object) -> type[Exception]:
    """What reading `response` past the client raises: the error of the HTTP library that the client happens to use."""
    library: Any = sys.modules[type(response).__module__.partition(".")[0]]
    raised: type[Exception] = library.RequestError
    return raised


def _status_failure(error: APIStatusError, settings: Settings, address: str) -> ServiceError:
    status, told = error.status_code, quoted(str(error), settings)
    if status in (401, 403):
        # The server's own words are left out: many repeat the key.
        return ServiceError(f"{address} did not accept the key (HTTP {status}). Check OPENAI_API_KEY.")
    if 300 <= status < 400:
        return ServiceError(
            f"{address} redirects elsewhere (HTTP {status}), and nothing is sent there. Set OPENAI_BASE_URL to the "
            "address itself."
        )
    if status == 404:
        return ServiceError(
            f"{address} knows no LLM {settings.llm!r}, or is not the address of an API (HTTP 404): {told} Check "
            "CNAPS_RAG_LLM, and that OPENAI_BASE_URL ends as the server wants it (often in /v1)."
        )
    if is_overflow(error):
        return ServiceError(
            f"The prompt is longer than {settings.llm!r} takes (HTTP {status}): {told} Lower "
            "CNAPS_RAG_PROMPT_LIMIT_TOKENS or CNAPS_RAG_REPLY_LIMIT_TOKENS."
        )
    if error.code == "insufficient_quota":
        return ServiceError(f"The account at {address} has no quota left (HTTP {status}): {told}")
    if status in _PASSING or (status >= 500 and status != 501):
        return ServiceUnavailableError(
            f"{address} is overloaded or failing (HTTP {status}): {told}", retry_after_s=retry_after_s(error)
        )
    return ServiceError(f"{address} refused the request (HTTP {status}): {told}")


def is_overflow(error: APIStatusError) -> bool:
    """True when the server says that prompt and reply together are longer than the LLM's context."""
    told = f"{error.code or ''} {error.type or ''} {error.message}"
    return error.status_code in (400, 413, 422, 500) and (error.status_code == 413 or bool(_OVERFLOW.search(told)))


def retry_after_s(error: APIStatusError) -> float | None:
    """Seconds that the server asks to wait, from its headers (RFC 9110, 10.2.3: seconds or a date), or None."""
    headers = error.response.headers
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        return max(0.0, float(headers["retry-after"]))
    except KeyError:
        return None
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def quoted(words: str, settings: Settings) -> str:
    """A server's words on one line, clipped, without the key."""
    told = " ".join(words.split())
    key = settings.openai_api_key.get_secret_value().strip() if settings.openai_api_key is not None else ""
    if key:
        told = re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "[key]", told)
    return told if len(told) <= _CLIP_CHARS else f"{told[:_CLIP_CHARS]} […]"
