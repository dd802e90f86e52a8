from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import answers
import pytest
from answers import M1, P1, P2, build_fit, build_sections, claim, hostile_body, plain_body, seed_body, slot
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import TypeAdapter

from cnaps_rag.fit import ModelFit
from cnaps_rag.links import canonical_link
from cnaps_rag.llm import Usage
from cnaps_rag.passages import PassageId, split_passages
from cnaps_rag.render import phrases
from cnaps_rag.render.escape import escape_markdown
from cnaps_rag.render.html import render_html
from cnaps_rag.render.json import AnswerJson, render_json
from cnaps_rag.render.layout import AnswerBody, quoted, shown_line
from cnaps_rag.render.markdown import render_markdown
from cnaps_rag.render.offsets import Utf16
from cnaps_rag.render.text import render_text
from cnaps_rag.report import Citation, LedgerEntry, Report
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, RecommendedModel, RelatedPaper

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["strikethrough", "table"])
ACTIVE = "\\`*_~[]()<>&#+-.!|=:^\"' aZ9é。\u00a0"


def bodies() -> list[AnswerBody]:
    return [*(seed_body(number) for number in range(5)), hostile_body()]


def literal_text(tokens: Sequence[Token]) -> str:
    """What a reader sees of inline tokens; fails on any that is not text."""
    kinds = {token.type for token in tokens}
    assert kinds <= {"text", "text_special"}, kinds
    return "".join(token.content for token in tokens)


# Escaping


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        pytest.param("SISR-Any-LIIF-EDSR", "SISR-Any-LIIF-EDSR", id="a hyphen in a name"),
        pytest.param("x_1 and snake_case_name", "x_1 and snake_case_name", id="an underscore inside a word"),
        pytest.param("a * b < 5 & c > d", "a * b < 5 & c > d", id="signs with blanks around"),
        pytest.param("about ~5 dB and [1, 2]", "about ~5 dB and [1, 2]", id="a tilde that closes nothing, brackets"),
        pytest.param("$\\alpha$", "$\\alpha$", id="a backslash before a letter"),
        pytest.param("*x* __init__", "\\*x\\* \\_\\_init\\_\\_", id="emphasis"),
        pytest.param("a [a](b) [a][b]", "a [a\\](b) [a\\][b]", id="links"),
        pytest.param("![a](b)", "![a\\](b)", id="an image"),
        pytest.param("see [^1]", "see \\[^1]", id="a footnote mark"),
        pytest.param("<b> <!-- &amp; &#60;", "\\<b> \\<!-- \\&amp; \\&#60;", id="tags, comments and entities"),
        pytest.param("`a` \\* \\", "\\`a\\` \\\\\\* \\\\", id="code and backslashes"),
        pytest.param("# a", "\\# a", id="a heading"),
        pytest.param("- a", "\\- a", id="a bullet"),
        pytest.param("12. a", "12\\. a", id="a numbered item"),
        pytest.param("12.5 a", "12.5 a", id="a number"),
        pytest.param("> a", "\\> a", id="a quote"),
        pytest.param("[x] a", "\\[x] a", id="a task"),
        pytest.param("at https://a.edu/~b/c_/d.", "at <https://a.edu/~b/c_/d>.", id="a link with active characters"),
        pytest.param("*at* https://a.edu/b_c.", "\\*at\\* https://a.edu/b_c.", id="a link without them"),
        pytest.param("at a.edu/~b/c.", "at a.edu/~b/c.", id="a link that has no scheme"),
    ],
)
def test_escape_markdown_writes_no_more_backslashes_than_needed(text: str, escaped: str) -> None:
    assert escape_markdown(text, before="\n", after="\n") == escaped


