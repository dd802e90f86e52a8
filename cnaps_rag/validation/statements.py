"""One sentence, heading or row of a text → what it claims, of which source, or why it claims nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from cnaps_rag.checks.attribution import Mention
from cnaps_rag.passages import split_sentences
from cnaps_rag.render.phrases import UNSHOWN_LINK
from cnaps_rag.render.shown import can_be_shown
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import SourceId
from cnaps_rag.validation.predicates import asserts, has_predicate, is_bare_question, is_label, phrase_reason
from cnaps_rag.validation.subjects import Context, find_names, without_names
from cnaps_rag.validation.visible import LINK, Visible

LIMIT_CLAIM_CHARS = 2_000
"""Longest claim that is read: longer than any sentence of 10 MB of abstracts, and work on one claim is not linear."""

ClaimKind = Literal["statement", "entry", "note", "too_long"]
"""``entry``: a name with its links and no more; ``note``: a footnote that quotes a field of a source."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TiedLink:
    """A link within a claim, ``text[start:end]`` of the whole text, and the sources that the claim says own it.

    `said_as` is the field that the word before it says it is ("Code: …"), or None.
    """

    start: int
    end: int
    said_of: tuple[SourceId, ...]
    said_as: Literal["paper", "github"] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TextClaim:
    """One claim of a text, or one stretch that is none: ``text`` is ``whole[start:end]``, always.

    Attributes:
        plain: what is judged: without markup and links, a row of a table with its headers.
        is_claim: False where nothing is asserted; `reason` then says why.
        subject: the source that it speaks of, by its own naming or by where it stands; None where neither tells.
        links: links that it says are some source's own.
    """

    text: str
    start: int
    end: int
    plain: str
    is_claim: bool
    reason: str = ""
    subject: SourceId | None = None
    kind: ClaimKind = "statement"
    links: tuple[TiedLink, ...] = ()


# A reference such as [12] is no number of the claim; within a quotation it is what is quoted.
_NUMBER_MARK = re.compile(r"(?<=[\w.,;:!?)\"”’%])[ \t]?\[\d{1,3}\](?![(:\[\w])")
_LABEL = re.compile(r"\s*[^\W\d_][\w ]{0,24}:\s+")
_BEGINS_SENTENCE = re.compile(r"(?:the|this|these|it|its|they|no|users?|you)\b", re.IGNORECASE)
_KIND = re.compile(r"\b(?:recommended|models?|papers?)\b", re.IGNORECASE)
QUOTED = re.compile(r"\"[^\"]{1,1000}\"|“[^“”]{1,1000}”|«[^«»]{1,1000}»|「[^「」]{1,1000}」")
# A sentence that ends in what it quotes, before another that begins in capitals.
_QUOTED_SENTENCE = re.compile(r":\s(?:(?:\"[^\"]{1,1000}\"|“[^“”]{1,1000}”)\s+)+(?=[A-Z])")
# A quotation goes on in the next pair of marks.
_GOES_ON = re.compile(r"[\"”»」]\s{1,2}[\"“«「]$")
# A source cited behind the full stop is cited for the sentence before.
_CITED_BEHIND = re.compile(r"(?<=[.!?])[ \t]+[\[(][MP]\d{1,4}(?:\.\d{1,5})?[\])](?:\s+|$)")
_WHY = re.compile(r"\W*why\b", re.IGNORECASE)
NOTE = re.compile(
    r"(?P<source>Question|Q|[MP]\d{1,4})(?:,\s*(?P<field>question|name|title|description|summary|paper|github))?:\s*"
    r"(?P<quote>[\"“].+[\"”])",
    re.DOTALL,
)


