"""What the server does when something around it fails: no hang, no leak, no half claim. Only the LLM is scripted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from scripted_llm import ScriptedLLM, Step, Stream
from server_processes import serving as process
from servers import running
from starlette.types import ASGIApp, Receive, Scope, Send
from test_pipeline import TRUE, featsharp_request, reply, settings_of

from cnaps_rag.server import ServerSettings, make_app

TEXT = featsharp_request().to_prompt()
CLAIMS = (
    'The user asks: "How can they be upsampled by AI?"',
    'The paper says: "We introduce a novel method to coherently and cheaply upsample the feature maps of low-res '
    'vision encoders while picking up on fine-grained details that would otherwise be lost due to resolution."',
    TRUE,
    "FeatSharp upsamples the feature maps of low-res vision encoders.",
)
DRAFT = reply(
    task=[(CLAIMS[0], ["Q.2"])],
    M1_input=[],
    M1_output=[],
    P1_says=[(CLAIMS[1], ["P1.5"]), (CLAIMS[2], ["P1.6"]), (CLAIMS[3], ["P1.5"])],
)
N_PIECES = -(-len(DRAFT) // 4)
STREAMED = {"text": TEXT, "stream": True}
AT_ONCE_S = 1.0  # within which everything must have noticed that nobody listens any more
GAUGES = ("cnaps_rag_answers_running", "cnaps_rag_answers_waiting")


@dataclass(frozen=True)
class Served:
    """A server under test, the LLM behind it, and the event loop in which it works."""

    base_url: str
    llm: ScriptedLLM
    loop: asyncio.AbstractEventLoop

    @property
    def port(self) -> int:
        return int(self.base_url.rpartition(":")[2])

    def gauges(self) -> list[float]:
        """Answers being made, and requests that wait for a place."""
        metrics = httpx.get(f"{self.base_url}/metrics").text
        return [float(line.split()[1]) for line in metrics.splitlines() if line.startswith(GAUGES)]


class Observed:
    """An app whose event loop is known from outside."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.loop = asyncio.get_running_loop()
        await self._app(scope, receive, send)


@contextmanager
def serving(*script: Step, server: dict[str, Any] | None = None, **settings: Any) -> Iterator[Served]:
    """A server whose LLM keeps to `script`; it makes every answer anew and stands in for an LLM that fails."""
    with ScriptedLLM(*script) as llm:
        changes = {"llm_max_retries": 0, "on_llm_failure": "extractive", **settings}
        app = Observed(
            make_app(settings_of(llm, **changes), ServerSettings(cache_answers=0, rate_per_minute=0, **(server or {})))
        )
        with running(app) as base_url:
            yield Served(base_url, llm, app.loop)


def comes_true(condition: Callable[[], bool], within_s: float = AT_ONCE_S) -> bool:
    """True when `condition` holds before the time is over."""
    until = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def events_of(body: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line.startswith("data: ")]


def stream(base_url: str, body: dict[str, Any] = STREAMED) -> list[dict[str, Any]]:
    """All events of an answer."""
    reply = httpx.post(f"{base_url}/v1/answers", json=body, timeout=60)
    assert reply.status_code == 200, reply.text
    return events_of(reply.text)


def check_whole(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer of a stream's last event, to which its fragments join, and whose claims are all whole."""
    last = events[-1]
    assert last["event"] == "answer_done", last
    answer: dict[str, Any] = last["answer"]
    assert "".join(event["markdown"] for event in events) == answer["markdown"]
    assert answer["report"]["ok"]
    return answer


def drafted_claims(events: list[dict[str, Any]]) -> list[str]:
    """Claims of the LLM that were told, in order."""
    return [event["claim"]["text"] for event in events if event["event"] == "claim_accepted" and not event["filled"]]


def ask_by_hand(
    connections: ExitStack, port: int, body: dict[str, Any], *, path: str = "/v1/answers", receive_bytes: int = 0
) -> socket.socket:
    """A connection, closed by `connections`, on which a request was sent and nothing read yet."""
    connection = connections.enter_context(socket.socket())
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", port))
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\ncontent-type: application/json\r\n"
    connection.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(content) + content)
    return connection


# Clients


