"""A claim and the sources → its verdict, by layers: the cheap and certain ones first, the verifier last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from cnaps_rag.checks.absence import read_absence, split_at_absence
from cnaps_rag.checks.attribution import Mention, find_mentions, speaks_of_user, spoken_of
from cnaps_rag.checks.facts import check_request_fact
from cnaps_rag.checks.form import check_form
from cnaps_rag.checks.language import is_english
from cnaps_rag.checks.names import check_expansions, check_names
from cnaps_rag.checks.numbers import check_numbers
from cnaps_rag.checks.quotes import read_frame
from cnaps_rag.discourse import orders
from cnaps_rag.index import PassageIndex
from cnaps_rag.passages import PassageId
from cnaps_rag.sentences import split_sentences
from cnaps_rag.sources import QUESTION_ID, SourceId
from cnaps_rag.validation.absences import AbsenceJudge
from cnaps_rag.validation.evidence import cite, cite_field, is_entry, passages_about
from cnaps_rag.validation.judgement import ClaimQuery, Judgement, accepted, at_fault, joined, rejected
from cnaps_rag.validation.quoting import judge_quotes
from cnaps_rag.validation.reading import Reader, Reading
from cnaps_rag.verifier import Verifier
from cnaps_rag.words import split_words

__all__ = ["ClaimJudge", "ClaimQuery", "Judgement"]

_MARKS = re.compile(r"\[\^[\w-]+\]:?|^\s*[-*•>]\s+")
_BETWEEN_HALVES = re.compile(r";\s+|,?\s+(?:while|whereas|but)\s+|,\s+and\s+")
_LEAST_WORDS_OF_HALF = 5  # fewer behind the second name are the end of a list, no statement


class ClaimJudge:
    """Judges claims about the sources of one index; threads may share it.

    Layers, in order: form, ids, request, quotes, absence, language, then (on windows of evidence) numbers, names and
    wording, attribution and the verifier. What no layer can check is ``unchecked``.
    """

    def __init__(self, index: PassageIndex, verifier: Verifier) -> None:
        self.index = index
        self.verifier = verifier
        self._request = index.passages.request
        self._reader = Reader(index, verifier)
        self._absences = AbsenceJudge(index)
        self._known: dict[ClaimQuery, Judgement] = {}  # a claim that is drafted, streamed and shown is judged once

    def judge(
        self, text: str, *, subject: SourceId | None = None, cited: Sequence[PassageId] | None = None
    ) -> Judgement:
        """Verdict on one claim.

        Raises:
            ServiceError: the encoder or the verifier failed.
        """
        query = ClaimQuery(text=text, subject=subject, cited=None if cited is None else tuple(cited))
        return self.judge_all([query])[0]

    def judge_all(self, claims: Sequence[ClaimQuery]) -> tuple[Judgement, ...]:
        """Verdicts on many claims at once: encoder and verifier are called a few times for all of them.

        Raises:
            ServiceError: the encoder or the verifier failed.
        """
        new = [query for query in dict.fromkeys(claims) if query not in self._known]
        plans = [self._plan(query) for query in new]
        readings = [part for plan in plans for part in plan if isinstance(part, Reading)]
        read = iter(self._reader.read(readings))
        for query, plan in zip(new, plans, strict=True):
            self._known[query] = joined([next(read) if isinstance(part, Reading) else part for part in plan])
        return tuple(self._known[query] for query in claims)

    # From claim to what has to be read

    def _plan(self, query: ClaimQuery) -> list[Judgement | Reading]:
        """Judgements on the parts of a claim, or what has to be read for them."""
        text = " ".join(_MARKS.sub(" ", query.text).split())
        parts = split_at_absence(text)
        if len(parts) == 1 and query.cited is None:
            parts = self._halves(text)
        if len(parts) == 1:
            return [self._plan_part(text, query)]
        subject = query.subject or self._sole(find_mentions(text, self._request))
        part_query = ClaimQuery(text=text, subject=subject, cited=query.cited)
        return [self._plan_part(part, part_query) for part in parts]

    def _halves(self, text: str) -> tuple[str, ...]:
        """A claim that joins two sources, cut before the name of the second: each half needs its own source."""
        mentions = find_mentions(text, self._request)
        if len({self._request.twins(mention.source_id) for mention in mentions}) < 2 or read_frame(text) is not None:
            return (text,)
        cuts = [0]
        for mention, before in zip(mentions[1:], mentions, strict=False):
            joints = list(_BETWEEN_HALVES.finditer(text, before.end, mention.start))
            is_list = len(text[mention.start :].split()) < _LEAST_WORDS_OF_HALF
            if (
                joints
                and mention.start - joints[-1].end() <= 4
                and before.source_id != mention.source_id
                and not is_list
            ):
                cuts.append(joints[-1].end())
        ends = [*cuts[1:], len(text)]
        return tuple(text[start:end].strip(" ,;") for start, end in zip(cuts, ends, strict=True))

    def _sole(self, mentions: Sequence[Mention]) -> SourceId | None:
        groups = {self._request.twins(mention.source_id) for mention in mentions}
        return mentions[0].source_id if len(groups) == 1 else None

    def _plan_part(self, text: str, query: ClaimQuery) -> Judgement | Reading:
        for fault in check_form(text, self._request.question, self._vocabulary):
            return at_fault(fault)
        is_user = query.subject == QUESTION_ID or (speaks_of_user(text) and not find_mentions(text, self._request))
        if query.cited is not None and (judgement := self._check_ids(query, is_user=is_user)):
            return judgement
        if query.cited is not None and not is_user and _quotes_order(text):
            reason = "it repeats an instruction that stands in a source, which says nothing of its subject."
            return rejected("not_found", "quotes", reason)
        spoken = (QUESTION_ID,) if is_user else spoken_of(text, self._request, query.subject)
        if query.cited is not None and query.subject is not None and not is_user:
            spoken = (query.subject,)
        return (
            self._check_request(text, query.subject, is_user=is_user)
            or judge_quotes(text, spoken, self.index.passages)
            or self._check_supplied(text)
            or self._reading(text, spoken, query)
        )

    def _reading(self, text: str, spoken: tuple[SourceId, ...], query: ClaimQuery) -> Judgement | Reading:
        absence = read_absence(text)
        if absence is not None:
            return self._absences.judge(absence, spoken)
        if not is_english(text):
            return self._check_foreign(text, spoken)
        by_id = self.index.passages.by_id
        cited = tuple(by_id[passage_id] for passage_id in query.cited or () if not is_entry(by_id[passage_id]))
        return Reading(claim=text, spoken=spoken, cited=cited)

    # Layers that need no reading

    def _check_ids(self, query: ClaimQuery, *, is_user: bool) -> Judgement | None:
        """Cited ids exist and are of the source spoken of, or of sentences that tell of it by name."""
        by_id = self.index.passages.by_id
        for passage_id in query.cited or ():
            if passage_id not in by_id:
                return rejected("not_found", "ids", f"{passage_id} is no supplied passage.")
        if query.subject is None or not query.cited:
            return None
        may_speak = {passage.id for passage in passages_about(self.index, query.subject)}
        entries = {PassageId(f"{twin}.0") for twin in self._request.twins(query.subject)}
        for passage_id in query.cited:
            if passage_id not in may_speak | entries and not self._is_question(passage_id):
                passage = by_id[passage_id]
                reason = f"{passage_id} does not speak of {query.subject}."
                return rejected("misattributed", "ids", reason, (cite(passage),))
        if not is_user and all(self._is_question(passage_id) for passage_id in query.cited):
            reason = f"the question, which is all it cites, tells nothing of {query.subject}."
            return rejected("not_found", "ids", reason)
        return None

    def _is_question(self, passage_id: PassageId) -> bool:
        return self.index.passages.by_id[passage_id].source_id == QUESTION_ID

    def _check_request(self, text: str, subject: SourceId | None, *, is_user: bool) -> Judgement | None:
        fact = None if is_user else check_request_fact(text, self._request, subject)
        if fact is None:
            return None
        evidence = tuple(cite_field(self._request, source_id, field) for source_id, field in fact.places)
        if fact.verdict == "supported":
            return accepted("request", fact.reason, evidence)
        return rejected(fact.verdict, "request", fact.reason, evidence)

    def _check_supplied(self, text: str) -> Judgement | None:
        """Acronyms are expanded as some source expands them."""
        for fault in check_expansions(text, self._all_text):
            return at_fault(fault)
        return None

    def _check_foreign(self, text: str, spoken: tuple[SourceId, ...]) -> Judgement:
        """A claim in another language: its numbers and names must stand somewhere in what may support it."""
        about = [passage for source_id in spoken or self._ids for passage in passages_about(self.index, source_id)]
        evidence = " ".join(passage.text for passage in about)
        entry = " ".join(self._request.source(source_id).title for source_id in spoken or self._ids)
        faults = (
            *check_numbers(text, evidence, entry=entry),
            *check_names(text, evidence, entry=entry, source_text=evidence, capital_names=False),
        )
        for fault in faults:
            return at_fault(fault)
        return rejected("unchecked", "language", "it is not in English, so it could not be read.")

    # What all claims share

    @cached_property
    def _ids(self) -> tuple[SourceId, ...]:
        return tuple(source.id for source in self._request.sources)

    @cached_property
    def _all_text(self) -> str:
        texts = [self._request.question]
        texts += [f"{source.title}. {source.text}" for source in self._request.sources]
        return "\n".join(texts)

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        return frozenset(word.text.lower() for word in split_words(self._all_text))


def _quotes_order(claim: str) -> bool:
    """Whether a claim only quotes, and quotes a sentence that orders its reader about: true, and planted to be read."""
    framed = read_frame(claim)
    return framed is not None and any(
        orders(quoted[start:end]) for quoted in framed[1] for start, end in split_sentences(quoted)
    )
