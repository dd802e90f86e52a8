from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr
from scripted_llm import Body, Drop, Say, Script, ScriptedLLM, Status, Step, Trickle, Wait

from cnaps_rag.draft import SlotForm, schema_of
from cnaps_rag.errors import BadDraftError, ServiceError, ServiceUnavailableError
from cnaps_rag.llm import LLM, Reply, Usage, estimated_cost
from cnaps_rag.passages import PassageId
from cnaps_rag.prompt import Prompt
from cnaps_rag.settings import LLMPrice, Settings
from cnaps_rag.sources import SourceId

KEY = "sk-Very-Secret-0123456789"

FORM = (
    SlotForm(name="task", subject=SourceId("Q"), evidence_ids=(PassageId("Q.1"),)),
    SlotForm(name="paper", subject=SourceId("P1"), evidence_ids=(PassageId("P1.0"), PassageId("P1.1"))),
)
PROMPT = Prompt(
    messages=({"role": "system", "content": "Fill in the form."}, {"role": "user", "content": "What is P1?"}),
    form=FORM,
    schema=schema_of(FORM),
    n_tokens=20,
    left_out=(PassageId("P1.9"),),
    sha256="0" * 64,
)
GOOD = '{"task":[{"evidence":["Q.1"],"text":"The user asks."}],"P1_says":[{"evidence":["P1.1"],"text":"It is."}]}'
FENCED = f"Here you are:\n```json\n{GOOD}\n```"


def settings(endpoint: ScriptedLLM, /, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "llm": "scripted",
        "openai_base_url": endpoint.base_url,
        "openai_api_key": SecretStr(KEY),
        "llm_timeout_s": 20.0,
        "llm_max_retries": 1,
    }
    return Settings(**{**given, **changes})


def complete(endpoint: ScriptedLLM, /, **changes: Any) -> Reply:
    return LLM(settings(endpoint, **changes)).complete(PROMPT)


def acomplete(endpoint: ScriptedLLM, /, **changes: Any) -> Reply:
    return asyncio.run(LLM(settings(endpoint, **changes)).acomplete(PROMPT))


BOTH = pytest.mark.parametrize("call", [complete, acomplete])


@BOTH
def test_a_reply_comes_with_what_it_cost(call: Callable[..., Reply]) -> None:
    price = LLMPrice(per_million_prompt_tokens=2.0, per_million_completion_tokens=30.0)
    with ScriptedLLM(Say(GOOD, usage=(1_000, 50), model="scripted-2")) as llm:
        reply = call(llm, llm_prices={"scripted": price})
    assert (reply.text, reply.llm, reply.reply_format) == (GOOD, "scripted-2", "schema")
    usage = reply.usage
    assert (usage.calls, usage.failed_calls, usage.prompt_tokens, usage.completion_tokens) == (1, 0, 1_000, 50)
    assert usage.cost == pytest.approx(0.0035)
    assert 0 < usage.seconds < 10
    assert (usage.llms, usage.left_out, usage.estimated) == (("scripted-2",), ("P1.9",), False)


