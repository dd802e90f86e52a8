"""Which source a claim speaks of."""

from __future__ import annotations

import pytest

from cnaps_rag.checks.attribution import find_mentions, speaks_of_user, spoken_of, without_mentions
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import RecommendedModel, RelatedPaper, SourceId

REQUEST = AnswerRequest(
    question="How is a warehouse robot trained?",
    models=(RecommendedModel(name="OfflineRL-DecisionTransformer"), RecommendedModel(name="HTR-TrOCR-Handwritten")),
    papers=(
        RelatedPaper(
            title="Dealing with the Unknown: Pessimistic Offline Reinforcement Learning",
            summary="We propose a Pessimistic Offline Reinforcement Learning (PessORL) algorithm. It uses CLIP.",
        ),
        RelatedPaper(title="Voice Cloning: A Comprehensive Survey", summary="This survey is about CLIP voices."),
        RelatedPaper(title="FeatSharp: Your Vision Model Features, Sharper", summary="We upsample canopy maps."),
    ),
)

SPOKEN = [
    ("a whole title", "Voice Cloning: A Comprehensive Survey is new.", ("P2",)),
    ("the head of a title", "FeatSharp upsamples maps.", ("P3",)),
    ("a possessive", "FeatSharp's maps are sharp.", ("P3",)),
    ("a name that one paper introduces", "PessORL penalizes values.", ("P1",)),
    ("a name that two papers hold", "CLIP is used.", ()),
    ("a description from the title", "The voice-cloning survey sets terms.", ("P2",)),
    ("a description from the summary", "The canopy study upsamples.", ("P3",)),
    ("a whole model name", "OfflineRL-DecisionTransformer predicts actions.", ("M1",)),
    ("the distinctive part of a model name", "TrOCR reads lines.", ("M2",)),
    ("a name before a Korean particle", "HTR-TrOCR-Handwritten은 읽습니다.", ("M2",)),
    ("the models at large", "The models take an image.", ("M1", "M2")),
    ("nothing", "Images are sharp.", ()),
    ("two sources", "FeatSharp uses TrOCR.", ("P3", "M2")),
]


@pytest.mark.parametrize(("what", "claim", "ids"), SPOKEN, ids=[row[0] for row in SPOKEN])
def test_what_a_claim_names(what: str, claim: str, ids: tuple[str, ...]) -> None:
    assert spoken_of(claim, REQUEST, None) == ids


UNDER_M1 = [
    ("no name", "Upsamples feature maps.", ("M1",)),
    ("pronoun before a name", "It uses FeatSharp.", ("M1",)),
    ("its own subject", "FeatSharp upsamples maps.", ("P3",)),
    ("the same by name", "OfflineRL-DecisionTransformer beats FeatSharp.", ("M1",)),
]


@pytest.mark.parametrize(("what", "claim", "ids"), UNDER_M1, ids=[row[0] for row in UNDER_M1])
def test_subject_from_the_context(what: str, claim: str, ids: tuple[str, ...]) -> None:
    assert spoken_of(claim, REQUEST, SourceId("M1")) == ids


def test_mentions_have_exact_places() -> None:
    claim = "In FeatSharp, TrOCR reads; the voice-cloning survey does not."
    places = [(mention.source_id, claim[mention.start : mention.end]) for mention in find_mentions(claim, REQUEST)]
    assert places == [("P3", "FeatSharp"), ("M2", "TrOCR"), ("P2", "the voice-cloning survey")]


def test_names_of_some_sources_are_put_aside() -> None:
    assert without_mentions("FeatSharp beats TrOCR.", REQUEST, [SourceId("P3")]) == "it beats TrOCR."


def test_words_that_call_two_sources_are_replaced_once() -> None:
    papers = (RelatedPaper(title="GrainNet manual"), RelatedPaper(title="GrainNet manual", summary="It runs."))
    request = AnswerRequest(question="How fast is it?", papers=papers)
    assert without_mentions("GrainNet manual: it runs.", request, [SourceId("P1"), SourceId("P2")]) == "it: it runs."


@pytest.mark.parametrize(
    ("claim", "of_user"),
    [
        ("The user wants a sharp image.", True),
        ("The question asks about zooming.", True),
        ("You want it larger.", True),
        ("The question answering model is fast.", True),
        ("FeatSharp helps the users.", False),
        ("The model enlarges the image.", False),
    ],
)
def test_claims_about_the_user(claim: str, of_user: bool) -> None:
    assert speaks_of_user(claim) is of_user


def test_twins_are_one_source() -> None:
    twins = AnswerRequest(
        question="Q?",
        models=(RecommendedModel(name="SISR-LIIF", paper="https://arxiv.org/abs/2012.09161"),),
        papers=(RelatedPaper(title="Local Things: A Study", paper="http://arxiv.org/pdf/2012.09161v3"),),
    )
    assert {mention.source_id for mention in find_mentions("LIIF and Local Things", twins)} == {"M1", "P1"}
    assert spoken_of("LIIF works.", twins, SourceId("P1")) == ("P1",)
