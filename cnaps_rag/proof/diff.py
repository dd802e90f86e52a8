"""Two bundles → which claims appeared, vanished or changed, slot by slot, and what was different in the making.

Neither bundle is verified here: that is `verify`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal

from cnaps_rag.proof.bundle import ModelFiles, ProofBundle, request_of
from cnaps_rag.render.json import AnswerJson, CitationJson, ClaimFindingJson, ClaimJson, SlotClaimJson

LEAST_RATIO: Final = 0.6
"""Claims of one slot at least so alike are one claim that changed: what difflib's own documentation calls close."""

_GOOD: Final = ("supported", "not_a_claim")

SlotPlace = tuple[int, str, str]
"""Section, slot and subject."""

ClaimChange = Literal["appeared", "vanished", "changed", "judged"]
"""``judged``: the same words under another verdict, score or evidence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """Something that has another value in the second bundle than in the first."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldClaim:
    """A claim of a slot with what the report says of it, the worst where it is several sentences.

    `verdict` is None where the report does not tell.
    """

    text: str
    accepted: bool
    verdict: str | None
    layer: str | None
    score: float | None
    evidence: tuple[tuple[str, str, int, int, str], ...]

    @property
    def judgement(self) -> str:
        """Verdict, layer, score and evidence in words."""
        decided = f"{self.verdict} ({self.layer}, {self.score:.4f})" if self.verdict is not None else "no verdict"
        places = ", ".join(f"{source}.{field}[{start}:{end}]" for source, field, start, end, _ in self.evidence)
        return f"{decided}{'' if self.accepted else ', marked'} on {places or 'nothing'}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimDiff:
    """What became of one claim."""

    change: ClaimChange
    before: ToldClaim | None
    after: ToldClaim | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotDiff:
    """A slot that is not the same; `before` and `after` are its states, None where a bundle has no such slot."""

    section: int
    name: str
    subject: str
    before: str | None
    after: str | None
    claims: tuple[ClaimDiff, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleDiff:
    """Where two bundles differ.

    Attributes:
        request: what differs in the request; where anything does, claims are compared all the same.
        making: library, prompts, settings, LLM, encoder and verifier.
        fit: whether papers bear on the question and models fit it.
        slots: only those that differ, in the order of the answers.
        dropped_before: texts that were drafted and dropped in the first bundle alone; `dropped_after` in the second.
    """

    request: tuple[Changed, ...]
    making: tuple[Changed, ...]
    fit: tuple[Changed, ...]
    slots: tuple[SlotDiff, ...]
    dropped_before: tuple[str, ...]
    dropped_after: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """True when nothing differs."""
        return not any((self.request, self.making, self.fit, self.slots, self.dropped_before, self.dropped_after))

    def count(self, change: ClaimChange) -> int:
        """How many claims changed in this way."""
        return sum(claim.change == change for slot in self.slots for claim in slot.claims)


def diff_bundles(before: ProofBundle, after: ProofBundle) -> BundleDiff:
    """What differs between two bundles, best of the same request; the same two always give the same."""
    dropped = [Counter(_dropped(bundle.answer)) for bundle in (before, after)]
    return BundleDiff(
        request=tuple(_request_changes(before, after)),
        making=tuple(_changes(_making(before), _making(after))),
        fit=tuple(_changes(_fit(before.answer), _fit(after.answer))),
        slots=tuple(_slot_diffs(_slots(before.answer), _slots(after.answer))),
        dropped_before=tuple(sorted((dropped[0] - dropped[1]).elements())),
        dropped_after=tuple(sorted((dropped[1] - dropped[0]).elements())),
    )


def _changes(before: dict[str, str], after: dict[str, str]) -> Iterator[Changed]:
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name, "none"), after.get(name, "none")
        if one != other:
            yield Changed(name=name, before=one, after=other)


def _request_changes(before: ProofBundle, after: ProofBundle) -> Iterator[Changed]:
    """By source, whose hashes tell; the words themselves are in the bundles."""
    hashes = (before.source_sha256, after.source_sha256)
    for source_id in dict.fromkeys((*hashes[0], *hashes[1])):
        one, other = (found.get(source_id, {}) for found in hashes)
        fields = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
        if fields:
            told = [_source(bundle, source_id, fields) for bundle in (before, after)]
            yield Changed(name=f"{source_id} ({', '.join(fields)})", before=told[0], after=told[1])


def _source(bundle: ProofBundle, source_id: str, fields: Sequence[str]) -> str:
    """A source by its title, or the question by its words, and the hashes of the fields that differ."""
    try:
        source = request_of(bundle).source(source_id)
    except KeyError:
        return "none"
    found = bundle.source_sha256.get(source_id, {})
    return f"{source.title or source.text} [{' '.join(found.get(field, 'none')[:8] for field in fields)}]"


