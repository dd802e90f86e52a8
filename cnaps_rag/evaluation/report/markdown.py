"""A run as Markdown for a pull request: a verdict in one line, the metrics, and the worst cases folded away.

Whatever comes from a suite, a request or an answer stands in a code span on one line. There no reader of Markdown acts
on markup, HTML or links, and GitHub makes no mention of ``@someone`` and no reference of ``#1``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from cnaps_rag.evaluation.metrics import METRIC_BY_NAME, Metric
from cnaps_rag.evaluation.report.summary import (
    Change,
    Comparison,
    MetricChange,
    MetricRow,
    compare_runs,
    summarise,
    worst_cases,
)
from cnaps_rag.evaluation.report.wording import (
    NONE,
    SKEWED,
    change_line,
    counts_text,
    difference_interval_text,
    difference_text,
    gaps_line,
    interval_text,
    mean_text,
    n_of,
    repeats_line,
    shared_line,
    shorten,
    value_text,
)
from cnaps_rag.evaluation.runs import CaseRecord, Run

_N_WORST = 10
_N_MADE_WITH = 20
_LIMIT_CHARACTERS = 160
_WORST_BY = ("traceable", "forbidden_said", "point_recall", "citation_recall")
_SIGNS: dict[Change, str] = {"better": "✅ better", "worse": "❌ worse"}


def render_run_markdown(run: Run, baseline: Run | None = None) -> str:
    """A comment on `run`, and on what changed from `baseline` where one is given.

    Raises:
        RequestError: the two runs share no case.
    """
    comparison = compare_runs(baseline, run) if baseline is not None else None
    lines = [_verdict(run, comparison), "", _made_of(run)]
    lines += _compared(comparison) if comparison is not None else []
    lines += ["", *_metrics(run, comparison), ""]
    spread = repeats_line(summarise(run))
    lines += [spread, ""] if spread else []
    lines += _folded("Worst cases", _worst(run))
    if comparison is not None:
        lines += _folded("Cases that changed most", _changed(comparison))
    return "\n".join(lines).rstrip() + "\n"


def code(text: str, limit_characters: int = _LIMIT_CHARACTERS) -> str:
    """`text` as a code span on one line, which also a table's cell can hold: ``|`` is shown as ``¦``."""
    line = shorten(text, limit_characters).replace("|", "¦") or " "
    fence = "`" * (1 + max((len(ticks) for ticks in re.findall("`+", line)), default=0))
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _verdict(run: Run, comparison: Comparison | None) -> str:
    gaps = gaps_line(run) or "none failed"
    answered = n_of(len(run.records) - len(run.failed), "answer")
    figures = [
        f"{METRIC_BY_NAME[row.metric.name].title.lower()} {mean_text(row.metric, row.estimate.mean)}"
        for row in summarise(run)
        if row.metric.name in ("traceable", "point_recall") and row.estimate is not None
    ]
    told = f"**{answered}, {gaps}" + "".join(f"; {figure}" for figure in figures) + ".**"
    if comparison is None:
        return told
    return f"{told} Against {code(comparison.first.info.name)}: {change_line(comparison)}."


def _made_of(run: Run) -> str:
    n_cases = n_of(len({record.case for record in run.records}), "case")
    return f"Suite {code(run.info.suite)}, {n_cases}, drafted by {code(run.info.drafter)}, run {code(run.info.name)}."


def _compared(comparison: Comparison) -> Iterator[str]:
    yield shared_line(comparison)
    told = [
        f"{code(one.name)} {code(one.first, 60)} → {code(one.second, 60)}"
        for one in comparison.made_with[:_N_MADE_WITH]
    ]
    if told:
        yield f"Made with other things: {'; '.join(told)}."


def _metrics(run: Run, comparison: Comparison | None) -> Iterator[str]:
    changes = {row.metric.name: row for row in comparison.rows} if comparison is not None else {}
    head = ["Metric", "Mean", "95% interval", "Median · p95", "Answers / cases", "Unscored"]
    head += ["Change", "95% interval of the change", "Outcome"] if changes else []
    yield _row(head)
    yield "|:--" + "|--:" * (len(head) - 1) + "|"
    for row in summarise(run):
        if not row.metric.is_minor:
            yield _row([*_cells(row), *(_change_cells(changes[row.metric.name]) if changes else ())])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: MetricRow) -> tuple[str, ...]:
    metric, found = row.metric, row.estimate
    unscored = str(row.n_unscored) if row.n_unscored else ""
    if found is None:
        return metric.title, NONE, "", "", "", unscored
    quantiles = f"{mean_text(metric, found.median)} · {mean_text(metric, found.p95)}" if metric.name in SKEWED else ""
    mean, interval = mean_text(metric, found.mean), interval_text(metric, found.interval)
    return metric.title, mean, interval, quantiles, counts_text(found), unscored


def _change_cells(row: MetricChange) -> tuple[str, ...]:
    outcome = _SIGNS.get(row.outcome, row.outcome)
    if row.difference is None:
        return NONE, "", outcome
    return (
        difference_text(row.metric, row.difference),
        difference_interval_text(row.metric, row.difference),
        outcome,
    )


def _folded(title: str, lines: Iterable[str]) -> Sequence[str]:
    # The empty line behind the summary is what makes GitHub read Markdown inside the element.
    inner = list(lines)
    return ["<details>", f"<summary>{title}</summary>", "", *inner, "", "</details>", ""] if inner else []


def _worst(run: Run) -> Iterator[str]:
    metrics = [METRIC_BY_NAME[name] for name in _WORST_BY]
    yield _row(["Case", *(metric.title for metric in metrics), "Why"])
    yield "|:--" + "|--:" * len(metrics) + "|:--|"
    for record in worst_cases(run)[:_N_WORST]:
        values = (value_text(metric, _value(record, metric)) for metric in metrics)
        yield _row([_name(record), *values, _why(record)])


def _value(record: CaseRecord, metric: Metric) -> float | None:
    score = record.scores.get(metric.name)
    return score.value if score is not None else None


def _name(record: CaseRecord) -> str:
    return code(record.case) + (f" repeat {record.repeat}" if record.repeat else "")


def _why(record: CaseRecord) -> str:
    if record.error is not None:
        return f"failed: {code(record.error)}"
    told = [point.text for point in record.forbidden if point.is_told]
    missed = [point.text for point in record.points if not point.is_told]
    if told:
        return f"tells {code(told[0])}"
    return f"does not tell {code(missed[0])}" if missed else ""


def _changed(comparison: Comparison) -> Iterator[str]:
    for row in comparison.rows:
        if row.metric.is_minor or not row.cases or row.outcome not in ("better", "worse", "changed"):
            continue
        steps = ", ".join(
            f"{code(one.case)} {value_text(row.metric, one.first)} → {value_text(row.metric, one.second)}"
            for one in row.cases
        )
        yield f"- {row.metric.title}: {steps}"
