from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cnaps_rag.sources import RecommendedModel, RelatedPaper, Source, SourceId, read_link, read_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  LIIF\t", "LIIF"),
        ("\u00a0LIIF\u3000", "LIIF"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("", None),
        (" \t ", None),
        ("N/A", None),
        ("n/a", None),
        ("None", None),
        ("-", None),
        ("N/A.", "N/A."),
        ("--", "--"),
        ("No", "No"),
        ("\u200bRe\u200bal\u202e", "\u200bRe\u200bal\u202e"),  # invisible characters are content
    ],
)
def test_read_text_strips_white_space_and_knows_nothing(value: str, text: str | None) -> None:
    assert read_text(value) == text


URL = "https://arxiv.org/pdf/2012.09161"


@pytest.mark.parametrize(
    ("value", "link"),
    [
        (URL, URL),
        (f"[arXiv]({URL})", URL),
        (f"[{URL}]({URL})", URL),
        (f"[[1] arXiv]({URL})", URL),
        (f"[](<{URL}>)", URL),
        (f'[arXiv]({URL} "a title")', URL),
        (f" <{URL}> ", URL),
        ("[x](https://en.wikipedia.org/wiki/A_(b))", "https://en.wikipedia.org/wiki/A_(b)"),
        ("[code](N/A)", None),
        ("[code]()", None),
        ("<>", None),
        ("N/A", None),
        (f"[a]({URL}) and more", f"[a]({URL}) and more"),
        (f"[a]({URL})[b]({URL})", f"[a]({URL})[b]({URL})"),
        (f"[a]([b]({URL}))", f"[a]([b]({URL}))"),
        ("<a b>", "<a b>"),
        ("HTTP://ArXiv.org/abs/2012.09161v3#x", "HTTP://ArXiv.org/abs/2012.09161v3#x"),  # spelling is not ours
    ],
)
def test_read_link_takes_the_url_out_of_markdown(value: str, link: str | None) -> None:
    assert read_link(value) == link


@given(st.text(alphabet="[]()<> \"'aN/-\t\u00a0", max_size=30))
def test_reading_a_value_again_does_not_change_it(value: str) -> None:
    for read in (read_text, read_link):
        once = read(value)
        assert once is None or read(once) == once


@pytest.mark.parametrize("name", ["", "  ", "N/A", "-"])
def test_a_source_needs_a_name(name: str) -> None:
    with pytest.raises(ValidationError):
        RecommendedModel(name=name)
    with pytest.raises(ValidationError):
        RelatedPaper(title=name)


def test_sources_are_frozen_and_closed() -> None:
    paper = RelatedPaper(title="T")
    with pytest.raises(ValidationError):
        paper.title = "U"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        RelatedPaper(title="T", venue="CVPR")  # type: ignore[call-arg]


def test_fields_of_a_source() -> None:
    paper = Source(id=SourceId("P1"), kind="paper", title="T", text="S", paper=URL)
    assert paper.field_names == ("title", "paper", "github", "summary")
    assert [paper.field(name) for name in paper.field_names] == ["T", URL, None, "S"]
    assert paper.field("description") is None
    assert paper.links == (URL,)
    question = Source(id=SourceId("Q"), kind="question", title="", text="Why?")
    assert question.field_names == ("question",)
    assert question.field("question") == "Why?"
    assert question.field("paper") is None