def test_slow_readers_hold_nobody_up() -> None:
    with serving(Stream(DRAFT)) as served, ThreadPoolExecutor(1) as pool, ExitStack() as connections:
        stream(served.base_url)
        slow = [ask_by_hand(connections, served.port, STREAMED, receive_bytes=1) for _ in range(8)]
        received = [connection.recv(1) for connection in slow]
        # Nobody reads, and yet all answers are made: neither the LLM nor a place is held.
        assert comes_true(lambda: served.gauges() == [0, 0] and len(served.llm.requests) == 9, 20)
        assert served.llm.n_running == 0
        began = time.monotonic()
        whole = pool.submit(stream, served.base_url)
        while not whole.done():
            received = [so_far + connection.recv(1) for so_far, connection in zip(received, slow, strict=True)]
        check_whole(whole.result())
        assert time.monotonic() - began < 5
        for so_far, connection in zip(received, slow, strict=True):
            rest = b"".join(iter(lambda connection=connection: connection.recv(100), b""))  # type: ignore[misc]
            assert b'"answer_done"' in so_far + rest


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/answers", STREAMED, id="answers, streamed"),
        pytest.param("/v1/answers", {"text": TEXT}, id="answers, whole"),
        pytest.param("/v1/answers", {**STREAMED, "proof": True}, id="answers, with a proof"),
        pytest.param(
            "/v1/chat/completions",
            {"model": "cnaps-rag", "messages": [{"role": "user", "content": TEXT}], "stream": True},
            id="chat, streamed",
        ),
        pytest.param(
            "/v1/chat/completions",
            {"model": "cnaps-rag", "messages": [{"role": "user", "content": TEXT}]},
            id="chat, whole",
        ),
    ],
)
@pytest.mark.parametrize("n_said", [0, 60])
def test_a_client_that_leaves_ends_the_llms_call(path: str, body: dict[str, Any], n_said: int) -> None:
    with serving(Stream(DRAFT, pause_s=0.002, hang_after=n_said)) as served, ExitStack() as connections:
        connection = ask_by_hand(connections, served.port, body, path=path)
        assert comes_true(lambda: served.llm.n_running == 1, 20)
        time.sleep(0.3)
        assert served.gauges() == [1, 0]
        connection.close()
        assert served.llm.gone.wait(AT_ONCE_S)
        assert comes_true(lambda: served.gauges() == [0, 0])
        assert len(served.llm.requests) == 1


def test_clients_beyond_the_queue_are_told_when_to_come_again() -> None:
    places = {"limit_running": 1, "limit_waiting": 1}
    with serving(Stream(DRAFT, pause_s=0.01), server=places) as served, ThreadPoolExecutor(2) as pool:
        first = pool.submit(stream, served.base_url)
        assert comes_true(lambda: served.gauges() == [1, 0], 20)
        second = pool.submit(stream, served.base_url)
        assert comes_true(lambda: served.gauges() == [1, 1], 20)
        third = httpx.post(f"{served.base_url}/v1/answers", json=STREAMED)
        assert third.status_code == 429
        assert int(third.headers["retry-after"]) >= 1
        assert third.json()["error"]["code"] == "server_busy"
        check_whole(first.result())
        check_whole(second.result())
        assert served.gauges() == [0, 0]


# The LLM


@pytest.mark.parametrize("faults", [{"hang_after": 0}, {"drop_after": 0}, {"error_after": 5}], ids=str)
def test_an_llm_that_says_nothing_whole_is_stood_in_for(faults: dict[str, int]) -> None:
    with serving(Stream(DRAFT, **faults), llm_timeout_s=1.0) as served:  # type: ignore[arg-type]
        began = time.monotonic()
        answer = check_whole(stream(served.base_url))
        assert time.monotonic() - began < 5
        assert answer["drafter"] == "extractive"
        assert answer["notes"][0].startswith("The LLM failed, so the answer was drafted without it")


