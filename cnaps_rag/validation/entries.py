"""What the request itself decides of a claim before it is read: whose link, which quotation, what was supplied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from cnaps_rag.links import canonical_link, find_links
from cnaps_rag.passages import Passages
from cnaps_rag.render.phrases import NO_MODEL, NO_PAPER, NO_SUMMARY
from cnaps_rag.render.shown import shown
from cnaps_rag.report import Citation, ClaimFinding, Layer, LinkFinding, Verdict
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, FieldName, SourceId
from cnaps_rag.validation.statements import NOTE, TextClaim, TiedLink

LinkField = Literal["paper", "github"]
_LINK_FIELDS: tuple[LinkField, ...] = ("paper", "github")


def finding(
    claim: TextClaim, verdict: Verdict, layer: Layer, reason: str, evidence: tuple[Citation, ...] = ()
) -> ClaimFinding:
    """Finding on `claim` that a deterministic layer decided."""
    return ClaimFinding(
        text=claim.text,
        start=claim.start,
        end=claim.end,
        verdict=verdict,
        layer=layer,
        score=1.0 if verdict in ("supported", "not_a_claim") else 0.0,
        reason=reason,
        evidence=evidence,
    )


def check_entry(claim: TextClaim, links: Sequence[LinkFinding], passages: Passages) -> ClaimFinding | None:
    """Finding on `claim` where the request alone decides it; None where its words have to be read.

    Args:
        claim: a claim of a text.
        links: findings on the links that lie within it.
        passages: all passages of the request.
    """
    request = passages.request
    if not claim.is_claim:
        return finding(claim, "not_a_claim", "form", claim.reason)
    if claim.kind == "too_long":
        return finding(claim, "unchecked", "form", "too long to be read as one claim")
    if claim.kind == "note":
        return _check_note(claim, passages)
    if (fact := _check_fact(claim, request)) is not None:
        return fact
    return _check_ties(claim, links, request)


# Links


def _check_ties(claim: TextClaim, links: Sequence[LinkFinding], request: AnswerRequest) -> ClaimFinding | None:
    evidence: list[Citation] = []
    for tie in claim.links:
        found = [link for link in links if link.start < tie.end and tie.start < link.end]
        if not found or any(link.verdict != "supplied" for link in found):
            return finding(claim, "not_found", "links", "its link is not supplied")
        citation = _citation_of(tie, found[0], request)
        if isinstance(citation, str):
            is_other = not _owned(tie, found[0], request)
            return finding(claim, "misattributed" if is_other else "not_found", "links", citation)
        evidence.append(citation)
    if claim.kind != "entry":
        return None
    return finding(claim, "supported", "links", "each link is supplied as this source's own", tuple(evidence))


def _owned(tie: TiedLink, link: LinkFinding, request: AnswerRequest) -> bool:
    said = {twin for source_id in tie.said_of if source_id != QUESTION_ID for twin in request.twins(source_id)}
    return bool(said & set(link.source_ids))


def _citation_of(tie: TiedLink, link: LinkFinding, request: AnswerRequest) -> Citation | str:
    """The field that holds the link, or why the claim is wrong about it."""
    if tie.said_of == (QUESTION_ID,) and (asked := _in_question(link, request)) is not None:
        return asked
    if not _owned(tie, link, request):
        return f"the link is supplied with {', '.join(link.source_ids)}, not with {', '.join(tie.said_of)}"
    said = {twin for source_id in tie.said_of if source_id != QUESTION_ID for twin in request.twins(source_id)}
    fields: list[tuple[SourceId, LinkField]] = [
        (source_id, field)
        for source_id in link.source_ids
        if source_id in said
        for field in _LINK_FIELDS
        if _is_same(request.text(source_id, field), link.text)
    ]
    fitting = [place for place in fields if tie.said_as in (None, place[1])]
    if not fitting:
        return f"the link is not supplied as {'code' if tie.said_as == 'github' else 'the paper'}"
    source_id, field = fitting[0]
    value = request.text(source_id, field)
    return Citation(source_id=source_id, field=field, start=0, end=len(value), quote=value)


def _in_question(link: LinkFinding, request: AnswerRequest) -> Citation | None:
    """Where the user wrote the link: what is done with it there is read like all words of the question."""
    for found in find_links(request.question):
        if _is_same(found.target, link.text):
            return Citation(source_id=QUESTION_ID, field="question", start=found.start, end=found.end, quote=found.text)
    return None


def _is_same(supplied: str, written: str) -> bool:
    canonical = canonical_link(supplied) if supplied else None
    return canonical is not None and canonical == canonical_link(written)


# Footnotes


def _check_note(claim: TextClaim, passages: Passages) -> ClaimFinding:
    match = NOTE.fullmatch(claim.plain)
    source_id = SourceId((match["source"] if match else "").replace("Question", QUESTION_ID))
    known = (QUESTION_ID, *(source.id for source in passages.request.sources))
    if match is None or source_id not in known:
        return finding(claim, "not_found", "ids", "the request has no such source")
    source = passages.request.source(source_id)
    named = match["field"] or source.title_field
    fields: dict[str, FieldName] = {name: name for name in source.field_names}
    field = fields.get(named)
    if field is None or source.field(field) is None:
        return finding(claim, "not_found", "ids", f"{source_id} has no {named}")
    citation = find_quote(match["quote"][1:-1], source_id, field, passages)
    if citation is None:
        return finding(claim, "not_found", "quotes", f"these words do not stand in the {field} of {source_id}")
    return finding(claim, "supported", "quotes", f"stands word for word in the {field} of {source_id}", (citation,))


def find_quote(quote: str, source_id: SourceId, field: FieldName, passages: Passages) -> Citation | None:
    """Where `quote`, as it may be shown, stands in one field: exactly, else as the passage or the field around it."""
    request = passages.request
    text = request.text(source_id, field)
    start = text.find(quote)
    spans = [(start, start + len(quote))] if start >= 0 else []
    spans += [(p.start, p.end) for p in passages.of(source_id) if p.field == field] + [(0, len(text))]
    for begins, ends in spans:
        if quote and quote in _shown_line(text[begins:ends], request):
            return Citation(source_id=source_id, field=field, start=begins, end=ends, quote=text[begins:ends])
    return None


def _shown_line(text: str, request: AnswerRequest) -> str:
    return " ".join(shown(text, request.owners).split())


# What was supplied at all


def _check_fact(claim: TextClaim, request: AnswerRequest) -> ClaimFinding | None:
    """Finding on the fixed sentences that say that no model, paper or summary was supplied."""
    if claim.plain in (NO_MODEL, NO_PAPER):
        supplied = request.models if claim.plain == NO_MODEL else request.papers
        return _of_absence(claim, is_absent=not supplied)
    if claim.plain == NO_SUMMARY and claim.subject is not None and claim.subject != QUESTION_ID:
        return _of_absence(claim, is_absent=not any(request.source(twin).text for twin in request.twins(claim.subject)))
    return None


def _of_absence(claim: TextClaim, *, is_absent: bool) -> ClaimFinding:
    reason = "the request holds none" if is_absent else "the request holds one"
    return finding(claim, "supported" if is_absent else "contradicted", "absence", reason)
