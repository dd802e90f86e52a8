"""Guards and runnables in other programs' loops and chains: what they let through, report, raise and withhold."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import aclosing
from operator import itemgetter
from pathlib import Path
from typing import Any

import openai
import pytest
from answers import hostile_request, seed_request
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from openai.types.chat import ChatCompletionMessage
from scripted_llm import ScriptedLLM, Stream
from test_pipeline import LIES, TRUE, featsharp_request, reply, settings_of

import cnaps_rag as cr
from cnaps_rag.integrations import guard as guard_module
from cnaps_rag.integrations import langchain as langchain_module
from cnaps_rag.integrations.guard import build_request, read_turns
from cnaps_rag.integrations.langchain import CnapsAnswerer, CnapsGuard, paper_of

ROOT = Path(__file__).parents[1]
QUESTION = "How do I remove noise from a night photo?"
TEXT = "GrainNet removes noise from night photographs. It was trained on 400 photographs."
GOOD = "GrainNet removes noise from night photographs."
BAD = "GrainNet removes noise from night photographs. It was trained on 4,000 photographs."
LINK = "https://arxiv.org/abs/2501.00001"

DOCUMENTS = [
    Document(page_content=TEXT, metadata={"title": "GrainNet: Photographs at Night", "source": LINK}),
    Document(page_content="Bread needs flour.", metadata={"source": "recipes/bread.md"}),
]


def turn(role: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


# guard: messages


def test_guard_reports_what_the_last_answer_says_beyond_its_sources() -> None:
    messages = [turn("system", "Be kind."), turn("user", QUESTION), turn("assistant", BAD)]
    report = cr.guard(messages, [("GrainNet: Photographs at Night", TEXT)])
    assert not report.ok
    assert [claim.verdict == "supported" for claim in report.claims] == [True, False]
    for claim in report.claims:
        assert BAD[claim.start : claim.end] == claim.text
    assert report.claims[0].evidence[0].source_id == "P1"
    assert cr.guard([*messages, turn("user", "Again?"), turn("assistant", GOOD)], [("GrainNet", TEXT)]).ok


def test_guard_is_validate_on_the_same_request() -> None:
    request = seed_request(3)
    answer = cr.Answerer(cr.Settings(drafter="extractive")).answer(request)
    messages = [turn("user", request.to_prompt()), turn("assistant", answer.markdown)]
    assert cr.guard(messages, request) == answer.report
    assert cr.guard(messages, [*request.models, *request.papers]) == answer.report
    assert cr.guard([turn("assistant", answer.markdown)], request) == answer.report


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([QUESTION, GOOD], (QUESTION, GOOD)),
        ([GOOD], (None, GOOD)),
        (["one", "first answer", "two", "second answer"], ("two", "second answer")),
        ([turn("user", "one"), turn("assistant", "a"), turn("user", "two")], ("one", "a")),
        ([turn("user", "one"), "answer"], ("one", "answer")),
        (
            [turn("user", [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]), "b"],
            ("a", "b"),
        ),
        ([turn("assistant", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])], (None, "ab")),
        ([turn("assistant", None, refusal="I cannot.")], (None, "I cannot.")),
        ([turn("assistant", [{"type": "refusal", "refusal": "No."}])], (None, "No.")),
        ([turn("user", "q"), turn("assistant", None, tool_calls=[{}]), turn("tool", "42")], ("q", "")),
        ([ChatCompletionMessage(role="assistant", content="theirs")], (None, "theirs")),
        ((turn("developer", "x"), turn("function", "y"), turn("assistant", "z")), (None, "z")),
    ],
    ids=str,
)
def test_turns_are_read_in_every_form_of_that_api(messages: Any, expected: tuple[str | None, str]) -> None:
    assert read_turns(messages) == expected


@pytest.mark.parametrize(
    ("messages", "field", "words"),
    [
        ("one text", "messages", "no list"),
        ({"role": "assistant", "content": "x"}, "messages", "no list"),
        (None, "messages", "no list"),
        ([], "messages", "no assistant's message"),
        ([turn("user", "q")], "messages", "no assistant's message"),
        ([42], "messages[0]", "type int"),
        ([{"content": "x"}], "messages[0].role", "no role"),
        ([turn("user", "q"), turn("human", "x")], "messages[1].role", "'human' is no role"),
        ([turn("assistant", 42)], "messages[0].content", "type int"),
        ([turn("assistant", {"type": "text"})], "messages[0].content", "mapping"),
        ([turn("assistant", [7])], "messages[0].content[0]", "not a part"),
        ([turn("assistant", [{"type": "text", "text": 7}])], "messages[0].content[0]", "type int"),
    ],
    ids=str,
)
def test_what_is_no_chat_is_told_with_its_place(messages: Any, field: str, words: str) -> None:
    with pytest.raises(cr.RequestError, match=words) as error:
        cr.guard(messages, featsharp_request())
    assert error.value.field == field
    assert error.value.remedy


# guard: sources


def test_sources_of_every_form_make_one_request() -> None:
    sources: list[Any] = [
        ("A title", "Its text."),
        {"name": "LIIF", "github": "https://github.com/yinboc/liif"},
        cr.RelatedPaper(title="Another"),
        {"title": "Third", "summary": "More."},
        cr.RecommendedModel(name="EDSR"),
    ]
    request = build_request(sources, QUESTION)
    assert [(source.id, source.title, source.text) for source in request.sources] == [
        ("M1", "LIIF", ""),
        ("M2", "EDSR", ""),
        ("P1", "A title", "Its text."),
        ("P2", "Another", ""),
        ("P3", "Third", "More."),
    ]
    assert request.question == QUESTION


def test_question_of_a_message_takes_the_place_of_the_request_s_own() -> None:
    request = seed_request(1)
    assert build_request(request, "And in colour?").question == "And in colour?"
    assert build_request(request, "And in colour?").sources == request.sources
    assert build_request(request) is request
    other = seed_request(2)
    assert build_request(request, other.to_prompt()).question == other.question
    assert build_request(request, other.model_dump_json()).sources == request.sources


@pytest.mark.parametrize(
    ("sources", "field", "words"),
    [
        ("text", "sources", "no list"),
        ({"models": []}, "sources", "a mapping with models"),
        (None, "sources", "no list"),
        (["text"], "sources[0]", "type str, not a source"),
        ([("a", "b", "c")], "sources[0]", "not a source"),
        ([("a", "b"), ("", "b")], "sources[1].title", "empty"),
        ([("a", 7)], "sources[0].summary", "string"),
        ([{"summary": "x"}], "sources[0]", "a mapping with summary"),
        ([{"name": "x", "title": "y"}], "sources[0]", "a mapping with name, title"),
        ([{"name": "x", "summary": "y"}], "sources[0].summary", "Remove it"),
        ([], "models, papers", "no source"),
    ],
    ids=str,
)
def test_what_is_no_source_is_told_with_its_place(sources: Any, field: str, words: str) -> None:
    with pytest.raises(cr.RequestError, match=words) as error:
        cr.guard([QUESTION, GOOD], sources)
    assert error.value.field == field


def test_list_of_sources_needs_a_question() -> None:
    with pytest.raises(cr.RequestError, match="Nothing asks"):
        cr.guard([GOOD], [("a", "b")])


def test_limits_of_the_settings_hold() -> None:
    small = cr.Settings(request_limit_chars=50)
    with pytest.raises(cr.RequestError, match="the limit is 50"):
        cr.guard([QUESTION, GOOD], [("GrainNet", TEXT)], settings=small)
    with pytest.raises(cr.RequestError, match="the limit is 50"):
        cr.guard([QUESTION, GOOD], featsharp_request(), settings=small)


@pytest.mark.parametrize(
    "text",
    ["", "\x00\ud800", "[x](javascript:alert(1))", "<script>fetch('//evil.example')</script>", "a" * 20_000, "# \n|"],
)
def test_no_answer_raises(text: str) -> None:
    report = cr.guard([turn("assistant", text)], hostile_request())
    assert isinstance(report, cr.Report)
    assert report.ok or report.claims or report.links


def test_asyncio_guard_reports_the_same() -> None:
    sources = [("GrainNet", TEXT)]
    assert asyncio.run(cr.aguard([QUESTION, BAD], sources)) == cr.guard([QUESTION, BAD], sources)


# LangChain: documents


@pytest.mark.parametrize(
    ("metadata", "title", "paper", "github"),
    [
        ({"title": "T", "source": LINK}, "T", LINK, None),
        ({"source": LINK}, "Document 3", LINK, None),
        ({"source": "a/b.md"}, "a/b.md", None, None),
        (
            {"source": "a/b.md", "url": LINK, "github": "https://github.com/a/b"},
            "a/b.md",
            LINK,
            "https://github.com/a/b",
        ),
        ({"title": " ", "source": 7, "link": ""}, "Document 3", None, None),
        ({}, "Document 3", None, None),
    ],
    ids=str,
)
def test_document_becomes_a_paper(metadata: dict[str, Any], title: str, paper: str | None, github: str | None) -> None:
    found = paper_of(Document(page_content="text", metadata=metadata), 3)
    assert found == cr.RelatedPaper(title=title, paper=paper, github=github, summary="text")


@pytest.mark.parametrize(
    "metadata", [{"title": "GrainNet manual"}, {"source": "manual.md"}, {"title": "GrainNet manual", "source": LINK}]
)
def test_pieces_of_one_document_are_one_source(metadata: dict[str, str]) -> None:
    texts = ("GrainNet removes noise from night photographs.", "GrainNet was trained on 400 photographs. It is small.")
    pieces = [Document(page_content=text, metadata=metadata) for text in texts]
    checked = CnapsGuard().invoke(
        {
            "question": "On what was it trained?",
            "documents": [pieces[0], *DOCUMENTS, pieces[1]],
            "answer": "The GrainNet manual says that GrainNet was trained on 400 photographs. It removes noise.",
        }
    )
    assert checked["report"].ok
    assert checked["request"].papers[0].summary == "\n\n".join(texts)
    assert len(checked["request"].papers) == 3


# LangChain: the runnable that checks


def test_guard_runnable_adds_a_report_to_what_it_was_given() -> None:
    checked = CnapsGuard().invoke({"question": QUESTION, "documents": DOCUMENTS, "answer": BAD, "more": 1})
    assert checked["request"].papers[1].title == "recipes/bread.md"
    assert {key: value for key, value in checked.items() if key not in ("report", "request")} == {
        "question": QUESTION,
        "documents": DOCUMENTS,
        "answer": BAD,
        "more": 1,
    }
    assert [claim.verdict == "supported" for claim in checked["report"].claims] == [True, False]
    retrieval = CnapsGuard().invoke({"input": QUESTION, "context": DOCUMENTS, "answer": AIMessage(GOOD)})
    assert retrieval["report"].ok
    evidence = retrieval["report"].claims[0].evidence[0]
    assert DOCUMENTS[int(evidence.source_id[1:]) - 1].page_content[evidence.start : evidence.end] == evidence.quote


def test_guard_runnable_raises_with_every_finding() -> None:
    linked = f"{BAD} See <https://evil.example/>."
    with pytest.raises(cr.UntraceableError, match="not traceable") as error:
        CnapsGuard(on_untraceable="raise").invoke({"question": QUESTION, "documents": DOCUMENTS, "answer": linked})
    assert {type(found) for found in error.value.findings} == {cr.ClaimFinding, cr.LinkFinding}
    good = {"question": QUESTION, "documents": DOCUMENTS, "answer": GOOD}
    assert CnapsGuard(on_untraceable="raise").invoke(good)["answer"] == GOOD


@pytest.mark.parametrize(
    "answer", [BAD, AIMessage(BAD, additional_kwargs={"reasoning_content": BAD}, id="7")], ids=type
)
def test_guard_runnable_withholds_all_of_an_untraceable_answer(answer: str | AIMessage) -> None:
    checked = CnapsGuard(on_untraceable="withhold").invoke(
        {"question": QUESTION, "documents": DOCUMENTS, "answer": answer}
    )
    shown = checked["answer"]
    assert type(shown) is type(answer)
    assert "4,000" not in repr(shown)
    text = shown.content if isinstance(shown, AIMessage) else shown
    assert text == "This answer is withheld: 1 of 2 claims and links are not traceable to the supplied sources."
    assert not checked["report"].ok


def test_guard_runnable_takes_a_request_for_its_documents() -> None:
    request = seed_request(3)
    answer = cr.Answerer(cr.Settings(drafter="extractive")).answer(request)
    assert CnapsGuard().invoke({"documents": request, "answer": answer.markdown})["report"] == answer.report


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"question": QUESTION, "documents": DOCUMENTS}, "answer", "no answer; it has question, documents"),
        ({"question": QUESTION, "answer": GOOD}, "documents", r"RunnablePassthrough\.assign\(documents="),
        ({"documents": DOCUMENTS, "answer": GOOD}, None, "Nothing asks"),
        ({"question": QUESTION, "context": "joined text", "answer": GOOD}, "context", "type str, no list"),
        ({"question": QUESTION, "documents": [7], "answer": GOOD}, "documents[0]", "type int"),
        ({"question": QUESTION, "documents": [{"title": " "}], "answer": GOOD}, "documents[0].title", "empty"),
        ({"question": 7, "documents": DOCUMENTS, "answer": GOOD}, "question", "type int"),
        ({"question": QUESTION, "documents": DOCUMENTS, "answer": 7}, "answer", "type int"),
        ({}, "answer", "it has nothing"),
    ],
)
def test_what_a_chain_lacks_is_told(fields: dict[str, Any], field: str | None, words: str) -> None:
    with pytest.raises(cr.RequestError, match=words) as error:
        CnapsGuard().invoke(fields)
    assert error.value.field == field


def rag_chain(reply_text: str, guard: CnapsGuard) -> Any:
    """A retrieval chain as LangChain's pages show it, with the guard behind it."""
    prompt = ChatPromptTemplate.from_template("Answer from {documents}: {question}")
    llm = GenericFakeChatModel(messages=iter([AIMessage(reply_text)] * 4))
    retriever = RunnableLambda[str, list[Document]](lambda _: DOCUMENTS)
    return (
        {"question": RunnablePassthrough(), "documents": retriever}
        | RunnablePassthrough.assign(answer=prompt | llm | StrOutputParser())
        | guard
    )


