"""Every answer of a run as a row: CSV for spreadsheets, Parquet for what computes."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

from cnaps_rag.evaluation.metrics import METRICS
from cnaps_rag.evaluation.report.wording import library_of
from cnaps_rag.evaluation.runs import CaseRecord, Run

_COUNT = "_n"  # behind a metric's name: the column of how many things were counted

TAG_SEPARATOR = "; "
"""Between tags in one cell of CSV; Parquet holds a list."""

_Value = str | float | int | tuple[str, ...] | None

# What spreadsheets take for the start of a formula, full-width forms included (OWASP, CSV Injection).
_FORMULA_STARTS = frozenset("=+-@|%\t\r\n＝＋－＠")


def write_csv(run: Run, path: str | Path) -> None:
    """Writes one row an answer; an unscored metric's value is empty and its count 0, of a failed answer both are empty.

    A cell that a spreadsheet would run as a formula begins with an apostrophe. The same run makes the same bytes.
    """
    page = StringIO()
    # Every text in quotation marks: spreadsheets of some countries part cells at semicolons too.
    writer = csv.writer(page, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(column_names())
    for row in rows_of(run):
        writer.writerow([_cell(value) for value in row.values()])
    Path(path).write_bytes(page.getvalue().encode("utf-8", "replace"))


def write_parquet(run: Run, path: str | Path) -> None:
    """Writes one row an answer; what is unscored is null.

    Raises:
        RequestError: pyarrow is not installed.
    """
    with library_of("parquet", "pyarrow"):  # it comes without types
        pa: Any = import_module("pyarrow")
        pq: Any = import_module("pyarrow.parquet")
    kinds: dict[str, Any] = {name: pa.string() for name in ("run", "drafter", "case", "error")}
    kinds |= {"repeat": pa.int32(), "tags": pa.list_(pa.string())}
    schema = pa.schema(
        [(name, kinds.get(name) or (pa.int32() if name.endswith(_COUNT) else pa.float64())) for name in column_names()]
    )
    rows = [{name: _valid(value) for name, value in row.items()} for row in rows_of(run)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), Path(path))


def column_names() -> tuple[str, ...]:
    """Names of the columns, two for each metric: ``point_recall`` and ``point_recall_n``, over how many points."""
    metrics = (name for metric in METRICS for name in (metric.name, metric.name + _COUNT))
    return ("run", "drafter", "case", "repeat", "tags", "error", *metrics)


def rows_of(run: Run) -> Iterator[dict[str, _Value]]:
    """One row for each record, in the run's order, with the values of `column_names`."""
    for record in run.records:
        case = run.case_by_id.get(record.case)
        yield {
            "run": run.info.name,
            "drafter": run.info.drafter,
            "case": record.case,
            "repeat": record.repeat,
            "tags": case.tags if case is not None else (),
            "error": record.error,
            **_figures(record),
        }


def _figures(record: CaseRecord) -> dict[str, float | int | None]:
    figures: dict[str, float | int | None] = {}
    for metric in METRICS:
        score = record.scores.get(metric.name)
        figures[metric.name] = score.value if score is not None else None
        figures[metric.name + _COUNT] = score.n if score is not None else None
    return figures


def _cell(value: _Value) -> str | float | int | None:
    if isinstance(value, tuple):
        value = TAG_SEPARATOR.join(value)
    if isinstance(value, str):
        return f"'{value}" if value.lstrip(" ")[:1] in _FORMULA_STARTS and value.strip(" ") else value
    return value


def _valid(value: _Value) -> _Value:
    """Text that UTF-8 can hold: a lone surrogate becomes a question mark, as in CSV."""
    if isinstance(value, tuple):
        return tuple(each.encode("utf-8", "replace").decode() for each in value)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
