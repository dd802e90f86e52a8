"""Any text of any LLM → its claims, with exact offsets, and what is no claim with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from cnaps_rag.checks.attribution import Mention
from cnaps_rag.links import canonical_link, find_links
from cnaps_rag.passages import split_sentences
from cnaps_rag.render.phrases import UNSHOWN_LINK
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import SourceId
from cnaps_rag.validation.blocks import split_blocks
from cnaps_rag.validation.markup import Block
from cnaps_rag.validation.predicates import (
    NAME,
    asserts,
    has_predicate,
    is_bare_question,
    is_label,
    phrase_reason,
    without_numbering,
)
from cnaps_rag.validation.subjects import Context, find_names, sole_subject, without_names
from cnaps_rag.validation.visible import LINK, Visible, join_visible, see

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


def split_claims(text: str, request: AnswerRequest) -> tuple[TextClaim, ...]:
    """Claims of any text, in its order, not overlapping; every letter that is no markup lies in one of them.

    Markdown, HTML, tables, code, LaTeX and plain text alike; comments and other hidden text are read too.
    """
    return tuple(_Splitter(text, request).claims())


class _Splitter:
    def __init__(self, text: str, request: AnswerRequest) -> None:
        self._text = text
        self._request = request
        self._context = Context(request)
        self._headers: tuple[str, ...] = ()

    def claims(self) -> Iterator[TextClaim]:
        for block in split_blocks(see(self._text, _link_spans(self._text))):
            if block.kind not in ("text", "item"):
                self._context.leave_items(0)
            self._context.begin_block()
            if block.kind not in ("row", "header"):
                self._headers = ()
            yield from self._read_block(block)

    def _read_block(self, block: Block) -> Iterator[TextClaim]:
        match block.kind:
            case "heading":
                yield from self._read_heading(block.parts[0], block.level)
            case "row" | "header":
                yield from self._read_row(block)
            case "note":
                yield from self._read_note(block)
            case "target":
                yield from self._read_target(block)
            case "code":
                yield from self._read_statement(block.parts[0])
            case _:
                yield from self._read_text(block)

    # Headings and lines that stand as one

    def _read_heading(self, visible: Visible, level: int) -> Iterator[TextClaim]:
        claim = self._claim(visible)
        if claim is None:
            return
        seen = _seen(visible)
        names = find_names(seen, self._request)
        bare = without_names(seen, names)
        self._context.enter_heading(level, sole_subject(names, self._request), without_numbering(bare))
        if LINK not in seen and not self._asserts(seen, names):
            yield _none(claim, "a heading or label without a predicate")
            return
        yield from self._read_statement(visible)

    def _asserts(self, seen: str, names: tuple[Mention, ...]) -> bool:
        """True where a heading or a label could say something; one of label words is none, whatever they name."""
        bare = without_names(seen, names)
        if is_label(seen):
            return False
        if self._is_named_otherwise(bare, names):
            return True
        return asserts(bare, self._request.question) and asserts(seen, self._request.question)

    def _is_heading_line(self, block: Block, seen: str) -> bool:
        """True for a whole line in bold, a line that ends in a colon, a name or a label alone."""
        if LINK in seen or len(seen) > 200:
            return False
        start, end = block.parts[0].span(0, len(block.parts[0].text))
        marks = self._text[max(0, start - 2) : start], self._text[end : end + 2]
        is_bold = marks in (("**", "**"), ("__", "__")) and "*" not in self._text[start:end]
        names = find_names(seen, self._request)
        return is_bold or seen.rstrip().endswith((":", "：")) or is_label(without_names(seen, names))

    # Running text and items

    def _read_text(self, block: Block) -> Iterator[TextClaim]:
        visible = block.parts[0]
        seen = _seen(visible)
        if self._is_heading_line(block, seen):
            if block.kind == "text":
                self._context.leave_items(block.level)
                yield from self._read_heading(visible, _LINE_LEVEL)
                return
            yield from self._read_item_label(visible, block.level)
            return
        sentences = list(self._sentences(visible))
        if block.kind == "item" and sentences:
            self._context.enter_item(block.level, self._lead_of(_seen(sentences[0])))
        else:
            self._context.leave_items(block.level)
        for sentence in sentences:
            yield from self._read_statement(sentence)

    def _read_item_label(self, visible: Visible, level: int) -> Iterator[TextClaim]:
        """An item that only names what the items within it are about."""
        seen = _seen(visible)
        names = find_names(seen, self._request)
        bare = without_names(seen, names)
        subject = sole_subject(names, self._request)
        if is_label(bare):
            self._context.enter_item(level, subject, "" if names else without_numbering(bare).strip(" :*"))
        else:
            self._context.enter_item(level, subject)
        claim = self._claim(visible)
        if claim is not None and not self._asserts(seen, names):
            yield _none(claim, "a heading or label without a predicate")
        else:
            yield from self._read_statement(visible)

    def _lead_of(self, seen: str) -> SourceId | None:
        """The source that an item begins with ("**FeatSharp** — …"): the rest of the item speaks of it."""
        names = find_names(seen[:LIMIT_CLAIM_CHARS], self._request)
        return names[0].source_id if names and not re.search(r"\w{4}", seen[: names[0].start]) else None

    def _sentences(self, visible: Visible) -> Iterator[Visible]:
        """Sentences; a name and what stands in quotation marks are never cut."""
        kept = [match.span() for match in QUOTED.finditer(visible.text)]
        if len(visible.text) <= LIMIT_CLAIM_CHARS:
            kept += [(name.start, name.end) for name in find_names(visible.text, self._request)]
        cuts = {start for start, _ in split_sentences(visible.text)}
        cuts |= {match.end() for match in _QUOTED_SENTENCE.finditer(visible.text)}
        kept.sort()
        starts: list[int] = [0]
        place = 0
        for cut in sorted(cuts):
            while place < len(kept) and kept[place][1] <= cut:
                place += 1
            is_inside = place < len(kept) and kept[place][0] < cut
            # A name that ends in a full stop ends no sentence that goes on in small letters.
            is_name_end = place > 0 and kept[place - 1][1] >= cut - 1 and visible.text[cut : cut + 1].islower()
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

    def _read_statement(self, visible: Visible) -> Iterator[TextClaim]:
        claim = self._claim(visible)
        if claim is None:
            return
        seen = _seen(visible)
        if len(seen) > LIMIT_CLAIM_CHARS:
            yield replace(claim, kind="too_long")
            return
        names = find_names(seen, self._request)
        subject = self._context.subject_of(seen, _outside_quotes(names, seen))
        links = _ties(visible, seen, names, subject)
        bare = without_names(seen, names)
        plain = claim.plain if LINK in seen or not self._is_fragment(bare) else f"{self._context.label}: {claim.plain}"
        yield self._classify(replace(claim, subject=subject, links=links, plain=plain), bare, names)

    def _classify(self, claim: TextClaim, bare: str, names: tuple[Mention, ...]) -> TextClaim:
        text = bare.replace(LINK, " ")
        if UNSHOWN_LINK in text and self._has_unshown_link(claim.subject):
            text = text.replace(UNSHOWN_LINK, " ")
        if is_label(text, has_link=LINK in bare):
            if claim.links:
                return replace(claim, kind="entry")
            if LINK in bare:
                return _none(claim, "a link alone")
            if not self._is_named_otherwise(bare, names):
                return _none(claim, "a name or label alone")
            return claim
        if reason := phrase_reason(text) or phrase_reason(claim.plain):
            return _none(claim, reason)
        if text.rstrip(" \"'”’*)").endswith(("?", "？", "؟")) and is_bare_question(text, self._request.question):
            return _none(claim, "a question that names no source")
        return claim

    def _has_unshown_link(self, subject: SourceId | None) -> bool:
        """True where the source of this line was supplied with a link that may never be shown."""
        links = self._request.source(subject).links if subject is not None else ()
        return any(canonical_link(link) is None for link in links)

    def _is_fragment(self, bare: str) -> bool:
        return bool(self._context.label) and ":" not in bare and not asserts(bare, self._request.question)

    def _is_named_otherwise(self, bare: str, names: tuple[Mention, ...]) -> bool:
        """True for a label that calls a paper a recommended model, or a model a paper."""
        kinds = {self._request.source(twin).kind for name in names for twin in self._request.twins(name.source_id)}
        said = {"paper" if "paper" in word.lower() else "model" for word in _KIND.findall(bare)}
        return bool(kinds and len(said) == 1 and not said & kinds)

    # Tables, footnotes, link definitions

    def _read_row(self, block: Block) -> Iterator[TextClaim]:
        cells = block.parts
        seen = tuple(_seen(cell) for cell in cells)
        if block.kind == "header":
            self._headers = seen
            claim = self._claim(join_visible(cells))
            bare = [without_names(cell, find_names(cell[:LIMIT_CLAIM_CHARS], self._request)) for cell in seen]
            # One word is a column's label, unless a source's name beside it makes a sentence of the row.
            is_labels = NAME not in "".join(bare)
            is_none = LINK not in "".join(seen) and not any(
                asserts(cell, self._request.question) for cell in bare if len(cell.split()) > 1 or not is_labels
            )
            if claim is not None and is_none:
                yield _none(claim, "a table's header")
                return
        if len(self._named_columns(len(cells))) > 1 and block.kind == "row":
            yield from self._read_cells(cells, seen)
            return
        plain = "; ".join(filter(None, (self._with_header(place, cell) for place, cell in enumerate(seen))))
        for claim in self._read_statement(join_visible(cells)):
            if claim.is_claim and claim.kind == "statement" and block.kind == "row":
                own = find_names(seen[0][:LIMIT_CLAIM_CHARS], self._request)
                subject = sole_subject(own, self._request) or claim.subject or self._named_columns(len(cells)).get(1)
                yield replace(claim, plain=_tidied(plain), subject=subject)
            else:
                yield claim

    def _read_cells(self, cells: tuple[Visible, ...], seen: tuple[str, ...]) -> Iterator[TextClaim]:
        """A row whose columns speak of different sources: one claim a cell."""
        subjects = self._named_columns(len(cells))
        for place, cell in enumerate(cells):
            for claim in self._read_statement(cell):
                if place in subjects and claim.is_claim and claim.kind == "statement":
                    plain = _tidied(f"{seen[0]}: {seen[place]}" if place else seen[place])
                    yield replace(claim, plain=plain, subject=subjects[place])
                else:
                    yield claim

    def _named_columns(self, n_cells: int) -> dict[int, SourceId]:
        subjects: dict[int, SourceId] = {}
        for place, header in enumerate(self._headers[:n_cells]):
            subject = sole_subject(find_names(header[:LIMIT_CLAIM_CHARS], self._request), self._request)
            if subject is not None and place:
                subjects[place] = subject
        return subjects

    def _with_header(self, place: int, cell: str) -> str:
        """``header: cell``; a row's own number is no number of the claim."""
        header = self._headers[place].strip(" :") if place < len(self._headers) else ""
        if not cell.strip(f" {LINK}") or (place == 0 and re.fullmatch(r"\W*\d{1,4}\W*", cell)):
            return ""
        return f"{header}: {cell}" if header else cell

    def _read_note(self, block: Block) -> Iterator[TextClaim]:
        """A footnote's text; the form of our own answers, ``P1, summary: "…"``, is read as a quotation."""
        visible = block.parts[-1]
        claim = self._claim(visible)
        if claim is not None and NOTE.fullmatch(claim.plain) and len(claim.plain) <= LIMIT_CLAIM_CHARS:
            yield replace(claim, kind="note")
            return
        for sentence in self._sentences(visible):
            yield from self._read_statement(sentence)

    def _read_target(self, block: Block) -> Iterator[TextClaim]:
        """``[label]: link``: a label that names a source says that the link is its own; one word is no text."""
        label = _seen(block.parts[0])
        is_read = bool(find_names(label, self._request)) or not (is_label(label) or len(label.split()) == 1)
        yield from self._read_statement(join_visible(block.parts) if is_read else block.parts[-1])

    def _claim(self, visible: Visible) -> TextClaim | None:
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
            plain=_tidied(self._with_quoted_links(visible)),
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


