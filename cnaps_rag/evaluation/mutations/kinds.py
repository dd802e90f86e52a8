"""What is tested with: a claim under test, and the same claim with a fault planted or honestly edited."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from cnaps_rag.checks.quotes import find_quotations, is_long
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import SourceId

FaultKind = Literal[
    "number",
    "unit",
    "name",
    "thing",
    "negation",
    "hedge",
    "overclaim",
    "reversed",
    "wrong_source",
    "merged_halves",
    "false_absence",
    "instruction_obeyed",
    "foreign_link",
    "arxiv_digit",
    "link_of_other",
    "link_altered",
]
"""A number, unit, name or thing put in another's place; a negation put in or out; a hedge dropped; more said than the
source does; a comparison or direction turned round; a claim told of another source; half of it another source's; an
absence of what is told; an instruction of hostile source text obeyed; links that were not supplied, or not for that
source, or in a form that urls.md rejects."""

HonestKind = Literal["synonym", "reorder", "voice", "number_form", "ellipsis", "shortened", "link_form"]
"""Other words; items or clauses in another order; passive for active; a number written otherwise; words left out of a
quotation for "…"; an aside left out; a link in another accepted form."""

MutationKind = FaultKind | HonestKind
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
HONEST_KINDS: tuple[HonestKind, ...] = get_args(HonestKind)

_VOWELS = frozenset("aeiou")

Group = Literal["quoted", "told", "links"]
"""Claims that quote fall to the verbatim check; told ones to the layers that read; links are no claims."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Specimen:
    """A claim that is accepted as it is, to be tested with.

    Attributes:
        text: the claim without markup; a line of Markdown where `is_line`.
        subject: the source under whose heading it stands; None where it stands under none.
        is_own_work: it tells what its source's authors did or found, so that told of another source it is false.
        is_line: it is a line of Markdown that ties links to a source.
    """

    text: str
    subject: SourceId | None
    is_own_work: bool = False
    is_line: bool = False

    @property
    def group(self) -> Group:
        """Which checks it mostly meets."""
        if self.is_line:
            return "links"
        return "quoted" if quotes(self.text) else "told"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutation:
    """A specimen changed in one way.

    Attributes:
        kind: the one way.
        is_fault: True where the changed claim is surely not supported; else it surely still is.
        specimen: the claim before.
        text: the claim after.
        subject: the source under whose heading it now stands.
        change: what was changed, for a reader.
        request: what it is judged against; differs from the specimen's where hostile text was planted in a source.
    """

    kind: MutationKind
    is_fault: bool
    specimen: Specimen
    text: str
    subject: SourceId | None
    change: str
    request: AnswerRequest

    @property
    def original(self) -> str:
        """The claim before."""
        return self.specimen.text

    @property
    def group(self) -> Group:
        """Group of the specimen; what obeys an instruction is told."""
        return "told" if self.kind == "instruction_obeyed" else self.specimen.group


@dataclass(frozen=True, slots=True)
class Edit:
    """A changed text, what was changed, and the heading it stands under where that is another one."""

    text: str
    change: str
    moved_to: SourceId | None = None


class Generator(Protocol):
    """Yields every edit of one kind that it can make of a specimen and be sure of."""

    def __call__(self, specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
        """Edits in the order of their places."""
        ...


def quotes(text: str) -> bool:
    """True where a text holds a quotation that has to be verbatim."""
    return any(is_long(quotation) for quotation in find_quotations(text))


def replaced(text: str, start: int, end: int, new: str) -> Edit:
    """`text` with ``text[start:end]`` put as `new`: in the letter case of the old, with "a" or "an" as the new asks."""
    old = text[start:end]
    if old[:1].isupper() and new[:1].islower():
        new = new[:1].upper() + new[1:]
    before = text[:start]
    if re.search(r"\b[Aa] $", before) and new[0] in _VOWELS:
        before = f"{before[:-1]}n "
    elif re.search(r"\b[Aa]n $", before) and new[0].islower() and new[0] not in _VOWELS:
        before = f"{before[:-2]} "
    return Edit(f"{before}{new}{text[end:]}", f"{old!r} -> {new!r}")