@given(st.text(ACTIVE, min_size=1).map(str.strip).filter(bool))
def test_escaped_text_is_read_literally_in_a_paragraph_and_in_an_item(text: str) -> None:
    escaped = escape_markdown(text, before="\n", after="\n")
    for prefix, kinds in (("", ["paragraph_open", "inline", "paragraph_close"]), ("- ", None)):
        tokens = MARKDOWN.parse(f"{prefix}{escaped}\n")
        inline = [token for token in tokens if token.type == "inline"]
        assert kinds is None or [token.type for token in tokens] == kinds
        assert len(tokens) == (3 if kinds else 7)
        assert literal_text(inline[0].children or []) == text


@given(st.text(ACTIVE, min_size=1).map(str.strip).filter(bool))
def test_escaped_text_is_read_literally_in_a_heading(text: str) -> None:
    tokens = MARKDOWN.parse(f"### {escape_markdown(text, before=' ', after=chr(10))}\n")
    assert [token.type for token in tokens] == ["heading_open", "inline", "heading_close"]
    assert literal_text(tokens[1].children or []) == text


@given(st.text(ACTIVE, min_size=1).map(str.strip).filter(bool), st.text(ACTIVE, min_size=1).map(str.strip).filter(bool))
def test_escaped_parts_of_one_line_do_not_act_together(first: str, second: str) -> None:
    line = f"The {escape_markdown(first, before=' ', after=' ')} and {escape_markdown(second, before=' ', after='.')}."
    assert literal_text(MARKDOWN.parseInline(line)[0].children or []) == f"The {first} and {second}."


# Markdown


@pytest.mark.parametrize("body", bodies(), ids=lambda body: body.passages.request.question[:20])
def test_claims_stand_where_the_markdown_says_and_marks_stand_after_them(body: AnswerBody) -> None:
    rendered = render_markdown(body)
    assert rendered.claims
    last_end = 0
    for found in rendered.claims:
        assert rendered.text[found.start : found.end] == found.text
        assert last_end <= found.start < found.end
        assert not re.search(r"(?<!\\)\[\^\d+\]", found.text)
        last_end = found.end


@pytest.mark.parametrize("body", bodies(), ids=lambda body: body.passages.request.question[:20])
def test_footnotes_are_numbered_by_first_use_and_quote_their_evidence(body: AnswerBody) -> None:
    rendered = render_markdown(body)
    text, _, notes = rendered.text.partition("\n\n[^1]: ")
    marks = [int(number) for number in re.findall(r"(?<!\\)\[\^(\d+)\]", text)]
    assert list(dict.fromkeys(marks)) == list(range(1, len(rendered.citations) + 1))
    definitions = f"[^1]: {notes}".splitlines()
    assert len(definitions) == len(rendered.citations)
    for number, (definition, cited) in enumerate(zip(definitions, rendered.citations, strict=True), 1):
        label = "Question" if cited.source_id == QUESTION_ID else f"{cited.source_id}, {cited.field}"
        quote = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", definition.removeprefix(f"[^{number}]: {label}: "))
        assert quote == quoted(shown_line(cited.quote, body))
        assert body.passages.request.text(cited.source_id, cited.field)[cited.start : cited.end] == cited.quote


def without_footnotes(markdown: str) -> str:
    return re.sub(r"(?<!\\)\[\^\d+\]", "", markdown.partition("\n\n[^1]: ")[0])


