"""Layer `absence`: "the sources do not say …" stands where nothing supplied says it (policy.md)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from cnaps_rag.checks.absence import Absence, presupposed
from cnaps_rag.checks.names import find_names, spelling_keys
from cnaps_rag.fit import Fit, assess_fit
from cnaps_rag.index import PassageIndex
from cnaps_rag.passages import Passage
from cnaps_rag.sources import QUESTION_ID, SourceId
from cnaps_rag.validation.evidence import cite, nearest, passages_about
from cnaps_rag.validation.judgement import Judgement, accepted, rejected
from cnaps_rag.words import content_stems

# Nearness (cosine + half the share of words) from which a passage counts as telling what is said to be absent. Chosen
# on half of claims.jsonl (evals/claims): of true and false absences it parts most there.
LEAST_NEARNESS = 0.65

_IS_FIT = re.compile(
    r"\b(?:do(?:es)?|can do|fits?|suits?|answers?) (?:what )?the (?:user(?:'s)?|question)\b", re.IGNORECASE
)


class AbsenceJudge:
    """Judges statements of absence over one index."""

    def __init__(self, index: PassageIndex) -> None:
        self._index = index
        self._request = index.passages.request

    def judge(self, absence: Absence, spoken: Sequence[SourceId]) -> Judgement:
        """Verdict on a statement of absence about the sources spoken of, or about all where it names none."""
        if (judgement := self._smuggled(absence)) is not None:
            return judgement
        models = [source_id for source_id in spoken if self._kind(source_id) == "model"]
        if models and _IS_FIT.search(absence.topic):
            return self._judge_fit(models)
        about = [source_id for source_id in spoken if source_id != QUESTION_ID] or self._ids
        passages = dict.fromkeys(passage for source_id in about for passage in passages_about(self._index, source_id))
        if not passages:
            return accepted("absence", "no supplied text speaks of it.", ())
        return self._judge_near(absence.topic, list(passages))

    def _judge_near(self, topic: str, passages: Sequence[Passage]) -> Judgement:
        vector = self._index.encoder.encode([topic])[0]
        nearness, passage = nearest(self._index, topic, vector, passages)[0]
        if nearness >= LEAST_NEARNESS:
            return rejected("contradicted", "absence", f"{passage.id} may tell it.", (cite(passage),))
        return accepted("absence", "no passage that may speak of it tells it.", ())

    def _smuggled(self, absence: Absence) -> Judgement | None:
        """What a statement of absence takes to exist must stand in the question or in a source."""
        phrase = presupposed(absence.topic, self._known_stems)
        unknown = next((name.text for name in find_names(absence.topic) if name.key not in self._known_names), phrase)
        if unknown is None:
            return None
        reason = f'it presupposes "{unknown}", of which neither the question nor a source speaks.'
        return rejected("not_found", "absence", reason)

    def _judge_fit(self, models: Sequence[SourceId]) -> Judgement:
        """Absence of what the question asks: as `fit` judges it, so that both always agree."""
        for model in self._fit.models:
            evidence = tuple(cite(self._index.passages.by_id[passage_id]) for passage_id in model.evidence)
            if model.source_id in models and model.verdict == "fits":
                return rejected("contradicted", "absence", model.reason, evidence)
            if model.source_id in models and model.verdict == "not_told" and evidence:
                return rejected("unchecked", "absence", model.reason, evidence)
        return accepted("absence", "no supplied text says so.", ())

    def _kind(self, source_id: SourceId) -> str:
        return self._request.source(source_id).kind

    @cached_property
    def _fit(self) -> Fit:
        passages = self._index.passages
        hits = self._index.search(self._request.question, k=len(passages.all))
        return assess_fit(passages, hits, self._index.vectors)

    @cached_property
    def _ids(self) -> list[SourceId]:
        return [source.id for source in self._request.sources]

    @cached_property
    def _all_text(self) -> str:
        texts = [f"{source.title}. {source.text}" for source in self._request.sources]
        return "\n".join([self._request.question, *texts])

    @cached_property
    def _known_stems(self) -> frozenset[str]:
        return frozenset(content_stems(self._all_text))

    @cached_property
    def _known_names(self) -> frozenset[str]:
        return spelling_keys(self._all_text)
