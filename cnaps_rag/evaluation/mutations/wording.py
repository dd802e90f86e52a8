"""Faults of wording: a negation put in or out, a hedge dropped, more said than is told, a comparison turned round."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cnaps_rag.evaluation.mutations.kinds import Edit, Specimen, replaced
from cnaps_rag.evaluation.mutations.lexicon import AUTHORS_DO, EFFECTS, OVERCLAIMS, REVERSED, VERBS
from cnaps_rag.evaluation.mutations.material import ABSENCE, may_tell_again, own_text
from cnaps_rag.request import AnswerRequest
from cnaps_rag.words import word_set

_DENIES = re.compile(
    r"\b(?:not|no|never|neither|nor|none|nothing|without|cannot|hardly|rarely|barely|lacks?|lacking|fails?|unable|few|"
    r"little|unlike|rather than|instead of)\b|n['’]t\b|\bnon-",
    re.IGNORECASE,
)
# A denial beside one of these may mean the same as before, or either of two things.
_UNSURE = re.compile(
    r"\b(?:whether|if|how|why|unless|until|all|every|each|any|both|either|only|or)\b|\beven (?:when|as|with)\b|\?",
    re.IGNORECASE,
)
_TO_DENY = re.compile(
    r"\b(?P<verb>is|are|was|were|can|will)(?=\s)(?!\s(?:also|either|still|even|just|merely|always|often|typically|"
    r"usually|necessarily|to)\b)"
)
_DENIED = re.compile(
    r"\b(?P<verb>is|are|was|were|do|does|did|has|have|could|can|will) ?not "
    r"(?!only|just|merely|necessarily|yet|always|to)"
)
_AUTHORS = re.compile(rf"\b[Tt]he authors (?={AUTHORS_DO})")
_LACKS = re.compile(r"(?<!the )(?<!a )\black(?P<s>s?) (?!of\b)")
_BASE_BY_VERB = dict(VERBS)
_THIRD_PERSON = re.compile(rf"(?<=[a-z,A-Z)\d]\s)\b(?:{'|'.join(_BASE_BY_VERB)})\b(?!\s(?:in|of|and|or)\b|[-,;:.])")
# Before these a word in -s is a noun: "the challenges", "two studies".
_NOUN_BEFORE = re.compile(
    r"(?:\b(?:the|a|an|of|in|for|to|and|or|their|its|these|those|our|more|two|three|many|several|prior|previous|recent|"
    r"with|on|from|by|such|key|user|as|new|empirical|case)|[,(])\s$",
    re.IGNORECASE,
)


def negation_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """A statement denied, or a denial affirmed; never beside a word that makes it the same or unclear."""
    del request
    text = specimen.text
    if ABSENCE.search(text):
        return
    n_denials = len(_DENIES.findall(text))
    if n_denials == 0 and not _UNSURE.search(text):
        yield from _denied(text)
    elif n_denials == 1 and not re.search(r"\b(?:whether|if|any|at all|ever|yet|either)\b", text, re.IGNORECASE):
        yield from _affirmed(text)


def _denied(text: str) -> Iterator[Edit]:
    for found in _TO_DENY.finditer(text):
        yield replaced(text, *found.span(), "cannot" if found["verb"] == "can" else f"{found['verb']} not")
    for found in _AUTHORS.finditer(text):
        yield replaced(text, *found.span(), "the authors do not ")
    for found in _THIRD_PERSON.finditer(text):
        if not _NOUN_BEFORE.search(text[: found.start()]):
            yield replaced(text, *found.span(), f"does not {_BASE_BY_VERB[found.group()]}")


def _affirmed(text: str) -> Iterator[Edit]:
    for found in _DENIED.finditer(text):
        yield replaced(text, *found.span(), f"{found['verb']} ")
    for found in _LACKS.finditer(text):
        yield replaced(text, *found.span(), "has " if found["s"] else "have ")


_HEDGES = re.compile(
    r"\b(?:may|might|could|can|would|should|potential\w*|possibl[ey]|likely|perhaps|seem\w*|appear\w*|suggest\w*|"
    r"hypothe\w*|hop(?:e|es|ed|ing)|expect\w*|aim\w*|goal|promis\w*|believ\w*|assum\w*|intend\w*|seek\w*|tend\w*|"
    r"indicat\w*|probabl\w*|conjectur\w*|speculat\w*|if|whether|view|opinion|according)\b",
    re.IGNORECASE,
)
_MODAL = re.compile(
    rf"\b(?:(?:may|might|could)\s(?P<any>[a-z]{{2,}})|can\s(?P<effect>(?:also |\w+ly )?(?:{EFFECTS})))\b"
)
_NO_VERB = word_set("not also then thus well still have only even be")
_GUESSED = re.compile(r"\b(?P<verb>hypothesi[sz]e|suggest|conjecture|believe|speculate)(?P<s>s?) that\b", re.IGNORECASE)
_ADVERB = re.compile(r"\b(?:potentially|possibly|perhaps|probably) ", re.IGNORECASE)
_PLURAL = re.compile(r"(?:\b(?:they|we|authors|and \w+|people|data)|[a-z]{2,}(?<!s)(?<!u)(?<!i)s)$", re.IGNORECASE)


def hedge_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """What may be told as what is; only the claim's one hedge, and only where no other sentence tells it unhedged."""
    text = specimen.text
    if len(_HEDGES.findall(text)) != 1 or ABSENCE.search(text):
        return
    own = own_text(request, specimen.subject)
    for edit in _unhedged(text):
        if not may_tell_again(edit.text, own):
            yield edit


