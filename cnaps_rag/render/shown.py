"""What a reader is shown of a title, a name, a question or a quote: text, without markup and without foreign links."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from cnaps_rag.checks.links import check_links
from cnaps_rag.links import canonical_link, find_links
from cnaps_rag.links.characters import BLANKS, INVISIBLE
from cnaps_rag.links.elements import KNOWN, find_elements
from cnaps_rag.links.markup import Markup, find_markup
from cnaps_rag.report import LinkFinding
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import SourceId

LINK_NOT_SUPPLIED = "[link not supplied]"
"""What stands in the place of every link-like span that is not supplied; it is itself none."""

_LIMIT_ROUNDS = 12  # each round takes a layer of nested markup off; honest text needs two


def can_be_shown(link: str) -> bool:
    """True where a reader of a running text finds this supplied link whole (a link ends before a closing ``_``)."""
    canonical = canonical_link(link)
    return canonical is not None and [found.canonical for found in find_links(f"{link} ")] == [canonical]


def shown(text: str, owners: Mapping[str, tuple[SourceId, ...]]) -> str:
    """`text` on one line, as it may be shown: `check_links` finds no fault in it, and ``shown`` of it is itself.

    Supplied links, and all other characters, stay as they are. ``[text](link)`` becomes ``text (link)``, and a blank
    keeps a link from a sign that Markdown acts on.

    Args:
        text: any text, hostile too.
        owners: canonical supplied link → ids of the sources that own it (`AnswerRequest.owners`).
    """
    return _shown(text, frozenset(owners))


def shown_title(source_id: SourceId, request: AnswerRequest) -> str:
    """Title or name of a source as it may be shown; the id where nothing of it can be.

    A link that other sources own, and this one does not, is left out: beside a name it would pass for this one's.
    """
    text = shown(request.source(source_id).title, request.owners)
    twins = set(request.twins(source_id))
    foreign = [link for link in check_links(text, request.owners) if not twins & set(link.source_ids)]
    if not foreign:
        return text or source_id
    edges = [0, *(edge for link in foreign for edge in (link.start, link.end)), len(text)]
    rest = " ".join(text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
    own = {link: ids for link, ids in request.owners.items() if twins & set(ids)}
    return shown(_EMPTY_BRACKETS.sub(" ", shown(rest, own)), request.owners).strip(" :·-–—,") or source_id


_EMPTY_BRACKETS = re.compile(r"\(\s*\)|\[\s*\]")


@lru_cache(maxsize=4_096)
def _shown(text: str, owned: frozenset[str]) -> str:
    owners = dict.fromkeys(owned, (SourceId("supplied"),))
    for _ in range(_LIMIT_ROUNDS):
        reduced = _reduced(text, owners)
        if reduced == text:
            return text
        text = reduced
    # Nothing honest is nested this deep: without its signs no markup is left, and what is still a link goes.
    plain = _one_line(re.sub(r"[<>\[\]()!&\\*~`{}]+", " ", text))
    return plain if _reduced(plain, owners) == plain else LINK_NOT_SUPPLIED


def _reduced(text: str, owners: Mapping[str, tuple[SourceId, ...]]) -> str:
    """`text` with one layer of markup and all faulty links replaced."""
    text = _one_line(_INVISIBLE.sub("", text))
    if (without := _without_elements(text)) != text:
        return without
    if (without := _without_markup(text)) != text:
        return without
    return _without_links(text, check_links(text, owners))


_INVISIBLE = re.compile(rf"[{INVISIBLE}]+")
_BLANK_RUN = re.compile(rf"[{BLANKS}]+")


def _one_line(text: str) -> str:
    return _BLANK_RUN.sub(" ", text).strip(" ")


_COMMENT = re.compile(r"<!--[^<>]*-->|<!--|<![a-z\[][^<>]*>|<\?[a-z][^<>]*>", re.IGNORECASE)


def _without_elements(text: str) -> str:
    """`text` without HTML tags and comments; what stands between tags stays, a block's tag leaves a blank."""
    if "<" not in text:
        return text
    pieces: list[str] = []
    done = 0
    for element in find_elements(text):
        if element.links or (element.name in KNOWN and not _is_token(element.name, element.has_attributes)):
            pieces.append(text[done : element.start])
            # What never ends could end in the words that will follow: "a <b" is taken for a comparison.
            done = element.end if element.is_whole or element.links else element.start + 1
            pieces.append("" if element.is_whole and element.name not in _BLOCKS else " " if element.is_whole else "< ")
    pieces.append(text[done:])
    return _one_line(_COMMENT.sub("", "".join(pieces)))


_BLOCKS = frozenset({"br", "p", "div", "li", "ul", "ol", "td", "th", "tr", "table", "hr", "pre", "blockquote"})
_TOKENS = frozenset(
    """
    address article audio base body data form head header html input label link main map mark menu meta object option
    output param q s search section select source summary time title var video
    """.split()  # noqa: SIM905 - one word a place is how the list is read
)


def _is_token(name: str, has_attributes: bool) -> bool:
    """True for what papers on language models write as a token: ``<s>``, ``<video>``, ``<search>``."""
    return name in _TOKENS and not has_attributes


def _without_markup(text: str) -> str:
    """`text` with Markdown's and LaTeX's links and images as plain text, and without what could begin or end one."""
    if not any(sign in text for sign in ("[", "](", "\\", "<")):
        return text
    done = len(text)
    is_nested = False
    for markup in sorted(find_markup(text), key=lambda markup: -markup.start):
        if markup.end <= done:
            text = text[: markup.start] + _plain(text, markup) + text[markup.end :]
            done = markup.start
        else:
            is_nested = True  # its turn comes in the next round
    if is_nested:
        return text
    text = _LATEX_COMMAND.sub(r"\1", _LABEL.sub(r"\1:", text))
    return text.replace("](", "] (").replace("![", "! [")


_LATEX_COMMAND = re.compile(r"\\(url|nolinkurl|href)(?![a-z])")
_LABEL = re.compile(r"^\[([^\[\]]*)\]:")


def _plain(text: str, markup: Markup) -> str:
    """The construct as text: its label and its target, where it has both."""
    whole, target = text[markup.start : markup.end], text[slice(*markup.target)]
    label = text[slice(*markup.labels[0])] if markup.labels else ""
    match markup.kind:
        case "image":
            return label
        case "autolink":
            return target
        case "definition":
            return whole.replace("]:", ":", 1)[1:]
        case "link" if target and not target.startswith("#") and not find_links(target):
            return whole  # brackets of a formula, as in f[i](x)
        case _:
            return f"{label} ({target})" if label.strip() not in ("", target) and target else label.strip() or target


# What a renderer to Markdown escapes, behind a link or its closing punctuation: the backslash would be a part of it.
_ESCAPED = re.compile(r"[^\s\w/]*?(?:[\\*_~|<`\[&]|\]\[)")


def _without_links(text: str, findings: Sequence[LinkFinding]) -> str:
    """`text` with the phrase for each faulty link, and a blank behind each good one that markup would touch."""
    pieces: list[str] = []
    done = 0
    for finding in findings:
        if finding.verdict == "supplied":
            if finding.end > done and _ESCAPED.match(text, finding.end) is not None:
                pieces += [text[done : finding.end], " "]
                done = finding.end
        elif finding.end > done:
            if finding.start >= done:
                pieces += [text[done : finding.start], LINK_NOT_SUPPLIED]
            done = finding.end
    return _one_line("".join((*pieces, text[done:])))