def test_the_request_asks_for_the_schema_strictly_and_bounds_the_reply() -> None:
    with ScriptedLLM(GOOD) as llm:
        complete(llm, reply_limit_tokens=77, llm_temperature=0.5, llm_seed=None)
    (request,) = llm.requests
    assert request.path.endswith("/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.json["model"] == "scripted"
    assert request.json["messages"] == list(PROMPT.messages)
    assert request.json["max_tokens"] == 77
    assert request.json["temperature"] == 0.5
    assert "seed" not in request.json
    form = request.json["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["strict"] is True
    assert form["json_schema"]["schema"] == PROMPT.schema


def test_a_server_that_tells_no_tokens_has_them_estimated() -> None:
    with ScriptedLLM(Say(GOOD, usage=None, model=None)) as llm:
        reply = complete(llm)
    assert reply.usage.estimated
    assert reply.usage.prompt_tokens == PROMPT.n_tokens
    assert 20 < reply.usage.completion_tokens < 60
    assert reply.llm == "scripted"


@BOTH
@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Status(500), id="500"),
        pytest.param(Status(502), id="502"),
        pytest.param(Status(503), id="503"),
        pytest.param(Status(529), id="529 overloaded"),
        pytest.param(Status(408), id="408"),
        pytest.param(Status(429), id="429"),
        pytest.param(Drop(), id="dropped connection"),
        pytest.param(Drop(in_body=True), id="dropped in the body"),
        pytest.param(Body(Say(GOOD).body()[:60]), id="200 with broken JSON"),
        pytest.param(Body(b'{"choices": []}'), id="no choices"),
        pytest.param(Body(b'{"choices": null}'), id="choices null"),
        pytest.param(Body(b'{"error": {"message": "upstream"}}'), id="200 with an error"),
        pytest.param(Body(b""), id="200 with nothing"),
    ],
)
def test_what_may_pass_is_tried_again(failure: Step, call: Callable[..., Reply]) -> None:
    with ScriptedLLM(failure, GOOD) as llm:
        reply = call(llm)
    assert reply.text == GOOD
    assert (reply.usage.calls, reply.usage.failed_calls) == (2, 1)
    assert len(llm.requests) == 2


@pytest.mark.parametrize("failure", [Status(503), Drop(), Body(b'{"choices": []}')], ids=["503", "drop", "no choices"])
def test_retries_end(failure: Step) -> None:
    with ScriptedLLM(failure) as llm, pytest.raises(ServiceUnavailableError) as raised:
        complete(llm, llm_max_retries=2)
    assert len(llm.requests) == 3
    assert (raised.value.usage.calls, raised.value.usage.failed_calls) == (3, 3)
    assert raised.value.usage.left_out == ("P1.9",)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        pytest.param(Status(401, f"Incorrect API key provided: {KEY}"), "OPENAI_API_KEY", id="bad key"),
        pytest.param(Status(403), "OPENAI_API_KEY", id="key without the right"),
        pytest.param(Status(404, "model not found"), "CNAPS_RAG_LLM", id="unknown LLM"),
        pytest.param(
            Status(400, "the request exceeds the available context size", type="exceed_context_size_error"),
            "CNAPS_RAG_PROMPT_LIMIT_TOKENS",
            id="context overflow, llama.cpp",
        ),
        pytest.param(
            Status(400, "maximum context length is 8192 tokens, 9000 given", code="context_length_exceeded"),
            "9000",
            id="context overflow, OpenAI",
        ),
        pytest.param(Status(413), "CNAPS_RAG_PROMPT_LIMIT_TOKENS", id="body too large"),
        pytest.param(Status(429, "no quota", code="insufficient_quota"), "quota", id="no quota"),
        pytest.param(Status(307, headers={"location": "/elsewhere"}), "redirects", id="redirect"),
        pytest.param(Body(b"<!DOCTYPE html><p>Welcome", content_type="text/html"), "web page", id="200 with HTML"),
        pytest.param(Status(418), "HTTP 418", id="any other status"),
    ],
)
def test_what_will_not_pass_ends_at_once(failure: Step, told: str) -> None:
    with ScriptedLLM(failure) as llm, pytest.raises(ServiceError) as raised:
        complete(llm)
    assert not isinstance(raised.value, ServiceUnavailableError | BadDraftError)
    assert told in str(raised.value)
    assert len(llm.requests) == 1
    assert raised.value.usage.failed_calls == 1


