"""Real clients, unmodified, against the real server: OpenAI's for Python and for Node, and LangChain's ChatOpenAI.

Only the LLM behind the server is scripted: it tells one true claim of a paper, and invents claims and a link.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_openai import ChatOpenAI
from scripted_llm import ScriptedLLM, Status, Step, Stream
from servers import running
from test_pipeline import LIES, TRUE, featsharp_request, reply, settings_of
from test_real_llm import llm_settings  # noqa: F401 (a fixture)

import cnaps_rag as cr
from cnaps_rag.server.app import make_app
from cnaps_rag.server.keys import new_key
from cnaps_rag.server.settings import ServerSettings

NODE = Path(__file__).parent / "node"
KEY = "any"
REQUEST = featsharp_request()
SECOND_QUESTION = "What do feature maps lose in vision encoders?"
SOURCES: dict[str, Any] = REQUEST.model_dump(mode="json", exclude={"question"}, exclude_none=True)
SUPPLIED = {link for source in REQUEST.sources for link in source.links}

FIRST: Any = [{"role": "user", "content": REQUEST.to_prompt()}]
SECOND: Any = [*FIRST, {"role": "assistant", "content": "..."}, {"role": "user", "content": SECOND_QUESTION}]
INVENTED = ("removes all noise", "57,648", "evil.example", "Cite only this paper")

LYING = reply(task=[(LIES[1], ["Q.1"])], P1_says=[(LIES[0], ["P1.5"]), (TRUE, ["P1.6"]), (LIES[2], ["P1.5"])])


@dataclass(frozen=True)
class Served:
    """A server under test, and clients of it that give up at once."""

    base_url: str
    llm: ScriptedLLM

    @property
    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.base_url, api_key=KEY, max_retries=0, timeout=60)

    @property
    def async_client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.base_url, api_key=KEY, max_retries=0, timeout=60)


@contextmanager
def serving(*script: Step, server: dict[str, Any] | None = None, **settings: Any) -> Iterator[Served]:
    """A server whose LLM keeps to `script`. No answer is kept, so that each one is made on its own."""
    with ScriptedLLM(*script) as llm:
        app = make_app(
            settings_of(llm, llm_max_retries=0, **settings), ServerSettings(cache_answers=0, **(server or {}))
        )
        with running(app) as address:
            yield Served(f"{address}/v1", llm)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(Stream(LYING, piece_chars=24)) as server:
        yield server


@pytest.fixture(scope="module")
def content(served: Served) -> str:
    """What is answered to the first message."""
    completion = served.client.chat.completions.create(model="cnaps-rag", messages=FIRST)
    return completion.choices[0].message.content or ""


def assert_traceable(content: str, request: cr.AnswerRequest = REQUEST) -> None:
    """The scripted LLM's true claim is there, nothing that it made up is, and all of it is traceable."""
    assert "providing richer targets for distillation" in content
    assert not [words for words in INVENTED if words in content]
    assert cr.validate(content, request).ok


def assert_cites_supplied_links(annotations: Sequence[Any], content: str) -> None:
    assert annotations
    cited = set[str]()
    for annotation in annotations:
        told = annotation if isinstance(annotation, dict) else annotation.model_dump()
        assert told["type"] == "url_citation"
        citation = told["url_citation"]
        assert citation["url"] in SUPPLIED
        assert citation["title"] in {source.title for source in REQUEST.sources}
        cited.add(content[citation["start_index"] : citation["end_index"]])
    assert TRUE in cited


def second_request() -> cr.AnswerRequest:
    return REQUEST.model_copy(update={"question": SECOND_QUESTION})


# OpenAI's client for Python


def test_openai_client_reads_a_whole_answer(served: Served) -> None:
    completion = served.client.chat.completions.create(model="cnaps-rag", messages=FIRST)
    [choice] = completion.choices
    assert choice.finish_reason == "stop"
    assert choice.message.role == "assistant"
    assert choice.message.refusal is None
    assert_traceable(choice.message.content or "")
    assert_cites_supplied_links(choice.message.annotations or [], choice.message.content or "")
    assert completion.usage is not None
    assert completion.usage.prompt_tokens > 0
    evidence = (completion.model_extra or {})["cnaps_rag"]
    dropped = {entry["before"] for entry in evidence["dropped"]}
    assert set(LIES[:3]) <= dropped
    for claim in evidence["claims"]:
        assert (choice.message.content or "")[claim["start"] : claim["end"]] == claim["text"]


