"""Suites: read from YAML and JSON Lines, faults told with file and line; the suites of evals/ hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cnaps_rag as cr
from cnaps_rag.evaluation.suite import load_suite, suite_of, suite_schema

ROOT = Path(__file__).parents[1]
REQUEST = (ROOT / "data/requests/001.txt").read_text()

GOOD = """\
name: photos
gate:
  - {metric: point_recall, min: 0.5}
cases:
  - id: one
    request:
      question: How is noise removed?
      models: [{name: Denoise-X, paper: "https://arxiv.org/abs/2012.09161"}]
      papers: [{title: About noise, summary: "We remove noise from photographs."}]
    gold:
      points:
        - {text: Noise is removed from photographs., source: P1, quote: remove noise from photographs}
      links: {required: ["https://arxiv.org/pdf/2012.09161v2"]}
      bearing: [P1]
      fits: {M1: not_told}
      missing: [{source: M1, slot: input}]
"""


def write(folder: Path, text: str, name: str = "suite.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def faults_of(folder: Path, text: str, name: str = "suite.yaml") -> str:
    with pytest.raises(cr.RequestError) as caught:
        load_suite(write(folder, text, name))
    return str(caught.value).replace(str(folder) + "/", "")


def test_a_suite_is_read_with_its_requests(tmp_path: Path) -> None:
    suite = load_suite(write(tmp_path, GOOD))
    (case,) = suite.cases
    assert (suite.name, case.id, case.request.models[0].name) == ("photos", "one", "Denoise-X")
    assert case.gold.points is not None
    assert case.gold.points[0].quote == "remove noise from photographs"
    assert suite.gate[0].min == 0.5


def test_a_request_may_be_a_file_in_either_form_or_text(tmp_path: Path) -> None:
    request = cr.AnswerRequest.from_prompt(REQUEST)
    (tmp_path / "r.txt").write_text(REQUEST)
    (tmp_path / "r.json").write_text(request.model_dump_json())
    rows = [{"id": "text", "request": REQUEST}, {"id": "file", "request_file": "r.txt"}]
    rows += [{"id": "json", "request_file": "r.json"}, {"id": "value", "request": request.model_dump(mode="json")}]
    suite = load_suite(write(tmp_path, "\n".join(map(json.dumps, rows)), "s.jsonl"))
    assert [case.request for case in suite.cases] == [request] * 4
    assert suite.name == "s"


def test_the_first_line_of_json_lines_may_name_the_suite(tmp_path: Path) -> None:
    lines = [{"name": "named", "gate": [{"metric": "cost", "max": 1}]}, {"id": "a", "request": REQUEST}]
    suite = load_suite(write(tmp_path, "\n\n".join(map(json.dumps, lines)), "s.jsonl"))
    assert (suite.name, suite.gate[0].metric, len(suite.cases)) == ("named", "cost", 1)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "quote: remove noise from photographs}",
            "quote: remove grain}",
            "suite.yaml:12: case one: P1 does not hold the",
        ),
        ("source: P1, quote", "source: P7, quote", "suite.yaml:12: case one: no source P7 was supplied"),
        ("source: P1, quote", "source: paper, quote", "suite.yaml:12: cases.0.gold.points.0.source: "),
        (
            "pdf/2012.09161v2",
            "abs/1111.00001",
            "suite.yaml:13: case one: the link https://arxiv.org/abs/1111.00001 was",
        ),
        ("bearing: [P1]", "bearing: [M1]", "suite.yaml:14: case one: M1 is no supplied paper"),
        ("bearing: [P1]", "bearing: [P1]\n      off_topic: [P1]", "suite.yaml:15: case one: P1 cannot both bear"),
        ("bearing: [P1]", "bering: [P1]", "suite.yaml:14: cases.0.gold.bering: Extra inputs are not permitted"),
        ("fits: {M1: not_told}", "fits: {P1: fits}", "suite.yaml:15: case one: P1 is no recommended model"),
        ("fits: {M1: not_told}", "fits: {M1: maybe}", "suite.yaml:15: cases.0.gold.fits.M1: "),
        (
            "source: M1, slot: input",
            "source: P1, slot: input",
            "suite.yaml:16: case one: P1 is no recommended model and",
        ),
        ("source: M1, slot: input", "source: M1, slot: speed", "suite.yaml:16: cases.0.gold.missing.0.slot: "),
        ("question: How is noise removed?", "question: ''", "suite.yaml:5: case one: question"),
        ("min: 0.5", "min: high", "suite.yaml:3: gate.0.min: "),
        (", min: 0.5", "", "suite.yaml:3: gate.0: Value error, a threshold has min, max or no_worse_than"),
        ("- id: one", "- id: one two", "suite.yaml:5: cases.0.id: "),
        ("- id: one", "- id: one\n    request_file: x.txt", "suite.yaml:5: cases.0: Value error, a case has either"),
        ("cases:", "cases: [", "is no YAML"),
    ],
)
def test_a_fault_is_told_with_file_and_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    assert told in faults_of(tmp_path, GOOD.replace(old, new))


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("bearing: [P1]", "bearing: [P9]").replace("quote: remove noise from", "quote: remove all from")
    told = faults_of(tmp_path, text)
    assert "2 faults" in told
    assert "suite.yaml:12" in told
    assert "suite.yaml:14" in told


@pytest.mark.parametrize(
    ("text", "name", "told"),
    [
        ('{"id": "a"}\n{"id": ', "s.jsonl", "s.jsonl:2 is no JSON"),
        ('{"id": "a"}\n[1]', "s.jsonl", "s.jsonl:2 is no JSON object"),
        ('{"id": "a", "request": "x"}\n\n{"id": "b"}', "s.jsonl", "s.jsonl:3: cases.1: "),
        ('{"id": "a", "request_file": "absent.txt"}', "s.jsonl", "absent.txt cannot be read"),
        ("", "s.yaml", "s.yaml:1: the suite: "),
        ("name: x\ncases: []", "s.yaml", "s.yaml:2: cases: "),
    ],
)
def test_what_is_no_suite_is_told_so(tmp_path: Path, text: str, name: str, told: str) -> None:
    assert told in faults_of(tmp_path, text, name)


def test_an_id_used_twice_and_an_absent_file_are_told(tmp_path: Path) -> None:
    again = GOOD + GOOD[GOOD.index("  - id: one") :]
    assert "suite.yaml:17: the id one is used twice" in faults_of(tmp_path, again)
    with pytest.raises(cr.RequestError, match="cannot be read"):
        load_suite(tmp_path / "absent.yaml")


def test_a_suite_comes_back_from_its_own_value(tmp_path: Path) -> None:
    suite = load_suite(write(tmp_path, GOOD))
    again = suite_of(suite.to_json())
    assert (again.sha256, again.name, again.gate) == (suite.sha256, suite.name, suite.gate)


def test_the_hash_changes_with_gold_and_requests_and_not_with_the_gate(tmp_path: Path) -> None:
    hashes = [
        load_suite(write(tmp_path, GOOD.replace(old, new))).sha256
        for old, new in (("", ""), ("min: 0.5", "min: 0.6"), ("not_told", "fits"), ("How is", "How are"))
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads((ROOT / "evals/suite.schema.json").read_text()) == suite_schema()


@pytest.mark.parametrize(("name", "n_cases"), [("seeds", 5), ("requests", 34)])
def test_the_suites_of_this_project_hold(name: str, n_cases: int) -> None:
    suite = load_suite(ROOT / f"evals/{name}.yaml")
    assert len(suite.cases) == n_cases
    for case in suite.cases:
        gold, models = case.gold, {source.id for source in case.request.sources if source.kind == "model"}
        assert gold.points, case.id
        assert gold.forbidden, case.id
        assert set(gold.fits or ()) == models, case.id
        required = {case.request.source(id_).paper for id_ in models} - {None}
        assert required <= set(gold.links.required if gold.links else ()), case.id


def test_the_suites_cover_what_they_are_for() -> None:
    tags = {tag for case in load_suite(ROOT / "evals/requests.yaml").cases for tag in case.tags}
    assert {"misfit", "duplicate", "all_off_topic", "foreign_question", "hostile", "injection", "two_models"} <= tags
