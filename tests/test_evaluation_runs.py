"""Runs: kept case by case, resumed after a kill, replayed, merged; and the gate on them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from scripted_llm import ScriptedLLM, Status
from test_evaluation_suite import GOOD

import cnaps_rag as cr
from cnaps_rag.evaluation.gate import check_gate, write_junit
from cnaps_rag.evaluation.metrics import METRICS, Score
from cnaps_rag.evaluation.runs import (
    Plan,
    Run,
    Shard,
    load_answers,
    load_run,
    load_session,
    merge_runs,
    run_suite,
    save_session,
)
from cnaps_rag.evaluation.suite import Suite, Threshold, suite_of

ROOT = Path(__file__).parents[1]
EXTRACTIVE = Plan(settings=cr.Settings(drafter="extractive"))
REQUEST = {
    "question": "How is noise removed from my photographs?",
    "models": [{"name": "Denoise-X", "paper": "https://arxiv.org/abs/2012.09161"}],
    "papers": [{"title": "About noise", "summary": "We remove noise from photographs. Pictures are clean after that."}],
}
POINT = {"text": "The paper removes noise from photographs.", "source": "P1", "quote": "remove noise from photographs"}
CLAIM = {"text": "The authors remove noise from photographs.", "evidence": ["P1.1"]}
REPLY = json.dumps(
    {
        "task": [{"text": "The user asks how noise is removed from their photographs.", "evidence": ["Q.1"]}],
        "M1_input": [],
        "M1_output": [],
        "P1_says": [CLAIM, {"text": "The authors remove all rain from every video.", "evidence": ["P1.1"]}],
    }
)


def suite_with(n_cases: int, **more: Any) -> Suite:
    cases = [
        {"id": f"c{n:02}", "request": {**REQUEST, "question": f"{REQUEST['question']} I took {n + 2} of them."}}
        for n in range(n_cases)
    ]
    gold = {"points": [POINT], "fits": {"M1": "not_told"}, "abstain": False}
    return suite_of({"name": "noise", "cases": [{**case, "gold": gold} for case in cases], **more})


def figures(run: Run) -> list[dict[str, Any]]:
    """Everything of a run's records that is not a time."""

    def without_times(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_times(part) for key, part in value.items() if key != "seconds"}
        return [without_times(part) for part in value] if isinstance(value, list) else value

    return [without_times(record.model_dump(mode="json")) for record in run.records]


def by_llm(llm: ScriptedLLM, **settings: Any) -> cr.Settings:
    return cr.Settings(llm="scripted", openai_base_url=llm.base_url, llm_max_retries=0, **settings)


