"""An OpenAI-compatible endpoint on a free port of this machine, which says and does what a test's script tells it.

    with ScriptedLLM(Status(503), "the reply's text") as llm:
        LLM(settings(llm)).complete(prompt)
        assert len(llm.requests) == 2

A script is a list of steps, one a request; the last one goes on for ever. A step is a text (a chat completion with this
content), one of the classes below, or a function from the request's JSON to one of these. A request with
``"stream": true`` gets texts, `Say` and `Stream` as server-sent events; every other step is the same for both, so that
a `Body` also plays a server that ignores `stream`. Clients that leave before their reply is over are counted.
"""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
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
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return json.dumps({**self._head("chat.completion"), "choices": [choice], **self._counts()}).encode()

    def chunk(self, delta: dict[str, Any] | None, finish_reason: str | None = None) -> bytes:
        """One event of a stream; `delta` None is the last chunk, which has the token counts and no choice."""
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = {**self._head("chat.completion.chunk"), "choices": [] if delta is None else [choice]}
        return _event({**chunk, **self._counts()} if delta is None else chunk)

    def _head(self, kind: str) -> dict[str, Any]:
        head = {"id": "1", "object": kind, "created": 1}
        return head if self.model is None else {**head, "model": self.model}

    def _counts(self) -> dict[str, Any]:
        if self.usage is None:
            return {}
        prompt_tokens, completion_tokens = self.usage
        total_tokens = prompt_tokens + completion_tokens
        counts = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total_tokens}
        return {"usage": counts}


@dataclass(frozen=True)
class Stream:
    """A chat completion that is streamed slowly, or not to its end; one that is not asked to stream says it whole.

    `pause_s` stands before each piece of `piece_chars` characters. After so many pieces the connection drops in the
    middle of the body (`drop_after`), the body ends as if it were whole, without a finish reason (`end_after`), an
    error comes in OpenAI's form (`error_after`), or nothing comes any more (`hang_after`).
    """

    content: str
    piece_chars: int = 4
    pause_s: float = 0.0
    drop_after: int | None = None
    end_after: int | None = None
    error_after: int | None = None
    hang_after: int | None = None
    finish_reason: str = "stop"
    model: str | None = "scripted"
    usage: tuple[int, int] | None = (100, 10)

    def whole(self) -> Say:
        return Say(self.content, finish_reason=self.finish_reason, model=self.model, usage=self.usage)

    def pieces(self) -> Iterator[str]:
        for start in range(0, len(self.content), self.piece_chars):
            yield self.content[start : start + self.piece_chars]


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


_serials = count(1)

HANG_S = 60.0  # longer than any test waits

Step = str | Say | Stream | Body | Trickle | Wait | Drop
Script = Step | Callable[[dict[str, Any]], Step]


@dataclass(frozen=True)
class Recorded:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    json: dict[str, Any]


class ScriptedLLM:
    """The endpoint; `requests` are those that came so far.

    `n_gone` counts the clients that left before their reply was over, and `gone` is set from the first of them on;
    `n_running` counts the replies that are being made.
    """

    def __init__(self, *script: Script) -> None:
        self._script = list(script)
        self.requests: list[Recorded] = []
        self.n_running = 0
        self.n_gone = 0
        self.gone = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # a small event would wait 40 ms for the client's acknowledgement

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                endpoint._reply(self, Recorded(self.path, dict(self.headers), json.loads(body)))

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # A path of its own, because the client remembers what an address takes, and ports come again.
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/{next(_serials)}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def _next(self, recorded: Recorded) -> Step:
        with self._lock:
            step = self._script[min(len(self.requests), len(self._script) - 1)]
            self.requests.append(recorded)
        return step(recorded.json) if callable(step) else step

    def _reply(self, handler: BaseHTTPRequestHandler, recorded: Recorded) -> None:
        step = self._next(recorded)
        with self._lock:
            self.n_running += 1
        try:
            _act(_Exchange(handler, recorded.json, self._closing), step)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True
            with self._lock:
                self.n_gone += 1
            self.gone.set()
        finally:
            with self._lock:
                self.n_running -= 1

    def __enter__(self) -> ScriptedLLM:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        # Not server_close(), which would wait for handlers that a script keeps busy.
        self._server.socket.close()


