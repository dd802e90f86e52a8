"""An answer as one self-contained page: each claim shows its evidence in the source it comes from.

Nothing is loaded from elsewhere: style and script stand in the page, and a content security policy admits these two by
their hashes alone. Every text passes through the template's escaping; the page holds no data for its script to read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from cnaps_rag.render.escape import is_web_address
from cnaps_rag.render.layout import (
    AnswerBody,
    Block,
    Link,
    Run,
    Statement,
    Words,
    build_layout,
    links_line,
    shown_line,
)
from cnaps_rag.render.page import csp_hash, load_template, read_page_file
from cnaps_rag.report import Citation
from cnaps_rag.sources import QUESTION_ID, FieldName, Source, SourceId

if TYPE_CHECKING:
    from jinja2 import Template

_FOLDER = Path(__file__).parent
_LIMIT_TITLE_CHARACTERS = 80  # of a browser's tab and history
_KINDS = {"question": "Question", "model": "Recommended model", "paper": "Related paper"}


@dataclass(frozen=True, slots=True)
class PageRun:
    """A run as the template prints it: `kind` is ``words``, ``strong``, ``separator``, ``link`` or ``claim``.

    `marks` are the footnote numbers and ids of cited spans; `span_ids` all cited spans, also those without a number.
    """

    kind: str
    text: str
    href: str | None = None
    marks: tuple[tuple[int, str], ...] = ()
    span_ids: tuple[str, ...] = ()
    accepted: bool = True
    reason: str = ""


@dataclass(slots=True)
class PageItem:
    """A list item with the items below it."""

    runs: tuple[PageRun, ...]
    items: list[PageItem] = field(default_factory=list["PageItem"])


@dataclass(slots=True)
class PageBlock:
    """A heading, a paragraph or a whole list."""

    kind: str
    runs: tuple[PageRun, ...] = ()
    level: int = 0
    items: list[PageItem] = field(default_factory=list["PageItem"])


@dataclass(slots=True)
class PageSection:
    """A numbered section: its heading and the blocks under it."""

    number: int
    heading: tuple[PageRun, ...]
    blocks: list[PageBlock] = field(default_factory=list[PageBlock])


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a source's text: plain, or cited by the citations `ids`, which start here where `numbers` says so."""

    text: str
    ids: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PageSource:
    """One source as the panel shows it."""

    id: str
    kind: str
    title: tuple[Span, ...]
    links: tuple[PageRun, ...]
    text: tuple[Span, ...]


def render_html(body: AnswerBody, *, is_traceable: bool) -> str:
    """The page of an answer; `is_traceable` says whether the report on it is ok."""
    from markupsafe import Markup

    page = _Page(body)
    lead, sections, closing = page.parts()
    style, script = (
        Markup(read_page_file(_FOLDER / "page.css")),
        Markup(read_page_file(_FOLDER / "page.js")),
    )  # ours: the only two texts not escaped
    return _template().render(
        title=_shortened(shown_line(body.passages.request.question, body)),
        question=shown_line(body.passages.request.question, body),
        drafter=None if body.drafter == "extractive" else shown_line(body.drafter, body),
        is_traceable=is_traceable,
        lead=lead,
        sections=sections,
        closing=closing,
        sources=tuple(page.sources()),
        style=style,
        script=script,
        style_hash=csp_hash(style),
        script_hash=csp_hash(script),
    )