def _unhedged(text: str) -> Iterator[Edit]:
    for found in _MODAL.finditer(text):
        *adverb, verb = (found["any"] or found["effect"]).split()
        is_plural = _PLURAL.search(text[: found.start()].rstrip().removesuffix(" that").removesuffix(" which"))
        if _DENIES.search(text[: found.start()]):
            continue
        if verb == "be" and found["any"]:
            yield replaced(text, *found.span(), "are" if is_plural else "is")
        elif verb not in _NO_VERB and not verb.endswith("ly"):
            yield replaced(text, *found.span(), " ".join([*adverb, verb if is_plural else third_person(verb)]))
    for found in _GUESSED.finditer(text):
        yield replaced(text, *found.span(), f"prove{found['s']} that")
    for found in _ADVERB.finditer(text):
        yield Edit(text[: found.start()] + text[found.end() :], f"{found.group().strip()!r} left out")


def third_person(verb: str) -> str:
    """``boost`` as ``boosts``, ``carry`` as ``carries``, ``reach`` as ``reaches``."""
    if re.search(r"[^aeiou]y$", verb):
        return f"{verb[:-1]}ies"
    return f"{verb}es" if re.search(r"(?:s|x|z|ch|sh|o)$", verb) else f"{verb}s"


_MORE_FOLLOWS = r"(?![\w-])"
_NOT_FACT = re.compile(r"\b(?:aims?|goal|to)\s$", re.IGNORECASE)


def overclaim_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """More than is told: every case, the whole way, the only or best one, a cause; not in a denial."""
    text = specimen.text
    if ABSENCE.search(text) or _DENIES.search(text) or re.search(r"\b(?:if|whether|unless)\b", text):
        return
    own = own_text(request, specimen.subject)
    for old, new in OVERCLAIMS:
        if re.search(rf"\b{new}\b", own, re.IGNORECASE) and new != "all":
            continue
        for found in re.finditer(
            rf"(?<![\w-])(?<!the ){old}{_MORE_FOLLOWS}(?! (?:extent|degree|to\b))", text, re.IGNORECASE
        ):
            edit = replaced(text, *found.span(), new)
            if not (new == "all" and re.match(r" \w+(?<!s)\b(?! \w+s\b)", text[found.end() :])) and not may_tell_again(
                edit.text, own
            ):
                yield edit


_THAN = re.compile(
    r"(?<!no )(?<!rather )\b(?P<way>more|less)\b(?:\s[\w,-]+){1,8}?\sthan\b"
    r"(?!\s(?:\d|one|half|two|three|ever|just|only))"
)
_SIDES = re.compile(
    r"(?P<one>(?<![\w-])[A-Z]\w*[A-Z]\w*)(?P<middle> (?:is|are|performs?|outperforms?|surpass(?:es)?)\b[^,.;()]{0,80}?)"
    r"(?P<than>\bthan |(?<=outperforms )|(?<=outperform )|(?<=surpasses ))(?P<other>[A-Z]\w*[A-Z]\w*)(?![\w-])"
)


def reversed_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """The opposite of a comparison, a direction or a quality; not in a denial, nor beside its opposite."""
    del request
    text = specimen.text
    if ABSENCE.search(text) or _DENIES.search(text):
        return
    yield from _compared(text)
    if re.search(r"\b(?:if|whether|how|or)\b", text):
        return
    for old, new in REVERSED:
        if re.search(rf"\b{new.split()[0]}", text, re.IGNORECASE):
            continue
        for found in re.finditer(rf"(?<![\w-]){old}(?![\w-])(?!\s(?:in|of|bound\w*)\b)", text, re.IGNORECASE):
            yield replaced(text, *found.span(), new)


def _compared(text: str) -> Iterator[Edit]:
    for found in _THAN.finditer(text):
        yield replaced(text, found.start("way"), found.end("way"), "less" if found["way"] == "more" else "more")
    for found in _SIDES.finditer(text):
        if found["one"] != found["other"]:
            change = f"{found['one']!r} and {found['other']!r} change sides"
            turned = f"{found['other']}{found['middle']}{found['than']}{found['one']}"
            yield Edit(text[: found.start()] + turned + text[found.end() :], change)