@pytest.mark.parametrize(
    ("reply", "told", "partial_text"),
    [
        pytest.param(Say(None, refusal="I will not."), "I will not.", "", id="refusal"),
        pytest.param(Say(GOOD[:50], "length"), "CNAPS_RAG_REPLY_LIMIT_TOKENS", GOOD[:50], id="cut off"),
        pytest.param(Say(GOOD, "content_filter"), "filter", GOOD, id="content filter"),
        pytest.param(Say(None), "empty", "", id="null content"),
        pytest.param(Say(" \n"), "empty", "", id="blank content"),
    ],
)
def test_a_reply_that_is_no_draft_is_kept_in_the_error(reply: Say, told: str, partial_text: str) -> None:
    with ScriptedLLM(reply) as llm, pytest.raises(BadDraftError) as raised:
        complete(llm)
    assert told in str(raised.value)
    assert raised.value.partial_text == partial_text
    assert (raised.value.usage.calls, raised.value.usage.failed_calls) == (1, 0)
    assert raised.value.usage.completion_tokens == 10


def formats(llm: ScriptedLLM) -> list[str]:
    return [request.json.get("response_format", {"type": "text"})["type"] for request in llm.requests]


def takes(*accepted: str, otherwise: Step, reply: Step = GOOD) -> Script:
    """An endpoint that takes these reply formats and answers the others with `otherwise`."""

    def step(request: dict[str, Any]) -> Step:
        return reply if request.get("response_format", {"type": "text"})["type"] in accepted else otherwise

    return step


UNKNOWN_FORMAT = Status(400, "response_format.type must be one of text", param="response_format")


@pytest.mark.parametrize(
    ("script", "first", "later", "reply_format"),
    [
        pytest.param(
            takes("json_object", "text", otherwise=UNKNOWN_FORMAT),
            ["json_schema", "json_object"],
            ["json_object"],
            "json",
            id="refuses schemas",
        ),
        pytest.param(
            takes("text", otherwise=Status(422)),
            ["json_schema", "json_object", "text"],
            ["text"],
            "text",
            id="refuses JSON mode too, without saying why",
        ),
        pytest.param(
            takes("json_object", otherwise=Status(500, "failed to compile grammar")),
            ["json_schema", "json_object"],
            ["json_object"],
            "json",
            id="fails on schemas",
        ),
        pytest.param(
            takes("json_object", otherwise="I'd say that P1 is fine."),
            ["json_schema", "json_object"],
            ["json_object"],
            "json",
            id="ignores schemas and writes prose",
        ),
        pytest.param(takes(otherwise=FENCED), ["json_schema"], ["json_object"], "schema", id="ignores, writes JSON"),
        pytest.param(
            takes(otherwise=GOOD.replace("P1.1", "P7.1")),
            ["json_schema"],
            ["json_object"],
            "schema",
            id="ignores the enums",
        ),
    ],
)
def test_a_server_without_schemas_is_asked_in_weaker_ways_and_remembered(
    script: Script, first: list[str], later: list[str], reply_format: str
) -> None:
    with ScriptedLLM(script) as llm:
        reply = complete(llm)
        assert formats(llm) == first
        assert reply.reply_format == reply_format
        complete(llm)
        assert formats(llm) == first + later
        complete(llm, llm="another")
        assert formats(llm)[len(first + later)] == "json_schema"


def test_prose_in_every_format_is_no_draft() -> None:
    with ScriptedLLM("I'd say that P1 is fine.") as llm, pytest.raises(BadDraftError) as raised:
        complete(llm)
    assert formats(llm) == ["json_schema", "json_object", "text"]
    assert raised.value.partial_text == "I'd say that P1 is fine."
    assert raised.value.usage.completion_tokens == 30


def test_a_400_that_no_weaker_request_heals_is_told() -> None:
    with ScriptedLLM(Status(400, "no such tokenizer")) as llm, pytest.raises(ServiceError, match="no such tokenizer"):
        complete(llm)
    assert len(llm.requests) == 3


