"""Every link-like thing of a text, with exact offsets, what it points at, and what is wrong with it by itself."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from cnaps_rag.links.broken import broken, invisible_at
from cnaps_rag.links.characters import CJK_STOPS, DIRECTION_OVERRIDES
from cnaps_rag.links.elements import find_elements
from cnaps_rag.links.fold import Change, fold
from cnaps_rag.links.identity import ARXIV_ID, Identity, identify
from cnaps_rag.links.markup import Markup, code_spans, find_markup
from cnaps_rag.links.scan import Span, scan
from cnaps_rag.links.spans import SpanSet


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundLink:
    """One link-like span: ``text[start:end]`` of the text it was found in, always.

    Attributes:
        target: what it leads to, for `canonical_link`: the span itself, ``arXiv:…`` or ``doi:…`` for a plain id.
        canonical: identity of the target by urls.md; None where `fault` is set.
        fault: why urls.md rejects it whatever was supplied, in words that go on after "this link": "it holds …".
        is_disguised: True where the fault is a disguise, not a form that is always rejected.
        label: text that is shown in the link's place, or None.
        shows: identities of the links that are shown in its place ("" for one that has none).
        whole: span of the whole construct, markup included: ``[text](target)``.
    """

    text: str
    start: int
    end: int
    target: str
    canonical: str | None
    fault: str | None
    is_disguised: bool = False
    label: str | None = None
    shows: tuple[str, ...] = ()
    whole: tuple[int, int] = (0, 0)


def find_links(text: str) -> tuple[FoundLink, ...]:
    """Everything in `text` that urls.md counts as a link, and all else that it rejects, in order of their starts."""
    return _find_in_line(text) if len(text) <= LIMIT_KEPT_CHARS else _find(text)


LIMIT_KEPT_CHARS = 1_000
"""Longest text whose links are remembered: titles, sentences and links are looked through again and again."""


def _find(text: str) -> tuple[FoundLink, ...]:
    plain = scan(text)
    kept: list[FoundLink] = []
    for links in (_elements(text), _markup(text, plain), _hidden(text, plain), _plain(text, plain)):
        spans = SpanSet((link.start, link.end) for link in kept)
        kept += [link for link in links if not spans.hold(link.start, link.end)]
    return tuple(sorted((*kept, *_overrides(text)), key=lambda link: (link.start, -link.end)))


_find_in_line = lru_cache(maxsize=4_096)(_find)


def _elements(text: str) -> list[FoundLink]:
    return [
        _found(text, element.start, element.end, fault=f"<{element.name}> is an HTML element that links or loads")
        for element in find_elements(text)
        if element.links
    ]


_OVERRIDES = re.compile(rf"[{DIRECTION_OVERRIDES}]+")


def _overrides(text: str) -> list[FoundLink]:
    reason = "it turns the direction of the text around it, so that what is read is not what is written"
    return [_found(text, *found.span(), fault=reason, is_disguised=True) for found in _OVERRIDES.finditer(text)]


def _found(text: str, start: int, end: int, *, fault: str, is_disguised: bool = False) -> FoundLink:
    """A link that is rejected whatever was supplied, and whose target does not matter."""
    return FoundLink(
        text=text[start:end],
        start=start,
        end=end,
        target=text[start:end],
        canonical=None,
        fault=fault,
        is_disguised=is_disguised,
        whole=(start, end),
    )


# Links that markup makes


def _markup(text: str, plain: Sequence[Span]) -> list[FoundLink]:
    code = SpanSet(code_spans(text))
    starts = [span.start for span in plain]
    links: dict[tuple[int, int], FoundLink] = {}
    for markup in find_markup(text):
        start, end = markup.target
        if markup.kind == "image":
            reason = "it is an image, which is loaded when shown"
            links[markup.start, markup.end] = _found(text, markup.start, markup.end, fault=reason)
        elif (link := _target(text, markup, plain, starts)) is not None:
            first = bisect_left(starts, start)
            looks_so = (first < len(plain) and plain[first].end <= end) or bool(link.shows)
            # What does not look like a link is one only where Markdown reads it, and someone refers to it.
            is_read = not code.touch(markup.start, markup.start + 1) and (markup.kind != "definition" or markup.labels)
            if looks_so or is_read:
                links.setdefault((link.start, link.end), link)
    return list(links.values())


def _target(text: str, markup: Markup, plain: Sequence[Span], starts: Sequence[int]) -> FoundLink | None:
    """The link that `markup` makes, or None where it leads to a place of the text's own page and shows nothing else."""
    start, end = markup.target
    target = text[start:end]
    shows = tuple(shown for label in markup.labels for shown in _shown(text, label, plain, starts))
    label = text[slice(*markup.labels[0])] if markup.labels else None
    if not target.strip() or target.startswith("#"):
        if not any(shows):
            return None
        link = _found(text, markup.start, markup.end, fault="its target is a place on the page itself")
        return replace(link, label=label, shows=shows)
    identity = identify(target, is_target=True)
    # The text of a link is a part of it, but an autolink or a definition is no more than its target.
    hidden = invisible_at(text, markup.start, markup.end) if markup.kind in ("link", "latex") else None
    if identity.fault is None and hidden is not None:
        identity = Identity(fault=hidden, is_disguised=True)
    return FoundLink(
        text=target,
        start=start,
        end=end,
        target=target,
        canonical=identity.canonical,
        fault=identity.fault,
        is_disguised=identity.is_disguised,
        label=label,
        shows=shows,
        whole=(markup.start, markup.end),
    )


