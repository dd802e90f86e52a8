"""The command line as its users run it: a process, its two streams and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from scripted_llm import ScriptedLLM, Status

import cnaps_rag as cr

ROOT = Path(__file__).parents[1]
REQUEST = ROOT / "data/requests/001.txt"
ENTRY = "from cnaps_rag.cli import main; main(prog_name='cnaps-rag')"


def run(*arguments: str | Path, stdin: bytes = b"", **environment: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one run without settings but `environment`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CNAPS_RAG_", "OPENAI_"))}
    done = subprocess.run(
        [sys.executable, "-c", ENTRY, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env={**clean, **environment},
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_answer_prints_markdown_alone_and_validate_accepts_it(tmp_path: Path) -> None:
    status, answer, notes = run("answer", REQUEST)
    assert (status, notes) == (0, "")
    assert answer.startswith("The supplied sources do not say that SISR-Any-LIIF-EDSR")
    assert "## 3. Papers and tools" in answer
    (tmp_path / "answer.md").write_text(answer)
    status, report, notes = run("validate", tmp_path / "answer.md", "--request", REQUEST)
    assert (status, notes) == (0, "")
    assert report.splitlines()[-1].startswith("traceable: ")


def test_request_and_answer_come_through_pipes() -> None:
    status, answer, _ = run("answer", "-", "--json", stdin=REQUEST.read_bytes())
    assert status == 0
    assert json.loads(answer)["report"]["ok"] is True
    status, report, _ = run(
        "validate", "-", "--request", REQUEST, stdin=b"LIIF removes all noise. https://evil.example/x"
    )
    assert status == 1
    assert "link not_supplied 'https://evil.example/x'" in report
    assert report.splitlines()[-1].startswith("NOT traceable: ")


def test_request_may_be_json() -> None:
    request = cr.AnswerRequest.from_prompt(REQUEST.read_text())
    assert run("answer", "-", stdin=request.model_dump_json().encode())[:2] == run("answer", REQUEST)[:2]


def test_report_as_json_points_into_the_text() -> None:
    text = "The user enlarged an image. 한국어 문장입니다. LIIF removes all noise."
    status, report, _ = run("validate", "-", "--request", REQUEST, "--json", stdin=text.encode())
    assert status == 1
    for claim in json.loads(report)["claims"]:
        assert text[claim["start"] : claim["end"]] == claim["text"]


def test_html_is_written_beside_the_answer(tmp_path: Path) -> None:
    status, answer, notes = run("answer", REQUEST, "--html", tmp_path / "page.html", "--text")
    assert status == 0
    assert "page.html" in notes
    assert "1. Task" in answer
    assert "<html" in (tmp_path / "page.html").read_text()


def test_proof_is_written_whole_and_verified_from_a_file_and_a_pipe(tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    status, answer, notes = run("answer", REQUEST, "--proof", proof, "--html", tmp_path / "page.html", "--json")
    assert status == 0
    assert json.loads(proof.read_text())["answer"]["markdown"] == json.loads(answer)["markdown"]
    assert f"wrote {proof}" in notes
    assert {file.name for file in tmp_path.iterdir()} == {"proof.json", "page.html"}
    status, told, notes = run("verify", proof)
    assert (status, notes) == (0, "")
    assert told.splitlines()[-1].startswith("all holds")
    status, told, _ = run("verify", "-", "--json", stdin=proof.read_bytes())
    assert status == 0
    assert json.loads(told)["ok"] is True
    proof.write_bytes(proof.read_bytes().replace(b"supported", b"not_found", 1))
    status, told, _ = run("verify", proof)
    assert status == 1
    assert "DOES NOT HOLD  sha256" in told


def test_diff_exits_with_0_unless_told_otherwise(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    run("answer", REQUEST, "--proof", one)
    run("answer", ROOT / "data/requests/002.txt", "--proof", other)
    assert run("diff", one, one, "--exit-code") == (0, "no difference\n", "")
    status, told, _ = run("diff", one, other)
    assert status == 0
    assert told.startswith("THE REQUESTS DIFFER")
    status, told, _ = run("diff", one, other, "--json", "--exit-code")
    assert status == 1
    assert json.loads(told)["is_empty"] is False
    other.write_bytes(one.read_bytes().replace(b"supported", b"not_found", 1))
    assert "sha256 does not hold" in run("diff", one, other)[2]


def test_a_stream_prints_what_the_answer_is_and_may_be_proved(tmp_path: Path) -> None:
    streamed = run("answer", REQUEST, "--stream", "--proof", tmp_path / "proof.json")
    assert streamed[0] == 0
    assert streamed[1] == run("answer", REQUEST)[1]
    assert run("verify", tmp_path / "proof.json")[0] == 0


def test_a_stream_tells_on_the_side_what_was_left_out() -> None:
    draft = json.dumps({"task": [{"text": "LIIF removes all noise.", "evidence": ["Q.1"]}]})
    with ScriptedLLM(draft) as llm:
        settings = {"CNAPS_RAG_LLM": "scripted", "OPENAI_BASE_URL": llm.base_url, "CNAPS_RAG_REPAIR_LIMIT_CALLS": "0"}
        status, answer, notes = run("answer", REQUEST, "--stream", **settings)
    assert status == 0
    assert "removes all noise" not in answer
    assert notes.startswith("left out: 'LIIF removes all noise.': ")


def test_dry_run_prints_what_would_be_sent_and_sends_nothing() -> None:
    with ScriptedLLM("never") as llm:
        environment = {"CNAPS_RAG_LLM": "x", "OPENAI_BASE_URL": llm.base_url, "OPENAI_API_KEY": "key"}
        status, printed, notes = run("answer", REQUEST, "--dry-run", **environment)
        assert llm.requests == []
    assert status == 0
    assert "How does AI preserve detail and tone" in printed
    assert '"additionalProperties"' in printed
    assert "tokens" in notes


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (["answer", "missing.txt"], b"", "missing.txt cannot be read"),
        (["answer", "-"], b"", "the text is empty"),
        (["answer", "-"], b"\xff\xfe\x00", "not UTF-8"),
        (["answer", "-"], b"Hello there", "question"),
        (["answer", "-"], b'{"question": "What?"', "JSON"),
        (["answer", str(REQUEST), "--json", "--text"], b"", "exclude each other"),
        (["answer", str(REQUEST), "--stream", "--json"], b"", "exclude each other"),
        (["answer", str(REQUEST), "--drafter", "nobody"], b"", "nobody"),
        (["answer", str(REQUEST), "--html", "no/such/folder/page.html"], b"", "cannot be written"),
        (["answer", str(REQUEST), "--proof", "no/such/folder/proof.json"], b"", "cannot be written"),
        (["verify", "missing.json"], b"", "missing.json cannot be read"),
        (["verify", "-"], b"{}", "no proof bundle"),
        (["verify", str(REQUEST)], b"", "no proof bundle"),
        (["diff", "-", "-"], b"", "standard input"),
        (["diff", "-", str(REQUEST)], b"[]", "no proof bundle"),
        (["validate", "-", "--request", "-"], b"", "standard input"),
        (["validate", "-"], b"", "--request"),
        (["frobnicate"], b"", "frobnicate"),
    ],
)
def test_bad_input_exits_with_2_and_one_clear_error(arguments: list[str], stdin: bytes, said: str) -> None:
    status, _, notes = run(*arguments, stdin=stdin)
    assert status == 2
    assert said.lower() in notes.lower()
    assert "Traceback" not in notes


@pytest.mark.parametrize(
    ("name", "value"), [("LLM_TIMEOUT_S", "soon"), ("LLM_PRICES", "{"), ("LLM_PRICES", '{"x": {"per_token": 1}}')]
)
def test_bad_setting_is_told_by_name(name: str, value: str) -> None:
    status, _, notes = run("answer", REQUEST, **{f"CNAPS_RAG_{name}": value})
    assert status == 2
    assert f"CNAPS_RAG_{name}" in notes
    assert "Traceback" not in notes


def test_llm_that_no_one_named_cannot_draft() -> None:
    status, printed, notes = run("answer", REQUEST, "--drafter", "llm")
    assert (status, printed) == (2, "")
    assert "CNAPS_RAG_LLM" in notes


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [("answer", REQUEST), ("answer", REQUEST, "--dry-run")])
def test_output_that_cannot_be_written_is_told(arguments: tuple[str | Path, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", ENTRY, *map(str, arguments)], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert b"cannot be written: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_reader_that_stops_early_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ENTRY, "answer", str(REQUEST)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(60)


def test_failing_service_exits_with_3_and_never_shows_the_key() -> None:
    with ScriptedLLM(Status(401, "Incorrect API key provided: sk-secret")) as llm:
        environment = {"CNAPS_RAG_LLM": "x", "OPENAI_BASE_URL": llm.base_url, "OPENAI_API_KEY": "sk-secret"}
        status, printed, notes = run("answer", REQUEST, **environment)
        assert (status, printed) == (3, "")
        assert "sk-secret" not in notes
        status, printed, _ = run("answer", REQUEST, "--on-llm-failure", "extractive", **environment)
    assert status == 0
    assert "No LLM took part" in printed


def test_help_teaches() -> None:
    for arguments in (
        ["--help"],
        ["answer", "--help"],
        ["validate", "--help"],
        ["verify", "--help"],
        ["diff", "--help"],
    ):
        status, printed, _ = run(*arguments)
        assert status == 0
        assert "Exit status" in printed
        assert "\\b" not in printed


def test_help_shows_each_example_on_its_own_line() -> None:
    lines = [line.strip() for line in run("--help")[1].splitlines()]
    assert "cnaps-rag answer data/requests/001.txt" in lines
    assert "cnaps-rag validate answer.md --request data/requests/001.txt" in lines


def test_version() -> None:
    assert run("--version")[:2] == (0, "cnaps-rag, version 0.1.0\n")
