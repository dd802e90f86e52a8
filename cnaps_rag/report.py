"""What checks decide: verdicts with reasons and exact evidence, the sections of an answer, and the ledger of repair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cnaps_rag.draft import SlotName
from cnaps_rag.sources import FieldName, SourceId

Verdict = Literal["supported", "contradicted", "misattributed", "not_found", "unchecked", "not_a_claim"]
LinkVerdict = Literal["supplied", "not_supplied", "disguised", "mismatched", "forbidden_form"]
Layer = Literal[
    "form",
    "ids",
    "links",
    "quotes",
    "numbers",
    "names",
    "wording",
    "attribution",
    "absence",
    "request",
    "language",
    "verifier",
]

Rule = Literal[
    "not_a_statement", "number_missing", "number_changed", "number_of_other", "bound_dropped", "by_or_to",
    "numbers_swapped", "name_missing", "expansion", "negation_added", "negation_dropped",
    "comparison_turned", "opposite", "hedge_dropped", "both", "borrowed", "other_unnamed",
]  # fmt: skip
"""The deterministic rules by which a claim can fail; evals/benchmarks/verifier.py prints what each of them changes."""

SlotState = Literal["answered", "not_told", "none_passed", "ended"]
"""``not_told``: the absence check over all passages passed; ``none_passed``: no statement passed the checks;
``ended``: the drafter's reply broke off before this slot (policy.md, "What happens to a rejected claim")."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Citation:
    """A claim's tie to a span of a source: ``request.text(source_id, field)[start:end] == quote``, always."""

    source_id: SourceId
    field: FieldName
    start: int
    end: int
    quote: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkFinding:
    """Verdict on one link-like span of a text; `source_ids` are all sources that own the link."""

    text: str
    start: int
    end: int
    verdict: LinkVerdict
    reason: str
    source_ids: tuple[SourceId, ...] = ()

    @property
    def source_id(self) -> SourceId | None:
        """First source that owns the link, or None."""
        return self.source_ids[0] if self.source_ids else None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimFinding:
    """Verdict on one claim of a text, with the layer that decided it.

    `score` is a probability of support, 0 to 1 (1.0 or 0.0 where a deterministic layer decided). `evidence` supports
    the claim, or is the nearest passage where nothing does. `rule` names the deterministic rule that it broke, if any.
    """

    text: str
    start: int
    end: int
    verdict: Verdict
    layer: Layer
    score: float
    reason: str
    evidence: tuple[Citation, ...] = ()
    rule: Rule | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All findings on one text, in the order of their offsets."""

    links: tuple[LinkFinding, ...]
    claims: tuple[ClaimFinding, ...]

    @property
    def ok(self) -> bool:
        """True when every link is supplied and every claim supported (or no claim at all)."""
        return all(link.verdict == "supplied" for link in self.links) and all(
            claim.verdict in ("supported", "not_a_claim") for claim in self.claims
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerClaim:
    """One claim of an answer with its citations; `accepted` is False only where `on_untraceable="mark"` kept it."""

    text: str
    citations: tuple[Citation, ...]
    accepted: bool = True
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerSlot:
    """One slot of an answer: its claims, or why it has none."""

    name: SlotName
    subject: SourceId
    state: SlotState
    claims: tuple[AnswerClaim, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One of the three numbered sections of an answer."""

    number: Literal[1, 2, 3]
    title: str
    slots: tuple[AnswerSlot, ...]


LedgerAction = Literal["accepted", "rejected", "repaired", "dropped", "marked", "filled"]
"""``rejected`` claims go back to the drafter, what still fails is ``dropped`` or ``marked``; ``filled``: an emptied
slot took the sources' own sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerEntry:
    """What became of one drafted claim in one round (0 is the first draft), and what that round cost."""

    round: int
    slot: SlotName
    subject: SourceId
    before: str
    after: str | None
    action: LedgerAction
    verdict: Verdict
    layer: Layer
    reason: str
    tokens: int = 0
    seconds: float = 0.0


Ledger = tuple[LedgerEntry, ...]
