"""What answers are made of: for each request, claims drafted, accepted, repaired, dropped, slots left open, cost.

Reads data/requests and, where it is there, ../shared (its requests and gold points). With CNAPS_RAG_LLM set the LLM
drafts; else, or with --drafter extractive, the extractive drafter. Prints a Markdown table to standard output.

    python evals/benchmarks/answers.py --drafter extractive
    python evals/benchmarks/answers.py --n-requests 10 --save /somewhere
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cnaps_rag as cr

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Figures of one answer; `points` counts gold points covered and in all, None where there is no gold."""

    request: str
    drafted: int
    accepted: int
    repaired: int
    dropped: int
    filled: int
    open: int
    points: tuple[int, int] | None
    calls: int
    tokens: int
    seconds: float
    ok: bool


def request_files(n_requests: int) -> dict[str, Path]:
    """Files by their name in gold.jsonl: the five of data/requests, then the first `n_requests` of ../shared."""
    files = {f"seeds/{path.name}": path for path in sorted((ROOT / "data/requests").glob("*.txt"))}
    shared = sorted((SHARED / "requests").glob("*.txt"))[:n_requests]
    if n_requests and not shared:
        print("../shared is absent: only data/requests is measured", file=sys.stderr)
    return files | {f"requests/{path.name}": path for path in shared}


def gold_points() -> dict[str, list[dict[str, str]]]:
    """Gold points by request, empty where ../shared is absent."""
    path = SHARED / "gold.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return {row["file"]: row["points"] for row in rows}


def is_covered(point: dict[str, str], answer: cr.Answer) -> bool:
    """True when an accepted claim cites at least half of the point's quote, or its entry or question is named.

    An entry is named where section 2 or 3 shows the quoted name or link.
    """
    request = answer.request
    for claim in (claim for claim in answer.claims if claim.accepted and claim.kind != "unused"):
        for citation in claim.citations:
            text = request.text(citation.source_id, citation.field)
            start = text.find(point["quote"])
            if start >= 0:
                shared = min(citation.end, start + len(point["quote"])) - max(citation.start, start)
                if 2 * shared >= len(point["quote"]):
                    return True
    entries = {model.name for model in request.models} | {paper.title for paper in request.papers}
    links = {link for source in request.sources for link in source.links}
    return point["quote"] in entries | links and point["quote"] in answer.markdown


def measure(name: str, path: Path, answerer: cr.Answerer, points: list[dict[str, str]] | None) -> tuple[Row, cr.Answer]:
    """One answer and its figures; seconds are wall-clock, everything included."""
    request = cr.AnswerRequest.from_prompt(path.read_bytes().decode())
    start = time.perf_counter()
    answer = answerer.answer(request)
    seconds = time.perf_counter() - start
    actions = [entry.action for entry in answer.ledger]
    slots = [slot for section in answer.sections for slot in section.slots]
    row = Row(
        request=name,
        drafted=sum(entry.round == 0 and entry.action in ("accepted", "rejected") for entry in answer.ledger),
        accepted=sum(entry.round == 0 and entry.action == "accepted" for entry in answer.ledger),
        repaired=actions.count("repaired"),
        dropped=actions.count("dropped"),
        filled=actions.count("filled"),
        open=sum(slot.state != "answered" for slot in slots),
        points=(sum(is_covered(point, answer) for point in points), len(points)) if points is not None else None,
        calls=answer.usage.calls,
        tokens=answer.usage.prompt_tokens + answer.usage.completion_tokens,
        seconds=seconds,
        ok=cr.validate(answer.markdown, request).ok,
    )
    return row, answer


def cell(value: Any) -> str:
    """One cell of the table."""
    if isinstance(value, tuple):
        return f"{value[0]}/{value[1]}"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def print_table(rows: Iterable[Row]) -> None:
    """Markdown table of all rows and their sums."""
    rows = list(rows)
    names = [field.name for field in fields(Row)]
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(cell(getattr(row, name)) for name in names) + " |")
    scored = [row.points for row in rows if row.points is not None]
    sums = {name: sum(getattr(row, name) for row in rows) for name in names if name not in ("request", "points", "ok")}
    sums |= {"request": f"all {len(rows)}", "ok": f"{sum(row.ok for row in rows)} of {len(rows)}"}
    sums["points"] = (sum(covered for covered, _ in scored), sum(n for _, n in scored)) if scored else None
    print("| " + " | ".join(cell(sums[name]) for name in names) + " |")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drafter", choices=["llm", "extractive"], help="default: the LLM where CNAPS_RAG_LLM is set")
    parser.add_argument("--n-requests", type=int, default=20, help="how many requests of ../shared (default 20)")
    parser.add_argument("--quick", action="store_true", help="only the five requests of data/requests")
    parser.add_argument("--save", type=Path, help="folder for the answers as Markdown and JSON")
    arguments = parser.parse_args()
    answerer = cr.Answerer(cr.Settings(drafter=arguments.drafter))
    gold = gold_points()
    rows: list[Row] = []
    for name, path in request_files(0 if arguments.quick else arguments.n_requests).items():
        row, answer = measure(name, path, answerer, gold.get(name))
        rows.append(row)
        print(f"{name}: {row.seconds:.1f} s, ok {row.ok}", file=sys.stderr)
        if arguments.save:
            arguments.save.mkdir(parents=True, exist_ok=True)
            stem = name.replace("/", "_").removesuffix(".txt")
            (arguments.save / f"{stem}.md").write_text(answer.markdown)
            (arguments.save / f"{stem}.json").write_text(json.dumps(answer.to_json(), ensure_ascii=False, indent=1))
    print_table(rows)


if __name__ == "__main__":
    main()