ENDS = [
    pytest.param("hang_after", id="hangs"),
    pytest.param("drop_after", id="drops"),
    pytest.param("end_after", id="ends"),
    pytest.param("error_after", id="errs"),
]


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("n_whole", [1, 2, 3])
def test_an_llm_that_dies_in_mid_stream_leaves_what_was_accepted(how: str, n_whole: int) -> None:
    # In the middle of the claim after the last whole one.
    place = DRAFT.index(json.dumps(CLAIMS[n_whole])[1:-1]) + len(CLAIMS[n_whole]) // 2
    script = Stream(DRAFT, pause_s=0.001, **{how: place // 4})  # type: ignore[arg-type]
    with serving(script, llm_timeout_s=3.0, repair_limit_calls=0) as served:
        began = time.monotonic()
        events = stream(served.base_url)
        assert time.monotonic() - began < 10
        answer = check_whole(events)
        assert served.gauges() == [0, 0]
    assert drafted_claims(events) == list(CLAIMS[:n_whole])
    assert CLAIMS[n_whole][:40] not in answer["markdown"]
    states = {(slot["name"], slot["subject"]): slot["state"] for slot in slots_of(answer)}
    assert states["task", "Q"] == "answered"
    assert states["paper", "P1"] == ("ended" if n_whole == 1 else "answered")
    assert ("The answer ended before it came to" in answer["markdown"]) == (n_whole == 1)


def slots_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [slot for section in answer["sections"] for slot in section["slots"]]


def test_the_time_limit_of_the_server_ends_stream_and_call() -> None:
    with serving(Stream(DRAFT, hang_after=60), server={"limit_request_s": 1.0}) as served:
        began = time.monotonic()
        *before, last = stream(served.base_url)
        assert time.monotonic() - began < 3
        assert last["error"]["code"] == "time_limit"
        assert drafted_claims(before) == [CLAIMS[0]]
        assert served.llm.gone.wait(AT_ONCE_S)
        assert comes_true(lambda: served.gauges() == [0, 0])


# All of it together, and what is left


@dataclass(frozen=True)
class Held:
    """What a process and an event loop hold."""

    sockets: int
    threads: int
    tasks: int

    @staticmethod
    def by(served: Served) -> Held:
        sockets = 0
        for descriptor in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):  # the one that reads this folder
                sockets += str(descriptor.readlink()).startswith("socket:")
        return Held(sockets, threading.active_count(), len(asyncio.all_tasks(served.loop)))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_nothing_is_left_after_failures_of_every_kind() -> None:
    failures = [
        Stream(DRAFT, drop_after=100),
        Stream(DRAFT, error_after=100),
        Stream(DRAFT, end_after=100),
        Stream(DRAFT, hang_after=100),
        Stream(DRAFT, pause_s=0.005),
    ]
    script = [*[Stream(DRAFT)] * 8, *failures * 8, Stream(DRAFT)]
    with serving(*script, llm_timeout_s=1.0) as served, ExitStack() as connections:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(stream, [served.base_url] * 8))  # models loaded, pools of threads filled
        assert comes_true(lambda: served.llm.n_running == 0)
        before = Held.by(served)
        for _ in range(10):
            ask_by_hand(connections, served.port, STREAMED)
        with ThreadPoolExecutor(8) as pool:
            staying = list(pool.map(stream, [served.base_url] * 10))
        connections.close()
        for events in staying:
            check_whole(events)
        assert comes_true(lambda: served.gauges() == [0, 0] and served.llm.n_running == 0, 5)
        assert comes_true(lambda: is_within(Held.by(served), before), 5), (before, Held.by(served))


def is_within(now: Held, before: Held) -> bool:
    return now.sockets <= before.sockets and now.threads <= before.threads and now.tasks <= before.tasks


# The process


@pytest.mark.parametrize("n_workers", [1, 2])
def test_sigterm_under_load_lets_every_stream_end(n_workers: int) -> None:
    with (
        ScriptedLLM(Stream(DRAFT, pause_s=0.02)) as llm,
        process(
            CNAPS_RAG_LLM="scripted",
            CNAPS_RAG_SERVER_WORKERS=str(n_workers),
            CNAPS_RAG_SERVER_CACHE_ANSWERS="0",
            OPENAI_BASE_URL=llm.base_url,
            OPENAI_API_KEY="key",
        ) as server,
        ThreadPoolExecutor(8) as pool,
    ):
        port = int(server.base_url.rpartition(":")[2])
        streams = [pool.submit(stream, server.base_url) for _ in range(8)]
        assert comes_true(lambda: llm.n_running == 8, 60)
        server.terminate()
        assert comes_true(lambda: is_refused(port), 2)
        assert not any(answered.done() for answered in streams)
        answers = [check_whole(answered.result()) for answered in streams]
        assert server.wait() == 0
        assert llm.n_gone == 0
    assert all(CLAIMS[-1] in answer["markdown"] for answer in answers)


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    return False