def all_tokens(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from all_tokens(token.children or [])


@pytest.mark.parametrize("body", bodies(), ids=lambda body: body.passages.request.question[:20])
def test_a_markdown_reader_finds_our_structure_and_supplied_links_only(body: AnswerBody) -> None:
    tokens = list(all_tokens(MARKDOWN.parse(without_footnotes(render_markdown(body).text))))
    known = {"text", "text_special", "inline", "hr", "softbreak"} | {
        f"{kind}_{side}"
        for kind in ("heading", "paragraph", "bullet_list", "list_item", "strong", "link")
        for side in ("open", "close")
    }
    assert {token.type for token in tokens} <= known
    supplied = {link for source in body.passages.request.sources for link in source.links if canonical_link(link)}
    assert {str(token.attrs["href"]) for token in tokens if token.type == "link_open"} <= supplied
    headings = [
        tokens[place + 1].content for place, token in enumerate(tokens) if token.tag == "h2" and token.nesting == 1
    ]
    assert headings == ["1. Task", "2. Workflow: input → model → output", "3. Papers and tools"]


def test_every_numbered_section_holds_something_in_every_answer() -> None:
    for body in bodies():
        parts = re.split(r"^## .*\n", render_markdown(body).text.partition("\n---\n")[0], flags=re.MULTILINE)
        assert len(parts) == 4
        assert all(part.strip() for part in parts)


def test_an_answer_without_models_and_papers_says_so() -> None:
    request = AnswerRequest(question="Why?", papers=(RelatedPaper(title="A", summary="It is so."),))
    assert phrases.NO_MODEL in render_markdown(plain_body(request)).text
    request = AnswerRequest(question="Why?", models=(RecommendedModel(name="LIIF"),))
    assert phrases.NO_PAPER in render_markdown(plain_body(request)).text


@pytest.mark.parametrize(
    ("state", "n_claims", "said"),
    [
        pytest.param("not_told", 0, "The supplied sources do not say what LIIF takes as input.", id="not told"),
        pytest.param(
            "not_told", 1, 'The user says: "Why?"[^1] The supplied sources do not say', id="a start, not told"
        ),
        pytest.param("none_passed", 0, "No statement about the input of LIIF passed the checks.", id="none passed"),
        pytest.param("ended", 0, "The answer ended before it came to the input of LIIF.", id="broken off"),
    ],
)
def test_an_open_slot_says_why(state: str, n_claims: int, said: str) -> None:
    passages = split_passages(AnswerRequest(question="Why?", models=(RecommendedModel(name="LIIF"),)))
    claims = [claim(passages, 'The user says: "{}"', "Q.1")] * n_claims
    sections = build_sections([slot("input", M1, claims, state)])  # type: ignore[arg-type]
    body = AnswerBody(passages=passages, sections=sections, fit=build_fit(passages), drafter="extractive")
    assert f"- **Input:** {said}" in render_markdown(body).text
    assert said.replace("[^1]", " [1]") in render_text(body)


def test_an_empty_task_slot_quotes_the_question() -> None:
    passages = split_passages(AnswerRequest(question="It is sharp. Why?", models=(RecommendedModel(name="LIIF"),)))
    sections = build_sections([slot("task", QUESTION_ID, state="none_passed")])
    body = AnswerBody(passages=passages, sections=sections, fit=build_fit(passages), drafter="extractive")
    text = render_markdown(body).text
    assert "No statement about the task passed the checks." in text
    assert 'The user asks: "It is sharp." "Why?"[^1][^2]' in text


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        pytest.param("fits", 'LIIF: the supplied paper “A "b"” says: "LIIF sharpens."[^1] This fits the question.'),
        pytest.param(
            "does_not_fit",
            'LIIF: the supplied paper “A "b"” says: "LIIF sharpens."[^1] This does not fit the question.',
        ),
        pytest.param("not_told", "The supplied sources do not say that LIIF does what the question asks."),
    ],
)
def test_the_answer_leads_with_the_fit_of_each_model(verdict: str, said: str) -> None:
    request = AnswerRequest(
        question="Why?",
        models=(RecommendedModel(name="LIIF"),),
        papers=(RelatedPaper(title='A "b"', summary="LIIF sharpens. So it is."),),
    )
    passages = split_passages(request)
    evidence = () if verdict == "not_told" else (PassageId("P1.1"),)
    fit = ModelFit(source_id=M1, verdict=verdict, evidence=evidence, reason="")  # type: ignore[arg-type]
    body = replace(plain_body(request), fit=build_fit(passages, models=[fit]))
    assert render_markdown(body).text.startswith(f"{said}\n\n## 1. Task\n")