# A reference such as [12] is no number of the claim; within a quotation it is what is quoted.
_NUMBER_MARK = re.compile(r"(?<=[\w.,;:!?)\"”’%])[ \t]?\[\d{1,3}\](?![(:\[\w])")
_LABEL = re.compile(r"\s*[^\W\d_][\w ]{0,24}:\s+")
_BEGINS_SENTENCE = re.compile(r"(?:the|this|these|it|its|they|no|users?|you)\b", re.IGNORECASE)
_LINE_LEVEL = 7  # a line that stands as a heading ranks below all headings
_KIND = re.compile(r"\b(?:recommended|models?|papers?)\b", re.IGNORECASE)
QUOTED = re.compile(r"\"[^\"]{1,1000}\"|“[^“”]{1,1000}”|«[^«»]{1,1000}»|「[^「」]{1,1000}」")
# A sentence that ends in what it quotes, before another that begins in capitals.
_QUOTED_SENTENCE = re.compile(r":\s(?:(?:\"[^\"]{1,1000}\"|“[^“”]{1,1000}”)\s+)+(?=[A-Z])")
# A quotation goes on in the next pair of marks.
_GOES_ON = re.compile(r"[\"”»」]\s{1,2}[\"“«「]$")
NOTE = re.compile(
    r"(?P<source>Question|Q|[MP]\d{1,4})(?:,\s*(?P<field>question|name|title|description|summary|paper|github))?:\s*"
    r"(?P<quote>[\"“].+[\"”])",
    re.DOTALL,
)


