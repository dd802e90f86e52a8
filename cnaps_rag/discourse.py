"""What one sentence is to those beside it: whether it asks, and whether it leans on the one before it."""

from __future__ import annotations

import re

_POINTS_BACK = re.compile(
    r"\W*(?:it|its|they|their|them|these|those|this|such|both|he|she|here|"
    r"however|therefore|thus|hence|consequently|accordingly|instead|nevertheless|nonetheless|yet|but|and|so|"
    r"moreover|furthermore|additionally|besides|also|similarly|likewise|conversely|in contrast|in addition|"
    r"specifically|in particular|namely|for (?:example|instance|this)|as a result|to (?:this end|do so)|meanwhile|"
    r"then|next|second(?:ly)?|third(?:ly)?|finally|lastly|the (?:former|latter|first|second|third|last))\b"
    r"(?! (?:paper|work|study|survey|article|report)\b)",
    re.IGNORECASE,
)
_POINTS_BACK_INSIDE = re.compile(
    r"^(?:to|by|in|with|for|under|among|despite|given|through) (?:\w+ ){0,3}?(?:this|these|those|such|the above)\b"
    r"(?! (?:paper|work|study|survey|article|report)\b)|\b(?:the )?(?:above|aforementioned) \w+|\bthese \w+|"
    r"\b(?:this|such) (?:\w+ )?(?:situation|problem|issue|challenge|limitation|gap|drawback|concern|shortcoming|"
    r"phenomenon|difficult|task|setting|approach|method|technique|strategy|framework|mechanism|paradigm|finding|result)\w*",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\W*(?:moreover|furthermore|additionally|besides|also|in addition|meanwhile|then|next|second(?:ly)?|third(?:ly)?|"
    r"finally|lastly)\b",
    re.IGNORECASE,
)

_ASKS = re.compile(r"[?？؟][\s\"'”’»)]*$")


def asks(text: str) -> bool:
    """True when a sentence of a question is the asking one, by its last mark."""
    return _ASKS.search(text) is not None


def points_back(text: str) -> bool:
    """True when a sentence leans on the one before it ("It …", "However, …", "To address these challenges, …")."""
    return _POINTS_BACK.match(text) is not None or _POINTS_BACK_INSIDE.search(text) is not None


def goes_on(text: str) -> bool:
    """True when a sentence points back only to go on with a list ("Furthermore, …", "Finally, …")."""
    return _GOES_ON.match(text) is not None
