"""The validator under test: specimens that it accepts, mutations of them, what it says of each, and how often."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from cnaps_rag.answer import Answer
from cnaps_rag.evaluation.intervals import wilson_interval
from cnaps_rag.evaluation.mutations.instructions import obey_instructions
from cnaps_rag.evaluation.mutations.judging import Placed, Ruling, judge_placed
from cnaps_rag.evaluation.mutations.kinds import FAULT_KINDS, HONEST_KINDS, Group, Mutation, MutationKind, Specimen
from cnaps_rag.evaluation.mutations.plant import edit_honestly, plant_faults
from cnaps_rag.evaluation.mutations.specimens import split_answer, tell_sources
from cnaps_rag.pipeline import Answerer
from cnaps_rag.request import AnswerRequest
from cnaps_rag.settings import Settings
from cnaps_rag.verifier import Verifier

GROUPS: tuple[Group, ...] = ("quoted", "told", "links")


@dataclass(frozen=True, kw_only=True, slots=True)
class SupportedClaims:
    """Claims that a person found supported by a request, to be tested with instead of an answer's."""

    request: AnswerRequest
    claims: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the validator said of one mutation. It is wrong to accept a fault and to reject an honest edit."""

    mutation: Mutation
    ruling: Ruling

    @property
    def is_right(self) -> bool:
        """True where a fault was not accepted, or an honest edit was."""
        return self.ruling.is_accepted != self.mutation.is_fault


@dataclass(frozen=True, kw_only=True, slots=True)
class KindRate:
    """How often the validator was right on one kind in one group."""

    kind: MutationKind
    group: Group
    is_fault: bool
    n: int
    n_right: int

    @property
    def rate(self) -> float:
        """Kill rate of faults, false-alarm rate of honest edits, 0 to 1."""
        return self._n_told / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of `rate` (Wilson)."""
        return wilson_interval(self._n_told, self.n)

    @property
    def _n_told(self) -> int:
        return self.n_right if self.is_fault else self.n - self.n_right


@dataclass(frozen=True, kw_only=True)  # no slots: the rates are counted once, when first asked for
class MutationReport:
    """Every outcome, and the specimens that were offered and not accepted as they were: nothing is made of those."""

    seed: int
    n_accepted: int
    not_accepted: tuple[tuple[Specimen, Ruling], ...]
    outcomes: tuple[Outcome, ...]

    @cached_property
    def rates(self) -> tuple[KindRate, ...]:
        """Rates by kind and group, faults before honest edits; kinds of which there is no mutation are left out."""
        n = Counter((outcome.mutation.kind, outcome.mutation.group) for outcome in self.outcomes)
        right = Counter(
            (outcome.mutation.kind, outcome.mutation.group) for outcome in self.outcomes if outcome.is_right
        )
        return tuple(
            KindRate(kind=kind, group=group, is_fault=kind in FAULT_KINDS, n=n[kind, group], n_right=right[kind, group])
            for kind in (*FAULT_KINDS, *HONEST_KINDS)
            for group in GROUPS
            if n[kind, group]
        )

    @property
    def surviving(self) -> tuple[Outcome, ...]:
        """Faults that were accepted."""
        return tuple(outcome for outcome in self.outcomes if outcome.mutation.is_fault and not outcome.is_right)

    @property
    def false_alarms(self) -> tuple[Outcome, ...]:
        """Honest edits that were rejected."""
        return tuple(outcome for outcome in self.outcomes if not outcome.mutation.is_fault and not outcome.is_right)


