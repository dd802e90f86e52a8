"""The index: best first, exact, ties in passage order, only the sources asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnaps_rag.encoder import ShippedEncoder, Vectors
from cnaps_rag.errors import ServiceError
from cnaps_rag.index import PassageIndex
from cnaps_rag.passages import split_passages
from cnaps_rag.request import AnswerRequest, RecommendedModel, RelatedPaper
from cnaps_rag.sources import SourceId

REQUEST = AnswerRequest(
    question="How is a photograph enlarged without blur?",
    models=(RecommendedModel(name="Enlarger-9"), RecommendedModel(name="Enlarger-10", description="It adds pixels.")),
    papers=(
        RelatedPaper(title="Enlarging", summary="Photographs are enlarged by a network. Blur is avoided. Bees fly."),
        RelatedPaper(title="Enlarging", summary="Blur is avoided. Bees fly."),
        RelatedPaper(title="No summary"),
    ),
)
PASSAGES = split_passages(REQUEST)
ALL_IDS = ("M1", "M2", "P1", "P2", "P3")


class SmallEncoder:
    """Vectors of a few steps in each direction, so that many texts tie; the same for the same text."""

    def __init__(self, dim: int = 4, n_steps: int = 2) -> None:
        self.dim = dim
        self.n_steps = n_steps

    def encode(self, texts) -> Vectors:
        rows = [np.random.default_rng([*text.encode(), 1]).integers(1, self.n_steps + 1, self.dim) for text in texts]
        vectors = np.array(rows, dtype=np.float32).reshape(len(texts), self.dim)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class OddEncoder(SmallEncoder):
    """Gives whatever it was made with, from the second call on (or from the first)."""

    def __init__(self, odd: Vectors, *, n_good: int) -> None:
        super().__init__()
        self.odd = odd
        self.n_good = n_good

    def encode(self, texts) -> Vectors:
        self.n_good -= 1
        return super().encode(texts) if self.n_good >= 0 else self.odd


def test_vectors_stand_in_the_order_of_the_passages_the_question_included():
    index = PassageIndex(PASSAGES, ShippedEncoder())
    assert index.vectors.shape == (len(PASSAGES.all), 384)
    np.testing.assert_array_equal(index.vectors, ShippedEncoder().encode([passage.text for passage in PASSAGES.all]))
    assert PASSAGES.all[0].source_id == "Q"


def test_closest_passage_comes_first_and_the_question_is_left_out():
    hits = PassageIndex(PASSAGES, ShippedEncoder()).search("How is blur avoided?", 3)
    assert [hit.passage.text for hit in hits[:2]] == ["Blur is avoided."] * 2
    assert [hit.passage.id for hit in hits[:2]] == ["P1.2", "P2.1"]
    assert hits[0].score == hits[1].score > hits[2].score


def test_question_is_searched_where_it_is_asked_for():
    index = PassageIndex(PASSAGES, ShippedEncoder())
    hits = index.search(REQUEST.question, 1, source_ids={SourceId("Q"), SourceId("P1")})
    assert hits[0].passage.id == "Q.1"
    assert hits[0].score == pytest.approx(1, abs=1e-6)
    assert hits[0].score <= 1


@settings(deadline=None)
@given(
    query=st.text(max_size=5),
    k=st.integers(-1, 40),
    source_ids=st.none() | st.sets(st.sampled_from([*ALL_IDS, "Q", "P9"])),
    n_steps=st.integers(1, 3),
)
def test_search_equals_sorting_all_scores(query, k, source_ids, n_steps):
    index = PassageIndex(PASSAGES, SmallEncoder(n_steps=n_steps))
    hits = index.search(query, k, source_ids=source_ids)
    wanted = set(ALL_IDS) if source_ids is None else source_ids
    searched = [passage for passage in PASSAGES.all if passage.source_id in wanted]
    assert len(hits) == min(max(k, 0), len(searched))
    assert {hit.passage.source_id for hit in hits} <= wanted
    rows = [PASSAGES.all.index(hit.passage) for hit in hits]
    order = [(-hit.score, row) for hit, row in zip(hits, rows, strict=True)]
    assert order == sorted(order)
    scores = index.vectors @ index.encoder.encode([query])[0]
    np.testing.assert_allclose([hit.score for hit in hits], scores[rows], atol=1e-6)
    best = sorted((float(scores[PASSAGES.all.index(passage)]) for passage in searched), reverse=True)[: len(hits)]
    np.testing.assert_allclose([hit.score for hit in hits], best, atol=1e-6)


def test_equal_scores_stay_in_passage_order_wherever_the_cut_falls():
    index = PassageIndex(PASSAGES, SmallEncoder(n_steps=1))
    whole = [passage.id for passage in PASSAGES.all if passage.source_id != "Q"]
    for k in range(len(whole) + 2):
        assert [hit.passage.id for hit in index.search("any", k)] == whole[:k]


def test_query_of_another_dimension_is_an_error_that_says_so():
    index = PassageIndex(PASSAGES, SmallEncoder())
    index.encoder = SmallEncoder(dim=5)
    with pytest.raises(ServiceError, match="5 numbers for the query and 4 for the passages"):
        index.search("any", 3)


@pytest.mark.parametrize(
    "odd",
    [
        np.full((len(PASSAGES.all), 4), np.nan, dtype=np.float32),
        np.ones((2, 4), dtype=np.float32),
        np.ones(4, dtype=np.float32),
    ],
    ids=["not a number", "too few rows", "no table"],
)
def test_encoder_that_gives_no_vectors_is_an_error(odd):
    with pytest.raises(ServiceError, match="no finite vector for each"):
        PassageIndex(PASSAGES, OddEncoder(odd, n_good=0))
    index = PassageIndex(PASSAGES, OddEncoder(odd, n_good=1))
    with pytest.raises(ServiceError, match="no finite vector for each"):
        index.search("any", 3)
