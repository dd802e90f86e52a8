"""A claim under test → mutations of it, at most one of each kind, the same ones for the same state of `rng`."""

from __future__ import annotations

import random
from collections.abc import Mapping

from cnaps_rag.evaluation.mutations import attribution, facts, honest, links, wording
from cnaps_rag.evaluation.mutations.kinds import Generator, Mutation, MutationKind, Specimen
from cnaps_rag.request import AnswerRequest

_FAULTS: Mapping[MutationKind, Generator] = {
    "number": facts.number_faults,
    "unit": facts.unit_faults,
    "name": facts.name_faults,
    "thing": facts.thing_faults,
    "negation": wording.negation_faults,
    "hedge": wording.hedge_faults,
    "overclaim": wording.overclaim_faults,
    "reversed": wording.reversed_faults,
    "wrong_source": attribution.wrong_source_faults,
    "merged_halves": attribution.merged_faults,
    "false_absence": attribution.absence_faults,
    "foreign_link": links.foreign_link_faults,
}
_LINK_FAULTS: Mapping[MutationKind, Generator] = {
    "foreign_link": links.foreign_link_faults,
    "arxiv_digit": links.arxiv_digit_faults,
    "link_of_other": links.link_of_other_faults,
    "link_altered": links.link_altered_faults,
}
_HONEST: Mapping[MutationKind, Generator] = {
    "synonym": honest.synonym_edits,
    "reorder": honest.reorder_edits,
    "voice": honest.voice_edits,
    "number_form": honest.number_forms,
    "ellipsis": honest.ellipsis_edits,
    "shortened": honest.shortened_edits,
}
_LINK_FORMS: Mapping[MutationKind, Generator] = {"link_form": links.link_forms}


def plant_faults(specimen: Specimen, request: AnswerRequest, rng: random.Random) -> tuple[Mutation, ...]:
    """Claims that are surely not supported, each with one fault; none of a kind that cannot surely be planted.

    Args:
        specimen: a claim that holds. A planted fault is only as sure as that.
        request: what the claim is told of.
        rng: chooses among the places of each kind.
    """
    return _mutate(specimen, request, rng, _LINK_FAULTS if specimen.is_line else _FAULTS, is_fault=True)


def edit_honestly(specimen: Specimen, request: AnswerRequest, rng: random.Random) -> tuple[Mutation, ...]:
    """Claims that hold where `specimen` does, each edited in one way; arguments as in `plant_faults`."""
    return _mutate(specimen, request, rng, _LINK_FORMS if specimen.is_line else _HONEST, is_fault=False)


def _mutate(
    specimen: Specimen,
    request: AnswerRequest,
    rng: random.Random,
    generators: Mapping[MutationKind, Generator],
    *,
    is_fault: bool,
) -> tuple[Mutation, ...]:
    # One stream a kind: a new kind, or a new place of one, changes no mutation of another kind.
    seed = rng.getrandbits(64)
    mutations: list[Mutation] = []
    for kind, generate in generators.items():
        edits = [edit for edit in generate(specimen, request) if edit.text != specimen.text or edit.moved_to]
        if not edits:
            continue
        edit = random.Random(f"{seed} {kind}").choice(edits)
        mutations.append(
            Mutation(
                kind=kind,
                is_fault=is_fault,
                specimen=specimen,
                text=edit.text,
                subject=edit.moved_to or specimen.subject,
                change=edit.change,
                request=request,
            )
        )
    return tuple(mutations)