def test_the_lead_says_where_no_statement_on_a_model_s_fit_passed() -> None:
    body = seed_body()
    body = replace(body, fit=replace(body.fit, models=()))
    said = "No statement about the fit of SISR-Any-LIIF-EDSR passed the checks."
    assert render_markdown(body).text.startswith(f"{said}\n\n## 1. Task\n")


def test_papers_not_used_are_listed_once_with_their_reason() -> None:
    request = AnswerRequest(
        question="Why?",
        papers=(
            RelatedPaper(title="Used", paper="https://arxiv.org/abs/2105.00001", summary="It sharpens. So it is."),
            RelatedPaper(title="Used again", paper="https://arxiv.org/pdf/2105.00001v2"),
            RelatedPaper(title="Other", paper="https://arxiv.org/abs/2105.00002", summary="It blurs."),
            RelatedPaper(title="Other again", paper="https://arxiv.org/abs/2105.00002", summary="It blurs."),
            RelatedPaper(title="Bare"),
        ),
    )
    passages = split_passages(request)
    sections = build_sections([slot("paper", P1, [claim(passages, 'The paper says: "{}"', "P1.1")])])
    body = AnswerBody(passages=passages, sections=sections, fit=build_fit(passages, [P1, P2]), drafter="extractive")
    unused = render_markdown(body).text.partition(f"{phrases.NOT_USED}\n\n")[2].partition("\n\n---")[0]
    assert unused == (
        "- **Other** · Paper: <https://arxiv.org/abs/2105.00002>\n"
        '  - Its closest sentence to the question is: "It blurs."\n'
        "- **Bare**\n"
        "  - No summary was supplied."
    )


@pytest.mark.parametrize(
    ("link", "rendered"),
    [
        pytest.param("https://arxiv.org/abs/2105.00001", "<https://arxiv.org/abs/2105.00001>", id="web address"),
        pytest.param("HTTP://ArXiv.org/abs/2105.00001", "<HTTP://ArXiv.org/abs/2105.00001>", id="kept as supplied"),
        pytest.param("github.com/yinboc/liif", "github.com/yinboc/liif", id="no scheme"),
        pytest.param("arXiv:2105.00001", "arXiv:2105.00001", id="an arXiv id"),
        pytest.param("javascript:alert(1)", phrases.UNSHOWN_LINK, id="never shown"),
        pytest.param("https://a@github.com/yinboc/liif", phrases.UNSHOWN_LINK, id="never shown, with a user"),
    ],
)
def test_links_are_written_as_supplied_or_not_at_all(link: str, rendered: str) -> None:
    body = plain_body(AnswerRequest(question="Why?", models=(RecommendedModel(name="LIIF", paper=link),)))
    assert f"\nPaper: {rendered}\n" in render_markdown(body).text
    bare = rendered.strip("<>")
    assert f"\nPaper: {bare}\n" in render_text(body)
    assert hrefs(render_html(body, is_traceable=True)) == ([link] * 2 if rendered.startswith("<") else [])


def test_a_claim_that_did_not_pass_is_marked_in_every_rendering_and_has_no_footnote() -> None:
    body = hostile_body()
    markdown = render_markdown(body)
    (rejected,) = [found for found in markdown.claims if not found.accepted]
    assert markdown.text[rejected.end :].startswith(" **[not traceable]**")
    assert "[not traceable:" in render_text(body)
    assert re.search(
        r'<span class="claim rejected".*?<span class="fault">not traceable:', render_html(body, is_traceable=False)
    )


