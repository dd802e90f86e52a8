"""The native endpoints and what holds for all of them: who comes in, how failures are told, what is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis import Redis
from redis_servers import running_redis
from scripted_llm import ScriptedLLM, Status, Step, Stream
from servers import running
from test_pipeline import LIES, TRUE, featsharp_request, reply, settings_of

import cnaps_rag as cr
from cnaps_rag.server import ServerSettings, make_app
from cnaps_rag.server.keys import new_key
from cnaps_rag.server.wire import EXAMPLE, AnswersBody, ValidateBody

ROOT = Path(__file__).parents[1]
SEEDS = sorted((ROOT / "data/requests").glob("*.txt"))
TEXT = SEEDS[3].read_text()
EXTRACTIVE = cr.Settings(llm=None)
HONEST = reply(task=[('The user asks: "How can they be upsampled by AI?"', ["Q.2"])], P1_says=[(TRUE, ["P1.6"])])
LYING = reply(P1_says=[(LIES[0], ["P1.5"]), (TRUE, ["P1.6"])])
FEATSHARP = featsharp_request()
FEATSHARP_BODY: dict[str, Any] = {"request": FEATSHARP.model_dump(mode="json")}


def client_of(url: str, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=60, headers=headers)


@contextmanager
def serving(
    settings: cr.Settings = EXTRACTIVE, server: dict[str, Any] | None = None, **stand_ins: Any
) -> Iterator[httpx.Client]:
    app = make_app(settings, ServerSettings(**{"rate_per_minute": 0, **(server or {})}), **stand_ins)
    with running(app) as url, client_of(url) as client:
        yield client


@contextmanager
def serving_llm(
    *script: Step, server: dict[str, Any] | None = None, **changes: Any
) -> Iterator[tuple[httpx.Client, ScriptedLLM]]:
    with ScriptedLLM(*script) as llm:
        settings = settings_of(llm, **{"llm_max_retries": 0, "repair_limit_calls": 0, **changes})
        with serving(settings, server) as client:
            yield client, llm


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(server={"limit_body_bytes": 300_000}) as client:
        yield client


def told(response: httpx.Response, status: int, *, code: str | None, param: str | None = None) -> str:
    """The message of a failure, whose whole form is checked."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    kind = "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    assert (body["error"]["type"], body["error"]["code"], body["error"]["param"]) == (kind, code, param)
    message: str = body["error"]["message"]
    return message