class StatementReader:
    """Reads the statements of one text, one after the other; `context` says where in the text it is."""

    def __init__(self, text: str, request: AnswerRequest) -> None:
        self.context = Context(request)
        self._text = text
        self._request = request

    def read(self, visible: Visible) -> Iterator[TextClaim]:
        """The one claim that a sentence makes, or the one stretch of it that is none; nothing where it has no word."""
        claim = self.claim(visible)
        if claim is None:
            return
        seen = seen_text(visible)
        if len(seen) > LIMIT_CLAIM_CHARS:
            yield replace(claim, kind="too_long")
            return
        names = find_names(seen, self._request)
        subject = self.context.subject_of(seen, _outside_quotes(names, seen))
        links = tuple(self._said_by_text(tie) for tie in _ties(visible, seen, names, subject))
        bare = without_names(seen, names)
        plain = claim.plain if LINK in seen or not self._is_fragment(bare) else f"{self.context.label}: {claim.plain}"
        yield self._classify(replace(claim, subject=subject, links=links, plain=plain), bare, names)

    def _classify(self, claim: TextClaim, bare: str, names: tuple[Mention, ...]) -> TextClaim:
        text = bare.replace(LINK, " ")
        if UNSHOWN_LINK in text and self._has_unshown_link(claim.subject):
            text = text.replace(UNSHOWN_LINK, " ")
        if is_label(text, has_link=LINK in bare):
            if claim.links:
                return replace(claim, kind="entry")
            if LINK in bare:
                return not_a_claim(claim, "a link alone")
            if not self._is_named_otherwise(bare, names):
                return not_a_claim(claim, "a name or label alone")
            return claim
        if reason := phrase_reason(text) or phrase_reason(claim.plain):
            return not_a_claim(claim, reason)
        if text.rstrip(" \"'”’*)").endswith(("?", "？", "؟")) and is_bare_question(text, self._request.question):
            return not_a_claim(claim, "a question that names no source")
        return claim

    def asserts(self, seen: str, names: tuple[Mention, ...]) -> bool:
        """True where a heading or a label could say something; one of label words is none, whatever they name."""
        bare = without_names(seen, names)
        if is_label(seen):
            return False
        if self._is_named_otherwise(bare, names):
            return True
        # "Why" takes for granted what it asks; of other questions the words of a name are none of theirs.
        return asserts(bare, self._request.question) and (
            _WHY.match(bare) is not None or asserts(seen, self._request.question)
        )

    def _said_by_text(self, tie: TiedLink) -> TiedLink:
        """A link whose own text is "code" or "paper" is said to be that."""
        word = _LINK_WORD.search(self._text, max(0, tie.start - 40), tie.start)
        return tie if word is None else replace(tie, said_as="github" if word["github"] else "paper")

    def _is_fragment(self, bare: str) -> bool:
        return bool(self.context.label) and ":" not in bare and not asserts(bare, self._request.question)

    def _is_named_otherwise(self, bare: str, names: tuple[Mention, ...]) -> bool:
        """True for a label that calls a paper a recommended model, or a model a paper."""
        kinds = {self._request.source(twin).kind for name in names for twin in self._request.twins(name.source_id)}
        said = {"paper" if "paper" in word.lower() else "model" for word in _KIND.findall(bare)}
        return bool(kinds and len(said) == 1 and not said & kinds)

    def _has_unshown_link(self, subject: SourceId | None) -> bool:
        """True where the source of this line was supplied with a link that may never be shown."""
        links = self._request.source(subject).links if subject is not None else ()
        return any(not can_be_shown(link) for link in links)

    def sentences(self, visible: Visible) -> Iterator[Visible]:
        """Sentences; a name and what stands in quotation marks are never cut."""
        kept = [match.span() for match in QUOTED.finditer(visible.text)]
        if len(visible.text) <= LIMIT_CLAIM_CHARS:
            kept += [(name.start, name.end) for name in find_names(visible.text, self._request)]
        cuts = {start for start, _ in split_sentences(visible.text)}
        cuts |= {match.end() for match in _QUOTED_SENTENCE.finditer(visible.text)}
        for cited in _CITED_BEHIND.finditer(visible.text):
            cuts = {cut for cut in cuts if not cited.start() < cut < cited.end()} | {cited.end()}
        cuts.discard(len(visible.text))
        kept.sort()
        starts: list[int] = [0]
        place = 0
        for cut in sorted(cuts):
            while place < len(kept) and kept[place][1] <= cut:
                place += 1
            is_inside = place < len(kept) and kept[place][0] < cut
            # A name that ends in a full stop ends no sentence that goes on in small letters, or with its links.
            first = visible.text[cut : cut + 1]
            is_name_end = place > 0 and kept[place - 1][1] >= cut - 1 and (first.islower() or first == "·")
            goes_on = is_name_end or _GOES_ON.search(visible.text[max(0, cut - 4) : cut + 1])
            if cut > 0 and not is_inside and not goes_on:
                starts.append(cut)
        if (label_end := self._label_end(visible.text[: starts[1] if len(starts) > 1 else None])) > 0:
            starts.insert(1, label_end)
        for start, end in zip(starts, [*starts[1:], len(visible.text)], strict=True):
            yield visible.edit((), start, end)

    def _label_end(self, text: str) -> int:
        """Where a sentence of its own begins behind a label ("Input: The user says …"); 0 where there is none."""
        label = _LABEL.match(text[:LIMIT_CLAIM_CHARS])
        if label is None or not is_label(label.group()):
            return 0
        rest = text[label.end() : LIMIT_CLAIM_CHARS]
        names = find_names(rest, self._request)
        begins_own = _BEGINS_SENTENCE.match(rest) is not None or bool(names and names[0].start == 0)
        return label.end() if begins_own and has_predicate(without_names(rest, names)) else 0

    def claim(self, visible: Visible) -> TextClaim | None:
        """`visible` as a claim, white space at its ends off; None where nothing can be read."""
        text = visible.text
        places = [at for at in (_first_word(text, 1), _first_word(text, -1)) if at is not None]
        if not places:
            return None
        start, end = len(text) - len(text.lstrip()), len(text.rstrip())
        origin_start, origin_end = visible.span(start, end)
        return TextClaim(
            text=self._text[origin_start:origin_end],
            start=origin_start,
            end=origin_end,
            plain=tidied(self._with_quoted_links(visible)),
            is_claim=True,
        )

    def _with_quoted_links(self, visible: Visible) -> str:
        """Text of `visible` where a link within quotation marks is the words that are quoted."""
        if LINK not in visible.text:
            return visible.text
        quoted = [match.span() for match in QUOTED.finditer(visible.text)]
        pieces: list[str] = []
        for at, character in enumerate(visible.text):
            if character == LINK and any(start < at < end for start, end in quoted):
                start, end = visible.span(at, at + 1)
                pieces.append(self._text[start:end])
            else:
                pieces.append(character)
        return "".join(pieces)


