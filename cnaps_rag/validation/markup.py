"""Markup inside a block: Markdown, HTML and LaTeX cut out of what is seen, and the blocks that HTML and LaTeX make."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cnaps_rag.validation.predicates import word_set
from cnaps_rag.validation.visible import LINK, Edit, Visible

BlockKind = Literal["heading", "text", "item", "code", "header", "row", "note", "target"]
"""``header`` and ``row``: of a table, one cell a part; ``note``: a footnote's definition, its label and its text;
``target``: a link's reference definition, its label and its link."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a text. `level`: a heading's level, or the columns that an item is indented by."""

    kind: BlockKind
    level: int
    parts: tuple[Visible, ...]


# Texts of links that assert nothing (policy.md: "paper", "code", "here").
_LINK_TEXT = (
    r"(?:here|link|paper|pdf|code|github|github repository|repo|repository|arxiv|project page|source|doi|url|website|"
    r"demo|page)"
)

_MARKDOWN = (
    r"(?P<comment><!--+|--!?>|<!\[CDATA\[|\]\]>|<!doctype[^<>]*>|<\?[^<>]*>)"
    r"|(?P<tag></?[a-z][a-z0-9]{0,20}(?=[\s/>])[^<>]*>)"
    rf"|(?P<autolink><{LINK}>)"
    r"|(?P<entity>&(?:\#\d{1,7}|\#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});)"
    rf"|(?P<link_word>!?\[{_LINK_TEXT}\](?=\(\s*<?{LINK}))"
    r"|(?P<link_start>\[(?=[^\[\]]{1,300}\]\())"
    rf"|(?P<link_end>\](?=\(\s*<?{LINK}))"
    rf"|(?P<target>\(\s*<?(?={LINK}))"
    r"|(?P<mark>\[\^[\w.-]{1,20}\])"
    r"|(?P<sup_mark>(?<=[.,;:!?)\"”’])<sup>\s*\[?\d{1,3}\]?\s*</sup>)"
    r"|(?P<escape>\\[!-/:-@\[-`{-~])"
    r"|(?P<hard_break>\\\n|(?<![ \t])[ \t]{2,}\n)"
    r"|(?P<newline>(?<![ \t])[ \t]*\n[ \t]*)"
    # A run with a blank on both sides is no emphasis (CommonMark 0.31, 6.2).
    r"|(?P<emphasis>\*+(?![\s*])|(?<=[^\s*])\*+|`+|~~+|(?<!\w)_++(?=\S)|(?<=[^\s_])_++(?!\w))"
)
_LATEX = (
    r"(?P<latex_heading>\\(?:part|chapter|(?:sub){0,2}section|paragraph)\*?\s?\{)"
    r"|(?P<latex_break>\\(?:item\b|begin\{\w{1,20}\*?\}|end\{\w{1,20}\*?\}|\\(?![\\\w]))[ \t]?)"
    r"|(?P<latex_style>"
    r"\\(?:textbf|textit|texttt|textsc|emph|underline|caption|title|footnote|url|href|documentclass|usepackage)\s?\{)"
    r"|(?P<brace>\})|"
)
_TOKEN = re.compile(_MARKDOWN, re.IGNORECASE)
_LATEX_TOKEN = re.compile(_LATEX + _MARKDOWN, re.IGNORECASE)
# LaTeX that a source's sentence holds is its words; a text that is laid out by LaTeX begins lines with it.
IS_LATEX = re.compile(r"^[ \t]*\\(?:documentclass|begin\s?\{|(?:sub){0,2}section\b|item\b)", re.MULTILINE)

_CUT = word_set("link_start link_word link_end target sup_mark latex_style emphasis")

_BLOCK_TAGS = word_set(
    """address article aside blockquote body button caption center col colgroup dd details dialog div dl dt fieldset
    figcaption figure footer form frame frameset head header hr html iframe label legend li link main menu meta nav
    noscript object ol option p param pre script section select style summary svg table tbody template td textarea
    tfoot th thead title tr ul video audio canvas embed h1 h2 h3 h4 h5 h6 br"""
)
_INLINE_TAGS = word_set(
    """a abbr acronym b bdi bdo big cite code data del dfn em font i img input ins kbd map area mark math output path
    picture q rp rt ruby s samp small source span strike strong sub sup time track tt u var wbr"""
)
_CELL_TAGS = word_set("td th")
_ATTRIBUTE = re.compile(r"\s([\w:@.-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>`]+)))?")
# Attributes whose value no reader meets as words.
_MUTE_ATTRIBUTES = word_set(
    """class id style href src srcset width height lang dir rel target type charset name http-equiv role align valign
    colspan rowspan border cellpadding cellspacing color bgcolor size face loading decoding media xmlns viewbox d fill
    stroke start reversed open hidden disabled checked async defer scope tabindex crossorigin integrity action method
    for"""
)


@dataclass(slots=True)
class _Part:
    """A stretch between two breaks: what kind of block it is, and what is cut in it."""

    kind: BlockKind
    level: int
    start: int
    edits: list[Edit]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is markup in one text.

    Attributes:
        marks: labels of the footnotes that it defines; a mark without a definition is text.
        is_latex: whether LaTeX lays it out; LaTeX elsewhere is text.
    """

    marks: frozenset[str] = frozenset()
    is_latex: bool = False


