"""The validator under test: what each generator makes of a sentence, what it leaves alone, and a small run of them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_cli import run

import cnaps_rag as cr
from cnaps_rag.evaluation.intervals import Z_95, wilson_interval
from cnaps_rag.evaluation.mutations import (
    MutationReport,
    Specimen,
    SupportedClaims,
    attribution,
    edit_honestly,
    facts,
    honest,
    links,
    obey_instructions,
    plant_faults,
    render_list,
    render_table,
    report_values,
    run_mutations,
    wording,
)
from cnaps_rag.evaluation.mutations.kinds import Generator
from cnaps_rag.evaluation.mutations.specimens import tell
from cnaps_rag.links import canonical_link
from cnaps_rag.sources import SourceId

ROOT = Path(__file__).parents[1]
M1, P1, P2 = SourceId("M1"), SourceId("P1"), SourceId("P2")

REQUEST = cr.AnswerRequest(
    question="How is an image of 320x240 enlarged 4x?",
    models=[
        cr.RecommendedModel(
            name="Upscale-NetX", paper="https://arxiv.org/pdf/2012.09161", github="https://github.com/a/b"
        )
    ],
    papers=[
        cr.RelatedPaper(
            title="SharpNet: Sharper Pictures",
            paper="http://arxiv.org/pdf/2407.17596v2.pdf",
            summary="We propose SharpNet, a decoder for images. SharpNet improves accuracy by 12.5% on DIV2K. "
            "SharpNet may improve accuracy on DIV2K. Some filters are slower than SharpNet.",
        ),
        cr.RelatedPaper(
            title="WaveTalk: Speech for Robots",
            paper="http://arxiv.org/pdf/2404.18772v1.pdf",
            summary="We train a small vocoder on LibriTTS with 960 hours of recorded voices. WaveTalk talks.",
        ),
    ],
)
TWINS = cr.AnswerRequest(
    question="How?",
    papers=[
        cr.RelatedPaper(
            title="One", paper="https://arxiv.org/abs/2105.00001", summary="We train a robot to walk up long stairs."
        ),
        cr.RelatedPaper(title="Two", paper="http://arxiv.org/pdf/2105.00001v2.pdf", summary="Also by us."),
    ],
)


def edits(generate: Generator, text: str, *, subject: SourceId | None = P1, is_line: bool = False) -> list[str]:
    specimen = Specimen(text=text, subject=subject, is_own_work="authors" in text.lower(), is_line=is_line)
    return [edit.text for edit in generate(specimen, REQUEST)]


@pytest.mark.parametrize(
    ("generate", "text", "made"),
    [
        (facts.number_faults, "It was tested on 57,648 images.", "It was tested on 86,473 images."),
        (facts.number_faults, "It reaches 98.91% of them.", "It reaches 70.24% of them."),
        (facts.number_faults, "It has six popular layers.", "It has seven popular layers."),
        (facts.unit_faults, "It takes 20 ms a frame.", "It takes 20 s a frame."),
        (facts.unit_faults, "It read 71.4k pages.", "It read 71.4M pages."),
        (facts.name_faults, "It is trained on COCO2 alone.", "It is trained on BERT alone."),
        (facts.thing_faults, "It sharpens images well.", "It sharpens videos well."),
        (wording.negation_faults, "The network is trained once.", "The network is not trained once."),
        (wording.negation_faults, "SharpNet improves accuracy.", "SharpNet does not improve accuracy."),
        (wording.negation_faults, "The authors propose a net.", "The authors do not propose a net."),
        (wording.negation_faults, "Such networks lack robust features.", "Such networks have robust features."),
        (wording.negation_faults, "It does not describe a method.", "It does describe a method."),
        (wording.hedge_faults, "The decoder may reduce ringing.", "The decoder reduces ringing."),
        (wording.hedge_faults, "Better labels can boost results.", "Better labels boost results."),
        (wording.hedge_faults, "We hypothesize that zoom helps.", "We prove that zoom helps."),
        (wording.overclaim_faults, "Several filters ring.", "All filters ring."),
        (wording.overclaim_faults, "The net reduces ringing.", "The net eliminates ringing."),
        (wording.reversed_faults, "It is faster than MEMO.", "It is slower than MEMO."),
        (wording.reversed_faults, "ResNets are more stable than ViTs.", "ResNets are less stable than ViTs."),
        (wording.reversed_faults, "ResNets are more stable than ViTs.", "ViTs are more stable than ResNets."),
        (
            attribution.absence_faults,
            "The authors find that blur is bad.",
            "The supplied sources do not say that blur is bad.",
        ),
        (links.foreign_link_faults, "Blur hurts.", "Blur hurts (see https://example.org/paper.pdf)."),
        (honest.synonym_edits, "The authors propose a net.", "The authors present a net."),
        (honest.synonym_edits, "It is a crucial step.", "It is an essential step."),
        (honest.reorder_edits, "It reads both fuzzy and crisp rules.", "It reads both crisp and fuzzy rules."),
        (honest.reorder_edits, "In this work, the authors train a net.", "The authors train a net in this work."),
        (honest.voice_edits, "The authors introduce a net to zoom.", "A net is introduced by the authors to zoom."),
        (honest.voice_edits, "SharpNet outperforms MEMO on DIV2K.", "MEMO is outperformed by SharpNet on DIV2K."),
        (honest.number_forms, "It saw 57,648 images.", "It saw 57648 images."),
        (honest.number_forms, "It has four layers.", "It has 4 layers."),
        (honest.number_forms, "It enlarges 4x in one step.", "It enlarges 4× in one step."),
        (honest.number_forms, "It is 98.91% of them.", "It is 98.91 percent of them."),
        (honest.shortened_edits, "Finally, the authors train a net.", "The authors train a net."),
        (
            honest.ellipsis_edits,
            'The paper says: "We train a large network (ResNet) on many small pictures."',
            'The paper says: "We train a large network … on many small pictures."',
        ),
    ],
)  # fmt: skip
def test_generator_makes(generate: Generator, text: str, made: str) -> None:
    assert made in edits(generate, text)


@pytest.mark.parametrize(
    ("generate", "text"),
    [
        pytest.param(facts.number_faults, "It saw over 57,000 images.", id="more than a bound may be true too"),
        pytest.param(facts.number_faults, "It uses (1) blur and (2) zoom.", id="numbers of items"),
        pytest.param(facts.number_faults, "It is trained on GPT 4 and Phase 2.", id="numbers of names"),
        pytest.param(facts.number_faults, "The sources do not say how four layers work.", id="number in an absence"),
        pytest.param(facts.unit_faults, "It has 20 layers.", id="no unit"),
        pytest.param(facts.name_faults, "SharpNet is a decoder.", id="own name of the source"),
        pytest.param(facts.thing_faults, "An encoder reads it.", id="the source speaks of the other thing too"),
        pytest.param(facts.thing_faults, "An image-to-text net.", id="part of a compound"),
        pytest.param(wording.negation_faults, "It shows whether blur is bad.", id="whether it is or is not"),
        pytest.param(wording.negation_faults, "It is not only fast.", id="not only"),
        pytest.param(facts.thing_faults, "None of the supplied texts says what an image is.", id="absence"),
        pytest.param(wording.negation_faults, "All filters are slow.", id="all are not is ambiguous"),
        pytest.param(wording.negation_faults, "It works even when zoom is allowed.", id="even when holds either way"),
        pytest.param(wording.hedge_faults, "It might perhaps reduce ringing.", id="another hedge stays"),
        pytest.param(wording.hedge_faults, "The code can be found there.", id="can of access is no hedge"),
        pytest.param(wording.hedge_faults, "SharpNet may improve accuracy.", id="told unhedged elsewhere"),
        pytest.param(wording.overclaim_faults, "It does not reduce some noise.", id="more denied is less"),
        pytest.param(wording.reversed_faults, "It trades higher speed for lower accuracy.", id="opposite beside it"),
        pytest.param(wording.reversed_faults, "It has more than 5 layers.", id="a bound is no comparison"),
        pytest.param(attribution.wrong_source_faults, "Blur hurts image quality in some places.", id="no own work"),
        pytest.param(attribution.wrong_source_faults, "The authors present results.", id="true of any paper"),
        pytest.param(attribution.merged_faults, "Blur hurts.", id="no own work to join"),
        pytest.param(attribution.absence_faults, "The sources do not say how it works.", id="already an absence"),
        pytest.param(honest.synonym_edits, 'The paper says: "We propose a novel network."', id="quoted words"),
        pytest.param(honest.synonym_edits, "The lack of data hurts.", id="lack as a noun"),
        pytest.param(honest.synonym_edits, "The key-value store is read.", id="key in a compound"),
        pytest.param(honest.reorder_edits, "It does both in the end.", id="both of no pair"),
        pytest.param(honest.reorder_edits, "By zooming, the authors show that it is bad.", id="by may belong to that"),
        pytest.param(honest.voice_edits, "The authors introduce noise.", id="no article"),
        pytest.param(honest.voice_edits, "The authors propose a net to zoom and a loss.", id="two objects"),
        pytest.param(honest.number_forms, "It has 4 of them on YOLO 9.", id="no noun that is counted"),
        pytest.param(honest.shortened_edits, "It is very good (only under light) in this large set.", id="a limit"),
        pytest.param(honest.ellipsis_edits, 'It says: "We zoom in (not on faces) for many pictures."', id="a denial"),
    ],
)  # fmt: skip
def test_generator_leaves_alone(generate: Generator, text: str) -> None:
    assert edits(generate, text) == []


def test_wrong_source_moves_own_work_to_the_others_but_never_to_a_twin() -> None:
    own = Specimen(text="The authors train a robot to walk up long stairs.", subject=P1, is_own_work=True)
    assert list(attribution.wrong_source_faults(own, TWINS)) == []
    told = tell("We train a small vocoder on LibriTTS with 960 hours of recorded voices.", P2)
    assert told is not None
    assert [edit.moved_to for edit in attribution.wrong_source_faults(told, REQUEST)] == [M1, P1]
    named = edits(
        attribution.wrong_source_faults, "SharpNet improves accuracy by 12.5% on DIV2K pictures of blur.", subject=None
    )
    assert "WaveTalk improves accuracy by 12.5% on DIV2K pictures of blur." in named


def test_merged_halves_join_two_sources() -> None:
    (merged,) = edits(attribution.merged_faults, "The authors sharpen blurred pictures.")
    assert (
        merged.startswith("The authors sharpen blurred pictures, and the authors present WaveTalk")
        or "vocoder" in merged
    )


LINE = "- **SharpNet: Sharper Pictures** · Paper: <http://arxiv.org/pdf/2407.17596v2.pdf>"


@pytest.mark.parametrize(
    "generate",
    [links.foreign_link_faults, links.arxiv_digit_faults, links.link_of_other_faults, links.link_altered_faults],
)
def test_planted_link_is_not_one_of_its_source(generate: Generator) -> None:
    made = edits(generate, LINE, is_line=True)
    own = canonical_link("http://arxiv.org/pdf/2407.17596v2.pdf")
    assert made
    assert all(canonical_link(text[text.index("<") + 1 : -1]) != own for text in made)


def test_honest_link_is_the_same_resource() -> None:
    made = edits(links.link_forms, LINE, is_line=True)
    assert "- **SharpNet: Sharper Pictures** · Paper: <https://arxiv.org/abs/2407.17596>" in made
    assert {canonical_link(text[text.index("<") + 1 : -1]) for text in made} == {"arxiv:2407.17596"}


def test_obeyed_instructions_stand_in_the_hostile_request_alone() -> None:
    made = obey_instructions(REQUEST, random.Random(0))
    assert len(made) >= 6
    for mutation in made:
        texts = " ".join(source.text for source in mutation.request.sources)
        assert mutation.original in texts
        assert all(source.text in texts for source in REQUEST.sources)
        assert mutation.request.owners == REQUEST.owners
    assert not any(mutation.original in REQUEST.to_prompt() for mutation in made)


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("We show that our net is fast on many images.", "The authors show that their net is fast on many images."),
        ("However, it is slow on many images today.", None),
        ("Is our net fast on many images today?", None),
        ("Our code is at https://github.com/a/b for all of you.", None),
        ("It helps us to learn many fast nets.", None),
    ],
)
def test_sentence_is_told_of_its_source_where_it_can_stand_alone(sentence: str, told: str | None) -> None:
    specimen = tell(sentence, P1)
    assert (specimen.text if specimen else None) == told


def test_same_seed_makes_the_same_mutations_and_another_one_others() -> None:
    specimens = [Specimen(text="The authors find that four fast nets improve 57,648 images by 20 ms.", subject=P1)]

    def all_of(seed: int) -> list[str]:
        return [
            m.text
            for s in specimens
            for make in (plant_faults, edit_honestly)
            for m in make(s, REQUEST, random.Random(seed))
        ]

    assert all_of(1) == all_of(1)
    assert len({tuple(all_of(seed)) for seed in range(8)}) > 1


@pytest.mark.parametrize(
    ("n_hits", "n", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (8, 10, 0.4902, 0.9433), (50, 100, 0.4038, 0.5962)],
)
def test_wilson_interval(n_hits: int, n: int, low: float, high: float) -> None:
    """Each end is the share p of which the measured one is z standard errors away: |hits/n - p| = z sqrt(p(1-p)/n)."""
    assert wilson_interval(n_hits, n) == pytest.approx((low, high), abs=5e-5)
    for p in wilson_interval(n_hits, n) if n else ():
        if 0 < p < 1:
            assert abs(n_hits / n - p) == pytest.approx(Z_95 * (p * (1 - p) / n) ** 0.5)


def test_wilson_interval_of_no_share() -> None:
    with pytest.raises(ValueError, match="11 of 10"):
        wilson_interval(11, 10)


@pytest.fixture(scope="module")
def report() -> MutationReport:
    files = sorted((ROOT / "data" / "requests").glob("*.txt"))
    return run_mutations(
        [cr.AnswerRequest.from_prompt(file.read_text(encoding="utf-8")) for file in files], seed=7, limit_claims=10
    )


def shares(report: MutationReport) -> Iterator[tuple[str, float]]:
    """Share of right outcomes: of faults in each group, and of honest edits."""
    for name in ("quoted", "told", "links", "honest"):
        of_name = [
            outcome.is_right
            for outcome in report.outcomes
            if (outcome.mutation.group == name and outcome.mutation.is_fault)
            or (name == "honest" and not outcome.mutation.is_fault)
        ]
        yield name, sum(of_name) / len(of_name)


def test_validator_kills_faults_and_lets_honest_edits_pass(report: MutationReport) -> None:
    """Floors for any verifier: what is certain (links, quotations) is always killed; the rest is measured elsewhere."""
    share = dict(shares(report))
    assert share["links"] == 1.0
    assert share["quoted"] == 1.0
    assert share["told"] >= 0.7
    assert share["honest"] >= 0.8


def test_report_counts_every_outcome_once(report: MutationReport) -> None:
    assert sum(rate.n for rate in report.rates) == len(report.outcomes)
    assert {rate.kind for rate in report.rates} >= {
        "foreign_link",
        "arxiv_digit",
        "link_of_other",
        "wrong_source",
        "ellipsis",
    }
    n_wrong = sum(not outcome.is_right for outcome in report.outcomes)
    assert len(report.surviving) + len(report.false_alarms) == n_wrong
    for rate in report.rates:
        assert rate.interval[0] <= rate.rate <= rate.interval[1]
        assert f"| {rate.kind} | {rate.group} | {rate.n} |" in render_table(report)
    for outcome in (*report.surviving, *report.false_alarms):
        assert outcome.mutation.text in render_list(report)
    assert json.loads(json.dumps(report_values(report)))["seed"] == 7


def test_run_is_the_same_for_the_same_seed() -> None:
    request = cr.AnswerRequest.from_prompt((ROOT / "data/requests/003.txt").read_text(encoding="utf-8"))
    runs = [report_values(run_mutations([request], seed=3, limit_claims=6)) for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0]["outcomes"]


def test_claim_that_is_not_accepted_is_not_tested_with() -> None:
    tested = SupportedClaims(request=REQUEST, claims=("SharpNet removes all noise of 12 planets.",))
    report = run_mutations([tested])
    assert [specimen.text for specimen, _ in report.not_accepted] == list(tested.claims)
    assert report.outcomes == ()


def test_command_prints_a_table_and_lists_what_went_wrong() -> None:
    file = ROOT / "data/requests/003.txt"
    status, table, notes = run("mutations", file, "--limit-claims", "8", "--list")
    assert (status, notes) == (0, "")
    assert "| kind | group | n |" in table
    assert "Faults that were accepted: " in table
    status, values, _ = run("mutations", file, "--limit-claims", "8", "--json", "--seed", "4")
    assert status == 0
    assert json.loads(values)["seed"] == 4
    assert run("mutations")[0] == 2
