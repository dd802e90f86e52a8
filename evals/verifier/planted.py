"""Claims made by rule from sentences of abstracts: honest rewordings, and rewordings with one planted fault.

A claim is a list of words with a flag for each: False where the word is what makes the claim wrong. These rules make
training data only; the faults that the validator is tested with come from `cnaps_rag.evaluation.mutations`.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NUMBER = re.compile(r"(?<![\w.-])\d+(?:[.,]\d+)*(?![\w-])")
NAME = re.compile(r"(?<![\w-])(?:[A-Z][\w-]*[A-Z\d][\w-]*|[A-Z]{2,}[\w-]*)(?![\w-])")

_TABLES = tomllib.loads((Path(__file__).parent / "planted.toml").read_text(encoding="utf-8"))
WE: list[tuple[str, list[str]]] = _TABLES["told_by_others"]
SYNONYMS: list[list[str]] = _TABLES["synonyms"]
STRONGER: list[tuple[str, str]] = _TABLES["stronger"]
OPPOSITES: dict[str, str] = _TABLES["opposites"]

_OPENERS = re.compile(
    r"^(?:However|Moreover|Furthermore|Additionally|In addition|Finally|Specifically|Notably|In particular|"
    r"Consequently|Therefore|Thus|Hence|Besides|Also|Then), "
)
_ASIDES = (
    r"\s*\([^()]{4,}\)",
    r",\s+(?:which|thereby|thus|including|such as|leading to|resulting in|enabling|allowing|while) [^,]{15,}(?=\.$)",
)
_ACTS = re.compile(
    r"\b(proposes|introduces|shows|demonstrates|achieves|improves|outperforms|reduces|enables|uses|leverages|provides|"
    r"finds|requires)\b"
)
_SIDES = re.compile(
    r"^(?P<a>[\w -]{3,60}?) (?P<v>outperforms|outperform|surpasses|improves on|improves over|is better than|exceeds|"
    r"relies on|leads to|replaces|precedes|guides) (?P<b>[\w -]{3,60}?)"
    r"(?P<rest>[,.;].*|(?: (?:on|in|by|for|with|at|across) .*))$"
)


@dataclass(frozen=True, slots=True)
class Made:
    """A claim made by rule; `wrong` are the character spans that nothing supports (empty for an honest one)."""

    text: str
    kind: str
    wrong: tuple[tuple[int, int], ...] = ()

    @property
    def is_supported(self) -> bool:
        """True for an honest one."""
        return not self.wrong


def tell(sentence: str, rng: random.Random) -> str:
    """The sentence told by someone else: "we" and "our" replaced, its opening word left out, some words by synonyms."""
    text = _OPENERS.sub("", sentence)
    text = text[:1].upper() + text[1:]
    for pattern, forms in WE:
        text = re.sub(pattern, lambda found, forms=forms: _cased(rng.choice(forms), found), text)
    return text


def _cased(form: str, found: re.Match[str]) -> str:
    start = found.start() == 0
    return form[0].upper() + form[1:] if start else form[0].lower() + form[1:]


def reword(text: str, rng: random.Random, share: float = 0.6) -> str:
    """Some of its words replaced by synonyms that hold in this field."""
    for word, *others in SYNONYMS:
        if rng.random() < share:
            text = re.sub(rf"\b{word}\b", rng.choice(others), text)
    return text


def shorten(text: str, rng: random.Random) -> str | None:
    """Without a parenthesis, or a trailing "-ing" or "which" clause; None where there is none."""
    options = [found for pattern in _ASIDES for found in re.finditer(pattern, text)]
    if not options:
        return None
    found = rng.choice(options)
    return text[: found.start()] + text[found.end() :]


def _replaced(text: str, start: int, end: int, new: str, kind: str) -> Made:
    made = text[:start] + new + text[end:]
    return Made(made, kind, ((start, start + len(new)),))


def change_number(text: str, rng: random.Random, others: Sequence[str]) -> Made | None:
    """Another number in its place: nearby, or one of the abstract's other numbers."""
    found = list(NUMBER.finditer(text))
    if not found:
        return None
    at = rng.choice(found)
    number = at.group()
    pool = [other for other in others if other.replace(",", "") != number.replace(",", "")]
    if pool and rng.random() < 0.4:
        return _replaced(text, at.start(), at.end(), rng.choice(pool), "number")
    digits = [i for i, char in enumerate(number) if char.isdigit()]
    i = rng.choice(digits)
    fresh = rng.choice([d for d in "123456789" if d != number[i]])
    return _replaced(text, at.start(), at.end(), number[:i] + fresh + number[i + 1 :], "number")


