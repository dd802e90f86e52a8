"""HTML elements in a text, and which of them link or load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Element:
    """One tag. `links` is True for what links or loads (urls.md), also where the tag never ends (not `is_whole`)."""

    name: str
    start: int
    end: int
    is_whole: bool
    has_attributes: bool
    links: bool


def find_elements(text: str) -> Iterator[Element]:
    """Every tag of `text`, also those that never end, in order."""
    for found in _TAG.finditer(text):
        name, attributes = found["name"].lower(), found["attributes"]
        is_closing, is_whole = bool(found["slash"]), found["close"] == ">"
        has_attributes = bool(attributes.strip(" \t\r\n/"))
        links = not is_closing and (
            _LINKING_ATTRIBUTE.search(attributes) is not None
            or (name in _ALWAYS and is_whole)
            or (name in _WITH_ATTRIBUTES and has_attributes and (is_whole or "=" in attributes))
            or (not is_whole and name in KNOWN and _is_quote(text, found.end()))
        )
        yield Element(
            name=name,
            start=found.start(),
            end=found.end(),
            is_whole=is_whole,
            has_attributes=has_attributes,
            links=links,
        )


def _is_quote(text: str, place: int) -> bool:
    """True where a tag breaks off at a quote that never ends: what its attributes are cannot be told."""
    return text[place : place + 1] in ('"', "'") and "=" in text[max(0, place - 3) : place]


# A quoted value may hold anything; past this many characters it is taken as one that never ends.
_LIMIT_VALUE_CHARS = 5_000
_TAG = re.compile(
    r"<(?P<slash>/?)(?P<name>[a-z][a-z0-9:-]*+)(?=[\s/>])"
    rf"""(?P<attributes>(?:[^<>"']|"[^"]{{0,{_LIMIT_VALUE_CHARS}}}+"|'[^']{{0,{_LIMIT_VALUE_CHARS}}}+')*+)(?P<close>>?)""",
    re.IGNORECASE,
)
_LINKING_ATTRIBUTE = re.compile(
    r"(?:^|[\s/\"'])(?:(?:href|src|srcset|imagesrcset|action|formaction|data|poster|background|cite|ping|manifest|longdesc|profile|icon"
    r"|codebase|classid|archive|usemap|lowsrc|dynsrc|srcdoc|http-equiv|[a-z]+:href|on[a-z]+)\s*=|style\s*=.*?(?:url|import|\\))",
    re.IGNORECASE | re.DOTALL,
)
_ALWAYS = frozenset("a img script iframe style frame frameset applet portal".split())  # noqa: SIM905
# Without attributes these load nothing, and prose on image models writes them as tokens: <image>, <object>.
_WITH_ATTRIBUTES = frozenset(
    """
    area audio base bgsound embed form image input link meta object param picture source svg track use video
    """.split()  # noqa: SIM905
)
KNOWN = (
    _ALWAYS
    | (_WITH_ATTRIBUTES - {"image", "use"})
    | frozenset(
        """
        abbr address article aside b bdi bdo big blink blockquote body br button canvas caption center cite code col
        colgroup data datalist dd del details dfn dialog dir div dl dt em fieldset figcaption figure font footer h1 h2
        h3 h4 h5 h6 head header hgroup hr html i ins kbd label legend li main map mark marquee math menu meter nav nobr
        noembed noframes noscript ol optgroup option output p plaintext pre progress q rp rt ruby s samp search section
        select slot small span strike strong sub summary sup table tbody td template textarea tfoot th thead time title
        tr tt u ul var wbr xmp
        """.split()  # noqa: SIM905
    )
)
"""Names of HTML elements (WHATWG HTML, index of elements, and the obsolete ones that browsers still read)."""
