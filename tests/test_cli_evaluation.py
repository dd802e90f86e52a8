"""`eval` and `runs` as their users run them: a process, its two streams, its files and its exit status."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from scripted_llm import ScriptedLLM
from test_cli import ENTRY, run
from test_evaluation_runs import REPLY, figures, suite_with
from test_evaluation_suite import GOOD

from cnaps_rag.evaluation.runs import load_run

ROOT = Path(__file__).parents[1]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of six cases as JSON Lines, with a gate that extractive answers meet."""
    value = suite_with(6, gate=[{"metric": "point_recall", "min": 1}]).to_json()
    lines = [{"name": value["name"], "gate": value["gate"]}, *value["cases"]]
    (tmp_path / "suite.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path / "suite.jsonl"


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_eval_prints_the_table_and_the_gate(suite: Path, tmp_path: Path) -> None:
    status, out, notes = run("eval", suite, "--out", tmp_path / "r")
    assert status == 0, notes
    assert "point_recall" in out or "Gold points told" in out
    assert "ok   every case answered: 6 answered, 0 failed, 0 not tried" in out
    assert "ok   point_recall at least 1: the mean is 1.000, over 6 cases" in out
    assert "6/6 c05" in notes
    assert str(tmp_path / "r") in notes


def test_a_gate_that_is_not_met_exits_1_and_names_the_worst(suite: Path, tmp_path: Path) -> None:
    text = suite.read_text().replace('"point_recall", "min": 1.0', '"n_claims", "min": 99')
    assert "n_claims" in text
    suite.write_text(text)
    status, out, notes = run("eval", suite, "--out", tmp_path / "r", "--junit", tmp_path / "junit.xml")
    assert status == 1
    assert "FAIL n_claims at least 99" in out
    assert "Worst: c00 (" in out
    assert "the gate is not met: 1 of 2 conditions fail" in notes
    assert ElementTree.parse(tmp_path / "junit.xml").getroot()[0].get("failures") == "1"


def test_every_form_of_a_run_is_written(suite: Path, tmp_path: Path) -> None:
    assert run("eval", suite, "--out", tmp_path / "a")[0] == 0
    forms = {name: tmp_path / f"report.{name}" for name in ("html", "markdown", "csv", "parquet", "junit")}
    options = [part for name, path in forms.items() for part in (f"--{name}", path)]
    status, out, notes = run("runs", "report", tmp_path / "a", "--baseline", tmp_path / "a", *options)
    assert status == 0, notes
    assert "not distinguishable" in out
    for path in forms.values():
        assert path.stat().st_size > 200
        assert f"wrote {path}" in notes
    assert len(rows_of(forms["csv"])) == 6
    assert "<script" in forms["html"].read_text()


def test_json_is_whole_and_alone_on_standard_output(suite: Path, tmp_path: Path) -> None:
    status, out, _ = run("eval", suite, "--out", tmp_path / "r", "--json")
    values = json.loads(out)
    assert (status, values["gate"]["ok"], values["comparison"]) == (0, True, None)
    recall = next(row for row in values["metrics"] if row["name"] == "point_recall")
    assert recall["estimate"]["mean"] == 1
    repair = next(row for row in values["metrics"] if row["name"] == "repair_rate")
    assert (repair["estimate"], repair["n_unscored"]) == (None, 6)


def test_the_same_recording_twice_is_the_same_but_for_times(suite: Path, tmp_path: Path) -> None:
    with ScriptedLLM(REPLY) as llm:
        environment = {"CNAPS_RAG_LLM": "scripted", "OPENAI_BASE_URL": llm.base_url}
        status, _, notes = run(
            "eval", suite, "--out", tmp_path / "llm", "--record", tmp_path / "session.jsonl", **environment
        )
        assert status == 0, notes
    for name in ("one", "two"):
        again = ["--out", tmp_path / name, "--replay", tmp_path / "session.jsonl"]
        status, _, notes = run("eval", suite, *again, "--csv", tmp_path / f"{name}.csv")
        assert status == 0, notes
    runs = [load_run(tmp_path / name) for name in ("llm", "one", "two")]
    assert figures(runs[0]) == figures(runs[1]) == figures(runs[2])
    rows = [rows_of(tmp_path / f"{name}.csv") for name in ("one", "two")]
    for row in (row for table in rows for row in table):
        for column in [column for column in row if column.startswith("seconds") or column == "run"]:
            del row[column]
    assert rows[0] == rows[1]


def test_compare_tells_what_can_be_told_from_chance(suite: Path, tmp_path: Path) -> None:
    with ScriptedLLM(REPLY) as llm:
        run("eval", suite, "--out", tmp_path / "a", CNAPS_RAG_LLM="scripted", OPENAI_BASE_URL=llm.base_url)
    run("eval", suite, "--out", tmp_path / "b")
    status, out, notes = run("runs", "compare", tmp_path / "a", tmp_path / "b", "--html", tmp_path / "c.html")
    assert status == 0, notes
    assert "better" in out
    assert "not distinguishable" in out
    status, out, _ = run("runs", "compare", tmp_path / "a", tmp_path / "b", "--json")
    by_name = {row["name"]: row for row in json.loads(out)}
    assert by_name["claims_supported"]["outcome"] == "better"
    assert by_name["claims_supported"]["difference"]["n_cases"] == 6
    assert by_name["traceable"]["outcome"] == "not distinguishable"


def test_shards_and_merge(suite: Path, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        assert run("eval", suite, "--out", tmp_path / f"s{number}", "--shard", f"{number}/3")[0] == 0
    folders = [tmp_path / f"s{number}" for number in (1, 2, 3)]
    status, out, notes = run("runs", "merge", *folders, "--out", tmp_path / "all")
    assert (status, out) == (0, "")
    assert "6 answers are in" in notes
    assert len(load_run(tmp_path / "all").records) == 6


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    value = suite_with(200).to_json()
    suite = tmp_path / "suite.jsonl"
    suite.write_text("\n".join(map(json.dumps, value["cases"])))
    folder = tmp_path / "r"
    # Whoever starts the tests in the background hands them an interrupt that is ignored.
    heeding = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {ENTRY}"
    command = [sys.executable, "-c", heeding, "eval", str(suite), "--out", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        ends_at = time.monotonic() + 60
        while time.monotonic() < ends_at and (
            not (folder / "cases.jsonl").exists() or (folder / "cases.jsonl").read_bytes().count(b"\n") < 10
        ):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        _, notes = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"interrupted; what is done is kept: go on with --resume --out {folder}" in notes.decode()
    assert 10 <= len(load_run(folder).records) < 200


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--resume"], "--resume does not say which run"),
        (["--shard", "3/2"], "--shard 3/2 is no part of a whole"),
        (["--replay", "absent"], "absent cannot be read"),
        (["--answers", "absent"], "absent cannot be read"),
        (["--drafter", "llm"], "no LLM is named that could draft"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(suite: Path, tmp_path: Path, arguments: list[str], told: str) -> None:
    status, out, notes = run("eval", suite, *([] if "--resume" in arguments else ["--out", tmp_path / "r"]), *arguments)
    assert (status, out) == (2, "")
    assert told in notes
    assert "Traceback" not in notes


def test_a_bad_suite_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(GOOD.replace("quote: remove", "quote: wipe"))
    status, _, notes = run("eval", tmp_path / "s.yaml")
    assert status == 2
    assert "s.yaml:12: case one: P1 does not hold the quote" in notes


def test_metrics_and_schema_are_told() -> None:
    status, out, _ = run("runs", "metrics")
    assert status == 0
    assert "citation_recall (share, better: higher)" in out
    assert "arXiv 2305.14627" in out
    status, out, _ = run("runs", "schema")
    assert (status, json.loads(out)["title"]) == (0, "cnaps_rag evaluation suite")


def test_an_extra_that_is_not_installed_is_named(suite: Path, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/pydantic_evals.py").write_text("raise ModuleNotFoundError(name='pydantic_evals')")
    status, _, notes = run("eval", suite, "--out", tmp_path / "r", PYTHONPATH=str(tmp_path / "hidden"))
    assert status == 2
    assert "this needs pydantic_evals: pip install 'cnaps_rag[evals]'" in notes
