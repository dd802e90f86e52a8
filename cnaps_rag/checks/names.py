"""Names in a claim that its evidence does not hold (policy.md, "When a claim is supported", 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from cnaps_rag.checks.faults import Fault
from cnaps_rag.checks.numbers import is_unit
from cnaps_rag.words import STOP_WORDS, content_stems, word_set

_TOKEN = re.compile(r"[^\W_]+(?:[-_.+/&’'][^\W_]+)*")
_PART = re.compile(r"[^\W_]+")
_SENTENCE_START = re.compile(r"(?:^|[.!?:;]\s|[\"“‘(•|>*]\s?|\n\s*)[\W_]*$")
_NUMBER_LIKE = re.compile(
    r"\d[\d.,]*(?:st|nd|rd|th|s|x|k|K|M|B|bn|[a-zµ]?m|m?s|px|[kKMGT]?B|[kMG]?Hz|dB)?(?:x\d+\w*)?(?:-[a-z]+)*"
)
_DEFINED = re.compile(r"((?:[\w-]+[ \u00a0]){1,7})\(([A-Z][\w-]{1,9}?)s?\)")
_DEFINED_AFTER = re.compile(r"\b([A-Z][\w-]{1,9}?)s?[ \u00a0]\(([\w-]+(?:[ \u00a0][\w-]+){1,6})\)")
_STANDS_FOR = re.compile(
    r"\b([A-Z][\w-]{1,9}?)[\"”’]?\s(?:stands|is short|is an acronym|is an abbreviation) (?:for|of)\s"
    r"[\"“‘]?(?:the\s)?([\w-]+(?:[ \u00a0][\w-]+){0,7})"
)

# Capitalised and yet no names of anything that a source would have to hold.
_ORDINARY = word_set("ai i english user users question input output workflow task paper model source")


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a text: ``text[start:end]``, and the key under which spellings of it meet."""

    text: str
    start: int
    end: int
    key: str


def name_key(name: str) -> str:
    """One key for all spellings: case, hyphens, blanks and plural do not matter ("ViTs", "vit"; "GPT-4", "GPT 4")."""
    return _singular("".join(_PART.findall(name.casefold())))


def _singular(key: str) -> str:
    return key[:-1] if len(key) > 2 and key.endswith("s") and not key.endswith("ss") else key


@lru_cache(maxsize=4_096)
def find_names(text: str) -> tuple[Name, ...]:
    """What is written like a name: capitals inside, letters with digits, or a capital in mid-sentence.

    A word that is capitalised only because it opens a sentence is none; in a headline no single capital is.
    """
    names: list[Name] = []
    headline = _is_headline(text)
    for match in _TOKEN.finditer(text):
        token = re.sub(r"['’]s?$", "", match.group())
        starts_sentence = _SENTENCE_START.search(text[: match.start()]) is not None
        is_measure = is_unit(token) and re.search(r"\d[ \u00a0]$", text[: match.start()]) is not None
        if not is_measure and _is_name(token, starts_sentence or headline):
            names.append(Name(token, match.start(), match.start() + len(token), name_key(token)))
    return tuple(names)


def _is_headline(text: str) -> bool:
    words = [word for word in _PART.findall(text) if word.isalpha() and word.lower() not in STOP_WORDS]
    return len(words) > 2 and sum(word[0].isupper() for word in words) > 0.8 * len(words)


def _is_name(token: str, capital_is_due: bool) -> bool:
    lower = token.casefold()
    if lower in STOP_WORDS or lower in _ORDINARY or _NUMBER_LIKE.fullmatch(token):
        return False
    parts = _PART.findall(token)
    has_inner_capital = any(character.isupper() for part in parts for character in part[1:])
    has_digit = any(character.isdigit() for character in token) and any(character.isalpha() for character in token)
    if has_inner_capital or has_digit:
        return True
    is_capitalised = any(part[0].isupper() and len(part) > 1 for part in parts)
    return is_capitalised and not capital_is_due


