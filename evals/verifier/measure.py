"""AUROC and balanced accuracy per dev set and on average: what the verifier is chosen by."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from recipe import GROUNDING, load_set
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from cnaps_rag.verifier.windows import select_window

NOT_REAL = frozenset({"mnli", "snli", "sick", "rte", "scitail", "cad_snli", "negation_nli", "cg2c_synthetic"})
"""Sets of general inference or made by an LLM: reported apart."""

NEGATIVES_ONLY = frozenset({"wice_partial"})
SEED = 0

Rows = Sequence[tuple[str, str, int]]
Scorer = Callable[[Sequence[tuple[str, str]]], Sequence[float]]


def names_of(split: str) -> list[str]:
    """Sets with a file of that split and both labels."""
    found = sorted(path.name.split(".")[0] for path in GROUNDING.glob(f"*.{split}.jsonl.gz"))
    return [name for name in found if name not in NEGATIVES_ONLY]


def rows_of(name: str, split: str, limit: int | None = None) -> list[tuple[str, str, int]]:
    """(window of the evidence, claim, label) of one set, at most `limit` of them, the same every time."""
    rows = load_set(name, split)
    if limit is not None:
        rows = random.Random(SEED).sample(rows, min(limit, len(rows)))
    return [(select_window(str(r["evidence"]), str(r["claim"])), str(r["claim"]), int(str(r["label"]))) for r in rows]


def dev_rows(limit: int) -> dict[str, list[tuple[str, str, int]]]:
    """Rows of each dev set of real claims; empty where `limit` is 0."""
    return {name: rows_of(name, "dev", limit) for name in names_of("dev") if name not in NOT_REAL} if limit else {}


def best_threshold(scores: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """The cut with the best weighted balanced accuracy."""
    order = np.argsort(scores)
    positives = np.cumsum((weights * labels)[order])
    negatives = np.cumsum((weights * (1 - labels))[order])
    gain = negatives / negatives[-1] + 1 - positives / positives[-1]
    ordered = scores[order]
    is_last = np.append(ordered[1:] > ordered[:-1], True)  # no cut parts rows of one score
    at = int(np.argmax(np.where(is_last, gain, -1.0)))
    return float((ordered[at] + ordered[min(at + 1, len(order) - 1)]) / 2)


def macro(rows_by_set: Mapping[str, Rows], score: Scorer) -> dict[str, float]:
    """Means over the sets: AUROC, and balanced accuracy at the one cut that is best for all of them together."""
    scores = {name: np.array(score([(e, c) for e, c, _ in rows])) for name, rows in rows_by_set.items()}
    labels = {name: np.array([label for *_, label in rows]) for name, rows in rows_by_set.items()}
    weights = {name: np.where(y == 1, 0.5 / y.sum(), 0.5 / (1 - y).sum()) for name, y in labels.items()}
    cut = best_threshold(*(np.concatenate([part[name] for name in labels]) for part in (scores, labels, weights)))
    auroc = np.mean([roc_auc_score(labels[name], scores[name]) for name in labels])
    balanced = np.mean([balanced_accuracy_score(labels[name], scores[name] >= cut) for name in labels])
    return {"auroc": round(float(auroc), 4), "balanced_accuracy": round(float(balanced), 4), "cut": round(cut, 3)}
