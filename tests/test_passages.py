from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnaps_rag.passages import Passage, Passages, split_passages
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, RecommendedModel, RelatedPaper, SourceId

REQUESTS = sorted((Path(__file__).parents[1] / "data" / "requests").glob("*.txt"))


def assert_exact(passages: Passages) -> None:
    request = passages.request
    for passage in passages.all:
        source = request.source(passage.source_id)
        assert (source.field(passage.field) or "")[passage.start : passage.end] == passage.text
        assert request.text(passage.source_id, passage.field)[passage.start : passage.end] == passage.text
        assert passage.text.strip() == passage.text != ""
        assert passages.by_id[passage.id] is passage
    assert len(passages.by_id) == len(passages.all)
    gathered = [passages.of(QUESTION_ID), *(passages.of(source.id) for source in request.sources)]
    assert sum(gathered, start=()) == passages.all


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_passages_of_the_seeds(path: Path) -> None:
    passages = split_passages(AnswerRequest.from_prompt(path.read_text(encoding="utf-8")))
    assert_exact(passages)
    assert [passage.id for passage in passages.of(SourceId("M1"))] == ["M1.0"]
    assert passages.of(SourceId("P1"))[0].id == "P1.0"
    assert "Q.0" not in passages.by_id


def test_passages_of_the_shared_requests(shared: Path) -> None:
    paths = sorted((shared / "requests").glob("*.txt"))
    for path in paths:
        assert_exact(split_passages(AnswerRequest.from_prompt(path.read_bytes().decode("utf-8"))))
    assert len(paths) == 20


def test_passages_of_a_thousand_real_abstracts(read_jsonl: Callable[[str], list[dict[str, Any]]]) -> None:
    abstracts = read_jsonl("abstracts.jsonl.gz")[:1000]
    papers = tuple(RelatedPaper(title=row["title"], summary=row["summary"]) for row in abstracts)
    passages = split_passages(AnswerRequest(question="What is new?", papers=papers[:500]))
    assert_exact(passages)
    assert 3_000 < len(passages.all) < 6_000
    assert_exact(split_passages(AnswerRequest(question="What is new?", papers=papers[500:])))


def test_ids_fields_and_order() -> None:
    request = AnswerRequest(
        question="It is sharp. Why?",
        models=(RecommendedModel(name="LIIF"), RecommendedModel(name="B", description="One. Two.")),
        papers=(RelatedPaper(title="T: a. B", summary="First. Second.\n\nThird"), RelatedPaper(title="U")),
    )
    passages = split_passages(request)
    assert [(p.id, p.source_id, p.field, p.text) for p in passages.all] == [
        ("Q.1", "Q", "question", "It is sharp."),
        ("Q.2", "Q", "question", "Why?"),
        ("M1.0", "M1", "name", "LIIF"),
        ("M2.0", "M2", "name", "B"),
        ("M2.1", "M2", "description", "One."),
        ("M2.2", "M2", "description", "Two."),
        ("P1.0", "P1", "title", "T: a. B"),
        ("P1.1", "P1", "summary", "First."),
        ("P1.2", "P1", "summary", "Second."),
        ("P1.3", "P1", "summary", "Third"),
        ("P2.0", "P2", "title", "U"),
    ]
    assert passages.of(SourceId("P2")) == (
        Passage(id=passages.all[-1].id, source_id=SourceId("P2"), field="title", start=0, end=1, text="U"),
    )
    with pytest.raises(KeyError):
        passages.of(SourceId("P3"))
    assert_exact(passages)


@pytest.mark.parametrize("summary", [None, "  \n ", "...", "*", "x" * 900_000, "A b. " * 20_000])
def test_summaries_with_little_or_much_in_them(summary: str | None) -> None:
    assert_exact(split_passages(AnswerRequest(question="?", papers=(RelatedPaper(title="T", summary=summary),))))


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=120)


@given(TEXT, TEXT, TEXT, TEXT)
@settings(max_examples=300)
def test_offsets_are_exact_in_any_text(question: str, title: str, description: str, summary: str) -> None:
    request = AnswerRequest(
        question=f"Q {question}",
        models=(RecommendedModel(name=f"M {title}", description=description),),
        papers=(RelatedPaper(title=f"{title} T", summary=summary),),
    )
    assert_exact(split_passages(request))