def test_parameters_that_an_llm_refuses_are_left_out_and_remembered() -> None:
    def reasoning(request: dict[str, Any]) -> Step:
        if "max_tokens" in request:
            return Status(400, "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
        if "temperature" in request:
            return Status(400, "'temperature' does not support 0.0 with this model.", param="temperature")
        return GOOD

    with ScriptedLLM(reasoning) as llm:
        assert complete(llm).usage.calls == 3
        assert complete(llm).usage.calls == 1
    last = llm.requests[-1].json
    assert last["max_completion_tokens"] == 2_000
    assert last["response_format"]["type"] == "json_schema"
    assert last["seed"] == 0


def test_retry_after_in_seconds_is_waited_for() -> None:
    with ScriptedLLM(Status(429, headers={"retry-after": "1"}), GOOD) as llm:
        started_at = time.monotonic()
        complete(llm)
    assert 1 <= time.monotonic() - started_at < 4


def test_retry_after_as_a_date_is_waited_for() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    with ScriptedLLM(Status(503, headers={"retry-after": date}), GOOD) as llm:
        started_at = time.monotonic()
        complete(llm)
    assert 0.9 <= time.monotonic() - started_at < 5


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "600"}, 600.0), ({"retry-after-ms": "600000"}, 600.0), ({"retry-after": "soon"}, None)],
)
def test_a_wait_longer_than_the_deadline_is_handed_to_the_caller(
    headers: dict[str, str], seconds: float | None
) -> None:
    retries = 1 if seconds else 0
    with ScriptedLLM(Status(429, headers=headers)) as llm, pytest.raises(ServiceUnavailableError) as raised:
        complete(llm, llm_max_retries=retries)
    assert raised.value.retry_after_s == seconds
    assert len(llm.requests) == 1


@BOTH
@pytest.mark.parametrize(
    "step", [Wait(3), Trickle(Say(GOOD).body(), pause_s=0.25)], ids=["silence", "a byte now and then"]
)
def test_the_deadline_holds_over_the_whole_reply(step: Step, call: Callable[..., Reply]) -> None:
    with ScriptedLLM(step) as llm:
        started_at = time.monotonic()
        with pytest.raises(ServiceUnavailableError, match=r"within 0\.6 s") as raised:
            call(llm, llm_timeout_s=0.6)
        assert time.monotonic() - started_at < 1.2
    assert (raised.value.usage.calls, raised.value.usage.failed_calls) == (1, 1)


def test_the_deadline_of_one_call_goes_before_that_of_the_settings() -> None:
    with ScriptedLLM(Wait(3)) as llm:
        started_at = time.monotonic()
        with pytest.raises(ServiceUnavailableError):
            LLM(settings(llm)).complete(PROMPT, deadline_s=0.3)
        assert time.monotonic() - started_at < 1


def test_retries_stay_within_the_deadline() -> None:
    with ScriptedLLM(Status(503)) as llm:
        started_at = time.monotonic()
        with pytest.raises(ServiceUnavailableError):
            complete(llm, llm_timeout_s=1.5, llm_max_retries=1_000)
        assert time.monotonic() - started_at < 2


def test_nobody_listening_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(ServiceUnavailableError, match="could not be reached"):
        LLM(Settings(llm="x", openai_base_url=address, llm_max_retries=0)).complete(PROMPT)


def test_complete_works_where_an_event_loop_runs() -> None:
    async def within_a_loop(llm: ScriptedLLM) -> Reply:
        return LLM(settings(llm)).complete(PROMPT)

    with ScriptedLLM(GOOD) as llm:
        assert asyncio.run(within_a_loop(llm)).text == GOOD


def test_acomplete_can_be_cancelled() -> None:
    async def cancelled(llm: ScriptedLLM) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(LLM(settings(llm)).acomplete(PROMPT), timeout=0.3)

    with ScriptedLLM(Wait(2)) as llm:
        started_at = time.monotonic()
        asyncio.run(cancelled(llm))
        assert time.monotonic() - started_at < 1


def test_the_environment_s_proxy_is_not_used_to_reach_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with ScriptedLLM(GOOD) as llm:
        assert complete(llm).text == GOOD


def test_without_a_name_nothing_is_sent() -> None:
    with ScriptedLLM(GOOD) as llm, pytest.raises(ServiceError, match="CNAPS_RAG_LLM"):
        complete(llm, llm=None)
    assert not llm.requests


