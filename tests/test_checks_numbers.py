"""Numbers and units: policy.md, "When a claim is supported", 3, a row for each way to agree and to differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnaps_rag.checks.numbers import check_numbers, find_numbers, in_form_of

AGREEING = [
    ("98.91% of the images", "98.91% of ImageNet images"),
    ("a share of 0.9891", "98.91% of ImageNet images"),
    ("98.91 percent", "98.91%"),
    ("57648 images", "57,648 images"),
    ("57 648 images", "57,648 images"),
    ("71,400 webpages", "71.4k webpages"),
    ("2.4 million frames", "2.4M frames"),
    ("2 billion rows", "2,000,000,000 rows"),
    ("7.01% less", r"7.01\% less"),
    ("2,370 kW", "2.37MW of power"),
    ("21.6 km/h", "6m/s"),
    ("up to 27.6 percent", "of up to 27.6 percent"),
    ("at most 27.6 percent", "of up to 27.6 percent"),
    ("a maximum reduction of 27.6 percent", "of up to 27.6 percent"),
    ("fell by 10.6%", "decreased by 10.6 percent"),
    ("fell 10.6%", "decreased by 10.6 percent"),
    ("4x", "4×"),
    ("enlarged four times", "enlarged by 4x"),
    ("cut 9.6-fold", "reduced by 9.6 times"),
    ("four augmentations", "4 augmentations"),
    ("10 stages", "ten fixed stages"),
    ("twenty-four heads", "24 heads"),
    ("two hundred thousand steps", "200,000 steps"),
    ("one inference step", "a single inference step"),
    ("about 58,000 images", "57,648 images"),
    ("around 71k pages", "71.4k pages"),
    ("about 60,000 images", "57,648 images"),
    ("over 57,000 images", "57,648 images"),
    ("more than 90%", "98.91%"),
    ("at least 57,648 images", "57,648 images"),
    ("fewer than 30 words", "short (<30 words)"),
    ("no more than 3 seconds", "3 seconds"),
    ("3 s", "a 3-second duration"),
    ("200 ms", "0.2 s"),
    ("from 378 to 448 pixels", "around 378-448px"),
    ("224 pixels", "Most run at 224x224px"),
    ("in 2019 and 2022", "for the period 2019-2022"),
    ("in the 16th century", "16th-century Latin manuscripts"),
    ("the top five", "a top-5 ensemble"),
    ("(1) first, (2) second", "first and second"),
    ("2. It upsamples maps", "upsamples maps"),
    ("as Fig. 3 shows", "shows"),
    ("the ViT-L/14 and T5 models, Large960h and GPT-4o", "models"),
]

DIFFERING = [
    ("another number for the same quantity", "18 emotion types", "14 topics and 8 emotion types", "contradicted"),
    ("another number with the same unit", "512-640px", "around 378-448px", "contradicted"),
    ("digits swapped", "5.2% in AUC", "a 2.5% enhancement in AUC", "contradicted"),
    ("a decimal point lost", "24M frames", "2.4M frames", "contradicted"),
    ("metres made kilometres", "a resolution of 10km", "10m resolution", "contradicted"),
    ("seconds made minutes", "3 minutes", "a 3-second duration", "contradicted"),
    ("no number there at all", "3.1 points of accuracy", "it raises the accuracy", "not_found"),
    ("percent of a count", "92% of the users", "92 annotators", "not_found"),
    ("rounded up to a lie", "about 59,000 images", "57,648 images", "contradicted"),
    ("over what is less", "over 60,000 images", "57,648 images", "contradicted"),
    ("over what is far more", "over 10,000 images", "57,648 images", "contradicted"),
    ("over exactly that", "over 2,500 images", "2,500 images", "contradicted"),
    ("a sum that the writer worked out", "958 people", "924 annotators and 34 workers", "not_found"),
    ("a number word", "five upscaling models", "three upscaling models", "contradicted"),
    ("another year", "in 2021", "in 2019", "not_found"),
    ("a range widened", "from 1 to 20 emails", "3 to 10 emails", "contradicted"),
    ("percent made a count", "10 of the slices", r"10\% of the slices", "contradicted"),
    ("percent made a time", "7.01 ms on average", r"7.01\% on average", "contradicted"),
    ("another unit of power", "2.37 kW", "2.37MW of power", "contradicted"),
    ("turns made a speed", "a speed of 24 km/h", "a speed of 24rpm", "not_found"),
    ("a bound left out", "cut by 27.6 percent", "reductions of up to 27.6 percent", "not_found"),
    ("a difference made a level", "the error fell to 10.6%", "the error decreased by 10.6 percent", "contradicted"),
    ("a level made a difference", "it rises by 46%", "it increases the share to 46%", "contradicted"),
    ("another version than the title's", "MatAnyone 3", "the matting model", "not_found"),
]

SWAPPED = [
    ("924 QA workers and 34 annotators", "924 annotators and 34 QA workers"),
    ("3.6 percent for sister vessels", "10.6 percent for sister vessels, 3.6 percent for a similar vessel"),
    (
        "training time and memory by 11.4 and 9.6 times, respectively",
        "training time and memory by 9.6 and 11.4 times, respectively",
    ),
    (
        "training time falls by 11.4 times and memory by 9.6 times",
        "training time and memory by 9.6 and 11.4 times, respectively",
    ),
]


@pytest.mark.parametrize(("claim", "evidence"), AGREEING, ids=[claim for claim, _ in AGREEING])
def test_numbers_that_agree(claim: str, evidence: str) -> None:
    assert check_numbers(claim, evidence) == ()


@pytest.mark.parametrize(("what", "claim", "evidence", "verdict"), DIFFERING, ids=[row[0] for row in DIFFERING])
def test_numbers_that_do_not(what: str, claim: str, evidence: str, verdict: str) -> None:
    verdicts = sorted(fault.verdict for fault in check_numbers(claim, evidence))
    assert verdicts[:1] == [verdict]


@pytest.mark.parametrize(("claim", "evidence"), SWAPPED)
def test_equal_numbers_that_count_something_else(claim: str, evidence: str) -> None:
    assert {fault.verdict for fault in check_numbers(claim, evidence)} == {"contradicted"}


def test_numbers_in_another_order_with_what_they_belong_to_agree() -> None:
    evidence = "reduced training time and memory by 9.6 and 11.4 times, respectively"
    assert check_numbers("cuts training time 9.6-fold and memory 11.4-fold", evidence) == ()
    assert check_numbers("reduces memory and training time by 11.4 and 9.6 times, respectively", evidence) == ()


def test_digits_of_the_title_may_be_repeated() -> None:
    assert check_numbers("MatAnyone 2 assesses mattes", "assesses mattes", entry="MatAnyone 2: Matting") == ()


@given(st.text())
def test_offsets_are_exact_and_ordered(text: str) -> None:
    numbers = find_numbers(text)
    assert all(text[number.start : number.end] == number.text for number in numbers)
    assert [number.start for number in numbers] == sorted(number.start for number in numbers)


@given(st.integers(min_value=1_000, max_value=10**9))
def test_separators_do_not_matter(value: int) -> None:
    assert check_numbers(f"{value} images", f"{value:,} images") == ()
    assert check_numbers(f"{value:,} images", f"{value} images") == ()
    assert check_numbers(f"{value + 1} images", f"{value:,} images") != ()


FORMS = [
    (
        "fraction as percent",
        "98.91% of images are found.",
        "0.9891 of images are found.",
        "98.91% of images are found.",
    ),
    ("word as digit", "It has 4 views.", "It has four views.", "It has 4 views."),
    ("separator", "There are 57,648 images.", "There are 57648 images.", "There are 57,648 images."),
    ("another number stays", "There are 57,648 images.", "There are 57,000 images.", "There are 57,000 images."),
    ("a bound stays", "There are 57,648 images.", "There are over 57,000 images.", "There are over 57,000 images."),
    ("equal form stays", "It is 4x larger.", "It is 4x larger.", "It is 4x larger."),
]


@pytest.mark.parametrize(("what", "evidence", "claim", "expected"), FORMS, ids=[row[0] for row in FORMS])
def test_numbers_in_the_form_of_the_evidence(what: str, evidence: str, claim: str, expected: str) -> None:
    assert in_form_of(evidence, claim) == expected
