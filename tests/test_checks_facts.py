"""Claims about the request itself."""

from __future__ import annotations

import pytest

from cnaps_rag.checks.facts import check_request_fact
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import RecommendedModel, RelatedPaper, SourceId

REQUEST = AnswerRequest(
    question="How is it sharpened?",
    models=(
        RecommendedModel(name="Restoration-SwinIR-Jpeg40", paper="https://arxiv.org/pdf/2108.10257"),
        RecommendedModel(name="SISR-Any-LIIF-EDSR", github="https://github.com/yinboc/liif"),
    ),
    papers=(RelatedPaper(title="FeatSharp: Sharper", paper="http://arxiv.org/pdf/2502.16025v1.pdf", summary="S."),),
)

FACTS = [
    ("the recommended models", "The recommended models are SwinIR and SISR-Any-LIIF-EDSR.", "supported"),
    ("one of the recommended models", "SISR-Any-LIIF-EDSR is a recommended model.", "supported"),
    ("one said to be the only one", "The only recommended model is SISR-Any-LIIF-EDSR.", "contradicted"),
    ("one left out", "The recommended model is SISR-Any-LIIF-EDSR.", "contradicted"),
    ("a paper as a recommended model", "FeatSharp is a recommended model.", "contradicted"),
    ("their number", "Two models are recommended.", "supported"),
    ("a wrong number of models", "Three models are recommended.", "contradicted"),
    ("a wrong number of papers", "Two related papers are supplied.", "contradicted"),
    ("a wrong order", "The second recommended model is SwinIR.", "contradicted"),
    ("the order", "The first recommended model is SwinIR.", "supported"),
    ("an order without the kind", "SISR-Any-LIIF-EDSR was listed first.", "contradicted"),
    ("that order", "SISR-Any-LIIF-EDSR was listed second.", "supported"),
    ("a paper said to be a model's", "FeatSharp is the paper of SISR-Any-LIIF-EDSR.", "not_found"),
    ("a model said to be a paper's", "SISR-Any-LIIF-EDSR is the model of the paper FeatSharp: Sharper.", "not_found"),
    ("code said to be with another's", "LIIF has its code in the repository of FeatSharp.", "not_found"),
    ("two sources of one list", "No GitHub link was supplied for SwinIR or for FeatSharp.", "supported"),
    ("a link of its own", "The code of LIIF is at https://github.com/yinboc/liif.", "supported"),
    ("a version of its own link", "FeatSharp's paper is at https://arxiv.org/abs/2502.16025.", "supported"),
    ("another source's link", "The code of SwinIR is at https://github.com/yinboc/liif.", "misattributed"),
    ("a foreign link", "The code of LIIF is at https://github.com/evil/liif.", "not_found"),
    ("a paper's link called code", "The code of SwinIR is at https://arxiv.org/pdf/2108.10257.", "contradicted"),
    ("the host of a link", "The code of LIIF is on GitHub.", "supported"),
    ("a host that none was supplied on", "SwinIR is available on GitHub.", "not_found"),
    ("no link supplied", "No GitHub link was supplied for SwinIR.", "supported"),
    ("no link said of what has one", "No GitHub link was supplied for LIIF.", "contradicted"),
    ("no code concluded from no link", "SwinIR has no code.", "not_found"),
    ("part of a name", 'The name Restoration-SwinIR-Jpeg40 contains "Jpeg".', "supported"),
    ("part that is not in the name", 'The name Restoration-SwinIR-Jpeg40 contains "Png".', "contradicted"),
]
OTHERS = [
    "SwinIR is available and removes noise.",
    "The recommended models enlarge images.",
    "The code of LIIF is easy to use on GitHub.",
    "FeatSharp is a paper about sharpness.",
]


@pytest.mark.parametrize(("what", "claim", "verdict"), FACTS, ids=[row[0] for row in FACTS])
def test_facts_of_the_request(what: str, claim: str, verdict: str) -> None:
    fact = check_request_fact(claim, REQUEST, None)
    assert fact is not None
    assert fact.verdict == verdict


@pytest.mark.parametrize("claim", OTHERS)
def test_a_word_more_is_no_such_claim(claim: str) -> None:
    assert check_request_fact(claim, REQUEST, None) is None


def test_subject_from_the_context() -> None:
    fact = check_request_fact("Code: https://github.com/yinboc/liif", REQUEST, SourceId("M1"))
    assert fact is not None
    assert fact.verdict == "misattributed"