@pytest.mark.parametrize(("name", "value"), [("HTTP_PROXY", "gopher://x"), ("SSL_CERT_FILE", "/is/not/there")])
def test_an_environment_that_no_client_can_use_is_told(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ServiceError, match=name):
        LLM(Settings(llm="x", openai_base_url="http://llm.invalid/v1", llm_max_retries=0)).complete(PROMPT)


@pytest.mark.parametrize("address", ["", "api.example/v1", "ftp://api.example/v1", "http://[::1/v1", "http://a\nb/v1"])
def test_an_address_that_cannot_be_used_is_told(address: str) -> None:
    with pytest.raises(ServiceError, match="OPENAI_BASE_URL"):
        LLM(Settings(llm="x", openai_base_url=address or "://", llm_max_retries=0)).complete(PROMPT)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(Status(401, f"Incorrect API key provided: {KEY}"), id="401"),
        pytest.param(Status(400, f"bad header 'Bearer {KEY}'"), id="400"),
        pytest.param(Status(500, f"key={KEY}"), id="500"),
        pytest.param(Body(json.dumps({"detail": f"{KEY}"}).encode()), id="200"),
        pytest.param(Drop(), id="dropped"),
        pytest.param(Wait(2), id="timeout"),
        pytest.param(Say(None, refusal=f"not for {KEY}"), id="refusal"),
    ],
)
@pytest.mark.parametrize("key", [KEY, f"{KEY}\n"], ids=["key", "key with a line end"])
def test_the_key_is_in_no_message_log_or_traceback(script: Script, key: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedLLM(script) as llm:
        given = settings(llm, openai_api_key=SecretStr(key), llm_max_retries=0, llm_timeout_s=0.7)
        with pytest.raises(ServiceError) as raised:
            LLM(given).complete(PROMPT)
    error: BaseException | None = raised.value
    told = "".join(traceback.format_exception(raised.value)) + repr(given) + str(given) + repr(LLM(given))
    while error is not None:
        told += repr(error) + str(vars(error))
        error = error.__cause__ or error.__context__
    assert raised.value.__context__ is None
    assert KEY not in told + caplog.text
    assert caplog.records


@pytest.mark.parametrize("key", ["sk-schlüssel", "sk one two", "sk\x00key"])
def test_a_key_that_no_header_can_carry_is_told_without_it(key: str) -> None:
    with ScriptedLLM(GOOD) as llm, pytest.raises(ServiceError, match="OPENAI_API_KEY") as raised:
        complete(llm, openai_api_key=SecretStr(key))
    assert key not in "".join(traceback.format_exception(raised.value))
    assert not llm.requests


def test_no_key_is_needed_where_the_server_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with ScriptedLLM(GOOD) as llm:
        assert complete(llm, openai_api_key=None).text == GOOD


def test_usages_add_up() -> None:
    one = Usage(calls=1, prompt_tokens=10, completion_tokens=1, seconds=0.5, cost=0.1, llms=("a",))
    other = Usage(calls=2, failed_calls=1, prompt_tokens=5, seconds=1.0, cost=0.2, estimated=True, llms=("a", "b"))
    assert one + Usage() == one
    total = one + other
    assert (total.calls, total.failed_calls, total.prompt_tokens, total.seconds) == (3, 1, 15, 1.5)
    assert total.cost == pytest.approx(0.3)
    assert (total.estimated, total.llms) == (True, ("a", "b"))
    assert (one + Usage(calls=1, cost=None)).cost is None


def test_cost_is_unknown_without_a_price() -> None:
    price = LLMPrice(per_million_prompt_tokens=1.0, per_million_completion_tokens=10.0)
    assert estimated_cost(Settings(llm="x", llm_prices={"x": price}), 1_000_000, 100_000) == pytest.approx(2.0)
    assert estimated_cost(Settings(llm="y", llm_prices={"x": price}), 1, 1) is None
    with ScriptedLLM(GOOD) as llm:
        assert complete(llm).usage.cost is None