class _Page:
    def __init__(self, body: AnswerBody) -> None:
        self._body = body
        self._ids: dict[Citation, str] = {}
        self._numbers: dict[Citation, int] = {}
        self._cited: dict[tuple[SourceId, FieldName], list[Citation]] = {}

    def parts(self) -> tuple[list[PageBlock], list[PageSection], list[PageBlock]]:
        """What stands before the first section, the sections, and the closing words."""
        lead: list[PageBlock] = []
        sections: list[PageSection] = []
        closing: list[PageBlock] = []
        blocks = lead
        for block in build_layout(self._body):
            if block.kind == "rule":
                blocks = closing
            elif block.kind == "heading" and block.level == 2:
                sections.append(PageSection(len(sections) + 1, self._runs(block.runs)))
                blocks = sections[-1].blocks
            else:
                self._add(block, blocks)
        return lead, sections, closing

    def _add(self, block: Block, blocks: list[PageBlock]) -> None:
        runs = self._runs(block.runs)
        if block.kind != "item":
            blocks.append(PageBlock(block.kind, runs, block.level))
            return
        if not blocks or blocks[-1].kind != "list":
            blocks.append(PageBlock("list"))
        items = blocks[-1].items
        (items[-1].items if block.level > 1 else items).append(PageItem(runs))

    def _runs(self, runs: tuple[Run, ...]) -> tuple[PageRun, ...]:
        return tuple(self._run(run) for run in runs)

    def _run(self, run: Run) -> PageRun:
        match run:
            case Words(text=" · "):
                return PageRun("separator", run.text)
            case Words(text=text, strong=strong):
                return PageRun("strong" if strong else "words", text)
            case Link(url=url):
                return PageRun("link", url, href=url if is_web_address(url) else None)
            case Statement():
                cited = tuple(dict.fromkeys(run.citations))
                return PageRun(
                    "claim",
                    run.text,
                    marks=tuple(self._mark(citation) for citation in cited if run.has_marks),
                    span_ids=tuple(self._id(citation) for citation in cited),
                    accepted=run.accepted,
                    reason=run.reason,
                )

    def _id(self, citation: Citation) -> str:
        if citation not in self._ids:
            self._ids[citation] = f"c{len(self._ids) + 1}"
            self._cited.setdefault((citation.source_id, citation.field), []).append(citation)
        return self._ids[citation]

    def _mark(self, citation: Citation) -> tuple[int, str]:
        return self._numbers.setdefault(citation, len(self._numbers) + 1), self._id(citation)

    def sources(self) -> Iterator[PageSource]:
        """Every source with its cited spans; to be asked for after `parts`, which numbers the citations."""
        request = self._body.passages.request
        for source in (request.source(QUESTION_ID), *request.sources):
            yield PageSource(
                id=source.id,
                kind=_KINDS[source.kind],
                title=self._spans(source, source.title_field) if source.title else (),
                links=self._runs(links_line(source)),
                text=self._spans(source, source.text_field),
            )

    def _spans(self, source: Source, name: FieldName) -> tuple[Span, ...]:
        """The field cut at the edges of its citations, each part in the form that may be shown."""
        raw = source.field(name) or ""
        cited = self._cited.get((source.id, name), [])
        edges = sorted({0, len(raw), *(edge for citation in cited for edge in (citation.start, citation.end))})
        return tuple(
            self._span(raw[start:end], start, [c for c in cited if c.start <= start and end <= c.end])
            for start, end in pairwise(edges)
        )

    def _span(self, raw: str, start: int, cited: list[Citation]) -> Span:
        plain = Span(self._shown(raw))
        if not cited:
            return plain
        starting = [citation for citation in cited if citation.start == start]
        return replace(
            plain,
            ids=tuple(self._ids[citation] for citation in cited),
            anchors=tuple(self._ids[citation] for citation in starting),
            numbers=tuple(self._numbers[citation] for citation in starting if citation in self._numbers),
        )

    def _shown(self, raw: str) -> str:
        """`raw` in the form that may be shown, with the blanks around it and its empty lines, but no other breaks."""
        before, words, after = _EDGES.fullmatch(raw).groups()  # type: ignore[union-attr]
        paragraphs = (shown_line(part, self._body) for part in _EMPTY_LINES.split(words))
        return _blank(before) + "\n\n".join(paragraphs) + _blank(after)


_EDGES = re.compile(r"(\s*)(.*?)(\s*)", re.DOTALL)
_EMPTY_LINES = re.compile(r"\n\s*\n")


def _blank(space: str) -> str:
    if not space:
        return ""
    return "\n\n" if space.count("\n") > 1 else " "


def _shortened(text: str) -> str:
    return text if len(text) <= _LIMIT_TITLE_CHARACTERS else text[: _LIMIT_TITLE_CHARACTERS - 1].rstrip() + "…"


@cache
def _template() -> Template:
    return load_template(_FOLDER, "page.html")
