"""Faults of fact: a number, a unit, a name or a thing put in another's place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from cnaps_rag.checks.attribution import find_mentions
from cnaps_rag.checks.names import acronyms, spelling_keys
from cnaps_rag.evaluation.mutations.kinds import Edit, Specimen, replaced
from cnaps_rag.evaluation.mutations.lexicon import NAMES, THINGS, UNITS
from cnaps_rag.evaluation.mutations.material import ABSENCE, own_stems, own_text
from cnaps_rag.request import AnswerRequest
from cnaps_rag.words import content_stems, stem, word_set

# Beside one of these another number may be true as well: "over 57,000" holds where "over 57,648" does.
_BOUND = re.compile(
    r"(?:\b(?:about|around|approximately|roughly|nearly|almost|some|circa|over|above|below|under|than|exceed\w*|least|"
    r"most|up to|within|beyond|to|between|minimum|maximum|only|few|many)|[~≈<>≤≥±=])\s*(?:the |a )?$",
    re.IGNORECASE,
)
_DIGITS = re.compile(
    r"(?<![\w.,$^\\{/-])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?=%|[x×kKMB]?(?![\w^}]))(?![,.:/]\d|[)\]]|\.\))"
)
_NAME_BEFORE = re.compile(r"(?:\b[A-Z]\w*|\b(?:fig\.|table|section|step|level|phase|version|top|no\.|type|stage)) $")
_COUNTS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNT = re.compile(rf"\b(?:{'|'.join(_COUNTS)})\b(?=\s+(?:[\w-]+\s+){{0,3}}?[a-z-]+s\b)(?!-)", re.IGNORECASE)
_FACTORS = ("1.5", "3", "7", "0.7", "0.4")


def number_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """A larger number than the one told, and one that nothing supplied of the source gives."""
    text = specimen.text
    if ABSENCE.search(text):
        return
    own = own_text(request, specimen.subject)
    for found in _DIGITS.finditer(text):
        before = text[: found.start()]
        if _BOUND.search(before) is None and _NAME_BEFORE.search(before) is None:
            new = _other_number(found.group(), own + text, is_percent=text[found.end() :].startswith("%"))
            if new is not None:
                yield replaced(text, *found.span(), new)
    for found in _COUNT.finditer(text):
        place = _COUNTS.index(found.group().lower())
        free = [word for word in _COUNTS[place + 1 :] if not re.search(rf"\b{word}\b", own + text, re.IGNORECASE)]
        free = [word for word in free if not re.search(rf"(?<!\d){_COUNTS.index(word) + 2}(?!\d)", own)]
        if free and _BOUND.search(text[: found.start()]) is None:
            yield replaced(text, *found.span(), free[0])


def _other_number(old: str, taken: str, *, is_percent: bool) -> str | None:
    """A number larger by half or more (smaller, where 100% is near), whose digits stand nowhere in `taken`."""
    value = Decimal(old.replace(",", ""))
    n_digits = len(old.partition(".")[2])
    for factor in _FACTORS:
        changed = round(value * Decimal(factor) + 1, n_digits)
        new = f"{changed:,}" if "," in old else str(changed)
        if is_percent and changed > 100:
            continue
        if new not in taken and new.replace(",", "") not in taken:
            return new
    return None


_UNIT_BY_NAME = dict(UNITS)
_QUANTITY = re.compile(
    rf"(?<![\w.,-])(?P<number>\d[\d,]*(?:\.\d+)?)(?P<blank>[ -]?)(?P<unit>{'|'.join(map(re.escape, _UNIT_BY_NAME))})"
    r"(?![\w×^/-]|\s?x\d)"
)


def unit_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """The same number of another unit, or on another scale."""
    text = specimen.text
    if ABSENCE.search(text):
        return
    own = own_text(request, specimen.subject)
    for found in _QUANTITY.finditer(text):
        new = f"{found['number']}{found['blank']}{_UNIT_BY_NAME[found['unit']]}"
        if new not in own:
            yield replaced(text, *found.span(), new)


_NAME = re.compile(r"(?<![\w./@-])[A-Z][A-Za-z]*(?:[A-Z]|\d|-(?=[A-Z\d]))[\w]*(?:-[A-Z\d]\w*)*(?![\w/@-])")
_LEAST_LETTERS = 3
# Written like a name and no name of what could be swapped: fields, and words for any such thing.
_GENERAL = word_set("AI ML LLM LLMs DNN CNN CNNs 2D 3D 4D GPU GPUs CPU SOTA RGB PDF API APIs SR HR LR QA")


def name_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """Another name, which nothing supplied of the source holds and which is no acronym of what it holds."""
    text = specimen.text
    if ABSENCE.search(text):
        return
    names = [found for found in _NAME.finditer(text) if _is_name(found.group())]
    # The name of a source is what wrong_source swaps.
    sources = [(mention.start, mention.end) for mention in find_mentions(text, request)]
    for found in names:
        within = any(start < found.end() and found.start() < end for start, end in sources)
        expands = re.match(r"\s?\(|\)", text[found.end() :]) or text[: found.start()].endswith("(")
        if within or expands or len(re.findall(re.escape(found.group()), text)) > 1:
            continue
        for new in _foreign_names(specimen, request):
            yield replaced(text, *found.span(), new)


def _is_name(name: str) -> bool:
    return len(name) >= _LEAST_LETTERS and name not in _GENERAL


def _foreign_names(specimen: Specimen, request: AnswerRequest) -> Iterator[str]:
    own = own_text(request, specimen.subject)
    held, expansions = spelling_keys(own), acronyms(own)
    everything = own_text(request, None)
    given = acronyms(everything)
    others = dict.fromkeys(found.group() for found in _NAME.finditer(everything) if _is_name(found.group()))
    names = [name for name in others if not find_mentions(name, request)] + [n for n in NAMES if n not in everything]
    for name in names:
        key = "".join(re.findall(r"[^\W_]+", name.casefold()))
        key = key.removesuffix("s")
        meant = set(content_stems(given.get(key, "")))
        is_held = any(key in other or (len(other) > 2 and other in key) for other in held if len(other) > 2)
        if not is_held and key not in expansions and not (meant and meant <= own_stems(request, specimen.subject)):
            yield name


def thing_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """Another thing than the one told of; only one that nothing supplied of the source speaks of."""
    text = specimen.text
    if ABSENCE.search(text):
        return
    stems = own_stems(request, specimen.subject)
    for old, new in THINGS:
        if stem(new) in stems:
            continue
        for found in re.finditer(rf"(?<![\w-]){old}(?![\w-])", text):
            if not any(m.start <= found.start() < m.end for m in find_mentions(text, request)):
                yield replaced(text, *found.span(), new)