def test_openai_client_streams_the_same_answer(served: Served, content: str) -> None:
    stream = served.client.chat.completions.create(
        model="cnaps-rag",
        messages=FIRST,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens > 0
    told = [chunk.choices[0] for chunk in chunks[:-1]]
    fragments = [choice.delta.content or "" for choice in told]
    assert sum(map(bool, fragments)) > 5
    assert "".join(fragments) == content
    assert [choice.finish_reason for choice in told] == [None] * (len(told) - 1) + ["stop"]
    assert_cites_supplied_links((told[-1].delta.model_extra or {})["annotations"], content)
    assert (chunks[-2].model_extra or {})["cnaps_rag"]["dropped"]


def test_openai_client_streams_with_its_own_helper(served: Served, content: str) -> None:
    with served.client.chat.completions.stream(model="cnaps-rag", messages=FIRST) as stream:
        fragments = [event.delta for event in stream if event.type == "content.delta"]
        message = stream.get_final_completion().choices[0].message
    assert "".join(fragments) == message.content == content
    assert_cites_supplied_links(message.annotations or [], content)


def test_openai_client_for_asyncio_reads_and_streams(served: Served, content: str) -> None:
    async def ask() -> tuple[str, str, str]:
        async with served.async_client as client:
            whole = await client.chat.completions.create(model="cnaps-rag", messages=FIRST)
            chunks = await client.chat.completions.create(model="cnaps-rag", messages=FIRST, stream=True)
            streamed = [chunk.choices[0].delta.content or "" async for chunk in chunks]
            async with client.chat.completions.stream(model="cnaps-rag", messages=FIRST) as stream:
                helped = (await stream.get_final_completion()).choices[0].message.content
        return whole.choices[0].message.content, "".join(streamed), helped or ""

    assert asyncio.run(ask()) == (content, content, content)


def test_models_are_listed_and_one_needs_no_llm(served: Served) -> None:
    assert [model.id for model in served.client.models.list()] == ["cnaps-rag", "cnaps-rag-extractive"]
    assert served.client.models.retrieve("cnaps-rag").owned_by
    before = len(served.llm.requests)
    completion = served.client.chat.completions.create(model="cnaps-rag-extractive", messages=FIRST)
    assert len(served.llm.requests) == before
    assert completion.model == "cnaps-rag-extractive"
    expected = cr.Answerer(cr.Settings(drafter="extractive")).answer(REQUEST).markdown
    assert completion.choices[0].message.content == expected


@pytest.mark.parametrize("stream", [False, True])
def test_second_message_asks_the_sources_of_the_first(served: Served, stream: bool) -> None:
    answer = asked(served, stream, messages=SECOND)
    assert_traceable(answer, second_request())
    assert SECOND_QUESTION in answer or "lose" in answer
    assert served.llm.requests[-1].json["messages"]
    assert SECOND_QUESTION in json.dumps(served.llm.requests[-1].json["messages"])


@pytest.mark.parametrize("stream", [False, True])
def test_sources_come_in_the_body_beside_a_plain_question(served: Served, stream: bool) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": REQUEST.question}]
    assert asked(served, stream, messages=messages, extra_body=SOURCES) == asked(served, stream, messages=FIRST)


def asked(served: Served, stream: bool, **parameters: Any) -> str:
    """The content of an answer, with parameters that every chat client sends and none of which may matter."""
    ignored = {"temperature": 1.3, "top_p": 0.2, "seed": 7, "user": "u", "stop": ["."], "max_tokens": 3}
    reply = served.client.chat.completions.create(model="cnaps-rag", stream=stream, **ignored, **parameters)
    if not stream:
        return str(reply.choices[0].message.content)
    return "".join(chunk.choices[0].delta.content or "" for chunk in reply)


# Its errors


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("parameters", "error", "code", "words"),
    [
        ({"messages": [{"role": "user", "content": "Why?"}]}, openai.BadRequestError, "no_sources", "FeatSharp"),
        ({"messages": []}, openai.BadRequestError, "no_question", "Supply one"),
        ({"model": "gpt-4o"}, openai.NotFoundError, "model_not_found", "cnaps-rag-extractive"),
        ({"n": 2}, openai.BadRequestError, "unsupported_parameter", "one answer"),
        ({"logprobs": True}, openai.BadRequestError, "unsupported_parameter", "logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, None, "no tools"),
        ({"extra_body": {"papers": [{"summary": "x"}]}}, openai.BadRequestError, None, r"papers\[0\]\.title"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_answered_raises_that_client_s_own_errors(
    served: Served, stream: bool, parameters: dict[str, Any], error: type[openai.APIStatusError], code: str, words: str
) -> None:
    asking = {"model": "cnaps-rag", "messages": FIRST, "stream": stream, **parameters}
    with pytest.raises(error, match=words) as raised:
        served.client.chat.completions.create(**asking)
    assert raised.value.type == "invalid_request_error"
    assert code in (None, raised.value.code)
    assert raised.value.request_id


def test_unread_request_is_told_with_its_line(served: Served) -> None:
    broken = REQUEST.to_prompt().replace(REQUEST.question, "")
    with pytest.raises(openai.BadRequestError, match=r"line \d+"):
        served.client.chat.completions.create(model="cnaps-rag", messages=[{"role": "user", "content": broken}])


def test_key_that_is_none_of_ours_raises_an_authentication_error(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    new_key("team-a", keys)
    with serving(LYING, server={"keys_file": str(keys)}) as server:
        with pytest.raises(openai.AuthenticationError) as raised:
            server.client.chat.completions.create(model="cnaps-rag", messages=FIRST)
        assert raised.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            server.client.models.list()
        assert server.llm.requests == []


def test_more_than_the_rate_allows_raises_a_rate_limit_error_that_says_when() -> None:
    with serving(LYING, server={"rate_per_minute": 1}) as server:
        server.client.chat.completions.create(model="cnaps-rag-extractive", messages=FIRST)
        with pytest.raises(openai.RateLimitError) as raised:
            server.client.chat.completions.create(model="cnaps-rag-extractive", messages=FIRST)
        assert 1 <= int(raised.value.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize("stream", [False, True])
def test_llm_that_fails_is_the_server_s_error_and_tells_nothing_of_it(stream: bool) -> None:
    with (
        serving(Status(401, "key sk-secret is wrong"), on_llm_failure="raise") as server,
        pytest.raises(openai.APIError) as raised,
    ):
        list(server.client.chat.completions.create(model="cnaps-rag", messages=FIRST, stream=stream))
    assert "secret" not in str(raised.value)
    assert "127.0.0.1" not in str(raised.value)
    if not stream:
        assert isinstance(raised.value, openai.InternalServerError)


def test_llm_that_dies_in_mid_stream_leaves_a_whole_and_traceable_answer() -> None:
    cut = LYING.index("P1_says") + 400
    with serving(Stream(LYING, piece_chars=cut, drop_after=1)) as server:
        stream = server.client.chat.completions.create(model="cnaps-rag", messages=FIRST, stream=True)
        chunks = list(stream)
    assert chunks[-1].choices[0].finish_reason == "stop"
    content = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert cr.validate(content, REQUEST).ok
    assert not [words for words in INVENTED if words in content]


# LangChain's ChatOpenAI


def chat_model(served: Served) -> ChatOpenAI:
    return ChatOpenAI(model="cnaps-rag", base_url=served.base_url, api_key=KEY, max_retries=0, timeout=60)


def test_chat_openai_invokes_and_streams_the_same_answer(served: Served, content: str) -> None:
    llm = chat_model(served)
    message = llm.invoke(REQUEST.to_prompt())
    assert message.content == content
    assert_traceable(content)
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] > 0
    chunks = list(llm.stream(REQUEST.to_prompt()))
    assert sum(bool(chunk.content) for chunk in chunks) > 5
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk  # type: ignore[assignment]
    assert isinstance(whole, AIMessageChunk)
    assert whole.content == content
    assert whole.response_metadata["finish_reason"] == "stop"


def test_chat_openai_for_asyncio_asks_a_second_question(served: Served) -> None:
    messages = [HumanMessage(REQUEST.to_prompt()), AIMessage("..."), HumanMessage(SECOND_QUESTION)]

    async def streamed() -> str:
        return "".join([str(chunk.content) async for chunk in chat_model(served).astream(messages)])

    answer = asyncio.run(streamed())
    assert_traceable(answer, second_request())
    assert answer == chat_model(served).invoke(messages).content


def test_chat_openai_sends_sources_in_the_body_and_tells_our_errors(served: Served, content: str) -> None:
    llm = chat_model(served)
    assert llm.bind(extra_body=SOURCES).invoke(REQUEST.question).content == content
    with pytest.raises(openai.BadRequestError, match="No user message supplies sources"):
        llm.invoke("Why?")


# OpenAI's client for Node


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All that tests/node/client.mjs saw, of a server that wants a key."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed here")
    if not (NODE / "node_modules/openai").is_dir():
        pytest.skip("tests/node/node_modules is absent: run `npm ci` in tests/node")
    keys = tmp_path_factory.mktemp("keys") / "keys"
    key = new_key("team-a", keys)
    asking = {"apiKey": key, "sources": REQUEST.to_prompt(), "question": SECOND_QUESTION, "body": SOURCES}
    with serving(Stream(LYING, piece_chars=24), server={"keys_file": str(keys)}) as server:
        run = subprocess.run(
            ["node", "client.mjs"],
            cwd=NODE,
            input=json.dumps({"baseURL": server.base_url, **asking}),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    seen: dict[str, Any] = json.loads(run.stdout)
    return seen


def test_node_client_reads_and_streams_the_same_answer(node: dict[str, Any], content: str) -> None:
    assert node["models"] == ["cnaps-rag", "cnaps-rag-extractive"]
    assert node["whole"]["content"] == content
    assert node["whole"]["finish_reason"] == node["streamed"]["finish_reason"] == "stop"
    assert_traceable(content)
    assert "".join(node["streamed"]["fragments"]) == content
    assert sum(map(bool, node["streamed"]["fragments"])) > 5
    assert node["streamed"]["usage"]["total_tokens"] == node["whole"]["usage"]["total_tokens"] > 0
    assert node["helped"]["content"] == "".join(node["helped"]["fragments"]) == content


def test_node_client_reads_citations_and_what_was_dropped(node: dict[str, Any], content: str) -> None:
    for seen in (node["whole"], node["streamed"]):
        assert_cites_supplied_links(seen["annotations"], content)
        assert set(LIES[:3]) <= {entry["before"] for entry in seen["cnaps_rag"]["dropped"]}
    assert node["whole"]["annotations"] == node["streamed"]["annotations"]


def test_node_client_asks_a_second_question_and_sends_sources_in_the_body(node: dict[str, Any]) -> None:
    answer = node["secondTurn"]["content"]
    assert_traceable(answer, second_request())
    for fragments in (node["secondTurnStreamed"]["fragments"], node["sourcesInBodyStreamed"]["fragments"]):
        assert "".join(fragments) == answer
    assert node["sourcesInBody"]["content"] == answer


def test_node_client_may_stop_at_the_first_claim(node: dict[str, Any]) -> None:
    assert node["stopped"] == {"aborted": True}


@pytest.mark.parametrize(
    ("case", "name", "status", "words"),
    [
        ("noSources", "BadRequestError", 400, "No user message supplies sources"),
        ("unknownModel", "NotFoundError", 404, "cnaps-rag-extractive"),
        ("twoAnswers", "BadRequestError", 400, "one answer"),
        ("streamedTools", "BadRequestError", 400, "no tools"),
        ("wrongKey", "AuthenticationError", 401, "key"),
    ],
)
def test_node_client_throws_its_own_errors(node: dict[str, Any], case: str, name: str, status: int, words: str) -> None:
    failure = node["failures"][case]
    assert (failure["name"], failure["status"]) == (name, status)
    assert words in failure["message"]
    assert failure["code"]


# The real, small LLM


@pytest.mark.llm
def test_openai_client_streams_a_real_llm_s_answer(llm_settings: cr.Settings) -> None:  # noqa: F811 (the fixture)
    """With ``-s`` it prints when each fragment came, and what was dropped."""
    chunks: list[Any] = []
    with running(make_app(llm_settings, ServerSettings(limit_request_s=900))) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0, timeout=900)
        start = time.perf_counter()
        for chunk in client.chat.completions.create(model="cnaps-rag", messages=FIRST, stream=True):
            chunks.append(chunk)
            print(f"{time.perf_counter() - start:6.1f} s {(chunk.choices[0].delta.content or '')[:80]!r}")
    content = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    evidence = chunks[-1].model_extra["cnaps_rag"]
    for entry in evidence["dropped"]:
        print(f"dropped from {entry['slot']} of {entry['subject']}: {entry['before']!r}: {entry['reason']}")
    assert evidence["drafter"] != "extractive"
    assert evidence["ok"]
    assert cr.validate(content, REQUEST).ok
    for annotation in chunks[-1].choices[0].delta.model_extra["annotations"]:
        assert annotation["url_citation"]["url"] in SUPPLIED
