"""Statements of absence: how they are told, where they are hidden, what they presuppose."""

from __future__ import annotations

import pytest

from cnaps_rag.checks.absence import presupposed, read_absence, split_at_absence
from cnaps_rag.words import content_stems

ABSENCES = [
    ("The supplied sources do not say how X works.", "how X works"),
    ("The sources supplied here don't mention the training data.", "the training data"),
    ("The supplied sources do not say that X does what the question asks.", "that X does what the question asks"),
    ("None of the supplied papers says what X costs.", "what X costs"),
    ("No source explains what X is for.", "what X is for"),
    ("No supplied text describes the decoder.", "the decoder"),
    ("Neither related paper mentions X.", "X"),
    ("The texts leave open which data X uses.", "which data X uses"),
    ("The supplied abstracts give no figure for the error.", "figure for the error"),
    ("The sources are silent on the licence.", "the licence"),
    ("How many threads X holds is not stated in the sources.", "How many threads X holds"),
    ("X's input is not described by the supplied sources.", "X's input"),
    ("It is not stated in the sources how X works.", "how X works"),
    ("It is unclear from the supplied sources whether X enlarges images.", "whether X enlarges images"),
    ("Whether X takes such an image the supplied sources do not say.", "Whether X takes such an image"),
    ("There is no information about the speed in the supplied texts.", "the speed"),
    ("Nothing in the supplied sources says that X is fast.", "that X is fast"),
]
OTHERS = [
    "X does not describe images.",
    "This paper does not describe a novel method.",
    "The sources describe how X works.",
    "The models do not say anything new about it all.",
    "X says nothing.",
]


@pytest.mark.parametrize(("claim", "topic"), ABSENCES, ids=[claim for claim, _ in ABSENCES])
def test_absence_is_read(claim: str, topic: str) -> None:
    absence = read_absence(claim)
    assert absence is not None
    assert absence.topic == topic


@pytest.mark.parametrize("claim", OTHERS)
def test_other_claims_are_none(claim: str) -> None:
    assert read_absence(claim) is None


def test_absence_is_split_off() -> None:
    assert split_at_absence("The user has a photo; whether X takes it the supplied sources do not say.") == (
        "The user has a photo",
        "whether X takes it the supplied sources do not say.",
    )
    assert split_at_absence("X is fast, but the supplied sources do not say how it works.") == (
        "X is fast",
        "the supplied sources do not say how it works.",
    )
    assert split_at_absence("The supplied sources do not say how X works, but it enlarges images.") == (
        "The supplied sources do not say how X works",
        "it enlarges images.",
    )
    assert split_at_absence("The sources do not say what X takes, although Y is a model.") == (
        "The sources do not say what X takes",
        "Y is a model.",
    )
    whole = "The sources do not say whether X is slow, but sharp, or fast."
    assert split_at_absence(whole) == (whole,)
    assert split_at_absence("X is fast; Y is slow.") == ("X is fast; Y is slow.",)


@pytest.mark.parametrize(
    ("topic", "smuggled"),
    [
        ("how LIIF's implicit function is trained", "implicit function"),
        ("how X uses its residual blocks", "residual blocks"),
        ("how well the image enlargement of X works", "image enlargement"),
        ("why X outperforms it", "outperforms"),
        ("why X keeps edges sharp", None),
        ("why X was recommended", None),
        ("what the input of X is", None),
        ("how X's input is read", None),
        ("how X's sharp edges are made", None),
        ("which hardware X needs", None),
    ],
)
def test_presupposition(topic: str, smuggled: str | None) -> None:
    known = frozenset(content_stems("How does LIIF keep edges sharp?"))
    assert presupposed(topic, known) == smuggled
