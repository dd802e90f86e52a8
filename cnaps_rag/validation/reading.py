"""Reading claims against windows of evidence: numbers, names and wording first, then the verifier, then attribution."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from numpy import float32
from numpy.typing import NDArray

from cnaps_rag.checks.attribution import find_mentions, handles_of, without_mentions
from cnaps_rag.checks.faults import Fault
from cnaps_rag.checks.language import is_english
from cnaps_rag.checks.names import check_names
from cnaps_rag.checks.numbers import check_numbers, find_numbers, in_form_of
from cnaps_rag.checks.wording import check_wording
from cnaps_rag.discourse import asks, orders
from cnaps_rag.errors import ServiceError
from cnaps_rag.index import PassageIndex
from cnaps_rag.passages import Passage
from cnaps_rag.sources import QUESTION_ID, SourceId
from cnaps_rag.validation.evidence import Window, is_entry, nearest, passages_about, windows_in_rounds
from cnaps_rag.validation.judgement import Judgement, accepted, at_fault, rejected
from cnaps_rag.verifier import Verifier
from cnaps_rag.words import content_stems

# From this score on, evidence and claim speak of the same matter, so that a fault contradicts. On the choosing half of
# evals/claims/run.py, 35 of 41 contradicted claims lie above it with such a fault, and 1 of 89 that are not found.
_SAME_MATTER = 0.05

# A claim whose nearest passages score less by themselves is not supported by two or three of them either: of the claims
# in evals/claims/run.py's choosing half that need several, none had less than 0.03, of unsupported ones half have.
_HOPELESS = 0.02

# One word changed in a sentence that is otherwise repeated is what the verifier overlooks most ("segmentation" for
# "classification"), while honest repetitions score high: such a claim has to come this far on the way from the
# threshold to certainty. Chosen on mutations of the choosing half: it stops 22 of the 37 faults that passed, and 18 of
# 169 honest edits.
_SURER = 2 / 3
_ALTERED_SHARE = 0.8  # of the claim's content words stand in the evidence, and not all

_PARTS = re.compile(r"[;,]\s|\b(?:and|but|while|whereas|which)\b")
_LEAST_TELLING = 4  # content words of a claim that can be told of the wrong source: "an ideal choice" fits many
_LEAST_BORROWED = 3  # content words that a part of a claim must hold to tell whose it is

_FRAME_STEMS = frozenset(
    content_stems(
        "paper study work article authors propose present introduce describe method approach show find argue report "
        "investigate deal address title titled examine explore discuss consider concern deals about called supplied "
        "input output"
    )
)


Ranked = list[tuple[float, Passage]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A claim that has to be read: what it speaks of (empty where unknown) and the passages it cites."""

    claim: str
    spoken: tuple[SourceId, ...]
    cited: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class _Tried:
    """A window that a claim is held against: the claim as put to it, the faults found, and the verifier's score.

    `is_altered`: the claim repeats the window's words but for one or a few, which may be the wrong ones.
    """

    window: Window
    claim: str
    faults: tuple[Fault, ...]
    is_altered: bool
    score: float = 0.0


