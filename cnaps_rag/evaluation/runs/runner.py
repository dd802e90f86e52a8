"""A suite answered and scored, case by case, in a folder: what is done stays done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cnaps_rag.errors import CnapsRagError
from cnaps_rag.evaluation.metrics import Score, Scored, score_all
from cnaps_rag.evaluation.outcome import Outcome, outcome_of, outside_outcome
from cnaps_rag.evaluation.readings import Match, read_outcome
from cnaps_rag.evaluation.runs.records import CaseRecord, PointRecord, RunInfo, Shard
from cnaps_rag.evaluation.runs.sessions import Key, Session
from cnaps_rag.evaluation.runs.store import Run, RunWriter, create_run, keys_of, load_run, resume_run
from cnaps_rag.evaluation.suite import Gold, Suite, SuiteCase
from cnaps_rag.llm import LLM, RecordedLLM, RecordingLLM, sha256_of
from cnaps_rag.llm.client import run_coroutine
from cnaps_rag.pipeline import Answerer
from cnaps_rag.prompt import prompts_sha256
from cnaps_rag.proof.bundle import settings_values
from cnaps_rag.proof.installed import files_of, installed_versions
from cnaps_rag.render.json import render_report_json
from cnaps_rag.settings import Settings
from cnaps_rag.validation import validate
from cnaps_rag.verifier import ClaimVerifier

Progress = Callable[[int, int, CaseRecord | None], None]
"""Told how many answers are done, of how many, and the last of them (None at the start)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a suite is answered.

    Attributes:
        session: recorded calls that stand in for the LLM; None calls it.
        answers: outside texts by case and repeat, scored instead of answers of this library.
        concurrency: most cases in work at once; None is 1 without an LLM (the work is the CPU's) and 4 with one.
    """

    settings: Settings
    repeat: int = 1
    shard: Shard | None = None
    session: Session | None = None
    answers: Mapping[Key, str] | None = None
    concurrency: int | None = None


def run_suite(
    suite: Suite,
    folder: str | Path,
    plan: Plan | None = None,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Answers and scores every case of `suite` that `folder` does not hold yet.

    A case whose answer fails is kept as failed, and tried again when the run is resumed.

    Raises:
        RequestError: the folder is in use, or resumed with other things than it was made with.
        ServiceError: the verifier that scores cannot be loaded.
    """
    plan = plan or Plan(settings=Settings())
    folder = Path(folder)
    info = _info(suite, folder.name, plan)
    if resume and folder.exists():
        writer, run = resume_run(folder, info)
        done = {record.key for record in run.records if record.error is None}
    else:
        writer, done = create_run(folder, info, suite), set[Key]()
    todo = [key for key in keys_of(suite, info) if key not in done]
    cases = {case.id: case for case in suite.cases}
    _answer_all(
        [(cases[case], repeat) for case, repeat in todo], plan, writer, _Counter(len(done), len(todo), progress)
    )
    return load_run(folder)


class _Counter:
    def __init__(self, n_done: int, n_todo: int, progress: Progress | None) -> None:
        self._n_done, self._n_all = n_done, n_done + n_todo
        self._progress = progress
        self.tell(None)

    def tell(self, record: CaseRecord | None) -> None:
        self._n_done += record is not None
        if self._progress is not None:
            self._progress(self._n_done, self._n_all, record)


def _answer_all(todo: list[tuple[SuiteCase, int]], plan: Plan, writer: RunWriter, counter: _Counter) -> None:
    """Works through the cases, a bounded number at once; pydantic-evals keeps one case's failure to itself."""
    from pydantic_evals import Case, Dataset

    async def work(row: tuple[SuiteCase, int]) -> None:
        case, repeat = row
        record = await _record(case, repeat, plan)
        writer.append(record)
        counter.tell(record)

    if not todo:
        return
    rows = [
        Case[tuple[SuiteCase, int], None, None](name=f"{case.id}#{repeat}", inputs=(case, repeat))
        for case, repeat in todo
    ]
    dataset = Dataset[tuple[SuiteCase, int], None, None](name=writer.folder.name, cases=rows)
    concurrency = plan.concurrency or (4 if _drafts_by_llm(plan) else 1)
    report = run_coroutine(dataset.evaluate(work, max_concurrency=concurrency, progress=False))
    if report.failures:  # faults of this code: what may go wrong with an answer is a record
        raise RuntimeError(f"{report.failures[0].name}: {report.failures[0].error_stacktrace}")


async def _record(case: SuiteCase, repeat: int, plan: Plan) -> CaseRecord:
    """One case answered and scored; what the answer fails with is kept as its error."""
    started_at = time.perf_counter()
    if plan.answers is not None:
        return await asyncio.to_thread(_record_outside, case, repeat, plan)
    settings, recorded = plan.settings, plan.session
    source = LLM(settings) if recorded is None else RecordedLLM(recorded.exchanges.get((case.id, repeat), ()), settings)
    llm = RecordingLLM(source, settings)
    try:
        answer = await Answerer(settings, llm=llm).aanswer(case.request)
    except CnapsRagError as error:
        told = f"{type(error).__name__}: {error}"
        return CaseRecord(case=case.id, repeat=repeat, error=told, exchanges=llm.exchanges)
    seconds = time.perf_counter() - started_at
    scored = await asyncio.to_thread(_score, case.gold, outcome_of(answer, seconds=seconds))
    return CaseRecord(
        case=case.id, repeat=repeat, seconds=seconds, answer=dict(answer.to_json()), exchanges=llm.exchanges, **scored
    )


def _record_outside(case: SuiteCase, repeat: int, plan: Plan) -> CaseRecord:
    text = (plan.answers or {}).get((case.id, repeat))
    if text is None:
        return CaseRecord(case=case.id, repeat=repeat, error="no answer to this case was given")
    report = validate(text, case.request, settings=plan.settings)
    scored = _score(case.gold, outside_outcome(report, case.request))
    report_json = dict(render_report_json(report, text, case.request))
    return CaseRecord(case=case.id, repeat=repeat, text=text, report=report_json, **scored)


def _score(gold: Gold, outcome: Outcome) -> dict[str, Any]:
    """Scores, and gold's points against the answer.

    The shipped verifier reads, whatever verifier or threshold the settings name: runs that differ in these must be held
    against one measure.
    """
    readings = read_outcome(outcome, gold, ClaimVerifier())
    scores: dict[str, Score] = score_all(Scored(outcome=outcome, gold=gold, readings=readings))
    words = [claim.words for claim in outcome.telling]

    def told(match: Match) -> dict[str, Any]:
        said = words[match.claim] if match.is_told and match.claim is not None else ""
        return {"is_told": match.is_told, "score": match.score, "words": said}

    points = tuple(
        PointRecord(text=point.text, source=point.source, quote=point.quote, **told(match))
        for point, match in zip(gold.points or (), readings.points or (), strict=True)
    )
    forbidden = tuple(
        PointRecord(text=point.text, why=point.why, **told(match))
        for point, match in zip(gold.forbidden or (), readings.forbidden or (), strict=True)
    )
    return {"scores": scores, "points": points, "forbidden": forbidden}


def _drafts_by_llm(plan: Plan) -> bool:
    return plan.answers is None and Answerer(plan.settings).drafts_by_llm


def _info(suite: Suite, name: str, plan: Plan) -> RunInfo:
    llm = plan.settings.llm if _drafts_by_llm(plan) else None
    return RunInfo(
        name=name,
        suite=suite.name,
        suite_sha256=suite.sha256,
        n_cases=len(suite.cases),
        repeat=plan.repeat,
        shard=plan.shard,
        drafter="outside" if plan.answers is not None else llm or "extractive",
        answers_sha256=None if plan.answers is None else sha256_of(sorted(plan.answers.items())),
        settings=settings_values(plan.settings),
        prompts_sha256=prompts_sha256(),
        scored_by=files_of("verifier", None).sha256["model.onnx"],
        versions={"cnaps_rag": version("cnaps_rag"), **installed_versions()},
        is_replay=plan.session is not None,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