@pytest.mark.parametrize(
    ("note", "shown"),
    [
        pytest.param(f"{phrases.LLM_FAILED}: 503 from https://evil.example/", f"{phrases.LLM_FAILED}.", id="an error"),
        pytest.param(f"{phrases.LEFT_OUT}.", f"{phrases.LEFT_OUT}.", id="a fixed note"),
        pytest.param("see https://evil.example/", None, id="anything else"),
    ],
)
def test_of_a_note_only_its_fixed_words_are_shown(note: str, shown: str | None) -> None:
    body = replace(seed_body(), notes=(note,))
    for text in (render_markdown(body).text, render_text(body), render_html(body, is_traceable=True)):
        assert "evil.example" not in text
        assert shown is None or shown in text


# Plain text


def test_text_holds_no_markup_and_each_mark_has_its_quote() -> None:
    text = render_text(seed_body())
    assert not re.search(r"\*\*|\\|^#|<http|\[\^", text, flags=re.MULTILINE)
    answer, _, evidence = text.partition("\nEvidence\n")
    assert set(re.findall(r"\[\d+\]", answer)) == set(re.findall(r"^\[\d+\]", evidence, flags=re.MULTILINE))


def test_text_wraps_at_the_width_asked_for_and_breaks_no_link() -> None:
    body = seed_body(4)
    lines = render_text(body, width=60).splitlines()
    assert all(len(line) <= 60 or "http" in line for line in lines)
    links = {link for source in body.passages.request.sources for link in source.links}
    assert links <= set(" ".join(lines).split())
    assert max(map(len, render_text(body).splitlines())) > 120


# JSON


@given(st.text())
def test_utf16_offsets_are_what_the_encoding_gives(text: str) -> None:
    units = Utf16(text)
    for offset in range(len(text) + 1):
        assert units.at(offset) == len(text[:offset].encode("utf-16-le", "surrogatepass")) // 2


def json_of(body: AnswerBody) -> AnswerJson:
    entry = LedgerEntry(
        round=0,
        slot="task",
        subject=QUESTION_ID,
        before="a",
        after=None,
        action="dropped",
        verdict="not_found",
        layer="verifier",
        reason="r",
    )
    return render_json(
        body,
        render_markdown(body),
        report=Report(links=(), claims=()),
        ledger=(entry,),
        usage=Usage(),
        prompt_sha256=None,
        abstained=False,
        complete=True,
    )


@pytest.mark.parametrize("body", bodies(), ids=lambda body: body.passages.request.question[:20])
def test_json_comes_back_the_same_and_is_what_its_types_say(body: AnswerBody) -> None:
    values = json_of(body)
    written = json.dumps(values, ensure_ascii=False)
    assert json.loads(written) == json.loads(json.dumps(values))
    read = TypeAdapter(AnswerJson).validate_json(written, strict=True)
    assert json.dumps(read, ensure_ascii=False) == written


def test_json_has_its_keys_in_a_fixed_order() -> None:
    assert list(json_of(seed_body())) == [
        "version", "drafter", "prompt_sha256", "abstained", "complete", "notes", "request", "markdown", "claims",
        "citations", "sections", "fit", "report", "ledger", "usage",
    ]  # fmt: skip


def test_json_keeps_raw_strings_and_counts_in_utf_16_too() -> None:
    request = AnswerRequest(
        question="Why?", papers=(RelatedPaper(title="𝛼 <b>x</b>", summary="𝛼 is <i>sharp</i>. 𝛽 is not. So it is."),)
    )
    body = plain_body(request)
    values = json_of(body)
    assert values["request"] == request.model_dump(mode="json")
    second = values["citations"][2]
    summary = request.papers[0].summary or ""
    assert summary[second["start"] : second["end"]] == second["quote"] == "𝛽 is not."
    wide = summary.encode("utf-16-le")
    assert wide[2 * second["start_utf16"] : 2 * second["end_utf16"]].decode("utf-16-le") == second["quote"]
    for found in values["claims"]:
        assert values["markdown"][found["start"] : found["end"]] == found["text"]
        wide = values["markdown"].encode("utf-16-le")
        assert wide[2 * found["start_utf16"] : 2 * found["end_utf16"]].decode("utf-16-le") == found["text"]


