"""A run in figures, and what changed from one run to another: what every form of a report says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cnaps_rag.errors import RequestError
from cnaps_rag.evaluation.metrics import METRICS, Metric
from cnaps_rag.evaluation.runs import CaseRecord, Run
from cnaps_rag.evaluation.statistics import Difference, Estimate, ValuesByCase, compare_paired, estimate
from cnaps_rag.evaluation.suite import SuiteCase

N_CHANGED = 5
"""Most cases told of one metric as those that changed most."""

CHANCE_SHARE = 0.05
"""Of metrics that did not change, as many seem to: intervals hold 95%."""

NO_STEP = 1e-9
"""What a mean's last bits make of no change."""

Change = Literal["better", "worse", "changed", "not distinguishable", "too few cases", "nothing to compare"]
"""``changed`` for metrics of which neither way is better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricRow:
    """One metric over a run.

    Attributes:
        estimate: None where no answer is scored.
        n_unscored: answers without a value, failed ones included.
        reasons: why they have none, and how often, most often first.
    """

    metric: Metric
    estimate: Estimate | None
    n_unscored: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseChange:
    """A case's mean in two runs."""

    case: str
    first: float
    second: float

    @property
    def step(self) -> float:
        """Second less first."""
        return self.second - self.first


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricChange:
    """One metric in two runs; `cases` are those that changed most, the most first."""

    metric: Metric
    difference: Difference | None
    outcome: Change
    cases: tuple[CaseChange, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeWith:
    """One thing that two runs were not made with alike, as in ``settings.llm``."""

    name: str
    first: str
    second: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What changed from run `first` to run `second`.

    Attributes:
        rows: every metric, in the order of `METRICS`.
        shared: ids of the cases that were compared.
        left_out: ids of the cases that are not in both suites, or not with the same request and gold.
        made_with: what the runs were made with that differs.
        first_failed, second_failed: answers to shared cases that failed; they are in no difference.
    """

    first: Run
    second: Run
    rows: tuple[MetricChange, ...]
    shared: tuple[str, ...]
    left_out: tuple[str, ...]
    made_with: tuple[MadeWith, ...]
    first_failed: tuple[CaseRecord, ...]
    second_failed: tuple[CaseRecord, ...]

    def count(self, *outcomes: Change, all_metrics: bool = False) -> int:
        """Number of metrics with one of these outcomes, without minor ones."""
        return sum(row.outcome in outcomes for row in self.rows if all_metrics or not row.metric.is_minor)


def summarise(run: Run) -> tuple[MetricRow, ...]:
    """Every metric over a run, in the order of `METRICS`."""
    return tuple(_row(run, metric) for metric in METRICS)


def worst_cases(run: Run) -> tuple[CaseRecord, ...]:
    """Records, worst first: failed, not traceable, most forbidden points told, fewest gold points told, by id."""
    return tuple(sorted(run.records, key=_goodness))


def compare_runs(first: Run, second: Run) -> Comparison:
    """What changed from `first` to `second`, over the cases whose request and gold are the same in both.

    Raises:
        RequestError: they share no such case.
    """
    shared = _shared_cases(first, second)
    every = dict.fromkeys((*first.case_by_id, *second.case_by_id))
    if not shared:
        raise RequestError(
            f"{first.folder} and {second.folder} share no case with the same request and gold.",
            remedy="Compare runs of one suite, or of suites with cases in common.",
        )
    return Comparison(
        first=first,
        second=second,
        rows=tuple(
            _change(metric, _within(first, metric, shared), _within(second, metric, shared)) for metric in METRICS
        ),
        shared=tuple(shared),
        left_out=tuple(case for case in every if case not in shared),
        made_with=tuple(_made_with(first, second)),
        first_failed=tuple(record for record in first.failed if record.case in shared),
        second_failed=tuple(record for record in second.failed if record.case in shared),
    )


def _row(run: Run, metric: Metric) -> MetricRow:
    reasons = Counter(why for record in run.records if (why := _why_unscored(record, metric)) is not None)
    return MetricRow(
        metric=metric,
        estimate=estimate(run.values(metric.name)),
        n_unscored=reasons.total(),
        reasons=tuple(sorted(reasons.items(), key=lambda row: (-row[1], row[0]))),
    )


def _why_unscored(record: CaseRecord, metric: Metric) -> str | None:
    if record.error is not None:
        return "there is no answer: it failed"
    score = record.scores.get(metric.name)
    if score is None:
        return "the run was scored without this metric"
    return score.why or "no reason was given" if score.value is None else None


def _goodness(record: CaseRecord) -> tuple[bool, float, float, float, str, int]:
    def value(metric: str, unscored: float) -> float:
        score = record.scores.get(metric)
        return score.value if score is not None and score.value is not None else unscored

    return (
        record.error is None,
        value("traceable", 1.0),
        -value("forbidden_said", 0.0),
        value("point_recall", 1.0),
        *record.key,
    )


# Two runs


def _shared_cases(first: Run, second: Run) -> dict[str, None]:
    """Ids of the cases that are the same in both suites, in the second's order."""
    if first.info.suite_sha256 == second.info.suite_sha256:
        return dict.fromkeys(second.case_by_id)
    return {
        id_: None
        for id_, case in second.case_by_id.items()
        if id_ in first.case_by_id and _asked(first.case_by_id[id_]) == _asked(case)
    }


def _asked(case: SuiteCase) -> tuple[object, object]:
    return case.request, case.gold


def _within(run: Run, metric: Metric, cases: Mapping[str, None]) -> ValuesByCase:
    return {case: values for case, values in run.values(metric.name).items() if case in cases}


def _change(metric: Metric, first: ValuesByCase, second: ValuesByCase) -> MetricChange:
    difference = compare_paired(first, second)
    steps = [
        CaseChange(case=case, first=float(np.mean(first[case])), second=float(np.mean(second[case])))
        for case in first
        if case in second
    ]
    changed = sorted(
        (step for step in steps if abs(step.step) > NO_STEP), key=lambda step: (-abs(step.step), step.case)
    )
    return MetricChange(
        metric=metric, difference=difference, outcome=_outcome(metric, difference), cases=tuple(changed[:N_CHANGED])
    )


def _outcome(metric: Metric, difference: Difference | None) -> Change:
    if difference is None:
        return "nothing to compare"
    outcome = difference.outcome(higher_is_better=metric.better == "higher")
    return "changed" if metric.better == "neither" and outcome in ("better", "worse") else outcome


def _made_with(first: Run, second: Run) -> Iterator[MadeWith]:
    a, b = (dict(_flat(run.info.identity())) for run in (first, second))
    for name in dict.fromkeys((*a, *b)):
        if a.get(name, _ABSENT) != b.get(name, _ABSENT):
            yield MadeWith(name=name, first=_told(a.get(name, _ABSENT)), second=_told(b.get(name, _ABSENT)))


_ABSENT = object()


def _flat(identity: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Values of settings and versions under dotted names, all others under their own."""
    for name, value in identity.items():
        if name in ("settings", "versions"):
            yield from ((f"{name}.{inner}", each) for inner, each in value.items())
        else:
            yield name, value


def _told(value: object) -> str:
    return "not there" if value is _ABSENT else "none" if value is None or value == {} else str(value)