def _link_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Spans of the links in `text`; those that hold words beside the link (a tag, an image) are left to be read."""
    spans: list[tuple[int, int]] = []
    for link in find_links(text):
        is_bare = link.text[0] not in "<[!" and any(map(str.isalnum, link.text))
        if is_bare and link.start >= (spans[-1][1] if spans else 0):
            spans.append((link.start, link.end))
    return tuple(spans)


def _seen(visible: Visible) -> str:
    return visible.text.strip()


def _first_word(text: str, step: int) -> int | None:
    return next((at for at, character in enumerate(text[::step]) if character.isalnum() or character == LINK), None)


def _tidied(text: str) -> str:
    """`text` for a reader: without the places of links and the brackets and blanks that they leave."""
    bare = re.sub(rf"[(\[<]?\s*{LINK}\s*[)\]>]?", " ", text) if LINK in text else text
    quoted = [match.span() for match in QUOTED.finditer(bare)] if "[" in bare else []
    marks = [mark.span() for mark in _NUMBER_MARK.finditer(bare)] if "[" in bare else []
    for start, end in reversed(marks):
        if not any(first < start < last for first, last in quoted):
            bare = f"{bare[:start]} {bare[end:]}"
    return " ".join(bare.split())


def _none(claim: TextClaim, reason: str) -> TextClaim:
    return replace(claim, is_claim=False, reason=reason)


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
    rf"\b(?:(?P<github>code|github|repo\w*|implementation)|(?P<paper>paper|arxiv|article|pdf|preprint))\b[^{LINK}]{{0,40}}$",
    re.I,
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
        said_as = _SAID_AS.search(seen, at, place)
        kind: Literal["paper", "github"] | None = None
        if said_as is not None:
            kind = "github" if said_as["github"] else "paper"
        if said_of:
            ties.append(TiedLink(start=start, end=end, said_of=said_of, said_as=kind))
        at = place + 1
    return tuple(ties)