def test_a_run_holds_a_scored_answer_to_every_case(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    run = run_suite(suite_with(3), tmp_path / "r", EXTRACTIVE, progress=lambda done, n, _: told.append((done, n)))
    assert [record.case for record in run.records] == ["c00", "c01", "c02"]
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    record = run.records[0]
    assert set(record.scores) == {metric.name for metric in METRICS}
    assert record.scores["point_recall"].value == 1
    assert record.points[0].is_told
    assert record.answer is not None
    assert record.answer["report"]["ok"] is True
    assert run.info.drafter == "extractive"
    assert not run.missing


def test_the_folder_holds_no_key_and_no_address(tmp_path: Path) -> None:
    settings = cr.Settings(
        drafter="extractive", openai_api_key="sk-secret", openai_base_url="http://u:pw@127.0.0.1:1/v1",
        encoder_cache_file=str(tmp_path / "vectors.db"),
    )  # fmt: skip
    run_suite(suite_with(1), tmp_path / "r", Plan(settings=settings))
    kept = "".join(path.read_text() for path in (tmp_path / "r").iterdir())
    assert all(secret not in kept for secret in ("sk-secret", "pw@", "vectors.db"))


def test_a_failing_case_is_kept_as_failed_and_tried_again_on_resume(tmp_path: Path) -> None:
    suite = suite_with(2)
    with ScriptedLLM(Status(401), REPLY) as llm:
        plan = Plan(settings=by_llm(llm), concurrency=1)
        run = run_suite(suite, tmp_path / "r", plan)
        assert [record.error is None for record in run.records] == [False, True]
        assert "did not accept the key" in (run.records[0].error or "")
        assert run.missing == (("c00", 0),)
        again = run_suite(suite, tmp_path / "r", plan, resume=True)
    assert [record.error for record in again.records] == [None, None]
    assert len((tmp_path / "r/cases.jsonl").read_text().splitlines()) == 3


def test_repeats_are_answers_of_their_own(tmp_path: Path) -> None:
    run = run_suite(suite_with(2), tmp_path / "r", Plan(settings=EXTRACTIVE.settings, repeat=3))
    assert [record.key for record in run.records] == [(case, n) for case in ("c00", "c01") for n in range(3)]
    assert run.values("point_recall") == {"c00": [1, 1, 1], "c01": [1, 1, 1]}


def test_shards_merge_to_the_whole(tmp_path: Path) -> None:
    suite = suite_with(5)
    whole = run_suite(suite, tmp_path / "whole", EXTRACTIVE)
    shards = [
        run_suite(suite, tmp_path / f"s{n}", Plan(settings=EXTRACTIVE.settings, shard=Shard(number=n, of=2)))
        for n in (1, 2)
    ]
    assert [len(shard.records) for shard in shards] == [3, 2]
    assert not shards[0].missing
    merged = merge_runs(shards, tmp_path / "merged")
    assert figures(merged) == figures(whole)
    assert merged.info.shard is None
    with pytest.raises(cr.RequestError, match=r"c00 .* is in .*s1 and in .*whole"):
        merge_runs([shards[0], whole], tmp_path / "twice")
    other = run_suite(suite_with(2), tmp_path / "other", EXTRACTIVE)
    with pytest.raises(cr.RequestError, match=r"differs from .* in suite_sha256, n_cases"):
        merge_runs([whole, other], tmp_path / "mixed")


def test_resume_does_only_what_is_missing(tmp_path: Path) -> None:
    suite, folder = suite_with(4), tmp_path / "r"
    whole = run_suite(suite, folder, EXTRACTIVE)
    path = folder / "cases.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][: len(lines[2]) // 2])  # cut short, as by a crash
    assert [record.case for record in load_run(folder).records] == ["c00", "c01"]
    done: list[str] = []
    run = run_suite(
        suite, folder, EXTRACTIVE, resume=True, progress=lambda *row: done.append(row[2].case if row[2] else "")
    )
    assert done == ["", "c02", "c03"]
    assert path.read_bytes().splitlines(keepends=True)[:2] == lines[:2]
    assert figures(run) == figures(whole)


def test_resume_with_other_things_is_refused(tmp_path: Path) -> None:
    run_suite(suite_with(2), tmp_path / "r", EXTRACTIVE)
    with pytest.raises(cr.RequestError, match="holds a run already"):
        run_suite(suite_with(2), tmp_path / "r", EXTRACTIVE)
    other = Plan(settings=cr.Settings(drafter="extractive", verifier_threshold=0.9))
    with pytest.raises(cr.RequestError, match="made with other things: settings"):
        run_suite(suite_with(2), tmp_path / "r", other, resume=True)
    with pytest.raises(cr.RequestError, match="suite_sha256"):
        run_suite(suite_with(3), tmp_path / "r", EXTRACTIVE, resume=True)


def test_what_is_no_run_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(cr.RequestError, match="is no run"):
        load_run(tmp_path)
    run_suite(suite_with(2), tmp_path / "r", EXTRACTIVE)
    path = tmp_path / "r/cases.jsonl"
    lines = path.read_text().splitlines()
    path.write_text(lines[0] + '\n{"case": 3}\n' + lines[1] + "\n")
    with pytest.raises(cr.RequestError, match=r"cases\.jsonl:2 is no record"):
        load_run(tmp_path / "r")


_ENTRY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_evaluation_runs import EXTRACTIVE, suite_with
from cnaps_rag.evaluation.runs import run_suite
run_suite(suite_with(60), sys.argv[2], EXTRACTIVE, resume=True)
"""


def test_a_run_that_is_killed_half_way_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    command = [sys.executable, "-c", _ENTRY, str(Path(__file__).parent), str(folder)]
    with subprocess.Popen(command) as process:
        ends_at = time.monotonic() + 60
        while time.monotonic() < ends_at and (
            not (folder / "cases.jsonl").exists() or (folder / "cases.jsonl").read_bytes().count(b"\n") < 20
        ):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    kept = (folder / "cases.jsonl").read_bytes()
    n_kept = kept.count(b"\n")
    assert 20 <= n_kept < 60
    run = run_suite(suite_with(60), folder, EXTRACTIVE, resume=True)
    now = (folder / "cases.jsonl").read_bytes()
    assert now.startswith(kept[: kept.rfind(b"\n") + 1])  # nothing lost, nothing rewritten
    assert now.count(b"\n") == 60  # nothing done twice
    assert len({record.case for record in run.records}) == 60


# Recorded sessions


def test_the_same_recording_gives_the_same_figures(tmp_path: Path) -> None:
    suite = suite_with(3)
    with ScriptedLLM(REPLY) as llm:
        plan = Plan(settings=by_llm(llm), concurrency=3)
        first = run_suite(suite, tmp_path / "first", plan)
        n_calls = len(llm.requests)
    assert n_calls == 3 * 2  # a draft, and a repair of the claim that is rejected
    assert first.values("claims_supported") == {case: [pytest.approx(2 / 3)] for case in ("c00", "c01", "c02")}
    save_session(first, tmp_path / "session.jsonl")
    for name, session in (("folder", tmp_path / "first"), ("file", tmp_path / "session.jsonl")):
        recorded = load_session(session)
        replayed = Plan(settings=recorded.settings, session=recorded)
        run = run_suite(suite, tmp_path / name, replayed)
        assert figures(run) == figures(first)
        assert run.info.is_replay
        assert run.info.identity() == first.info.identity()


def test_a_recording_of_other_prompts_says_so(tmp_path: Path) -> None:
    suite = suite_with(1)
    with ScriptedLLM(REPLY) as llm:
        first = run_suite(suite, tmp_path / "first", Plan(settings=by_llm(llm)))
    session = load_session(first.folder)
    other = Plan(settings=session.settings.model_copy(update={"llm_temperature": 0.5}), session=session)
    run = run_suite(suite, tmp_path / "other", other)
    assert "Nothing was recorded for this prompt" in (run.records[0].error or "")


def test_failures_are_recorded_and_fail_again(tmp_path: Path) -> None:
    suite = suite_with(1)
    with ScriptedLLM("no JSON at all") as llm:
        plan = Plan(settings=by_llm(llm, on_llm_failure="extractive"))
        first = run_suite(suite, tmp_path / "first", plan)
    assert first.records[0].answer is not None
    assert first.records[0].answer["notes"][0].startswith("The LLM failed")
    assert first.records[0].exchanges[0].failure is not None
    replayed = run_suite(
        suite, tmp_path / "again", Plan(settings=plan.settings, session=load_session(tmp_path / "first"))
    )
    assert figures(replayed) == figures(first)


@pytest.mark.parametrize("text", ['{"case": "a"}', "[]", "{", '{"case": "a", "repeat": 0, "exchanges": [{}]}'])
def test_what_is_no_session_is_told_with_its_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.jsonl").write_text('{"settings": {}}\n' + text + "\n")
    with pytest.raises(cr.RequestError, match=r"s\.jsonl:2 is no line of a recorded session"):
        load_session(tmp_path / "s.jsonl")
    (tmp_path / "s.jsonl").write_text('{"settings": {"speed": 3}}\n')
    with pytest.raises(cr.RequestError, match=r"s\.jsonl:1 is no line of a recorded session"):
        load_session(tmp_path / "s.jsonl")


def test_a_run_without_an_llm_cannot_be_replayed(tmp_path: Path) -> None:
    run = run_suite(suite_with(1), tmp_path / "r", EXTRACTIVE)
    save_session(run, tmp_path / "s.jsonl")
    for path in (run.folder, tmp_path / "s.jsonl"):
        with pytest.raises(cr.RequestError, match="holds no reply of an LLM"):
            load_session(path)


# Outside answers


def test_outside_texts_are_scored(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(
        json.dumps({"case": "c00", "text": 'About noise says: "We remove noise from photographs."'})
        + "\n"
        + json.dumps({"case": "c01", "text": "Denoise-X removes all noise. See https://evil.example/x."})
        + "\n"
    )
    run = run_suite(suite_with(3), tmp_path / "r", Plan(settings=EXTRACTIVE.settings, answers=load_answers(path)))
    assert run.values("traceable") == {"c00": [1], "c01": [0]}
    assert run.values("point_recall") == {"c00": [1], "c01": [0]}
    assert run.records[2].error == "no answer to this case was given"
    assert run.info.drafter == "outside"
    assert run.records[1].report is not None


@pytest.mark.parametrize(
    "line", ["{", "[]", "{}", '{"case": "a", "text": 3}', '{"case": "a", "repeat": "x", "text": ""}']
)
def test_what_is_no_outside_answer_is_told_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"case": "z", "text": ""}\n' + line)
    with pytest.raises(cr.RequestError, match=r"a\.jsonl:2 is no answer"):
        load_answers(tmp_path / "a.jsonl")


def test_other_outside_texts_are_another_run(tmp_path: Path) -> None:
    plans = [Plan(settings=EXTRACTIVE.settings, answers={("c00", 0): text}) for text in ("One.", "Two.")]
    run_suite(suite_with(1), tmp_path / "r", plans[0])
    with pytest.raises(cr.RequestError, match="answers_sha256"):
        run_suite(suite_with(1), tmp_path / "r", plans[1], resume=True)


def test_a_suite_runs_where_an_event_loop_runs_already(tmp_path: Path) -> None:
    async def in_a_notebook() -> Run:
        return run_suite(suite_with(1), tmp_path / "r", EXTRACTIVE)

    assert len(asyncio.run(in_a_notebook()).records) == 1


def test_an_outside_answer_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"case": "z", "text": ""}\n' * 2)
    with pytest.raises(cr.RequestError, match=r"a\.jsonl:2 answers z again"):
        load_answers(tmp_path / "a.jsonl")


# The gate


def threshold(**values: Any) -> Threshold:
    return Threshold(**values)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_suite(suite_with(6), tmp_path_factory.mktemp("runs") / "six", EXTRACTIVE)


def worse(run: Run, metric: str, cases: int, folder: Path) -> Run:
    """The same run in another folder, where `metric` is 0 on the first `cases`."""
    folder.mkdir()
    for name in ("run.json", "suite.json"):
        (folder / name).write_bytes((run.folder / name).read_bytes())
    records = [
        record.model_copy(update={"scores": {**record.scores, metric: Score(value=0.0)}}) if place < cases else record
        for place, record in enumerate(run.records)
    ]
    (folder / "cases.jsonl").write_text("".join(record.model_dump_json() + "\n" for record in records))
    return load_run(folder)


def test_a_run_without_thresholds_passes_where_all_cases_are_answered(run: Run) -> None:
    assert check_gate(run).ok


def test_absolute_thresholds(run: Run) -> None:
    good = [threshold(metric="point_recall", min=1), threshold(metric="seconds", max=60)]
    assert check_gate(run, good).ok
    gate = check_gate(run, [threshold(metric="n_claims", max=0), threshold(metric="point_recall", min=1)])
    assert [condition.holds for condition in gate.conditions] == [True, False, True]
    assert len(gate.conditions[1].worst) == 5
    assert "n_claims at most 0: the mean is" in str(gate)


def test_a_metric_that_is_scored_on_no_case_meets_no_threshold(run: Run) -> None:
    (_, condition) = check_gate(run, [threshold(metric="repair_rate", min=0)]).conditions
    assert (condition.holds, condition.told) == (False, "it is scored on no case of this run")


def test_no_worse_than_another_run(run: Run, tmp_path: Path) -> None:
    bad = worse(run, "point_recall", 5, tmp_path / "bad")
    condition = threshold(metric="point_recall", no_worse_than=str(run.folder))
    assert check_gate(run, [condition]).ok
    found = check_gate(bad, [condition]).conditions[1]
    assert not found.holds
    assert found.worst[0] == "c00 (1 to 0)"
    assert check_gate(bad, [threshold(metric="point_recall", no_worse_than=str(run.folder), margin=1)]).ok
    one = worse(run, "point_recall", 1, tmp_path / "one")
    assert check_gate(one, [condition]).ok  # one case of six cannot be told from chance
    assert check_gate(run, [threshold(metric="point_recall", no_worse_than=str(bad.folder))]).ok


def test_a_gate_that_cannot_be_checked_is_refused(run: Run) -> None:
    for wrong in ({"metric": "beauty", "min": 1}, {"metric": "n_claims", "no_worse_than": str(run.folder)}):
        with pytest.raises(cr.RequestError):
            check_gate(run, [threshold(**wrong)])
    with pytest.raises(cr.RequestError, match="is no run"):
        check_gate(run, [threshold(metric="point_recall", no_worse_than="absent")])


def test_a_run_of_another_suite_is_no_baseline(run: Run, tmp_path: Path) -> None:
    other = run_suite(suite_with(2), tmp_path / "other", EXTRACTIVE)
    (_, condition) = check_gate(run, [threshold(metric="point_recall", no_worse_than=str(other.folder))]).conditions
    assert (condition.holds, "cannot be compared" in condition.told) == (False, True)


def test_a_failed_case_fails_the_gate(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"case": "c00", "text": "x"}')
    answers = load_answers(tmp_path / "a.jsonl")
    failed = run_suite(suite_with(2), tmp_path / "r", Plan(settings=EXTRACTIVE.settings, answers=answers))
    gate = check_gate(failed)
    assert not gate.ok
    assert gate.conditions[0].worst == ("c01: no answer to this case was given",)
    write_junit(gate, failed, tmp_path / "junit.xml")
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")


def test_the_example_of_the_readme_is_a_test(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(GOOD)
    suite = cr.load_suite(tmp_path / "suite.yaml")
    gate = cr.check_gate(cr.run_suite(suite, tmp_path / "run"))
    assert gate.ok, gate
