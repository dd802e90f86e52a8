"""Claims that are none in form: cut off in mid-word, a template echoed, the question echoed."""

from __future__ import annotations

import re
from collections.abc import Collection

from cnaps_rag.checks.faults import Fault
from cnaps_rag.checks.quotes import find_quotations
from cnaps_rag.words import content_stems

_ECHO = re.compile(
    r"^\W*(?:n/?a|none|null|string|text|claim(?: text)?|todo|tbd|placeholder|example|lorem ipsum.*|"
    r"(?:your|the) (?:claim|sentence|answer)(?: here)?|one (?:full )?sentence.*|(?:full )?english sentence.*)\W*$"
    r"|\$(?:\{[a-z_]+\}|[a-z_]{3,}(?![\w$]))|\{\{|(?<![\w^$\\])\{[a-z_]+\}|<[a-z_]+(?: [a-z_]+)*>"
    r"|^\W*(?:[MPQ]\d*\.\d+[\s,;]*)+\W*$"
    r"|^\W*(?:what|how) [^?]{1,80}(?:as its sentences say|as the question says)",
    re.IGNORECASE,
)
_TELLS_OF_USER = re.compile(r"\W*(?:the (?:user|question)|you)\b", re.IGNORECASE)
_CLOSED = re.compile(r"[.!?。！？…:;)\]\"”’'»%\d]\s*$")
_DANGLING = re.compile(
    r"\b(?:a|an|the|of|to|and|or|with|by|from|in|on|at|for|as|that|which|is|are|was|were|its|their|than|into)\s*$",
    re.IGNORECASE,
)


def check_form(claim: str, question: str, vocabulary: Collection[str]) -> tuple[Fault, ...]:
    """Faults of a claim's form.

    Args:
        claim: the claim's text.
        question: the user's question.
        vocabulary: words of the request in small letters: a last word that only begins one of them is cut off.
    """
    if not re.search(r"[^\W_]{2}", claim):
        return (_fault("it says nothing."),)
    if _ECHO.search(_own_words(claim)):
        return (_fault("it echoes the template instead of saying something."),)
    if claim.rstrip().endswith(("?", "？")) and not _TELLS_OF_USER.match(claim):
        return (_fault("it asks instead of saying something."),)
    if not _CLOSED.search(claim) and (_DANGLING.search(claim) or _is_cut(claim, vocabulary)):
        return (_fault("it breaks off."),)
    if _echoes(claim, question):
        return (_fault("it echoes the question instead of saying something."),)
    return ()


def _own_words(claim: str) -> str:
    """`claim` without what it quotes: those are others' words, braces and all, and checked word for word elsewhere."""
    for quotation in reversed(find_quotations(claim)):
        claim = f"{claim[: quotation.start]}quoted{claim[quotation.end :]}"
    return claim


def _is_cut(claim: str, vocabulary: Collection[str]) -> bool:
    match = re.search(r"([^\W\d_]{3,})\s*$", claim)
    if match is None:
        return False
    last = match[1].lower()
    begins_others = any(word.startswith(last) and len(word) > len(last) + 1 for word in vocabulary)
    return begins_others and last not in vocabulary and len(claim.split()) > 3


def _echoes(claim: str, question: str) -> bool:
    """The whole question with nothing said of who asks it, question mark or not."""
    ours = content_stems(claim)
    return len(ours) > 3 and ours == content_stems(question)


def _fault(reason: str) -> Fault:
    return Fault(layer="form", rule="not_a_statement", verdict="not_found", reason=reason)
