from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from redis_servers import free_port
from servers import running
from starlette.testclient import TestClient

from cnaps_rag.server.health import Health, Readiness, find_llm, health_routes
from cnaps_rag.server.keys import KeyRing, new_key
from cnaps_rag.server.metrics import Metrics
from cnaps_rag.server.settings import ServerSettings
from cnaps_rag.settings import Settings

MODELS = '{"object": "list", "data": [{"id": "scripted", "object": "model", "created": 1, "owned_by": "test"}]}'
HTML = "<html>hello</html>"


class Endpoint:
    """An LLM's endpoint that lists its models, or fails to, and counts how often it was asked."""

    def __init__(self, status: int = 200, body: str = MODELS, *, wait_s: float = 0) -> None:
        self.authorizations: list[str | None] = []
        self.app = FastAPI()

        @self.app.get("/v1/models")
        async def models(request: Request) -> Response:
            self.authorizations.append(request.headers.get("authorization"))
            await asyncio.sleep(wait_s)
            media_type = "text/html" if body == HTML else "application/json"
            return Response(body, status_code=status, media_type=media_type)


def found(endpoint: Endpoint) -> str:
    with running(endpoint.app) as base_url:
        return asyncio.run(find_llm(with_llm(f"{base_url}/v1")))


def settings(**given: Any) -> Settings:
    return Settings(**{"llm": None, **given})


def with_llm(base_url: str, **given: Any) -> Settings:
    return settings(llm="scripted", openai_base_url=base_url, openai_api_key="secret", **given)


@asynccontextmanager
async def loaded(chosen: Settings, **given: Any) -> AsyncIterator[Health]:
    health = Health(chosen, ServerSettings(**given))
    health.start()
    for _ in range(600):
        if (await health.readiness())["models"] != "loading":
            break
        await asyncio.sleep(0.05)
    yield health
    await health.stop()


def readiness_of(chosen: Settings) -> Readiness:
    async def run() -> Readiness:
        async with loaded(chosen) as health:
            return await health.readiness()

    return asyncio.run(run())


def test_it_is_ready_when_the_models_are_loaded_and_not_when_it_stops() -> None:
    async def run() -> None:
        health = Health(settings(), ServerSettings())
        assert (await health.readiness())["models"] == "loading"
        assert not (await health.readiness())["ready"]
        async with loaded(settings()) as health:
            assert await health.readiness() == Readiness(ready=True, models="loaded", llm="not_used", fallback=None)
        assert await health.readiness() == Readiness(ready=False, models="stopping", llm="not_used", fallback=None)

    asyncio.run(run())


def test_the_event_loop_is_free_while_models_load() -> None:
    async def run() -> float:
        longest = 0.0
        async with loaded(settings()):
            pass
        health = Health(settings(), ServerSettings())
        health.start()
        for _ in range(20):
            before = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - before)
        await health.stop()
        return longest

    assert asyncio.run(run()) < 1.0


def test_models_that_cannot_be_loaded_are_told_and_never_ready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = readiness_of(settings(verifier=str(tmp_path / "absent")))
    assert (told["ready"], told["models"]) == (False, "failed")
    assert "models_failed" in caplog.text


@pytest.mark.parametrize(
    ("endpoint", "state"),
    [
        (Endpoint(), "reachable"),
        (Endpoint(body=HTML), "reachable"),
        (Endpoint(404), "reachable"),
        (Endpoint(429), "reachable"),
        (Endpoint(501), "reachable"),
        (Endpoint(401), "refuses_key"),
        (Endpoint(403), "refuses_key"),
        (Endpoint(500), "unreachable"),
        (Endpoint(503), "unreachable"),
    ],
    ids=["models", "page", "404", "429", "501", "401", "403", "500", "503"],
)
def test_what_the_endpoint_says(endpoint: Endpoint, state: str) -> None:
    assert found(endpoint) == state
    assert endpoint.authorizations == ["Bearer secret"], "asked once, with the key"


def test_an_endpoint_that_is_not_there_or_hangs_is_unreachable_soon() -> None:
    assert asyncio.run(find_llm(with_llm(f"http://127.0.0.1:{free_port()}/v1"))) == "unreachable"
    endpoint = Endpoint(wait_s=4)
    with running(endpoint.app) as base_url:
        started = time.monotonic()
        assert asyncio.run(find_llm(with_llm(f"{base_url}/v1"))) == "unreachable"
        assert time.monotonic() - started < 3.5


@pytest.mark.parametrize(("on_failure", "ready"), [("extractive", True), ("raise", False)])
def test_without_its_llm_it_is_ready_only_where_it_may_fall_back(on_failure: str, ready: bool) -> None:
    told = readiness_of(with_llm(f"http://127.0.0.1:{free_port()}/v1", on_llm_failure=on_failure))
    assert told["ready"] is ready
    assert told["llm"] == "unreachable"
    assert told["fallback"] == ("extractive" if ready else None)


def test_the_extractive_drafter_asks_no_llm() -> None:
    told = readiness_of(with_llm(f"http://127.0.0.1:{free_port()}/v1", drafter="extractive"))
    assert (told["ready"], told["llm"]) == (True, "not_used")


def test_many_probes_ask_the_endpoint_once() -> None:
    async def run(base_url: str) -> None:
        async with loaded(with_llm(f"{base_url}/v1"), llm_check_s=60) as health:
            told = await asyncio.gather(*(health.readiness() for _ in range(20)))
            assert {one["llm"] for one in told} == {"reachable"}

    endpoint = Endpoint()
    with running(endpoint.app) as base_url:
        asyncio.run(run(base_url))
    assert len(endpoint.authorizations) == 1


def test_probes_need_no_key_and_metrics_do(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    key = new_key("team-a", file)
    app = FastAPI()
    health = Health(settings(), ServerSettings())
    app.include_router(health_routes(health, Metrics(), KeyRing(file)))
    with TestClient(app) as client:
        assert client.get("/healthz").json() == {"status": "alive"}
        loading = client.get("/readyz")
        assert (loading.status_code, loading.json()["models"]) == (503, "loading")
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
        told = client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
        assert told.status_code == 200
        assert "# TYPE cnaps_rag_requests_total counter" in told.text


def test_metrics_are_open_where_nobody_else_can_come() -> None:
    app = FastAPI()
    app.include_router(health_routes(Health(settings(), ServerSettings()), Metrics(), KeyRing(None)))
    with TestClient(app) as client:
        assert client.get("/metrics").headers["content-type"].startswith("text/plain")
