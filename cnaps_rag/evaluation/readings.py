"""An answer read against its gold and its own citations by the claim verifier: what metrics count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cnaps_rag.checks.attribution import find_mentions, without_mentions
from cnaps_rag.checks.numbers import check_numbers
from cnaps_rag.evaluation.outcome import Outcome, SaidClaim
from cnaps_rag.evaluation.suite import Gold
from cnaps_rag.report import Citation
from cnaps_rag.sentences import split_sentences
from cnaps_rag.sources import SourceId
from cnaps_rag.verifier import Verifier
from cnaps_rag.words import content_stems

ABSENT = "The supplied sources do not say"


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """Whether a text is told by a claim: the best claim's place among the telling ones, and the verifier's score."""

    is_told: bool
    score: float
    claim: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CitedClaim:
    """A claim against what it cites: whether all of it together supports it, and which citations are of use.

    A citation is of no use where it alone does not support the claim and the others do without it (ALCE, arXiv
    2305.14627).
    """

    claim: int
    is_supported: bool
    is_useful: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Readings:
    """Everything that the verifier decides for the metrics; places count in `Outcome.telling`.

    Attributes:
        points: for each gold point, whether a claim tells it; None where gold holds none.
        on_point: for each telling claim of a source, whether a gold point tells it.
        forbidden: for each forbidden point, whether a claim tells it.
        missing: for each missing point of slot ``other``, whether an absence of the answer says it.
        cited: each telling claim with citations.
    """

    points: tuple[Match, ...] | None
    on_point: tuple[Match, ...] | None
    forbidden: tuple[Match, ...] | None
    missing: tuple[Match, ...] | None
    cited: tuple[CitedClaim, ...]


def read_outcome(outcome: Outcome, gold: Gold, verifier: Verifier) -> Readings:
    """Reads an answer against its gold and its citations.

    Raises:
        ServiceError: the verifier failed.
    """
    reader = _Reader(outcome, verifier)
    points = None if gold.points is None else [(point.text, point.source) for point in gold.points]
    others = None if gold.missing is None else [row for row in gold.missing if row.slot == "other" and row.text]
    return Readings(
        points=None if points is None else reader.told(points),
        on_point=None if gold.points is None else reader.on_point([(p.text, p.quote, p.source) for p in gold.points]),
        forbidden=None if gold.forbidden is None else reader.told_unsupported([point.text for point in gold.forbidden]),
        missing=None if others is None else reader.absent([(row.text, row.source) for row in others]),
        cited=reader.cited(),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Window:
    """Words of an answer that are read together: a sentence, two that follow each other, or all of one source.

    `source_ids` are what it rests on, `named_ids` what it speaks of by name; `quotes` where any of it is a supported
    quotation, word for word.
    """

    text: str
    quotes: bool
    source_ids: frozenset[SourceId]
    named_ids: frozenset[SourceId]
    claim: int


class _Reader:
    def __init__(self, outcome: Outcome, verifier: Verifier) -> None:
        self._outcome = outcome
        self._request = outcome.request
        self._verifier = verifier
        self._windows = tuple(self._told_windows())

    def _told_windows(self) -> Iterator[_Window]:
        """What the answer tells of each source, in windows: a gold point may join what it says in two claims.

        Of the 97 gold points of ../shared that extractive answers quote, single claims tell 76 by the verifier, these
        windows 88; of 33 others, both tell 2.
        """
        rows_by_source: dict[frozenset[SourceId], list[tuple[int, str, bool]]] = {}
        for place, claim in enumerate(self._outcome.telling):
            rows = rows_by_source.setdefault(self._sources_of(claim), [])
            sentences = [claim.words[start:end] for start, end in split_sentences(claim.words)]
            rows += [(place, sentence, self._is_quoted(sentence, claim)) for sentence in sentences]
        for ids, rows in rows_by_source.items():
            runs = [rows[start:end] for start in range(len(rows)) for end in (start + 1, start + 2) if end <= len(rows)]
            for run in [*runs, rows] if len(rows) > 2 else runs:
                text = " ".join(words for _, words, _ in run)
                named = frozenset(mention.source_id for mention in find_mentions(text, self._request))
                yield _Window(
                    text=self._plain(text, *ids),
                    quotes=any(is_quoted for _, _, is_quoted in run),
                    source_ids=ids,
                    named_ids=named,
                    claim=run[0][0],
                )

    def _is_quoted(self, sentence: str, claim: SaidClaim) -> bool:
        """Whether a supported claim says this in its source's own words."""
        evidence = _folded(" ".join(citation.quote for citation in claim.cited or claim.evidence))
        return claim.verdict == "supported" and _folded(sentence) in evidence

    def told(self, points: Sequence[tuple[str, str]]) -> tuple[Match, ...]:
        """For each point, a text and its source, what the answer says that entails it best.

        What is told of another source tells nothing of this one, however alike: gold points are facts of one source.
        """
        return tuple(
            self._best(
                [
                    (window.claim, window.text, self._plain(text, source_id))
                    for window in self._windows
                    if self._may_tell(window.source_ids, source_id)
                ]
            )
            for text, source_id in points
        )

    def told_unsupported(self, statements: Sequence[str]) -> tuple[Match, ...]:
        """For each statement that no source supports, what the answer says that entails it best, whatever it cites.

        Of a statement that speaks of sources by name, only what is told of one of them, by citing or by naming it. Not
        what a source is quoted with, and supported: such statements are those that no source supports, so a quotation
        cannot tell one, however near it comes (most are a true sentence with one word changed).
        """
        found: list[Match] = []
        for text in statements:
            named = {mention.source_id for mention in find_mentions(text, self._request)}
            twins = frozenset(twin for id_ in named for twin in self._request.twins(id_))
            rows = [
                (window.claim, self._plain(window.text, *twins), self._plain(text, *twins))
                for window in self._windows
                if not window.quotes and (not twins or twins & (window.source_ids | window.named_ids))
            ]
            found.append(self._best(rows))
        return tuple(found)

    def on_point(self, points: Sequence[tuple[str, str, str]]) -> tuple[Match, ...]:
        """For each telling claim, the gold point (text and quote, as one evidence) that entails it best."""
        found: list[Match] = []
        for claim in self._outcome.telling:
            rows = [
                (place, f"{text} {quote}", self._plain(claim.words, source_id))
                for place, (text, quote, source_id) in enumerate(points)
                if self._may_tell(self._sources_of(claim), source_id)
            ]
            found.append(self._best(rows))
        return tuple(found)

    def absent(self, missing: Sequence[tuple[str, str]]) -> tuple[Match, ...]:
        """For each missing point, a text and its source, the absence of the answer that entails it best.

        Only one that holds half of its content words or more: how something works and how fast it is are one to the
        verifier, whose training knew few absences.
        """
        absences = [claim.text for claim in self._outcome.claims if claim.kind == "absence"]
        found: list[Match] = []
        for text, source_id in missing:
            stems = set(content_stems(self._plain(text, source_id)))
            alike = [said for said in absences if 2 * len(stems & set(content_stems(said))) >= len(stems)]
            best = self._best([(0, said, f"{ABSENT} {text}.") for said in alike])
            found.append(Match(is_told=best.is_told, score=best.score, claim=None))
        return tuple(found)

    def cited(self) -> tuple[CitedClaim, ...]:
        """Telling claims with citations against them."""
        return tuple(self._cited(place, claim) for place, claim in enumerate(self._outcome.telling) if claim.cited)

    def _cited(self, place: int, claim: SaidClaim) -> CitedClaim:
        text = self._plain(claim.words, *(citation.source_id for citation in claim.cited))
        citations = claim.cited
        without = [citations[:number] + citations[number + 1 :] for number in range(len(citations))]
        whole, *rest = self._supports(
            [(_joined(citations), text)]
            + [(citation.quote, text) for citation in citations]
            + [(_joined(others), text) for others in without if others]
        )
        alone, others = rest[: len(citations)], rest[len(citations) :]
        useful = [
            whole and (is_alone or len(citations) == 1 or not others[number]) for number, is_alone in enumerate(alone)
        ]
        return CitedClaim(claim=place, is_supported=whole, is_useful=tuple(useful))

    def _best(self, rows: Sequence[tuple[int, str, str]]) -> Match:
        """Best of rows: place of the claim, evidence, statement."""
        if not rows:
            return Match(is_told=False, score=0.0, claim=None)
        scores = self._scores([(evidence, statement) for _, evidence, statement in rows])
        score, place = max(zip(scores, (place for place, _, _ in rows), strict=True), key=lambda row: row[0])
        return Match(is_told=score >= self._verifier.threshold, score=score, claim=place)

    def _supports(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        return [score >= self._verifier.threshold for score in self._scores(pairs)]

    def _scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The verifier's scores; 1 for what stands word for word in the evidence, 0 where a number is missing."""
        scores = [float(score) for score in self._verifier.score(pairs)]
        return [
            1.0 if _folded(text) in _folded(evidence) else 0.0 if _lacks_number(evidence, text) else score
            for score, (evidence, text) in zip(scores, pairs, strict=True)
        ]

    def _sources_of(self, claim: SaidClaim) -> frozenset[SourceId]:
        """Sources that a claim cites, or rests on where it cites nothing; empty where that is unknown."""
        ids = {citation.source_id for citation in claim.cited or claim.evidence}
        return frozenset(twin for id_ in ids for twin in self._request.twins(id_))

    def _may_tell(self, source_ids: frozenset[SourceId], source_id: str) -> bool:
        return not source_ids or bool(source_ids & set(self._request.twins(source_id)))

    def _plain(self, text: str, *source_ids: str | None) -> str:
        """A statement with what it calls these sources as "it", as validation puts claims to the verifier."""
        ids = {twin for id_ in source_ids if id_ is not None for twin in self._request.twins(id_)}
        return without_mentions(text, self._request, {SourceId(id_) for id_ in ids})


def _joined(citations: Iterable[Citation]) -> str:
    return " ".join(citation.quote for citation in citations)


def _folded(text: str) -> str:
    return " ".join(text.lower().split()).strip(" .…\"'“”")


def _lacks_number(evidence: str, text: str) -> bool:
    return any(True for _ in check_numbers(text, evidence))