# HTML


class Page(HTMLParser):
    """Tags with their attributes, and the text of each element that holds only text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def hrefs(html: str) -> list[str]:
    return [attrs["href"] for tag, attrs in Page(html).tags if tag == "a" and not attrs["href"].startswith("#")]


def hash_of(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize("body", bodies(), ids=lambda body: body.passages.request.question[:20])
def test_page_holds_one_script_and_one_style_and_admits_them_by_hash(body: AnswerBody) -> None:
    html = render_html(body, is_traceable=True)
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    policy = policy.replace("&#39;", "'").replace("&#43;", "+")
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src {hash_of(script)};" in policy
    assert f"style-src {hash_of(style)};" in policy


@pytest.mark.parametrize("body", bodies(), ids=lambda body: body.passages.request.question[:20])
def test_page_has_no_element_attribute_or_link_that_we_did_not_write(body: AnswerBody) -> None:
    html = render_html(body, is_traceable=True)
    tags = Page(html).tags
    known = """html head meta title style body div main header p h1 h2 h3 span a ul li strong section footer aside
        article mark sup button script"""
    assert {tag for tag, _ in tags} <= set(known.split())
    attributes = {name for _, attrs in tags for name in attrs}
    assert not {name for name in attributes if name.startswith("on")}
    assert not attributes & {"style", "src", "srcset", "action", "formaction", "background", "poster"}
    supplied = {link for source in body.passages.request.sources for link in source.links if canonical_link(link)}
    assert set(hrefs(html)) <= supplied
    assert all(attrs["rel"] == "noopener noreferrer" for tag, attrs in tags if tag == "a" and "target" in attrs)


@pytest.mark.parametrize("body", bodies(), ids=lambda body: body.passages.request.question[:20])
def test_each_claim_of_the_page_points_at_its_quotes_in_the_sources(body: AnswerBody) -> None:
    html = render_html(body, is_traceable=True)
    ids = [attrs["id"] for _, attrs in Page(html).tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    markdown = render_markdown(body)
    spans = re.findall(r'data-spans="([^"]*)"', html)
    cited = [found for found in markdown.claims if found.citations]
    assert len(spans) == len(cited)
    for span_ids, found in zip(spans, cited, strict=True):
        for span_id, citation in zip(span_ids.split(), dict.fromkeys(found.citations), strict=True):
            assert text_marked(html, span_id) == shown_line(citation.quote, body)


def text_marked(html: str, span_id: str) -> str:
    """Text of all parts of a source that are marked with `span_id`, without the numbers before them."""
    marked = re.findall(r'<mark data-ids="([^"]*)"[^>]*>(.*?)</mark>', html, flags=re.DOTALL)
    parts = [re.sub(r"<sup>.*?</sup>", "", content) for ids, content in marked if span_id in ids.split()]
    return "".join(text for part in parts for text in Page(part).texts)


def test_overlapping_citations_are_cut_at_each_other_s_edges() -> None:
    request = AnswerRequest(question="Why?", papers=(RelatedPaper(title="A", summary="One two three four."),))
    passages = split_passages(request)
    cited = tuple(
        Citation(source_id=P1, field="summary", start=start, end=end, quote="One two three four."[start:end])
        for start, end in ((0, 13), (4, 19), (0, 3))
    )
    drafted = answers.AnswerClaim(text="It counts.", citations=cited)
    sections = build_sections([slot("paper", P1, [drafted])])
    body = AnswerBody(passages=passages, sections=sections, fit=build_fit(passages, [P1]), drafter="extractive")
    html = render_html(body, is_traceable=True)
    assert [text_marked(html, f"c{number}") for number in (1, 2, 3)] == [citation.quote for citation in cited]
    assert all(f'id="c{number}"' in html for number in (1, 2, 3))
