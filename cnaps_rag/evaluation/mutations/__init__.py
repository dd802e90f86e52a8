"""The validator under test: faults planted in claims that hold, and honest edits of them.

Each fault is surely one and each honest edit surely none: where a generator cannot be sure it makes nothing. Read in
this order: `kinds`, `lexicon`, `material`, `facts`, `wording`, `specimens`, `attribution`, `links`, `instructions`,
`honest`, `plant`, `judging`, `measure`, `table`.
"""

from __future__ import annotations

from cnaps_rag.evaluation.mutations.instructions import obey_instructions
from cnaps_rag.evaluation.mutations.kinds import FaultKind, HonestKind, Mutation, MutationKind, Specimen
from cnaps_rag.evaluation.mutations.measure import (
    KindRate,
    MutationReport,
    Outcome,
    SupportedClaims,
    run_mutations,
)
from cnaps_rag.evaluation.mutations.plant import edit_honestly, plant_faults
from cnaps_rag.evaluation.mutations.table import render_list, render_table, report_values

__all__ = [
    "FaultKind",
    "HonestKind",
    "KindRate",
    "Mutation",
    "MutationKind",
    "MutationReport",
    "Outcome",
    "Specimen",
    "SupportedClaims",
    "edit_honestly",
    "obey_instructions",
    "plant_faults",
    "render_list",
    "render_table",
    "report_values",
    "run_mutations",
]
