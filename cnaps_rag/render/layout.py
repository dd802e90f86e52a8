"""From the parts of an answer to headings, paragraphs and items: what is said, in fixed words, before any markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from cnaps_rag.fit import Fit, ModelFit, PaperFit
from cnaps_rag.passages import Passage, PassageId, Passages, quotable
from cnaps_rag.render import phrases
from cnaps_rag.render.shown import can_be_shown, shown, shown_title
from cnaps_rag.report import AnswerSlot, Citation, Section
from cnaps_rag.sources import QUESTION_ID, Source, SourceId

StatementKind = Literal["drafted", "absence", "fit", "unused", "question"]
"""Where a statement comes from: a slot's claim, a slot left open, the fit of a model, a paper that was not used, or
the question quoted where nothing was drafted of the task."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerBody:
    """Everything of an answer that a reader sees; each rendering is made from this and nothing else.

    `drafter` is ``extractive`` or the LLM's name. `notes` are sentences on the making of the answer, of
    which those that begin with one of `phrases.NOTES` are shown. `known_to` tells of an answer in the making how far it
    is known: its last section may hold more slots, more sections may follow, or nothing is to come.
    """

    passages: Passages
    sections: tuple[Section, ...]
    fit: Fit
    drafter: str
    notes: tuple[str, ...] = ()
    known_to: Literal["slot", "section", "whole"] = "whole"


@dataclass(frozen=True, slots=True)
class Words:
    """Words that assert nothing of a source: labels, titles, judgements of our own."""

    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A supplied link, exactly as supplied."""

    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One claim as shown. Its citations get marks unless the text itself already stands under the source it quotes."""

    text: str
    kind: StatementKind
    subject: SourceId
    citations: tuple[Citation, ...] = ()
    has_marks: bool = True
    accepted: bool = True
    reason: str = ""


Run = Words | Link | Statement


@dataclass(frozen=True, slots=True)
class Block:
    """A heading (level 2 or 3), a paragraph, a list item (level 1 or 2), or the rule before the closing words."""

    kind: Literal["heading", "paragraph", "item", "rule"]
    runs: tuple[Run, ...] = ()
    level: int = 1


def build_layout(body: AnswerBody) -> tuple[Block, ...]:
    """Blocks of the whole answer, in reading order."""
    return tuple(_Layout(body).blocks())


def quoted(text: str) -> str:
    """`text` in quotation marks of a kind that it does not hold itself."""
    return f"“{text}”" if '"' in text else f'"{text}"'


def field_label(citation: Citation) -> str:
    """Where a citation points, for a reader: ``P1, summary`` or ``Question``."""
    return "Question" if citation.source_id == QUESTION_ID else f"{citation.source_id}, {citation.field}"


def shown_line(text: str, body: AnswerBody) -> str:
    """`text` as it may be shown, on one line."""
    return " ".join(shown(text, body.passages.request.owners).split())


def links_line(source: Source) -> tuple[Run, ...]:
    """The links of one source, ``Paper: … · Code: …``; empty where none was supplied.

    A link that urls.md always rejects is never rendered; that one was supplied is said in its place.
    """
    runs: list[Run] = []
    for label, link in (("Paper", source.paper), ("Code", source.github)):
        if link is not None:
            runs.append(Words(f"{' · ' if runs else ''}{label}: "))
            runs.append(Link(link) if can_be_shown(link) else Words(phrases.UNSHOWN_LINK))
    return tuple(runs)


_JUDGEMENTS = {"fits": phrases.FITS, "does_not_fit": phrases.DOES_NOT_FIT, "not_told": phrases.FIT_OPEN}