def _making(bundle: ProofBundle) -> dict[str, str]:
    files = {kind: (files.name, sorted(files.sha256.items())) for kind, files in _files(bundle)}
    return {
        "library": bundle.library,
        "prompts": bundle.prompts_sha256[:12],
        "drafter": bundle.drafter,
        **{
            kind: f"{name} ({'; '.join(f'{file} {sha[:12]}' for file, sha in found)})"
            for kind, (name, found) in files.items()
        },
        "verifier_threshold": f"{bundle.verifier_threshold:g}",
        **{f"settings.{name}": str(value) for name, value in sorted(bundle.settings.items())},
    }


def _files(bundle: ProofBundle) -> tuple[tuple[str, ModelFiles], ...]:
    return ("encoder", bundle.encoder), ("verifier", bundle.verifier)


def _fit(answer: AnswerJson) -> dict[str, str]:
    told: dict[str, str] = {model["source_id"]: model["verdict"] for model in answer["fit"]["models"]}
    return told | {
        paper["source_id"]: "bears" if paper["bears"] else "does not bear" for paper in answer["fit"]["papers"]
    }


def _dropped(answer: AnswerJson) -> Iterator[str]:
    return (entry["before"] for entry in answer["ledger"] if entry["action"] == "dropped")


# Claims, slot by slot


@dataclass(frozen=True, kw_only=True, slots=True)
class _Slot:
    state: str
    claims: tuple[ToldClaim, ...]


def _slots(answer: AnswerJson) -> dict[SlotPlace, _Slot]:
    drafted = iter(claim for claim in answer["claims"] if claim["kind"] == "drafted")
    slots: dict[SlotPlace, _Slot] = {}
    for section in answer["sections"]:
        for slot in section["slots"]:
            told = tuple(_told(claim, next(drafted, None), answer["report"]["claims"]) for claim in slot["claims"])
            slots[section["number"], slot["name"], slot["subject"]] = _Slot(state=slot["state"], claims=told)
    return slots


def _told(claim: SlotClaimJson, shown: ClaimJson | None, findings: Iterable[ClaimFindingJson]) -> ToldClaim:
    """A drafted claim with the findings on the sentences that it is shown as."""
    over = [found for found in findings if shown is not None and _overlap(found, shown)]
    worst = min(over, key=lambda found: (found["verdict"] in _GOOD, found["score"]), default=None)
    return ToldClaim(
        text=claim["text"],
        accepted=claim["accepted"],
        verdict=worst["verdict"] if worst is not None else None,
        layer=worst["layer"] if worst is not None else None,
        score=worst["score"] if worst is not None else None,
        evidence=tuple(sorted(map(_place, claim["citations"]))),
    )


def _overlap(found: ClaimFindingJson, shown: ClaimJson) -> bool:
    return found["start"] < shown["end"] and shown["start"] < found["end"]


def _place(cited: CitationJson) -> tuple[str, str, int, int, str]:
    return cited["source_id"], cited["field"], cited["start"], cited["end"], cited["quote"]


def _slot_diffs(before: dict[SlotPlace, _Slot], after: dict[SlotPlace, _Slot]) -> Iterator[SlotDiff]:
    none = _Slot(state="", claims=())
    for place in dict.fromkeys((*before, *after)):
        one, other = before.get(place, none), after.get(place, none)
        claims = tuple(_claim_diffs(one.claims, other.claims))
        if claims or one.state != other.state:
            section, name, subject = place
            states = {"before": one.state or None, "after": other.state or None}
            yield SlotDiff(section=section, name=name, subject=subject, claims=claims, **states)


def _claim_diffs(before: Sequence[ToldClaim], after: Sequence[ToldClaim]) -> Iterator[ClaimDiff]:
    """Changes in the order of the first bundle; what is new comes last, in the order of the second."""
    partner = _partners(before, after)
    for row, claim in enumerate(before):
        other = after[partner[row]] if row in partner else None
        if other is None:
            yield ClaimDiff(change="vanished", before=claim, after=None)
        elif other != claim:
            yield ClaimDiff(change="judged" if other.text == claim.text else "changed", before=claim, after=other)
    paired = set(partner.values())
    for row, claim in enumerate(after):
        if row not in paired:
            yield ClaimDiff(change="appeared", before=None, after=claim)


def _partners(before: Sequence[ToldClaim], after: Sequence[ToldClaim]) -> dict[int, int]:
    """Which claim of the second is which of the first: the same words, then the most alike, then the same evidence."""
    likeness = sorted(
        (-like, row, column)
        for row, one in enumerate(before)
        for column, other in enumerate(after)
        if (like := _likeness(one, other)) > 0
    )
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for _, row, column in likeness:
        if row not in partner and column not in taken:
            partner[row] = column
            taken.add(column)
    return partner


def _likeness(one: ToldClaim, other: ToldClaim) -> float:
    """From 2 for the same words down to `LEAST_RATIO`; less for the same evidence alone, and 0 for neither."""
    if one.text == other.text:
        return 2.0
    ratio = SequenceMatcher(None, one.text, other.text, autojunk=False).ratio()
    if ratio >= LEAST_RATIO:
        return ratio
    return ratio / 2 + 0.01 if one.evidence and one.evidence == other.evidence else 0.0
