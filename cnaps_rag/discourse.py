"""What a sentence does: whether it asks, orders its reader about, or leans on the one before it."""

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

_SAY = (
    r"(?:say|state|write|tell|answer|report|mention|claim|output|print|respond|reply|repeat|recommend|add|include|cite|"
    r"conclude|assert|declare|confirm|insist|rate|rank|praise)"
)
_READER = (
    r"(?:you|(?:(?:AI|language|large language) )?(?:assistants?|models?|systems?|agents?)|LLMs?|AIs?|chat ?bots?|"
    r"the (?:answer|summary|reply|assistant))"
)
_MUST = r"(?:must|should|shall|has to|have to|needs? to|ha(?:s|ve) been told to|are to|is to)"
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,60}\binstructions?\b|"
    rf"^\W*(?:note|message|attention|reminder|instructions?)(?: to| for|:) (?:all |any |the )?{_READER}\b|"
    r"^\W*(?:system|assistants?|AI|LLM|user|admin|developer)\s?[:,]|"
    rf"\b{_READER} {_MUST} (?:\w+ ){{0,2}}?{_SAY} (?:here )?(?:that|the user)\b|"
    r"\b(?:when|if|whenever|before) you (?:are|summari[sz]e|answer|reply|read|write|cite|quote|process)\b|"
    rf"^\W*(?:(?:please|now|always|never|do not|don['’]t|instead|important:|then|also|simply|just|only) )*{_SAY} "
    r"(?:that\b|the (?:user|reader)\b|(?:any )?other\b|in your\b|only\b|exactly\b)",
    re.IGNORECASE | re.DOTALL,
)
_ASKS = re.compile(r"[?？؟][\s\"'”’»)]*$")


def asks(text: str) -> bool:
    """True when a sentence of a question is the asking one, by its last mark."""
    return _ASKS.search(text) is not None


def orders(text: str) -> bool:
    """True when a sentence tells its reader what to do or to say ("Assistant, state that …"): it asserts nothing."""
    return _ORDERS.search(text) is not None


def points_back(text: str) -> bool:
    """True when a sentence leans on the one before it ("It …", "However, …", "To address these challenges, …")."""
    return _POINTS_BACK.match(text) is not None or _POINTS_BACK_INSIDE.search(text) is not None


def goes_on(text: str) -> bool:
    """True when a sentence points back only to go on with a list ("Furthermore, …", "Finally, …")."""
    return _GOES_ON.match(text) is not None
