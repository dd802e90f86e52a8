"""Fits and measures the weights of the first verifier (`baseline.py`) on public grounding sets.

Run: ``python evals/verifier_baseline/fit.py``. Trained only on sets whose licence allows the weights to be shipped; the
texts themselves are not in this repository. Prints the weights, and for each dev set how well the score ranks it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from pathlib import Path

import numpy as np
from baseline import OverlapVerifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

GROUNDING = Path(__file__).parents[2].parent / "shared" / "grounding"
SHIPPABLE = {
    "scifact": "CC BY 4.0 claims, ODC-By abstracts",
    "citation_integrity": "MIT",
    "fm2": "Apache-2.0",
    "factcheck_gpt": "Apache-2.0",
    "summedits": "Apache-2.0",
    "q2_wow": "Apache-2.0 / MIT",
    "faithdial_audit": "MIT",
    "bump": "MIT",
    "contractnli": "CC BY 4.0",
}
SEED = 0
LIMIT_EVIDENCE_CHARS = 6_000


def load_rows(name: str, split: str, limit: int) -> list[dict[str, object]]:
    """At most `limit` rows of one set, the same every time."""
    with gzip.open(GROUNDING / f"{name}.{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if len(row["evidence"]) <= LIMIT_EVIDENCE_CHARS]
    random.Random(SEED).shuffle(rows)
    return rows[:limit]


def main() -> None:
    """Fits on the train sets, measures on the dev sets, prints both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train-rows", type=int, default=250, help="most rows of each set to fit on")
    parser.add_argument("--dev-rows", type=int, default=120, help="most rows of each set to measure on")
    arguments = parser.parse_args()
    verifier = OverlapVerifier()
    signals, labels, weights, dev = [], [], [], {}
    for name in SHIPPABLE:
        for split, limit in (("train", arguments.train_rows), ("dev", arguments.dev_rows)):
            rows = load_rows(name, split, limit)
            found = verifier.signals([(str(row["evidence"]), str(row["claim"])) for row in rows])
            truth = np.array([row["label"] for row in rows])
            if split == "dev":
                dev[name] = (found, truth)
                continue
            signals.append(found)
            labels.append(truth)
            # Every set counts the same, and within it both labels.
            weights.append(np.where(truth == 1, 0.5 / truth.sum(), 0.5 / (1 - truth).sum()))
    x, y, w = np.concatenate(signals), np.concatenate(labels), np.concatenate(weights)
    model = LogisticRegression(C=1.0, max_iter=1_000).fit(x, y, sample_weight=w * len(y) / w.sum())
    print(
        "WEIGHTS =",
        tuple(round(float(v), 2) for v in model.coef_[0]),
        "INTERCEPT =",
        round(float(model.intercept_[0]), 2),
    )
    print("rows to fit on:", len(y))
    print(f"{'dev set':22}{'n':>5}{'AUROC':>8}{'bal. acc. at 0.5':>18}   words alone")
    scores = {name: (model.predict_proba(found)[:, 1], truth, found) for name, (found, truth) in dev.items()}
    measured = []
    for name, (score, truth, found) in scores.items():
        row = (
            roc_auc_score(truth, score),
            balanced_accuracy_score(truth, score >= 0.5),
            roc_auc_score(truth, found[:, 2]),
        )
        measured.append(row)
        print(f"{name:22}{len(truth):5}{row[0]:8.2f}{row[1]:18.2f}{row[2]:14.2f}")
    print("macro average", " ".join(f"{value:.3f}" for value in np.mean(measured, axis=0)))


if __name__ == "__main__":
    main()
