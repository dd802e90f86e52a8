"""How well three scorers tell supported from unsupported claims on ../shared/grounding, set by set and on average."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "evals" / folder) for folder in ("verifier", "verifier_baseline")]

from baseline import OverlapVerifier  # noqa: E402
from measure import NEGATIVES_ONLY, NOT_REAL, SEED, best_threshold, names_of  # noqa: E402
from recipe import LICENCE_BY_SET, load_set  # noqa: E402

from cnaps_rag.evaluation.intervals import wilson_interval  # noqa: E402
from cnaps_rag.verifier import ClaimVerifier  # noqa: E402
from cnaps_rag.words import content_stems  # noqa: E402

N_RESAMPLED = 1_000
N_AT_ONCE = 64  # pairs handed to a scorer: bounds what the first verifier holds of long evidence
AIM_BALANCED = 0.75  # macro balanced accuracy over the sets of real claims: the project's aim

Floats = NDArray[np.float64]
Pair = tuple[str, str]
Column = tuple[str, str]
"""Figure and scorer; figures are "auroc", "one cut" (fitted on train) and "own" (the scorer's own threshold)."""

FIGURES = {
    "auroc": "AUROC",
    "one cut": "balanced accuracy at one threshold fitted on train",
    "own": "balanced accuracy at the threshold shipped with it",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scorer:
    """What is compared: scores of (evidence, claim) pairs, and the threshold it is shipped with, where it is."""

    name: str
    score: Callable[[Sequence[Pair]], Iterable[float]]
    threshold: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """Rows of one set: labels of shape (n,), and by scorer's name scores of shape (n,)."""

    labels: NDArray[np.int64]
    scores: Mapping[str, Floats]


def overlap(pairs: Sequence[Pair]) -> list[float]:
    """Share of each claim's content stems that stand in its evidence; 0 for a claim without any."""
    found: list[float] = []
    for evidence, claim in pairs:
        held, stems = frozenset(content_stems(evidence)), content_stems(claim)
        found.append(sum(stem in held for stem in stems) / len(stems) if stems else 0.0)
    return found


def all_scorers() -> list[Scorer]:
    """Word overlap, the first verifier, the one that is shipped now."""
    first, new = OverlapVerifier(), ClaimVerifier()
    return [
        Scorer(name="words", score=overlap, threshold=None),
        Scorer(name="first", score=first.score, threshold=first.threshold),
        Scorer(name="new", score=new.score, threshold=new.threshold),
    ]


def sample_rows(name: str, split: str, limit: int | None) -> list[dict[str, object]]:
    """About `limit` rows of a set, each label in its share and at least once; the same every time; None is all."""
    rows = load_set(name, split)
    if limit is None or limit >= len(rows):
        return rows
    rng, sampled = random.Random(SEED), []
    for label in (1, 0):
        of_label = [row for row in rows if row["label"] == label]
        n_rows = max(1, round(limit * len(of_label) / len(rows)))
        sampled += rng.sample(of_label, min(n_rows, len(of_label)))
    return sampled


def score_set(name: str, split: str, limit: int | None, scorers: Sequence[Scorer]) -> Scored:
    """One set under all scorers, evidence at full length; what it took goes to standard error."""
    rows = sample_rows(name, split, limit)
    pairs = [(str(row["evidence"]), str(row["claim"])) for row in rows]
    scores: dict[str, Floats] = {}
    taken: list[str] = []
    for scorer in scorers:
        start = time.perf_counter()
        parts = [scorer.score(pairs[at : at + N_AT_ONCE]) for at in range(0, len(pairs), N_AT_ONCE)]
        scores[scorer.name] = np.array([score for part in parts for score in part], dtype=np.float64)
        taken.append(f"{scorer.name} {time.perf_counter() - start:.1f} s")
    print(f"grounding: {name}.{split}, {len(pairs)} rows: {', '.join(taken)}", file=sys.stderr, flush=True)
    return Scored(labels=np.array([int(str(row["label"])) for row in rows]), scores=scores)


def fit_cuts(train: Sequence[Scored], scorers: Sequence[Scorer]) -> dict[str, float]:
    """For each scorer the threshold with the best balanced accuracy where each set and label counts the same."""
    weights = [np.where(one.labels == 1, 0.5 / one.labels.sum(), 0.5 / (1 - one.labels).sum()) for one in train]
    labels = np.concatenate([one.labels for one in train])
    return {
        scorer.name: best_threshold(
            np.concatenate([one.scores[scorer.name] for one in train]), labels, np.concatenate(weights)
        )
        for scorer in scorers
    }


def figures_of(scored: Scored, cuts: Mapping[Column, float], rng: np.random.Generator) -> dict[Column, Floats]:
    """Each figure of one set, shape (1 + N_RESAMPLED,): as measured, then with rows drawn again within each label.

    The same draws serve all scorers, so that differences between them are paired (Efron and Tibshirani 1993, ch. 6).
    """
    is_positive = scored.labels == 1
    counts = {}
    for label in (True, False):
        n = int((is_positive == label).sum())
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=N_RESAMPLED)
        counts[label] = np.vstack([np.ones((1, n)), drawn]).astype(np.float32) / n
    found: dict[Column, Floats] = {}
    for name, scores in scored.scores.items():
        high, low = scores[is_positive], scores[~is_positive]
        above = (high[:, None] > low).astype(np.float32) + np.float32(0.5) * (high[:, None] == low)
        found["auroc", name] = ((counts[True] @ above) * counts[False]).sum(axis=1)
        for (figure, scorer), cut in cuts.items():
            if scorer == name:
                found[figure, name] = (counts[True] @ (high >= cut) + counts[False] @ (low < cut)) / 2
    return found


def print_sets(
    figures: Mapping[str, dict[Column, Floats]], dev: Mapping[str, Scored], columns: Sequence[Column]
) -> None:
    """One line a set."""
    heads = "".join(f"{figure + ' ' + scorer:>15}" for figure, scorer in columns)
    print(f"{'dev set':24}{'n':>6}{'sup.':>6}{heads}")
    for name, row in figures.items():
        mark = "*" if name in LICENCE_BY_SET else ""
        cells = "".join(f"{row[column][0]:15.3f}" for column in columns)
        print(f"{name + mark:24}{len(dev[name].labels):6}{100 * dev[name].labels.mean():5.0f}%{cells}")
    print("* the shipped weights were trained on its train split; sup.: share supported\n")


def cell(values: Floats) -> str:
    """As measured, with the middle 95% of what was resampled."""
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return f"{values[0]:.3f} [{low:.3f}, {high:.3f}]"


def print_average(label: str, rows: Sequence[dict[Column, Floats]], scorers: Sequence[str]) -> dict[Column, Floats]:
    """Means over some sets, and how much better the new verifier is than the first."""
    if not rows:
        return {}
    mean = {column: np.mean([row[column] for row in rows], axis=0) for column in rows[0]}
    print(f"{label} ({len(rows)} sets)")
    for figure, told in FIGURES.items():
        cells = "".join(f"{cell(mean[figure, s]) if (figure, s) in mean else '-':>24}" for s in scorers)
        print(f"  {told:52}{cells}{cell(mean[figure, 'new'] - mean[figure, 'first']):>26}")
    return mean


def print_averages(figures: Mapping[str, dict[Column, Floats]], scorers: Sequence[str]) -> None:
    """Macro averages of the groups of sets, and the aim."""
    heads = "".join(f"{name:>24}" for name in scorers)
    print(f"{'macro averages [95% interval]':54}{heads}{'new - first':>26}")
    real = [name for name in figures if name not in NOT_REAL]
    groups = {
        "all sets of real claims": real,
        "of these never trained on": [name for name in real if name not in LICENCE_BY_SET],
        "of these trained on": [name for name in real if name in LICENCE_BY_SET],
        "apart: general inference and synthetic sets": [name for name in figures if name in NOT_REAL],
    }
    means = {label: print_average(label, [figures[name] for name in names], scorers) for label, names in groups.items()}
    print(
        f"Intervals: rows drawn again within set and label, {N_RESAMPLED:,} times (seed {SEED}), sets and thresholds "
        "as they are; differences are paired."
    )
    reached = means["all sets of real claims"]["one cut", "new"][0]
    met = "met" if reached >= AIM_BALANCED else "NOT met"
    print(f"Aim: macro balanced accuracy of {AIM_BALANCED} or more on real claims: {reached:.3f}, {met}.\n")


def print_negatives(limit: int | None, scorers: Sequence[Scorer], cuts: Mapping[Column, float]) -> None:
    """Sets without a supported claim: the share that is rejected."""
    for name in sorted(NEGATIVES_ONLY):
        scored = score_set(name, "dev", limit, scorers)
        parts = []
        for (figure, scorer), cut in cuts.items():
            rejected = scored.scores[scorer] < cut
            low, high = wilson_interval(int(rejected.sum()), len(rejected))
            parts.append(f"{scorer} at {figure} {rejected.mean():.2f} [{low:.2f}, {high:.2f}]")
        print(f"{name}, no claim of it supported, share rejected (n {len(scored.labels)}): {', '.join(parts)}\n")


def print_grounding(limit: int | None, limit_train: int) -> None:
    """Everything on ../shared/grounding.

    Args:
        limit: about so many dev rows of each set; None is all.
        limit_train: about so many train rows of each set to fit the one threshold on.
    """
    scorers = all_scorers()
    names = [scorer.name for scorer in scorers]
    fitted_on = [name for name in names_of("train") if name not in NOT_REAL]
    one_cut = fit_cuts([score_set(name, "train", limit_train, scorers) for name in fitted_on], scorers)
    cuts: dict[Column, float] = {("one cut", name): cut for name, cut in one_cut.items()}
    cuts |= {("own", scorer.name): scorer.threshold for scorer in scorers if scorer.threshold is not None}
    dev = {name: score_set(name, "dev", limit, scorers) for name in names_of("dev")}
    dev = dict(sorted(dev.items(), key=lambda pair: (pair[0] in NOT_REAL, pair[0])))
    rng = np.random.default_rng(SEED)
    figures = {name: figures_of(scored, cuts, rng) for name, scored in dev.items()}
    print("GROUNDING: scores against people's labels (words: share of the claim's content stems found in the evidence;")
    print("first: the first validator's verifier; new: cnaps_rag.ClaimVerifier)")
    n_train = f"{len(fitted_on)} train sets of real claims, up to {limit_train} rows each, each set and label alike"
    print(f"one cut, fitted on {n_train}: " + ", ".join(f"{name} {cut:.3f}" for name, cut in one_cut.items()))
    own = ", ".join(f"{s.name} {s.threshold:.3f}" for s in scorers if s.threshold is not None)
    print(f"own, the threshold shipped with each: {own}\n")
    print_sets(figures, dev, [("auroc", name) for name in names] + list(cuts))
    print_averages(figures, names)
    print_negatives(limit, scorers, cuts)
