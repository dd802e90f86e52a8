"""An answer as Markdown, with the span of each claim noted while it is written."""

from __future__ import annotations

from dataclasses import dataclass

from cnaps_rag.render import phrases
from cnaps_rag.render.escape import escape_markdown, is_web_address
from cnaps_rag.render.layout import (
    AnswerBody,
    Block,
    Link,
    Run,
    Statement,
    StatementKind,
    Words,
    build_layout,
    field_label,
    quoted,
    shown_line,
)
from cnaps_rag.report import Citation
from cnaps_rag.sources import SourceId


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedClaim:
    """One claim as it stands in an answer's Markdown: ``markdown[start:end] == text``, always.

    `text` holds the backslashes that keep Markdown from acting; footnote marks stand after `end`. `accepted` is False
    only where ``on_untraceable="mark"`` kept the claim, and `reason` says why it did not pass.
    """

    text: str
    start: int
    end: int
    kind: StatementKind
    subject: SourceId
    citations: tuple[Citation, ...]
    accepted: bool
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedMarkdown:
    """Markdown of an answer, its claims by their place in it, and its citations in the order of their footnotes.

    The footnotes begin at `footnotes_start`; of an answer in the making, the text before that begins the whole one's.
    """

    text: str
    claims: tuple[RenderedClaim, ...]
    citations: tuple[Citation, ...]
    footnotes_start: int


def render_markdown(body: AnswerBody) -> RenderedMarkdown:
    """Markdown of an answer: CommonMark with footnotes as GitHub and Pandoc read them (``[^1]``, ``[^1]: …``)."""
    writer = _Writer(body)
    for block in build_layout(body):
        writer.write_block(block)
    return writer.finish()


class _Writer:
    def __init__(self, body: AnswerBody) -> None:
        self._body = body
        self._pieces: list[str] = []
        self._length = 0
        self._last_kind = ""
        self._claims: list[RenderedClaim] = []
        self._numbers: dict[Citation, int] = {}

    def write_block(self, block: Block) -> None:
        if self._last_kind:
            self._write("\n" if block.kind == self._last_kind == "item" else "\n\n")
        self._last_kind = block.kind
        if block.kind == "rule":
            self._write("---")
            return
        self._write({"heading": "#" * block.level + " ", "item": "  " * (block.level - 1) + "- "}.get(block.kind, ""))
        before = "\n" if block.kind in ("paragraph", "item") else " "
        for run, following in zip(block.runs, (*block.runs[1:], None), strict=True):
            self._write_run(run, before=before, after=_first_character(following))
            before = self._pieces[-1][-1:] or before

    def finish(self) -> RenderedMarkdown:
        footnotes_start = self._length
        for citation, number in self._numbers.items():
            self._write("\n\n" if number == 1 else "\n")
            quote = escape_markdown(quoted(shown_line(citation.quote, self._body)), before=" ", after="\n")
            self._write(f"[^{number}]: {field_label(citation)}: {quote}")
        self._write("\n")
        return RenderedMarkdown(
            text="".join(self._pieces),
            claims=tuple(self._claims),
            citations=tuple(self._numbers),
            footnotes_start=footnotes_start,
        )

    def _write(self, piece: str) -> None:
        self._pieces.append(piece)
        self._length += len(piece)

    def _write_run(self, run: Run, *, before: str, after: str) -> None:
        match run:
            case Words(text=text, strong=True):
                self._write(f"**{escape_markdown(text, before='*', after='*')}**")
            case Words(text=text):
                self._write(escape_markdown(text, before=before, after=after))
            case Link(url=url):
                self._write(f"<{url}>" if is_web_address(url) else url)
            case Statement():
                self._write_statement(run, before=before, after=after)

    def _write_statement(self, statement: Statement, *, before: str, after: str) -> None:
        start = self._length
        marks = "".join(self._mark(citation) for citation in dict.fromkeys(statement.citations) if statement.has_marks)
        text = escape_markdown(statement.text, before=before, after="[" if marks else after)
        self._write(text)
        self._claims.append(
            RenderedClaim(
                text=text,
                start=start,
                end=self._length,
                kind=statement.kind,
                subject=statement.subject,
                citations=statement.citations,
                accepted=statement.accepted,
                reason=statement.reason,
            )
        )
        self._write(marks)
        if not statement.accepted:
            self._write(f" **[{phrases.NOT_TRACEABLE}]**")

    def _mark(self, citation: Citation) -> str:
        return f"[^{self._numbers.setdefault(citation, len(self._numbers) + 1)}]"


def _first_character(run: Run | None) -> str:
    """Character that the Markdown of `run` starts with, a line break for none."""
    match run:
        case None:
            return "\n"
        case Words(text=text, strong=strong):
            return "*" if strong else text[:1] or " "
        case Link():
            return "<"
        case Statement(text=text):
            return text[:1] or " "
