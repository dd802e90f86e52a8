"""A verification and a difference in words for a terminal, and as plain values for JSON.

What stands in a bundle may come from anywhere: it is shown as `repr` writes it, without control characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from cnaps_rag.proof.diff import BundleDiff, Changed, ClaimDiff, SlotDiff
from cnaps_rag.proof.verify import Verification

_HOLDS = {True: "holds", False: "DOES NOT HOLD", None: "not checked"}
_COUNTED = {True: "hold", False: "do not hold", None: "not checked"}


def verification_values(verification: Verification) -> dict[str, Any]:
    """Plain values: ``ok``, ``checks`` with name, holds and told, ``notes``."""
    return {"ok": verification.ok, **asdict(verification)}


def render_verification(verification: Verification) -> str:
    """One line a check, then the notes, and a last line that counts."""
    lines = [f"{_HOLDS[check.holds]:<13}  {check.name:<9}  {check.told}" for check in verification.checks]
    lines += [f"{'note':<13}  {note}" for note in verification.notes]
    n_by_told = Counter(_COUNTED[check.holds] for check in verification.checks)
    counts = ", ".join(f"{n_by_told[told]} {told}" for told in _COUNTED.values() if n_by_told[told])
    return "\n".join([*lines, f"{'all holds' if verification.ok else 'NOT proved'}: {counts}"])


def diff_values(diff: BundleDiff) -> dict[str, Any]:
    """Plain values of a difference, and whether there is none in ``is_empty``."""
    return {"is_empty": diff.is_empty, **asdict(diff)}


def render_diff(diff: BundleDiff) -> str:
    """What differs, from the making to the claims, and a last line that counts."""
    if diff.is_empty:
        return "no difference"
    return "\n".join([*_making_lines(diff), *_slot_lines(diff.slots), _count(diff)])


def _making_lines(diff: BundleDiff) -> Iterator[str]:
    if diff.request:
        yield "THE REQUESTS DIFFER: claims are compared slot by slot all the same"
        yield from _changed_lines(diff.request)
    if diff.making:
        yield "made with"
        yield from _changed_lines(diff.making)
    if diff.fit:
        yield "fit to the question"
        yield from _changed_lines(diff.fit)


def _changed_lines(changes: Iterable[Changed]) -> Iterator[str]:
    return (f"  {_bare(each.name)}: {_bare(each.before)} → {_bare(each.after)}" for each in changes)


def _bare(text: str) -> str:
    """`text` as `repr` writes it, without the quotation marks."""
    return repr(text)[1:-1]


def _slot_lines(slots: Iterable[SlotDiff]) -> Iterator[str]:
    for slot in slots:
        state = (
            "" if slot.before == slot.after else f": {slot.before or 'no such slot'} → {slot.after or 'no such slot'}"
        )
        yield f"section {slot.section}, {slot.name} of {_bare(slot.subject)}{state}"
        for claim in slot.claims:
            yield from _claim_lines(claim)


def _claim_lines(claim: ClaimDiff) -> Iterator[str]:
    before, after = claim.before, claim.after
    if before is not None:
        yield f"  {'-' if claim.change != 'judged' else '='} {before.text!r}"
    if after is not None and claim.change != "judged":
        yield f"  {'+' if claim.change == 'appeared' else '→'} {after.text!r}"
    if before is not None and after is not None and before.judgement != after.judgement:
        yield f"      {before.judgement} → {after.judgement}"


def _count(diff: BundleDiff) -> str:
    n_states = sum(slot.before != slot.after for slot in diff.slots)
    dropped = (
        f"dropped drafts: {len(diff.dropped_before)} only in the first, {len(diff.dropped_after)} only in the second"
    )
    claims = ", ".join(f"{diff.count(change)} {change}" for change in ("appeared", "vanished", "changed"))
    return f"claims: {claims}, {diff.count('judged')} judged otherwise; states of slots: {n_states} changed; {dropped}"
