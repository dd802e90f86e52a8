"""The server's page in Chromium: the whole way from a pasted request to a proof, and what nobody may make of it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import CHROMIUM
from fastapi import FastAPI
from fastapi.testclient import TestClient
from scripted_llm import Say, ScriptedLLM, Stream
from servers import running
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

import cnaps_rag as cr
from cnaps_rag.server.app import make_app
from cnaps_rag.server.page import PAGE_HEADERS, page_router
from cnaps_rag.server.settings import ServerSettings

NODE = shutil.which("node")
FOLDER = Path(__file__).parent / "node"
LIMIT_S = 150
"""Seconds for one drive; on two busy cores Chromium takes some to start."""

PAGE = Path(cr.__file__).parent / "server" / "page"
EXAMPLE = (PAGE / "example.txt").read_text(encoding="utf-8").strip()

needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed here"),
    pytest.mark.skipif(NODE is None, reason="node is not installed here"),
    pytest.mark.skipif(
        not all((FOLDER / "node_modules" / name).is_dir() for name in ("playwright-core", "axe-core")),
        reason="tests/node has no node_modules: run npm ci there",
    ),
]


def browsed(test: Any) -> Any:
    for mark in needs_browser:
        test = mark(test)
    return test


def drive(way: str, url: str, **job: Any) -> dict[str, Any]:
    """What page.mjs saw on this way. With PAGE_SHOTS set to a folder, it takes pictures there."""
    shots = os.environ.get("PAGE_SHOTS")
    asked = {"way": way, "url": url, "chromium": CHROMIUM, "name": way, "shots": shots, **job}
    done = subprocess.run(
        [NODE or "node", "page.mjs"],
        cwd=FOLDER,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def assert_clean(told: dict[str, Any], url: str, *, n_failed: int = 0) -> None:
    """Nothing ran, nothing was asked of elsewhere, nothing of ours went against the policy."""
    assert told["pwned"] is None
    assert told["dialogs"] == []
    assert told["violations"] == []
    assert [request for request in told["requests"] if not request.startswith((f"{url}/", f"blob:{url}/"))] == []
    assert len(told["problems"]) == n_failed, told["problems"]  # Chromium logs each failed request


def page_app(*, has_llm: bool, needs_key: bool) -> FastAPI:
    app = FastAPI()
    app.include_router(page_router(has_llm=has_llm, needs_key=needs_key))
    return app


# The files and their headers


@pytest.fixture(scope="module")
def files() -> TestClient:
    return TestClient(page_app(has_llm=True, needs_key=True))


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/page_answer.js", "text/javascript; charset=utf-8"),
        ("/page_proof.js", "text/javascript; charset=utf-8"),
        ("/page_sources.js", "text/javascript; charset=utf-8"),
        ("/page_stream.js", "text/javascript; charset=utf-8"),
        ("/page.svg", "image/svg+xml"),
    ],
)
def test_each_file_comes_with_the_policy(files: TestClient, path: str, media_type: str) -> None:
    reply = files.get(path)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == media_type
    assert {name: reply.headers[name] for name in PAGE_HEADERS} == PAGE_HEADERS
    assert "'unsafe" not in reply.headers["content-security-policy"]
    assert files.head(path).status_code == 200


def test_the_page_names_no_other_place_and_holds_nothing_inline(files: TestClient) -> None:
    page = files.get("/").text
    assert "http://" not in page.replace(EXAMPLE_HTML, "")
    assert "https://" not in page.replace(EXAMPLE_HTML, "")
    assert "<style" not in page
    assert " style=" not in page
    assert " on" not in "".join(part.partition(">")[0] for part in page.split("<")[1:]).replace(" on the", "")
    assert page.count("<script") == page.count('<script type="module" src="page.js"></script>') == 1


SCRIPTS = ("page.js", "page_answer.js", "page_proof.js", "page_sources.js", "page_stream.js")
EXAMPLE_HTML = EXAMPLE.replace("&", "&amp;").replace('"', "&#34;").replace("'", "&#39;").replace(">", "&gt;")


def test_no_script_of_ours_makes_markup_of_text(files: TestClient) -> None:
    for name in SCRIPTS:
        script = files.get(f"/{name}").text
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", ".style"):
            assert way not in script, f"{name}: {way}"


@pytest.mark.skipif(NODE is None, reason="node is not installed here")
def test_a_saved_proof_has_the_form_that_python_writes() -> None:
    values = {
        "a": [1.0, -0.0, 1e-07, 1e22, 123456789012345678901, True, None, [], {}, [[]], {"": {}}],
        "b": 'said "so"\\ / \n \x01 \x7f \u2028 é 𝛼 </script> { } [ ] : ,',
        "c": {"half": "\ud800"},
    }
    raw = json.dumps({"event": "proof", "markdown": "", "bundle": values}, separators=(",", ":"))
    script = "import { lastValue, laidOut } from './page_proof.js'; import { text } from 'node:stream/consumers';"
    told = subprocess.run(
        [
            NODE or "node",
            "--input-type=module",
            "-e",
            f"{script} process.stdout.write(laidOut(lastValue(await text(process.stdin), 'bundle')))",
        ],
        cwd=PAGE,
        input=raw,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    expected = json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    assert told.stdout == expected.replace("\ud800", "\\ud800")


def test_the_example_is_a_request_that_can_be_answered() -> None:
    answer = cr.Answerer(cr.Settings(llm=None)).answer(cr.AnswerRequest.from_text(EXAMPLE))
    assert answer.report.ok
    assert not answer.abstained


def test_the_form_says_whether_there_is_an_llm_and_asks_for_a_key_where_one_is_needed() -> None:
    def form(**told: bool) -> str:
        return TestClient(page_app(**told)).get("/").text

    assert 'value="llm" checked' in form(has_llm=True, needs_key=False)
    assert 'value="llm" disabled' in form(has_llm=False, needs_key=False)
    assert '<details id="key-fold" open>' in form(has_llm=True, needs_key=True)
    assert '<details id="key-fold">' in form(has_llm=True, needs_key=False)


# The whole way, through the real server, with an LLM that lies here and there


def reply(**slots: list[tuple[str, list[str]]]) -> str:
    return json.dumps({key: [{"evidence": ids, "text": text} for text, ids in claims] for key, claims in slots.items()})


INVENTED = "SISR-Any-LIIF-EDSR removes all noise from every image."
WRONG = "FeatSharp was trained on 57,648 images."
MENDED = "The method upsamples the feature maps of low-res vision encoders while picking up on fine-grained details."
FIRST = reply(
    task=[("The user wants to paint the house.", ["Q.1"])],
    M1_input=[("LIIF takes an image coordinate and the 2D deep features around the coordinate as inputs.", ["M1.1"])],
    M1_processing=[(INVENTED, ["M1.2"]), ("LIIF can be presented in arbitrary resolution.", ["M1.2"])],
    M1_output=[("LIIF predicts the RGB value at a given coordinate as an output.", ["M1.1"])],
    P1_says=[(WRONG, ["P1.3"])],
)
SECOND = reply(M1_processing=[(INVENTED, ["M1.2"])], P1_says=[(MENDED, ["P1.3"])])


@pytest.fixture(scope="module")
def llm() -> Iterator[ScriptedLLM]:
    def script(request: dict[str, Any]) -> Stream:
        is_repair = INVENTED in json.dumps(request["messages"])
        return Stream(SECOND if is_repair else FIRST, pause_s=0.02)

    with ScriptedLLM(script) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def url(llm: ScriptedLLM) -> Iterator[str]:
    settings = cr.Settings(llm="scripted", openai_base_url=llm.base_url, openai_api_key="none")  # type: ignore[arg-type]
    with running(make_app(settings, ServerSettings(port=0))) as url:
        yield url


@pytest.fixture(scope="module")
def whole(url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    proof = tmp_path_factory.mktemp("proof") / "proof.json"
    told = drive("whole", f"{url}/", request=EXAMPLE, drafter="llm", proof=str(proof), nth=2)
    return {**told, "proof": proof.read_bytes(), "url": url}


@browsed
def test_the_answer_stands_there_claim_by_claim(whole: dict[str, Any]) -> None:
    assert_clean(whole, whole["url"])
    assert len(whole["counts"]) > 4, "it did not grow"
    assert whole["counts"] == sorted(whole["counts"])
    assert whole["status"].startswith("Done: ")
    assert whole["isFormOpen"] is False
    assert whole["focused"] == "question"
    assert whole["overflow"] <= 0
    assert whole["faults"] == []


@browsed
def test_what_is_copied_is_the_answer_and_what_is_shown_is_its_text(whole: dict[str, Any]) -> None:
    from cnaps_rag.proof import read_bundle

    answer = read_bundle(whole["proof"]).answer
    assert whole["copied"] == answer["markdown"]
    assert whole["chips"] == ["repaired"]
    shown = " ".join(whole["written"].split())
    assert "Its closest sentence to the question is:" in shown
    assert not {"**", "[^", "##", "<http", "\\"} & {sign for sign in ("**", "[^", "##", "<http", "\\") if sign in shown}
    assert [claim["words"] for claim in whole["claims"]] == [
        claim["text"].replace("\\", "") for claim in answer["claims"] if claim["citations"]
    ]


@browsed
def test_a_claim_shows_its_evidence_by_pointer_and_by_keyboard(whole: dict[str, Any]) -> None:
    from cnaps_rag.proof import read_bundle

    answer = read_bundle(whole["proof"]).answer
    cited = [claim["citations"] for claim in answer["claims"] if claim["citations"]]
    assert len(cited) == len(whole["claims"]) > 4
    for seen, citations in zip(whole["claims"], cited, strict=True):
        quotes = " ".join(citation["quote"] for citation in citations)
        assert seen["hovered"] == seen["focused"] == seen["pinned"] == quotes
        assert seen["isHoveredSeen"]
        assert seen["isPressed"] == "true"
        assert seen["afterwards"] == seen["escaped"] == ""
        assert all(citation["quote"] in words for citation, words in zip(citations, seen["described"], strict=True))
    assert whole["inOrder"] == [seen["words"] for seen in whole["claims"]]


@browsed
def test_what_was_dropped_is_told_with_its_reason_and_stands_nowhere_else(whole: dict[str, Any]) -> None:
    dropped = " ".join(whole["dropped"])
    assert INVENTED in dropped
    assert "not found:" in dropped
    assert "Processing of SISR-Any-LIIF-EDSR" in dropped
    assert INVENTED not in whole["written"]
    assert len(whole["repaired"]) == 1
    assert WRONG in whole["repaired"][0]
    assert MENDED in whole["repaired"][0]
    assert MENDED in whole["written"]


@browsed
def test_the_saved_proof_holds(whole: dict[str, Any]) -> None:
    verified = cr.verify_bundle(whole["proof"])
    assert verified.ok, verified
    assert whole["file"] == f"proof-{json.loads(whole['proof'])['sha256'][:12]}.json"


@browsed
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_scrolls_sideways_and_a_tap_raises_the_evidence(url: str, scheme: str) -> None:
    told = drive(
        "phone",
        f"{url}/",
        name=f"phone-{scheme}",
        request=(FOLDER.parents[1] / "data" / "requests" / "003.txt").read_text(encoding="utf-8"),
        drafter="extractive",
        width=390,
        height=844,
        scheme=scheme,
    )
    assert_clean(told, url)
    assert max(told["overflow"]) <= 0
    assert told["before"] is False
    assert told["raised"]["isRaised"]
    assert told["raised"]["isSeen"]
    assert told["raised"]["lit"] in told["raised"]["words"]
    assert told["after"] is False
    assert told["faults"] == []
    assert (int(told["background"].removeprefix("rgb(").split(",")[0]) < 60) is (scheme == "dark")


@browsed
def test_stop_ends_the_call_to_the_llm_and_keeps_what_stood_there() -> None:
    with ScriptedLLM(Stream(FIRST, pause_s=0.15)) as llm:
        settings = cr.Settings(llm="scripted", openai_base_url=llm.base_url, openai_api_key="none")  # type: ignore[arg-type]
        with running(make_app(settings, ServerSettings(port=0))) as url:
            told = drive("stop", f"{url}/", request=EXAMPLE, drafter="llm", wait=1_000)
            assert llm.gone.wait(10), "the LLM went on writing for nobody"
    assert_clean(told, url)
    assert told["status"].startswith("Stopped. What stands here passed the checks")
    assert told["later"] == told["counts"]
    assert told["enabled"] == ["copy"]
    assert told["focused"] == "copy"
    assert told["trouble"] == []


# What goes wrong


@browsed
def test_a_request_that_cannot_be_read_is_told_with_what_to_do(url: str) -> None:
    told = drive("fail", f"{url}/", name="fail-request", request="How is it done?", drafter="extractive")
    assert_clean(told, url, n_failed=1)
    with pytest.raises(cr.RequestError) as caught:
        cr.AnswerRequest.from_text("How is it done?")
    assert told["trouble"][0] == str(caught.value)
    assert told["isFormOpen"]
    assert told["focused"] == "text"
    assert told["faults"] == []


@browsed
def test_json_is_taken_as_it_is_and_a_fault_in_it_is_named(url: str) -> None:
    request = cr.AnswerRequest.from_text(EXAMPLE)
    told = drive("touch", f"{url}/", name="json", request=request.model_dump_json(), drafter="extractive")
    assert_clean(told, url)
    assert told["question"] == request.question
    assert "It passed, and stands elsewhere in the answer already." in told["shown"]
    broken = drive("fail", f"{url}/", name="fail-json", request='{"question": "Why?"', drafter="extractive")
    assert "JSON" in broken["trouble"][0]


@browsed
def test_without_a_key_the_page_asks_for_one_and_with_it_goes_on(tmp_path: Path) -> None:
    from cnaps_rag.server.keys import new_key

    key = new_key("page", tmp_path / "keys.txt")
    server = ServerSettings(port=0, keys_file=str(tmp_path / "keys.txt"))
    with running(make_app(cr.Settings(llm=None), server)) as url:
        refused = drive("fail", f"{url}/", name="fail-key", request=EXAMPLE)
        let_in = drive("touch", f"{url}/", name="key", request=EXAMPLE, key=key)
    assert_clean(refused, url, n_failed=1)
    assert refused["focused"] == "key"
    assert "API key" in " ".join(refused["trouble"])
    assert_clean(let_in, url)
    assert let_in["status"].startswith("Done: ")


@browsed
def test_requests_come_by_example_by_file_and_by_drop(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text('{"question": "Why?"}', encoding="utf-8")
    with running(make_app(cr.Settings(llm=None), ServerSettings(port=0))) as url:
        told = drive("fill", f"{url}/", file=str(tmp_path / "request.json"))
    assert_clean(told, url)
    assert told["trouble"] == ["There is no request yet.", "Paste one, drop a file, or fill in the example."]
    assert told["example"] == EXAMPLE
    assert told["picked"] == '{"question": "Why?"}'
    assert told["dropped"] == "dropped words"
    assert told["disabled"], "there is no LLM to choose"


# Hostile words


SCRIPT = "<script>pwn(); window.pwned = 1</script>"
IMAGE = '<img src="https://evil.example/x.png" onerror="window.pwned = 1">'
HOSTILE = {
    "question": f"Why is it *sharp*? </title>{SCRIPT} Is \u202egnp.exe safe?",
    "models": [
        {
            "name": 'LIIF" onmouseover="window.pwned=1" **x** [here](https://evil.example/a)',
            "paper": "javascript:window.pwned=1",
            "github": "https://github.com/yinboc/liif",
            "description": f"{IMAGE} It takes an image as input. It gives a sharp image as output.",
        }
    ],
    "papers": [
        {
            "title": f"</script>{SCRIPT} Sharp & sure </style> [^1]: # heading",
            "paper": "http://arxiv.org/pdf/2502.16025v1.pdf",
            "summary": (
                f"We {SCRIPT} sharpen images so that each image is sharp. </mark></p><iframe src='//evil.example/'>"
                "</iframe> See https://evil.example/page and [this](javascript:window.pwned=1).\n\n1. `code` and "
                "*starred* words of \u2067מימין\u2069 and 𝛼 in $x_1$."
            ),
        },
        {"title": "data:text/html,<b>x</b>", "paper": "https://evil.example@arxiv.org/abs/1"},
    ],
}
SUPPLIED = {"https://github.com/yinboc/liif", "http://arxiv.org/pdf/2502.16025v1.pdf"}


@browsed
@pytest.mark.parametrize("width", [1280, 390])
def test_a_hostile_request_runs_nothing_and_asks_for_nothing(width: int) -> None:
    lying = reply(
        M1_output=[("It gives a sharp image as output.", ["M1.3"]), (f"{IMAGE} {SCRIPT}", ["M1.2"])],
        P1_says=[("See [this](javascript:window.pwned=1) \u202egnp.exe.", ["P1.1"])],
    )
    with ScriptedLLM(Say(lying, model=IMAGE)) as llm:
        settings = cr.Settings(llm=IMAGE, openai_base_url=llm.base_url, openai_api_key="none")  # type: ignore[arg-type]
        with running(make_app(settings, ServerSettings(port=0))) as url:
            told = drive(
                "touch", f"{url}/", name=f"hostile-{width}", request=json.dumps(HOSTILE), width=width, drafter="llm"
            )
    assert_clean(told, url)
    assert told["status"].startswith("Done: ")
    assert_harmless(told)
    assert "\u202e" not in told["shown"]
    assert "<script>" in told["shown"], "the sources are shown whole"


def assert_harmless(told: dict[str, Any]) -> None:
    assert told["called"] == []
    assert told["markup"] == 0
    assert told["overflow"] <= 0
    assert told["faults"] == []
    assert {href for href, _ in told["links"]} <= SUPPLIED
    assert {rel for _, rel in told["links"]} == {"noopener noreferrer nofollow"}


def app_that_says(events: list[dict[str, Any]], *, status: int = 200, pause_s: float = 0) -> FastAPI:
    """The page with a server behind it that says anything at all."""
    app = page_app(has_llm=True, needs_key=False)

    async def stream() -> AsyncIterator[str]:
        await asyncio.sleep(pause_s)
        for event in events:
            # With comments, carriage returns and pieces that end anywhere: what the standard allows.
            told = f": ping\r\n\r\nevent: {event['event']}\r\ndata: {json.dumps(event, ensure_ascii=False)}\r\n\r\n"
            for start in range(0, len(told), 501):
                yield told[start : start + 501]
                await asyncio.sleep(0)

    async def answers(_: Request) -> Response:
        return JSONResponse(events[0], status) if status >= 400 else StreamingResponse(stream())

    app.add_route("/v1/answers", answers, methods=["POST"])
    return app


def hostile_events() -> list[dict[str, Any]]:
    """A stream in which each string of each event is hostile, also where a server of ours would never let it be."""
    answer = cr.Answerer(cr.Settings(llm=None)).answer(cr.AnswerRequest.model_validate(HOSTILE))
    values: dict[str, Any] = {**answer.to_json(), "drafter": IMAGE}
    bad = f"{IMAGE}{SCRIPT} [x](javascript:window.pwned=1) <javascript:window.pwned=1> **{SCRIPT}** \u202egnp.exe"
    entry = {"before": bad, "after": bad, "reason": bad, "verdict": bad, "layer": bad, "slot": "input", "subject": "M1"}
    quote = {"source_id": "P1", "field": "summary", "start_utf16": 3, "end_utf16": 30, "quote": bad}
    lead = f"# {bad}\n\n"

    def claim(text: str, start: int) -> dict[str, Any]:
        placed = {"text": text, "start_utf16": start, "end_utf16": start + len(text)}
        return {**placed, "accepted": False, "reason": bad, "citations": [quote], "kind": bad, "subject": bad}

    head = f"## 1. {bad}\n\n### {bad}\n\nPaper: <https://evil.example/not-supplied> · <{bad}>\n\n- **{bad}:** "
    return [
        {"event": "request", "markdown": "", "request": values["request"], "warnings": [bad]},
        {"event": "progress", "markdown": "", "stage": bad, "words": bad},
        {"event": bad.replace("\n", ""), "markdown": "", "x": bad},
        {"event": "source_fit", "markdown": lead, "fit": {}, "claims": []},
        {"event": "section_started", "markdown": head, "number": 1, "title": bad},
        {
            "event": "claim_repaired",
            "markdown": f"{bad}[^1]",
            "slot": bad,
            "subject": bad,
            "claim": claim(bad, len(lead) + len(head)),
            "entry": entry,
        },
        {"event": "claim_dropped", "markdown": "", "entry": entry},
        {"event": "slot_open", "markdown": f"\n- {bad}", "slot": bad, "subject": bad, "state": bad, "claim": None},
        {"event": "answer_done", "markdown": f"\n\n---\n\n{bad}\n\n[^1]: {bad}\n", "answer": values},
        {"event": "error", "error": {"message": bad}},
    ]


@browsed
def test_a_hostile_server_runs_nothing_either() -> None:
    with running(app_that_says(hostile_events())) as url:
        told = drive("touch", f"{url}/", name="hostile-server", request=EXAMPLE)
    assert_clean(told, url)
    assert told["status"].startswith("Not answered.")
    assert_harmless(told)


@browsed
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failure_of_the_server_is_told_with_what_to_do(status: int) -> None:
    failure = {"error": {"message": "The server is busy.", "type": "x", "param": None, "code": None}}
    with running(app_that_says([failure], status=status)) as url:
        told = drive("fail", f"{url}/", name=f"fail-{status}", request=EXAMPLE)
    assert_clean(told, url, n_failed=1)
    assert told["trouble"][0] == "The server is busy."
    assert ("again" in told["trouble"][1]) is (status != 500)
    assert told["isFormOpen"]


@browsed
def test_stopped_before_anything_came_the_form_is_there_again() -> None:
    with running(app_that_says([], pause_s=30)) as url:
        told = drive("stop", f"{url}/", name="stop-early", request=EXAMPLE, early=True, wait=0)
    assert_clean(told, url)
    assert told["status"] == "Stopped."
    assert told["isFormOpen"]
    assert told["focused"] == "text"
    assert told["trouble"] == []


@browsed
def test_a_stream_that_ends_before_the_answer_does_is_told() -> None:
    with running(app_that_says(hostile_events()[:-2])) as url:
        told = drive("fail", f"{url}/", name="fail-stream", request=EXAMPLE)
    assert told["trouble"] == ["The connection ended before the answer did.", "Ask again."]
    assert told["status"].endswith("the answer is not whole.")
    assert told["isFormOpen"] is False
