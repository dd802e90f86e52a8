"""Figures of the whole validator on claims.jsonl: acceptance at any threshold, the effect of each rule, the aims."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from run import CountingVerifier, Judged, load_request, load_rows, print_table, shares, told_share

from cnaps_rag.index import PassageIndex
from cnaps_rag.validation import ClaimJudge, ClaimQuery, load_index
from cnaps_rag.validation.reading import Reader
from cnaps_rag.verifier.shipped import sigmoid

FOREIGN_IDS = frozenset(["s006-07", "s006-10", "s006-21", "s006-23", "s009-07", "s009-11", "s009-15", "s009-23"])
"""Claims in another language than English (../shared/claims.md)."""

HALVES = {"report": "odd-numbered requests: nothing was chosen on them", "all": "all prompts"}
MOST_UNSUPPORTED = (0.03, 0.05)
CURVE = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

# Thresholds are searched as logits: scores crowd near 0 and 1. 12 halvings of -9 to 9 are steps of 0.0044.
LIMIT_LOGIT = 9.0
N_HALVINGS = 12

Rows = list[dict[str, Any]]
Rule = tuple[str, str]
"""Layer and rule; the layer twice where all its rules are meant."""

ALL_RULES: Rule = ("", "")


class Bench:
    """Prompts with their judges, which share one verifier and its cached scores, so that judging again costs little."""

    def __init__(self) -> None:
        self.verifier = CountingVerifier()
        self.shipped_threshold = self.verifier.threshold
        self.layer_by_rule: dict[str, str] = {}  # rules seen broken since it was cleared
        self._index_by_file: dict[str, PassageIndex] = {}

    def judge(
        self, rows: Rows, *, threshold: float | None = None, ignored: frozenset[str] = frozenset()
    ) -> list[Judged]:
        """Judgements on claims, at the shipped threshold or another, with some rules left out."""
        self.verifier.threshold = self.shipped_threshold if threshold is None else threshold
        judged: list[Judged] = []
        for file in dict.fromkeys(row["file"] for row in rows):
            if file not in self._index_by_file:
                self._index_by_file[file] = load_index(load_request(file))
            judge = judge_without(self._index_by_file[file], self.verifier, ignored, self.layer_by_rule)
            of_file = [row for row in rows if row["file"] == file]
            judgements = judge.judge_all([ClaimQuery(text=row["claim"]) for row in of_file])
            judged += zip(of_file, judgements, strict=True)
        return judged

    def accepts(self, rows: Rows, **how: Any) -> set[str]:
        """Ids of the claims that pass; arguments as of `judge`."""
        return {row["id"] for row, found in self.judge(rows, **how) if found.verdict == "supported"}


class _LenientReader(Reader):
    """A reader that overlooks some rules, and notes the rules that it saw broken, with their layers."""

    def __init__(
        self, index: PassageIndex, verifier: CountingVerifier, ignored: frozenset[str], layer_by_rule: dict[str, str]
    ) -> None:
        super().__init__(index, verifier)
        self._ignored = ignored
        self._layer_by_rule = layer_by_rule

    def _hold(self, *arguments: Any) -> Any:
        tried = super()._hold(*arguments)
        self._layer_by_rule |= {fault.rule: fault.layer for fault in tried.faults}
        return replace(tried, faults=tuple(fault for fault in tried.faults if fault.rule not in self._ignored))


def judge_without(
    index: PassageIndex, verifier: CountingVerifier, ignored: frozenset[str], layer_by_rule: dict[str, str]
) -> ClaimJudge:
    """A judge that overlooks some rules of reading: the one place that knows how this is done."""
    judge = ClaimJudge(index, verifier)
    judge._reader = _LenientReader(index, verifier, ignored, layer_by_rule)
    return judge


# Acceptance at any threshold


def critical_thresholds(bench: Bench, rows: Rows) -> dict[str, float]:
    """Highest threshold at which each claim still passes, by id: infinite where always, 0 where never.

    Found by halving, all claims at once: whether a claim passes can only change from yes to no as the threshold rises.
    """
    at_most, at_least = bench.accepts(rows, threshold=sigmoid(-LIMIT_LOGIT)), bench.accepts(rows, threshold=1.0)
    found = {row["id"]: math.inf if row["id"] in at_least else 0.0 for row in rows}
    parts = [(-LIMIT_LOGIT, LIMIT_LOGIT, [row for row in rows if row["id"] in at_most - at_least])]
    for _ in range(N_HALVINGS):
        halves = []
        for low, high, part in parts:
            middle = (low + high) / 2
            passing = bench.accepts(part, threshold=sigmoid(middle))
            halves.append((middle, high, [row for row in part if row["id"] in passing]))
            halves.append((low, middle, [row for row in part if row["id"] not in passing]))
        parts = [half for half in halves if half[2]]
    return found | {row["id"]: sigmoid(low) for low, _, part in parts for row in part}


def accepted_at(threshold: float, rows: Rows, critical: dict[str, float], *, supported: bool) -> list[bool]:
    """Whether each claim that is supported, or each that is not, passes at a threshold."""
    return [critical[row["id"]] >= threshold for row in rows if (row["label"] == "supported") == supported]


def threshold_for(most: float, rows: Rows, critical: dict[str, float]) -> float | None:
    """Lowest threshold at which at most this share of unsupported claims passes; None where no threshold does it."""
    for threshold in sorted({0.0, 1.0, *(np.nextafter(value, 2) for value in critical.values() if value <= 1)}):
        if np.mean(accepted_at(threshold, rows, critical, supported=False)) <= most:
            return float(threshold)
    return None


def print_curve(rows: Rows, critical: dict[str, float], shipped: float) -> None:
    """Acceptance of supported and of unsupported claims at some thresholds."""
    print("threshold   supported accepted   unsupported accepted")
    for threshold in sorted({*CURVE, shipped}):
        shares_ = [np.mean(accepted_at(threshold, rows, critical, supported=kind)) for kind in (True, False)]
        mark = "  shipped" if threshold == shipped else ""
        print(f"{threshold:9.3f}{100 * shares_[0]:20.1f}%{100 * shares_[1]:22.1f}%{mark}")


def print_acceptance_at(rows: Rows, chosen_on: Rows, critical: dict[str, float]) -> None:
    """Supported claims accepted where 3% and 5% of the unsupported are, the threshold chosen on them or elsewhere."""
    for most in MOST_UNSUPPORTED:
        for label, own in (("chosen on these claims", rows), ("chosen on the other half", chosen_on)):
            if not own:
                continue
            threshold = threshold_for(most, own, critical)
            if threshold is None:
                print(f"at {100 * most:.0f}% of unsupported accepted, {label}: no threshold does it")
                continue
            told = [
                told_share(accepted_at(threshold, rows, critical, supported=kind), name)
                for kind, name in ((True, "supported accepted"), (False, "unsupported accepted"))
            ]
            print(
                f"at {100 * most:.0f}% of unsupported accepted, {label} (threshold {threshold:.3f}): {', '.join(told)}"
            )


# Rules and aims


def find_freed(bench: Bench, rows: Rows) -> dict[Rule, set[str]]:
    """By rule, and by layer for all its rules together, the ids of rejected claims that would pass without it."""
    passing = bench.accepts(rows)
    broken_by: dict[Rule, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in (row for row in rows if row["id"] not in passing):
        bench.layer_by_rule.clear()
        bench.judge([row])
        for rule, layer in bench.layer_by_rule.items():
            broken_by[layer, rule][row["id"]] = row
            broken_by[layer, layer][row["id"]] = row
    rules_by_layer = {layer: frozenset(rule for of, rule in broken_by if of == layer) for layer, _ in broken_by}
    freed = {
        (layer, name): bench.accepts(
            list(broken.values()), ignored=rules_by_layer[layer] if name == layer else frozenset({name})
        )
        for (layer, name), broken in broken_by.items()
    }
    return freed | {ALL_RULES: bench.accepts(rows, ignored=frozenset().union(*rules_by_layer.values()))}


def print_rules(judged: list[Judged], freed: dict[Rule, set[str]]) -> None:
    """What each layer and rule decided, and what would pass if it were overlooked."""
    rejected = [(row, found) for row, found in judged if found.verdict != "supported"]
    decided: Counter[tuple[Rule, bool]] = Counter()
    for row, found in rejected:
        for name in {found.layer, found.rule or found.layer}:
            decided[(found.layer, name), row["label"] == "supported"] += 1
    print("layer, rule                 decided the rejection of   rejects by itself what would pass without it")
    print(f"{'':24}{'supported':>12}{'unsupported':>13}{'supported (harm)':>24}{'unsupported (help)':>20}")
    rules = {rule for rule, _ in decided} | set(freed) - {ALL_RULES}
    for layer, name in sorted(rules, key=lambda rule: (rule[0], rule[0] != rule[1], rule[1])):
        rule = (layer, name)
        by_support = Counter(row["label"] == "supported" for row, _ in rejected if row["id"] in freed.get(rule, ()))
        alone = [str(by_support[kind]) if rule in freed else "-" for kind in (True, False)]
        label = name if name == layer else f"  {name}"
        print(f"{label:24}{decided[rule, True]:12}{decided[rule, False]:13}{alone[0]:>24}{alone[1]:>20}")
    passing = [
        told_share([row["id"] in freed[ALL_RULES] for row, _ in judged if (row["label"] == "supported") == kind], name)
        for kind, name in ((True, "supported accepted"), (False, "unsupported accepted"))
    ]
    print(f"without all rules of reading: {', '.join(passing)}")
    print(
        "(by itself: no other rule rejects it, and the verifier would pass it; -: a rule that cannot be left out here)"
    )


def print_aims(judged: list[Judged]) -> None:
    """The project's aims on these claims, and whether each was met."""

    def share(label: Callable[[str], bool], verdict: str) -> list[bool]:
        return [found.verdict == verdict for row, found in judged if label(row["label"])]

    aims = (
        ("supported accepted", share(lambda label: label == "supported", "supported"), 0.90, True),
        ("unsupported accepted", share(lambda label: label != "supported", "supported"), 0.03, False),
        ("misattributed found", share(lambda label: label == "misattributed", "misattributed"), 0.90, True),
        ("not_found called misattributed", share(lambda label: label == "not_found", "misattributed"), 0.10, False),
    )
    for name, hits, aim, at_least in aims:
        if hits:
            met = np.mean(hits) >= aim if at_least else np.mean(hits) <= aim
            bound = "at least" if at_least else "at most"
            print(f"aim: {told_share(hits, name)}, {bound} {aim:.2f}: {'met' if met else 'NOT met'}")


