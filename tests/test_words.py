"""Words, stems and their offsets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnaps_rag.words import content_stems, split_words, stem


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("annotation", "annotators"),
        ("classification", "classify"),
        ("colour", "color"),
        ("optimise", "optimization"),
        ("study", "studies"),
        ("upsampling", "upsampled"),
        ("analysis", "analyses"),
        ("built", "builds"),
        ("stability", "stable"),
        ("model's", "models"),
    ],
)
def test_forms_of_one_word_have_one_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize(
    ("one", "other"), [("image", "imagine"), ("sensor", "sense"), ("model", "mode"), ("loss", "lose")]
)
def test_different_words_keep_apart(one: str, other: str) -> None:
    assert stem(one) != stem(other)


def test_function_words_carry_no_content() -> None:
    assert content_stems("It is the image of a cat.") == (stem("image"), stem("cat"))


@given(st.text())
def test_offsets_are_exact(text: str) -> None:
    assert all(text[word.start : word.end] == word.text for word in split_words(text))
