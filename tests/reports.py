"""Runs to report on: one by the extractive drafter, one by a scripted LLM with repeats and a failure, a hostile one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from answers import hostile_body, hostile_request
from scripted_llm import ScriptedLLM, Status
from test_evaluation_runs import EXTRACTIVE, REPLY, by_llm, suite_with

import cnaps_rag as cr
from cnaps_rag.evaluation.metrics import METRICS, Score
from cnaps_rag.evaluation.runs import CaseRecord, Plan, PointRecord, Run, run_suite
from cnaps_rag.evaluation.suite import Case, Gold, Suite, SuiteCase, SuiteFile, suite_of
from cnaps_rag.llm import Usage
from cnaps_rag.render.json import render_json, render_report_json
from cnaps_rag.render.markdown import render_markdown
from cnaps_rag.report import LedgerEntry
from cnaps_rag.sources import QUESTION_ID

PWNED = "<script>window.pwned=1</script>"
HOSTILE_ID = f"=cmd()|{PWNED}@someone#1 [x](https://evil.example/id) `a`` $x$"
FORBIDDEN = {"text": "Denoise-X removes noise from photographs.", "why": "told by the paper, not of the model"}


def suite_to_report(n_cases: int = 6) -> Suite:
    """`suite_with`, tagged, with a forbidden point; odd cases label no points, so they are unscored there."""
    value = suite_with(n_cases).to_json()
    for number, case in enumerate(value["cases"]):
        case["tags"] = ["noise", "odd" if number % 2 else "even"]
        case["gold"]["forbidden"] = [FORBIDDEN]
        if number % 2:
            del case["gold"]["points"]
    return suite_of(value)


def extractive_run(folder: Path) -> Run:
    return run_suite(suite_to_report(), folder, EXTRACTIVE)


def llm_run(folder: Path) -> Run:
    """Two answers a case; the first answer of all fails; one claim of each draft is rejected."""
    with ScriptedLLM(Status(500), REPLY) as llm:
        return run_suite(suite_to_report(), folder, Plan(settings=by_llm(llm), repeat=2, concurrency=1))


def with_scores(run: Run, metric: str, values: list[float | None], **info: Any) -> Run:
    """`run` with other values of a metric, one a record; failed records keep none."""
    records = [
        record.model_copy(
            update={"scores": {**record.scores, metric: Score(value=value, why="" if value is not None else "why")}}
        )
        for record, value in zip(run.records, values, strict=True)
    ]
    return Run(folder=run.folder, info=run.info.model_copy(update=info), suite=run.suite, records=tuple(records))


def hostile_answer() -> dict[str, Any]:
    """An answer as JSON in which every source, a claim that did not pass, the ledger and the drafter speak."""
    body = hostile_body()
    rendered = render_markdown(body)
    entry = LedgerEntry(
        round=0,
        slot="task",
        subject=QUESTION_ID,
        before=PWNED,
        after=f"{PWNED} after",
        action="repaired",
        verdict="supported",
        layer="verifier",
        reason=PWNED,
    )
    report = cr.validate(rendered.text, body.passages.request)
    made = {"prompt_sha256": None, "abstained": False, "complete": False}
    return dict(render_json(body, rendered, report=report, ledger=(entry,), usage=Usage(), **made))  # type: ignore[arg-type]


def hostile_run(folder: Path) -> Run:
    """Every text that a report shows tries what a page, a table, a spreadsheet or a terminal could fall for."""
    request = hostile_request()
    ids = (HOSTILE_ID, 'b" onclick="window.pwned=1', "\x1b[31mc\u202e")
    cases = [Case.model_construct(id=id_, tags=(PWNED, "=cmd()", "a|b", '"]'), gold=Gold()) for id_ in ids]
    suite = Suite(
        SuiteFile.model_construct(name=f"{PWNED} @someone", gate=()),
        [SuiteCase(case, request) for case in cases],
        folder,
    )
    scores = {metric.name: Score(value=None, n=0, why=f"{PWNED}|no") for metric in METRICS}
    scores |= {"point_recall": Score(value=0.5, n=2), "seconds": Score(value=1.5)}
    point = PointRecord(
        text=PWNED, is_told=True, score=0.9, words=f"{PWNED} `|@someone", source="P1", quote="=1+1", why=PWNED
    )
    text = f"{PWNED} The paper says: sharp. See https://evil.example/ and [x](javascript:window.pwned=1). @someone | a"
    answer = hostile_answer()
    records = [
        CaseRecord(case=ids[0], answer=answer, scores=scores, points=(point,), forbidden=(point,), seconds=1.5),
        CaseRecord(
            case=ids[1],
            text=text,
            report=dict(render_report_json(cr.validate(text, request), text, request)),
            scores=scores,
        ),
        CaseRecord(case=ids[2], error=f"ServiceError: {PWNED}\n@someone | =cmd() \x1b[31m https://evil.example/"),
    ]
    info = {
        "name": f"=1+1 @someone {PWNED}|",
        "suite": suite.name,
        "suite_sha256": suite.sha256,
        "drafter": f"{PWNED}@llm",
    }
    made = extractive_run(folder / "for-info").info.model_copy(update=info)
    return Run(folder=folder, info=made, suite=suite, records=tuple(records))
