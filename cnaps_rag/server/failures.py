"""Why a request gets no answer, as status and body of OpenAI's API; HTTP status codes of failures live here alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Literal

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from typing_extensions import TypedDict

from cnaps_rag.errors import RequestError, ServiceError, ServiceUnavailableError, UntraceableError
from cnaps_rag.server.limits import TooBusy

FailureType = Literal["invalid_request_error", "rate_limit_error", "server_error"]


class ErrorJson(TypedDict):
    """What went wrong, in the words of OpenAI's API."""

    message: str
    type: FailureType
    param: str | None
    code: str | None


class FailureJson(TypedDict):
    """Body of every failure, and of the last event of a stream that breaks off."""

    error: ErrorJson


class Failed(Exception):  # noqa: N818 (said of a request)
    """A request gets no answer, or no whole one.

    Attributes:
        status: of HTTP; in a stream that has begun, only `body` is sent.
        code: for programs, as in the body.
        headers: as ``Retry-After``.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.headers = dict(headers or {})
        self.body = FailureJson(error=ErrorJson(message=message, type=_type_of(status), param=param, code=code))
        super().__init__(message)

    def response(self) -> Response:
        """The failure as a whole response."""
        # Pure ASCII: a message may repeat half of a surrogate pair, which has no form in UTF-8.
        content = json.dumps(self.body).encode()
        return Response(content, self.status, self.headers, media_type="application/json")


def _type_of(status: int) -> FailureType:
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"


NO_RETRY = {"x-should-retry": "false"}
"""OpenAI's clients send again what failed with 5xx, unless this header says that it would fail again."""

_INTERNAL = "The server failed on this request. Its log tells more under the request's id (X-Request-Id)."


def failed(error: BaseException) -> Failed:
    """`error` as a client is told it: never the address of the LLM, and no text that has not been validated."""
    match error:
        case Failed():
            return error
        case RequestError():
            return Failed(400, str(error), param=error.field, code="invalid_request")
        case TooBusy():
            # Whole seconds, and never 0, which would ask for an immediate retry.
            headers = {"Retry-After": str(max(1, ceil(error.retry_after_s)))}
            code = "rate_limit_exceeded" if error.reason == "rate" else "server_busy"
            return Failed(429, str(error), code=code, headers=headers)
        case UntraceableError():
            message = (
                f"{len(error.findings)} drafted claims or links did not pass the checks, and this server is set to "
                "answer with nothing rather than without them."
            )
            return Failed(502, message, code="untraceable", headers=NO_RETRY)
        case ServiceUnavailableError():
            wait = {"Retry-After": str(max(1, ceil(error.retry_after_s)))} if error.retry_after_s else {}
            message = "The LLM or a model behind this server is not available at the moment. Try again later."
            return Failed(503, message, code="service_unavailable", headers=wait)
        case ServiceError():
            message = "The LLM or a model behind this server failed. The server's log tells more."
            return Failed(502, message, code="service_failed", headers=NO_RETRY)
        case TimeoutError():
            message = "The answer was not ready within the server's time limit."
            return Failed(504, message, code="time_limit", headers=NO_RETRY)
        case _:
            return Failed(500, _INTERNAL, code="internal_error")


def failed_by_framework(error: HTTPException, method: str, path: str) -> Failed:
    """What the web framework itself refuses: an unknown path, a method that a path does not take."""
    message = {
        400: "The body cannot be read. Send JSON in UTF-8, not nested too deeply.",
        404: f"Invalid URL ({method} {path}).",
        405: f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)",
    }.get(error.status_code, str(error.detail))
    code = {400: "invalid_json", 401: "invalid_api_key"}.get(error.status_code)
    return Failed(error.status_code, message, code=code, headers=error.headers)


def invalid(error: RequestValidationError) -> Failed:
    """The first of the findings on a body, with its place and what to do."""
    findings: Sequence[Any] = error.errors()
    first = findings[0]
    place = tuple(first["loc"])[1:]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", first["msg"])
        message = f"The body is no JSON: {reason}, at character {place[0] if place else 0}. Send a JSON object."
        return Failed(400, message, code="invalid_json")
    if not place:
        message = "The body is no JSON object. Send one, with the header Content-Type: application/json."
        return Failed(400, message, code="invalid_json")
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    words = first["msg"].removeprefix("Value error, ")
    remedy = _REMEDY_BY_TYPE.get(first["type"], "GET /openapi.json describes the body, with examples.")
    return Failed(400, f"{param}: {words[:1].upper()}{words[1:]}. {remedy}", param=param, code=first["type"])


_REMEDY_BY_TYPE = {
    "missing": "Supply it.",
    "extra_forbidden": "Remove it.",
    "string_type": "Supply text.",
    "bool_parsing": "Supply true or false.",
    "bool_type": "Supply true or false.",
}


def _told(words: str) -> dict[str, Any]:
    return {"model": FailureJson, "description": words}


FAILURES_TOLD: dict[int | str, dict[str, Any]] = {
    400: _told("The request must be changed; the message says where and how."),
    401: _told("No key, or none of this server's."),
    413: _told("The body is too large."),
    429: _told("Too many requests; `Retry-After` says when to come again."),
    502: _told("The LLM or a model behind the server failed."),
    503: _told("The same for the moment: try again later."),
    504: _told("The answer was not ready in time."),
}
"""Failures in the description of the API."""
