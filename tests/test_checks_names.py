"""Names and acronyms of a claim, against evidence and entry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnaps_rag.checks.names import check_expansions, check_names, find_names

EVIDENCE = (
    "We use vision transformers (ViT), e.g. CLIP, on ImageNet-A and European maps, and beat MEMO with "
    "low-rank adaptation (LoRA). GPT-4 helps."
)

HELD = [
    "CLIP helps.",
    "They are evaluated on ImageNet A.",
    "They are evaluated on imagenet-a.",
    "It uses ViTs.",
    "It uses a ViT.",
    "It is a CLIP-based method.",
    "It asks GPT 4.",
    "It is about Europe.",
    "It uses Low-Rank Adaptation.",
    "Vision transformers are used.",
    "Transformers are used by AI in English.",
    "FeatSharp beats MEMO.",
    "It yields 2.37 MW at 24 rpm.",
    "16th-century maps of 10km and 4K at 224x224px.",
]
MISSING = [
    ("a method put in another's place", "It beats TENT.", "TENT"),
    ("a dataset from nowhere", "It is trained on GoPro videos.", "GoPro"),
    ("a part of a compound", "It is a DINOv2-based method.", "DINOv2-based"),
    ("an organisation", "It was built by Google.", "Google"),
    ("a person", "It follows Turing.", "Turing"),
    ("a longer name that begins alike", "It uses CLIPSeg.", "CLIPSeg"),
    ("a shorter name that is a part", "It uses Lo.", "Lo"),
]


@pytest.mark.parametrize("claim", HELD)
def test_names_that_stand_there(claim: str) -> None:
    assert check_names(claim, EVIDENCE, entry="FeatSharp: Sharper", source_text=EVIDENCE) == ()


@pytest.mark.parametrize(("what", "claim", "name"), MISSING, ids=[row[0] for row in MISSING])
def test_names_that_stand_nowhere(what: str, claim: str, name: str) -> None:
    faults = check_names(claim, EVIDENCE, entry="FeatSharp: Sharper", source_text=EVIDENCE)
    assert [fault.reason for fault in faults] == [f'the evidence does not name "{name}".']


def test_acronym_stands_for_what_its_source_expands_it_to() -> None:
    source = "We introduce a Matting Quality Evaluator (MQE). The evaluator scales."
    assert check_names("MQE scales.", "The matting quality evaluator scales.", entry="", source_text=source) == ()
    assert check_names("MQE scales.", "The evaluator scales.", entry="", source_text="Another text.") != ()


def test_expansion_that_no_source_gives() -> None:
    supplied = "SISR-Any-LIIF-EDSR. We propose a test-time augmentation (TTA)."
    assert check_expansions("LIIF (Local Implicit Image Function) is used.", supplied) != ()
    assert check_expansions("Local Implicit Image Function (LIIF) is used.", supplied) != ()
    assert check_expansions("LIIF stands for Local Implicit Image Function.", supplied) != ()
    assert check_expansions('TTA is short for "total time average".', supplied) != ()
    assert check_expansions("TTA stands for test-time augmentation.", supplied) == ()
    assert check_expansions("A test-time augmentation (TTA) is used.", supplied) == ()


@given(st.text())
def test_offsets_are_exact(text: str) -> None:
    assert all(text[name.start : name.end] == name.text for name in find_names(text))