_BARE_ID = re.compile(rf"(?<![\d./]){ARXIV_ID}(?:v\d+)?(?![\d./])")
_LIMIT_LABEL_CHARS = 1_000  # a longer text of a link shows no single id


def _shown(text: str, label: tuple[int, int], plain: Sequence[Span], starts: Sequence[int]) -> list[str]:
    """Identities of the links in the text of a link; of its arXiv ids too where they stand there without "arXiv"."""
    index = bisect_left(starts, label[0])
    shows: list[str] = []
    while index < len(plain) and plain[index].start < label[1]:
        span = plain[index]
        shows.append(identify(span.target or text[span.start : span.end]).canonical or "")
        index += 1
    if not shows and label[1] - label[0] < _LIMIT_LABEL_CHARS:
        ids = _BARE_ID.findall(text[slice(*label)])
        shows += [identify(f"arXiv:{found}").canonical or "" for found in ids]
    return shows


# Links that a reader or a program would put together


def _hidden(text: str, plain: Sequence[Span]) -> list[FoundLink]:
    folded = fold(text)
    if not folded.changes:
        return []
    known = SpanSet((span.start, span.run_end) for span in plain)
    plain_by_start = {span.start: span for span in plain}
    links: list[FoundLink] = []
    for span in scan(folded.text):
        changes = folded.changes_within(span.start, span.end)
        if not changes:
            continue
        start, end = folded.source_span(span.start, span.end)
        if not known.hold(start, end) and not _ends_before(text, plain_by_start.get(start), changes[0]):
            links.append(_found(text, start, end, fault=changes[0].reason, is_disguised=True))
    return links


_DOT = re.compile("[。｡]$")
_CJK_STOP = re.compile(rf"[{CJK_STOPS}]")


def _ends_before(text: str, known: Span | None, change: Change) -> bool:
    """True where a link is whole before a Chinese or Japanese stop, or where that stop ends a sentence."""
    if _CJK_STOP.match(text, change.start) is None:
        return False
    if known is not None and known.run_end <= change.start:
        return identify(known.target or text[known.start : known.end]).canonical is not None
    return _DOT.match(text[change.start : change.end]) is not None and not text[change.end : change.end + 1].islower()


# Links of the text as it stands


def _plain(text: str, plain: Sequence[Span]) -> list[FoundLink]:
    links: list[FoundLink] = []
    for span in plain:
        target = span.target or text[span.start : span.end]
        identity = identify(target)
        fault, is_disguised = identity.fault, identity.is_disguised
        if fault is None:
            fault = (
                span.fault
                or invisible_at(text, span.start, span.run_end)
                or broken(text, span, identity.canonical or "")
            )
            is_disguised = fault is not None
        links.append(
            FoundLink(
                text=text[span.start : span.end],
                start=span.start,
                end=span.end,
                target=target,
                canonical=identity.canonical if fault is None else None,
                fault=fault,
                is_disguised=is_disguised,
                whole=(span.start, span.end),
            )
        )
    return links
