"""A run as a folder: ``run.json``, ``suite.json``, and ``cases.jsonl`` with a line for each answer as it is scored.

A line is written whole and flushed to the disk before the next case counts as done, so a crash loses at most the cases
in work; a line that a crash cut short is left out when the run is read or resumed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from cnaps_rag.errors import RequestError
from cnaps_rag.evaluation.runs.lines import append_line, cut_short_line, read_lines
from cnaps_rag.evaluation.runs.records import CaseRecord, RunInfo
from cnaps_rag.evaluation.statistics import ValuesByCase
from cnaps_rag.evaluation.suite import Suite, SuiteCase, suite_of

INFO, SUITE, CASES = "run.json", "suite.json", "cases.jsonl"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as read: its records in the suite's order, then by repeat."""

    folder: Path
    info: RunInfo
    suite: Suite
    records: tuple[CaseRecord, ...]

    @property
    def failed(self) -> tuple[CaseRecord, ...]:
        """Records without an answer."""
        return tuple(record for record in self.records if record.error is not None)

    @cached_property
    def case_by_id(self) -> dict[str, SuiteCase]:
        """Cases of the suite by id."""
        return {case.id: case for case in self.suite.cases}

    @property
    def missing(self) -> tuple[tuple[str, int], ...]:
        """Case and repeat of each answer that this run (or its shard) should hold and does not, or that failed."""
        done = {record.key for record in self.records if record.error is None}
        return tuple(key for key in keys_of(self.suite, self.info) if key not in done)

    def values(self, metric: str) -> ValuesByCase:
        """Values of a metric by case, unscored ones left out."""
        values: dict[str, list[float]] = {}
        for record in self.records:
            score = record.scores.get(metric)
            if score is not None and score.value is not None:
                values.setdefault(record.case, []).append(score.value)
        return values


def keys_of(suite: Suite, info: RunInfo) -> tuple[tuple[str, int], ...]:
    """Case and repeat of every answer of a run, in order; of its shard where it is one."""
    step, first = (info.shard.of, info.shard.number - 1) if info.shard is not None else (1, 0)
    return tuple((case.id, repeat) for case in suite.cases[first::step] for repeat in range(info.repeat))


class RunWriter:
    """Appends records to a run's folder, each whole and on the disk before `append` returns. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def append(self, record: CaseRecord) -> None:
        """Writes one line."""
        with self._lock:
            append_line(self.folder / CASES, record.model_dump_json(exclude_defaults=True))


def create_run(folder: Path, info: RunInfo, suite: Suite) -> RunWriter:
    """A new folder for a run.

    Raises:
        RequestError: the folder holds something already, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            what = "a run" if (folder / INFO).exists() else "other files"
            raise RequestError(
                f"{folder} holds {what} already.", remedy="Continue that run with --resume, or give --out a new folder."
            )
        _write(folder / SUITE, json.dumps(suite.to_json(), ensure_ascii=False, indent=1))
        _write(folder / INFO, info.model_dump_json(indent=1))
        (folder / CASES).touch()
    except OSError as error:
        raise RequestError(f"{folder} cannot be made: {error.strerror}.", remedy="Give --out another folder.") from None
    return RunWriter(folder)


def resume_run(folder: Path, info: RunInfo) -> tuple[RunWriter, Run]:
    """A run to go on with, what a crash cut short left out of its file.

    Raises:
        RequestError: there is no run, or it was made with something else than `info`; the message tells with what.
    """
    run = load_run(folder)
    differing = [name for name, value in run.info.identity().items() if info.identity()[name] != value]
    if run.info.shard != info.shard:
        differing.append("shard")
    if differing:
        told = "; ".join(f"{name} {_told(run.info, name)} then, {_told(info, name)} now" for name in differing)
        raise RequestError(
            f"{folder} was made with other things: {told}.", remedy="Use the same, or start a new run without --resume."
        )
    cut_short_line(folder / CASES)
    return RunWriter(folder), run


def load_run(folder: str | Path) -> Run:
    """The run in a folder; of a case that was answered twice, the later record, and a line cut short left out.

    Raises:
        RequestError: it is no run, or a line in it cannot be read; the message tells which.
    """
    folder = Path(folder)
    try:
        info = RunInfo.model_validate_json((folder / INFO).read_bytes())
        suite = suite_of(json.loads((folder / SUITE).read_bytes()), name=str(folder / SUITE))
        lines = read_lines(folder / CASES)
    except OSError as error:
        raise RequestError(
            f"{folder} is no run: {error.filename} cannot be read ({error.strerror}).",
            remedy="Give the folder that `cnaps-rag eval` wrote.",
        ) from None
    except ValueError as error:  # pydantic's ValidationError is one
        raise RequestError(
            f"{folder} is no run that can be read: {error}.", remedy="Make it again with `cnaps-rag eval`."
        ) from None
    records = {record.key: record for record in _records(folder / CASES, lines)}
    order = {case.id: place for place, case in enumerate(suite.cases)}
    in_order = sorted(records.values(), key=lambda record: (order.get(record.case, len(order)), record.repeat))
    return Run(folder=folder, info=info, suite=suite, records=tuple(in_order))


def merge_runs(runs: Sequence[Run], folder: Path) -> Run:
    """Shards of one run as one run in a new folder.

    Raises:
        RequestError: they were made with different things, or hold one case twice.
    """
    first = runs[0]
    for run in runs[1:]:
        differing = [name for name, value in first.info.identity().items() if run.info.identity()[name] != value]
        if differing:
            raise RequestError(
                f"{run.folder} differs from {first.folder} in {', '.join(differing)}.",
                remedy="Merge only shards of one run.",
            )
    holder: dict[tuple[str, int], Path] = {}
    for run in runs:
        for record in run.records:
            if holder.setdefault(record.key, run.folder) != run.folder:
                raise RequestError(
                    f"{record.case} (repeat {record.repeat}) is in {holder[record.key]} and in {run.folder}.",
                    remedy="Merge each shard once.",
                )
    writer = create_run(folder, first.info.model_copy(update={"shard": None, "name": folder.name}), first.suite)
    for record in sorted((record for run in runs for record in run.records), key=lambda record: record.key):
        writer.append(record)
    return load_run(folder)


def _records(path: Path, lines: Sequence[bytes]) -> Iterable[CaseRecord]:
    for number, line in enumerate(lines, 1):
        try:
            yield CaseRecord.model_validate_json(line)
        except ValidationError as error:
            fault = error.errors()[0]
            raise RequestError(
                f"{path}:{number} is no record: {'.'.join(map(str, fault['loc']))} {fault['msg']}.",
                remedy="Take the line out and --resume: its case is answered again.",
            ) from None


def _told(info: RunInfo, name: str) -> str:
    value = str(info.model_dump(mode="json")[name])
    return value if len(value) <= 60 else f"{value[:60]}…"


def _write(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")
