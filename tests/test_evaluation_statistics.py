"""Means, intervals and comparisons against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnaps_rag.evaluation.statistics import compare_paired, estimate, mcnemar_p


def by_case(values: list[float]) -> dict[str, list[float]]:
    return {f"case{number:03}": [value] for number, value in enumerate(values)}


def test_nothing_scored_is_no_estimate() -> None:
    assert estimate({}) is None
    assert estimate({"a": []}) is None


def test_few_cases_have_a_mean_and_no_interval() -> None:
    found = estimate(by_case([0.0, 1.0, 1.0, 1.0]))
    assert found is not None
    assert (found.mean, found.n, found.n_cases, found.interval) == (0.75, 4, 4, None)


def test_the_interval_of_a_large_sample_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(10, 2, size=400)
    found = estimate(by_case(list(values)))
    assert found is not None
    assert found.interval is not None
    half = 1.96 * values.std() / np.sqrt(400)
    assert found.interval == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05)
    assert found.p95 == pytest.approx(np.quantile(values, 0.95))


def test_repeats_of_a_case_do_not_narrow_the_interval() -> None:
    values = [float(number % 2) for number in range(20)]
    once, often = estimate(by_case(values)), estimate({case: row * 10 for case, row in by_case(values).items()})
    assert once is not None
    assert often is not None
    assert (often.n, often.n_cases) == (200, 20)
    assert often.interval == pytest.approx(once.interval)


@given(st.lists(st.floats(0, 1), min_size=5, max_size=30))
def test_the_interval_holds_the_mean_and_is_the_same_again(values: list[float]) -> None:
    found = estimate(by_case(values))
    assert found == estimate(by_case(values))
    assert found is not None
    assert found.interval is not None
    assert found.interval[0] - 1e-9 <= found.mean <= found.interval[1] + 1e-9


@pytest.mark.parametrize("n_cases", [5, 8, 40])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(n_cases: int) -> None:
    draws = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        found = estimate(by_case(list(draws.normal(0.5, 0.2, size=n_cases))))
        assert found is not None
        assert found.interval is not None
        hits += found.interval[0] <= 0.5 <= found.interval[1]
    assert 0.91 <= hits / 400 <= 0.98


def test_runs_are_paired_by_case() -> None:
    hard_and_easy = [0.1 * (number % 10) for number in range(40)]
    found = compare_paired(by_case(hard_and_easy), by_case([value + 0.02 for value in hard_and_easy]))
    assert found is not None
    assert found.difference == pytest.approx(0.02)
    assert found.outcome(higher_is_better=True) == "better"
    assert found.outcome(higher_is_better=False) == "worse"


def test_no_difference_is_not_distinguishable() -> None:
    draws = np.random.default_rng(3)
    first, second = (by_case(list(draws.uniform(0, 1, size=30))) for _ in range(2))
    for other in (first, second):
        found = compare_paired(first, other)
        assert found is not None
        assert found.outcome(higher_is_better=True) == "not distinguishable"


def test_only_cases_that_both_hold_are_compared() -> None:
    found = compare_paired({"a": [1.0], "b": [0.0], "c": []}, {"a": [0.0], "c": [1.0], "d": [1.0]})
    assert found is not None
    assert (found.n_cases, found.difference, found.interval) == (1, -1.0, None)
    assert found.outcome(higher_is_better=True) == "too few cases"
    assert compare_paired({"a": [1.0]}, {"b": [1.0]}) is None


def test_yes_and_no_are_compared_by_mcnemar() -> None:
    first = by_case([1.0] * 6 + [0.0] * 24)
    second = by_case([0.0] * 1 + [1.0] * 5 + [1.0] * 10 + [0.0] * 14)
    found = compare_paired(first, second)
    assert found is not None
    assert (found.n_gained, found.n_lost) == (10, 1)
    assert found.p_value == pytest.approx(0.01171875)  # 2 * P(X <= 1), X ~ Binomial(11, 1/2)
    assert found.outcome(higher_is_better=True) == "better"


def test_the_bootstrap_alone_does_not_decide_on_yes_and_no() -> None:
    found = compare_paired(by_case([0.0] * 5 + [0.0] * 15), by_case([1.0] * 4 + [0.0] * 16))
    assert found is not None
    assert found.interval is not None
    assert found.interval[0] > 0
    assert found.p_value == pytest.approx(0.125)
    assert found.outcome(higher_is_better=True) == "not distinguishable"


@pytest.mark.parametrize(("gained", "lost", "p"), [(0, 0, 1.0), (5, 5, 1.0), (0, 6, 0.03125), (6, 0, 0.03125)])
def test_mcnemar(gained: int, lost: int, p: float) -> None:
    assert mcnemar_p(gained, lost) == pytest.approx(p)


def test_spread_between_answers_to_one_case_is_told() -> None:
    found, once = estimate({"a": [0.0, 1.0], "b": [0.5, 0.5], "c": [0.3]}), estimate({"a": [0.0], "b": [1.0]})
    assert found is not None
    assert once is not None
    assert found.repeat_sd == pytest.approx(np.sqrt(0.5 / 2))
    assert once.repeat_sd is None
