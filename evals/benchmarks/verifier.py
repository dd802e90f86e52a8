"""What the claim verifier, and the validator around it, can do: every figure that is quoted of them.

    python evals/benchmarks/verifier.py                       everything: some 15 minutes on two free cores
    python evals/benchmarks/verifier.py --only claims speed   parts of it
    python evals/benchmarks/verifier.py --rows 50             fewer rows of each set
    python evals/benchmarks/verifier.py --quick               does it all run? half a minute; its figures mean nothing

grounding  AUROC and balanced accuracy on each dev set of ../shared/grounding, and on average, of word overlap, the
           first validator's verifier and the one that is shipped now
claims     the whole validator on ../shared/claims.jsonl: recall and precision per label and kind, acceptance at 3% and
           5% of unsupported claims accepted, what each layer adds
speed      milliseconds a claim for an answer of 12 claims over 6 sources, cold and warm, and pairs a second

Where ../shared is absent the first two are left out. Prints aligned text to standard output, progress to standard
error.
Planted faults and honest edits are measured by mutations.py beside this file, whole answers by answers.py.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
PARTS = ("grounding", "claims", "speed")
ROWS_OF_QUICK = 2
ROWS_OF_TRAIN = 150


def is_absent(path: Path, part: str) -> bool:
    """True, and said so, where a part cannot be measured."""
    if path.exists():
        return False
    print(f"{part.upper()}: ../shared/{path.relative_to(SHARED)} is absent, so this part is left out\n")
    return True


def print_part(part: str, arguments: argparse.Namespace) -> None:
    """One part; each loads what it needs and nothing more."""
    if part == "grounding" and not is_absent(SHARED / "grounding", part):
        from verifier_grounding import print_grounding

        limit = ROWS_OF_QUICK if arguments.quick else arguments.rows
        print_grounding(limit, min(limit or ROWS_OF_TRAIN, arguments.train_rows))
    elif part == "claims" and not is_absent(SHARED / "claims.jsonl", part):
        sys.path.append(str(ROOT / "evals" / "claims"))
        from figures import print_claims

        print_claims(quick=arguments.quick)
    elif part == "speed":
        from verifier_speed import print_speed

        print_speed(quick=arguments.quick)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure (default: all)")
    parser.add_argument("--rows", type=int, help="about so many dev rows of each set of grounding (default: all)")
    parser.add_argument(
        "--train-rows", type=int, default=ROWS_OF_TRAIN, help=f"of each train set, for the threshold ({ROWS_OF_TRAIN})"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two rows a set, two prompts, few rounds: a test that all runs"
    )
    arguments = parser.parse_args()
    if arguments.rows is not None and arguments.rows < 2:
        parser.error("--rows: 2 or more, since each label is needed")
    for part in PARTS:
        if part in arguments.only:
            print_part(part, arguments)


if __name__ == "__main__":
    main()
