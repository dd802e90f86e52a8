"""The verifier: shapes, bounds, and that nothing but the pair itself changes a score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnaps_rag.verifier import ClaimVerifier

PAIRS = [
    ("We upsample feature maps cheaply. CLIP helps.", "It upsamples feature maps."),
    ("We upsample feature maps cheaply.", "It cooks soup for the whole family."),
    ("", "It upsamples feature maps."),
    ("We upsample feature maps cheaply.", ""),
    ("한국어 문장입니다.", "It reads Korean."),
    ("word " * 3_000, "It is a word."),
]


@pytest.fixture(scope="module")
def verifier() -> ClaimVerifier:
    return ClaimVerifier()


def test_no_pairs_give_no_scores(verifier: ClaimVerifier) -> None:
    assert verifier.score([]).shape == (0,)


def test_scores_are_probabilities(verifier: ClaimVerifier) -> None:
    scores = verifier.score(PAIRS)
    assert scores.dtype == np.float32
    assert scores.shape == (len(PAIRS),)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_order_and_batch_change_nothing(verifier: ClaimVerifier) -> None:
    scores = verifier.score(PAIRS)
    assert verifier.score(PAIRS[::-1]).tolist() == scores[::-1].tolist()
    assert [float(verifier.score([pair])[0]) for pair in PAIRS] == scores.tolist()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=80), st.text(max_size=80)), max_size=4))
def test_any_text_has_a_score(pairs: list[tuple[str, str]]) -> None:
    scores = ClaimVerifier().score(pairs)
    assert np.isfinite(scores).all()
    assert scores.shape == (len(pairs),)


def test_what_is_said_passes_and_what_is_not_fails(verifier: ClaimVerifier) -> None:
    said, unsaid = verifier.score(PAIRS[:2])
    assert said >= verifier.threshold > unsaid


def test_evidence_that_is_long_is_read_in_windows(verifier: ClaimVerifier) -> None:
    padding = "Soup is cooked slowly. " * 40
    (score,) = verifier.score([(f"{padding}{PAIRS[0][0]} {padding}", PAIRS[0][1])])
    assert score >= verifier.threshold