@lru_cache(maxsize=128)  # of all sources' text, some 300 kB each; a request asks for about five of them
def spelling_keys(text: str) -> frozenset[str]:
    """Keys of every run of one to five words of `text`: what a name can be found among."""
    parts = _PART.findall(text.casefold())
    runs = ("".join(parts[n : n + length]) for length in range(1, 6) for n in range(len(parts) - length + 1))
    return frozenset(key for run in runs for key in (run, _singular(run)))


@lru_cache(maxsize=1_024)
def acronyms(text: str) -> Mapping[str, str]:
    """Acronyms that `text` itself expands, by key, with their expansions ("low-rank adaptation (LoRA)")."""
    expansions: dict[str, str] = {}
    for match in _DEFINED.finditer(text):
        words = _PART.findall(match[1])
        letters = re.sub(r"[^A-Za-z]", "", match[2]).casefold()
        tails = [words[-length:] for length in range(1, len(words) + 1)]
        fitting = [tail for tail in tails if tail[0][0].casefold() == letters[:1] and len(tail) >= len(letters) / 2]
        spelt = [tail for tail in fitting if "".join(word[0] for word in tail).casefold() == letters]
        if fitting:
            expansions.setdefault(name_key(match[2]), " ".join((spelt or fitting)[0]))
    for match in _DEFINED_AFTER.finditer(text):
        if match[2][0].casefold() == match[1][0].casefold():
            expansions.setdefault(name_key(match[1]), match[2])
    for match in _STANDS_FOR.finditer(text):
        expansions.setdefault(name_key(match[1]), match[2])
    return expansions


def check_names(
    claim: str, evidence: str, *, entry: str, source_text: str, capital_names: bool = True
) -> tuple[Fault, ...]:
    """Faults of the names in `claim`: those that stand neither in the evidence nor in the entry of its source.

    Args:
        claim: the claim's text.
        evidence: the passages that it is to follow from, joined.
        entry: name or title of their source.
        source_text: all that is supplied of their source: its acronyms, where it expands them, stand for each other.
        capital_names: a word that is nothing but capitalised counts as a name; not so in German.
    """
    held = spelling_keys(evidence) | spelling_keys(entry)
    stems = frozenset(content_stems(f"{entry} {evidence}"))
    expansions = acronyms(f"{entry}. {source_text}")
    return tuple(
        Fault(
            layer="names", rule="name_missing", verdict="not_found", reason=f'the evidence does not name "{name.text}".'
        )
        for name in find_names(claim)
        if not _is_held(name, held, stems, expansions) and (capital_names or not name.text[1:].islower())
    )


def _is_held(name: Name, held: frozenset[str], stems: frozenset[str], expansions: Mapping[str, str]) -> bool:
    if name.key in held or _is_inflected(name, held):
        return True
    if (expansion := expansions.get(name.key)) and stems.issuperset(content_stems(expansion)):
        return True
    own = set(content_stems(name.text))
    if any(acronym in held and own <= set(content_stems(long)) for acronym, long in expansions.items()):
        return True
    parts = re.split(r"[-/]", name.text)
    named_parts = [part for part in parts if part and _is_name(part, capital_is_due=False)]
    if len(parts) == 1 or not named_parts:
        return False
    return all(_is_held(Name(part, 0, 0, name_key(part)), held, stems, expansions) for part in named_parts)


def _is_inflected(name: Name, held: frozenset[str]) -> bool:
    """Such as "Europe" of "European", "Gaussians" of "Gaussian": only words that are nothing but capitalised."""
    if len(name.key) < 5 or not name.text[1:].islower():
        return False
    return any(key.startswith(name.key) or (len(key) >= 5 and name.key.startswith(key)) for key in held)


def check_expansions(claim: str, supplied: str) -> tuple[Fault, ...]:
    """Faults of the acronyms that `claim` expands where no supplied text does so in these words."""
    faults: list[Fault] = []
    given = acronyms(supplied)
    for key, expansion in acronyms(claim).items():
        known = content_stems(given.get(key, ""))
        if not set(content_stems(expansion)) <= set(known):
            reason = f'no supplied source expands "{key.upper()}" as "{expansion}".'
            faults.append(Fault(layer="names", rule="expansion", verdict="not_found", reason=reason))
    return tuple(faults)
