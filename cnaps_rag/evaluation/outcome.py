"""What is scored of one answer, whether this library made it or another LLM: its claims, links, slots and cost."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cnaps_rag.answer import Answer
from cnaps_rag.checks.quotes import read_frame, split_pieces
from cnaps_rag.fit import Fit
from cnaps_rag.llm import Usage
from cnaps_rag.report import AnswerSlot, Citation, ClaimFinding, LinkFinding, Report, Verdict
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import SourceId

ClaimKind = Literal["drafted", "absence", "fit", "unused", "question", "outside"]
"""Those of `render.layout.StatementKind`, and ``outside`` for a claim of a text that this library did not make."""

TELLING_KINDS: frozenset[ClaimKind] = frozenset({"drafted", "fit", "question", "outside"})
"""Kinds that tell something of the question or a source; an absence and a paper set aside do not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SaidClaim:
    """One claim that a reader of the answer is told.

    Attributes:
        text: without markup.
        cited: what it cites; of a text that cites nothing by passage, empty.
        evidence: what the validator found to support it, or the nearest to it.
    """

    text: str
    kind: ClaimKind
    verdict: Verdict
    subject: SourceId | None = None
    cited: tuple[Citation, ...] = ()
    evidence: tuple[Citation, ...] = ()

    @property
    def words(self) -> str:
        """What it tells: of a claim that only quotes, the quoted words without who says them."""
        framed = read_frame(self.text)
        return " ".join(" ".join(split_pieces(quoted)) for quoted in framed[1]) if framed is not None else self.text

    @property
    def tells(self) -> bool:
        """True where it tells something of the question or a source."""
        return self.kind in TELLING_KINDS and self.verdict != "not_a_claim"


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftCounts:
    """What became of the claims of the first draft, before repair."""

    drafted: int
    accepted: int
    repaired: int

    @property
    def rejected(self) -> int:
        """Claims of the first draft that did not pass."""
        return self.drafted - self.accepted


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One answer as it is scored. What an outside text does not tell (slots, fit, draft, cost) is None."""

    request: AnswerRequest
    claims: tuple[SaidClaim, ...]
    links: tuple[LinkFinding, ...]
    seconds: float | None
    slots: tuple[AnswerSlot, ...] | None = None
    fit: Fit | None = None
    abstained: bool | None = None
    draft: DraftCounts | None = None
    usage: Usage | None = None

    @property
    def telling(self) -> tuple[SaidClaim, ...]:
        """Claims that tell something of the question or a source, in order."""
        return tuple(claim for claim in self.claims if claim.tells)


def outcome_of(answer: Answer, *, seconds: float) -> Outcome:
    """What is scored of an answer of this library; `seconds` are its wall-clock time."""
    actions = [entry.action for entry in answer.ledger if entry.round == 0]
    accepted = actions.count("accepted")
    return Outcome(
        request=answer.request,
        claims=tuple(
            SaidClaim(
                text=_unescaped(claim.text),
                kind=claim.kind,
                verdict=_verdict_at(claim.start, claim.end, answer.report.claims),
                subject=claim.subject,
                cited=claim.citations,
                evidence=claim.citations,
            )
            for claim in answer.claims
            if claim.accepted
        ),
        links=answer.report.links,
        seconds=seconds,
        slots=answer.slots,
        fit=answer.fit,
        abstained=answer.abstained,
        draft=DraftCounts(
            drafted=accepted + actions.count("rejected"),
            accepted=accepted,
            repaired=sum(entry.action == "repaired" for entry in answer.ledger),
        ),
        usage=answer.usage,
    )


def outside_outcome(report: Report, request: AnswerRequest, *, seconds: float | None = None) -> Outcome:
    """What is scored of any text, of which `report` holds what `validate` found."""
    return Outcome(
        request=request,
        claims=tuple(
            SaidClaim(
                text=found.text,
                kind="absence" if found.layer == "absence" else "outside",
                verdict=found.verdict,
                evidence=found.evidence,
            )
            for found in report.claims
            if found.verdict != "not_a_claim" and found.layer != "links"
        ),
        links=report.links,
        seconds=seconds,
    )


_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")


def _unescaped(markdown: str) -> str:
    """Words of one line of our own Markdown, without the backslashes that keep it from acting (CommonMark 2.4)."""
    return _ESCAPED.sub(r"\1", markdown)


def _verdict_at(start: int, end: int, findings: Iterable[ClaimFinding]) -> Verdict:
    """Verdict of the findings that touch a span: the first that did not pass, else ``supported``."""
    for found in findings:
        if found.start < end and start < found.end and found.verdict not in ("supported", "not_a_claim"):
            return found.verdict
    return "supported"
