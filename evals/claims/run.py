"""Verdicts of the claim checks per label and kind on ../shared/claims.jsonl: the baseline that a verifier has to beat.

Run: ``python evals/claims/run.py [--half choose|tuning|report|seeds|all] [--curve] [--rows KIND ...]``. Rules and
thresholds are chosen on ``choose``: the even-numbered requests (``tuning``; s014 and s018, which share a paper, are
both among them) and the five seeds, which share papers with each other only. ``report`` is the odd-numbered requests.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnaps_rag.evaluation.intervals import wilson_interval
from cnaps_rag.request import AnswerRequest
from cnaps_rag.validation import ClaimJudge, ClaimQuery, Judgement, load_index
from cnaps_rag.verifier import ClaimVerifier

SHARED = Path(__file__).parents[2].parent / "shared"
LABELS = ("supported", "contradicted", "misattributed", "not_found")
VERDICTS = (*LABELS, "unchecked")
Judged = tuple[dict[str, Any], Judgement]


class CountingVerifier(ClaimVerifier):
    """The shipped verifier, counting the pairs it scores; its threshold can be set."""

    n_pairs = 0

    def score(self, pairs: Any) -> Any:
        """As `ClaimVerifier.score`."""
        self.n_pairs += len(pairs)
        return super().score(pairs)


def belongs(file: str, half: str) -> bool:
    """True where a prompt is part of this half of the data."""
    if half == "all":
        return True
    if file.startswith("seeds/"):
        return half in ("seeds", "choose")
    is_even = int(file[len("requests/s") :][:3]) % 2 == 0
    return half in (("tuning", "choose") if is_even else ("report",))


def load_rows(half: str) -> list[dict[str, Any]]:
    """Rows of claims.jsonl whose prompts are part of this half, in its order."""
    rows = [json.loads(line) for line in (SHARED / "claims.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if belongs(row["file"], half)]


def load_request(file: str) -> AnswerRequest:
    """The prompt that some rows are about."""
    return AnswerRequest.from_prompt((SHARED / file).read_bytes().decode("utf-8"))


def judge_rows(half: str, verifier: ClaimVerifier) -> Iterator[tuple[list[Judged], float]]:
    """Rows of one prompt after another with their judgements, and the seconds they took."""
    rows = load_rows(half)
    for file in dict.fromkeys(row["file"] for row in rows):
        judge = ClaimJudge(load_index(load_request(file)), verifier)
        of_file = [row for row in rows if row["file"] == file]
        start = time.perf_counter()
        judgements = judge.judge_all([ClaimQuery(text=row["claim"]) for row in of_file])
        yield list(zip(of_file, judgements, strict=True)), time.perf_counter() - start


def told_share(hits: Sequence[bool], name: str) -> str:
    """A share with its 95% interval (Wilson) and what it is a share of."""
    if not hits:
        return f"{name} - (n 0)"
    low, high = wilson_interval(sum(hits), len(hits))
    return f"{name} {np.mean(hits):.2f} [{low:.2f}, {high:.2f}] (n {len(hits)})"


def print_table(judged: list[Judged]) -> None:
    """Verdicts by label and kind, with the layers that decided."""
    verdicts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    layers: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row, judgement in judged:
        key = LABELS.index(row["label"]), row["kind"]
        verdicts[key][judgement.verdict] += 1
        layers[key][judgement.layer] += 1
    print(f"{'label':14}{'kind':18}{'n':>4} " + "".join(f"{verdict:>14}" for verdict in VERDICTS) + "   layers")
    for key in sorted(verdicts):
        counts = verdicts[key]
        told = ", ".join(f"{layer} {n}" for layer, n in layers[key].most_common())
        cells = "".join(f"{counts[verdict] or '':>14}" for verdict in VERDICTS)
        print(f"{LABELS[key[0]]:14}{key[1]:18}{counts.total():4} {cells}   {told}")
    for label in LABELS:
        recall = [judgement.verdict == label for row, judgement in judged if row["label"] == label]
        precision = [row["label"] == label for row, judgement in judged if judgement.verdict == label]
        print(f"{label:14} {told_share(recall, 'recall')}, {told_share(precision, 'precision')}")
    print(shares(judged))


def shares(judged: list[Judged]) -> str:
    """Share of supported and of unsupported claims that pass."""
    parts: list[str] = []
    for name, is_supported in (("supported", True), ("unsupported", False)):
        passed = [
            found.verdict == "supported" for row, found in judged if (row["label"] == "supported") == is_supported
        ]
        low, high = wilson_interval(sum(passed), len(passed))
        share = sum(passed) / max(len(passed), 1)
        interval = f"95% interval {100 * low:.1f} to {100 * high:.1f}"
        parts.append(f"{name} accepted {sum(passed)} of {len(passed)} ({100 * share:.1f}%, {interval})")
    return ", ".join(parts)


def main() -> None:
    """Prints the table, and what was asked for beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=("choose", "tuning", "report", "seeds", "all"), default="report")
    parser.add_argument("--curve", action="store_true", help="acceptance at other thresholds of the verifier")
    parser.add_argument("--rows", nargs="*", default=[], help="kinds or labels whose wrong rows are printed")
    arguments = parser.parse_args()
    verifier = CountingVerifier()
    runs = list(judge_rows(arguments.half, verifier))
    judged = [pair for rows, _ in runs for pair in rows]
    print_table(judged)
    warm = [seconds / len(rows) for rows, seconds in judge_rows(arguments.half, verifier)]
    cold = sum(seconds for _, seconds in runs) / len(judged)
    n_pairs = verifier.n_pairs / 2 / len(judged)
    known = statistics.median(warm)
    print(f"{1000 * cold:.1f} ms a claim new to it, {1000 * known:.1f} ms known; {n_pairs:.1f} pairs scored")
    if arguments.curve:
        for threshold in np.arange(0.3, 0.85, 0.05):
            verifier.threshold = float(threshold)
            again = [pair for rows, _ in judge_rows(arguments.half, verifier) for pair in rows]
            print(f"threshold {threshold:.2f}: {shares(again)}")
    for row, judgement in judged:
        if {row["kind"], row["label"]} & set(arguments.rows) and judgement.verdict != row["label"]:
            print(
                f"{row['id']} {row['label']}/{row['kind']} -> {judgement.verdict}/{judgement.layer}: {judgement.reason}"
            )
            print(f"    {row['claim']}")


if __name__ == "__main__":
    main()
