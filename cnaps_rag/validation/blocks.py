"""Blocks of any text: headings, paragraphs, items, tables, code and footnotes, each with what is seen of it.

Our own scanner, because a Markdown parser gives lines of blocks but no offsets within them, changes what it reads (NUL,
tabs, line ends) and is not linear on hostile input. What it takes for no markup is text, and text is checked.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from cnaps_rag.validation.markup import IS_LATEX, Block, BlockKind, Dialect, split_markup
from cnaps_rag.validation.visible import LINK, Visible, join_visible

_BLANKS = re.compile(r"[ \t\u00a0\u3000]*")
_QUOTE = re.compile(r">")
_BULLET = re.compile(r"(?:[-*+•‣◦▪●○–—·]|\[\d{1,3}\](?!\(|:))(?=[ \t]|$)")
_NUMBER = re.compile(r"(?:\(?(\d{1,3})[.)]|\(?[a-zA-Z]\))(?=[ \t]|$|[A-Z*_])")
_TASK_BOX = re.compile(r"[ \t]\[[ xX]\](?=[ \t])")
_FENCE = re.compile(r"(`{3,}|~{3,})([^`\n]*)$")
_HEADING = re.compile(r"#{1,6}(?=[ \t]|$)|#{2,6}(?=\S)")
_RULE = re.compile(r"(?:[-*_=][ \t]*){2,}$")
_NOTE = re.compile(r"\[\^([\w.-]{1,20})\]:")
_TARGET = re.compile(rf"\[([^\]\n]{{1,100}})\]:[ \t]*(?=<?{LINK})")
_TABLE_RULE = re.compile(r"[ \t>]*+\|?[ \t]*+:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_CELL_END = re.compile(r"(?<!\\)\|")
# A line that starts so says something of its own, also where no blank line stands before it.
_LABEL = re.compile(r"(?:\*\*|__)?[^\W\d_][\w/&() -]{0,30}(?:\*\*|__)?:(?:\*\*|__)?(?:[ \t]|$)")
_LABEL_WORDS = 3
_STYLE = re.compile(r"<style\b[^<>]*>", re.IGNORECASE)
_STYLE_END = re.compile(r"</style\s*>", re.IGNORECASE)
_STYLE_WORDS = re.compile(r"/\*(.*?)(?:\*/|$)|\"([^\"]*)\"|'([^']*)'", re.DOTALL)


@dataclass(slots=True)
class _Leaf:
    """Lines of one block, gathered until it ends."""

    kind: BlockKind = "text"
    level: int = 0
    lines: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    label: Visible | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    """One line without the marks of quotes and lists before its content.

    `depth` counts the quotes it stands in;
    `number` is what a numbered item's mark says, 0 for a bullet, None where the line starts no item.
    """

    start: int
    end: int
    indent: int
    depth: int
    number: int | None


def split_blocks(whole: Visible) -> Iterator[Block]:
    """Blocks of `whole`, a text as `see` gives it, in its order."""
    yield from _Scanner(whole).blocks()


class _Scanner:
    def __init__(self, whole: Visible) -> None:
        self._whole = whole
        self._text = whole.text
        self._dialect = Dialect(
            marks=frozenset(re.findall(r"\[\^([\w.-]{1,20})\]:", whole.text)),
            is_latex=IS_LATEX.search(whole.text) is not None,
        )
        self._leaf = _Leaf()
        self._fence = ""
        self._in_table = False
        self._in_style = False
        self._last_number = 0
        self._depth = 0

    def blocks(self) -> Iterator[Block]:
        start = 0
        while start <= len(self._text):
            end = self._text.find("\n", start)
            end = len(self._text) if end < 0 else end
            yield from self._read_line(start, end)
            start = end + 1
        yield from self._flush()

    def _read_line(self, start: int, end: int) -> Iterator[Block]:
        line = self._strip_marks(start, end)
        content = self._text[line.start : line.end]
        if self._fence:
            yield from self._read_code(line, start, end)
        elif self._in_style or _STYLE.search(content):
            yield from self._read_style(start, end)
        elif not content.strip():
            self._in_table = False
            yield from self._flush()
        elif (fence := _FENCE.match(content)) is not None:
            yield from self._flush()
            self._fence = fence.group(1)
            if len(fence.group(2).split()) > 1:
                yield from self._code(line.start + fence.start(2), line.end)
        else:
            yield from self._read_block(line, content)

    def _read_block(self, line: _Line, content: str) -> Iterator[Block]:
        heading = _HEADING.match(content)
        if _RULE.match(content):
            yield from self._read_rule(content)
        elif heading is not None:
            yield from self._flush()
            self._start("heading", heading.end(), (line.start + heading.end(), line.end))
            yield from self._flush()
        elif "|" in content and (self._in_table or content.lstrip().startswith("|") or self._rules(line)):
            yield from self._flush()
            yield from self._read_row(line)
        elif (note := _NOTE.match(content) or _TARGET.match(content)) is not None:
            yield from self._flush()
            self._start("note" if note.re is _NOTE else "target", 0, (line.start + note.end(), line.end))
            self._leaf.label = self._whole.edit((), line.start + note.start(1), line.start + note.end(1))
        else:
            yield from self._read_text(line, content)

    def _read_text(self, line: _Line, content: str) -> Iterator[Block]:
        self._in_table = False
        depth_before, self._depth = self._depth, line.depth
        if line.number is not None:
            yield from self._flush()
            self._last_number = line.number or self._last_number
            self._start("item", line.indent, (line.start, line.end))
            return
        label = _LABEL.match(content)
        is_own = label is not None and len(label.group().split()) <= _LABEL_WORDS
        is_below_label = bool(self._leaf.lines) and self._text[slice(*self._leaf.lines[-1])].rstrip(" *_").endswith(":")
        if self._leaf.lines and not is_own and not is_below_label and line.depth <= depth_before:
            self._leaf.lines.append((line.start, line.end))
            return
        yield from self._flush()
        self._start("text", line.indent, (line.start, line.end))

    def _read_rule(self, content: str) -> Iterator[Block]:
        """A rule, or the underline that makes a heading of the one line above it."""
        if len(self._leaf.lines) == 1 and self._leaf.kind == "text" and content.strip("=- \t") == "":
            self._leaf.kind, self._leaf.level = "heading", 1 if content.startswith("=") else 2
        yield from self._flush()

    def _read_code(self, line: _Line, start: int, end: int) -> Iterator[Block]:
        mark = self._text[line.start : line.end].strip("> \t")
        if mark.startswith(self._fence) and not mark.strip(self._fence[0]):
            self._fence = ""
        else:
            yield from self._code(start, end)

    def _read_style(self, start: int, end: int) -> Iterator[Block]:
        """Of a style sheet only its comments and strings: they are what could be shown or read."""
        opening = _STYLE.search(self._text, start, end) if not self._in_style else None
        at = start if opening is None else opening.end()
        closing = _STYLE_END.search(self._text, at, end)
        if opening is not None and opening.start() > start:
            self._leaf.lines.append((start, opening.start()))
        yield from self._flush()
        for words in _STYLE_WORDS.finditer(self._text, at, end if closing is None else closing.start()):
            yield from self._code(words.start(), words.end())
        self._in_style = closing is None
        if closing is not None and closing.end() < end:
            yield from self._read_line(closing.end(), end)

    def _code(self, start: int, end: int) -> Iterator[Block]:
        visible = self._whole.edit((), start, end)
        if _has_words(visible.text):
            yield Block("code", 0, (visible,))

    def _rules(self, line: _Line) -> bool:
        """True when the next line is the rule that makes this one a table's header."""
        start = self._text.find("\n", line.end) + 1
        end = self._text.find("\n", start) if start else 0
        following = self._text[start : len(self._text) if end < 0 else end] if start else ""
        return "-" in following and "|" in following and _TABLE_RULE.match(following) is not None

    def _read_row(self, line: _Line) -> Iterator[Block]:
        """A row's cells; the row above a table's rule is its header."""
        is_header = not self._in_table and self._rules(line)
        is_rule = _TABLE_RULE.match(self._text, line.start, line.end) is not None
        self._in_table = self._in_table or is_header
        cells: list[Visible] = []
        at = line.start
        for end in [*(match.start() for match in _CELL_END.finditer(self._text, line.start, line.end)), line.end]:
            raw = self._whole.edit((), at, end)
            if not _has_words(raw.text):
                cells.append(raw)
                at = end + 1
                continue
            cells.append(
                join_visible(part for block in split_markup(raw, "text", 0, self._dialect) for part in block.parts)
            )
            at = end + 1
        if not is_rule and any(_has_words(cell.text) for cell in cells):
            yield Block("header" if is_header else "row", 0, _without_edges(cells))

    def _strip_marks(self, start: int, end: int) -> _Line:
        """The line without marks of quotes and lists; a number is a mark only where an item can start."""
        number: int | None = None
        depth = 0
        at = _end_of(_BLANKS, self._text, start, end)
        indent = len(self._text[start:at].expandtabs(4))
        is_rule = _RULE.match(self._text, at, end) is not None
        while at < end and not self._fence and not is_rule:
            mark = _QUOTE.match(self._text, at, end) or _BULLET.match(self._text, at, end) or self._number_at(at, end)
            if mark is None:
                break
            if mark.re is not _QUOTE:
                number = int(mark.group(1) or 0) if mark.re is _NUMBER else 0
                box = _TASK_BOX.match(self._text, mark.end(), end)
                at = mark.end() if box is None else box.end()
            else:
                depth += 1
                at = mark.end()
            at = _end_of(_BLANKS, self._text, at, end)
        return _Line(at, end, indent, depth, number)

    def _number_at(self, at: int, end: int) -> re.Match[str] | None:
        mark = _NUMBER.match(self._text, at, end)
        if mark is None or not self._leaf.lines or self._leaf.kind == "item":
            return mark
        return mark if mark.group(1) is None or int(mark.group(1)) in (1, self._last_number + 1) else None

    def _start(self, kind: BlockKind, level: int, line: tuple[int, int]) -> None:
        self._leaf = _Leaf(kind, level, [line])

    def _flush(self) -> Iterator[Block]:
        leaf, self._leaf = self._leaf, _Leaf()
        if not leaf.lines:
            return
        for block in split_markup(_joined(self._whole, leaf.lines), leaf.kind, leaf.level, self._dialect):
            if leaf.label is not None and block.kind == leaf.kind:
                yield Block(block.kind, block.level, (leaf.label, *block.parts))
            else:
                yield block


def _joined(whole: Visible, lines: list[tuple[int, int]]) -> Visible:
    """Lines with what lies between them, marks of quotes and the like, as one line end each."""
    gaps = [(end, start, "\n") for (_, end), (start, _) in itertools.pairwise(lines)]
    return whole.edit(gaps, lines[0][0], lines[-1][1])


def _has_words(text: str) -> bool:
    return any(character.isalnum() or character == LINK for character in text)


def _end_of(pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
    match = pattern.match(text, start, end)
    return start if match is None else match.end()


def _without_edges(cells: list[Visible]) -> tuple[Visible, ...]:
    """Cells without the empty ones outside the outer bars of a row."""
    first = 1 if len(cells) > 1 and not cells[0].text.strip() else 0
    last = len(cells) - 1 if len(cells) > first + 1 and not cells[-1].text.strip() else len(cells)
    return tuple(cells[first:last])
