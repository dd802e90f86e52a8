"""An OpenAI-compatible endpoint on a free port of this machine, which says and does what a test's script tells it.

    with ScriptedLLM(Status(503), "the reply's text") as llm:
        LLM(settings(llm)).complete(prompt)
        assert len(llm.requests) == 2

A script is a list of steps, one a request; the last one goes on for ever. A step is a text (a chat completion with this
content), one of the classes below, or a function from the request's JSON to one of these.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Say:
    """A chat completion. `usage` None leaves the token counts out."""

    content: str | None
    finish_reason: str = "stop"
    refusal: str | None = None
    model: str | None = "scripted"
    usage: tuple[int, int] | None = (100, 10)

    def body(self) -> bytes:
        message = {"role": "assistant", "content": self.content, "refusal": self.refusal}
        completion: dict[str, Any] = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish_reason}],
        }
        if self.model is not None:
            completion["model"] = self.model
        if self.usage is not None:
            prompt_tokens, completion_tokens = self.usage
            completion["usage"] = {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            }
        return json.dumps(completion).encode()


@dataclass(frozen=True)
class Body:
    """Any bytes under any status."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


def Status(status: int, message: str = "scripted failure", **error: Any) -> Body:  # noqa: N802 (reads as a class)
    """An error in OpenAI's form; `headers` may be given beside the error's own fields."""
    headers = error.pop("headers", {})
    return Body(json.dumps({"error": {"message": message, **error}}).encode(), status, headers)


@dataclass(frozen=True)
class Trickle:
    """The bytes of `body`, with `pause_s` seconds before each eighth of them."""

    body: bytes
    pause_s: float


@dataclass(frozen=True)
class Wait:
    """Nothing at all for so many seconds, then a dropped connection."""

    seconds: float


@dataclass(frozen=True)
class Drop:
    """A connection dropped: before any byte, or in the middle of a body."""

    in_body: bool = False


Step = str | Say | Body | Trickle | Wait | Drop
Script = Step | Callable[[dict[str, Any]], Step]


@dataclass(frozen=True)
class Recorded:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    json: dict[str, Any]


class ScriptedLLM:
    """The endpoint; `requests` are those that came so far."""

    def __init__(self, *script: Script) -> None:
        self._script = list(script)
        self.requests: list[Recorded] = []
        self._lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                _act(self, endpoint._next(Recorded(self.path, dict(self.headers), json.loads(body))))

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def _next(self, recorded: Recorded) -> Step:
        with self._lock:
            step = self._script[min(len(self.requests), len(self._script) - 1)]
            self.requests.append(recorded)
        return step(recorded.json) if callable(step) else step

    def __enter__(self) -> ScriptedLLM:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        # Not server_close(), which would wait for handlers that a script keeps busy.
        self._server.socket.close()


def _act(handler: BaseHTTPRequestHandler, step: Step) -> None:
    if isinstance(step, str | Say):
        step = Body((Say(step) if isinstance(step, str) else step).body())
    try:
        if isinstance(step, Body):
            _send(handler, step)
        elif isinstance(step, Trickle):
            _trickle(handler, step)
        elif isinstance(step, Wait):
            time.sleep(step.seconds)
        elif step.in_body:
            handler.send_response(200)
            handler.send_header("content-length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"choices": [')
    except (BrokenPipeError, ConnectionResetError):
        pass  # the client had enough
    if not isinstance(step, Body):
        handler.close_connection = True


def _send(handler: BaseHTTPRequestHandler, step: Body) -> None:
    handler.send_response(step.status)
    for name, value in {"content-type": step.content_type, **step.headers}.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(step.body)))
    handler.end_headers()
    handler.wfile.write(step.body)


def _trickle(handler: BaseHTTPRequestHandler, step: Trickle) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(step.body)))
    handler.end_headers()
    size = -(-len(step.body) // 8)
    for start in range(0, len(step.body), size):
        time.sleep(step.pause_s)
        handler.wfile.write(step.body[start : start + size])
        handler.wfile.flush()