def print_claims(*, quick: bool) -> None:
    """Everything on ../shared/claims.jsonl; `quick` takes one prompt of each half."""
    bench = Bench()
    rows_by_half = {half: load_rows(half) for half in ("choose", "report", "all")}
    if quick:
        files = {rows_by_half[half][0]["file"] for half in ("choose", "report")}
        rows_by_half = {half: [row for row in rows if row["file"] in files] for half, rows in rows_by_half.items()}
    english = {half: [row for row in rows if row["id"] not in FOREIGN_IDS] for half, rows in rows_by_half.items()}
    critical, freed = critical_thresholds(bench, english["all"]), find_freed(bench, english["all"])
    print(
        "CLAIMS: the whole validator on claims labelled by hand; claims that are not in English stand apart, at the end"
    )
    for half, told in HALVES.items():
        print(f"\n{half.upper()}: {told}; {len(english[half])} claims")
        judged = bench.judge(english[half])
        print_table(judged)
        print_aims(judged)
        print_acceptance_at(english[half], english["choose"] if half == "report" else [], critical)
        print_curve(english[half], critical, bench.shipped_threshold)
        print_rules(judged, freed)
    for half in HALVES:
        foreign = [row for row in rows_by_half[half] if row["id"] in FOREIGN_IDS]
        if foreign:
            print(f"\nNOT IN ENGLISH, {half}: {len(foreign)} claims")
            print_foreign(bench.judge(foreign))
    print()


def print_foreign(judged: list[Judged]) -> None:
    """Each verdict on claims in another language than English, by label."""
    counts = Counter((row["label"], found.verdict, found.layer) for row, found in judged)
    for (label, verdict, layer), n in sorted(counts.items()):
        print(f"{label:14} -> {verdict} ({layer}): {n}")
    print(shares(judged))
