"""The judge: a table of planted faults, one a row, named by what is wrong; and of claims that must pass."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnaps_rag.passages import PassageId
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import RecommendedModel, RelatedPaper, SourceId
from cnaps_rag.validation import ClaimJudge, ClaimQuery, Judgement, load_index, load_judge

SEEDS = Path(__file__).parents[1] / "data" / "requests"
M1, P1, P2, P3, Q = (SourceId(source_id) for source_id in ("M1", "P1", "P2", "P3", "Q"))


@cache
def judge_of(seed: str) -> ClaimJudge:
    request = AnswerRequest.from_prompt((SEEDS / f"{seed}.txt").read_text(encoding="utf-8"))
    return load_judge(load_index(request))


def check_evidence(judge: ClaimJudge, judgement: Judgement) -> None:
    request = judge.index.passages.request
    for citation in judgement.evidence:
        assert request.text(citation.source_id, citation.field)[citation.start : citation.end] == citation.quote


# seed, what is wrong, claim, subject from its place, verdict, layer
FAULTS = [
    # What a weak LLM does inside a valid schema (facts.md)
    ("001", "invented expansion", "LIIF (Local Implicit Image Function) reads images.", M1, "not_found", "names"),
    (
        "001",
        "paper's sentence of the model",
        "It upsamples feature maps coherently.",
        M1,
        "misattributed",
        "attribution",
    ),
    (
        "001",
        "question as a claim of the model",
        "It preserves detail and tone at high magnifications.",
        M1,
        "not_found",
        "*",
    ),
    (
        "001",
        "question echoed",
        "How does AI preserve detail and tone even at high magnifications?",
        Q,
        "not_found",
        "form",
    ),
    ("001", "template echoed", "one full sentence", P1, "not_found", "form"),
    ("001", "cut in mid-word", "FeatSharp upsamples the feature maps of vision enco", P1, "not_found", "form"),
    (
        "001",
        "facts of two sources merged",
        "AIGI-VC upsamples feature maps and holds 2,500 images spanning 14 advertisement topics.",
        P3,
        "misattributed",
        "*",
    ),
    ("001", "both of what is one", "The user enlarged both low and high resolution images.", Q, "not_found", "wording"),
    # Numbers
    ("001", "another number", "The AIGI-VC dataset consists of 3,500 images.", None, "contradicted", "numbers"),
    (
        "002",
        "digits swapped",
        "Proper framing leads to the correct classification of 89.91% of images.",
        P1,
        "contradicted",
        "numbers",
    ),
    ("000", "counts swapped", "924 QA workers and 34 annotators took part.", P1, "contradicted", "numbers"),
    (
        "001",
        "number from nowhere",
        "FeatSharp upsamples feature maps 3.1 points more accurately.",
        P1,
        "not_found",
        "numbers",
    ),
    # Names
    (
        "002",
        "another method compared with",
        "Their method is more accurate and faster than TENT.",
        P1,
        "not_found",
        "names",
    ),
    ("001", "another model in the place", "FeatSharp is shown within DINOv2 training.", None, "not_found", "names"),
    # Wording
    ("000", "negation dropped", "This paper describes a novel method.", P1, "contradicted", "wording"),
    ("001", "sides of a comparison", "ViTs are more sensitive to saliency information than ResNets.", P2, "*", "*"),
    (
        "000",
        "could made does",
        "The work enables researchers to derive more value from a budget.",
        P1,
        "not_found",
        "wording",
    ),
    (
        "002",
        "hypothesis made a finding",
        "Image classifiers reach high accuracy by zooming first.",
        P1,
        "not_found",
        "wording",
    ),
    ("002", "better made best", "It is the best test-time augmentation method of all.", P1, "not_found", "verifier"),
    # Attribution
    (
        "001",
        "fact of a paper told of the model by name",
        "SISR-Any-LIIF-EDSR upsamples the feature maps of low-res vision encoders.",
        None,
        "misattributed",
        "attribution",
    ),
    (
        "001",
        "fact of a paper told of another",
        "AIGI-VC finds that CLIP enhances semantic encoding in both architectures.",
        None,
        "misattributed",
        "attribution",
    ),
    ("001", "known from elsewhere", "LIIF predicts the RGB value at a coordinate.", None, "not_found", "*"),
    ("001", "read out of a name", "SISR-Any-LIIF-EDSR does single-image super-resolution.", None, "not_found", "*"),
    ("003", "read out of a dataset's name", "Deblur-MSSNet-GoPro is trained on GoPro.", None, "not_found", "*"),
    # Quotes
    (
        "001",
        "quote changed",
        'The paper says: "We introduce a novel method to denoise images."',
        P1,
        "not_found",
        "quotes",
    ),
    (
        "001",
        "quote of another source",
        'The paper says: "The dataset consists of 2,500 images spanning 14 advertisement topics and 8 emotion types."',
        P1,
        "misattributed",
        "quotes",
    ),
    (
        "001",
        "quote within a claim changed",
        'FeatSharp is "a cheap way to sharpen photos".',
        None,
        "not_found",
        "quotes",
    ),
    (
        "001",
        "paper's words as the model's",
        'SISR-Any-LIIF-EDSR: the supplied paper "FeatSharp: Your Vision Model Features, Sharper" says: "We introduce a '
        "novel method to coherently and cheaply upsample the feature maps of low-res vision encoders while picking up "
        'on fine-grained details that would otherwise be lost due to resolution."',
        None,
        "*",
        "quotes",
    ),
    # Absence
    (
        "001",
        "absence of what is told",
        "The supplied sources do not say how many images AIGI-VC holds.",
        None,
        "contradicted",
        "absence",
    ),
    (
        "001",
        "fact smuggled in",
        "The supplied sources do not say how LIIF's implicit function works.",
        None,
        "not_found",
        "absence",
    ),
    ("001", "name smuggled in", "The supplied sources do not say how LIIF uses DIV2K.", None, "not_found", "absence"),
    # The request
    ("001", "only one of the papers", "FeatSharp is the only supplied paper.", None, "contradicted", "request"),
    ("001", "wrong number of papers", "Two related papers are supplied.", None, "contradicted", "request"),
    # The user
    (
        "001",
        "user's wish invented",
        "The user wants to train a vision transformer on ImageNet.",
        None,
        "not_found",
        "*",
    ),
    # Halves
    (
        "001",
        "second half untrue",
        "The user enlarged an image by 4x; whether FeatSharp is fast the supplied sources do not "
        "say, and Google sells it.",
        None,
        "not_found",
        "*",
    ),
    # Languages
    ("001", "German", "FeatSharp vergrößert die Merkmalskarten und ist nicht teuer.", None, "unchecked", "language"),
    (
        "001",
        "German with a wrong number",
        "AIGI-VC besteht aus 3.500 und nicht 99 Bildern für die Werbung.",
        None,
        "not_found",
        "numbers",
    ),
]

SUPPORTED = [
    (
        "001",
        "near the wording",
        "FeatSharp upsamples the feature maps of low-res vision encoders coherently and cheaply.",
        None,
        "verifier",
    ),
    ("001", "number with a separator less", "The AIGI-VC dataset consists of 2500 images.", None, "verifier"),
    ("001", "subject from its place", "It enhances semantic encoding in both architectures with CLIP.", P2, "verifier"),
    (
        "001",
        "framed quote",
        'The paper says: "CLIP also enhances semantic encoding in both architectures."',
        P2,
        "quotes",
    ),
    (
        "001",
        "quote with quotation marks inside",
        'The paper says: “Most run at 224x224px, while the "high resolution" versions are around 378-448px, but still '
        "inflexible.”",
        P1,
        "quotes",
    ),
    (
        "001",
        "question quoted",
        'The user asks: "How does AI preserve detail and tone even at high magnifications?"',
        Q,
        "quotes",
    ),
    (
        "001",
        "question retold",
        "The user enlarged a low-resolution image by 4x and asks how AI preserves detail and tone.",
        None,
        "verifier",
    ),
    (
        "001",
        "absence about a model without text",
        "The supplied sources do not say how SISR-Any-LIIF-EDSR works.",
        None,
        "absence",
    ),
    (
        "001",
        "absence of fit",
        "The supplied sources do not say that SISR-Any-LIIF-EDSR does what the question asks.",
        None,
        "absence",
    ),
    ("001", "part of a name", 'The name SISR-Any-LIIF-EDSR contains "LIIF".', None, "request"),
    ("001", "recommended model", "The only recommended model is SISR-Any-LIIF-EDSR.", None, "request"),
    (
        "001",
        "question and absence",
        "The user enlarged a low-resolution image by 4x; whether SISR-Any-LIIF-EDSR takes such an image the supplied "
        "sources do not say.",
        None,
        "*",
    ),
]


@pytest.mark.parametrize(
    ("seed", "what", "claim", "subject", "verdict", "layer"), FAULTS, ids=[f"{row[0]} {row[1]}" for row in FAULTS]
)
def test_planted_fault_is_stopped(
    seed: str, what: str, claim: str, subject: SourceId | None, verdict: str, layer: str
) -> None:
    judge = judge_of(seed)
    judgement = judge.judge(claim, subject=subject)
    check_evidence(judge, judgement)
    assert judgement.verdict != "supported"
    assert verdict in ("*", judgement.verdict)
    assert layer in ("*", judgement.layer)
    assert judgement.reason


@pytest.mark.parametrize(
    ("seed", "what", "claim", "subject", "layer"), SUPPORTED, ids=[f"{row[0]} {row[1]}" for row in SUPPORTED]
)
def test_true_claim_passes(seed: str, what: str, claim: str, subject: SourceId | None, layer: str) -> None:
    judge = judge_of(seed)
    judgement = judge.judge(claim, subject=subject)
    check_evidence(judge, judgement)
    assert (judgement.verdict, judgement.reason) == ("supported", judgement.reason)
    assert layer in ("*", judgement.layer)
    assert judgement.evidence or judgement.layer == "absence"


def test_many_at_once_are_judged_as_one_by_one() -> None:
    judge = judge_of("001")
    rows = [row for row in FAULTS if row[0] == "001"]
    queries = [ClaimQuery(text=row[2], subject=row[3]) for row in rows]
    assert judge.judge_all(queries) == tuple(judge.judge(query.text, subject=query.subject) for query in queries)
    assert judge.judge_all([]) == ()


# claim, subject of the slot, ids cited, verdict, layer
DRAFTED = [
    ("FeatSharp upsamples feature maps coherently and cheaply.", P1, ["P1.6"], "supported", "verifier"),
    ("FeatSharp upsamples feature maps coherently and cheaply.", P1, ["P1.5"], "supported", "verifier"),
    ("FeatSharp upsamples feature maps coherently and cheaply.", P1, ["P9.1"], "not_found", "ids"),
    ("FeatSharp upsamples feature maps coherently and cheaply.", P1, ["P2.1", "P1.6"], "misattributed", "ids"),
    ("FeatSharp upsamples feature maps coherently and cheaply.", M1, ["P1.6"], "misattributed", "ids"),
    ("FeatSharp upsamples feature maps coherently and cheaply.", M1, ["M1.0"], "misattributed", "attribution"),
    ("SISR-Any-LIIF-EDSR takes a low-resolution image.", M1, ["Q.1"], "not_found", "ids"),
    ("The user starts from a low-resolution image enlarged by 4x.", Q, ["Q.1"], "supported", "verifier"),
]


@pytest.mark.parametrize(("claim", "subject", "cited", "verdict", "layer"), DRAFTED)
def test_drafted_claim_stands_on_its_slot(
    claim: str, subject: SourceId, cited: list[str], verdict: str, layer: str
) -> None:
    judgement = judge_of("001").judge(claim, subject=subject, cited=[PassageId(passage_id) for passage_id in cited])
    assert (judgement.verdict, judgement.layer) == (verdict, layer)


def test_evidence_is_the_smallest_that_supports() -> None:
    cited = [PassageId(f"P1.{number}") for number in range(1, 7)]
    claim = (
        "We introduce a novel method to coherently and cheaply upsample the feature maps of low-res vision encoders."
    )
    judgement = judge_of("001").judge(claim, subject=P1, cited=cited)
    assert judgement.verdict == "supported"
    assert len(judgement.evidence) == 1
    assert "cheaply upsample" in judgement.evidence[0].quote


MODEL_PAPER = "https://arxiv.org/abs/2012.09161"
TOLD = AnswerRequest(
    question="How is a photo enlarged without blur?",
    models=(
        RecommendedModel(name="SISR-Any-LIIF-EDSR", paper=MODEL_PAPER),
        RecommendedModel(name="CF-LightGCN-Gowalla", description="It recommends items from a graph of users."),
    ),
    papers=(
        RelatedPaper(
            title="Continuous Images",
            paper="http://arxiv.org/pdf/2012.09161v3",
            summary="We represent an image as a continuous function. It is enlarged up to 30 times.",
        ),
        RelatedPaper(
            title="A Study of Graphs",
            summary="LightGCN propagates embeddings on a graph of users and items. Our method is faster than LightGCN.",
        ),
        RelatedPaper(title="Silent Paper on Image Enlargement"),
        RelatedPaper(
            title="한국어 논문", summary="이 논문은 이미지를 확대하는 새로운 방법을 제안합니다. 결과는 선명합니다."
        ),
        RelatedPaper(title="Do Networks Dream?", summary="Do networks remove noise from photos? We leave it open."),
    ),
)

OF_TOLD = [
    ("the model's own paper among the related ones", "LIIF represents an image as a continuous function.", "supported"),
    (
        "another paper's sentence that names the model",
        "LightGCN propagates embeddings on a graph of users and items.",
        "supported",
    ),
    ("a description", "CF-LightGCN-Gowalla recommends items from a graph of users.", "supported"),
    ("a paper's own method told of a model it names", "LightGCN is faster than the other method.", "*"),
    (
        "a paper without a summary",
        "Silent Paper on Image Enlargement proposes a diffusion network for photos.",
        "not_found",
    ),
    (
        "absence where the model's twin tells it",
        "The supplied sources do not say how an image is represented in LIIF.",
        "contradicted",
    ),
    ("English over Korean evidence", "The Korean paper 한국어 논문 proposes a new method to enlarge images.", "*"),
    ("a question that a paper raises", "Networks remove noise from photos.", "not_found"),
]


@pytest.mark.parametrize(("what", "claim", "verdict"), OF_TOLD, ids=[row[0] for row in OF_TOLD])
def test_models_with_text(what: str, claim: str, verdict: str) -> None:
    judgement = load_judge(load_index(TOLD)).judge(claim)
    if verdict == "*":
        assert judgement.verdict != "supported"
    else:
        assert judgement.verdict == verdict


def test_claim_about_two_sources_needs_each_half_of_its_own() -> None:
    judge = judge_of("001")
    own = "FeatSharp upsamples the feature maps of vision encoders"
    true = f"{own}, while the AIGI-VC dataset consists of 2,500 images spanning 14 advertisement topics."
    crossed = f"{own}, while AIGI-VC finds that CLIP enhances semantic encoding in both architectures."
    assert judge.judge(true).verdict == "supported"
    assert {citation.source_id for citation in judge.judge(true).evidence} == {P1, P3}
    assert judge.judge(crossed).verdict == "misattributed"


def test_quote_that_lists_models_is_not_cut() -> None:
    quote = "It performs on par with LIIF, LightGCN, and other methods that are known for such data."
    request = TOLD.model_copy(
        update={"papers": (*TOLD.papers, RelatedPaper(title="A List", summary=f"We try a thing. {quote}"))}
    )
    judgement = load_judge(load_index(request)).judge(f'The supplied paper "A List" says: "{quote}"')
    assert (judgement.verdict, judgement.layer) == ("supported", "quotes")


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=300), st.sampled_from([None, M1, P1, Q]))
def test_any_text_is_judged(text: str, subject: SourceId | None) -> None:
    judge = judge_of("001")
    check_evidence(judge, judge.judge(text, subject=subject))
