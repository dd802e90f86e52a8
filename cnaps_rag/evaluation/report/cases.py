"""One answer of a run as the page shows it: a row of the table, and below everything that its scores come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from cnaps_rag.evaluation.metrics import METRICS, Metric
from cnaps_rag.evaluation.report.summary import NO_STEP
from cnaps_rag.evaluation.report.told import Block, CitedSource, Evidence, tell_answer, tell_text
from cnaps_rag.evaluation.report.wording import signed, value_text
from cnaps_rag.evaluation.runs import CaseRecord, PointRecord, Run
from cnaps_rag.llm import Exchange

N_TINTS = 5
"""Shades of the table's cells, worst to best."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One value in the table: `tint` 0 is worst, `N_TINTS` - 1 best, None where neither way is better."""

    value: float | None
    text: str
    step: str
    tint: int | None
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PointView:
    """A gold point or a forbidden one; `was_told` None where there is no baseline."""

    point: PointRecord
    was_told: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreView:
    """One metric of one answer, over `n` things; `before` is the baseline's value."""

    metric: Metric
    text: str
    n: int
    before: str | None
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerView:
    """One answer in words; without blocks where it failed.

    Attributes:
        others: claims of the answer that it stands beside; None where there is none to hold it against claim by claim.
    """

    label: str
    error: str | None
    blocks: tuple[Block, ...]
    others: frozenset[str] | None = None

    @property
    def claims(self) -> frozenset[str]:
        """Texts of its claims."""
        return frozenset(part.text for block in self.blocks for part in block.parts if part.kind == "claim")


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseView:
    """One answer with all that is shown of it; `answers` holds the baseline's before it where the two differ."""

    anchor: str
    id: str
    repeat: int
    tags: tuple[str, ...]
    question: str
    error: str | None
    is_traceable: bool
    is_changed: bool
    cells: tuple[Cell, ...]
    answers: tuple[AnswerView, ...]
    sources: tuple[CitedSource, ...]
    points: tuple[PointView, ...]
    forbidden: tuple[PointView, ...]
    scores: tuple[ScoreView, ...]
    ledger: Sequence[Mapping[str, Any]]
    exchanges: tuple[Exchange, ...]


def anchor_of(case: str, repeat: int = 0) -> str:
    """The page's id of an answer; a colon stands in no case's id, so that repeats clash with none."""
    return f"case-{quote(case, safe='')}" + (f":{repeat}" if repeat else "")


def shown_metrics(run: Run) -> tuple[Metric, ...]:
    """Metrics with a column in the table: those that are not minor and have a value somewhere."""
    return tuple(metric for metric in METRICS if not metric.is_minor and run.values(metric.name))


def view_cases(run: Run, baseline: Run | None, shared: Sequence[str]) -> Iterator[CaseView]:
    """Every answer of `run`; held against the baseline's to the same case where that is among `shared`."""
    metrics = shown_metrics(run)
    before_by_key = {record.key: record for record in baseline.records} if baseline is not None else {}
    for record in run.records:
        before = before_by_key.get(record.key, before_by_key.get((record.case, 0)))
        yield _view(run, record, before if record.case in shared else None, metrics)


def _view(run: Run, record: CaseRecord, before: CaseRecord | None, metrics: Sequence[Metric]) -> CaseView:
    case = run.case_by_id.get(record.case)
    anchor = anchor_of(*record.key)
    evidence = Evidence(case.request if case is not None else None, anchor)
    is_changed = before is not None and _said(before) != _said(record)
    answers = (
        _pair(_answer(before, "Baseline", evidence), _answer(record, "This run", evidence))
        if before is not None and is_changed
        else (_answer(record, "Answer", evidence),)
    )
    traceable = record.scores.get("traceable")
    return CaseView(
        anchor=anchor,
        id=record.case,
        repeat=record.repeat,
        tags=case.tags if case is not None else (),
        question=case.request.question if case is not None else "",
        error=record.error,
        is_traceable=traceable is None or traceable.value != 0,
        is_changed=is_changed,
        cells=tuple(_cell(record, before, metric) for metric in metrics),
        answers=answers,
        sources=tuple(evidence.sources()),
        points=_points(record.points, before.points if before is not None else None),
        forbidden=_points(record.forbidden, before.forbidden if before is not None else None),
        scores=tuple(_scores(record, before)),
        ledger=(record.answer or {}).get("ledger", ()),
        exchanges=record.exchanges,
    )


def _said(record: CaseRecord) -> tuple[str | None, str | None, object]:
    return record.error, record.text, (record.answer or {}).get("markdown")


def _answer(record: CaseRecord, label: str, evidence: Evidence) -> AnswerView:
    blocks: tuple[Block, ...] = ()
    if record.answer is not None:
        blocks = tell_answer(record.answer, evidence)
    elif record.text is not None:
        blocks = tell_text(record.text, record.report, evidence)
    return AnswerView(label=label, error=record.error, blocks=blocks)


def _pair(first: AnswerView, second: AnswerView) -> tuple[AnswerView, AnswerView]:
    if not all(block.kind != "raw" for view in (first, second) for block in view.blocks) or not first.blocks:
        return first, second
    return replace(first, others=second.claims), replace(second, others=first.claims)


def _value(record: CaseRecord | None, metric: Metric) -> float | None:
    score = record.scores.get(metric.name) if record is not None else None
    return score.value if score is not None else None


def _cell(record: CaseRecord, before: CaseRecord | None, metric: Metric) -> Cell:
    value, old = _value(record, metric), _value(before, metric)
    score = record.scores.get(metric.name)
    is_stepped = value is not None and old is not None and abs(value - old) > NO_STEP
    return Cell(
        value=value,
        text=value_text(metric, value),
        step=signed(metric, (value or 0.0) - (old or 0.0)) if is_stepped else "",
        tint=_tint(metric, value),
        why=score.why if score is not None else "",
    )


def _tint(metric: Metric, value: float | None) -> int | None:
    if value is None or metric.unit not in ("share", "yes_no") or metric.better == "neither":
        return None
    goodness = value if metric.better == "higher" else 1 - value
    return min(max(int(goodness * N_TINTS), 0), N_TINTS - 1)


def _points(points: Sequence[PointRecord], before: Sequence[PointRecord] | None) -> tuple[PointView, ...]:
    told = {point.text: point.is_told for point in before or ()}
    return tuple(PointView(point=point, was_told=told.get(point.text)) for point in points)


def _scores(record: CaseRecord, before: CaseRecord | None) -> Iterator[ScoreView]:
    for metric in METRICS:
        score, old = record.scores.get(metric.name), _value(before, metric)
        if score is not None:
            is_stepped = old is not None and score.value is not None and abs(score.value - old) > NO_STEP
            yield ScoreView(
                metric=metric,
                text=value_text(metric, score.value),
                n=score.n,
                before=value_text(metric, old) if is_stepped else None,
                why=score.why,
            )
