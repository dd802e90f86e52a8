from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from fastapi import FastAPI, Request, Response
from processes import run_python
from redis_servers import free_port, running_redis
from scripted_llm import ScriptedLLM, Stream
from server_processes import ServerProcess, serving
from servers import running
from test_pipeline import TRUE, featsharp_request, reply

import cnaps_rag.cli
from cnaps_rag.server.keys import new_key, revoke_keys

TEXT = featsharp_request().to_prompt()
DRAFT = reply(task=[('The user asks: "How can they be upsampled by AI?"', ["Q.2"])], P1_says=[(TRUE, ["P1.6"])])
SLOW = Stream(DRAFT, piece_chars=8, pause_s=0.05)
BUSY = {"text": TEXT, "stream": True}


# What it refuses to start with


def refused(*options: str, **environment: str) -> str:
    ended = CliRunner().invoke(cnaps_rag.cli.main, ["serve", *options], env=environment)
    assert ended.exit_code == 2, ended.output
    assert len(ended.stderr.splitlines()) == 1
    return str(ended.stderr)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org"])
def test_beyond_loopback_it_needs_a_key_file(host: str) -> None:
    assert "cnaps-rag keys new" in refused("--host", host)


def test_unusable_settings_are_told_by_name(tmp_path: Path) -> None:
    broken = tmp_path / "keys.txt"
    broken.write_text("team-a 1234\n")
    assert "line 1" in refused("--keys", str(broken))
    assert "cannot be read" in refused("--keys", str(tmp_path / "absent"))
    assert "CNAPS_RAG_SERVER_WORKERS" in refused("--workers", "0")
    assert "CNAPS_RAG_SERVER_LIMIT_RUNNING" in refused(CNAPS_RAG_SERVER_LIMIT_RUNNING="many")
    assert "CNAPS_RAG_SERVER_SHUTDOWN_S" in refused(CNAPS_RAG_SERVER_SHUTDOWN_S="inf")
    assert "CNAPS_RAG_SERVER_ALLOWED_HOSTS" in refused(CNAPS_RAG_SERVER_ALLOWED_HOSTS="a,b")
    assert "OTEL_TRACES_EXPORTER" in refused(OTEL_TRACES_EXPORTER="zipkin")
    told = refused(CNAPS_RAG_SERVER_REDIS_URL="http://:secret@127.0.0.1/0")
    assert "redis://" in told
    assert "secret" not in told


def test_an_address_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert "Address already in use" in refused("--port", str(listener.getsockname()[1]))


@pytest.mark.parametrize(
    ("command", "module"),
    [("serve", "uvicorn"), ("serve", "structlog"), ("serve", "redis"), ("keys list --file keys.txt", "structlog")],
)
def test_without_the_extra_it_says_what_to_install(command: str, module: str) -> None:
    code = f"""
        import sys
        sys.modules["{module}"] = None
        from click.testing import CliRunner
        from cnaps_rag.cli import main
        ended = CliRunner().invoke(main, "{command}".split())
        print(ended.exit_code, ended.stderr)
    """
    assert run_python(code).split("\n")[0] == f"2 cnaps-rag: this needs {module}: pip install 'cnaps_rag[server]'"


def test_help_needs_no_extra_and_teaches() -> None:
    code = """
        import sys
        for name in ("structlog", "uvicorn", "fastapi", "redis", "limits"):
            sys.modules[name] = None
        from click.testing import CliRunner
        from cnaps_rag.cli import main
        ended = CliRunner().invoke(main, ["serve", "--help"])
        print(ended.exit_code, ended.output)
    """
    told = run_python(code)
    assert told.startswith("0 ")
    for word in ("/v1", "keys new", "Bearer", "CNAPS_RAG_SERVER_REDIS_URL", "SIGTERM", "--workers"):
        assert word in told


# A process


def events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def is_refused(base_url: str) -> bool:
    try:
        httpx.get(f"{base_url}/healthz", timeout=2)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        pass  # it was let in just before the listener closed, and shut out again
    return False


def until(is_so: Callable[[], bool], limit_s: float = 10) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)


def llm_environment(llm: ScriptedLLM, **more: str) -> dict[str, str]:
    return {
        "OPENAI_BASE_URL": llm.base_url,
        "OPENAI_API_KEY": "secret-key-of-the-llm",
        "CNAPS_RAG_LLM": "scripted",
        **more,
    }