def events_of(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and data of each server-sent event, in the stream's order, as they come; comments have the name ``:``."""
    assert response.headers["content-type"].startswith("text/event-stream")
    name, lines = "message", list[str]()
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            lines.append(line.removeprefix("data: "))
        elif line.startswith(":"):
            yield ":", {}
        elif lines:
            yield name, json.loads("\n".join(lines))
            name, lines = "message", []


def streamed(client: httpx.Client, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    with client.stream("POST", "/v1/answers", json={**body, "stream": True}) as response:
        assert response.status_code == 200
        return list(events_of(response))


def joined(events: list[tuple[str, dict[str, Any]]]) -> str:
    return "".join(event["markdown"] for name, event in events if name not in (":", "error"))


def count(client: httpx.Client, series: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))


def without_times(answer: dict[str, Any]) -> dict[str, Any]:
    ledger = [{**entry, "seconds": 0} for entry in answer["ledger"]]
    return json.loads(json.dumps({**answer, "ledger": ledger, "usage": {**answer["usage"], "seconds": 0}}))


# Answers


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_answer_is_the_librarys_own(client: httpx.Client, path: Path) -> None:
    request = cr.AnswerRequest.from_prompt(path.read_text())
    body = client.post("/v1/answers", json={"text": path.read_text()}).raise_for_status().json()
    own = cr.Answerer(EXTRACTIVE).answer(request)
    assert body["proof"] is None
    assert without_times(body["answer"]) == without_times(dict(own.to_json()))
    as_json = client.post("/v1/answers", json={"request": request.model_dump(mode="json")}).raise_for_status().json()
    assert without_times(as_json["answer"]) == without_times(body["answer"])


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_fragments_of_a_stream_are_the_answer(client: httpx.Client, path: Path) -> None:
    events = streamed(client, {"text": path.read_text()})
    names = [name for name, _ in events if name != ":"]
    assert (names[0], names[-1]) == ("request", "answer_done")
    assert {"source_fit", "section_started", "section_done", "usage"} <= set(names)
    assert all(event["event"] == name for name, event in events if name != ":")
    done = events[-1][1]["answer"]
    assert joined(events) == done["markdown"]
    for name, event in events:
        if name in ("claim_accepted", "claim_repaired"):
            claim = event["claim"]
            assert claim in done["claims"]
            assert done["markdown"][claim["start"] : claim["end"]] == claim["text"]


@pytest.mark.parametrize("stream", [False, True])
def test_proof_can_be_verified(stream: bool) -> None:
    with serving_llm(LYING) as (client, llm):
        body = {**FEATSHARP_BODY, "proof": True, "stream": stream}
        text = client.post("/v1/answers", json=body).raise_for_status().text
        assert len(llm.requests) == 1
    # The bundle stands there byte for byte as in its file; server-sent events put "data: " before each line.
    raw = text.replace("\ndata: ", "\n")
    key = '"bundle":' if stream else '"proof":'
    file = raw[raw.rindex(key) + len(key) :].rstrip().removesuffix("}") + "\n"
    verification = cr.verify_bundle(file.encode())
    assert verification.ok, verification
    bundle = json.loads(file)
    assert len(bundle["exchanges"]) == 1


def test_drafter_of_the_body_overrides_the_settings() -> None:
    with serving_llm(HONEST) as (client, llm):
        drafters = [
            client.post("/v1/answers", json={**FEATSHARP_BODY, "drafter": drafter}).json()["answer"]["drafter"]
            for drafter in ("extractive", "llm", None)
        ]
        assert len(llm.requests) == 1  # the third answer is the second one's
    assert drafters == ["extractive", "scripted", "scripted"]


def test_what_did_not_pass_is_told_and_never_shown() -> None:
    with serving_llm(Stream(LYING)) as (client, _):
        events = streamed(client, FEATSHARP_BODY)
    assert LIES[0] not in joined(events)
    assert TRUE.removeprefix("The paper says: ").strip('"') in joined(events)
    dropped = [event["entry"] for name, event in events if name == "claim_dropped"]
    assert [entry["before"] for entry in dropped] == [LIES[0]]
    assert dropped[0]["reason"]


# Validation


@pytest.mark.parametrize("as_json", [False, True])
def test_report_is_the_librarys_own(client: httpx.Client, as_json: bool) -> None:
    request = cr.AnswerRequest.from_prompt(TEXT)
    text = "FeatSharp upsamples feature maps. It was trained on 57,648 images: https://evil.example/"
    body = {"text": text, "request": request.model_dump(mode="json") if as_json else TEXT}
    found = client.post("/v1/validate", json=body).raise_for_status().json()
    own = cr.validate(text, request)
    assert not found["ok"]
    assert [(claim["text"], claim["verdict"]) for claim in found["claims"]] == [
        (claim.text, claim.verdict) for claim in own.claims
    ]
    assert [(link["start"], link["verdict"]) for link in found["links"]] == [
        (link.start, link.verdict) for link in own.links
    ]


def test_text_with_half_a_character_is_reported_on(client: httpx.Client) -> None:
    body = json.dumps({"text": "FeatSharp \ud800 sharpens.", "request": TEXT})  # ASCII, with the half as an escape
    response = client.post("/v1/validate", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 200
    assert response.json()["claims"]


# Refusals

JSON = {"content-type": "application/json"}
REFUSALS: dict[str, tuple[str, str, Any, int, str | None, str | None, str]] = {
    "unknown path": ("GET", "/v2", None, 404, None, None, "Invalid URL (GET /v2)"),
    "unknown path below v1": ("POST", "/v1/embeddings", {}, 404, None, None, "Invalid URL"),
    "wrong method": ("GET", "/v1/answers", None, 405, None, None, "Not allowed to GET"),
    "no request": ("POST", "/v1/answers", {}, 400, "invalid_request", "request, text", "neither"),
    "two requests": (
        "POST",
        "/v1/answers",
        {"text": TEXT, "request": EXAMPLE.model_dump(mode="json")},
        400,
        "invalid_request",
        "request, text",
        "both",
    ),
    "broken layout": ("POST", "/v1/answers", {"text": "hello"}, 400, "invalid_request", None, "line 1"),
    "broken request": (
        "POST",
        "/v1/answers",
        {"request": {"question": "?", "papers": [{}]}},
        400,
        "invalid_request",
        "papers[0].title",
        "Supply it.",
    ),
    "no source": (
        "POST",
        "/v1/answers",
        {"request": {"question": "?"}},
        400,
        "invalid_request",
        "models, papers",
        "at least one",
    ),
    "unknown field": ("POST", "/v1/answers", {"texts": ""}, 400, "extra_forbidden", "texts", "Remove it."),
    "unknown drafter": ("POST", "/v1/answers", {"drafter": "me"}, 400, "literal_error", "drafter", "'llm'"),
    "no LLM": (
        "POST",
        "/v1/answers",
        {"text": TEXT, "drafter": "llm"},
        400,
        "invalid_request",
        "drafter",
        "No LLM is configured",
    ),
    "no text": ("POST", "/v1/validate", {"request": TEXT}, 400, "missing", "text", "Supply it."),
    "no JSON": ("POST", "/v1/answers", b'{"text": ', 400, "invalid_json", None, "at character 9"),
    "no object": ("POST", "/v1/answers", b"[]", 400, "invalid_json", None, "JSON object"),
    "no UTF-8": ("POST", "/v1/answers", b'{"text": "\xff"}', 400, "invalid_json", None, "UTF-8"),
    "nested too deeply": ("POST", "/v1/answers", b"[" * 100_000, 400, "invalid_json", None, "nested"),
    "nothing": ("POST", "/v1/answers", b"", 400, "invalid_json", None, "JSON object"),
    "too large": ("POST", "/v1/answers", {"text": "x" * 400_000}, 413, "body_too_large", None, "300,000 bytes"),
    "much too large": ("POST", "/v1/answers", {"text": "x" * 40_000_000}, 413, "body_too_large", None, "300,000"),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("stream", [False, True])
def test_refusal_says_where_and_what_to_do(client: httpx.Client, name: str, stream: bool) -> None:
    method, path, body, status, code, param, words = REFUSALS[name]
    if stream and isinstance(body, dict) and path == "/v1/answers":
        body = {**body, "stream": True}
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    try:
        response = client.request(method, path, content=content, headers=JSON)
    except (httpx.WriteError, httpx.ReadError):
        assert name == "much too large"  # so much is not even thrown away: the connection ends
        return
    assert words in told(response, status, code=code, param=param)


def test_body_whose_length_is_not_told_is_counted_as_it_comes(client: httpx.Client) -> None:
    response = client.post("/v1/answers", content=(b"x" * 10_000 for _ in range(40)), headers=JSON)
    assert "300,000" in told(response, 413, code="body_too_large")


def test_body_of_another_type_is_refused(client: httpx.Client) -> None:
    # What any page elsewhere can send without being asked for leave: it must not make this server work.
    response = client.post("/v1/answers", content=json.dumps({"text": TEXT}), headers={"content-type": "text/plain"})
    assert "Content-Type: application/json" in told(response, 400, code="invalid_json")


def test_request_beyond_the_settings_limits_is_refused() -> None:
    with serving(cr.Settings(llm=None, request_limit_sources=3)) as client:
        for body in ({"text": TEXT}, {"request": cr.AnswerRequest.from_prompt(TEXT).model_dump(mode="json")}):
            assert "the limit is 3" in told(client.post("/v1/answers", json=body), 400, code="invalid_request")
        body = {"text": "x", "request": cr.AnswerRequest.from_prompt(TEXT).model_dump(mode="json")}
        assert "the limit is 3" in told(client.post("/v1/validate", json=body), 400, code="invalid_request")
    with serving(cr.Settings(llm=None, request_limit_chars=5_000)) as client:
        body = {"text": "x" * 5_001, "request": EXAMPLE.model_dump(mode="json")}
        refused = told(client.post("/v1/validate", json=body), 400, code="invalid_request", param="text")
        assert "5,001 characters; the limit is 5,000" in refused


def test_each_response_carries_a_request_id(client: httpx.Client) -> None:
    first, second = client.get("/v1/models"), client.get("/v1/models")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert client.get("/", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"


class _Broken:
    """A verifier with a fault that nobody foresaw, whose message quotes what it was given."""

    threshold = 0.5

    def score(self, pairs: Any) -> Any:
        raise ZeroDivisionError(f"secret: {list(pairs)}")


def test_unforeseen_fault_is_told_without_its_words() -> None:
    with serving(verifier=_Broken()) as client:
        body: dict[str, Any] = {"text": "FeatSharp upsamples the maps of encoders.", "request": TEXT}
        assert "secret" not in told(client.post("/v1/validate", json=body), 500, code="internal_error")
    needs_verifier = reply(P1_says=[("FeatSharp upsamples the maps of encoders.", ["P1.5"])])
    with ScriptedLLM(needs_verifier) as llm, serving(settings_of(llm), verifier=_Broken()) as client:
        assert "secret" not in told(client.post("/v1/answers", json=FEATSHARP_BODY), 500, code="internal_error")
        events = streamed(client, FEATSHARP_BODY)
    assert events[-1][0] == "error"
    assert events[-1][1]["error"]["code"] == "internal_error"
    assert "secret" not in str(events)


def test_fault_outside_of_any_endpoint_has_the_same_body() -> None:
    app: FastAPI = make_app(EXTRACTIVE, ServerSettings())

    @app.get("/fault")
    async def fault() -> None:
        raise ZeroDivisionError("secret")

    with running(app) as url:
        response = httpx.get(f"{url}/fault", headers={"X-Request-Id": "mine-2"})
    assert "secret" not in told(response, 500, code="internal_error")
    assert response.headers["x-request-id"] == "mine-2"


# Who comes in


def test_without_keys_only_loopbacks_names_are_answered(client: httpx.Client) -> None:
    for host in ("localhost", "127.0.0.1:1", "[::1]:8000", "LOCALHOST:1"):
        assert client.get("/v1/models", headers={"host": host}).status_code == 200
    for host in ("evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example", ""):
        for path in ("/v1/models", "/", "/openapi.json"):
            message = told(client.get(path, headers={"host": host}), 403, code="host_not_allowed")
            assert "ALLOWED_HOSTS" in message


def test_allowed_hosts_are_the_only_ones() -> None:
    with serving(server={"allowed_hosts": ("Answers.example",)}) as client:
        assert client.get("/v1/models", headers={"host": "answers.example:80"}).status_code == 200
        told(client.get("/v1/models", headers={"host": "127.0.0.1"}), 403, code="host_not_allowed")


def test_with_keys_each_request_needs_one(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    key = new_key("team", keys)
    with serving(server={"keys_file": str(keys)}) as client:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": key}):
            for method, path in (("GET", "/v1/models"), ("POST", "/v1/answers"), ("POST", "/v1/validate")):
                response = client.request(method, path, headers=headers)
                assert "Authorization: Bearer KEY" in told(response, 401, code="invalid_api_key")
                assert response.headers["www-authenticate"] == "Bearer"
        told(client.get("/metrics"), 401, code="invalid_api_key")
        right = {"authorization": f"Bearer {key}", "host": "anything.example"}
        assert client.post("/v1/answers", json={"text": TEXT}, headers=right).status_code == 200
        assert [client.get(path).status_code for path in ("/", "/healthz", "/openapi.json")] == [200] * 3
        described = client.get("/openapi.json").json()
    assert described["paths"]["/v1/answers"]["post"]["security"]


def test_rate_is_per_key_and_says_when_to_come_again(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    one, other = ({"authorization": f"Bearer {new_key(name, keys)}"} for name in ("one", "other"))
    with serving(server={"keys_file": str(keys), "rate_per_minute": 2}) as client:
        for _ in range(2):
            assert client.post("/v1/answers", json={"text": TEXT}, headers=one).status_code == 200
        refused = client.post("/v1/answers", json={"text": TEXT}, headers=one)
        assert "2 requests a minute" in told(refused, 429, code="rate_limit_exceeded")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert client.get("/v1/models", headers=one).status_code == 200
        assert client.post("/v1/answers", json={"text": TEXT}, headers=other).status_code == 200


def test_pages_of_other_sites_are_told_nothing_unless_named() -> None:
    asked = {"origin": "https://chat.example", "access-control-request-method": "POST"}
    with serving() as client:
        assert "access-control-allow-origin" not in client.options("/v1/answers", headers=asked).headers
    with serving(server={"cors_origins": ("https://chat.example",)}) as client:
        allowed = client.options("/v1/answers", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://chat.example"


def test_pages_of_other_sites_can_have_nothing_made_unless_named() -> None:
    sent = {"origin": "https://chat.example", "sec-fetch-site": "cross-site"}
    own = {"origin": "http://127.0.0.1:1", "sec-fetch-site": "same-origin"}
    with serving(server={"rate_per_minute": 1}) as client:
        for path in ("/v1/answers", "/v1/chat/completions", "/v1/models"):
            assert "CORS_ORIGINS" in told(client.post(path, json={}, headers=sent), 403, code="site_not_allowed")
        # A page may send this without asking first, and some frameworks read a body of no type as JSON.
        plain = client.post("/v1/answers", content=json.dumps({"text": TEXT}), headers=own)
        told(plain, 400, code="invalid_json")
        told(client.post("/v1/answers", json={}, headers=own), 429, code="rate_limit_exceeded")
        assert client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200  # a link to the page
    for origins in (("https://chat.example",), ("*",)):
        with serving(server={"cors_origins": origins}) as client:
            assert client.post("/v1/answers", json={"text": TEXT}, headers=sent).status_code == 200


def test_no_path_is_led_elsewhere(client: httpx.Client) -> None:
    for path in ("/v1/models/", "/v1/answers/", "/page.js/"):
        response = client.get(path)
        assert "Invalid URL" in told(response, 404, code=None)
        assert "location" not in response.headers


# Places, times, clients that leave


@contextmanager
def hung_stream(client: httpx.Client, body: dict[str, Any]) -> Iterator[httpx.Response]:
    """A stream that has come as far as the fit of its sources, and is held open."""
    with client.stream("POST", "/v1/answers", json={**body, "stream": True}) as response:
        events = events_of(response)
        assert "source_fit" in (name for name, _ in events)
        yield response
        events.close()  # type: ignore[attr-defined]


def test_full_server_refuses_and_a_client_that_leaves_makes_room() -> None:
    server = {"limit_running": 1, "limit_waiting": 0}
    with serving_llm(Stream(HONEST, hang_after=3), server=server) as (client, llm):
        with hung_stream(client, FEATSHARP_BODY):
            for path, body in (("/v1/answers", {"text": TEXT}), ("/v1/validate", {"text": "x", "request": TEXT})):
                refused = client.post(path, json=body)
                assert "places are taken" in told(refused, 429, code="server_busy")
                assert int(refused.headers["retry-after"]) >= 1
        assert llm.gone.wait(5), "the LLM's call goes on"
        wait_until(lambda: count(client, "cnaps_rag_answers_running") == 0)
        assert client.post("/v1/answers", json={"text": TEXT, "drafter": "extractive"}).status_code == 200


def test_client_that_leaves_before_a_whole_answer_ends_the_llms_call() -> None:
    with serving_llm(Stream(HONEST, hang_after=3), server={"limit_running": 1}) as (client, llm):
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/answers", json=FEATSHARP_BODY, timeout=1)
        assert llm.gone.wait(5), "the LLM's call goes on"
        wait_until(lambda: count(client, "cnaps_rag_answers_running") == 0)


def test_one_that_waits_gets_the_place_or_is_told_that_none_came_free() -> None:
    server = {"limit_running": 1, "limit_waiting": 1, "limit_wait_s": 1.0}
    with serving_llm(Stream(HONEST, hang_after=3), server=server) as (client, _):
        body = {"text": TEXT, "drafter": "extractive"}
        with ThreadPoolExecutor(1) as pool:
            with hung_stream(client, FEATSHARP_BODY):
                waited = client.post("/v1/answers", json=body)
                assert "No place came free" in told(waited, 429, code="server_busy")
                waiting = pool.submit(client.post, "/v1/answers", json=body)
                wait_until(lambda: count(client, "cnaps_rag_answers_waiting") == 1)
                assert not waiting.done()
            assert waiting.result().status_code == 200


def test_answer_that_takes_too_long_is_given_up() -> None:
    with serving_llm(Stream(HONEST, hang_after=3), server={"limit_request_s": 1.0}) as (client, llm):
        whole = client.post("/v1/answers", json=FEATSHARP_BODY)
        assert "time limit" in told(whole, 504, code="time_limit")
        assert whole.headers["x-should-retry"] == "false"
        events = streamed(client, FEATSHARP_BODY)
        assert events[-1][0] == "error"
        assert events[-1][1]["error"]["code"] == "time_limit"
        wait_until(lambda: llm.n_gone == 2)


class _Slow:
    """A verifier that takes its time, in a thread that nobody can stop."""

    threshold = 0.5
    is_asked = False

    def score(self, pairs: Any) -> list[float]:
        self.is_asked = True
        time.sleep(9)
        return [1.0 for _ in pairs]


def test_time_limit_holds_where_a_step_goes_on() -> None:
    needs_verifier = reply(P1_says=[("FeatSharp upsamples the maps of encoders.", ["P1.5"])])
    verifier = _Slow()
    with (
        ScriptedLLM(needs_verifier) as llm,
        serving(settings_of(llm), {"limit_request_s": 1}, verifier=verifier) as client,
    ):
        started = time.monotonic()
        told(client.post("/v1/answers", json=FEATSHARP_BODY), 504, code="time_limit")
        assert time.monotonic() - started < 7.5  # the limit, and the 5 s that it may take to let go
        assert verifier.is_asked


def test_silence_of_the_llm_is_filled_with_comments() -> None:
    with serving_llm(Stream(HONEST, piece_chars=200, pause_s=0.5), server={"ping_s": 0.1}) as (client, _):
        events = streamed(client, FEATSHARP_BODY)
    names = [name for name, _ in events]
    assert names.count(":") >= 3
    assert names[-1] == "answer_done"


def wait_until(is_so: Any, limit_s: float = 5) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, "it does not come to be so"
        time.sleep(0.05)


# An LLM that fails


@pytest.mark.parametrize(
    ("failure", "status", "code"), [(Status(503), 503, "service_unavailable"), (Status(401), 502, "service_failed")]
)
def test_failure_of_the_llm_is_told_without_its_address(failure: Step, status: int, code: str) -> None:
    with serving_llm(failure) as (client, llm):
        whole = client.post("/v1/answers", json=FEATSHARP_BODY)
        message = told(whole, status, code=code)
        events = streamed(client, FEATSHARP_BODY)
        assert events[-1][0] == "error"
        assert events[-1][1]["error"]["code"] == code
        address = llm.base_url.removeprefix("http://").removesuffix("/v1")
    assert address not in message + str(events)


def test_stand_in_for_a_failed_llm_says_so_without_its_address_and_is_not_kept() -> None:
    with serving_llm(Status(500), HONEST, on_llm_failure="extractive") as (client, llm):
        first = client.post("/v1/answers", json=FEATSHARP_BODY).raise_for_status()
        second = client.post("/v1/answers", json=FEATSHARP_BODY).raise_for_status()
        address = llm.base_url.removeprefix("http://").removesuffix("/v1")
        assert len(llm.requests) == 2
    assert first.json()["answer"]["notes"] == ["The LLM failed, so the answer was drafted without it"]
    assert address not in first.text
    assert first.json()["answer"]["drafter"] == "extractive"
    assert second.json()["answer"]["drafter"] == "scripted"


def test_serve_stands_in_for_a_failed_llm_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedLLM(Status(500)) as llm:
        monkeypatch.setenv("CNAPS_RAG_LLM", "scripted")
        monkeypatch.setenv("CNAPS_RAG_LLM_MAX_RETRIES", "0")
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        monkeypatch.setenv("OPENAI_BASE_URL", llm.base_url)
        for wanted, status in ((None, 200), ("raise", 503)):
            if wanted is not None:
                monkeypatch.setenv("CNAPS_RAG_ON_LLM_FAILURE", wanted)
            with running(make_app()) as url, client_of(url) as client:
                assert client.post("/v1/answers", json=FEATSHARP_BODY).status_code == status


def test_untraceable_draft_breaks_off_without_showing_it() -> None:
    with serving_llm(LYING, on_untraceable="raise") as (client, _):
        whole = client.post("/v1/answers", json=FEATSHARP_BODY)
        assert LIES[0] not in told(whole, 502, code="untraceable")
        events = streamed(client, FEATSHARP_BODY)
    assert events[-1][0] == "error"
    assert events[-1][1]["error"]["code"] == "untraceable"
    assert LIES[0] not in joined(events) + str(events[-1])


# What is kept


def test_same_request_is_answered_from_what_was_kept() -> None:
    with serving_llm(Stream(LYING)) as (client, llm):
        first, second = (streamed(client, FEATSHARP_BODY) for _ in range(2))
        whole = client.post("/v1/answers", json=FEATSHARP_BODY).json()
        assert len(llm.requests) == 1
        assert count(client, 'cnaps_rag_cache_lookups_total{found="yes"}') == 2
        assert count(client, 'cnaps_rag_llm_tokens_total{kind="prompt"}') == 100
    fragments = [[event["markdown"] for name, event in events if name != ":"] for events in (first, second)]
    assert fragments[0] == fragments[1]
    assert first[-1] == second[-1]
    assert whole["answer"] == first[-1][1]["answer"]
    usage = [next(event["usage"] for name, event in events if name == "usage") for events in (first, second)]
    assert [told.get("cached", False) for told in usage] == [False, True]


@pytest.mark.parametrize("change", ["question", "drafter", "proof", "off"])
def test_what_differs_is_made_anew(change: str) -> None:
    other = FEATSHARP.model_copy(update={"question": "How can feature maps be upsampled?"})
    bodies: dict[str, dict[str, Any]] = {
        "question": {"request": other.model_dump(mode="json")},
        "drafter": {**FEATSHARP_BODY, "drafter": "extractive"},
        "proof": {**FEATSHARP_BODY, "proof": True},
        "off": FEATSHARP_BODY,
    }
    with serving_llm(HONEST, server={"cache_answers": 0 if change == "off" else 8}) as (client, llm):
        first = client.post("/v1/answers", json=FEATSHARP_BODY).raise_for_status().json()
        second = client.post("/v1/answers", json=bodies[change]).raise_for_status().json()
        assert len(llm.requests) == (1 if change == "drafter" else 2)
    assert (first["answer"]["usage"] == second["answer"]["usage"]) is False


def test_broken_off_stream_is_not_kept() -> None:
    script = (Stream(LYING, drop_after=len(LYING) // 4 - 2), Stream(LYING))
    with serving_llm(*script, on_llm_failure="extractive") as (client, llm):
        broken, whole = streamed(client, FEATSHARP_BODY), streamed(client, FEATSHARP_BODY)
        assert len(llm.requests) == 2
    assert joined(broken) == broken[-1][1]["answer"]["markdown"]
    assert whole[-1][1]["answer"]["usage"]["failed_calls"] == 0


def test_what_redis_holds_and_is_no_answer_is_made_anew(tmp_path: Path) -> None:
    with (
        running_redis(tmp_path) as redis,
        Redis.from_url(redis.url) as writer,
        serving(server={"redis_url": redis.url}) as client,
    ):
        first = client.post("/v1/answers", json=FEATSHARP_BODY).raise_for_status().json()
        (key,) = writer.keys("cnaps_rag:answer:*")
        for kept in (b"", b"\xff", b"null", b"{}", b"[]", b"[1]", b'[{"event": "usage"}]'):
            writer.set(key, kept)
            anew = client.post("/v1/answers", json=FEATSHARP_BODY).raise_for_status().json()
            assert without_times(anew["answer"]) == without_times(first["answer"])
        assert count(client, 'cnaps_rag_cache_lookups_total{found="yes"}') == 0


# The description


def test_description_has_examples_that_are_answered(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    schemas = described["components"]["schemas"]
    for path, schema in (
        ("/v1/answers", "AnswersBody"),
        ("/v1/validate", "ValidateBody"),
        ("/v1/chat/completions", "ChatBody"),
    ):
        operation = described["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith(schema)
        assert "422" not in operation["responses"]
        assert operation["responses"]["400"]["content"]["application/json"]["schema"]["$ref"].endswith("FailureJson")
        assert schemas[schema]["examples"]
        for example in schemas[schema]["examples"]:
            assert client.post(
                path, json={**example, "stream": False} if path != "/v1/validate" else example
            ).is_success
    assert "HTTPValidationError" not in schemas
    assert AnswersBody.model_validate(schemas["AnswersBody"]["examples"][0]).request == EXAMPLE
    assert ValidateBody.model_validate(schemas["ValidateBody"]["examples"][0]).request == EXAMPLE.to_prompt()