def test_guard_runnable_stands_at_the_end_of_a_retrieval_chain() -> None:
    chain = rag_chain(BAD, CnapsGuard(on_untraceable="withhold"))
    assert chain.invoke(QUESTION)["answer"].startswith("This answer is withheld")
    assert asyncio.run(chain.ainvoke(QUESTION))["answer"].startswith("This answer is withheld")
    assert rag_chain(GOOD, CnapsGuard()).invoke(QUESTION)["report"].ok


def test_guard_runnable_streams_nothing_that_was_not_checked() -> None:
    chain = rag_chain(BAD, CnapsGuard(on_untraceable="withhold")) | itemgetter("answer")
    assert "".join(chain.stream(QUESTION)).startswith("This answer is withheld")

    async def streamed() -> str:
        return "".join([chunk async for chunk in chain.astream(QUESTION)])

    assert asyncio.run(streamed()).startswith("This answer is withheld")


# LangChain: the runnable that answers


class Told(BaseCallbackHandler):
    """Keeps what callbacks are told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.events.append(("start", kwargs.get("name")))

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.events.append(("end", outputs))

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.events.append(("error", error))

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.events.append((name, data))


LYING = reply(P1_says=[(LIES[0], ["P1.5"]), (TRUE, ["P1.6"]), (LIES[2], ["P1.5"])])
EXTRACTIVE = cr.Settings(drafter="extractive")


def without_seconds(message: BaseMessage) -> dict[str, Any]:
    told = json.loads(json.dumps(message.response_metadata))
    told["cnaps_rag"]["usage"].pop("seconds")
    for entry in told["cnaps_rag"]["ledger"]:
        entry.pop("seconds")
    return {"content": message.content, "metadata": told, "annotations": message.additional_kwargs["annotations"]}


def test_answerer_runnable_gives_the_checked_answer_and_its_citations() -> None:
    request = featsharp_request()
    with ScriptedLLM(LYING) as llm:
        message = CnapsAnswerer(settings_of(llm, repair_limit_calls=0)).invoke(request)
    assert isinstance(message, AIMessage)
    markdown = str(message.content)
    assert TRUE in markdown
    assert LIES[0] not in markdown
    assert "evil.example" not in markdown
    assert cr.validate(markdown, request).ok
    supplied = {link for source in request.sources for link in source.links}
    annotations = message.additional_kwargs["annotations"]
    assert annotations
    for annotation in annotations:
        assert annotation["type"] == "citation"
        assert annotation.get("url") in supplied | {None}
        extras = annotation["extras"]
        assert annotation["cited_text"] in request.text(extras["source_id"], extras["field"])
    cited = [annotation for annotation in annotations if annotation["extras"]["source_id"] == "P1"]
    assert TRUE in {markdown[annotation["start_index"] : annotation["end_index"]] for annotation in cited}
    assert {annotation["url"] for annotation in cited} == {request.papers[0].paper}
    assert message.response_metadata["cnaps_rag"]["markdown"] == markdown
    assert message.response_metadata["model_name"] == "scripted"
    assert message.usage_metadata == {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
    assert json.dumps(message.response_metadata)


def forms_of(request: cr.AnswerRequest) -> Iterator[Any]:
    yield request
    yield request.to_prompt()
    yield request.model_dump_json()
    yield request.model_dump()
    yield {"question": request.question, "documents": request}
    yield {"input": request.question, "context": [*request.models, *request.papers]}


def test_answerer_runnable_reads_every_form_of_a_request() -> None:
    request = seed_request(3)
    answerer = CnapsAnswerer(EXTRACTIVE)
    expected = answerer.answerer.answer(request).markdown
    messages = answerer.batch(list(forms_of(request)))
    assert [message.content for message in messages] == [expected] * len(messages)


def test_answerer_runnable_answers_from_retrieved_documents() -> None:
    chain = RunnablePassthrough.assign(documents=itemgetter("question") | RunnableLambda(lambda _: DOCUMENTS))
    message = (chain | CnapsAnswerer(EXTRACTIVE)).invoke({"question": QUESTION})
    assert GOOD in str(message.content)
    assert f"<{LINK}>" in str(message.content)
    assert (chain | CnapsAnswerer(EXTRACTIVE) | StrOutputParser()).invoke({"question": QUESTION}) == message.content


@pytest.mark.parametrize("value", ["no request", {"question": QUESTION}, {"questions": 1}, '{"question": 1}'], ids=str)
def test_answerer_runnable_says_what_is_wrong_with_its_input(value: Any) -> None:
    told = Told()
    with pytest.raises(cr.RequestError) as error:
        CnapsAnswerer(EXTRACTIVE).invoke(value, config={"callbacks": [told]})
    assert error.value.remedy
    assert told.events[-1] == ("error", error.value)
    with pytest.raises(cr.RequestError):
        list(CnapsAnswerer(EXTRACTIVE).stream(value))


def test_answerer_runnable_has_schemas_and_takes_no_stray_arguments() -> None:
    answerer = CnapsAnswerer(EXTRACTIVE)
    assert "question" in json.dumps(answerer.get_input_jsonschema())
    assert answerer.get_output_jsonschema()["title"] == "AIMessage"
    assert CnapsGuard().get_input_jsonschema()["type"] == "object"
    with pytest.raises(TypeError, match="stop"):
        answerer.invoke(seed_request(3), stop=["x"])


def test_answerer_runnable_for_asyncio_gives_the_same() -> None:
    request = featsharp_request()
    with ScriptedLLM(LYING) as llm:
        answerer = CnapsAnswerer(settings_of(llm))
        assert without_seconds(asyncio.run(answerer.ainvoke(request))) == without_seconds(answerer.invoke(request))


def added(chunks: list[AIMessage]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk  # type: ignore[assignment]
    assert isinstance(whole, AIMessageChunk)
    return whole


def test_streamed_chunks_add_up_to_the_message_and_hold_nothing_unchecked() -> None:
    request = featsharp_request()
    with ScriptedLLM(LYING) as llm:
        answerer = CnapsAnswerer(settings_of(llm))
        whole = answerer.invoke(request)
        chunks = list(answerer.stream(request))
    assert len(chunks) > 5
    assert without_seconds(added(chunks)) == without_seconds(whole)
    assert added(chunks).chunk_position == "last"
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(LIES[0] not in str(chunk.content) for chunk in chunks)


def test_streamed_chunks_for_asyncio_add_up_too() -> None:
    request = featsharp_request()

    async def streamed(answerer: CnapsAnswerer) -> list[AIMessage]:
        return [chunk async for chunk in answerer.astream(request)]

    with ScriptedLLM(LYING) as llm:
        answerer = CnapsAnswerer(settings_of(llm))
        chunks = asyncio.run(streamed(answerer))
        assert without_seconds(added(chunks)) == without_seconds(answerer.invoke(request))


def test_dropped_claims_come_as_custom_events_to_callbacks_and_to_astream_events() -> None:
    told = Told()
    with ScriptedLLM(LYING) as llm:
        answerer = CnapsAnswerer(settings_of(llm, repair_limit_calls=0))
        list(answerer.stream(featsharp_request(), config={"callbacks": [told]}))

        async def events() -> list[Any]:
            return [event async for event in answerer.astream_events(featsharp_request(), version="v2")]

        custom = [event for event in asyncio.run(events()) if event["event"] == "on_custom_event"]
    dropped = [data["entry"]["before"] for name, data in told.events if name == "cnaps_rag.claim_dropped"]
    assert set(dropped) >= {LIES[0], LIES[2]}
    assert told.events[0] == ("start", "CnapsAnswerer")
    assert told.events[-1][0] == "end"
    assert [event["name"] for event in custom] == [name for name, _ in told.events if name.startswith("cnaps_rag.")]


ASKED = "The user asks how low-resolution feature maps of a vision encoder can be upsampled by AI."
SLOW = Stream(reply(task=[(ASKED, ["Q.1", "Q.2"])], P1_says=[(TRUE, ["P1.6"])] * 20), piece_chars=8, pause_s=0.02)


def test_stream_closed_early_ends_the_call_and_the_run() -> None:
    told = Told()
    with ScriptedLLM(SLOW) as llm:
        stream = CnapsAnswerer(settings_of(llm)).stream(featsharp_request(), config={"callbacks": [told]})
        assert any(ASKED in str(chunk.content) for chunk in stream)
        assert llm.n_running == 1
        stream.close()  # type: ignore[attr-defined]
        assert llm.gone.wait(5)
    assert told.events[-1][0] in ("end", "error")


def test_stream_for_asyncio_closed_early_ends_the_call_and_the_run() -> None:
    told = Told()

    async def stopped(llm: ScriptedLLM) -> bool:
        answerer = CnapsAnswerer(settings_of(llm))
        async with aclosing(answerer.astream(featsharp_request(), config={"callbacks": [told]})) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                if ASKED in str(chunk.content):
                    break
        return await asyncio.to_thread(llm.gone.wait, 5)

    with ScriptedLLM(SLOW) as llm:
        assert asyncio.run(stopped(llm))
    assert told.events[-1][0] in ("end", "error")


def test_one_chain_answers_and_is_guarded() -> None:
    request = seed_request(1)
    chain = {"documents": RunnablePassthrough(), "answer": CnapsAnswerer(EXTRACTIVE)} | CnapsGuard(
        on_untraceable="raise"
    )
    assert chain.invoke(request)["report"].ok


# Examples


def examples() -> list[Any]:
    """The examples of the modules' docstrings, and those of the README that show a guard or a runnable."""
    found = [
        pytest.param(textwrap.dedent("\n".join(re.findall(r"^(?: {4}.*)?$", module.__doc__ or "", re.M))), id=name)
        for name, module in (("guard", guard_module), ("langchain", langchain_module))
    ]
    readme = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    shown = [code for code in readme if re.search(r"\bguard\(|Cnaps(?:Answerer|Guard)\(", code)]
    return [*found, *(pytest.param(code, id=f"README {number}") for number, code in enumerate(shown))]