class Reader:
    """Reads claims against the passages of one index."""

    def __init__(self, index: PassageIndex, verifier: Verifier) -> None:
        self._index = index
        self._verifier = verifier
        self._request = index.passages.request

    def read(self, readings: Sequence[Reading]) -> list[Judgement]:
        """A judgement on each claim; the verifier is called a few times for all of them.

        Raises:
            ServiceError: the encoder or the verifier failed.
        """
        if not readings:
            return []
        vectors = self._index.encoder.encode([self._put(reading, reading.spoken) for reading in readings])
        ranked = [self._own(reading, vector) for reading, vector in zip(readings, vectors, strict=True)]
        own = self._try([self._rounds(*row) for row in zip(readings, ranked, strict=True)])
        judgements = [self._judge_own(reading, tried) for reading, tried in zip(readings, own, strict=True)]
        open_ = [
            row
            for row, found in enumerate(judgements)
            if found.verdict == "not_found" and self._has_others(readings[row])
        ]
        others = [self._nearer_others(readings[row], vectors[row], ranked[row]) for row in open_]
        other = self._try([self._rounds(readings[row], near) for row, near in zip(open_, others, strict=True)])
        for row, tried in zip(open_, other, strict=True):
            judgements[row] = self._judge_other(readings[row], tried) or judgements[row]
        return judgements

    def _try(self, rounds_by_claim: Sequence[Iterator[list[_Tried]]]) -> list[list[_Tried]]:
        """Windows that were tried for each claim, scored: round by round, until one supports it or none will."""
        tried: list[list[_Tried]] = [[] for _ in rounds_by_claim]
        open_ = list(range(len(rounds_by_claim)))
        while open_:
            windows = {row: held for row in open_ if (held := next(rounds_by_claim[row], None)) is not None}
            for row, scored in zip(windows, self._score(list(windows.values())), strict=True):
                tried[row] += scored
            open_ = [row for row in windows if self._is_open(tried[row])]
        return tried

    def _is_open(self, tried: Sequence[_Tried]) -> bool:
        return (
            not any(self._supports(one) for one in tried)
            and max((one.score for one in tried), default=1.0) >= _HOPELESS
        )

    def _supports(self, tried: _Tried) -> bool:
        needed = self._verifier.threshold
        needed += (1 - needed) * _SURER if tried.is_altered else 0.0
        return tried.score >= needed and not tried.faults

    # Windows

    def _put(self, reading: Reading, ids: Sequence[SourceId]) -> str:
        """The claim as it is held against these sources: what it calls them is "it"."""
        twins = {twin for source_id in ids for twin in self._request.twins(source_id)}
        return without_mentions(reading.claim, self._request, twins)

    def _own(self, reading: Reading, vector: NDArray[float32]) -> Ranked:
        """Passages that may speak of its sources, nearest first; of all sources where it names none."""
        return self._rank(reading, vector, reading.spoken or self._ids)

    def _nearer_others(self, reading: Reading, vector: NDArray[float32], own: Ranked) -> Ranked:
        """Passages of the other sources, nearest first, where one is nearer than all of its own: else none told it."""
        twins = {twin for source_id in reading.spoken for twin in self._request.twins(source_id)}
        ids = [source_id for source_id in self._ids if source_id not in twins]
        others = [
            (near, passage) for near, passage in self._rank(reading, vector, ids) if passage.source_id not in twins
        ]
        telling = [stem for stem in content_stems(self._put(reading, reading.spoken)) if stem not in _FRAME_STEMS]
        tells_whose = len(telling) >= _LEAST_TELLING
        return others if tells_whose and others and (not own or others[0][0] >= own[0][0]) else []

    def _rank(self, reading: Reading, vector: NDArray[float32], ids: Sequence[SourceId]) -> Ranked:
        claim = self._put(reading, reading.spoken)
        passages = dict.fromkeys(passage for source_id in ids for passage in passages_about(self._index, source_id))
        readable = [passage for passage in passages if _can_tell(passage) and self._can_support(claim, passage)]
        return nearest(self._index, claim, vector, readable)

    def _rounds(self, reading: Reading, ranked: Ranked) -> Iterator[list[_Tried]]:
        """Windows to try, in rounds: what it cites first, then the nearest."""
        passages = [passage for _, passage in ranked]
        for windows in windows_in_rounds(passages, [passage for passage in reading.cited if passage in passages]):
            yield [self._hold(reading, window) for window in windows]

    def _can_support(self, claim: str, passage: Passage) -> bool:
        """A title supports what it literally asserts (policy.md); what merely names it needs a sentence."""
        return not is_entry(passage) or _title_asserts(claim, self._titles(passage.source_id))

    def _titles(self, source_id: SourceId) -> str:
        """Titles or names of a source and its twins; none of the question."""
        source = self._request.source(source_id)
        twins = self._request.twins(source_id)
        return " ".join(self._request.source(twin).title for twin in twins) if source.kind != "question" else ""

    def _hold(self, reading: Reading, window: Window) -> _Tried:
        """Checks a claim against one window; what it calls its sources, and that of the window, is not in question."""
        source = self._request.source(window.source_id)
        claim = self._put(reading, (*reading.spoken, window.source_id))
        titles = self._titles(window.source_id)
        handles = " ".join((*handles_of(source, self._request), titles)) if titles else ""
        texts = [passage.text for passage in window.passages]
        faults: tuple[Fault, ...] = (
            *check_numbers(claim, window.text, entry=titles),
            *check_names(claim, window.text, entry=handles, source_text=source.text),
            *check_wording(claim, texts),
        )
        faults = (*faults, *self._unnamed(reading, window), *self._borrowed(claim, window))
        return _Tried(window, in_form_of(window.text, claim), faults, _is_altered(claim, window.text))

    def _borrowed(self, claim: str, window: Window) -> tuple[Fault, ...]:
        """A part of the claim of which its source says nothing, while a sentence of another says all of it."""
        own = self._stems_by_source[window.source_id]
        for part in _PARTS.split(claim):
            stems = frozenset(content_stems(part))
            if len(stems) < _LEAST_BORROWED or 3 * len(stems & own) > len(stems) or window.source_id == QUESTION_ID:
                continue
            for passage in self._index.passages.all:
                if stems <= frozenset(content_stems(passage.text)) and passage.source_id != window.source_id:
                    reason = f'"{part.strip()}" is told by {passage.id}, not by {window.source_id}.'
                    return (Fault(layer="attribution", rule="borrowed", verdict="misattributed", reason=reason),)
        return ()

    def _unnamed(self, reading: Reading, window: Window) -> tuple[Fault, ...]:
        """Of two sources that a claim speaks of, evidence from one has to name the other."""
        twins = self._request.twins(window.source_id)
        others = [source_id for source_id in reading.spoken if source_id not in twins]
        if len(others) == len(reading.spoken) or not others:
            return ()
        named = {mention.source_id for mention in find_mentions(window.text, self._request)}
        missing = [source_id for source_id in others if not named & set(self._request.twins(source_id))]
        reason = f"{_ids_of(window)} does not speak of {', '.join(missing)}."
        return (
            (Fault(layer="attribution", rule="other_unnamed", verdict="misattributed", reason=reason),)
            if missing
            else ()
        )

    def _score(self, tried: Sequence[Sequence[_Tried]]) -> list[list[_Tried]]:
        pairs = [(one.window.text, one.claim) for row in tried for one in row]
        found = self._verifier.score(pairs)
        if found.shape != (len(pairs),) or not ((found >= 0) & (found <= 1)).all():
            raise ServiceError("The verifier gave something else than one probability for each pair.")
        scores = iter(found)
        return [[replace(one, score=float(next(scores))) for one in row] for row in tried]

    # Verdicts

    def _judge_own(self, reading: Reading, tried: Sequence[_Tried]) -> Judgement:
        if not tried:
            return self._unread(reading)
        passing = [one for one in tried if self._supports(one)]
        if passing:
            best = min(passing, key=lambda one: (len(one.window.passages), -one.score))
            reason = f"{_ids_of(best.window)} supports it."
            return accepted("verifier", reason, best.window.citations, score=best.score)
        best = max(tried, key=lambda one: (one.score, -len(one.faults)))
        faults = sorted(best.faults, key=lambda fault: fault.verdict != "contradicted")
        evidence = best.window.citations
        if faults and best.score >= _SAME_MATTER:
            return at_fault(faults[0], evidence)
        if faults and faults[0].layer in ("names", "numbers"):
            return at_fault(replace(faults[0], verdict="not_found"), evidence)
        if self._has_foreign(reading):
            reason = "some of what may support it is not in English, so it could not be read."
            return rejected("unchecked", "language", reason, evidence, score=best.score)
        reason = f"no passage supports it; the nearest is {_ids_of(best.window)}."
        return rejected("not_found", "verifier", reason, evidence, score=best.score)

    def _judge_other(self, reading: Reading, tried: Sequence[_Tried]) -> Judgement | None:
        passing = [one for one in tried if self._supports(one)]
        if not passing:
            return None
        best = max(passing, key=lambda one: one.score)
        reason = f"{_ids_of(best.window)} says it, which does not speak of {', '.join(reading.spoken)}."
        return rejected("misattributed", "attribution", reason, best.window.citations)

    def _unread(self, reading: Reading) -> Judgement:
        """No passage may speak of it: of a model, that is the rule and no accident."""
        if self._has_foreign(reading):
            return rejected("unchecked", "language", "what may support it is not in English, so it could not be read.")
        reason = f"no supplied text speaks of {', '.join(reading.spoken) or 'it'}."
        return rejected("not_found", "attribution", reason)

    def _has_others(self, reading: Reading) -> bool:
        return bool(reading.spoken) and QUESTION_ID not in reading.spoken

    def _has_foreign(self, reading: Reading) -> bool:
        passages = [passage for source_id in reading.spoken for passage in passages_about(self._index, source_id)]
        return any(not is_english(passage.text) for passage in passages)

    @cached_property
    def _stems_by_source(self) -> dict[SourceId, frozenset[str]]:
        """All content stems of a source and its twins, title included."""
        sources = {source.id: f"{source.title} {source.text}" for source in self._request.sources}
        texts = {id_: " ".join(sources[twin] for twin in self._request.twins(id_)) for id_ in sources}
        texts[QUESTION_ID] = self._request.question
        return {source_id: frozenset(content_stems(text)) for source_id, text in texts.items()}

    @cached_property
    def _ids(self) -> tuple[SourceId, ...]:
        return tuple(source.id for source in self._request.sources)


@lru_cache(maxsize=4_096)
def _can_tell(passage: Passage) -> bool:
    """What asks or orders asserts nothing, save in the user's question; what is not in English is not read."""
    asserts = passage.source_id == QUESTION_ID or not (asks(passage.text) or orders(passage.text))
    return asserts and is_english(passage.text)


def _is_altered(claim: str, evidence: str) -> bool:
    """Numbers do not count: they have their own check, which knows their other forms."""
    numbers = {stem for number in find_numbers(claim) for stem in content_stems(number.text)}
    stems = [stem for stem in content_stems(claim) if stem not in numbers]
    held = frozenset(content_stems(evidence))
    n_held = sum(stem in held for stem in stems)
    return _ALTERED_SHARE * len(stems) <= n_held < len(stems)


def _ids_of(window: Window) -> str:
    return ", ".join(passage.id for passage in window.passages)


def _title_asserts(claim: str, title: str) -> bool:
    """True where every content word of the claim stands in the title, but for those that say "the paper is about"."""
    stems = {stem for stem in content_stems(claim) if stem not in _FRAME_STEMS}
    return bool(stems) and stems <= set(content_stems(title))
