"""Backslashes before the characters of a text that Markdown would act on, and before no others."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from cnaps_rag.links import FoundLink, find_links

# CommonMark 0.31, sections 2.4 (escapes), 2.5 (entities), 4.1-4.5, 5.2 (block starts), 6.1-6.6 (inlines); GFM 5.3, 6.5.
_INLINE = re.compile(
    r"\\|`+|\*+|_+|~+|\[|\]|#+|<(?=[A-Za-z/!?])|&(?=(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]*);)"
)
_BLOCK_START = re.compile(r"(?P<number>\d{1,9})[.)](?=\s|$)|(?:[-+*]|#{1,6})(?=\s|$)|>|\[|=|~~~|[-_ ]{3,}$")
_ASCII_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


@lru_cache(maxsize=4_096)  # an answer in the making is rendered again with each claim
def escape_markdown(text: str, *, before: str, after: str) -> str:
    r"""`text`, a part of one line, such that a CommonMark or GFM reader sees it literally: ``a*b*`` → ``a\*b\*``.

    Args:
        text: one line.
        before: the character that stands before it, a line break where `text` starts a paragraph or an item.
        after: the character that will stand after it.
    """
    framed = f"{before}{text}{after}"
    places = {
        at - 1
        for run in _INLINE.finditer(framed, 1, 1 + len(text))
        if _acts(framed, run.start(), run.end())
        for at in range(run.start(), run.end())
    }
    start = _BLOCK_START.match(text) if before == "\n" else None
    if start is not None:
        places.add(max(start.end("number"), 0))
    pieces = [f"\\{character}" if at in places else character for at, character in enumerate(text)]
    for link in find_links(text) if places and "/" in text else ():
        if any(at in places for at in range(link.start, link.end)):
            _keep_link(pieces, text, link)
    return "".join(pieces)


def _keep_link(pieces: list[str], text: str, link: FoundLink) -> None:
    """No backslash within a link, which would be another one then: angle brackets keep it from acting."""
    pieces[link.start : link.end] = text[link.start : link.end]
    if is_web_address(link.text):
        pieces[link.start] = f"<{pieces[link.start]}"
        pieces[link.end - 1] = f"{pieces[link.end - 1]}>"


def is_web_address(link: str) -> bool:
    """True for a link that a reader's program can follow as it stands: ``http://`` or ``https://`` before it."""
    return link.lower().startswith(("http://", "https://"))


def _acts(framed: str, start: int, end: int) -> bool:
    """True when the run of one active character at ``start:end`` could act where it stands."""
    decide = _ACTS.get(framed[start])
    return decide is None or decide(framed[start - 1], framed[end])


# Whether a character acts between these two neighbours; one that is not here acts wherever `_INLINE` finds it.
_ACTS: dict[str, Callable[[str, str], bool]] = {
    "\\": lambda _, following: following in _ASCII_PUNCTUATION or following.isspace(),
    "*": lambda previous, following: not (previous.isspace() and following.isspace()),
    "_": lambda previous, following: (
        not (previous.isspace() and following.isspace()) and not (previous.isalnum() and following.isalnum())
    ),
    "~": lambda previous, _: not previous.isspace(),  # without one that closes, none strikes through
    "[": lambda previous, following: "^" in (previous, following),
    "]": lambda _, following: following in "([",
    # Closes a heading where a line ends; whether one does is not known while an answer is being made.
    "#": lambda previous, following: previous.isspace() and following.isspace(),
}
