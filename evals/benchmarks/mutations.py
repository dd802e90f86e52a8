"""The validator under test: kill rate of planted faults and false alarms on honest edits, per kind, with 95% intervals.

Reads data/requests and, where it is there, ../shared: its requests, answered extractively, and the supported claims of
claims.jsonl, changed as they stand. Prints Markdown tables to standard output.

    python evals/benchmarks/mutations.py --quick
    python evals/benchmarks/mutations.py --seed 1 --list
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import cnaps_rag as cr
from cnaps_rag.answer import Answer
from cnaps_rag.evaluation.intervals import wilson_interval
from cnaps_rag.evaluation.mutations import (
    MutationReport,
    Outcome,
    SupportedClaims,
    render_list,
    render_table,
    run_mutations,
)

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
AIM_KILLED, AIM_FALSE_ALARMS = 0.98, 0.10


def read_request(path: Path) -> cr.AnswerRequest:
    """A request, its line ends as they are."""
    return cr.AnswerRequest.from_prompt(path.read_bytes().decode("utf-8"))


def request_files(*, quick: bool) -> list[Path]:
    """The five of data/requests, then those of ../shared."""
    files = sorted((ROOT / "data" / "requests").glob("*.txt"))
    shared = [] if quick else sorted((SHARED / "requests").glob("*.txt"))
    if not quick and not shared:
        print("../shared is absent: only data/requests is measured", file=sys.stderr)
    return files + shared


def supported_claims(half: str) -> list[SupportedClaims]:
    """Supported claims of claims.jsonl by request; ``report`` is the half that no rule was chosen on."""
    path = SHARED / "claims.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    claims: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        is_odd = row["file"].startswith("requests/") and int(row["file"].removeprefix("requests/s")[:3]) % 2 == 1
        if row["label"] == "supported" and (half == "all" or is_odd):
            claims[row["file"]].append(row["claim"])
    return [SupportedClaims(request=read_request(SHARED / file), claims=tuple(c)) for file, c in claims.items()]


def print_sums(outcomes: Iterable[Outcome]) -> None:
    """All faults and all honest edits together, beside the aims."""
    outcomes = list(outcomes)
    for name, is_fault, aim in (("killed", True, AIM_KILLED), ("false alarms", False, AIM_FALSE_ALARMS)):
        right = [outcome.is_right for outcome in outcomes if outcome.mutation.is_fault == is_fault]
        n_told = sum(right) if is_fault else len(right) - sum(right)
        low, high = wilson_interval(n_told, len(right))
        share = n_told / max(len(right), 1)
        print(f"{name}: {n_told} of {len(right)}, {share:.1%} ({low:.1%} to {high:.1%}); the aim is {aim:.0%} a kind")


def measure(
    name: str,
    tested: Iterable[cr.AnswerRequest | Answer | SupportedClaims],
    arguments: argparse.Namespace,
    progress: Callable[[str], None],
) -> None:
    """Runs and prints one part."""
    start = time.perf_counter()
    settings = cr.Settings(drafter="extractive")
    report: MutationReport = run_mutations(
        tested, seed=arguments.seed, settings=settings, limit_claims=arguments.limit_claims, progress=progress
    )
    print(f"## {name}\n\n{render_table(report)}\n")
    print_sums(report.outcomes)
    print(f"{time.perf_counter() - start:.0f} s\n")
    if arguments.list:
        print(f"{render_list(report)}\n")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only data/requests, eight claims of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-claims", type=int, help="most claims of each request")
    parser.add_argument("--half", choices=("report", "all"), default="all", help="which requests of claims.jsonl")
    parser.add_argument("--list", action="store_true", help="list surviving faults and false alarms")
    arguments = parser.parse_args()
    if arguments.quick and arguments.limit_claims is None:
        arguments.limit_claims = 8

    def progress(step: str) -> None:
        print(f"{step} …", file=sys.stderr)

    requests = [read_request(path) for path in request_files(quick=arguments.quick)]
    measure("Answers and sentences of the sources", requests, arguments, progress)
    claims = [] if arguments.quick else supported_claims(arguments.half)
    if claims:
        measure("Supported claims of ../shared/claims.jsonl", claims, arguments, progress)


if __name__ == "__main__":
    main()
