from __future__ import annotations

import json
from dataclasses import replace

import pytest
from answers import M1, P1, build_fit, build_sections, claim, hostile_body, plain_body, seed_body, slot

from cnaps_rag.answer import Answer
from cnaps_rag.fit import ModelFit
from cnaps_rag.llm import Usage
from cnaps_rag.passages import PassageId, split_passages
from cnaps_rag.render.layout import AnswerBody
from cnaps_rag.report import AnswerSlot, Report
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, RecommendedModel, RelatedPaper

REQUEST = AnswerRequest(
    question="It is blurred. Why?",
    models=(RecommendedModel(name="LIIF"),),
    papers=(RelatedPaper(title="Sharp", summary="LIIF sharpens. So it is."),),
)
PASSAGES = split_passages(REQUEST)
ASKED = slot("task", QUESTION_ID, [claim(PASSAGES, 'The user asks: "{}"', "Q.2")])
STARTED = slot("input", M1, [claim(PASSAGES, 'The user says: "{}"', "Q.1")], "not_told")
TOLD = slot("paper", P1, [claim(PASSAGES, 'The paper says: "{}"', "P1.1")])
MARKED = slot("paper", P1, [claim(PASSAGES, "LIIF blurs.", "P1.1", accepted=False, reason="contradicted")])
FITS = ModelFit(source_id=M1, verdict="fits", evidence=(PassageId("P1.1"),), reason="")


def answer_of(body: AnswerBody) -> Answer:
    return Answer(body=body, report=Report(links=(), claims=()), ledger=(), usage=Usage())


def answer_with(*slots: AnswerSlot, models: tuple[ModelFit, ...] = ()) -> Answer:
    fit = build_fit(PASSAGES, models=models)
    return answer_of(AnswerBody(passages=PASSAGES, sections=build_sections(slots), fit=fit, drafter="extractive"))


@pytest.mark.parametrize(
    ("answer", "abstained"),
    [
        pytest.param(answer_with(ASKED, STARTED), True, id="the question and absences alone"),
        pytest.param(answer_with(), True, id="nothing at all"),
        pytest.param(answer_with(ASKED, MARKED), True, id="a claim that did not pass"),
        pytest.param(answer_with(ASKED, TOLD), False, id="a claim about a paper"),
        pytest.param(answer_with(ASKED, models=(FITS,)), False, id="a model that fits"),
    ],
)
def test_abstained_means_that_nothing_is_told_of_a_model_or_paper(answer: Answer, abstained: bool) -> None:
    assert answer.abstained is abstained
    assert answer.to_json()["abstained"] is abstained


@pytest.mark.parametrize(
    ("answer", "complete"),
    [
        pytest.param(answer_with(ASKED, STARTED, TOLD), True, id="answered or not told"),
        pytest.param(answer_with(ASKED, slot("output", M1, state="none_passed")), False, id="emptied by the checks"),
        pytest.param(answer_with(ASKED, slot("output", M1, state="ended")), False, id="broken off"),
        pytest.param(answer_with(ASKED, MARKED), False, id="a claim that stands marked"),
    ],
)
def test_complete_means_that_each_slot_is_answered_or_known_to_be_open(answer: Answer, complete: bool) -> None:
    assert answer.complete is complete
    assert answer.to_json()["complete"] is complete


def test_claims_and_citations_are_those_of_the_markdown() -> None:
    answer = answer_of(hostile_body())
    assert [answer.markdown[found.start : found.end] for found in answer.claims] == [
        found.text for found in answer.claims
    ]
    assert {cited for found in answer.claims if found.accepted for cited in found.citations} == set(answer.citations)
    assert all(
        answer.request.text(cited.source_id, cited.field)[cited.start : cited.end] == cited.quote
        for cited in answer.citations
    )


def test_every_rendering_tells_the_same() -> None:
    answer = answer_of(seed_body(2))
    for drafted in (found for part in answer.slots for found in part.claims):
        words = drafted.citations[0].quote
        assert words in answer.text
        assert words in answer.markdown
        assert words in json.dumps(answer.to_json(), ensure_ascii=False).replace('\\"', '"')
        assert words.replace("'", "&#39;") in answer.html


def test_an_answer_s_parts_are_its_body_s() -> None:
    body = replace(plain_body(REQUEST, drafter="some-llm"), notes=("a",))
    answer = answer_of(body)
    assert (answer.sections, answer.fit, answer.drafter, answer.notes) == (body.sections, body.fit, "some-llm", ("a",))
    assert answer.request == REQUEST
    assert [part.name for part in answer.slots] == ["task", "input", "processing", "output", "paper"]