class _Exchange:
    """One request's connection, to which a step replies.

    Raises:
        BrokenPipeError, ConnectionResetError: from every method, when the client has left.
    """

    def __init__(self, handler: BaseHTTPRequestHandler, request: dict[str, Any], closing: threading.Event) -> None:
        self._handler = handler
        self._closing = closing
        self.streams = request.get("stream") is True
        options: dict[str, Any] = request.get("stream_options") or {}
        self.counts_tokens = options.get("include_usage") is True

    def begin(self, headers: dict[str, str], status: int = 200) -> None:
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def write(self, content: bytes) -> None:
        self._handler.wfile.write(content)

    def write_chunk(self, content: bytes) -> None:
        self.write(b"%x\r\n%b\r\n" % (len(content), content))

    def wait(self, seconds: float) -> None:
        """Returns after so many seconds, or earlier when the endpoint closes."""
        until = time.monotonic() + seconds
        while not self._closing.is_set() and (left_s := until - time.monotonic()) > 0:
            readable, _, _ = select.select([self._handler.connection], [], [], min(left_s, 0.05))
            if not readable:
                continue
            if not self._handler.connection.recv(1, socket.MSG_PEEK):
                raise BrokenPipeError
            self._closing.wait(min(left_s, 0.05))  # a next request is there already: it waits its turn

    def hang_up(self) -> None:
        self._handler.close_connection = True


def _act(exchange: _Exchange, step: Step) -> None:
    match step:
        case str() | Say() | Stream():
            say = _said(step)
            if exchange.streams:
                _stream(exchange, say, step if isinstance(step, Stream) else Stream(say.content or ""))
            else:
                _send(exchange, Body(say.body()))
        case Body():
            _send(exchange, step)
        case Trickle():
            _trickle(exchange, step)
            exchange.hang_up()
        case Wait():
            exchange.wait(step.seconds)
            exchange.hang_up()
        case Drop():
            if step.in_body:
                exchange.begin({"content-length": "1000"})
                exchange.write(b'{"choices": [')
            exchange.hang_up()


def _said(step: str | Say | Stream) -> Say:
    if isinstance(step, Stream):
        return step.whole()
    return Say(step) if isinstance(step, str) else step


def _send(exchange: _Exchange, step: Body) -> None:
    headers = {"content-type": step.content_type, **step.headers, "content-length": str(len(step.body))}
    exchange.begin(headers, step.status)
    exchange.write(step.body)


def _trickle(exchange: _Exchange, step: Trickle) -> None:
    exchange.begin({"content-type": "application/json", "content-length": str(len(step.body))})
    size = -(-len(step.body) // 8)
    for start in range(0, len(step.body), size):
        exchange.wait(step.pause_s)
        exchange.write(step.body[start : start + size])


def _stream(exchange: _Exchange, say: Say, paced: Stream) -> None:
    """Says `say` as server-sent events, in the pieces and at the pace of `paced`."""
    exchange.begin({"content-type": "text/event-stream", "transfer-encoding": "chunked"})
    exchange.write_chunk(say.chunk({"role": "assistant", "content": ""}))
    pieces = list(paced.pieces())
    for n_said in range(len(pieces) + 1):
        if _broke_off(exchange, paced, n_said):
            return
        if n_said < len(pieces):
            exchange.wait(paced.pause_s)
            exchange.write_chunk(say.chunk({"content": pieces[n_said]}))
    exchange.write_chunk(say.chunk({} if say.refusal is None else {"refusal": say.refusal}, say.finish_reason))
    if exchange.counts_tokens and say.usage is not None:
        exchange.write_chunk(say.chunk(None))
    exchange.write_chunk(b"data: [DONE]\n\n")
    exchange.write_chunk(b"")


def _broke_off(exchange: _Exchange, paced: Stream, n_said: int) -> bool:
    """True when the script broke the stream off after `n_said` pieces."""
    if n_said not in (paced.drop_after, paced.end_after, paced.error_after, paced.hang_after):
        return False
    if n_said == paced.hang_after:
        exchange.wait(HANG_S)
    if n_said == paced.error_after:
        exchange.write_chunk(_event({"error": {"message": "scripted failure", "type": "server_error", "code": 500}}))
    if n_said in (paced.end_after, paced.error_after):
        exchange.write_chunk(b"")
    exchange.hang_up()
    return True


def _event(content: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps(content).encode()
