"""Any text of any LLM → its claims, with exact offsets, and what is no claim with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from cnaps_rag.links import find_links
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import SourceId
from cnaps_rag.validation.blocks import split_blocks
from cnaps_rag.validation.markup import Block
from cnaps_rag.validation.predicates import NAME, asserts, is_label, without_numbering
from cnaps_rag.validation.statements import (
    LIMIT_CLAIM_CHARS,
    NOTE,
    StatementReader,
    TextClaim,
    TiedLink,
    not_a_claim,
    said_field,
    seen_text,
    tidied,
)
from cnaps_rag.validation.subjects import find_names, sole_subject, without_names
from cnaps_rag.validation.visible import LINK, Visible, join_visible, see

_LINE_LEVEL = 7  # a line that stands as a heading ranks below all headings


def split_claims(text: str, request: AnswerRequest) -> tuple[TextClaim, ...]:
    """Claims of any text, in its order, not overlapping; every letter that is no markup lies in one of them.

    Markdown, HTML, tables, code, LaTeX and plain text alike; comments and other hidden text are read too.
    """
    return tuple(_Splitter(text, request).claims())


class _Splitter:
    def __init__(self, text: str, request: AnswerRequest) -> None:
        self._text = text
        self._request = request
        self._reader = StatementReader(text, request)
        self._headers: tuple[str, ...] = ()

    def claims(self) -> Iterator[TextClaim]:
        for block in split_blocks(see(self._text, _link_spans(self._text))):
            if block.kind not in ("text", "item"):
                self._reader.context.leave_items(0)
            self._reader.context.begin_block()
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
                yield from self._reader.read(block.parts[0])
            case _:
                yield from self._read_text(block)

    # Headings and lines that stand as one

    def _read_heading(self, visible: Visible, level: int) -> Iterator[TextClaim]:
        claim = self._reader.claim(visible)
        if claim is None:
            return
        seen = seen_text(visible)
        if len(seen) > LIMIT_CLAIM_CHARS:
            yield from self._reader.read(visible)
            return
        names = find_names(seen, self._request)
        bare = without_names(seen, names)
        self._reader.context.enter_heading(level, sole_subject(names, self._request), without_numbering(bare))
        if LINK not in seen and not self._reader.asserts(seen, names):
            yield not_a_claim(claim, "a heading or label without a predicate")
            return
        yield from self._reader.read(visible)

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
        seen = seen_text(visible)
        if self._is_heading_line(block, seen):
            if block.kind == "text":
                self._reader.context.leave_items(block.level)
                yield from self._read_heading(visible, _LINE_LEVEL)
                return
            yield from self._read_item_label(visible, block.level)
            return
        sentences = list(self._reader.sentences(visible))
        if block.kind == "item" and sentences:
            self._reader.context.enter_item(block.level, self._lead_of(seen_text(sentences[0])))
        else:
            self._reader.context.leave_items(block.level)
        for sentence in sentences:
            yield from self._reader.read(sentence)

    def _read_item_label(self, visible: Visible, level: int) -> Iterator[TextClaim]:
        """An item that only names what the items within it are about."""
        seen = seen_text(visible)
        names = find_names(seen, self._request)
        bare = without_names(seen, names)
        subject = sole_subject(names, self._request)
        if is_label(bare):
            self._reader.context.enter_item(level, subject, "" if names else without_numbering(bare).strip(" :*"))
        else:
            self._reader.context.enter_item(level, subject)
        claim = self._reader.claim(visible)
        if claim is not None and not self._reader.asserts(seen, names):
            yield not_a_claim(claim, "a heading or label without a predicate")
        else:
            yield from self._reader.read(visible)

    def _lead_of(self, seen: str) -> SourceId | None:
        """The source that an item begins with ("**FeatSharp** — …"): the rest of the item speaks of it."""
        names = find_names(seen[:LIMIT_CLAIM_CHARS], self._request)
        return names[0].source_id if names and not re.search(r"\w{4}", seen[: names[0].start]) else None

    # Tables, footnotes, link definitions

    def _read_row(self, block: Block) -> Iterator[TextClaim]:
        cells = block.parts
        seen = tuple(seen_text(cell) for cell in cells)
        if block.kind == "header":
            self._headers = seen
            claim = self._reader.claim(join_visible(cells))
            bare = [without_names(cell, find_names(cell[:LIMIT_CLAIM_CHARS], self._request)) for cell in seen]
            # One word is a column's label, unless a source's name beside it makes a sentence of the row.
            is_labels = NAME not in "".join(bare)
            is_none = LINK not in "".join(seen) and not any(
                asserts(cell, self._request.question) for cell in bare if len(cell.split()) > 1 or not is_labels
            )
            if claim is not None and is_none:
                yield not_a_claim(claim, "a table's header")
                return
        if len(self._named_columns(len(cells))) > 1 and block.kind == "row":
            yield from self._read_cells(cells, seen)
            return
        plain = "; ".join(filter(None, (self._with_header(place, cell) for place, cell in enumerate(seen))))
        for claim in self._reader.read(join_visible(cells)):
            claim = replace(claim, links=tuple(self._said_by_header(tie, cells) for tie in claim.links))
            if claim.is_claim and claim.kind == "statement" and block.kind == "row":
                own = find_names(seen[0][:LIMIT_CLAIM_CHARS], self._request)
                subject = sole_subject(own, self._request) or claim.subject or self._named_columns(len(cells)).get(1)
                yield replace(claim, plain=tidied(plain), subject=subject)
            else:
                yield claim

    def _said_by_header(self, tie: TiedLink, cells: tuple[Visible, ...]) -> TiedLink:
        """A link in the column "Code" is said to be that."""
        for header, cell in zip(self._headers, cells, strict=False):
            start, end = cell.span(0, len(cell.text)) if cell.text else (0, 0)
            if tie.said_as is None and start <= tie.start < end and is_label(header):
                return replace(tie, said_as=said_field(header))
        return tie

    def _read_cells(self, cells: tuple[Visible, ...], seen: tuple[str, ...]) -> Iterator[TextClaim]:
        """A row whose columns speak of different sources: one claim a cell."""
        subjects = self._named_columns(len(cells))
        for place, cell in enumerate(cells):
            for claim in self._reader.read(cell):
                if place in subjects and claim.is_claim and claim.kind == "statement":
                    plain = tidied(f"{seen[0]}: {seen[place]}" if place else seen[place])
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
        claim = self._reader.claim(visible)
        if claim is not None and NOTE.fullmatch(claim.plain) and len(claim.plain) <= LIMIT_CLAIM_CHARS:
            yield replace(claim, kind="note")
            return
        for sentence in self._reader.sentences(visible):
            yield from self._reader.read(sentence)

    def _read_target(self, block: Block) -> Iterator[TextClaim]:
        """``[label]: link``: a label that names a source says that the link is its own; one word is no text."""
        label = seen_text(block.parts[0])
        is_read = bool(find_names(label, self._request)) or not (is_label(label) or len(label.split()) == 1)
        yield from self._reader.read(join_visible(block.parts) if is_read else block.parts[-1])


def _link_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Spans of the links in `text`; those that hold words beside the link (a tag, an image) are left to be read."""
    spans: list[tuple[int, int]] = []
    for link in find_links(text):
        is_bare = link.text[0] not in "<[!" and any(map(str.isalnum, link.text))
        if is_bare and link.start >= (spans[-1][1] if spans else 0):
            spans.append((link.start, link.end))
    return tuple(spans)
