from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from processes import run_python
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient
from starlette.types import Message, Scope

from cnaps_rag.server.logs import RequestLog, tell
from cnaps_rag.server.metrics import Metrics

Line = dict[str, Any]


class Counted:
    def __init__(self) -> None:
        self.requests: list[tuple[str, int]] = []

    def request_done(self, route: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.requests.append((route, status))


def app_that_counts() -> tuple[FastAPI, Counted]:
    app, counted = FastAPI(), Counted()
    router = APIRouter(prefix="/v1")

    @router.get("/answers/{number}")
    async def answers(number: int, request: Request) -> dict[str, int]:
        tell(request.scope, owner="team-a", drafter="extractive", n_accepted=number)
        return {"number": number}

    @router.get("/fails")
    async def fails() -> None:
        raise ValueError("the source's secret text")

    @router.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            for part in "abc":
                yield part
                await asyncio.sleep(0.01)
            tell(request.scope, n_accepted=3)

        return StreamingResponse(parts())

    @app.get("/healthz")
    async def healthz() -> str:
        return "alive"

    app.include_router(router)
    app.add_middleware(RequestLog, metrics=counted)
    return app, counted


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level("INFO", "cnaps_rag.server")

    def read() -> list[Line]:
        return [record.msg for record in caplog.records if record.name == "cnaps_rag.server"]  # type: ignore[misc]

    return read


def test_a_request_is_one_line_and_one_count(lines: Any) -> None:
    app, counted = app_that_counts()
    with TestClient(app) as client:
        client.get("/v1/answers/7?question=secret", headers={"Authorization": "Bearer secret"})
    (line,) = lines()
    assert line["event"] == "request"
    assert line["route"] == "/v1/answers/{number}"
    assert (line["method"], line["status"], line["complete"]) == ("GET", 200, True)
    assert (line["owner"], line["drafter"], line["n_accepted"]) == ("team-a", "extractive", 7)
    assert line["seconds"] >= 0
    assert "secret" not in json.dumps(line, default=str)
    assert counted.requests == [("/v1/answers/{number}", 200)]


def test_paths_that_are_no_route_are_counted_as_one(lines: Any) -> None:
    app, counted = app_that_counts()
    with TestClient(app) as client:
        for path in ("/wp-admin", "/v1/nothing", "/v1/answers"):
            assert client.get(path).status_code == 404
    assert counted.requests == [("other", 404)] * 3
    assert "wp-admin" not in json.dumps(lines(), default=str)


@pytest.mark.parametrize("given", ["abc-123", "00-0af7651916cd43dd-01", "a" * 128])
def test_a_sane_request_id_is_kept(given: str, lines: Any) -> None:
    app, _ = app_that_counts()
    with TestClient(app) as client:
        replied = client.get("/v1/answers/1", headers={"X-Request-Id": given}).headers["x-request-id"]
    assert replied == given
    assert lines()[0]["request_id"] == given


@pytest.mark.parametrize("given", [None, "", "a b", 'a"b', "a" * 129, "ä"])
def test_another_is_replaced(given: str | None, lines: Any) -> None:
    app, _ = app_that_counts()
    headers = {} if given is None else {"X-Request-Id": given.encode("latin-1")}
    with TestClient(app) as client:
        replied = [client.get("/v1/answers/1", headers=headers).headers["x-request-id"] for _ in range(2)]
    assert all(len(one) == 32 for one in replied)
    assert replied[0] != replied[1]
    assert [line["request_id"] for line in lines()] == replied


def test_a_stream_is_told_when_it_ends(lines: Any) -> None:
    app, counted = app_that_counts()
    with TestClient(app) as client:
        assert client.get("/v1/stream").text == "abc"
    assert lines()[0]["n_accepted"] == 3
    assert lines()[0]["seconds"] >= 0.03
    assert counted.requests == [("/v1/stream", 200)]


def test_a_client_that_leaves_is_told_and_ends_the_stream(lines: Any) -> None:
    app, counted = app_that_counts()
    sent: list[Message] = []

    async def run() -> None:
        gone = asyncio.Event()

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)
            if message.get("body") == b"a":
                gone.set()

        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/v1/stream",
            "raw_path": b"/v1/stream",
            "query_string": b"",
            "headers": [],
            "app": app,
        }
        await app(scope, receive, send)

    asyncio.run(run())
    assert [message["body"] for message in sent if message["type"] == "http.response.body"] == [b"a"]
    assert lines()[0]["complete"] is False
    assert counted.requests == [("/v1/stream", 200)]


def test_a_failure_is_told_by_type_and_place(lines: Any) -> None:
    app, counted = app_that_counts()
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/v1/fails").status_code == 500
    (line,) = lines()
    assert line["exception"] == ["ValueError"]
    assert any("test_server_logs.py" in place and place.endswith(" fails") for place in line["places"])
    assert "secret" not in json.dumps(line, default=str)
    assert counted.requests == [("/v1/fails", 500)]


def test_probes_are_counted_and_not_told(lines: Any) -> None:
    app, counted = app_that_counts()
    with TestClient(app) as client:
        client.get("/healthz")
    assert lines() == []
    assert counted.requests == [("/healthz", 200)]


def test_metrics_count_requests(lines: Any) -> None:
    app = FastAPI()
    metrics = Metrics()
    app.add_middleware(RequestLog, metrics=metrics)
    with TestClient(app) as client:
        client.get("/nothing")
    assert b'cnaps_rag_requests_total{route="other",status="404"} 1.0' in metrics.exposition()[0]


LOG = """
    import asyncio, logging, logging.config, sys
    from cnaps_rag.server.logs import log_config, logger
    logging.config.dictConfig(log_config(sys.argv[1] if len(sys.argv) > 1 else None))
    logger.info("models_loaded", seconds=1.5)
    logging.getLogger("httpx").info("HTTP Request: POST http://secret")
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    logging.getLogger("asyncio").error("Task exception was never retrieved\\nfuture: ValueError('secret')")
    try:
        raise ValueError("secret") from KeyError("secret")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\\n")
    sys.stderr.flush()
    print("standard output is left alone")
"""


def test_all_loggers_write_json_lines_to_standard_error_without_messages_of_exceptions() -> None:
    code = LOG.replace("import asyncio,", "import os; os.dup2(1, 2); import asyncio,")
    *told, last = run_python(code).splitlines()
    assert last == "standard output is left alone"
    lines = [json.loads(line) for line in told]
    assert [line["event"] for line in lines] == [
        "models_loaded",
        "Started server process [7]",
        "Task exception was never retrieved",
        "Exception in ASGI application",
    ]
    assert all({"timestamp", "level", "logger", "event"} <= set(line) for line in lines)
    assert lines[3]["exception"] == ["ValueError", "KeyError"]
    assert "secret" not in "".join(told)
