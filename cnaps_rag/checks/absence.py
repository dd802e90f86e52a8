"""Statements of absence ("The supplied sources do not say how X works"): what they deny, and what they presuppose."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cnaps_rag.words import split_words

_ADJECTIVE = r"(?:supplied|provided|related|given|available|listed|cited|above|two|three|four|five)"
_NOUN = (
    r"(?:sources?|texts?|papers?|abstracts?|passages?|summar(?:y|ies)|materials?|entr(?:y|ies)|documents?|"
    r"information|request)"
)
_SOURCES = (
    r"(?:(?:any|either|each|one) of )?(?:(?:the|these|those|any|all|our) )?"
    rf"(?:{_ADJECTIVE} )*{_NOUN}(?: (?:{_ADJECTIVE}|here|of the request))*"
)
_ONE = rf"(?:{_ADJECTIVE} )*(?:source|text|paper|abstract|passage|summary|entry|document)"
_SAY = (
    r"(?:say|mention|report|tell|state|describe|explain|specify|give|provide|discuss|indicate|reveal|detail|show|contain|"
    r"include|address|cover|name|note|disclose|clarify|present|offer|deal with|speak of|touch on|go into|make clear|"
    r"answer)"
)
_SAYS = (
    r"(?:says|mentions|reports|tells|states|describes|explains|specifies|gives|provides|discusses|indicates|reveals|"
    r"details|shows|contains|includes|addresses|covers|names|notes|discloses|clarifies|presents|offers|deals with|"
    r"speaks of|touches on|goes into|makes clear|answers)"
)
_SAID = (
    r"(?:stated|given|described|mentioned|reported|specified|explained|said|told|covered|addressed|discussed|named|"
    r"disclosed|detailed|clear|known|indicated|provided|documented|answered)"
)
_NOTHING = (
    r"no (?:information|details?|indication|figures?|statements?|descriptions?|mention|numbers?|hints?|account|"
    r"explanations?|evidence)"
)
_DO_NOT = r"(?:do|does|did)(?: not|n['’]t) (?:explicitly |directly |actually |ever |clearly )?"
_PREPOSITION = r"(?:about|on|of|for|as to|regarding|concerning|that)"

_FORMS = tuple(
    re.compile(
        rf"^\W*(?:(?:however|but|and|yet|also|still|here|though),? )?{form}\s*\.?\s*$", re.IGNORECASE | re.DOTALL
    )
    for form in (
        rf"{_SOURCES}(?: themselves)? {_DO_NOT}{_SAY}\b,?\s*(?P<topic>.+)",
        rf"(?:none|neither) of {_SOURCES} (?:{_SAYS}|{_SAY})\b\s*(?P<topic>.+)",
        rf"(?:no|neither) {_ONE} {_SAYS}\s+(?P<topic>.+)",
        rf"nothing in {_SOURCES} {_SAYS}\s+(?P<topic>.+)",
        rf"{_SOURCES} (?:leaves?|left) (?:it )?open\s+(?P<topic>.+)",
        rf"{_SOURCES} (?:is|are) silent {_PREPOSITION}\s+(?P<topic>.+)",
        rf"{_SOURCES} (?:says?|tells?|reveals?) (?:nothing|little) {_PREPOSITION}\s+(?P<topic>.+)",
        rf"{_SOURCES} (?:gives?|provides?|contains?|offers?|includes?|has|have|makes?) (?P<topic>no .+)",
        rf"there (?:is|are) {_NOTHING} {_PREPOSITION}\s+(?P<topic>.+?) in {_SOURCES}",
        rf"it is (?:not {_SAID}|unclear|unknown|left open)(?: (?:in|by|from) {_SOURCES}),?\s+(?P<topic>.+)",
        rf"(?P<topic>.+?)(?: is| are|,)? (?:not {_SAID}|left open|unclear|unknown)(?: (?:in|by|from) {_SOURCES})",
        rf"(?P<topic>{_NOTHING} .+?) (?:is|are) (?:{_SAID}|found)(?: (?:in|by) {_SOURCES})?",
        rf"nowhere (?:in {_SOURCES} )?(?:do|does|is|are) (?:{_SOURCES} {_SAY}|it {_SAID})\s+(?P<topic>.+)",
        rf"{_SOURCES} (?:lacks?|fails? to {_SAY}|never {_SAY}|never {_SAYS})\s+(?P<topic>.+)",
        rf"(?:from {_SOURCES},? )?(?:it|one) (?:cannot|can not) (?:be )?(?:tell|told|learn(?:ed|t)?|say|said|see|seen)"
        rf"(?: from {_SOURCES}),?\s+(?P<topic>.+)",
        rf"(?P<topic>(?:how|what|which|whether|why|when|where|who|if)\b.+?),? {_SOURCES} {_DO_NOT}{_SAY}",
    )
)
_INSIDE = re.compile(
    rf"(?:[;:]|,? (?:but|and|while|although|though|yet)|,)\s+(?=(?:{_SOURCES} {_DO_NOT}{_SAY}|no {_ONE} "
    rf"{_SAYS}|none of {_SOURCES})\b)",
    re.IGNORECASE,
)
# A clause of its own behind a statement of absence: told by the subject that it begins with.
_ASSERTED_AFTER = re.compile(
    r",?\s+(?:but|(?:even |al)?though|yet|while|whereas)\s+(?=(?:it|they|this|these|the|there|[A-Z]\S*)\s\S+\s\S)|"
    r",\s+and\s+(?=(?:it|they)\s\S)"
)
_THING_OF = re.compile(r"\bthe\s+((?:[a-z][\w-]*\s+){1,4}?)of (?=(?:it|them)\b|[A-Z])")
_POSSESSED = re.compile(r"(?:['’]s|\b(?:its|their))\s+((?:[a-z][\w-]*\s*){1,4})")
_VERB_LIKE = re.compile(
    r"\b(?:is|are|was|were|can|could|has|have|does|do|works?|takes?|gives?|uses?|that|which|of|in|on|for|to|and|or)\b"
)

# What every model and paper may be asked about without presupposing anything.
_GENERIC_STEMS = frozenset(
    word.stem
    for word in split_words(
        """input inputs output outputs result method approach training data code speed accuracy architecture licence
        license hardware performance limit limits working inner workings detail details number size name author date
        version cost task purpose capability ability quality use factor kind type process processing operation behavior
        mechanism internals parameters requirement evaluation fit suitability design model paper source answer way
        recommended supplied"""
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Absence:
    """A statement that the sources do not tell `topic`."""

    topic: str


def read_absence(claim: str) -> Absence | None:
    """What a claim says the sources do not tell; None where it is no such claim."""
    for form in _FORMS:
        if match := form.match(claim):
            topic = re.sub(r"^no ", "", match["topic"].strip(" .,;:"))
            return Absence(topic=topic) if topic else None
    return None


def split_at_absence(claim: str) -> tuple[str, ...]:
    """Parts of a claim of which one says that the sources do not tell something; the claim alone where none does."""
    parts = tuple(part.strip() for part in claim.split(";") if part.strip())
    if len(parts) > 1 and any(read_absence(part) for part in parts):
        return parts
    match = _INSIDE.search(claim)
    if match is not None and match.start() > 0 and read_absence(claim[match.end() :]) is not None:
        return claim[: match.start()].strip(), claim[match.end() :].strip()
    match = _ASSERTED_AFTER.search(claim)
    if match is not None and read_absence(claim[: match.start()]) is not None:
        return claim[: match.start()].strip(), claim[match.end() :].strip()
    return (claim,)


def presupposed(topic: str, known_stems: frozenset[str]) -> str | None:
    """First thing that `topic` takes to exist ("LIIF's implicit function") and neither question nor source holds."""
    phrases = [_VERB_LIKE.split(match[1])[0] for match in _POSSESSED.finditer(topic)]
    asked = re.match(r"(how|why)\b(.*)", topic, re.IGNORECASE | re.DOTALL)
    if asked is not None:
        phrases += [match[1] for match in _THING_OF.finditer(topic)]
    if asked is not None and asked[1].lower() == "why":
        phrases += re.findall(r"\w+", asked[2])  # "why" takes all of it to be so
    for phrase in phrases:
        for word in split_words(phrase):
            if word.is_content and word.stem not in known_stems and word.stem not in _GENERIC_STEMS:
                return phrase.strip()
    return None
