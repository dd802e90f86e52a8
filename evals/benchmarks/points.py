"""How well the metrics tell which gold points and forbidden points an answer tells, against labels of a careful reader.

Answers the suites of ../ again, by the extractive drafter and by the recorded LLM, and holds what `point_recall` and
`forbidden_said` decide against ../points/labels.jsonl. A label counts only where the answer is still, word for word,
the one that was read; how many are not is told.

    python evals/benchmarks/points.py            [--quick: the seeds alone]
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnaps_rag.evaluation.intervals import wilson_interval
from cnaps_rag.evaluation.runs import CaseRecord, Plan, Run, load_session, run_suite
from cnaps_rag.evaluation.suite import load_suite
from cnaps_rag.settings import Settings

EVALS = Path(__file__).parents[1]
LLM = "qwen2.5-coder-1.5b"


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """One statement, whether a reader found it told (None: arguable), and whether the metric does."""

    kind: str
    label: bool | None
    is_told: bool


def answer_text(record: CaseRecord) -> str:
    """What was read: the claims that tell something, each under its source."""
    claims = [claim for claim in (record.answer or {})["claims"] if claim["kind"] in ("drafted", "fit", "question")]
    return "\n".join(f"{claim['subject']}: {claim['text']}" for claim in claims)


def sha256(text: str) -> str:
    """Hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def runs(folder: Path, suites: Sequence[str]) -> Iterator[tuple[str, str, Run]]:
    """Suite, drafter and run, each answered now."""
    for name in suites:
        suite = load_suite(EVALS / f"{name}.yaml")
        session = load_session(EVALS / f"sessions/{name}-{LLM}.jsonl")
        for drafter, plan in (
            ("extractive", Plan(settings=Settings(drafter="extractive"))),
            (LLM, Plan(settings=session.settings, session=session)),
        ):
            print(f"answering {name} by {drafter} ...", file=sys.stderr)
            yield name, drafter, run_suite(suite, folder / f"{name}-{drafter}", plan)


def labelled(found: dict[tuple[str, str, str], CaseRecord], rows: list[dict[str, Any]]) -> Iterator[Labelled]:
    """Labels whose answer is still the one that was read."""
    for row in rows:
        record = found[row["suite"], row["drafter"], row["case"]]
        if sha256(answer_text(record)) != row["answer_sha256"]:
            continue
        points = record.points if row["kind"] == "point" else record.forbidden
        label = {"yes": True, "no": False, "arguable": None}[row["label"]]
        yield Labelled(kind=row["kind"], label=label, is_told=points[row["place"]].is_told)


def share(hits: int, n: int) -> str:
    """``hits/n = share (95% interval)``."""
    if n == 0:
        return "-"
    low, high = wilson_interval(hits, n)
    return f"{hits}/{n} = {hits / n:.0%} ({low:.0%}-{high:.0%})"


def main() -> None:
    """Measures and prints."""
    suites = ("seeds",) if "--quick" in sys.argv[1:] else ("seeds", "requests")
    lines = (EVALS / "points/labels.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["suite"] in suites]
    with tempfile.TemporaryDirectory() as folder:
        found = {
            (suite, drafter, record.case): record
            for suite, drafter, run in runs(Path(folder), suites)
            for record in run.records
        }
    labels = list(labelled(found, rows))
    n_changed = len(rows) - len(labels)
    print(f"{len(labels)} labels; {n_changed} more are of answers that have changed since they were read\n")
    print("| kind | found told: a reader agrees | found not told: a reader agrees | told: found | arguable |")
    print("|---|---|---|---|---|")
    for kind in ("point", "forbidden"):
        n = Counter((label.label, label.is_told) for label in labels if label.kind == kind)
        told = share(n[True, True], n[True, True] + n[False, True])
        not_told = share(n[False, False], n[False, False] + n[True, False])
        # Forbidden points were not drawn at random, so what is told among all of them is not known from these.
        recall = share(n[True, True], n[True, True] + n[True, False]) if kind == "point" else "-"
        print(f"| {kind} | {told} | {not_told} | {recall} | {n[None, True] + n[None, False]} |")
    forbidden = [point.is_told for record in found.values() for point in record.forbidden]
    print(f"\nforbidden points found told in all these answers: {share(sum(forbidden), len(forbidden))}")


if __name__ == "__main__":
    main()
