"""An answer as plain text for terminals: no markup, links bare, citations as [1] with their quotes at the end."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from cnaps_rag.render import phrases
from cnaps_rag.render.layout import (
    AnswerBody,
    Block,
    Link,
    Run,
    Statement,
    Words,
    build_layout,
    field_label,
    quoted,
    shown_line,
)
from cnaps_rag.render.shown import shown_title
from cnaps_rag.report import Citation
from cnaps_rag.sources import QUESTION_ID, SourceId


def render_text(body: AnswerBody, *, width: int | None = None) -> str:
    """Plain text of an answer.

    Args:
        body: what to render.
        width: columns to wrap at; None leaves each paragraph on one line, as pipes and editors like it.
    """
    numbers: dict[Citation, int] = {}
    lines = [line for block in build_layout(body) for line in _block_lines(block, numbers, width)]
    if numbers:
        lines += ["", "Evidence", "========"]
    named: set[SourceId] = {QUESTION_ID}
    for citation, number in numbers.items():
        source_id, quote = citation.source_id, quoted(shown_line(citation.quote, body))
        title = "" if source_id in named else f" ({shown_title(source_id, body.passages.request)})"
        named.add(source_id)
        label = field_label(citation).replace(source_id, f"{source_id}{title}", 1)
        lines += _wrapped(f"[{number}] ", f"{label}: {quote}", width)
    return "\n".join(lines).strip("\n") + "\n"


def _block_lines(block: Block, numbers: dict[Citation, int], width: int | None) -> Iterator[str]:
    text = "".join(_run_text(run, numbers) for run in block.runs)
    match block.kind:
        case "rule":
            return
        case "heading":
            yield from ("", text, ("=" if block.level == 2 else "-") * min(len(text), width or len(text)))
        case "item":
            yield from _wrapped("  " * (block.level - 1) + "- ", text, width)
        case "paragraph":
            yield ""
            yield from _wrapped("", text, width)


def _run_text(run: Run, numbers: dict[Citation, int]) -> str:
    match run:
        case Words(text=text):
            return text
        case Link(url=url):
            return url
        case Statement():
            cited = dict.fromkeys(run.citations) if run.has_marks else {}
            marks = "".join(f"[{numbers.setdefault(citation, len(numbers) + 1)}]" for citation in cited)
            fault = "" if run.accepted else f" [{phrases.NOT_TRACEABLE}: {run.reason}]"
            return f"{run.text}{' ' if marks else ''}{marks}{fault}"


def _wrapped(lead: str, text: str, width: int | None) -> list[str]:
    """Lines of `text` after `lead`, hanging under its first word; a long link is never broken."""
    if width is None:
        return [lead + text]
    return textwrap.wrap(
        text,
        width,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [lead]
