"""OpenAI-compatible chat: which request a conversation holds, and what its answer looks like, stream and not."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_llm import Status, Stream
from test_pipeline import LIES, TRUE
from test_server_api import (
    EXTRACTIVE,
    FEATSHARP,
    FEATSHARP_BODY,
    HONEST,
    LYING,
    SEEDS,
    TEXT,
    joined,
    serving,
    serving_llm,
    streamed,
    told,
    wait_until,
)

import cnaps_rag as cr
from cnaps_rag.server.conversation import ChatBody, read_request
from cnaps_rag.server.failures import Failed
from cnaps_rag.server.wire import EXAMPLE

REQUEST = cr.AnswerRequest.from_prompt(TEXT)
OTHER = cr.AnswerRequest.from_prompt(SEEDS[0].read_text())
URL = "/v1/chat/completions"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving() as client:
        yield client


def user(*texts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text} for text in texts]


def said(*texts: Any, **more: Any) -> dict[str, Any]:
    """Body of a conversation in which the user said these, each but the last answered."""
    messages = [message for one in user(*texts) for message in (one, {"role": "assistant", "content": "An answer."})]
    return {"model": "cnaps-rag", "messages": messages[:-1], **more}


def request_in(body: dict[str, Any]) -> cr.AnswerRequest:
    return read_request(ChatBody.model_validate(body), EXTRACTIVE)


def chunks_of(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """Chunks of a stream; asserts that nothing but events of data, and comments, is in it."""
    assert response.headers["content-type"].startswith("text/event-stream")
    for line in response.iter_lines():
        assert not line or line.startswith((": ", "data: "))
        if line.startswith("data: "):
            yield {"done": True} if line == "data: [DONE]" else json.loads(line.removeprefix("data: "))


def streamed_chat(client: httpx.Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    with client.stream("POST", URL, json={**body, "stream": True}) as response:
        assert response.status_code == 200, response.read()
        return list(chunks_of(response))


def content_of(chunks: list[dict[str, Any]]) -> str:
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", [])]
    return "".join(delta.get("content", "") for delta in deltas)


# Which request a conversation holds


def test_message_in_the_layout_is_the_request() -> None:
    assert request_in(said(TEXT)) == REQUEST


def test_message_as_json_is_the_request() -> None:
    assert request_in(said(REQUEST.model_dump_json())) == REQUEST


def test_parts_of_text_are_read_as_one_text() -> None:
    half = TEXT.index("### Related Papers")
    parts = [{"type": "text", "text": TEXT[:half]}, {"type": "text", "text": TEXT[half:]}]
    assert request_in(said(parts)) == REQUEST


@pytest.mark.parametrize("role", ["system", "developer", "assistant", "tool", "function"])
def test_only_the_users_messages_are_read(role: str) -> None:
    other = {"role": role, "content": OTHER.to_prompt()}
    for messages in ([other, *user(TEXT)], [*user(TEXT), other]):
        assert request_in({"model": "cnaps-rag", "messages": messages}) == REQUEST


def test_later_message_asks_over_the_same_sources() -> None:
    asked = request_in(said(TEXT, "And which of them needs no training?", "What does MSSNet take as input?"))
    assert asked.question == "What does MSSNet take as input?"
    assert (asked.models, asked.papers) == (REQUEST.models, REQUEST.papers)


def test_latest_message_with_sources_supplies_them() -> None:
    assert request_in(said(TEXT, OTHER.to_prompt())) == OTHER
    asked = request_in(said(TEXT, OTHER.to_prompt(), "Why?"))
    assert (asked.question, asked.papers) == ("Why?", OTHER.papers)


def test_sources_of_the_body_stand_beside_the_question() -> None:
    sources = REQUEST.model_dump(mode="json", exclude={"question"})
    assert request_in(said(REQUEST.question, **sources)) == REQUEST
    asked = request_in(said("An earlier question", REQUEST.question, models=sources["models"]))
    assert (asked.question, asked.models, asked.papers) == (REQUEST.question, REQUEST.models, ())


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip))
def test_whatever_is_said_later_is_the_question_or_is_refused(text: str) -> None:
    try:
        asked = request_in(said(TEXT, text))
    except cr.RequestError:
        return  # it looks like a request and is none, or holds nothing that can be read
    assert (asked.models, asked.papers) == (REQUEST.models, REQUEST.papers)
    assert "".join(asked.question.split()) in "".join(text.split())


BROKEN = {
    "layout": TEXT.replace("Model:", "Modell:"),
    "layout without a question": TEXT.replace("A user has asked the following question:", ""),
    "JSON": '{"question": "?", "models": [}',
    "JSON without a name": '{"question": "?", "models": [{}]}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_request_is_told_and_never_taken_for_a_question(name: str) -> None:
    for texts in ((BROKEN[name],), (TEXT, BROKEN[name]), (BROKEN[name], "Why?")):
        with pytest.raises(cr.RequestError):
            request_in(said(*texts))


@pytest.mark.parametrize("line", ["\n", "#\n", " \t*_\n", "_", "related papers \n", '"models"  '])
def test_hostile_message_is_looked_at_in_linear_time(line: str) -> None:
    started = time.perf_counter()
    with pytest.raises((Failed, cr.RequestError)):
        request_in(said(line * (300_000 // len(line)) + "?"))
    assert time.perf_counter() - started < 2  # 0.1 s at most; in squared time minutes, in which nobody is answered


def test_no_sources_shows_an_example_that_can_be_sent() -> None:
    with pytest.raises(Failed) as failure:
        request_in(said("How does AI sharpen images?"))
    message = failure.value.body["error"]["message"]
    example = message[message.index("You are an AI scientist") :]
    assert request_in(said(example)) == EXAMPLE


# What is refused

IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]
TOOLS = [{"type": "function", "function": {"name": "search"}}]
SOURCES = REQUEST.model_dump(mode="json", exclude={"question"})
REFUSALS: dict[str, tuple[dict[str, Any], int, str, str | None, str]] = {
    "unknown model": (said(TEXT, model="gpt-4o"), 404, "model_not_found", "model", "`gpt-4o` does not exist"),
    "no model": ({"messages": user(TEXT)}, 400, "missing", "model", "Supply it."),
    "no messages": ({"model": "cnaps-rag"}, 400, "missing", "messages", "Supply it."),
    "empty messages": ({"model": "cnaps-rag", "messages": []}, 400, "no_question", "messages", "last user message"),
    "empty message": (said(""), 400, "no_question", "messages", "last user message"),
    "empty later message": (said(TEXT, "  "), 400, "no_question", "messages", "last user message"),
    "no role": ({"model": "cnaps-rag", "messages": [{}]}, 400, "missing", "messages[0].role", "Supply it."),
    "no sources": (said("Hello"), 400, "no_sources", "messages", "### Related Papers:"),
    "sources twice": (said(TEXT, **SOURCES), 400, "sources_twice", "messages", "one place"),
    "broken layout": (said(BROKEN["layout"]), 400, "invalid_request", None, "line"),
    "broken source": (said("?", papers=[{"name": "x"}]), 400, "missing", "papers[0].title", "Supply it."),
    "image": (said(TEXT, IMAGE), 400, "no_text", "messages[2].content", "Only text"),
    "two answers": (said(TEXT, n=2), 400, "unsupported_parameter", "n", "one answer"),
    "no answer": (said(TEXT, n=0), 400, "unsupported_parameter", "n", "one answer"),
    "tools": (said(TEXT, tools=TOOLS), 400, "unsupported_parameter", "tools", "no tools"),
    "tool choice": (said(TEXT, tool_choice="required"), 400, "unsupported_parameter", "tool_choice", "no tools"),
    "functions": (said(TEXT, functions=[{"name": "x"}]), 400, "unsupported_parameter", "functions", "no tools"),
    "function call": (said(TEXT, function_call="auto"), 400, "unsupported_parameter", "function_call", "no tools"),
    "logprobs": (said(TEXT, logprobs=True), 400, "unsupported_parameter", "logprobs", "validated text"),
    "top logprobs": (said(TEXT, top_logprobs=2), 400, "unsupported_parameter", "top_logprobs", "validated text"),
    "JSON": (
        said(TEXT, response_format={"type": "json_object"}),
        400,
        "unsupported_parameter",
        "response_format",
        "Markdown",
    ),
    "audio": (said(TEXT, modalities=["text", "audio"]), 400, "unsupported_parameter", "modalities", "Answers are text"),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("stream", [False, True])
def test_refusal_has_the_status_even_where_a_stream_is_asked_for(client: httpx.Client, name: str, stream: bool) -> None:
    body, status, code, param, words = REFUSALS[name]
    response = client.post(URL, json={**body, "stream": stream})
    assert words in told(response, status, code=code, param=param)


def test_harmless_parameters_change_nothing(client: httpx.Client) -> None:
    plain = client.post(URL, json=said(TEXT)).json()
    harmless = {
        "temperature": 2,
        "top_p": 0.1,
        "seed": 7,
        "user": "somebody",
        "stop": ["The"],
        "max_tokens": 1,
        "max_completion_tokens": 1,
        "presence_penalty": 1,
        "logit_bias": {"1": 100},
        "n": 1,
        "tools": [],
        "tool_choice": "none",
        "logprobs": False,
        "stream_options": None,
        "response_format": {"type": "text"},
        "metadata": {"a": "b"},
        "store": True,
        "reasoning_effort": "high",
        "some_later_parameter": [1, 2],
    }
    assert client.post(URL, json=said(TEXT, **harmless)).json()["choices"] == plain["choices"]
    assert content_of(streamed_chat(client, said(TEXT, **harmless))) == plain["choices"][0]["message"]["content"]


# Models


def test_models_are_listed_and_each_is_found(client: httpx.Client) -> None:
    listed = client.get("/v1/models").raise_for_status().json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["cnaps-rag", "cnaps-rag-extractive"]
    for model in listed["data"]:
        assert client.get(f"/v1/models/{model['id']}").json() == model
        assert set(model) == {"id", "object", "created", "owned_by"}
    told(client.get("/v1/models/gpt-4o"), 404, code="model_not_found", param="model")


def test_extractive_model_asks_no_llm() -> None:
    with serving_llm(HONEST) as (client, llm):
        answers = [
            client.post(URL, json=said(FEATSHARP.to_prompt(), model=model)).raise_for_status().json()
            for model in ("cnaps-rag-extractive", "cnaps-rag")
        ]
        assert len(llm.requests) == 1
    assert [answer["cnaps_rag"]["drafter"] for answer in answers] == ["extractive", "scripted"]
    assert [answer["model"] for answer in answers] == ["cnaps-rag-extractive", "cnaps-rag"]
    assert [answer["usage"]["total_tokens"] for answer in answers] == [0, 110]


# What an answer looks like


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_every_way_to_an_answer_gives_the_same_text(client: httpx.Client, path: Any) -> None:
    text = path.read_text()
    native = client.post("/v1/answers", json={"text": text}).json()["answer"]
    whole = client.post(URL, json=said(text)).json()
    assert whole["choices"][0]["message"]["content"] == native["markdown"]
    assert joined(streamed(client, {"text": text})) == native["markdown"]
    assert content_of(streamed_chat(client, said(text))) == native["markdown"]
    assert cr.Answerer(EXTRACTIVE).answer(cr.AnswerRequest.from_prompt(text)).markdown == native["markdown"]


@contextmanager
def lying() -> Iterator[httpx.Client]:
    with serving_llm(Stream(LYING)) as (client, _):
        yield client


def test_completion_has_openais_form_and_all_evidence() -> None:
    with lying() as client:
        completion = client.post(URL, json=said(FEATSHARP.to_prompt())).raise_for_status().json()
        native = client.post("/v1/answers", json=FEATSHARP_BODY).json()["answer"]
    assert completion["object"] == "chat.completion"
    assert completion["id"].startswith("chatcmpl-")
    (choice,) = completion["choices"]
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "stop", None)
    assert choice["message"]["role"] == "assistant"
    assert completion["usage"] == {
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "total_tokens": 110,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    evidence = completion["cnaps_rag"]
    assert evidence["ok"] is True
    assert evidence["claims"] == native["claims"]
    assert evidence["citations"] == native["citations"]
    assert evidence["fit"] == native["fit"]
    assert [entry["before"] for entry in evidence["dropped"]] == [LIES[0]]
    assert LIES[0] not in choice["message"]["content"]


def test_annotations_are_supplied_links_at_the_claims_that_rest_on_them() -> None:
    with lying() as client:
        message = client.post(URL, json=said(FEATSHARP.to_prompt())).json()["choices"][0]["message"]
    assert message["annotations"]
    supplied = {link for source in FEATSHARP.sources for link in (source.paper, source.github)}
    for annotation in message["annotations"]:
        assert annotation["type"] == "url_citation"
        place = annotation["url_citation"]
        assert place["url"] in supplied
        assert place["title"] in [source.title for source in FEATSHARP.sources]
        assert 0 <= place["start_index"] < place["end_index"] <= len(message["content"])
    cited = {
        message["content"][place["start_index"] : place["end_index"]]
        for place in (annotation["url_citation"] for annotation in message["annotations"])
        if place["title"].startswith("FeatSharp")
    }
    assert TRUE in cited


def test_offsets_of_annotations_count_code_points(client: httpx.Client) -> None:
    # A sign beyond the basic plane is one code point and two UTF-16 code units.
    paper = {
        "title": "Red lamps",
        "paper": "https://arxiv.org/abs/2104.00001",
        "summary": "The lamp 🔴 is red and is switched on by hand.",
    }
    body = said("Is the 🔴 lamp red when it is switched on?", papers=[paper])
    message = client.post(URL, json=body).raise_for_status().json()["choices"][0]["message"]
    (place,) = [annotation["url_citation"] for annotation in message["annotations"]]
    assert message["content"][place["start_index"] : place["end_index"]] == f'The paper says: "{paper["summary"]}"'


def test_source_without_a_link_that_may_be_shown_has_no_annotation(client: httpx.Client) -> None:
    papers = [
        {"title": "Red lamps", "summary": "The lamp is red."},
        {"title": "Red bulbs", "paper": "javascript:alert(1)", "summary": "The lamp is red and bright."},
    ]
    completion = client.post(URL, json=said("Is the lamp red?", papers=papers)).raise_for_status().json()
    assert completion["choices"][0]["message"]["annotations"] == []
    assert [claim for claim in completion["cnaps_rag"]["claims"] if claim["citations"]]
    assert "javascript" not in completion["choices"][0]["message"]["content"]
    assert any("may never be shown" in warning for warning in completion["cnaps_rag"]["warnings"])


@pytest.mark.parametrize("include_usage", [None, False, True])
def test_stream_has_openais_form(include_usage: bool | None) -> None:
    options = {} if include_usage is None else {"stream_options": {"include_usage": include_usage}}
    with lying() as client:
        whole = client.post(URL, json=said(FEATSHARP.to_prompt())).json()
        chunks = streamed_chat(client, said(FEATSHARP.to_prompt(), **options))
    assert chunks.pop() == {"done": True}
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
    assert chunks[0]["object"] == "chat.completion.chunk"
    assert all(("usage" in chunk) is bool(include_usage) for chunk in chunks)
    if include_usage:
        last = chunks.pop()
        assert last["choices"] == []
        # Kept from the first answer: nothing was sent to the LLM again.
        assert last["usage"] == {**whole["usage"], "prompt_tokens_details": {"cached_tokens": 100}}
        assert all(chunk["usage"] is None for chunk in chunks)
    first, last = chunks[0]["choices"][0], chunks[-1]
    assert first["delta"] == {"role": "assistant", "content": ""}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert last["choices"][0]["delta"] == {"annotations": whole["choices"][0]["message"]["annotations"]}
    assert last["cnaps_rag"] == whole["cnaps_rag"]
    assert not any("cnaps_rag" in chunk for chunk in chunks[:-1])
    assert content_of(chunks) == whole["choices"][0]["message"]["content"]


def test_second_question_over_the_same_sources_is_answered(client: httpx.Client) -> None:
    completion = (
        client.post(URL, json=said(TEXT, "Which networks are sensitive to saliency?")).raise_for_status().json()
    )
    content = completion["choices"][0]["message"]["content"]
    assert "Which networks are sensitive to saliency?" in content
    assert REQUEST.question not in content


# What goes wrong


def test_stream_that_breaks_off_ends_with_an_error_and_no_half_claim() -> None:
    with serving_llm(Stream(LYING), on_untraceable="raise") as (client, _):
        chunks = streamed_chat(client, said(FEATSHARP.to_prompt()))
        told(client.post(URL, json=said(FEATSHARP.to_prompt())), 502, code="untraceable")
    assert chunks[-1]["error"]["code"] == "untraceable"
    assert not any(chunk.get("done") for chunk in chunks)
    assert LIES[0] not in str(chunks)
    assert re.search(r"(\[\^\d+\]|\n|^)$", content_of(chunks)), "a claim ends with its marks"


def test_failure_of_the_llm_ends_the_stream_with_an_error() -> None:
    with serving_llm(Status(503)) as (client, _):
        chunks = streamed_chat(client, said(FEATSHARP.to_prompt()))
        told(client.post(URL, json=said(FEATSHARP.to_prompt())), 503, code="service_unavailable")
    assert chunks[-1]["error"]["code"] == "service_unavailable"


def test_client_that_leaves_ends_the_llms_call() -> None:
    with serving_llm(Stream(HONEST, hang_after=3)) as (client, llm):
        body = said(FEATSHARP.to_prompt(), stream=True)
        with client.stream("POST", URL, json=body) as response:
            chunks = chunks_of(response)  # held: dropped, it would close the connection
            assert next(chunks)["choices"][0]["delta"]["role"] == "assistant"
            wait_until(lambda: llm.n_running == 1)
        assert llm.gone.wait(5), "the LLM's call goes on"
        with pytest.raises(httpx.ReadTimeout):
            client.post(URL, json=said(FEATSHARP.to_prompt()), timeout=1)
        wait_until(lambda: llm.n_gone == 2)


def test_claims_stream_while_the_llm_still_writes() -> None:
    with serving_llm(Stream(HONEST, piece_chars=8, pause_s=0.02)) as (client, llm):
        seen_while_writing = ""
        with client.stream("POST", URL, json=said(FEATSHARP.to_prompt(), stream=True)) as response:
            for chunk in chunks_of(response):
                if llm.n_running:
                    seen_while_writing += content_of([chunk])
    assert "How can they be upsampled by AI?" in seen_while_writing
