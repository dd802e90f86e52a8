"""A draft, slot by slot → a judgement on each of its claims."""

from __future__ import annotations

import re

from cnaps_rag.draft import Claim, Draft, Slot
from cnaps_rag.links import find_links
from cnaps_rag.render.escape import escape_markdown
from cnaps_rag.render.shown import shown
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID
from cnaps_rag.validation.blocks import split_blocks
from cnaps_rag.validation.judge import ClaimJudge
from cnaps_rag.validation.judgement import ClaimQuery, Judgement, joined, rejected
from cnaps_rag.validation.split import split_claims
from cnaps_rag.validation.statements import QUOTED, TextClaim
from cnaps_rag.validation.visible import see

_FIRST_PERSON = re.compile(r"\b(?:[Ww]e|us|[Oo]urs?|I|[Mm]y)\b")


def judge_draft(draft: Draft, *, judge: ClaimJudge) -> tuple[tuple[Judgement, ...], ...]:
    """Judgements on every claim, a tuple a slot, in the draft's order.

    A claim is judged sentence by sentence, as the answer will be, and each sentence has to stand on the passages that
    the claim cites. It may hold no link (links are rendered from the sources) and no structure.
    """
    request = judge.index.passages.request
    parts = [[_parts(claim, slot, request) for claim in slot.claims] for slot in draft.slots]
    queries = [query for slot in parts for part in slot if not isinstance(part, Judgement) for query in part]
    judgements = iter(judge.judge_all(queries))
    return tuple(
        tuple(part if isinstance(part, Judgement) else joined([next(judgements) for _ in part]) for part in slot)
        for slot in parts
    )


def _parts(claim: Claim, slot: Slot, request: AnswerRequest) -> list[ClaimQuery] | Judgement:
    """The sentences of a claim as questions to the judge, or the judgement where its form already decides."""
    # What is quoted is a source's, checked word for word and shown without its links.
    own_words = QUOTED.sub('""', claim.text)
    if find_links(own_words):
        return rejected("not_found", "links", "a drafted claim may hold no link: links are added from the sources")
    if (first_person := _FIRST_PERSON.search(own_words)) is not None:
        said = first_person[0]
        return rejected("not_found", "form", f"it says {said!r} as if the answer spoke: name whom you speak of instead")
    blocks = list(split_blocks(see(own_words, ())))
    if "\n" in own_words or len(blocks) > 1 or any(block.kind != "text" for block in blocks):
        return rejected("not_found", "form", "a drafted claim is one or a few sentences on one line")
    line = " ".join(shown(claim.text, request.owners).split())
    sentences = split_claims(escape_markdown(line, before="\n", after="\n"), request)
    empty = [sentence for sentence in sentences if not sentence.is_claim]
    if empty or not sentences:
        reason = f"it asserts nothing: {empty[0].reason}" if empty else "it asserts nothing"
        return rejected("not_a_claim", "form", reason)
    return [_query(sentence, claim, slot) for sentence in sentences]


def _query(sentence: TextClaim, claim: Claim, slot: Slot) -> ClaimQuery:
    subject = QUESTION_ID if sentence.subject == QUESTION_ID else slot.subject
    return ClaimQuery(text=sentence.plain, subject=subject, cited=claim.evidence)
