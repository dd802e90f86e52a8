"""Wording that says the opposite of its evidence, or more."""

from __future__ import annotations

import pytest

from cnaps_rag.checks.wording import check_wording, leaves_out_doubt

OPPOSITE = [
    ("not added", "It does not improve precision.", "The hybrid improves precision."),
    ("without dropped", "It needs ground truth.", "It assesses mattes without ground truth."),
    ("no dropped", "Real data are available.", "No real data are available."),
    ("neither", "Neither the pipeline nor the map is public.", "The pipeline and the map are public."),
    ("no longer", "Data can no longer be removed.", "It has the ability to remove data."),
    ("non- dropped", "It is a brain-like strategy.", "It is a non-brain-like strategy."),
    ("strongly for weakly", "ROUGE correlates strongly with judgments.", "ROUGE is weakly correlated with judgments."),
    ("less for more", "It is less abstractive than the baseline.", "It is more abstractive than the baseline."),
    ("sides of a comparison", "MEMO is faster than it.", "Our method is faster than MEMO."),
    ("behind for on par", "It falls behind XGBoost.", "It performs on par with XGBoost."),
]
STRONGER = [
    ("can dropped", "It boosts annotation.", "It can boost annotation."),
    ("can dropped before an adverb", "It boosts annotation.", "It can substantially boost annotation."),
    ("nearly dropped", "Editing knowledge is impossible.", "Editing knowledge is nearly impossible."),
    ("partly dropped", "It is driven by noise.", "It is partly driven by noise."),
    ("may dropped", "It reduces noise.", "It may reduce noise."),
    (
        "hypothesis made a finding",
        "Image classifiers reach high accuracy by zooming.",
        "We hypothesize that image classifiers reach high accuracy by zooming first.",
    ),
    (
        "could excused by its own verb",
        "It enables researchers to derive value.",
        "It could enable researchers to derive value.",
    ),
    ("both of what is one", "It reads both low and high resolution.", "It reads low resolution."),
]
FAIR = [
    ("both as the evidence has them", "It reads both low and high resolution.", "It takes high or low resolution."),
    ("another softener", "Editing knowledge is almost impossible.", "Editing knowledge is nearly impossible."),
    ("same hedge", "It may reduce noise.", "It may reduce noise."),
    ("another hedge", "It could reduce noise.", "It may reduce noise."),
    ("unlike for not", "It does not process video frame by frame.", "Unlike others that process video frame by frame"),
    ("double negation", "It cannot do without real samples.", "It still requires real samples."),
    ("not only", "It helps not only ResNets.", "It helps ResNets and ViTs."),
    ("free of for without", "It came out without noise.", "It came out free of noise."),
    ("high and low of different things", "It takes a low-resolution image.", "It looks at high magnifications."),
    ("all of all", "It beats all methods.", "It outperforms all past methods."),
]


@pytest.mark.parametrize(("what", "claim", "evidence"), OPPOSITE, ids=[row[0] for row in OPPOSITE])
def test_opposite_is_contradicted(what: str, claim: str, evidence: str) -> None:
    assert {fault.verdict for fault in check_wording(claim, [evidence])} == {"contradicted"}


@pytest.mark.parametrize(("what", "claim", "evidence"), STRONGER, ids=[row[0] for row in STRONGER])
def test_stronger_is_not_found(what: str, claim: str, evidence: str) -> None:
    assert {fault.verdict for fault in check_wording(claim, [evidence])} == {"not_found"}


@pytest.mark.parametrize(("what", "claim", "evidence"), FAIR, ids=[row[0] for row in FAIR])
def test_fair_wording_has_no_fault(what: str, claim: str, evidence: str) -> None:
    assert check_wording(claim, [evidence]) == ()


def test_another_sentence_excuses_nothing() -> None:
    claim = "ROUGE is not correlated with human judgments."
    nearest = "ROUGE is correlated with human judgments on this task."
    assert check_wording(claim, [nearest, "Length is not correlated with quality."]) != ()


def test_words_left_out_that_hold_doubt() -> None:
    assert leaves_out_doubt("We hypothesize that")
    assert leaves_out_doubt("This paper does not")
    assert not leaves_out_doubt("We introduce a novel method")
