"""Quotations: frames, where quoted words stand, and what may be left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnaps_rag.checks.quotes import find_quotations, find_quoted, is_long, read_frame, split_pieces
from cnaps_rag.passages import Passages, split_passages
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import RelatedPaper, SourceId

P1 = SourceId("P1")


@pytest.fixture(scope="module")
def passages() -> Passages:
    text = (Path(__file__).parents[1] / "data/requests/001.txt").read_text(encoding="utf-8")
    return split_passages(AnswerRequest.from_prompt(text))


def quoted(passages: Passages, text: str) -> tuple[list[str], bool] | None:
    found = find_quoted(text, passages.of(P1), lambda words: words)
    if found is None:
        return None
    request = passages.request
    for passage, start, end in found.spans:
        assert passage.start <= start < end <= passage.end
    return [request.text(p.source_id, p.field)[start:end] for p, start, end in found.spans], found.is_whole


SENTENCE = 'Most run at 224x224px, while the "high resolution" versions are around 378-448px, but still inflexible.'


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("as it stands", SENTENCE),
        ("with curly quotation marks", SENTENCE.replace(' "', " “").replace('" ', "” ")),
        ("with a line break", SENTENCE.replace(" while ", "\nwhile  ")),
        ("without its full stop", SENTENCE[:-1]),
        ("with a small first letter", SENTENCE[0].lower() + SENTENCE[1:]),
    ],
)
def test_whole_sentence_stands(passages: Passages, what: str, text: str) -> None:
    found = quoted(passages, text)
    assert found is not None
    assert found[0][0].rstrip(".") == SENTENCE.rstrip(".")
    assert found[1]


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE.replace("224", "512"),
        SENTENCE.replace("inflexible", "flexible"),
        "introduce a method",
        "low-res vision … We introduce a novel method",
        "vision encoders are funda",
        "ision encoders are fundamental",
    ],
)
def test_other_words_do_not_stand(passages: Passages, text: str) -> None:
    assert quoted(passages, text) is None


def test_omission_is_allowed_and_not_whole_where_it_hides_a_doubt(passages: Passages) -> None:
    found = quoted(passages, "We introduce a novel method to … upsample the feature maps of low-res vision encoders")
    assert found is not None
    hidden = RelatedPaper(title="T", summary="We may say that it does not remove all noise from images.")
    other = split_passages(AnswerRequest(question="Q?", papers=(hidden,)))
    hiding = find_quoted("remove all noise from images.", other.of(P1), lambda words: words)
    assert hiding is not None
    assert not hiding.is_whole


@pytest.mark.parametrize(
    ("claim", "n_pieces"),
    [
        ('The paper says: "A b c d."', 1),
        ("The paper says: “A b “c” d.”", 1),
        ('The user asks: "A b c d?"', 1),
        ('The user says: "A b." "C d."', 2),
        ('Its closest sentence to the question is: "A b c d."', 1),
        ('LIIF: the supplied paper "T: U" says: "A b c d."', 1),
        ('The supplied paper "T" says: "A b."', 1),
        ('Its description says: "A b."', 1),
        ('P1, summary: "A b."', 1),
    ],
)
def test_frames_are_read(claim: str, n_pieces: int) -> None:
    framed = read_frame(claim)
    assert framed is not None
    assert len(split_pieces(framed[1][0])) == n_pieces


@pytest.mark.parametrize(
    "claim",
    ['The paper says: "A b c d." and removes noise.', "The paper says that it removes noise.", '"A b c d" is said.'],
)
def test_what_is_more_than_a_frame_is_none(claim: str) -> None:
    assert read_frame(claim) is None


def test_quotations_are_found_and_apostrophes_are_not() -> None:
    found = find_quotations("It's the user's 'very own \"blurry\" image' and \"a sharp one it is\", isn't it?")
    assert [is_long(quotation) for quotation in found if "sharp" in quotation.text] == [True]
    assert not any("isn" in quotation.text for quotation in found)
