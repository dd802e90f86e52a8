"""What the request as a whole bears out: which models are recommended, how many sources, whose link, which host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal
from urllib.parse import urlsplit

from cnaps_rag.checks.attribution import Mention, find_mentions
from cnaps_rag.checks.numbers import find_numbers
from cnaps_rag.links import canonical_link, find_links
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import FieldName, Source, SourceId
from cnaps_rag.words import stem, word_set

_NAME_HOLDS = re.compile(
    r"^\W*the (?:model['’]s )?name (?:of (?:the|this) (?:recommended )?model,? )?(?P<name>.*?),?\s*"
    r"(?:contains|holds|has|includes|mentions)"
    r"(?: the (?:word|part|string|term))? [\"“'‘](?P<part>[^\"”’]+)[\"”’'](?: in it)?\s*\.?\s*$",
    re.IGNORECASE,
)
# The only words of a claim about the request itself. One word more, and it says something that needs a source's text.
_WORDS = word_set(
    """a an the s this that these those its it their they there here is are was were be has have had can do does and or
    both only sole single one also as at by for from in of on to under with which namely no not none neither nor any
    recommended supplied related provided given listed available found located hosted linked published accessible named
    called titled name title entry request question answer user model models paper papers source sources tool tools
    link links url urls page address code implementation repository repo github arxiv project pdf website online two
    three four five six seven eight nine ten first second third fourth fifth last next following other another number
    count total order are: respectively"""
)
_ABOUT_REQUEST = re.compile(
    r"\b(?:recommended|supplied|provided|listed|linked|hosted|available|links?|url|code|repository|repo|github|arxiv|"
    r"paper is at|implementation|related papers?|papers?)\b",
    re.IGNORECASE,
)
_TIED = re.compile(
    r"(?<!\band)(?<!\bor)(?<!\bnor)[\s,]+(?:of|for|in|from|with|by|to|under)\s+(?:the\s+)?(?:\w+\s+)?$", re.IGNORECASE
)
_ORDINALS = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4}


Place = tuple[SourceId, FieldName]


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestFact:
    """What the request says to a claim about itself; `places` are the fields that bear it out."""

    verdict: Literal["supported", "contradicted", "misattributed", "not_found"]
    reason: str
    places: tuple[Place, ...] = ()


def check_request_fact(claim: str, request: AnswerRequest, subject: SourceId | None) -> RequestFact | None:
    """The verdict on a claim about the request itself; None for every other claim."""
    if match := _NAME_HOLDS.match(claim):
        return _check_name_part(match, request, subject)
    return _FactReader(claim, request, subject).read()


def _check_name_part(match: re.Match[str], request: AnswerRequest, subject: SourceId | None) -> RequestFact:
    named = [source for source in request.sources if source.title == match["name"].strip()]
    if not named and not match["name"].strip() and subject is not None and subject != "Q":
        named = [request.source(subject)]
    if not named:
        return RequestFact(verdict="not_found", reason="no supplied source has this name.")
    places: tuple[Place, ...] = tuple((source.id, source.title_field) for source in named)
    if match["part"] in named[0].title:
        return RequestFact(verdict="supported", reason="the name holds these letters.", places=places)
    return RequestFact(verdict="contradicted", reason=f'the name does not contain "{match["part"]}".', places=places)


class _FactReader:
    """Reads one claim with its links and names taken out."""

    def __init__(self, claim: str, request: AnswerRequest, subject: SourceId | None) -> None:
        self._request = request
        self._links = [link for link in find_links(claim) if link.text.lower() not in ("github", "arxiv")]
        bare = claim
        for link in reversed(self._links):
            bare = f"{bare[: link.start]} LINK {bare[link.end :]}"
        self._mentions = find_mentions(bare, request)
        self._claim = bare
        self._bare = _without(bare, self._mentions)
        self._said_of = tuple(dict.fromkeys(mention.source_id for mention in self._mentions)) or (
            (subject,) if subject is not None and subject != "Q" else ()
        )

    def read(self) -> RequestFact | None:
        words = re.findall(r"[^\W\d_]+", self._bare)
        lower = [word.lower() for word in words if word not in ("LINK", "NAME")]
        if any(word not in _WORDS for word in lower) or not (self._links or _ABOUT_REQUEST.search(self._bare)):
            return None
        if not any(word in ("is", "are", "has", "have", "was", "were", "can") for word in lower) and not self._links:
            return None
        faults = [
            self._links_fault(),
            self._missing_fault(),
            self._host_fault(),
            self._count_fault(),
            self._kind_fault(),
            self._relation_fault(),
        ]
        for fact in faults:
            if fact is not None:
                return fact
        if not self._said_of and not self._links and not find_numbers(self._bare):
            return None
        return RequestFact(verdict="supported", reason="the request itself says so.", places=self._places())

    def _places(self) -> tuple[Place, ...]:
        sources = [self._request.source(source_id) for source_id in self._said_of] or list(self._request.sources)
        places: list[Place] = []
        wanted = {canonical_link(link.target) for link in self._links}
        for source in sources:
            places.append((source.id, source.title_field))
            for field, link in _fields(source):
                if (canonical_link(link) in wanted) or (not wanted and field == self._field_spoken_of()):
                    places.append((source.id, field))
        return tuple(places)

    def _field_spoken_of(self) -> FieldName | None:
        if re.search(r"\b(?:github|code|repo\w*|implementation)\b", self._bare, re.IGNORECASE):
            return "github"
        return "paper" if re.search(r"\barxiv\b", self._bare, re.IGNORECASE) else None

    def _links_fault(self) -> RequestFact | None:
        for link in self._links:
            key = canonical_link(link.target)
            owners = self._request.owners.get(key, ()) if key else ()
            if not owners:
                return RequestFact(verdict="not_found", reason=f'the link "{link.text}" is not supplied.')
            said = {twin for source_id in self._said_of for twin in self._request.twins(source_id)}
            if said and not said & set(owners):
                reason = f"this link is that of {', '.join(owners)}, not of {', '.join(self._said_of)}."
                return RequestFact(verdict="misattributed", reason=reason)
        if len(self._links) == 1 and (fault := self._link_kind_fault(self._links[0].target)):
            return fault
        return None

    def _link_kind_fault(self, target: str) -> RequestFact | None:
        """One link called "code" that is the paper's, or the other way round."""
        key = canonical_link(target)
        fields = {
            field for source in self._request.sources for field, link in _fields(source) if canonical_link(link) == key
        }
        says_code = re.search(r"\b(?:code|repo\w*|implementation)\b", self._bare, re.IGNORECASE) is not None
        says_paper = re.search(r"\bpaper\b", self._bare, re.IGNORECASE) is not None
        wrong = (says_code and not says_paper and "github" not in fields) or (
            says_paper and not says_code and "paper" not in fields and "github" in fields
        )
        reason = "the request supplies this link as another field."
        return RequestFact(verdict="contradicted", reason=reason) if wrong else None

    def _missing_fault(self) -> RequestFact | None:
        """Such as "No GitHub link was supplied for X"; a missing link proves nothing more than that."""
        if not re.search(r"\b(?:no|not|none|neither|nor)\b", self._bare, re.IGNORECASE):
            return None
        is_of_link = re.search(r"\b(?:link|links|url)\b", self._bare, re.IGNORECASE)
        field: FieldName = (
            "paper" if re.search(r"\b(?:arxiv|paper) (?:link|url)", self._bare, re.IGNORECASE) else "github"
        )
        if not is_of_link or not re.search(r"\b(?:github|code|repo\w*|arxiv|paper)\b", self._bare, re.IGNORECASE):
            return RequestFact(verdict="not_found", reason="that a link is missing says nothing of what exists.")
        sources = [self._request.source(source_id) for source_id in self._said_of] or list(self._request.sources)
        owning = [source for source in sources if source.field(field) is not None]
        if owning:
            return RequestFact(verdict="contradicted", reason=f"{owning[0].id} was supplied with a link of this kind.")
        return RequestFact(
            verdict="supported",
            reason="no such link was supplied.",
            places=tuple((s.id, s.title_field) for s in sources),
        )

    def _host_fault(self) -> RequestFact | None:
        for word, host in (("github", "github.com"), ("arxiv", "arxiv.org")):
            if not re.search(rf"\b{word}\b", self._bare, re.IGNORECASE):
                continue
            for source_id in self._said_of:
                links = self._request.source(source_id).links
                if not any(_host(link) == host for link in links):
                    return RequestFact(verdict="not_found", reason=f"{source_id} was not supplied with a {word} link.")
        if re.search(r"\b(?:code|repo\w*|implementation)\b", self._bare, re.IGNORECASE):
            lacking = [source_id for source_id in self._said_of if self._request.source(source_id).github is None]
            if lacking:
                return RequestFact(verdict="not_found", reason=f"{lacking[0]} was supplied without code.")
        return None

    def _count_fault(self) -> RequestFact | None:
        counts = {"model": len(self._request.models), "paper": len(self._request.papers)}
        counts["source"] = counts["model"] + counts["paper"]
        counted = [(int(number.value), number.nouns) for number in find_numbers(self._bare)]
        if re.search(
            r"\b(?:only|sole|single|one) (?:recommended |supplied |related )*(?:model|paper|source)\b", self._bare, re.I
        ):
            counted.append((1, tuple(stem(kind) for kind in re.findall(r"model|paper|source", self._bare)[:1])))
        for value, nouns in counted:
            kind = next((kind for kind in counts if stem(kind) in nouns), None)
            if kind is None:
                return RequestFact(verdict="not_found", reason=f"the request does not give the number {value}.")
            if counts[kind] != value:
                return RequestFact(
                    verdict="contradicted", reason=f"the request has {counts[kind]} {kind}s, not {value}."
                )
        return self._order_fault()

    def _order_fault(self) -> RequestFact | None:
        match = re.search(
            r"\b(first|second|third|fourth|fifth|last)\b(?:[\w ]*?\b(model|paper)\b)?", self._bare, re.IGNORECASE
        )
        if match is None or len(self._said_of) != 1:
            return None
        kind = match[2].lower() if match[2] else self._request.source(self._said_of[0]).kind
        ids = [source.id for source in self._request.sources if source.kind == kind]
        place = len(ids) - 1 if match[1].lower() == "last" else _ORDINALS[match[1].lower()]
        if place < len(ids) and ids[place] in self._request.twins(self._said_of[0]):
            return None
        return RequestFact(verdict="contradicted", reason=f"{self._said_of[0]} does not stand there in the request.")

    def _relation_fault(self) -> RequestFact | None:
        """Such as "X is the paper of Y": the request ties no two sources to each other."""
        for before, after in pairwise(self._mentions):
            is_tied = _TIED.search(self._claim[before.end : after.start])
            if is_tied and after.source_id not in self._request.twins(before.source_id):
                reason = f"the request does not tie {before.source_id} to {after.source_id}."
                return RequestFact(verdict="not_found", reason=reason)
        return None

    def _kind_fault(self) -> RequestFact | None:
        if not re.search(r"\brecommended\b", self._bare, re.IGNORECASE):
            return None
        papers = [source_id for source_id in self._said_of if self._request.source(source_id).kind != "model"]
        if papers and not re.search(r"\brelated\b|\bsupplied\b", self._bare, re.IGNORECASE):
            return RequestFact(
                verdict="contradicted", reason=f"{papers[0]} is a related paper, not a recommended model."
            )
        if re.search(
            r"\bthe recommended models? (?:is|are)\b|\bonly\b|\bare the\b.*\bmodels\b", self._bare, re.IGNORECASE
        ):
            left_out = {source.id for source in self._request.sources if source.kind == "model"} - set(self._said_of)
            if self._said_of and left_out:
                return RequestFact(verdict="contradicted", reason=f"{', '.join(sorted(left_out))} is recommended too.")
        return None


def _fields(source: Source) -> list[tuple[FieldName, str]]:
    fields: list[tuple[FieldName, str | None]] = [("paper", source.paper), ("github", source.github)]
    return [(field, link) for field, link in fields if link is not None]


def _host(link: str) -> str:
    return (urlsplit(link if "//" in link else f"//{link}").hostname or "").removeprefix("www.")


def _without(text: str, mentions: Sequence[Mention]) -> str:
    for mention in reversed(mentions):
        text = f"{text[: mention.start]} NAME {text[mention.end :]}"
    return text