def split_markup(leaf: Visible, kind: BlockKind, level: int, dialect: Dialect) -> Iterator[Block]:
    """The blocks that `leaf`, a run of lines of one kind, holds once its markup is read.

    Args:
        leaf: its lines, a line end between each two.
        kind: what the leaf is where no tag of its own says otherwise.
        level: the heading's level or the item's indentation.
        dialect: what is markup in the text.
    """
    yield from _Inline(leaf, kind, level, dialect).blocks()


class _Inline:
    def __init__(self, leaf: Visible, kind: BlockKind, level: int, dialect: Dialect) -> None:
        self._leaf = leaf
        self._kind: BlockKind = kind
        self._level = level
        self._dialect = dialect
        self._part = _Part(kind, level, 0, [])
        self._row: list[Visible] = []
        self._row_kind: BlockKind = "header"
        self._in_latex_heading = False

    def blocks(self) -> Iterator[Block]:
        for match in (_LATEX_TOKEN if self._dialect.is_latex else _TOKEN).finditer(self._leaf.text):
            name = match.lastgroup or ""
            if name in _CUT:
                self._part.edits.append((match.start(), match.end(), ""))
            else:
                yield from self._read(name, match)
        yield from self._break(len(self._leaf.text), len(self._leaf.text), self._kind, self._level)
        yield from self._end_row()

    def _read(self, name: str, match: re.Match[str]) -> Iterator[Block]:
        start, end = match.span()
        match name:
            case "newline" | "entity" | "mark" | "escape" | "autolink":
                self._part.edits += self._edits(name, match)
            case "tag":
                yield from self._read_tag(match)
            case "latex_heading":
                yield from self._break(start, end, "heading", 3)
                self._in_latex_heading = True
            case "brace":
                yield from self._read_brace(start, end)
            case "latex_break" if match.group().startswith("\\item"):
                yield from self._break(start, end, "item", self._level)
            case _:
                yield from self._break(start, end, *self._within())

    def _edits(self, name: str, match: re.Match[str]) -> list[Edit]:
        start, end = match.span()
        edits: dict[str, list[Edit]] = {
            "newline": [(start, end, " ")],
            "entity": [(start, end, html.unescape(match.group()))],
            "mark": [(start, end, "")] if match.group()[2:-1] in self._dialect.marks else [],
            "escape": [(start, start + 1, "")],
            "autolink": [(start, start + 1, ""), (end - 1, end, "")],
        }
        return edits[name]

    def _read_brace(self, start: int, end: int) -> Iterator[Block]:
        if self._in_latex_heading:
            self._in_latex_heading = False
            yield from self._break(start, end, *self._within())
        else:
            self._part.edits.append((start, end, ""))

    def _read_tag(self, match: re.Match[str]) -> Iterator[Block]:
        start, end, tag = match.start(), match.end(), match.group()
        closes = tag.startswith("</")
        name = re.sub(r"[^a-z0-9].*", "", tag.strip("</").lower(), flags=re.DOTALL)
        attributes = tag[len(name) + 1 : -1].rstrip("/")
        if name not in _BLOCK_TAGS | _INLINE_TAGS or (not closes and _ATTRIBUTE.sub("", attributes).strip()):
            return
        if not closes and self._has_words(name, attributes):
            yield from self._break(start, start, *self._within())
            yield from self._break(end, end, *self._within(), from_=start + len(name) + 1)
            return
        if name in _INLINE_TAGS:
            self._part.edits.append((start, end, "^" if name == "sup" and not closes else ""))
            return
        yield from self._break(start, end, *self._kind_within(name, closes))
        if name in ("table", "tr") or (closes and name in ("thead", "tbody")):
            yield from self._end_row()

    def _has_words(self, name: str, attributes: str) -> bool:
        """True when an attribute shows or says something: a title, an alternative text, a word that is no attribute."""
        if name == "meta" and "viewport" in attributes.lower():
            return False
        for attribute, *values in _ATTRIBUTE.findall(attributes):
            value = "".join(values)
            is_mute = attribute.lower() in _MUTE_ATTRIBUTES
            if not is_mute and (not value or any(character.isalpha() for character in value)):
                return True
        return False

    def _kind_within(self, name: str, closes: bool) -> tuple[BlockKind, int]:
        if closes:
            return self._within()
        if len(name) == 2 and name[0] == "h" and name[1].isdigit():
            return "heading", int(name[1])
        if name in _CELL_TAGS:
            self._row_kind = "row" if name == "td" else self._row_kind
            return "row", 0
        kinds: dict[str, BlockKind] = {"li": "item", "dt": "item", "title": "heading", "caption": "heading"}
        return (kinds[name], self._level) if name in kinds else self._within()

    def _within(self) -> tuple[BlockKind, int]:
        """What goes on after a break: an item's text, one column further in, is no item of its own."""
        return ("text", self._level + 1) if self._kind == "item" else (self._kind, self._level)

    def _break(self, start: int, end: int, kind: BlockKind, level: int, *, from_: int | None = None) -> Iterator[Block]:
        """Ends the part at `start` and begins one of `kind` at `end`; `from_` moves the ended part's own start."""
        part = self._part
        self._part = _Part(kind, level, end, [])
        begins = part.start if from_ is None else from_
        visible = self._leaf.edit(part.edits, begins, start)
        if part.kind == "row":
            self._row.append(visible)
        elif any(character.isalnum() or character == LINK for character in visible.text):
            yield from self._end_row()
            yield Block(part.kind, part.level, (visible,))

    def _end_row(self) -> Iterator[Block]:
        cells, kind = tuple(self._row), self._row_kind
        self._row, self._row_kind = [], "header"
        if any(cell.text.strip() for cell in cells):
            yield Block(kind, 0, cells)
