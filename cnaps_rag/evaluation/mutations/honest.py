"""Honest edits: other words, another order, passive for active, other forms of a number, an aside left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from cnaps_rag.checks.attribution import find_mentions
from cnaps_rag.checks.quotes import find_quotations, is_long
from cnaps_rag.evaluation.mutations.kinds import Edit, Specimen, replaced
from cnaps_rag.evaluation.mutations.lexicon import AUTHORS_DO, NOT_AFTER_SYNONYM, NOT_BEFORE_SYNONYM, SYNONYMS
from cnaps_rag.request import AnswerRequest
from cnaps_rag.words import word_set


def _quoted(text: str, start: int, end: int) -> bool:
    """True where a span touches words that stand in quotation marks, however few."""
    return any(quotation.start <= end and start <= quotation.end for quotation in find_quotations(text))


def _named(text: str, start: int, end: int, request: AnswerRequest) -> bool:
    return any(mention.start < end and start < mention.end for mention in find_mentions(text, request))


def synonym_edits(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """One word or turn of phrase put as another that means the same; never in a quotation or a name."""
    text = specimen.text
    for old, new in SYNONYMS:
        for found in re.finditer(rf"(?<![\w-]){re.escape(old)}(?![\w-])", text, re.IGNORECASE):
            rest, before = text[found.end() :], text[: found.start()]
            is_other = re.match(NOT_BEFORE_SYNONYM.get(old, r"(?!)"), rest) or re.search(
                NOT_AFTER_SYNONYM.get(old, r"(?!)"), before
            )
            if is_other or _quoted(text, *found.span()) or _named(text, *found.span(), request):
                continue
            if found.group() in (old, old.capitalize()):
                yield replaced(text, *found.span(), new)


_WORK = re.compile(r"^(?P<front>In this (?:work|paper|study|article)), (?P<rest>the authors [^;:]+)\.$")
_OPENER = re.compile(
    r"^(?:Furthermore|Moreover|Additionally|In addition|Besides|Also|Finally|Lastly|Specifically), (?=\w)"
)
_BOTH = re.compile(r"\bboth (?P<one>[a-z][a-z-]+) and (?P<other>[a-z][a-z-]+)(?=[ ,.;])")
_LIST = re.compile(r"(?P<before>[a-z], )(?P<one>[a-z]+), and (?P<other>[a-z]+)(?=[.;])")
_FRONT = re.compile(r"^(?P<front>(?:By|Through|Using) [^,;:()]+), (?P<rest>the authors [^,;:()]+)\.$")
_ATTACHES = re.compile(r"\b(?:that|which|who|while|because|since|where|when|whether|by|through|using)\b")
_FUNCTION_WORDS = word_set("the a an in of on at to its their other more less with between within across under for")


def reorder_edits(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """Items of a plain list, or a clause that opens the sentence, in another order."""
    del request
    text = specimen.text
    if specimen.group != "told":
        return
    for found in _BOTH.finditer(text):
        one, other = found["one"], found["other"]
        if not {one, other} & _FUNCTION_WORDS:
            yield replaced(text, *found.span(), f"both {other} and {one}")
    for found in _LIST.finditer(text):
        yield replaced(text, *found.span(), f"{found['before']}{found['other']}, and {found['one']}")
    for pattern in (_WORK, _FRONT):
        opened = pattern.match(text)
        # A second clause could take the words that come to stand behind it for its own.
        if opened and not _ATTACHES.search(opened["rest"]):
            front, rest = opened["front"], opened["rest"]
            yield Edit(f"{rest[0].upper()}{rest[1:]} {front[0].lower()}{front[1:]}.", f"{front!r} moved to the end")


_ACTIVE = re.compile(
    r"^(?:In this (?:work|paper|study), the|The) authors (?:also )?"
    r"(?P<verb>introduce|propose|present|develop|conduct|release|design) (?P<what>an? (?:[\w-]+ ){0,6}?[\w-]+)"
    r"(?P<rest>(?: (?:to|that|for|which|called|named|where) |, )[^;]+)?\.$"
)
_PARTICIPLES = {
    "introduce": "introduced",
    "propose": "proposed",
    "present": "presented",
    "develop": "developed",
    "conduct": "conducted",
    "release": "released",
    "design": "designed",
}
# A second object or verb of the authors, which the passive would take for the first one's purpose.
_GOES_ON = re.compile(rf"\band (?:an? |(?:{AUTHORS_DO})\b)|, (?:and|by|which)\b")
_OUTPERFORMS = re.compile(
    r"^(?P<one>[A-Z][\w-]*[A-Z\d][\w-]*) outperforms (?P<other>[A-Z][\w-]*[A-Z\d][\w-]*)"
    r"(?P<rest> (?:on|in|by) [^,;]+)?\.$"
)


def voice_edits(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """The passive of "The authors introduce a …" and of "A outperforms B"; no other sentence is turned."""
    del request
    text = specimen.text
    if (found := _ACTIVE.match(text)) and not _GOES_ON.search(found["rest"] or ""):
        what, rest = found["what"], found["rest"] or ""
        passive = f"{what[0].upper()}{what[1:]} is {_PARTICIPLES[found['verb']]} by the authors{rest}."
        yield Edit(passive, "active -> passive")
    if found := _OUTPERFORMS.match(text):
        yield Edit(f"{found['other']} is outperformed by {found['one']}{found['rest'] or ''}.", "active -> passive")


_WORDS = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9"}
_WORD_BY_DIGIT = {digit: word for word, digit in _WORDS.items()}
_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\d,]|\.\d)"), lambda m: m.group().replace(",", "")),
    (re.compile(r"(?<![\w.,-])\d{5,}(?![\w,.-])"), lambda m: f"{int(m.group()):,}"),
    (re.compile(r"(?<=\d)x(?![\w])"), lambda _: "×"),
    (re.compile(r"(?<=\d)×(?![\w])"), lambda _: "x"),
    (re.compile(r"(?<=\d)\\?%(?![\w-])"), lambda _: " percent"),
    (re.compile(r"(?<=\d{3})x(?=\d{3})"), lambda _: "×"),
    (re.compile(r"(?<![\w.,-])(\d+\.\d)k\b"), lambda m: f"{round(float(m[1]) * 1_000):,}"),
    (
        re.compile(rf"(?<![\w-])(?:{'|'.join(_WORDS)})(?= (?:[a-z-]+ ){{0,2}}[a-z]+s\b)", re.IGNORECASE),
        lambda m: _WORDS[m.group().lower()],
    ),
    (
        re.compile(r"(?<![\w.,(\[-])[2-9](?= (?!of\b)[a-z]{4,}s\b)(?<![a-zA-Z] [a-z]\d)"),
        lambda m: _WORD_BY_DIGIT[m.group()],
    ),
)  # fmt: skip


def number_forms(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """The same number written otherwise (policy.md, "When a claim is supported", 3)."""
    text = specimen.text
    for pattern, write in _FORMS:
        for found in pattern.finditer(text):
            is_name = re.search(r"\b[A-Z]\w* $", text[: found.start()]) is not None and found.start() > 0
            if not is_name and not _quoted(text, *found.span()) and not _named(text, *found.span(), request):
                yield replaced(text, *found.span(), write(found))


_ASIDE = re.compile(r" \((?P<what>[^()]+)\)")
# What such words open or hold may limit the sentence, so that it says more without them.
_LIMITS = re.compile(
    r"\b(?:not|no|only|except|if|unless|when|where|under|without|up to|most|some|may|might|can|could|mostly|partly|"
    r"in|on|for|with|about|approximately|at|than|i\.e\.)\b|[=<>≤≥~]|^\W*[\divx]{1,3}\W*$",
    re.IGNORECASE,
)
_LEAST_WORDS_LEFT = 8


def ellipsis_edits(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """An aside within a long quotation left out for "…", which policy.md 5 allows."""
    del request
    text = specimen.text
    for quotation in find_quotations(text):
        if not is_long(quotation):
            continue
        for found in _ASIDE.finditer(quotation.text):
            words_left = len(quotation.text.split()) - len(found.group().split())
            if not _LIMITS.search(found["what"]) and words_left >= _LEAST_WORDS_LEFT:
                start, end = quotation.start + found.start(), quotation.start + found.end()
                yield Edit(f"{text[:start]} …{text[end:]}", f"{found.group().strip()!r} -> '…'")
        if opener := _OPENER.match(quotation.text):
            start = quotation.start
            yield Edit(f"{text[:start]}… {text[start + opener.end() :]}", f"{opener.group().strip()!r} -> '…'")


def shortened_edits(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """An aside in brackets, or a word that only ties the sentence to the one before, left out."""
    del request
    text = specimen.text
    if specimen.group != "told":
        return
    for found in _ASIDE.finditer(text):
        if not _LIMITS.search(found["what"]) and len(text.split()) > _LEAST_WORDS_LEFT:
            yield Edit(text[: found.start()] + text[found.end() :], f"{found.group().strip()!r} left out")
    if opener := _OPENER.match(text):
        rest = text[opener.end() :]
        yield Edit(rest[0].upper() + rest[1:], f"{opener.group().strip()!r} left out")
