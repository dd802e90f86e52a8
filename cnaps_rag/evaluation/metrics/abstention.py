"""What the sources do not tell, and whether the answer says so: slot by slot, and of the whole question."""

from __future__ import annotations

from collections.abc import Callable

from cnaps_rag.draft import MODEL_SLOTS, SlotName
from cnaps_rag.evaluation.metrics.score import Score, Scored, share, unscored
from cnaps_rag.sources import SourceId

_NO_SLOTS = "an outside text has no slots"
_NO_MISSING = "gold does not say what is missing"

Keys = set[tuple[SlotName, SourceId]]


def abstention_precision(scored: Scored) -> Score:
    """Share of the models' slots left open as "the supplied sources do not say" that gold calls missing.

    Precision and recall of abstaining as in Wen et al. 2025 (Know Your Limits, arXiv 2407.18418), per slot
    instead of per answer. Unscored where no slot is left open.
    """
    return _precision(scored, MODEL_SLOTS)


def abstention_recall(scored: Scored) -> Score:
    """Share of the models' slots that gold calls missing which the answer leaves open, saying so.

    A slot whose statements all failed the checks is not counted as said. As `abstention_precision`; unscored where gold
    calls none missing.
    """
    return _recall(scored, MODEL_SLOTS)


def abstention_recall_other(scored: Scored) -> Score:
    """Share of gold's other missing points of which the answer says that the sources do not tell, by the verifier.

    Unscored where gold names none.
    """
    return share([match.is_told for match in scored.readings.missing or ()], "gold names nothing else missing")


def precision_of(slot: SlotName) -> Callable[[Scored], Score]:
    """`abstention_precision` of one slot."""

    def measure(scored: Scored) -> Score:
        return _precision(scored, (slot,))

    measure.__doc__ = f"`abstention_precision`, of the slot {slot} alone."
    return measure


def recall_of(slot: SlotName) -> Callable[[Scored], Score]:
    """`abstention_recall` of one slot."""

    def measure(scored: Scored) -> Score:
        return _recall(scored, (slot,))

    measure.__doc__ = f"`abstention_recall`, of the slot {slot} alone."
    return measure


def abstains_rightly(scored: Scored) -> Score:
    """Yes where the answer as a whole abstains exactly when gold says that nothing supplied answers.

    Accuracy of abstention (Wen et al. 2025, arXiv 2407.18418). Unscored where gold does not say, and for
    outside texts.
    """
    if scored.gold.abstain is None:
        return unscored("gold does not say whether to abstain")
    if scored.outcome.abstained is None:
        return unscored(_NO_SLOTS)
    return Score(value=float(scored.outcome.abstained == scored.gold.abstain))


def _precision(scored: Scored, slots: tuple[SlotName, ...]) -> Score:
    open_, missing = _open(scored, slots), _missing(scored, slots)
    if open_ is None or missing is None:
        return unscored(_NO_SLOTS if open_ is None else _NO_MISSING)
    judged = sorted(open_ - (_missing(scored, slots, arguable=True) or set()))
    return share([key in missing for key in judged], "no slot is left open")


def _recall(scored: Scored, slots: tuple[SlotName, ...]) -> Score:
    open_, missing = _open(scored, slots), _missing(scored, slots)
    if open_ is None or missing is None:
        return unscored(_NO_SLOTS if open_ is None else _NO_MISSING)
    return share([key in open_ for key in sorted(missing)], "gold calls no slot missing")


def _open(scored: Scored, slots: tuple[SlotName, ...]) -> Keys | None:
    if scored.outcome.slots is None:
        return None
    return {
        (slot.name, slot.subject) for slot in scored.outcome.slots if slot.name in slots and slot.state == "not_told"
    }


def _missing(scored: Scored, slots: tuple[SlotName, ...], *, arguable: bool = False) -> Keys | None:
    """Slots that gold calls missing for sure, or those where readers may differ."""
    if scored.gold.missing is None:
        return None
    rows = [row for row in scored.gold.missing if row.arguable == arguable]
    return {(row.slot, SourceId(row.source)) for row in rows if row.slot != "other" and row.slot in slots}
