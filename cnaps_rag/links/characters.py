"""Character classes that decide where a link ends and what hides in one, and where each link ends (urls.md)."""

from __future__ import annotations

import re
import unicodedata

# All names in capitals here are the insides of a regular expression's class.

CJK_LETTERS = (
    "\u1100-\u115e\u1161-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u303b\u303c\u3041-\u3096"
    "\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u3163\u3165-\u318e\u31a0-\u31bf\u31f0-\u31ff\u3200-\u4dbf"
    "\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uff9f\uffa1-\uffdc\U0001b000-\U0001b16f"
    "\U00020000-\U0003ffff"
)

# Full-width letters, digits, dot, slash and the like are no stops: inside a link they are its disguise.
CJK_STOPS = (
    "\u3001-\u3004\u3008-\u3020\u302a-\u3030\u3036-\u303a\u303d-\u303f\u309b\u309c\u30a0\u30fb\ufe10-\ufe1f"
    "\ufe30-\ufe4f\ufe50-\ufe6b\uff01\uff02\uff07-\uff0a\uff0c\uff1a-\uff1c\uff1e\uff1f\uff3b\uff3d\uff5b-\uff65"
)

# White space. Unlike "\s" without U+001C to U+001F, which nobody sees and which urls.md calls invisible.
BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

# Controls, format characters, fillers and variation selectors: what shows nothing.
INVISIBLE = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)

DIRECTION_OVERRIDES = "\u202a-\u202e"

WORD = rf"[^\W{CJK_LETTERS}]"
"""One letter, digit or ``_`` of a script that sets blanks between words."""

_PIECE = re.compile(rf"[^{BLANKS}<>\"`()\[\]{{}}{CJK_LETTERS}{CJK_STOPS}]+|[()\[\]{{}}]")
_PARTNER = {")": "(", "]": "[", "}": "{"}
# Closing punctuation beyond ASCII: ellipses, and the full stops, commas and question marks of other scripts.
_CLOSING = frozenset(".,;:!?'*_~|…‥‚„؟،؛۔।॥։՞՝።፤፥\uff0e\uff0f\uff5e")
_QUOTES_AND_BRACKETS = frozenset({"Pe", "Pf", "Pi"})
_INVISIBLE_ONE = re.compile(rf"[{INVISIBLE}]")


def run_end(text: str, start: int) -> int:
    """Where the run of a link's characters from `start` ends: at a blank, a quote, a bracket without partner, ..."""
    opened: list[str] = []
    end = start
    while (piece := _PIECE.match(text, end)) is not None:
        found = piece.group()
        if found in _PARTNER:
            if not opened or opened[-1] != _PARTNER[found]:
                break
            opened.pop()
        elif found in "([{":
            opened.append(found)
        end = piece.end()
    return end


def trimmed_end(text: str, start: int, end: int) -> int:
    """`end` moved to the left, off closing punctuation, quotes and closing brackets without partner."""
    while end > start and _is_closing(text, start, end):
        end -= 1
    return end


def _is_closing(text: str, start: int, end: int) -> bool:
    last = text[end - 1]
    if last in _PARTNER:
        return text.count(last, start, end) > text.count(_PARTNER[last], start, end)
    return last in _CLOSING or unicodedata.category(last) in _QUOTES_AND_BRACKETS


def has_invisible(text: str, start: int, end: int) -> bool:
    """True where ``text[start:end]`` holds what shows nothing, what joins symbols to one emoji apart."""
    return any(not _is_in_emoji(text, found.start()) for found in _INVISIBLE_ONE.finditer(text, max(0, start), end))


def _is_in_emoji(text: str, place: int) -> bool:
    before = text[place - 1] if place else " "
    return text[place] in "\ufe0e\ufe0f\u200d" and (before == "\ufe0f" or unicodedata.category(before) in ("So", "Sk"))
