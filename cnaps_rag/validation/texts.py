"""Any text and a request → every finding on its links and its claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cnaps_rag.checks.links import check_links
from cnaps_rag.report import ClaimFinding, LinkFinding, Report
from cnaps_rag.validation.entries import check_entry, finding
from cnaps_rag.validation.judge import ClaimJudge, ClaimQuery
from cnaps_rag.validation.split import split_claims
from cnaps_rag.validation.statements import TextClaim

LIMIT_CLAIMS = 2_000
"""Most distinct claims of one text that are read; those after them are ``unchecked``. An answer has some fifty."""


def judge_text(text: str, judge: ClaimJudge) -> Report:
    """All findings on `text`, in the order of their offsets."""
    passages = judge.index.passages
    links = check_links(text, passages.request.owners)
    claims = split_claims(text, passages.request)
    decided = [
        check_entry(claim, within, passages) for claim, within in zip(claims, _within(claims, links), strict=True)
    ]
    judged = iter(_judge([claim for claim, found in zip(claims, decided, strict=True) if found is None], judge))
    return Report(links=links, claims=tuple(next(judged) if found is None else found for found in decided))


def _within(claims: Sequence[TextClaim], links: Sequence[LinkFinding]) -> Iterator[Sequence[LinkFinding]]:
    """For each claim, in order, the findings on links that begin in it."""
    place = 0
    for claim in claims:
        while place < len(links) and links[place].end <= claim.start:
            place += 1
        end = place
        while end < len(links) and links[end].start < claim.end:
            end += 1
        yield links[place:end]


def _judge(claims: Sequence[TextClaim], judge: ClaimJudge) -> Iterator[ClaimFinding]:
    """Findings on claims that have to be read; a claim made again is read once."""
    queries = list(dict.fromkeys(ClaimQuery(text=claim.plain, subject=claim.subject) for claim in claims))[
        :LIMIT_CLAIMS
    ]
    judgement_by_query = dict(zip(queries, judge.judge_all(queries), strict=True))
    for claim in claims:
        judgement = judgement_by_query.get(ClaimQuery(text=claim.plain, subject=claim.subject))
        if judgement is None:
            yield finding(claim, "unchecked", "form", f"the text makes more than {LIMIT_CLAIMS:,} claims")
        else:
            yield judgement.finding(claim.text, claim.start, claim.end)
