"""The gate: a run against the thresholds of its suite, with the cases that pull a failed mean down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnaps_rag.errors import RequestError
from cnaps_rag.evaluation.metrics import METRIC_BY_NAME, Metric
from cnaps_rag.evaluation.runs import Run, load_run
from cnaps_rag.evaluation.statistics import compare_paired, estimate
from cnaps_rag.evaluation.suite import Threshold

N_WORST = 5
"""Most cases named for one failed condition."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One condition of the gate: whether it holds, what was found, and the worst cases where it does not."""

    name: str
    holds: bool
    told: str
    worst: tuple[str, ...] = ()

    def __str__(self) -> str:
        worst = f" Worst: {', '.join(self.worst)}." if self.worst else ""
        return f"{'ok  ' if self.holds else 'FAIL'} {self.name}: {self.told}.{worst}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """All conditions on a run; the first two are always made: every case answered, and at least one."""

    conditions: tuple[Condition, ...]

    @property
    def ok(self) -> bool:
        """True when every condition holds."""
        return all(condition.holds for condition in self.conditions)

    def __str__(self) -> str:
        return "\n".join(str(condition) for condition in self.conditions)


def check_gate(run: Run, thresholds: Sequence[Threshold] | None = None, *, folder: Path | None = None) -> Gate:
    """A run against `thresholds` (those of its suite where none are given); runs named there lie relative to `folder`.

    Raises:
        RequestError: a threshold names no metric, or a run that is not there.
    """
    thresholds = run.suite.gate if thresholds is None else thresholds
    made = [condition for threshold in thresholds for condition in _conditions(threshold, run, folder or Path())]
    return Gate(conditions=(_all_answered(run), *made))


def _all_answered(run: Run) -> Condition:
    failed = [f"{record.case}: {record.error}" for record in run.failed]
    n_absent = len(run.missing) - len(run.failed)
    told = f"{len(run.records) - len(failed)} answered, {len(failed)} failed, {n_absent} not tried"
    holds = not run.missing and bool(run.records)
    return Condition(name="every case answered", holds=holds, told=told, worst=tuple(failed[:N_WORST]))


def _conditions(threshold: Threshold, run: Run, folder: Path) -> list[Condition]:
    metric = METRIC_BY_NAME.get(threshold.metric)
    if metric is None:
        raise RequestError(
            f"the gate names no metric: {threshold.metric!r}.", remedy="`cnaps-rag runs metrics` lists them."
        )
    conditions: list[Condition] = []
    if threshold.min is not None or threshold.max is not None:
        conditions.append(_absolute(threshold, metric, run))
    if threshold.no_worse_than is not None:
        conditions.append(_relative(threshold, metric, run, load_run(folder / threshold.no_worse_than)))
    return conditions


def _absolute(threshold: Threshold, metric: Metric, run: Run) -> Condition:
    """The mean within its bounds. A metric that is scored on no case holds no bound: it was not measured."""
    bounds = [f"at least {threshold.min:g}"] if threshold.min is not None else []
    bounds += [f"at most {threshold.max:g}"] if threshold.max is not None else []
    name = f"{metric.name} {' and '.join(bounds)}"
    found = estimate(run.values(metric.name))
    if found is None:
        return Condition(name=name, holds=False, told="it is scored on no case of this run")
    is_low = threshold.min is not None and found.mean < threshold.min
    is_high = threshold.max is not None and found.mean > threshold.max
    told = f"the mean is {found.mean:.3f}, over {found.n_cases} cases"
    worst = _worst(metric, run, lowest=is_low) if is_low or is_high else ()
    return Condition(name=name, holds=not (is_low or is_high), told=told, worst=worst)


def _relative(threshold: Threshold, metric: Metric, run: Run, baseline: Run) -> Condition:
    """Not distinguishably worse than a run: the interval of the difference is not all beyond the margin."""
    name = f"{metric.name} no worse than {baseline.info.name}"
    if metric.better == "neither":
        raise RequestError(
            f"{metric.name} has no better and worse.", remedy="Give min or max instead of no_worse_than."
        )
    if run.info.suite_sha256 != baseline.info.suite_sha256:
        told = "that run was made with other cases or other gold, so the two cannot be compared"
        return Condition(name=name, holds=False, told=told)
    found = compare_paired(baseline.values(metric.name), run.values(metric.name))
    if found is None:
        return Condition(name=name, holds=False, told="the two runs share no case that both are scored on")
    sign = 1.0 if metric.better == "higher" else -1.0
    # Too few cases for an interval: then the difference itself must not lie beyond the margin.
    low, high = found.interval or (found.difference, found.difference)
    best = max(sign * low, sign * high)
    holds = best >= -threshold.margin
    change = f"{found.difference:+.3f} ({low:+.3f} to {high:+.3f})"
    told = f"{found.first:.3f} then, {found.second:.3f} now, difference {change}"
    worst = () if holds else _most_lost(metric, run, baseline)
    return Condition(name=name, holds=holds, told=told, worst=worst)


def _means(run: Run, metric: Metric) -> dict[str, float]:
    return {case: sum(values) / len(values) for case, values in run.values(metric.name).items()}


def _worst(metric: Metric, run: Run, *, lowest: bool) -> tuple[str, ...]:
    means = sorted(_means(run, metric).items(), key=lambda row: (row[1] if lowest else -row[1], row[0]))
    return tuple(f"{case} ({value:.3g})" for case, value in means[:N_WORST])


def _most_lost(metric: Metric, run: Run, baseline: Run) -> tuple[str, ...]:
    now, then = _means(run, metric), _means(baseline, metric)
    sign = 1.0 if metric.better == "higher" else -1.0
    changes = sorted((sign * (now[case] - then[case]), case) for case in now if case in then)
    return tuple(f"{case} ({then[case]:.3g} to {now[case]:.3g})" for change, case in changes[:N_WORST] if change < 0)


def write_junit(gate: Gate, run: Run, path: str | Path) -> None:
    """JUnit XML for a CI server: a test case for each condition, and one for each case that has no answer."""
    from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

    suite = TestSuite(f"cnaps-rag eval {run.suite.name}")
    for condition in gate.conditions:
        row = TestCase(condition.name, classname=f"{run.suite.name}.gate")
        if not condition.holds:
            row.result = [Failure(_xml_text(str(condition)))]
        suite.add_testcase(row)
    for record in run.records:
        row = TestCase(record.case, classname=f"{run.suite.name}.cases", time=record.seconds)
        if record.error is not None:
            row.result = [Error(_xml_text(record.error))]
        suite.add_testcase(row)
    xml = JUnitXml(f"cnaps-rag {run.info.name}")
    xml.add_testsuite(suite)
    xml.write(str(path), pretty=True)


def _xml_text(text: str) -> str:
    """`text` without what XML 1.0 cannot hold (section 2.2)."""
    return "".join(
        c for c in text if c in "\t\n\r" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
    )
