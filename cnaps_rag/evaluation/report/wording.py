"""Figures in words, the same in every form of a report."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from cnaps_rag.errors import RequestError
from cnaps_rag.evaluation.metrics import Metric
from cnaps_rag.evaluation.report.summary import NO_STEP, Comparison, MetricRow
from cnaps_rag.evaluation.runs import Run
from cnaps_rag.evaluation.statistics import LEAST_CASES, Difference, Estimate
from cnaps_rag.links.characters import BLANKS, INVISIBLE

NONE = "–"
"""Stands where there is no figure."""

SKEWED = ("llm_calls", "llm_tokens", "cost", "seconds")
"""Metrics of which a mean alone misleads: the median and the 95th percentile are told too."""


def value_text(metric: Metric, value: float | None) -> str:
    """A value of one answer: ``yes``, ``0.571``, ``1,204``, ``0.37 s``."""
    if value is None:
        return NONE
    if metric.unit == "yes_no" and value in (0.0, 1.0):
        return "yes" if value else "no"
    return mean_text(metric, value)


def mean_text(metric: Metric, value: float) -> str:
    """A mean, median or quantile, with the digits that its unit deserves."""
    match metric.unit:
        case "share" | "yes_no":
            return _share(value)
        case "count":
            return f"{value:,.0f}" if value == int(value) or abs(value) >= 1_000 else f"{value:,.1f}"
        case "seconds":
            return f"{value:,.2f} s" if abs(value) < 100 else f"{value:,.0f} s"
        case "cost":
            return f"{value:.3g}"


def _share(value: float) -> str:
    """Three digits; what is not all is never told as 1.000, nor what is something as 0.000."""
    return "0.999" if 0.999 < value < 1 else "0.001" if 0 < value < 0.001 else f"{value:.3f}"


def interval_text(metric: Metric, interval: tuple[float, float] | None) -> str:
    """Both ends of an interval."""
    if interval is None:
        return f"under {LEAST_CASES} cases"
    if interval[0] == interval[1]:  # the bootstrap knows nothing of what it has not seen: no interval of width 0
        return "all alike"
    low, high = (mean_text(metric, end) for end in interval)
    return f"{low} to {high}"


def difference_text(metric: Metric, difference: Difference) -> str:
    """A difference with its sign."""
    return signed(metric, difference.difference)


def difference_interval_text(metric: Metric, difference: Difference) -> str:
    """Both ends of a difference's interval, with their signs."""
    if difference.interval is None:
        return f"under {LEAST_CASES} cases"
    if difference.interval[0] == difference.interval[1]:
        return "all alike"
    low, high = (signed(metric, end) for end in difference.interval)
    return f"{low} to {high}"


def signed(metric: Metric, value: float) -> str:
    """A step from one value to another, ``±0`` where there is none."""
    size = abs(value)
    if size < NO_STEP:
        return "±0"
    told = f"{size:.3f}" if metric.unit in ("share", "yes_no") else mean_text(metric, size)
    return f"{'+' if value > 0 else '−'}{told if told.strip('0., s') else f'{size:.1g}'}"


def counts_text(estimate: Estimate) -> str:
    """How many answers and cases a mean is of: ``27 / 9``."""
    return f"{estimate.n} / {estimate.n_cases}"


def repeats_line(rows: Sequence[MetricRow]) -> str:
    """How far answers to one case lie apart, metric by metric; empty where each case was answered once."""
    told = [
        f"{row.metric.name} {mean_text(row.metric, row.estimate.repeat_sd)}"
        for row in rows
        if row.estimate is not None and row.estimate.repeat_sd
    ]
    repeated = any(row.estimate is not None and row.estimate.repeat_sd is not None for row in rows)
    if not repeated:
        return ""
    return f"Standard deviation between answers to one case: {', '.join(told) or 'none, all are alike'}."


def reasons_text(reasons: tuple[tuple[str, int], ...]) -> str:
    """Why answers are unscored: ``gold forbids nothing (3)``."""
    return "; ".join(f"{why} ({n})" for why, n in reasons)


def n_of(number: int, one: str, many: str | None = None) -> str:
    """A number and what it counts: ``1 case``, ``2 cases``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def run_line(run: Run) -> str:
    """What was run: answers, cases, drafter."""
    answered = len(run.records) - len(run.failed)
    n_cases = len({record.case for record in run.records})
    return f"{n_of(answered, 'answer')} to {n_of(n_cases, 'case')} of {run.info.suite}, drafted by {run.info.drafter}"


def gaps_line(run: Run) -> str:
    """Answers that failed or are not there yet; "" where all are."""
    n_missing = len(run.missing) - len(run.failed)
    gaps = [n_of(len(run.failed), "answer") + " failed"] if run.failed else []
    gaps += [n_of(n_missing, "answer") + " not made yet"] if n_missing > 0 else []
    return " and ".join(gaps)


def change_line(comparison: Comparison) -> str:
    """How many metrics changed for better or worse."""
    better, worse, changed = (comparison.count(outcome) for outcome in ("better", "worse", "changed"))
    alike, unknown = comparison.count("not distinguishable"), comparison.count("too few cases", "nothing to compare")
    told = [f"{n_of(better, 'metric')} better", f"{worse} worse"]
    told += [f"{changed} changed (neither way is better)"] if changed else []
    told += [f"{alike} not distinguishable"]
    told += [f"{unknown} that cannot be compared"] if unknown else []
    return ", ".join(told)


DECIDED = (
    "A metric is called better or worse where the 95% interval of its paired difference leaves out 0 (for yes or no, "
    "McNemar's test agrees too). Of metrics that did not change, about one in twenty is called so by chance."
)


def shared_line(comparison: Comparison) -> str:
    """How many cases were compared, how many left out and why, and how an outcome is decided."""
    left_out, n_cases = len(comparison.left_out), n_of(len(comparison.shared), "case")
    compared = f"Compared on {n_cases}."
    if left_out:
        compared = (
            f"Compared on the {n_cases} whose request and gold are the same in both suites; "
            f"{n_of(left_out, 'case')} left out."
        )
    return f"{compared} {DECIDED}"


_SHOWS_NOTHING = re.compile(rf"[{INVISIBLE}\ud800-\udfff]+")
_BLANK_RUN = re.compile(rf"[{BLANKS}]+")


def one_line(text: str) -> str:
    """`text` without what a terminal or a reader's eye could be deceived by: controls, directions, line breaks."""
    return _BLANK_RUN.sub(" ", _SHOWS_NOTHING.sub("", _BLANK_RUN.sub(" ", text))).strip()


_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def seen(text: str) -> str:
    """`text` with its controls, direction marks and hidden characters written out: ``⟨U+202E⟩``."""
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found.group()):04X}⟩", text.replace("\r\n", "\n"))


def shorten(text: str, limit_characters: int) -> str:
    """`text` on one line, cut where it is too long."""
    text = one_line(text)
    return text if len(text) <= limit_characters else text[: limit_characters - 1].rstrip() + "…"


@contextmanager
def library_of(extra: str, library: str) -> Generator[None]:
    """Where a library of an optional extra is imported: its absence tells what to install.

    Raises:
        RequestError: it is not installed.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] != library:
            raise
        raise RequestError(
            f"{library} is not installed.", remedy=f"pip install 'cnaps_rag[{extra}]' installs it."
        ) from None
