"""Each metric on a perfect, an empty, an abstaining and a bad answer; and where it must be unscored."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from outcomes import ABSENCES, BAD, EMPTY, FOUR, GOLD, GRAINNET_QUOTE, P1, PERFECT, REQUEST, TASK, link, scores_of, told

import cnaps_rag as cr
from cnaps_rag.evaluation.metrics import METRIC_BY_NAME, METRICS
from cnaps_rag.evaluation.outcome import DraftCounts, outcome_of, outside_outcome
from cnaps_rag.evaluation.suite import ForbiddenPoint, Gold, GoldLinks, MissingPoint
from cnaps_rag.report import AnswerSlot
from cnaps_rag.sources import SourceId

U = None  # unscored
EXPECTED = {
    # metric: perfect, empty, abstaining, bad
    "traceable": (1, 1, 1, 0),
    "link_validity": (1, U, 1, 0),
    "link_recall": (1, 0, 0.5, 0),
    "link_precision": (1, U, 1, 0),
    "citation_recall": (1, U, 1, 0),
    "citation_precision": (1, U, 1, 0),
    "claims_supported": (1, U, 1, 0),
    "point_recall": (1, 0, 0.5, 0),
    "point_precision": (1, U, 1, 0),
    "forbidden_said": (0, 0, 0, 1),
    "abstention_precision": (1, U, 1, U),
    "abstention_recall": (1, 0, 1, 0),
    "abstention_precision_input": (1, U, 1, U),
    "abstention_recall_input": (1, 0, 1, 0),
    "abstention_precision_processing": (1, U, 1, U),
    "abstention_recall_processing": (1, 0, 1, 0),
    "abstention_precision_output": (1, U, 1, U),
    "abstention_recall_output": (1, 0, 1, 0),
    "abstention_recall_other": (1, 0, 0, 0),
    "abstains_rightly": (1, 0, 0, 1),
    "fit_accuracy": (1, 0, 1, 0),
    "bearing_used": (1, 0, 0, 1),
    "off_topic_used": (0, 0, 0, 1),
    "sections_complete": (1, 0, 1, 1 / 3),
    "repair_rate": (U, U, U, 0),
    "n_claims": (2, 0, 1, 3),
    "length_words": (62, 0, 42, 23),
    "llm_calls": (1, 0, 0, 3),
    "llm_tokens": (1_000, 0, 0, 10_000),
    "cost": (0.01, 0, 0, 0.1),
    "seconds": (1.5, 0.1, 0.1, 60),
}


def test_the_table_names_every_metric() -> None:
    assert list(EXPECTED) == [metric.name for metric in METRICS]


@pytest.mark.parametrize(("place", "name"), list(enumerate(FOUR)))
def test_each_metric_scores_the_four_answers_as_it_must(place: int, name: str) -> None:
    scores = scores_of(FOUR[name])
    found = {metric: score.value for metric, score in scores.items()}
    expected = {metric: row[place] for metric, row in EXPECTED.items()}
    assert found == {metric: value if value is None else pytest.approx(value) for metric, value in expected.items()}


@pytest.mark.parametrize("outcome", FOUR.values(), ids=FOUR)
def test_unscored_says_why_and_nothing_is_nan(outcome: object) -> None:
    for gold in (GOLD, Gold()):
        for name, score in scores_of(outcome, gold).items():  # type: ignore[arg-type]
            if score.value is None:
                assert (score.n, bool(score.why)) == (0, True), name
            else:
                assert math.isfinite(score.value), name
                assert score.why == "", name


def test_gold_that_labels_nothing_leaves_unscored_what_needs_it() -> None:
    scored = {name for name, score in scores_of(PERFECT, Gold()).items() if score.value is not None}
    assert scored == {
        "traceable", "link_validity", "citation_recall", "citation_precision", "claims_supported", "sections_complete",
        "n_claims", "length_words", "llm_calls", "llm_tokens", "cost", "seconds",
    }  # fmt: skip


def test_every_metric_tells_its_definition() -> None:
    for metric in METRICS:
        assert len(metric.definition) > 30, metric.name
    for name in ("citation_recall", "claims_supported", "point_recall", "off_topic_used"):
        assert "arXiv" in METRIC_BY_NAME[name].definition


def test_two_spellings_of_a_link_are_one() -> None:
    other = replace(PERFECT, links=(link("http://arxiv.org/pdf/2012.09161v2.pdf", SourceId("M1")), PERFECT.links[1]))
    assert scores_of(other)["link_recall"].value == 1
    gold = Gold(links=GoldLinks(required=("https://arxiv.org/abs/2012.09161", "http://arxiv.org/pdf/2012.09161v1")))
    assert scores_of(PERFECT, gold)["link_recall"].n == 1


def test_a_citation_that_is_not_needed_costs_precision_and_not_recall() -> None:
    beside = told("GrainNet removes noise from photographs taken at night.", P1, GRAINNET_QUOTE, BAD.claims[0].cited[0])
    scores = scores_of(replace(PERFECT, claims=(beside,)))
    assert (scores["citation_recall"].value, scores["citation_precision"].value) == (1, 0.5)


def test_a_claim_that_its_citation_does_not_support_costs_both() -> None:
    beside = told("GrainNet removes noise from photographs taken at night.", P1, BAD.claims[0].cited[0])
    scores = scores_of(replace(PERFECT, claims=(TASK, beside)))
    assert (scores["citation_recall"].value, scores["citation_precision"].value) == (0.5, 0.5)


def test_a_point_told_of_the_wrong_source_is_not_told() -> None:
    of_crops = told("It removes noise from photographs taken at night.", SourceId("P2"), BAD.claims[0].cited[0])
    assert scores_of(replace(PERFECT, claims=(of_crops,)))["point_recall"].value == 0


def test_a_point_may_be_told_in_two_claims() -> None:
    gold = Gold(points=(GOLD.points or ())[1:])
    first = told("GrainNet removes noise.", P1, GRAINNET_QUOTE)
    second = told("It does so in photographs taken at night.", P1, GRAINNET_QUOTE)
    assert scores_of(replace(PERFECT, claims=(first, second)), gold)["point_recall"].value == 1


def test_a_wrong_number_tells_no_point() -> None:
    claim = told("It was trained on 4,000 pairs of noisy and clean pictures.", P1, GRAINNET_QUOTE)
    assert scores_of(replace(PERFECT, claims=(claim,)))["forbidden_said"].value == 0


def test_what_a_source_is_quoted_with_tells_no_forbidden_point_unless_it_is_told_of_another() -> None:
    gold = Gold(forbidden=(ForbiddenPoint(text="It removes noise from photographs taken at night."),))
    words = 'The paper says: "GrainNet removes noise from photographs taken at night."'
    quoted = told(words, P1, GRAINNET_QUOTE)
    assert scores_of(replace(PERFECT, claims=(quoted,)), gold)["forbidden_said"].value == 0
    for claim in (
        replace(quoted, verdict="misattributed"),
        told("GrainNet takes away the noise of photographs taken at night.", P1, GRAINNET_QUOTE),
    ):
        assert scores_of(replace(PERFECT, claims=(claim,)), gold)["forbidden_said"].value == 1


def test_slots_that_readers_may_differ_on_are_scored_neither_way() -> None:
    arguable = tuple(
        MissingPoint(source="M1", slot=slot, arguable=slot == "output")  # type: ignore[arg-type]
        for slot in ("input", "processing", "output")
    )
    scores = scores_of(PERFECT, Gold(missing=arguable))
    assert (scores["abstention_precision"].value, scores["abstention_precision"].n) == (1, 2)
    assert (scores["abstention_recall"].value, scores["abstention_recall"].n) == (1, 2)
    assert scores["abstention_recall_output"].why == "gold calls no slot missing"


def test_a_slot_whose_claims_failed_is_not_an_abstention() -> None:
    def with_state(state: str) -> tuple[AnswerSlot, ...]:
        return tuple(
            replace(slot, state=state) if slot.name == "output" else slot  # type: ignore[arg-type]
            for slot in PERFECT.slots or ()
        )

    scores = scores_of(replace(PERFECT, slots=with_state("none_passed")))
    assert (scores["abstention_recall"].value, scores["sections_complete"].value) == pytest.approx((2 / 3, 2 / 3))


def test_repair_rate_counts_what_was_rejected() -> None:
    outcome = replace(PERFECT, draft=DraftCounts(drafted=6, accepted=2, repaired=1))
    assert scores_of(outcome)["repair_rate"].value == 0.25
    assert scores_of(outcome)["claims_supported"].value == pytest.approx(1 / 3)


def test_unknown_price_is_unscored_and_no_llm_costs_nothing() -> None:
    assert PERFECT.usage is not None
    assert scores_of(replace(PERFECT, usage=replace(PERFECT.usage, cost=None)))["cost"].value is None
    assert scores_of(EMPTY)["cost"].value == 0


def test_an_answer_of_this_library_is_scored_as_it_reads() -> None:
    answer = cr.Answerer(cr.Settings(drafter="extractive")).answer(REQUEST)
    outcome = outcome_of(answer, seconds=0.5)
    assert [claim.text for claim in outcome.claims if claim.kind == "absence"][1:] == [c.text for c in ABSENCES]
    scores = scores_of(outcome)
    assert scores["citation_recall"].value == scores["point_recall"].value == scores["traceable"].value == 1
    assert scores["abstention_recall"].value == scores["fit_accuracy"].value == 1
    assert scores["off_topic_used"].value == scores["forbidden_said"].value == 0


def test_an_outside_text_is_scored_where_it_can_be() -> None:
    text = (
        "GrainNet removes noise from photographs taken at night. See https://arxiv.org/pdf/2501.00001.\n\n"
        "Denoise-Grainfree-SIDD is trained on 9,000 photographs of stars."
    )
    report = cr.validate(text, REQUEST)
    scores = scores_of(outside_outcome(report, REQUEST))
    assert scores["claims_supported"].value == 0.5
    assert scores["link_validity"].value == 1
    assert scores["link_recall"].value == 0.5
    assert scores["traceable"].value == 0
    assert scores["point_recall"].value == 0.5
    for name in ("citation_recall", "fit_accuracy", "abstention_recall", "sections_complete", "llm_calls", "seconds"):
        assert scores[name].value is None, name
