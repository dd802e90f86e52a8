"""Drawings of a run: how each metric is spread over cases, what changed, and what quality costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnaps_rag.evaluation.metrics import METRIC_BY_NAME, Metric
from cnaps_rag.evaluation.report.drawing import BAD, FIRST, GOOD, INK, LINE, MUTED, PAPER, SECOND, drawing, svg_of
from cnaps_rag.evaluation.report.summary import NO_STEP, Change, MetricChange
from cnaps_rag.evaluation.report.wording import difference_text, mean_text
from cnaps_rag.evaluation.statistics import ValuesByCase, estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 340
"""Of every drawing, in points: a phone's screen shows it in full size."""

_DOT = 22.0  # square points
_QUALITY = METRIC_BY_NAME["point_recall"]
_COLORS: dict[Change, str] = {"better": GOOD, "worse": BAD, "changed": SECOND}

Runs = Sequence[tuple[ValuesByCase, str]]
"""Values by case and the colour of a run: this run's, and before it the baseline's where there is one."""

Hrefs = Mapping[str, str]
"""Where a case's dot leads, by its id."""


def has_spread(runs: Runs) -> bool:
    """True where not all values of all runs are one: else a sentence says more than a drawing."""
    return len({value for values, _ in runs for row in values.values() for value in row}) > 1


def runs_of(values: ValuesByCase, baseline: ValuesByCase | None = None) -> Runs:
    """A run, and what it is held against, in their colours."""
    return [*([(baseline, FIRST)] if baseline else []), (values, SECOND)]


def plot_distribution(metric: Metric, runs: Runs, hrefs: Hrefs) -> str:
    """One dot a case (mean of its answers) in a row for each run, below it the mean with its 95% interval."""
    with drawing(WIDTH, 34 + 46 * len(runs)) as (figure, axes):
        for row, (values, color) in enumerate(reversed(runs)):
            _row_of_dots(axes, values, color, row, hrefs)
        axes.set_ylim(-0.45, len(runs) - 0.4)
        axes.yaxis.set_visible(False)
        axes.spines["left"].set_visible(False)
        _value_axis(axes, metric)
        means = " and ".join(
            mean_text(metric, found.mean) for values, _ in runs if (found := estimate(values)) is not None
        )
        label = f"{metric.title}: values of all cases, with mean {means}"
        return svg_of(figure, f"spread-{metric.name}", label, _titles(hrefs))


def plot_differences(rows: Sequence[MetricChange], *, relative: bool) -> str:
    """Paired differences with 95% intervals around 0, one metric a row; `relative` to the first run's mean, in %."""
    with drawing(WIDTH, 40 + 34 * len(rows)) as (figure, axes):
        axes.axvline(0, color=MUTED, linewidth=1)
        reach = NO_STEP
        for place, row in enumerate(reversed(rows)):
            reach = max(reach, _forest_row(axes, row, place, relative=relative))
        axes.set_xlim(-1.08 * reach, 1.08 * reach)
        axes.set_ylim(-0.5, len(rows) - 0.1)
        axes.yaxis.set_visible(False)
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel("change of the mean, in %" if relative else "change of the mean")
        name = "forest-relative" if relative else "forest"
        return svg_of(figure, name, "Differences between the runs with 95% intervals, as in the table")


def plot_cost(metric: Metric, runs: Sequence[tuple[ValuesByCase, ValuesByCase, str]], hrefs: Hrefs) -> str:
    """One dot a case: a cost on the horizontal axis, gold points told on the vertical; a cross for each run's means.

    Args:
        metric: of the cost.
        runs: costs by case, point recall by case, colour.
        hrefs: where dots lead.
    """
    with drawing(WIDTH, 230) as (figure, axes):
        for costs, quality, color in runs:
            shared = sorted(case for case in costs if case in quality)
            x, y = (np.array([float(np.mean(values[case])) for case in shared]) for values in (costs, quality))
            dots = axes.scatter(x, y, s=_DOT, color=color, alpha=0.75, linewidths=0)
            dots.set_urls([hrefs.get(case, "") for case in shared])
            if shared:
                axes.scatter(x.mean(), y.mean(), s=120, marker="P", color=color, edgecolors=PAPER, linewidths=1.2)
        axes.set_ylim(-0.04, 1.04)
        axes.set_xlim(left=0)
        axes.set_xlabel(metric.title)
        axes.set_ylabel(_QUALITY.title)
        axes.locator_params(axis="both", nbins=5)
        axes.grid(color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        label = f"{metric.title} of each case against {_QUALITY.title.lower()}"
        return svg_of(figure, f"cost-{metric.name}", label, _titles(hrefs))


def _row_of_dots(axes: Axes, values: ValuesByCase, color: str, row: int, hrefs: Hrefs) -> None:
    cases = sorted(case for case in values if len(values[case]))
    x = np.array([float(np.mean(values[case])) for case in cases])
    dots = axes.scatter(x, row + _heaped(x), s=_DOT, color=color, alpha=0.55, linewidths=0)
    dots.set_urls([hrefs.get(case, "") for case in cases])
    found = estimate(values)
    if found is None:
        return
    y = row - 0.28
    if found.interval is not None:
        axes.plot(found.interval, [y, y], color=color, linewidth=3, solid_capstyle="round")
    axes.plot([found.mean], [y], marker="D", markersize=7, color=color, markeredgecolor=PAPER, markeredgewidth=1.2)


def _heaped(x: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A height for each dot, so that equal values stand over each other: 0 to 0.45."""
    span = float(np.ptp(x)) or 1.0
    columns: dict[int, list[int]] = defaultdict(list)
    for place in np.argsort(x, kind="stable"):
        columns[round(40 * (float(x[place]) - float(x.min())) / span)].append(int(place))
    heights = np.zeros(len(x))
    for places in columns.values():
        step = min(0.11, 0.45 / max(len(places) - 1, 1))
        heights[places] = step * np.arange(len(places))
    return heights


def _value_axis(axes: Axes, metric: Metric) -> None:
    if metric.unit == "yes_no":
        axes.set_xlim(-0.08, 1.08)
        axes.set_xticks([0, 1], ["no", "yes"])
    elif metric.unit == "share":
        axes.set_xlim(-0.04, 1.04)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    else:
        axes.set_xlim(-0.04 * axes.get_xlim()[1], axes.get_xlim()[1])
        axes.locator_params(axis="x", nbins=5)


def _forest_row(axes: Axes, row: MetricChange, place: int, *, relative: bool) -> float:
    """Draws one row and gives how far from 0 it reaches."""
    found = row.difference
    if found is None:
        return 0.0
    scale = 100 / found.first if relative else 1.0
    color = _COLORS.get(row.outcome, INK)
    ends = [found.difference * scale, *(end * scale for end in found.interval or ())]
    if found.interval is not None:
        axes.plot(ends[1:], [place, place], color=color, linewidth=2.5, solid_capstyle="round")
    face = color if found.interval is not None else PAPER
    axes.plot(ends[:1], [place], marker="o", markersize=7, color=face, markeredgecolor=color, markeredgewidth=1.5)
    told = f"{row.metric.title}  {difference_text(row.metric, found)}"
    ground = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.0}  # keeps the line at 0 out of the words
    axes.annotate(told, (0, place), (0, 9), ("axes fraction", "data"), "offset points", bbox=ground)
    return max(abs(end) for end in ends)


def _titles(hrefs: Hrefs) -> dict[str, str]:
    return {href: case for case, href in hrefs.items()}