@pytest.mark.parametrize("code", examples())
def test_examples_run(code: str) -> None:
    assert code.strip()
    with ScriptedLLM(GOOD) as llm:
        names: dict[str, Any] = {
            "RunnablePassthrough": RunnablePassthrough,
            "CnapsAnswerer": CnapsAnswerer,
            "CnapsGuard": CnapsGuard,
            "cr": cr,
            "guard": cr.guard,
            "client": openai.OpenAI(base_url=llm.base_url, api_key="any"),
            "retriever": RunnableLambda[str, list[Document]](lambda _: DOCUMENTS),
            "prompt": ChatPromptTemplate.from_template("Answer from {documents}: {question}"),
            "llm": GenericFakeChatModel(messages=iter([AIMessage(BAD)])),
            "question": QUESTION,
            "text": TEXT,
            "messages": [turn("user", QUESTION), turn("assistant", GOOD)],
            "sources": [("GrainNet: Photographs at Night", TEXT)],
        }
        exec(code, names)
    assert "report" not in names or names["report"].ok
    assert "message" not in names or GOOD in names["message"].content
    assert "checked" not in names or names["checked"]["answer"].content.startswith("This answer is withheld")


# Imports


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_langchain_is_loaded_by_its_own_module_alone() -> None:
    code = "import sys, cnaps_rag as cr; cr.guard; print('langchain_core' in sys.modules)"
    assert run_python(code).stdout.strip() == "False"


def test_missing_langchain_tells_the_extra_to_install() -> None:
    code = "import sys; sys.modules['langchain_core.callbacks'] = None; import cnaps_rag.integrations.langchain"
    blocked = code.replace(
        "sys.modules['langchain_core.callbacks'] = None",
        "from importlib.abc import MetaPathFinder\n"
        "class Absent(MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith('langchain_core'):\n"
        "            raise ModuleNotFoundError('absent', name='langchain_core')\n"
        "sys.meta_path.insert(0, Absent())",
    )
    run = run_python(blocked.replace("; ", "\n"))
    assert run.returncode == 1
    assert "pip install 'cnaps_rag[langchain]'" in run.stderr.splitlines()[-1]