def run_mutations(
    tested: Iterable[AnswerRequest | Answer | SupportedClaims],
    *,
    seed: int = 0,
    settings: Settings | None = None,
    verifier: Verifier | None = None,
    limit_claims: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> MutationReport:
    """Kill rates and false-alarm rates of `validate`; the same seed makes the same mutations.

    Of a request, which is answered first, and of an answer, the claims under test are the answer's own claims and links
    and the sentences of its sources told as plain claims: quotations would test the verbatim check alone. A claim that
    an earlier one of `tested` held of the same source is left out: it would count twice.

    Args:
        tested: what to test with.
        seed: of every choice.
        settings: of answering and validating.
        verifier: as in `validate`.
        limit_claims: most claims under test of each of `tested`, drawn by the seed; None takes all.
        progress: is told, in words, what begins.

    Raises:
        RequestError, ServiceError, UntraceableError: as answering and validating do.
    """
    accepted = 0
    seen: set[tuple[str, str]] = set()
    refused: list[tuple[Specimen, Ruling]] = []
    outcomes: list[Outcome] = []
    for number, one in enumerate(tested, 1):
        if progress is not None:
            progress(f"request {number}")
        tester = _Tester(one, seed, settings, verifier)
        specimens = tester.draw(limit_claims, seen)
        rulings = tester.judge_specimens(specimens)
        kept = [specimen for specimen, ruling in zip(specimens, rulings, strict=True) if ruling.is_accepted]
        refused += [pair for pair in zip(specimens, rulings, strict=True) if not pair[1].is_accepted]
        accepted += len(kept)
        outcomes += tester.judge_mutations([*tester.mutate(kept), *tester.obey()])
    return MutationReport(seed=seed, n_accepted=accepted, not_accepted=tuple(refused), outcomes=tuple(outcomes))


class _Tester:
    """Tests with one request, answer or list of claims."""

    def __init__(
        self,
        tested: AnswerRequest | Answer | SupportedClaims,
        seed: int,
        settings: Settings | None,
        verifier: Verifier | None,
    ) -> None:
        self._settings, self._verifier = settings, verifier
        if isinstance(tested, AnswerRequest):
            tested = Answerer(settings, verifier=verifier).answer(tested)
        self._request = tested.request
        self._tested = tested
        self._seed = f"{seed} {self._request.model_dump_json()}"

    def draw(self, limit: int | None, seen: set[tuple[str, str]]) -> list[Specimen]:
        """Claims to test with, in their order; those in `seen`, by source and text, left out, and added to it."""
        by_key = {(self._title(specimen), specimen.text): specimen for specimen in self._specimens()}
        specimens = [specimen for key, specimen in by_key.items() if key not in seen]
        seen.update(by_key)
        if limit is None or len(specimens) <= limit:
            return specimens
        places = random.Random(self._seed).sample(range(len(specimens)), limit)
        return [specimens[place] for place in sorted(places)]

    def _title(self, specimen: Specimen) -> str:
        return "" if specimen.subject is None else self._request.source(specimen.subject).title

    def _specimens(self) -> Iterator[Specimen]:
        if isinstance(self._tested, Answer):
            yield from split_answer(self._tested)
            yield from tell_sources(self._request)
        else:
            yield from (Specimen(text=" ".join(claim.split()), subject=None) for claim in self._tested.claims)

    def mutate(self, specimens: Sequence[Specimen]) -> Iterator[Mutation]:
        """Faults and honest edits of each."""
        for specimen in specimens:
            rng = random.Random(f"{self._seed} {specimen.text}")
            yield from plant_faults(specimen, self._request, rng)
            yield from edit_honestly(specimen, self._request, rng)

    def obey(self) -> tuple[Mutation, ...]:
        """Instructions obeyed, once a request that is answered."""
        if not isinstance(self._tested, Answer):
            return ()
        return obey_instructions(self._request, random.Random(f"{self._seed} obey"))

    def judge_specimens(self, specimens: Sequence[Specimen]) -> tuple[Ruling, ...]:
        """Rulings on the claims as they are."""
        placed = [Placed(text=one.text, subject=one.subject, is_line=one.is_line) for one in specimens]
        return self._judge(placed, self._request)

    def judge_mutations(self, mutations: Sequence[Mutation]) -> Iterator[Outcome]:
        """Outcomes, those of one request together."""
        for request in dict.fromkeys(mutation.request for mutation in mutations):
            ours = [mutation for mutation in mutations if mutation.request == request]
            placed = [Placed(text=m.text, subject=m.subject, is_line=m.specimen.is_line) for m in ours]
            for mutation, ruling in zip(ours, self._judge(placed, request), strict=True):
                yield Outcome(mutation=mutation, ruling=ruling)

    def _judge(self, placed: Sequence[Placed], request: AnswerRequest) -> tuple[Ruling, ...]:
        return judge_placed(placed, request, settings=self._settings, verifier=self._verifier)