class _Layout:
    def __init__(self, body: AnswerBody) -> None:
        self._body = body
        self._request = body.passages.request

    def blocks(self) -> Iterator[Block]:
        fit_by_id = {fit.source_id: fit for fit in self._body.fit.models}
        models = (source for source in self._request.sources if source.kind == "model")
        yield from (self._fit(model.id, fit_by_id.get(model.id)) for model in models)
        body = self._body
        for section in body.sections:
            yield Block("heading", (Words(f"{section.number}. {section.title}"),), level=2)
            yield from {1: self._task, 2: self._workflow, 3: self._papers}[section.number](section)
            if body.known_to != "slot" or section is not body.sections[-1]:
                yield from self._closing(section)
        if body.known_to == "whole":
            yield Block("rule")
            yield from self._making()

    def _closing(self, section: Section) -> Iterator[Block]:
        """What stands after the last slot of a section."""
        if section.number == 2 and not section.slots:
            yield Block("paragraph", (Statement(text=phrases.NO_MODEL, kind="absence", subject=QUESTION_ID),))
        elif section.number == 3:
            yield from self._unused_papers(section)

    # The lead: the fit of each model

    def _fit(self, model_id: SourceId, fit: ModelFit | None) -> Block:
        """Paragraph on one model; without a fit, no statement on it has passed the checks."""
        name = self._title(model_id)
        if fit is None:
            return Block("paragraph", (Words(phrases.no_fit_passed(name)),))
        if not fit.evidence:
            absence = Statement(text=phrases.fit_not_told(name), kind="absence", subject=model_id)
            return Block("paragraph", (absence,))
        judgement = _JUDGEMENTS[fit.verdict]
        return Block("paragraph", _spaced((*self._fit_statements(fit), Words(judgement))))

    def _fit_statements(self, fit: ModelFit) -> Iterator[Statement]:
        """One statement for each source that speaks of the model's fit, its sentences quoted one by one."""
        evidence = self._passages(fit.evidence)
        for source_id in dict.fromkeys(passage.source_id for passage in evidence):
            own = [passage for passage in evidence if passage.source_id == source_id]
            quotes = " ".join(quoted(self._shown(passage.text)) for passage in own)
            yield Statement(
                text=f"{self._title(fit.source_id)}: {self._speaker(source_id)} says: {quotes}",
                kind="fit",
                subject=fit.source_id,
                citations=tuple(_citation(passage) for passage in own),
            )

    def _speaker(self, source_id: SourceId) -> str:
        source = self._source(source_id)
        return "its description" if source.kind == "model" else f"the supplied paper {quoted(self._title(source_id))}"

    # Section 1

    def _task(self, section: Section) -> Iterator[Block]:
        for slot in section.slots:
            runs = self._slot_runs(slot)
            yield from [Block("paragraph", runs)] if runs else []
            yield from [] if slot.claims else [Block("paragraph", (self._question(),))]

    def _question(self) -> Statement:
        passages = quotable(self._body.passages.of(QUESTION_ID))
        quotes = " ".join(quoted(self._shown(passage.text)) for passage in passages)
        citations = tuple(_citation(passage) for passage in passages)
        return Statement(text=f"The user asks: {quotes}", kind="question", subject=QUESTION_ID, citations=citations)

    # Section 2

    def _workflow(self, section: Section) -> Iterator[Block]:
        subjects = tuple(dict.fromkeys(slot.subject for slot in section.slots))
        for subject in subjects:
            yield Block("heading", (Words(self._title(subject)),), level=3)
            links = links_line(self._source(subject))
            yield from [Block("paragraph", links)] if links else []
            for slot in (slot for slot in section.slots if slot.subject == subject):
                label = Words(f"{slot.name.capitalize()}:", strong=True)
                yield Block("item", (label, Words(" "), *self._slot_runs(slot)))

    # Section 3

    def _papers(self, section: Section) -> Iterator[Block]:
        for slot in section.slots:
            yield self._paper(slot.subject)
            yield from (Block("item", (run,), level=2) for run in (*self._claims(slot), *self._state(slot)))

    def _unused_papers(self, section: Section) -> Iterator[Block]:
        papers = self._body.fit.papers
        if not papers:
            yield Block("paragraph", (Statement(text=phrases.NO_PAPER, kind="absence", subject=QUESTION_ID),))
        elif not section.slots:
            yield Block("paragraph", (Words(phrases.NO_BEARING_PAPER),))
        used = {twin for slot in section.slots for twin in self._request.twins(slot.subject)}
        unused = tuple(fit for fit in papers if fit.source_id not in used)
        if unused:
            yield Block("paragraph", (Words(phrases.NOT_USED),))
            yield from self._unused(unused)

    def _unused(self, fits: Iterable[PaperFit]) -> Iterator[Block]:
        listed: set[SourceId] = set()
        fits = tuple(fits)
        for fit in fits:
            if fit.source_id in listed:
                continue
            twins = self._request.twins(fit.source_id)
            listed.update(twins)
            yield self._paper(fit.source_id)
            reason = self._reason([twin for twin in fits if twin.source_id in twins])
            yield from [Block("item", (reason,), level=2)] if reason is not None else []

    def _paper(self, source_id: SourceId) -> Block:
        links = links_line(self._source(source_id))
        title = Words(self._title(source_id), strong=True)
        return Block("item", (title, Words(" · "), *links) if links else (title,))

    def _reason(self, twins: Sequence[PaperFit]) -> Run | None:
        """Why a paper, given with its twins, was not used; None where there is nothing to say that could be checked."""
        passages = self._passages(passage_id for twin in twins for passage_id in twin.passage_ids)
        closest = next((passage for passage in passages if passage.field == "summary"), None)
        if closest is not None:
            return Statement(
                text=phrases.closest_sentence(quoted(self._shown(closest.text))),
                kind="unused",
                subject=twins[0].source_id,
                citations=(_citation(closest),),
                has_marks=False,
            )
        has_summary = any(self._source(twin).text for twin in self._request.twins(twins[0].source_id))
        return None if has_summary else Words(phrases.NO_SUMMARY)

    # The closing words: who drafted, and what a reader must know of the making

    def _making(self) -> Iterator[Block]:
        yield Block("paragraph", (Words(phrases.drafted_by(self._shown(self._body.drafter))),))
        notes = (phrases.shown_note(note) for note in self._body.notes)
        yield from (
            Block("paragraph", (Words(self._shown(note)),)) for note in dict.fromkeys(notes) if note is not None
        )

    # Parts of a block

    def _slot_runs(self, slot: AnswerSlot) -> tuple[Run, ...]:
        return _spaced((*self._claims(slot), *self._state(slot)))

    def _claims(self, slot: AnswerSlot) -> Iterator[Run]:
        for claim in slot.claims:
            yield Statement(
                text=self._shown(claim.text),
                kind="drafted",
                subject=slot.subject,
                citations=claim.citations,
                has_marks=claim.accepted,
                accepted=claim.accepted,
                reason=self._shown(claim.reason),
            )

    def _state(self, slot: AnswerSlot) -> Iterator[Run]:
        """What is said of a slot that its claims do not fill."""
        if slot.state == "answered":
            return
        name = self._title(slot.subject)
        if slot.state == "none_passed":
            yield Words(phrases.none_passed(slot.name, name))
        elif slot.state == "ended":
            yield Words(phrases.ended(slot.name, name))
        elif slot.state == "not_told" and slot.name != "task":
            yield Statement(text=phrases.not_told(slot.name, name), kind="absence", subject=slot.subject)

    def _source(self, source_id: SourceId) -> Source:
        return self._request.source(source_id)

    def _title(self, source_id: SourceId) -> str:
        """Title or name as shown; the id where nothing of it can be shown."""
        return shown_title(source_id, self._request)

    def _shown(self, text: str) -> str:
        return shown_line(text, self._body)

    def _passages(self, passage_ids: Iterable[PassageId]) -> tuple[Passage, ...]:
        return tuple(self._body.passages.by_id[passage_id] for passage_id in passage_ids)


def _spaced(runs: Iterable[Run]) -> tuple[Run, ...]:
    """`runs` with a blank between each two."""
    spaced: list[Run] = []
    for run in runs:
        spaced += [Words(" "), run] if spaced else [run]
    return tuple(spaced)


def _citation(passage: Passage) -> Citation:
    return Citation(
        source_id=passage.source_id, field=passage.field, start=passage.start, end=passage.end, quote=passage.text
    )
