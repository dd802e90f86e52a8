"""Fits what turns the verifier's logits into probabilities, and writes it beside the network.

Usage: ``python evals/verifier/calibrate.py [--threshold T] [--write]``. Platt scaling (Platt 1999) on the written
claims that training left out. Prints how far the probabilities are from the truth, crosswise:
fitted on one half of the pairs, measured on the other. The threshold is chosen on the whole validator
(``python evals/claims/run.py --half choose --curve``) and only written here.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from numpy.typing import NDArray
from recipe import ROOT, written_claims, written_pairs
from sklearn.linear_model import LogisticRegression
from train import is_dev

from cnaps_rag.verifier.shipped import ShippedReader

CONFIG = ROOT / "data" / "models" / "claim-verifier" / "config.json"
SEED = 1
N_BINS = 10

Floats = NDArray[np.float64]


def fit(logits: Floats, labels: Floats) -> tuple[float, float]:
    """Slope and intercept of the calibrated logit."""
    found = LogisticRegression(C=1e6).fit(logits[:, None], labels)
    return float(found.coef_[0, 0]), float(found.intercept_[0])


def expected_calibration_error(probabilities: Floats, labels: Floats) -> float:
    """Mean distance of probability and truth over equal bins, by their share of rows (Guo et al. 2017, section 2)."""
    bins = np.minimum((probabilities * N_BINS).astype(int), N_BINS - 1)
    found = [(bins == b) for b in range(N_BINS) if (bins == b).any()]
    return float(sum(row.mean() * abs(probabilities[row].mean() - labels[row].mean()) for row in found))


def main() -> None:
    """Fits, prints, and writes where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threshold", type=float, help="cut of the calibrated probability to write")
    parser.add_argument("--write", action="store_true", help="write config.json beside the network")
    arguments = parser.parse_args()
    claims = [claim for claim in written_claims() if is_dev(claim.abstract.id)]
    pairs = list(written_pairs(claims, SEED, n_windows=1))
    logits = np.array(ShippedReader().logits([(pair.evidence, pair.claim) for pair in pairs]))
    labels = np.array([float(pair.label) for pair in pairs])
    slope, intercept = fit(logits, labels)
    half = np.random.default_rng(SEED).random(len(pairs)) < 0.5
    crossed = np.zeros(len(pairs))
    for part in (half, ~half):
        a, b = fit(logits[~part], labels[~part])
        crossed[part] = 1 / (1 + np.exp(-(a * logits[part] + b)))
    before = 1 / (1 + np.exp(-logits))
    print(f"{len(pairs)} pairs of written claims left out of training, {labels.mean():.0%} supported")
    print(f"slope {slope:.3f}, intercept {intercept:.3f}")
    for name, probabilities in (("as trained", before), ("calibrated (crosswise)", crossed)):
        error = expected_calibration_error(probabilities, labels)
        print(f"{name:24} ECE {error:.3f}   Brier {np.mean((probabilities - labels) ** 2):.3f}")
    if arguments.write:
        config = json.loads(CONFIG.read_text(encoding="utf-8"))
        config["calibration"] = {"slope": round(slope, 3), "intercept": round(intercept, 3)}
        if arguments.threshold is not None:
            config["threshold"] = arguments.threshold
        CONFIG.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        print(f"written: {CONFIG.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
