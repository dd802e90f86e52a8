"""Links that markup makes: Markdown, LaTeX and HTML, with the spans of the whole, of the target and of the text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Span = tuple[int, int]
MarkupKind = Literal["link", "image", "definition", "autolink", "latex"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Markup:
    """One construct that makes a link: its whole span, that of its target, and those of the texts that show it.

    A reference has no target of its own: it is one of the `labels` of its definition.
    """

    kind: MarkupKind
    start: int
    end: int
    target: Span
    labels: tuple[Span, ...] = ()


def find_markup(text: str) -> tuple[Markup, ...]:
    """Every link and image of `text` that Markdown, LaTeX or an autolink makes, code spans included."""
    return (*_Markdown(text).find(), *_find_autolinks(text), *_find_latex(text))


# Markdown (CommonMark 0.31, sections 4.7, 6.3, 6.4)

_BRACKET = re.compile(r"\\[\[\]!]|[\[\]]")
# Brackets in a bare destination may nest; three deep are read, which no address needs.
_FLAT = r"[^\s()\\<]|\\."
_NESTED = rf"(?:{_FLAT}|\((?:{_FLAT}|\((?:{_FLAT})*+\))*+\))"
_TITLE = r"""(?:\s++(?:"[^"]*+"|'[^']*+'|\([^()]*+\)))?"""
_INLINE = re.compile(rf"\(\s*+(?:<(?P<angled>[^<>\n]*+)>|(?P<bare>{_NESTED}*+)){_TITLE}\s*+\)")
_DEFINITION = re.compile(
    r"^[ \t>*+-]{0,12}(?:\d{1,9}[.)][ \t]+)?\[(?!\^)(?P<label>(?:[^\[\]\\]|\\.){1,999})\]:[ \t]*+\n?[ \t]*+"
    rf"(?:<(?P<angled>[^<>\n]*+)>|(?P<bare>[^\s<]\S*+)){_TITLE}[ \t]*+$",
    re.MULTILINE,
)
_LIMIT_ALT_CHARS = 500  # how far before "](" an image may begin whose brackets do not pair


class _Markdown:
    """Pairs the brackets of a text once, and reads links, images, references and definitions off the pairs."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._closing: dict[int, int] = {}
        self._pairs: list[Span] = []
        opened: list[int] = []
        for found in _BRACKET.finditer(text):
            if found.group() == "[":
                opened.append(found.start())
            elif found.group() == "]":
                start = opened.pop() if opened else -1
                self._closing[start] = found.start()
                self._pairs.append((start, found.start()))
        self._definitions: dict[str, Markup] = {}
        self._labels: dict[str, list[Span]] = {}

    def find(self) -> Iterator[Markup]:
        for found in _DEFINITION.finditer(self._text):
            target = found.span("angled") if found["angled"] is not None else found.span("bare")
            name = _name(found["label"])
            self._labels.setdefault(name, [])
            if name not in self._definitions:
                self._definitions[name] = Markup(
                    kind="definition", start=found.start("label") - 1, end=found.end(), target=target
                )
        for start, end in self._pairs:
            yield from self._read(start, end)
        for name, definition in self._definitions.items():
            yield Markup(
                kind="definition",
                start=definition.start,
                end=definition.end,
                target=definition.target,
                labels=tuple(self._labels[name]),
            )

    def _read(self, start: int, end: int) -> Iterator[Markup]:
        """The link or image whose text stands in the brackets at `start` and `end`."""
        following = self._text[end + 1 : end + 2]
        is_image = self._is_image(start, end)
        if following == "(" and (found := _INLINE.match(self._text, end + 1)) is not None:
            target = found.span("angled") if found["angled"] is not None else found.span("bare")
            yield self._markup(start, end, found.end(), target, is_image=is_image)
        elif start >= 0 and not (following == ":" and self._is_definition(start)):
            yield from self._read_reference(start, end, is_image=is_image)

    def _read_reference(self, start: int, end: int, *, is_image: bool) -> Iterator[Markup]:
        label_end = self._closing.get(end + 1, end)
        label = self._text[end + 2 : label_end] if label_end > end + 2 else self._text[start + 1 : end]
        name = _name(label) if len(label) < 1000 else ""
        if name in self._labels:
            self._labels[name].append((start + 1, end))
        if is_image and (name in self._labels or label_end > end + 2):
            yield self._markup(start, end, label_end + 1, (end + 1, end + 1), is_image=True)

    def _markup(self, start: int, end: int, whole_end: int, target: Span, *, is_image: bool) -> Markup:
        whole_start = max(start, 0) if start >= 0 else end
        return Markup(
            kind="image" if is_image else "link",
            start=whole_start - (is_image and start > 0),
            end=whole_end,
            target=target,
            labels=((start + 1, end),) if start >= 0 else (),
        )

    def _is_image(self, start: int, end: int) -> bool:
        if start < 0:
            return self._text.rfind("![", max(0, end - _LIMIT_ALT_CHARS), end) >= 0
        return start > 0 and self._text[start - 1] == "!" and self._text[max(0, start - 2) : start - 1] != "\\"

    def _is_definition(self, start: int) -> bool:
        name = _name(self._text[start + 1 : self._closing[start]][:1000])
        return name in self._definitions and self._definitions[name].start == start


def _name(label: str) -> str:
    """A label as references are matched: case and white space do not matter."""
    return " ".join(label.split()).casefold()


def code_spans(text: str) -> tuple[Span, ...]:
    """Spans of `text` that Markdown takes for code: between two runs of as many backticks, or a fence of tildes."""
    runs = [(found.start(), found.end()) for found in re.finditer(r"(?<![`\\])`++", text)]
    starts_by_length: dict[int, list[int]] = {}
    for start, end in runs:
        starts_by_length.setdefault(end - start, []).append(start)
    spans: list[Span] = []
    for start, end in runs:
        if spans and start < spans[-1][1]:
            continue
        same = starts_by_length[end - start]
        index = bisect_right(same, start)
        is_fence = end - start >= 3 and not text[text.rfind("\n", 0, start) + 1 : start].strip(" >")
        if index < len(same) and (is_fence or "\n\n" not in text[end : same[index]]):
            spans.append((start, same[index] + end - start))
    return tuple(spans)


_AUTOLINK = re.compile(r"<(?P<target>[A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]+)>")


def _find_autolinks(text: str) -> Iterator[Markup]:
    for found in _AUTOLINK.finditer(text):
        yield Markup(kind="autolink", start=found.start(), end=found.end(), target=found.span("target"))


_LATEX = re.compile(
    r"\\(?:url|nolinkurl|href)\*?\s*+(?:\[[^\[\]]*+\])?\{(?P<target>[^{}]*+)\}"
    r"(?:\s*+\{(?P<label>(?:[^{}]|\{[^{}]*+\})*+)\})?"
)


def _find_latex(text: str) -> Iterator[Markup]:
    for found in _LATEX.finditer(text):
        labels = (found.span("label"),) if found["label"] is not None else ()
        yield Markup(kind="latex", start=found.start(), end=found.end(), target=found.span("target"), labels=labels)
