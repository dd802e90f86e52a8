"""A run, or what changed between two, as aligned text for a terminal or a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import StringIO

from cnaps_rag.evaluation.metrics import Metric
from cnaps_rag.evaluation.report.summary import Comparison, MetricChange, MetricRow, summarise
from cnaps_rag.evaluation.report.wording import (
    NONE,
    SKEWED,
    change_line,
    counts_text,
    difference_interval_text,
    difference_text,
    gaps_line,
    interval_text,
    library_of,
    mean_text,
    n_of,
    one_line,
    reasons_text,
    repeats_line,
    run_line,
    shared_line,
    shorten,
    value_text,
)
from cnaps_rag.evaluation.runs import CaseRecord, Run

WIDTH_CHARACTERS = 110
"""Of a table, whatever the terminal: the same bytes when piped, and it fits a window beside an editor."""

_N_FAILED = 10
_LIMIT_ERROR_CHARACTERS = 300


def render_run_table(run: Run, *, all_metrics: bool = False) -> str:
    """Failed cases, then every metric with its mean, interval and counts, then why answers are unscored."""
    rows = [row for row in summarise(run) if all_metrics or not row.metric.is_minor]
    parts = [
        "\n".join(_failures(run.failed)),
        f"{one_line(run.info.name)}: {one_line(run_line(run))}{_gaps(run)}",
        _table(
            ("metric", "mean", "95% interval", "median", "p95", "answers / cases", "unscored"),
            (_cells(row) for row in rows),
        ),
        repeats_line(rows),
        _unscored(rows),
    ]
    return "\n\n".join(part for part in parts if part)


def render_comparison_table(comparison: Comparison, *, all_metrics: bool = False) -> str:
    """Failed cases of both runs, what they were made with that differs, and every metric with its change."""
    first, second = one_line(comparison.first.info.name), one_line(comparison.second.info.name)
    rows = [row for row in comparison.rows if all_metrics or not row.metric.is_minor]
    parts = [
        "\n".join(_failures(comparison.second_failed, f"in {second}")),
        "\n".join(_failures(comparison.first_failed, f"in {first}")),
        f"from {first} to {second}: {change_line(comparison)}\n{shared_line(comparison)}",
        "\n".join(_made_with(comparison)),
        _table(
            ("metric", "first", "second", "difference", "95% interval", "cases", "outcome"),
            (_change_cells(row) for row in rows),
        ),
        "\n".join(_most_changed(rows)),
    ]
    return "\n\n".join(part for part in parts if part)


def _failures(failed: Sequence[CaseRecord], where: str = "") -> Iterator[str]:
    if not failed:
        return
    yield f"{n_of(len(failed), 'answer')} failed{' ' + where if where else ''}:"
    for record in failed[:_N_FAILED]:
        yield f"  {_name(record)}: {shorten(record.error or '', _LIMIT_ERROR_CHARACTERS)}"
    if len(failed) > _N_FAILED:
        yield f"  and {len(failed) - _N_FAILED} more"


def _name(record: CaseRecord) -> str:
    return one_line(record.case) + (f" (repeat {record.repeat})" if record.repeat else "")


def _gaps(run: Run) -> str:
    gaps = gaps_line(run)
    return f"; {gaps}" if gaps else "; none failed"


def _cells(row: MetricRow) -> tuple[str, ...]:
    metric, found = row.metric, row.estimate
    unscored = str(row.n_unscored) if row.n_unscored else ""
    if found is None:
        return metric.name, NONE, "", "", "", "", unscored
    is_skewed = metric.name in SKEWED
    return (
        metric.name,
        mean_text(metric, found.mean),
        interval_text(metric, found.interval),
        mean_text(metric, found.median) if is_skewed else "",
        mean_text(metric, found.p95) if is_skewed else "",
        counts_text(found),
        unscored,
    )


def _unscored(rows: Iterable[MetricRow]) -> str:
    told = [f"  {row.metric.name}: {one_line(reasons_text(row.reasons))}" for row in rows if row.reasons]
    return "\n".join(["unscored:", *told]) if told else ""


def _change_cells(row: MetricChange) -> tuple[str, ...]:
    metric, found = row.metric, row.difference
    if found is None:
        return metric.name, "", "", "", "", "", row.outcome
    return (
        metric.name,
        mean_text(metric, found.first),
        mean_text(metric, found.second),
        difference_text(metric, found),
        difference_interval_text(metric, found),
        str(found.n_cases),
        row.outcome,
    )


def _made_with(comparison: Comparison) -> Iterator[str]:
    if not comparison.made_with:
        yield "both runs were made with the same things"
        return
    yield "made with other things:"
    for one in comparison.made_with:
        yield f"  {one_line(one.name)}: {shorten(one.first, 60)} → {shorten(one.second, 60)}"


def _most_changed(rows: Iterable[MetricChange]) -> Iterator[str]:
    told = [row for row in rows if row.cases and row.outcome in ("better", "worse", "changed")]
    if told:
        yield "most changed cases:"
    for row in told:
        steps = ", ".join(f"{one_line(one.case)} {_step(row.metric, one.first, one.second)}" for one in row.cases)
        yield f"  {row.metric.name}: {steps}"


def _step(metric: Metric, first: float, second: float) -> str:
    return f"{value_text(metric, first)} → {value_text(metric, second)}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    with library_of("evals", "rich"):
        from rich import box
        from rich.console import Console
        from rich.table import Table
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(head):
        is_words = number == 0 or name == "outcome"
        table.add_column(name, justify="left" if is_words else "right", no_wrap=True)
    for cells in rows:
        table.add_row(*cells)
    page = StringIO()
    console = Console(
        file=page, width=WIDTH_CHARACTERS, color_system=None, force_terminal=False, markup=False, emoji=False
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()).strip("\n")