def turn_round(text: str, rng: random.Random) -> Made | None:
    """One word by its opposite."""
    found = [at for at in re.finditer(r"[A-Za-z][\w-]*", text) if at.group().lower() in OPPOSITES]
    if not found:
        return None
    at = rng.choice(found)
    new = OPPOSITES[at.group().lower()]
    return _replaced(text, at.start(), at.end(), new.capitalize() if at.group()[0].isupper() else new, "opposite")


def negate(text: str, rng: random.Random) -> Made | None:
    """A "not" behind an auxiliary, or "does not" before a verb in the present tense."""
    found = list(re.finditer(r"\b(is|are|was|were|can|could|has|have|will|should)\b(?! not)", text))
    if found:
        at = rng.choice(found)
        return _replaced(text, at.end(), at.end(), " not" if rng.random() < 0.7 else " hardly", "negation")
    at_verb = _ACTS.search(text)
    if at_verb is None:
        return None
    stem = re.sub(r"(?<=es)s$|s$", "", at_verb.group())
    return _replaced(
        text, at_verb.start(), at_verb.end(), f"{rng.choice(('does not', 'fails to', 'never'))} {stem}", "negation"
    )


def strengthen(text: str, rng: random.Random) -> Made | None:
    """A hedge dropped, or a quantity or a verb made stronger."""
    found = [(at, new) for pattern, new in STRONGER for at in re.finditer(pattern, text)]
    if not found:
        return None
    at, new = rng.choice(found)
    return _replaced(text, at.start(), at.end(), new, "stronger")


def swap_name(text: str, rng: random.Random, others: Sequence[str]) -> Made | None:
    """A name by another one of the abstract or of the field."""
    found = list(NAME.finditer(text))
    if not found:
        return None
    at = rng.choice(found)
    pool = [other for other in others if other.lower() != at.group().lower()]
    return _replaced(text, at.start(), at.end(), rng.choice(pool), "name") if pool else None


def exchange(text: str, _rng: random.Random) -> Made | None:
    """The two sides of a comparison exchanged: "A outperforms B" as "B outperforms A"."""
    at = _SIDES.match(text)
    if at is None:
        return None
    a, b = at["a"], at["b"]
    made = f"{b[:1].upper()}{b[1:]} {at['v']} {a[:1].lower() + a[1:] if not NAME.match(a) else a}{at['rest']}"
    return Made(made, "exchanged", ((0, len(b) + 1 + len(at["v"]) + 1 + len(a)),))


def graft(text: str, other: str, rng: random.Random) -> Made | None:
    """The sentence with a clause of another abstract's sentence behind it, or before it."""
    clause = re.split(r"[,;:] | which | that | while ", other.rstrip("."))
    clause = [part for part in clause if 4 <= len(part.split()) <= 16]
    if not clause:
        return None
    tail = rng.choice(clause)
    tail = tail[0].lower() + tail[1:] if not NAME.match(tail) else tail
    lead = text.rstrip(".")
    joint = rng.choice((", and ", "; ", ", while ", ", which means that "))
    return Made(f"{lead}{joint}{tail}.", "grafted", ((len(lead) + len(joint), len(lead) + len(joint) + len(tail)),))