def seen_text(visible: Visible) -> str:
    """What is seen, white space at both ends off; links are still `LINK`."""
    return visible.text.strip()


def tidied(text: str) -> str:
    """`text` for a reader: without the places of links and the brackets and blanks that they leave."""
    bare = re.sub(rf"[(\[<]?\s*{LINK}\s*[)\]>]?", " ", text) if LINK in text else text
    quoted = [match.span() for match in QUOTED.finditer(bare)] if "[" in bare else []
    marks = [mark.span() for mark in _NUMBER_MARK.finditer(bare)] if "[" in bare else []
    for start, end in reversed(marks):
        if not any(first < start < last for first, last in quoted):
            bare = f"{bare[:start]} {bare[end:]}"
    return " ".join(bare.split())


def not_a_claim(claim: TextClaim, reason: str) -> TextClaim:
    """`claim` as what asserts nothing."""
    return replace(claim, is_claim=False, reason=reason)


def _first_word(text: str, step: int) -> int | None:
    return next((at for at, character in enumerate(text[::step]) if character.isalnum() or character == LINK), None)


def _outside_quotes(names: tuple[Mention, ...], seen: str) -> tuple[Mention, ...]:
    """Names that the sentence itself uses: not those inside words it quotes, unless the quotation is the name."""
    quoted = [match.span() for match in QUOTED.finditer(seen)]
    return tuple(
        name
        for name in names
        if not any(
            start <= name.start and name.end <= end and end - start > name.end - name.start + 4 for start, end in quoted
        )
    )


_SAID_AS = re.compile(
    r"\b(?:(?P<github>code|github|repo\w*|implementation)|paper|arxiv|article|pdf|preprint)\b", re.IGNORECASE
)
_LINK_WORD = re.compile(
    r"\[(?:(?P<github>code|github(?: repository)?|repo(?:sitory)?)|paper|arxiv|pdf)\]\(\s*<?$", re.IGNORECASE
)


def _ties(visible: Visible, seen: str, names: tuple[Mention, ...], subject: SourceId | None) -> tuple[TiedLink, ...]:
    """Whose link the claim says each link is: of the names since the link before it, else of its subject."""
    offset = visible.text.index(seen) if seen else 0
    ties: list[TiedLink] = []
    said_of: tuple[SourceId, ...] = ()
    at = 0
    for place in (place for place, character in enumerate(seen) if character == LINK):
        since = tuple(name.source_id for name in names if at <= name.start < place)
        after = tuple(name.source_id for name in names if name.start >= place)[:1]
        said_of = since or said_of or after or ((subject,) if subject is not None else ())
        start, end = visible.span(offset + place, offset + place + 1)
        if said_of:
            ties.append(TiedLink(start=start, end=end, said_of=said_of, said_as=said_field(seen[at:place])))
        at = place + 1
    return tuple(ties)


def said_field(label: str) -> Literal["paper", "github"] | None:
    """The field that the words right before a link say it is; None where they name no field, or both."""
    kinds = {bool(match["github"]) for match in _SAID_AS.finditer(label[-50:])}
    if len(kinds) != 1:
        return None
    return "github" if kinds.pop() else "paper"
