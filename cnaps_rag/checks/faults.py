"""What a deterministic check of a claim against its evidence returns: one fault, and the verdict that it leads to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cnaps_rag.report import Rule

FaultLayer = Literal["form", "quotes", "numbers", "names", "wording", "attribution"]
FaultVerdict = Literal["contradicted", "not_found", "misattributed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing in a claim that its evidence does not bear out.

    ``contradicted`` where the evidence says otherwise, ``not_found`` where it does not say so. `reason` ends a sentence
    that a person reads: no full stop inside, one at its end.
    """

    layer: FaultLayer
    rule: Rule
    verdict: FaultVerdict
    reason: str
