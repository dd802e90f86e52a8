"""A draft: well formed and not believed. Its slots hold claims, each with the ids of the passages it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cnaps_rag.passages import PassageId
from cnaps_rag.sources import SourceId

SlotName = Literal["task", "input", "processing", "output", "paper"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One sentence that is asserted, and the passages it is said to rest on."""

    text: str
    evidence: tuple[PassageId, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotForm:
    """One place of the form that a drafter fills: what it is about and which passages may be cited there.

    `task` has subject ``Q``; `input`, `processing` and `output` a recommended model; `paper` a related paper.
    """

    name: SlotName
    subject: SourceId
    evidence_ids: tuple[PassageId, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One filled place of the form. No claims means: the drafter says that the sources do not tell.

    `ended` is True where the drafter's reply broke off before this slot was whole.
    """

    name: SlotName
    subject: SourceId
    claims: tuple[Claim, ...]
    ended: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """All slots of one answer, in the form's order; `drafter` names the LLM, or is ``extractive``."""

    slots: tuple[Slot, ...]
    drafter: str
