"""Numbers and units of a claim that its evidence does not give (policy.md, "When a claim is supported", 3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from cnaps_rag.checks.faults import Fault
from cnaps_rag.words import split_words

Bound = Literal["exact", "about", "over", "at_least", "under", "at_most"]

_SMALL = (
    *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUE_BY_WORD = {word: n for n, word in enumerate(_SMALL, 2)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_MULTIPLIERS = {"k": 1_000, "K": 1_000, "M": 10**6, "B": 10**9, "bn": 10**9}

# What is measured -> its units as written, each with how many of the smallest one named here.
_MEASURES: dict[str, dict[str, str]] = {
    "length": {"nm": "1", "µm": "1e3", "mm": "1e6", "cm": "1e7", "km": "1e12", "kilometre": "1e12", "kilometer": "1e12"}
    | dict.fromkeys(("m", "metre", "meter"), "1e9"),
    "time": {"ns": "1", "µs": "1e3", "day": "8.64e13", "week": "6.048e14", "month": "2.592e15", "year": "3.1536e16"}
    | dict.fromkeys(("ms", "millisecond"), "1e6")
    | dict.fromkeys(("s", "sec", "second"), "1e9")
    | dict.fromkeys(("min", "minute"), "6e10")
    | dict.fromkeys(("h", "hour"), "3.6e12"),
    "bytes": {"byte": "1", "kB": "1e3", "KB": "1e3", "MB": "1e6", "GB": "1e9", "TB": "1e12"},
    "frequency": {"Hz": "1", "kHz": "1e3", "MHz": "1e6", "GHz": "1e9"},
    "pixels": dict.fromkeys(("px", "pixel"), "1"),
    "decibels": {"dB": "1"},
    "power": {"W": "1", "kW": "1e3", "MW": "1e6", "GW": "1e9"},
    "speed": {"km/h": "1", "m/s": "3.6"},
    "turns": {"rpm": "1"},
    "percent": dict.fromkeys(("%", "percent"), "1"),
    "points": dict.fromkeys(("point", "pp"), "1"),
    "times": dict.fromkeys(("x", "X", "×", "times", "fold"), "1"),
}
_UNITS = {unit: (dimension, Decimal(size)) for dimension, sizes in _MEASURES.items() for unit, size in sizes.items()}
_ONE_UNIT = ("", Decimal(1))

_BOUNDS: dict[Bound, str] = {
    "about": "about,around,approximately,approx.,roughly,nearly,almost,some,circa,ca.,close to,~,≈",
    "over": "over,more than,above,exceeding,exceeds,upwards of,beyond,>,larger than,greater than,longer than",
    "at_least": "at least,≥,no less than,no fewer than,not less than,minimum of",
    "under": "under,below,less than,fewer than,<,shorter than,smaller than",
    "at_most": "at most,up to,≤,no more than,not more than,maximum of,within",
}
# Longest first: "no more than" ends in "more than".
_CUES: tuple[tuple[str, Bound], ...] = tuple(
    sorted(((cue, bound) for bound, cues in _BOUNDS.items() for cue in cues.split(",")), key=lambda pair: -len(pair[0]))
)

_DIGITS = r"\d{1,3}(?:[,\u00a0\u2009\u202f ]\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?"
_SCALE_WORDS = "|".join(_SCALES)
_NUMBER = re.compile(
    rf"(?P<digits>{_DIGITS})|(?<![\w-])(?P<word>(?:{'|'.join(_TENS)})(?:[- ](?:one|{'|'.join(_SMALL[:8])}))?|"
    rf"(?:one|a)(?=[ -](?:{_SCALE_WORDS}))|{'|'.join(sorted(_SMALL, key=len, reverse=True))})(?!\w)",
    re.IGNORECASE,
)
_SCALE = re.compile(rf"[ \u00a0-]?({_SCALE_WORDS})\b", re.IGNORECASE)
_MULTIPLIER = re.compile(r"(?:k|K|M|B|bn)(?!\w)")
_UNIT_WORDS = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_UNIT = re.compile(rf"[ \u00a0\u202f-]?\\?(?P<unit>per cent|percentage points?|{_UNIT_WORDS})s?(?!\w)")
_SUFFIX = re.compile(r"(?:st|nd|rd|th|s)\b")  # 16th, 1980s
_JOINT = re.compile(r"\s?(?:[-–—x×]|to|and)\s?")
_LETTER = "[A-Za-zÀ-ÖØ-öø-ÿ]"  # not Chinese, Japanese or Korean ones: they follow a number without a blank
_LIST_NUMBER = re.compile(r"^\s*\(?\d{1,2}[.)](?=\s)|\(\d{1,2}\.?\)|\[\d{1,3}(?:,\s?\d{1,3})*\]")
# What a number is changed by, and what it is changed to; "up to 5" is neither.
_CHANGE = re.compile(
    r"\b(?:increas|decreas|reduc|rais|ris[ei]|rose|lower|grow|grew|drop|fall|fell|improv|cut|shr[ia]nk)\w*\b"
    r"[^.;:]{0,60}?\b(?<!up )(?P<way>by|to)(?: (?:about|over|around|nearly|almost|roughly|up to|more than))? $",
    re.IGNORECASE,
)
_AT_MOST = re.compile(r"\b(?:maxim\w+|as \w+ as|at best|at most|up to|limit\w*|within|peak\w*)\b", re.IGNORECASE)
_POINTER = re.compile(r"\b(?:fig(?:ure)?|table|section|step|eq(?:uation)?|item|stage|no)\.?\s?$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    """A number in a text: its value in plain units, what it measures, and how it is bounded.

    `step` is the size of the last digit shown; `nouns` are stems of the words that follow, which it counts.
    """

    text: str
    start: int
    end: int
    value: Decimal
    step: Decimal
    dimension: str
    bound: Bound
    nouns: tuple[str, ...]


@lru_cache(maxsize=4_096)
def find_numbers(text: str, *, in_names: bool = False) -> tuple[Number, ...]:
    """Numbers of `text` in order, written in digits or in words; numbers of list items and pointers are left out.

    Args:
        text: any text.
        in_names: take digits inside names too ("Sentinel-2", "top-5"): wanted of evidence, not of claims.
    """
    skipped = [match.span() for match in _LIST_NUMBER.finditer(text)]
    numbers: list[Number] = []
    position = 0
    while match := _NUMBER.search(text, position):
        position = match.end()
        inside_list_number = any(start <= match.start() < end for start, end in skipped)
        if inside_list_number or _POINTER.search(text[: match.start()]):
            continue
        if (number := _read_number(text, match, in_names)) is not None:
            numbers.append(number)
            position = max(position, number.end)
    return _share_units(text, numbers)


def _read_number(text: str, match: re.Match[str], in_names: bool) -> Number | None:
    before, rest = text[: match.start()], text[match.end() :]
    if match["digits"] and not in_names and re.search(_LETTER + r"[-_/.]?$", before) and not _is_after_times(before):
        return None
    value, step, end = _scaled_value(text, match)
    rest = text[end:]
    dimension, factor = _ONE_UNIT
    if (unit := _UNIT.match(rest)) and not (rest.startswith("s") and _is_year(match["digits"])):
        dimension, factor = _unit_of(unit["unit"])
        end += unit.end()
    elif _is_after_times(before):
        dimension, factor = _UNITS["x"]
    elif suffix := _SUFFIX.match(rest):
        end += suffix.end()
    elif not in_names and re.match(_LETTER, rest) and not re.match(r"[x×]\d", rest):
        return None
    return Number(
        text=text[match.start() : end], start=match.start(), end=end, value=value * factor, step=step * factor,
        dimension=dimension, bound=_bound_before(before), nouns=_nouns_after(text, end),
    )  # fmt: skip


def _is_year(digits: str | None) -> bool:
    return digits is not None and re.fullmatch(r"(?:1[89]|20)\d\d", digits) is not None


def _is_after_times(before: str) -> bool:
    return re.search(r"(?:^|[\s(\d])[x×]$", before) is not None


def _scaled_value(text: str, match: re.Match[str]) -> tuple[Decimal, Decimal, int]:
    """Value, size of its last digit shown, and where it ends, with "million" and "k" read."""
    if match["digits"]:
        plain = re.sub(r"[,\s]", "", match["digits"])
        value = Decimal(plain)
        zeros = len(plain) - len(plain.rstrip("0")) if "." not in plain else 0
        step = Decimal(10) ** (zeros if "." not in plain else -len(plain.split(".")[1]))
    else:
        value, step = Decimal(_value_of_words(match["word"])), Decimal(1)
    end = match.end()
    factor = 1
    if match["digits"] and (multiplier := _MULTIPLIER.match(text, end)):
        factor, end = _MULTIPLIERS[multiplier[0]], multiplier.end()
    while scale := _SCALE.match(text, end):
        factor, end = factor * _SCALES[scale[1].lower()], scale.end()
    return value * factor, step * factor, end


def _value_of_words(words: str) -> int:
    parts = re.split(r"[- ]", words.lower())
    return sum(1 if part in ("one", "a") else _VALUE_BY_WORD[part] for part in parts)


def is_unit(word: str) -> bool:
    """True for a unit as it is written behind a number."""
    return word in _UNITS


def _unit_of(written: str) -> tuple[str, Decimal]:
    if written == "per cent":
        return _UNITS["percent"]
    return _UNITS["point"] if written.startswith("percentage point") else _UNITS[written]


def _bound_before(before: str) -> Bound:
    tail = before[-24:].lower().rstrip()
    for cue, bound in _CUES:
        if tail.endswith(cue) and not re.search(r"\w$", tail[: len(tail) - len(cue)] + " " * (not cue[0].isalpha())):
            return bound
    return "exact"


def _nouns_after(text: str, end: int) -> tuple[str, ...]:
    """Stems of up to three words that follow in the same clause."""
    clause = re.split(r"[,;:()]|\.\s|\band\b|\d", text[end : end + 80], maxsplit=1)[0]
    return tuple(word.stem for word in split_words(clause) if word.is_content)[:3]


def _share_units(text: str, numbers: list[Number]) -> tuple[Number, ...]:
    """In "378-448px", "from 34 to 46%" and "9.6 and 11.4 times" the unit stands once and means both."""
    shared = list(numbers)
    for n in range(len(shared) - 2, -1, -1):
        left, right = shared[n], shared[n + 1]
        if left.dimension or not right.dimension or not _JOINT.fullmatch(text[left.end : right.start]):
            continue
        factor = _unit_factor(right)
        shared[n] = Number(
            text=left.text, start=left.start, end=left.end, value=left.value * factor, step=left.step * factor,
            dimension=right.dimension, bound=left.bound, nouns=left.nouns or right.nouns,
        )  # fmt: skip
    return tuple(shared)


def _unit_factor(number: Number) -> Decimal:
    unit = _UNIT.search(number.text)
    return _unit_of(unit["unit"])[1] if unit else Decimal(1)


def check_numbers(claim: str, evidence: str, *, entry: str = "") -> tuple[Fault, ...]:
    """Faults of the numbers in `claim`: not in the evidence, of another unit, or counting something else.

    Args:
        claim: the claim's text.
        evidence: the passages that it is to follow from, joined.
        entry: name or title of their source, whose digits may be repeated.
    """
    wanted = find_numbers(claim)
    given = find_numbers(evidence, in_names=True)
    titled = find_numbers(entry, in_names=True)
    faults: list[Fault] = []
    for number in wanted:
        if any(_agree(number, other) for other in titled):
            continue
        fault = _fault_of(number, wanted, given, evidence) or _turned(claim, number, evidence, given)
        if fault is not None:
            faults.append(fault)
    return tuple(faults) or _swapped(claim, wanted, evidence, given)


def in_form_of(evidence: str, claim: str) -> str:
    """`claim` with its numbers written as `evidence` writes equal ones: "0.9891" as "98.91%", "four" as "4"."""
    given = find_numbers(evidence, in_names=True)
    for number in reversed(find_numbers(claim)):
        equal = [other.text for other in given if other.bound == number.bound and _is_equal(number, other)]
        if equal and number.text not in equal:
            claim = claim[: number.start] + equal[0] + claim[number.end :]
    return claim


def _is_equal(number: Number, other: Number) -> bool:
    ours, theirs = _comparable(number, other)
    return ours is not None and ours == theirs


def _fault_of(number: Number, wanted: Sequence[Number], given: Sequence[Number], evidence: str) -> Fault | None:
    equal = [other for other in given if _agree(number, other)]
    if equal:
        return _counts_other(number, equal, given)
    if number.value == 1 and re.search(r"\b(?:one|single|a)\b", evidence, re.IGNORECASE):
        return None
    rivals = [other for other in given if not any(_agree(claimed, other) for claimed in wanted)]
    rival = next((other for other in rivals if _is_same_quantity(number, other)), None)
    if rival is None:
        reason = f'the evidence does not give "{number.text}".'
        return Fault(layer="numbers", rule="number_missing", verdict="not_found", reason=reason)
    reason = f'the claim says "{number.text}" where the evidence says "{rival.text}".'
    return Fault(layer="numbers", rule="number_changed", verdict="contradicted", reason=reason)


def _is_same_quantity(number: Number, other: Number) -> bool:
    if number.dimension and number.dimension == other.dimension:
        return True
    return bool(set(number.nouns) & set(other.nouns))


def _agree(claimed: Number, given: Number) -> bool:
    """True where the claimed number is borne out by the given one (policy.md 3)."""
    ours, theirs = _comparable(claimed, given)
    if ours is None or theirs is None:
        return False
    if ours == theirs:
        return claimed.bound not in ("over", "under") or given.bound == claimed.bound
    if claimed.bound == "about":
        return (theirs / claimed.step).quantize(Decimal(1)) * claimed.step == ours
    if claimed.bound in ("over", "at_least"):
        return theirs > ours >= theirs * Decimal("0.9")
    if claimed.bound in ("under", "at_most"):
        return ours > theirs >= ours * Decimal("0.9")
    return False


def _comparable(claimed: Number, given: Number) -> tuple[Decimal | None, Decimal | None]:
    """Both values in one unit, or None where their units differ. 98.91% and 0.9891 are the same."""
    units = {claimed.dimension, given.dimension}
    if len(units) == 1:
        return claimed.value, given.value
    if units == {"percent", ""}:
        bare, percent = (claimed, given) if given.dimension == "percent" else (given, claimed)
        if bare.value > 1:
            return None, None
        return (bare.value * 100, percent.value) if bare is claimed else (percent.value, bare.value * 100)
    if "" in units and "points" not in units:
        return _bare_value(claimed), _bare_value(given)
    return None, None


def _bare_value(number: Number) -> Decimal:
    return number.value / _unit_factor(number) if number.dimension else number.value


def _counts_other(number: Number, equal: Sequence[Number], given: Sequence[Number]) -> Fault | None:
    """Equal values, swapped in what they count: "924 workers, 34 annotators" of "924 annotators, 34 workers"."""
    nouns = set(number.nouns)
    if not nouns or not all(other.nouns for other in equal):
        return None
    shared = max(len(nouns & set(other.nouns)) for other in equal)
    rivals = [other for other in given if other not in equal and set(number.nouns[:2]) & set(other.nouns)]
    if shared:
        rivals = [other for other in rivals if other.dimension and other.dimension == number.dimension]
    rival = next((other for other in rivals if len(nouns & set(other.nouns)) > shared), None)
    if rival is None:
        return None
    reason = f'"{number.text}" counts something else in the evidence, which says "{rival.text}" of that.'
    return Fault(layer="numbers", rule="number_of_other", verdict="contradicted", reason=reason)


def _turned(claim: str, number: Number, evidence: str, given: Sequence[Number]) -> Fault | None:
    """A number told without its "up to", or as what something fell to where it fell by as much."""
    equal = [other for other in given if _agree(number, other)]
    if not equal:
        return None
    if all(other.bound == "at_most" for other in equal) and not _AT_MOST.search(claim):
        reason = f'the evidence bounds "{number.text}" from above, the claim does not.'
        return Fault(layer="numbers", rule="bound_dropped", verdict="not_found", reason=reason)
    way, ways = _way(claim, number), {_way(evidence, other) for other in equal}
    if way is None or way in ways or None in ways:
        return None
    reason = f'the claim says "{way} {number.text}" where the evidence says "{ways.pop()}".'
    return Fault(layer="numbers", rule="by_or_to", verdict="contradicted", reason=reason)


def _way(text: str, number: Number) -> str | None:
    change = _CHANGE.search(text, max(0, number.start - 100), number.start)
    return change["way"].lower() if change else None


def _swapped(claim: str, wanted: Sequence[Number], evidence: str, given: Sequence[Number]) -> tuple[Fault, ...]:
    """Two numbers in another order than in the evidence, while what they belong to stands in the same order."""
    for first, second in pairwise(wanted):
        equal = [[other for other in given if _agree(number, other)] for number in (first, second)]
        if first.value == second.value or not all(equal) or equal[0][0].start < equal[1][-1].start:
            continue
        if all(set(number.nouns) & set(others[0].nouns) for number, others in zip((first, second), equal, strict=True)):
            continue
        if _JOINT.fullmatch(claim[first.end : second.start]) and _is_listed_alike(claim[: first.start], evidence):
            return (_other_way_round(first, second),)
        owner = _stems_between(claim, 0, first.start)
        other_owner = _stems_between(claim, first.end, second.start)
        if _stand_in_order(evidence, owner - other_owner, other_owner - owner):
            return (_other_way_round(first, second),)
    return ()


def _other_way_round(first: Number, second: Number) -> Fault:
    reason = f'"{first.text}" and "{second.text}" stand the other way round in the evidence.'
    return Fault(layer="numbers", rule="numbers_swapped", verdict="contradicted", reason=reason)


def _is_listed_alike(listed: str, evidence: str) -> bool:
    """True where the two things that "A and B by 1 and 2" lists stand in the evidence in the same order."""
    before, joint, after = listed.rpartition(" and ")
    first = {word.stem for word in [word for word in split_words(before) if word.is_content][-1:]}
    return bool(joint) and _stand_in_order(evidence, first, _stems_between(after, 0, len(after)) - first)


def _stems_between(text: str, start: int, end: int) -> set[str]:
    return {word.stem for word in split_words(text[start:end]) if word.is_content}


def _stand_in_order(evidence: str, first: set[str], second: set[str]) -> bool:
    words = split_words(evidence)
    firsts = [word.start for word in words if word.stem in first]
    seconds = [word.start for word in words if word.stem in second]
    return bool(firsts and seconds) and min(firsts) < min(seconds)
