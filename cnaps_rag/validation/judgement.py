"""What the judge is asked and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnaps_rag.checks.faults import Fault
from cnaps_rag.passages import PassageId
from cnaps_rag.report import Citation, ClaimFinding, Layer, Rule, Verdict
from cnaps_rag.sources import SourceId


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimQuery:
    """A claim to judge.

    Attributes:
        text: the claim, without markup.
        subject: what it speaks of as known from where it stands (a heading, an item, a slot); None where unknown.
        cited: passages that it says it rests on; None for a text that cites none by id.
    """

    text: str
    subject: SourceId | None = None
    cited: tuple[PassageId, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """Verdict on one claim, with the layer that decided it.

    `score` is the verifier's probability of support, 0 to 1 (1.0 or 0.0 where a deterministic layer decided);
    `evidence` supports the claim, or is the nearest passage where nothing does; `rule` is the deterministic rule that
    the claim broke, if any.
    """

    verdict: Verdict
    layer: Layer
    score: float
    reason: str
    evidence: tuple[Citation, ...]
    rule: Rule | None = None

    def finding(self, text: str, start: int, end: int) -> ClaimFinding:
        """The judgement as a finding on ``text``, which stands at ``[start:end]`` of what was checked."""
        return ClaimFinding(
            text=text,
            start=start,
            end=end,
            verdict=self.verdict,
            layer=self.layer,
            score=self.score,
            reason=self.reason,
            evidence=self.evidence,
            rule=self.rule,
        )


def accepted(layer: Layer, reason: str, evidence: tuple[Citation, ...], *, score: float = 1.0) -> Judgement:
    """A supported claim."""
    return Judgement(verdict="supported", layer=layer, score=score, reason=reason, evidence=evidence)


def rejected(
    verdict: Verdict, layer: Layer, reason: str, evidence: tuple[Citation, ...] = (), *, score: float = 0.0
) -> Judgement:
    """A claim that does not pass."""
    return Judgement(verdict=verdict, layer=layer, score=score, reason=reason, evidence=evidence)


def at_fault(fault: Fault, evidence: tuple[Citation, ...] = ()) -> Judgement:
    """A claim that breaks a deterministic rule."""
    return Judgement(
        verdict=fault.verdict, layer=fault.layer, score=0.0, reason=fault.reason, evidence=evidence, rule=fault.rule
    )


def joined(judgements: Sequence[Judgement]) -> Judgement:
    """A claim of several parts stands where all of them do; else the first part that fails decides."""
    failed = next((judgement for judgement in judgements if judgement.verdict != "supported"), None)
    if failed is not None or len(judgements) == 1:
        return failed or judgements[0]
    weakest = min(judgements, key=lambda judgement: judgement.score)
    evidence = tuple(dict.fromkeys(citation for judgement in judgements for citation in judgement.evidence))
    return accepted(weakest.layer, weakest.reason, evidence, score=weakest.score)
