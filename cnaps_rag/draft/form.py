"""A draft and its form: slots that hold claims, each with the ids of the passages it rests on; the schema of a form."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from cnaps_rag.fit import Fit, named_models
from cnaps_rag.passages import Hit, Passage, PassageId, Passages
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, SourceId

SlotName = Literal["task", "input", "processing", "output", "paper"]

MODEL_SLOTS: tuple[SlotName, ...] = ("input", "processing", "output")

LIMIT_CLAIMS: dict[SlotName, int] = {"task": 2, "input": 2, "processing": 3, "output": 2, "paper": 3}
"""Most claims of one slot: more than a reader wants there, and a bound on what a rambling LLM can write."""

LEAST_CLAIMS: dict[SlotName, int] = {"task": 1, "input": 0, "processing": 0, "output": 0, "paper": 1}
"""Fewest claims of one slot: a question always tells what is asked, and a paper that bears on it tells something. A
weak LLM that may leave every slot empty does (seen with 1.5B parameters); what it invents instead is rejected."""

LIMIT_EVIDENCE = 2
"""Most ids of one claim: policy.md lets "a few passages read together" support it, and weak LLMs cite all they see."""

LIMIT_ENUM_VALUES = 1_000
"""Most enum values of one schema (OpenAI's limit, and the most that was tried with llama.cpp)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One sentence that is asserted, and the passages it is said to rest on (ids as drafted, possibly unknown ones)."""

    text: str
    evidence: tuple[PassageId, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotForm:
    """One place of the form that a drafter fills: what it is about and which passages may be cited there.

    `task` has subject ``Q``; `input`, `processing` and `output` a recommended model; `paper` a related paper. Without
    evidence ids nothing supplied can speak of it: the slot is not asked, and stays empty. `limit_claims` is the most
    claims it may hold, None the usual for its name.
    """

    name: SlotName
    subject: SourceId
    evidence_ids: tuple[PassageId, ...]
    limit_claims: int | None = None

    @property
    def key(self) -> str:
        """Name of this slot in schema and reply: ``task``, ``M1_input``, ``P2_says``."""
        if self.name == "task":
            return "task"
        return f"{self.subject}_{'says' if self.name == 'paper' else self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One filled place of the form. No claims means: the drafter says that the sources do not tell.

    `ended` is True where the drafter's reply broke off before this slot was whole.
    """

    name: SlotName
    subject: SourceId
    claims: tuple[Claim, ...]
    ended: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """All slots of one answer, in the form's order; `drafter` names the LLM, or is ``extractive``.

    `ignored` are parts of a reply for which the form has no slot, so that nothing is dropped without a trace.
    """

    slots: tuple[Slot, ...]
    drafter: str
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Brief:
    """What a drafter is given: the request's passages, how near each is to the question, and which sources bear on it.

    `hits` hold every passage once, best first.
    """

    passages: Passages
    hits: tuple[Hit, ...]
    fit: Fit

    @property
    def request(self) -> AnswerRequest:
        """The request itself."""
        return self.passages.request


class Drafter(Protocol):
    """Whoever fills the form: an LLM, or the sources' own sentences."""

    def draft(self, brief: Brief) -> Draft:
        """A draft for `brief`, its slots in the form's order."""
        ...


def plan_form(brief: Brief, shown_ids: Collection[PassageId]) -> tuple[SlotForm, ...]:
    """The form of one request over the passages in `shown_ids`: the task, three slots a model, one a bearing paper.

    A slot may cite only what can speak of its subject (design.md, idea 2). Papers that share a link are one source and
    have one slot.
    """
    shown = [passage for passage in brief.passages.all if passage.id in set(shown_ids)]
    question_ids = tuple(passage.id for passage in shown if passage.source_id == QUESTION_ID)
    form = [SlotForm(name="task", subject=QUESTION_ID, evidence_ids=question_ids)]
    names_by_id = {passage.id: named_models(passage.text, brief.request) for passage in shown}
    for source in brief.request.sources:
        if source.kind == "model":
            twins = brief.request.twins(source.id)
            own = _telling([p for p in shown if p.source_id in twins or source.id in names_by_id[p.id]])
            ids_by_name = {"input": own + question_ids, "processing": own, "output": own + question_ids}
            form += [SlotForm(name=name, subject=source.id, evidence_ids=ids_by_name[name]) for name in MODEL_SLOTS]
    return (*form, *_plan_papers(brief, shown))


def _plan_papers(brief: Brief, shown: list[Passage]) -> Iterator[SlotForm]:
    seen: set[SourceId] = set()
    for paper in brief.fit.papers:
        if not paper.bears or paper.source_id in seen:
            continue
        twins = brief.request.twins(paper.source_id)
        seen.update(twins)
        evidence_ids = _telling([passage for passage in shown if passage.source_id in twins])
        yield SlotForm(name="paper", subject=paper.source_id, evidence_ids=evidence_ids)


def _telling(passages: list[Passage]) -> tuple[PassageId, ...]:
    """Their ids, or none where they are entries alone: a name or a bare title tells nothing that a slot could say."""
    if all(passage.id.endswith(".0") for passage in passages):
        return ()
    return tuple(passage.id for passage in passages)


def schema_of(form: tuple[SlotForm, ...]) -> dict[str, Any]:
    """JSON schema of a reply to `form`: one property a slot that is asked, each with its own enum of evidence ids.

    All properties required and none additional, as OpenAI's strict mode wants. The text stands before its evidence: a
    weak LLM that must cite first cites the first sentences there are. No ``maxLength``: it cuts in mid-word.
    """
    asked = [slot for slot in form if slot.evidence_ids]
    # Past the servers' limit a request with free ids is better than none: ids are checked after the reply all the same.
    has_enums = sum(len(slot.evidence_ids) for slot in asked) <= LIMIT_ENUM_VALUES
    properties = {slot.key: _slot_schema(slot, has_enums=has_enums) for slot in asked}
    return _object_schema(properties)


def _slot_schema(slot: SlotForm, *, has_enums: bool) -> dict[str, Any]:
    evidence_id = {"type": "string", "enum": list(slot.evidence_ids)} if has_enums else {"type": "string"}
    evidence = {
        "type": "array",
        "items": evidence_id,
        "minItems": 1,
        "maxItems": min(LIMIT_EVIDENCE, len(slot.evidence_ids)),
    }
    limit_claims = slot.limit_claims or LIMIT_CLAIMS[slot.name]
    # Asked again, a slot may always stay empty: what was rejected may have no better form.
    least_claims = LEAST_CLAIMS[slot.name] if slot.limit_claims is None else 0
    claim = _object_schema({"text": {"type": "string"}, "evidence": evidence})
    return {"type": "array", "items": claim, "minItems": least_claims, "maxItems": limit_claims}


def _object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
