"""A draft: well formed and not believed. `form` says what it is made of, `reading` makes it of an LLM's reply."""

from __future__ import annotations

from cnaps_rag.draft.form import (
    LEAST_CLAIMS,
    LIMIT_CLAIMS,
    LIMIT_ENUM_VALUES,
    LIMIT_EVIDENCE,
    MODEL_SLOTS,
    Brief,
    Claim,
    Draft,
    Drafter,
    Slot,
    SlotForm,
    SlotName,
    plan_form,
    schema_of,
)
from cnaps_rag.draft.reading import DraftReader, is_whole_draft, obeys_schema, parse_draft

__all__ = [
    "LEAST_CLAIMS",
    "LIMIT_CLAIMS",
    "LIMIT_ENUM_VALUES",
    "LIMIT_EVIDENCE",
    "MODEL_SLOTS",
    "Brief",
    "Claim",
    "Draft",
    "DraftReader",
    "Drafter",
    "Slot",
    "SlotForm",
    "SlotName",
    "is_whole_draft",
    "obeys_schema",
    "parse_draft",
    "plan_form",
    "schema_of",
]
