"""A run as one self-contained page: what was run, what changed, drawings, a table of cases, and each case in full.

As in `cnaps_rag.render.html`, nothing is loaded from elsewhere, style and script are admitted by their hashes, and
every text passes through the template's escaping. Sources and answers are hostile: what is hidden in them is written
out. The script sorts, filters and opens what a link leads to; all else works without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnaps_rag.evaluation.metrics import METRIC_BY_NAME, Metric
from cnaps_rag.evaluation.report import wording
from cnaps_rag.evaluation.report.cases import anchor_of, shown_metrics, view_cases
from cnaps_rag.evaluation.report.plots import (
    Hrefs,
    Runs,
    has_spread,
    plot_cost,
    plot_differences,
    plot_distribution,
    runs_of,
)
from cnaps_rag.evaluation.report.summary import Change, Comparison, MetricChange, compare_runs, summarise
from cnaps_rag.evaluation.runs import Run
from cnaps_rag.render.page import csp_hash, load_template, read_page_file

if TYPE_CHECKING:
    from jinja2 import Template

_FOLDER = Path(__file__).parent
_COSTS = ("seconds", "llm_tokens", "cost")
_SHARES = ("share", "yes_no")


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A drawing, `svg` being our own markup, with its title and a line of text."""

    title: str
    line: str
    svg: str


def render_report(run: Run, baseline: Run | None = None, *, gate_lines: Sequence[tuple[bool, str]] = ()) -> str:
    """The page on `run`; what changed from `baseline` where one is given.

    Args:
        run: what is reported.
        baseline: an earlier run of the same suite, or of one with cases in common.
        gate_lines: of each condition of the gate whether it holds, and what it says.

    Raises:
        RequestError: the runs share no case, or matplotlib is not installed.
    """
    from markupsafe import Markup

    comparison = compare_runs(baseline, run) if baseline is not None else None
    shared = comparison.shared if comparison is not None else ()
    hrefs = {record.case: f"#{anchor_of(record.case)}" for record in run.records if record.repeat == 0}
    style, script = (
        Markup(read_page_file(_FOLDER / "page.css")),
        Markup(read_page_file(_FOLDER / "page.js")),
    )  # ours, as are the drawings
    cases = list(view_cases(run, baseline, shared))
    return _template().render(
        run=run,
        comparison=comparison,
        made_of=list(_made_of(run)),
        gate_lines=gate_lines,
        n_untraceable=sum(case.error is None and not case.is_traceable for case in cases),
        rows=summarise(run),
        skewed=wording.SKEWED,
        spreads=[*_spreads(run, baseline, hrefs)],
        even=[*_even(run, baseline)],
        moved=_moved(comparison) if comparison is not None else [],
        unmoved=[*_unmoved(comparison)] if comparison is not None else [],
        forests=[*_forests(comparison)] if comparison is not None else [],
        costs=[*_costs(run, baseline, hrefs)],
        metrics=shown_metrics(run),
        cases=cases,
        tags=sorted({tag for case in cases for tag in case.tags}),
        say=wording,
        anchor_of=anchor_of,
        style=style,
        script=script,
        style_hash=csp_hash(style),
        script_hash=csp_hash(script),
    )


def _made_of(run: Run) -> Iterator[tuple[str, Any]]:
    """What the run was made with, names dotted where they are nested."""
    for name, value in run.info.model_dump(mode="json").items():
        if name in ("settings", "versions"):
            yield from ((f"{name}.{inner}", each) for inner, each in value.items())
        else:
            yield name, value


def _runs(run: Run, baseline: Run | None, metric: Metric) -> Runs:
    return runs_of(run.values(metric.name), baseline.values(metric.name) if baseline is not None else None)


def _spreads(run: Run, baseline: Run | None, hrefs: Hrefs) -> Iterator[Drawing]:
    for row in summarise(run):
        if row.metric.is_minor or row.estimate is None or not has_spread(_runs(run, baseline, row.metric)):
            continue
        mean = wording.mean_text(row.metric, row.estimate.mean)
        line = f"mean {mean}, 95% interval {wording.interval_text(row.metric, row.estimate.interval)}"
        svg = plot_distribution(row.metric, _runs(run, baseline, row.metric), hrefs)
        yield Drawing(title=row.metric.title, line=line, svg=_markup(svg))


def _even(run: Run, baseline: Run | None) -> Iterator[str]:
    """Metrics with the same value everywhere, and that value."""
    for row in summarise(run):
        runs = _runs(run, baseline, row.metric)
        if not row.metric.is_minor and row.estimate is not None and not has_spread(runs):
            yield f"{row.metric.title} {wording.value_text(row.metric, row.estimate.mean)}"


_PLAIN: tuple[Change, ...] = ("not distinguishable", "too few cases", "nothing to compare")


def _moved(comparison: Comparison) -> list[MetricChange]:
    """Metrics that changed in some case: first those of which more can be said, else in their order."""
    rows = [row for row in comparison.rows if row.cases and not row.metric.is_minor]
    return sorted(rows, key=lambda row: row.outcome in _PLAIN)


def _unmoved(comparison: Comparison) -> Iterator[str]:
    """Metrics that are the same in every case, with that mean."""
    for row in comparison.rows:
        if row.difference is not None and not row.cases and not row.metric.is_minor:
            yield f"{row.metric.title} ({wording.mean_text(row.metric, row.difference.first)})"


def _forests(comparison: Comparison) -> Iterator[Drawing]:
    drawn = _moved(comparison)
    shares = [row for row in drawn if row.metric.unit in _SHARES]
    others = [row for row in drawn if row.metric.unit not in _SHARES and _has_base(row)]
    if shares:
        yield Drawing(title="Shares", line="", svg=_markup(plot_differences(shares, relative=False)))
    if others:
        yield Drawing(title="Counts, seconds and cost", line="", svg=_markup(plot_differences(others, relative=True)))


def _has_base(row: MetricChange) -> bool:
    return row.difference is not None and row.difference.first > 0


def _costs(run: Run, baseline: Run | None, hrefs: Hrefs) -> Iterator[Drawing]:
    quality = METRIC_BY_NAME["point_recall"]
    for name in _COSTS:
        metric = METRIC_BY_NAME[name]
        costs, qualities = _runs(run, baseline, metric), _runs(run, baseline, quality)
        if len(costs) != len(qualities) or not any(
            value for values, _ in costs for row in values.values() for value in row
        ):
            continue
        rows = [(values, told, color) for (values, color), (told, _) in zip(costs, qualities, strict=True)]
        yield Drawing(
            title=f"{metric.title} and gold points told", line="", svg=_markup(plot_cost(metric, rows, hrefs))
        )


def _markup(svg: str) -> str:
    from markupsafe import Markup

    return Markup(svg)  # drawn by ElementTree, which escapes all names


def _finalized(value: Any) -> Any:
    """Whatever the template is about to escape and print: no text may turn around, or hide, what is read."""
    return wording.seen(value) if type(value) is str else value


@cache
def _template() -> Template:
    return load_template(_FOLDER, "page.html", "case.html", finalize=_finalized)