@pytest.mark.slow
def test_a_server_answers_tells_and_ends_well() -> None:
    with serving() as server:
        answered = httpx.post(f"{server.base_url}/v1/answers", json={"text": TEXT}, timeout=30)
        assert answered.status_code == 200
        metrics = httpx.get(f"{server.base_url}/metrics").text
        assert 'cnaps_rag_requests_total{route="/v1/answers",status="200"} 1.0' in metrics
        server.terminate()
        assert server.wait() == 0
        first, *others = server.told.splitlines()
        assert first == f"cnaps-rag answers at {server.base_url}"
        lines = [json.loads(line) for line in others]
        (line,) = [line for line in lines if line["event"] == "request"]
        assert line["request_id"] == answered.headers["x-request-id"]
        assert (line["route"], line["status"], line["owner"]) == ("/v1/answers", 200, "local")
        assert line["drafter"] == "extractive"
        for text in ("upsampled", "FeatSharp", "low-res"):
            assert text in TEXT
            assert text not in server.told, "no text of the request is logged"


@pytest.mark.slow
def test_the_llm_is_stood_in_for_where_nothing_else_is_said() -> None:
    address = f"http://127.0.0.1:{free_port()}/v1"
    with serving("--llm", "gone", OPENAI_BASE_URL=address, CNAPS_RAG_LLM_MAX_RETRIES="0") as server:
        told = httpx.get(f"{server.base_url}/readyz").json()
        assert told == {"ready": True, "models": "loaded", "llm": "unreachable", "fallback": "extractive"}
        answered = httpx.post(f"{server.base_url}/v1/answers", json={"text": TEXT}, timeout=30)
        assert answered.status_code == 200
        assert answered.json()["answer"]["drafter"] == "extractive"
        assert address not in server.told


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 2])
def test_sigterm_lets_a_stream_finish_and_nobody_else_in(n_workers: int) -> None:
    with (
        ScriptedLLM(SLOW) as llm,
        serving("--workers", str(n_workers), **llm_environment(llm)) as server,
        httpx.stream("POST", f"{server.base_url}/v1/answers", json=BUSY, timeout=30) as response,
    ):
        told: list[str] = []
        markdown = ""
        for name, event in events(response):
            if not told:
                until(lambda: llm.n_running == 1)
                server.terminate()
                until(lambda: is_refused(server.base_url))
            told.append(name)
            markdown += event["markdown"]
        assert told[-1] == "answer_done"
        assert markdown == event["answer"]["markdown"]
        assert event["answer"]["drafter"] == "scripted"
        assert server.wait() == 0
        assert "secret-key-of-the-llm" not in server.told


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_stream_that_takes_too_long_is_cut_between_events(n_workers: int) -> None:
    hanging = Stream(DRAFT, hang_after=3)
    environment = {"CNAPS_RAG_SERVER_SHUTDOWN_S": "1", "CNAPS_RAG_SERVER_WORKERS": str(n_workers)}
    with (
        ScriptedLLM(hanging) as llm,
        serving(**llm_environment(llm, **environment)) as server,
        httpx.stream("POST", f"{server.base_url}/v1/answers", json=BUSY, timeout=30) as response,
    ):
        told: list[str] = []
        started = 0.0
        try:
            for name, _ in events(response):
                if not told:
                    until(lambda: llm.n_running == 1)
                    server.terminate()
                    started = time.monotonic()
                told.append(name)
        except httpx.RemoteProtocolError:
            pass  # cut: the client sees that it was not the end
        assert "answer_done" not in told
        assert server.wait() == 0
        assert time.monotonic() - started < 8
        assert llm.gone.wait(5), "the LLM's call is ended too"


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_server_that_cannot_start_says_why_and_ends(n_workers: int) -> None:
    environment = {"OTEL_TRACES_EXPORTER": "console", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many"}
    with pytest.raises(AssertionError, match="the server ended") as ended:  # noqa: SIM117
        with serving("--workers", str(n_workers), **environment):
            pytest.fail("it started")
    assert "app_not_made" in str(ended.value)
    assert "must be a non-negative integer but got many" in str(ended.value)


class Collector:
    """An OpenTelemetry collector that keeps the bodies it gets."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.app = FastAPI()

        @self.app.post("/v1/traces")
        async def traces(request: Request) -> Response:
            self.bodies.append(await request.body())
            return Response(media_type="application/x-protobuf")


@pytest.mark.slow
def test_traces_go_to_the_collector_without_text_of_the_request() -> None:
    collector = Collector()
    with running(collector.app) as endpoint:
        with serving(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as server:
            assert httpx.post(f"{server.base_url}/v1/answers", json={"text": TEXT}, timeout=30).status_code == 200
        sent = b"".join(collector.bodies)
    assert b"chat cnaps-rag" in sent
    assert b"cnaps_rag.check" in sent
    assert b"gen_ai.operation.name" in sent
    for text in (b"upsampled", b"FeatSharp", b"low-res"):
        assert text not in sent


@pytest.mark.slow
def test_ctrl_c_ends_it_well() -> None:
    with serving() as server:
        server.process.send_signal(signal.SIGINT)
        assert server.wait() == 0
        assert "Traceback" not in server.told


# Several workers


def workers_of(server: ServerProcess, event: str, **fields: Any) -> set[int]:
    return {
        line["pid"]
        for line in server.lines
        if line["event"] == event and all(line.get(name) == value for name, value in fields.items())
    }


def post(server: ServerProcess, body: dict[str, Any], **headers: str) -> httpx.Response:
    """Over a connection of its own, so that any worker may take it."""
    return httpx.post(f"{server.base_url}/v1/answers", json=body, headers=headers, timeout=60)


@pytest.mark.slow
def test_workers_share_rate_and_cache_through_redis(tmp_path: Path) -> None:
    with running_redis(tmp_path) as redis:
        environment = {"CNAPS_RAG_SERVER_REDIS_URL": redis.url}
        with serving("--workers", "2", "--rate", "30", **environment) as server, ThreadPoolExecutor(16) as pool:
            until(lambda: len(workers_of(server, "models_loaded")) == 2, 60)
            assert post(server, {"text": TEXT}).status_code == 200
            statuses = [r.status_code for r in pool.map(lambda _: post(server, {"text": TEXT}), range(59))]
            assert statuses.count(200) == 29, "thirty of sixty, whoever answered them"
            assert statuses.count(429) == 30
            assert len(workers_of(server, "request", status=429)) == 2
            assert len(workers_of(server, "request", cached=True)) == 2
            assert len(workers_of(server, "request", cached=False)) == 1, "one worker made the answer, once"
            metrics = httpx.get(f"{server.base_url}/metrics").text
            assert 'cnaps_rag_requests_total{route="/v1/answers",status="200"} 30.0' in metrics
            assert 'cnaps_rag_cache_lookups_total{found="yes"} 29.0' in metrics


@pytest.mark.slow
def test_a_key_is_made_and_revoked_while_workers_run(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    old = new_key("team-a", file)
    with serving("--workers", "2", "--keys", str(file), CNAPS_RAG_SERVER_RATE_PER_MINUTE="0") as server:
        until(lambda: len(workers_of(server, "models_loaded")) == 2, 60)

        def statuses(key: str) -> set[int]:
            headers = {"Authorization": f"Bearer {key}"}
            with ThreadPoolExecutor(8) as pool:
                asked = [pool.submit(httpx.get, f"{server.base_url}/v1/models", headers=headers) for _ in range(32)]
            return {one.result().status_code for one in asked}

        assert statuses(old) == {200}
        new = new_key("team-b", file)
        assert statuses(new) == {200}
        revoke_keys("team-a", file)
        assert statuses(old) == {401}
        assert statuses(new) == {200}
        assert httpx.get(f"{server.base_url}/readyz").status_code == 200
        assert old not in server.told
        assert new not in server.told


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_what_it_counted_stays(tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    with serving("--workers", "2", TMPDIR=str(folder)) as server:
        until(lambda: len(workers_of(server, "models_loaded")) == 2, 60)
        assert post(server, {"text": TEXT}).status_code == 200
        until(lambda: len(workers_of(server, "request")) == 1)
        (used,) = workers_of(server, "request")
        os.kill(used, signal.SIGKILL)
        until(lambda: len(workers_of(server, "models_loaded")) == 3, 60)
        assert 'route="/v1/answers",status="200"} 1.0' in httpx.get(f"{server.base_url}/metrics").text
        assert len(list(folder.glob("cnaps-rag-metrics-*"))) == 1
        server.terminate()
        assert server.wait() == 0
        assert not list(folder.glob("cnaps-rag-*")), "nothing is left behind"
        assert re.search(r"cnaps-rag answers at", server.told)
