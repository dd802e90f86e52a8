"""Words of a text with offsets and stems: what word alignment and the claim checks compare."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d+(?:[.,]\d+)*")


def word_set(words: str) -> frozenset[str]:
    """The words of a list that is written as one text."""
    return frozenset(words.split())


STOP_WORDS = word_set(
    """a about above after again against all also although am an and any are as at be because been before being below
    between both but by can could did do does doing down during each either even ever every few for from further had
    has have having he her here hers him his how however i if in into is it its itself just let may me might more most
    much must my neither no nor not now of off on once one only onto or other our ours out over own per rather same
    she should so some such than that the their theirs them themselves then there these they this those though through
    thus to too toward towards under until up upon us very via was we were what when where whether which while who
    whom whose why will with within without would yet you your yours
    isn't aren't don't doesn't didn't can't couldn't won't wasn't weren't hasn't haven't it's cannot
    e.g i.e etc et al"""
)
"""Function words: they carry no content of their own, so alignment leaves them out."""

# Longest first: the first ending that fits and leaves three letters or more is taken off.
_ENDINGS = (
    ("ifications", "ify"), ("ification", "ify"), ("abilities", ""), ("ability", ""), ("isations", "iz"),
    ("izations", "iz"), ("isation", "iz"), ("ization", "iz"), ("fulness", "ful"), ("iveness", "ive"),
    ("ousness", "ous"), ("ational", "at"), ("ations", "at"), ("ities", ""), ("ation", "at"), ("ments", "ment"),
    ("ators", "at"), ("ising", "iz"), ("izing", "iz"), ("ility", "l"), ("ator", "at"), ("ised", "iz"), ("ized", "iz"),
    ("ises", "iz"), ("izes", "iz"), ("iser", "iz"), ("izer", "iz"), ("ness", ""), ("sses", "ss"), ("ings", ""),
    ("ions", ""), ("ates", "at"), ("ated", "at"), ("able", ""), ("ible", ""), ("ance", ""), ("ence", ""), ("ally", ""),
    ("ical", "ic"), ("ise", "iz"), ("ize", "iz"), ("ies", "y"), ("ied", "y"), ("ily", "y"), ("ity", ""), ("ion", ""),
    ("ing", ""), ("ate", "at"), ("ours", "or"), ("our", "or"), ("ers", ""), ("ors", "or"), ("ely", ""), ("est", ""),
    ("ive", ""), ("ed", ""), ("er", ""), ("ly", ""), ("es", ""), ("al", ""), ("s", ""), ("e", ""),
)  # fmt: skip

_IRREGULAR = {
    "built": "build", "made": "make", "took": "take", "taken": "take", "gave": "giv", "given": "giv", "found": "find",
    "kept": "keep", "shown": "show", "held": "hold", "chosen": "choos", "chose": "choos", "men": "man",
    "women": "woman",
    "people": "person", "got": "get", "went": "go", "goes": "go", "ran": "run", "led": "lead", "grew": "grow",
    "fewer": "few", "data": "data", "datasets": "dataset", "analyses": "analys", "analysis": "analys",
    "better": "good", "worse": "bad", "written": "writ", "wrote": "writ", "seen": "see", "saw": "see", "sold": "sell",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text: ``text[start:end]``, its stem, and whether it carries content."""

    text: str
    start: int
    end: int
    stem: str
    is_content: bool


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """Lower-case stem: endings off, British and American spelling one ("analyses" as "analysis", "colour" as "color").

    Short and not Porter's on purpose: two forms of one word need to meet, a dictionary form is not needed.
    """
    lower = word.lower().replace("’", "'").removesuffix("'s")
    if lower in _IRREGULAR:
        return _IRREGULAR[lower]
    if len(lower) <= 3:
        return lower
    for ending, kept in _ENDINGS:
        if lower.endswith(ending) and len(lower) - len(ending) >= 3 and not lower.endswith("ss"):
            lower = lower[: len(lower) - len(ending)] + kept
            break
    return _without_double(lower)


def _without_double(word: str) -> str:
    """``runn`` as ``run``, ``studi`` as ``study``."""
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeious":
        word = word[:-1]
    if len(word) > 3 and word.endswith("at"):
        return word[:-2] if len(word) > 5 else word
    return word[:-1] + "y" if len(word) > 3 and word.endswith("i") else word


@lru_cache(maxsize=8_192)
def split_words(text: str) -> tuple[Word, ...]:
    """Words and numbers of `text` in order; compounds are split at their hyphens."""
    words: list[Word] = []
    for match in _WORD.finditer(text):
        word = match.group()
        lower = word.lower().replace("’", "'")
        is_content = lower not in STOP_WORDS and (len(word) > 1 or word.isdigit() or not word.isascii())
        words.append(Word(word, match.start(), match.end(), stem(word), is_content))
    return tuple(words)


def content_stems(text: str) -> tuple[str, ...]:
    """Stems of the words of `text` that carry content, in order, repeats kept."""
    return tuple(word.stem for word in split_words(text) if word.is_content)
