"""Four answers to one request, made by hand: a perfect, an empty, an abstaining and a bad one, and what they score.

python tests/outcomes.py        prints the table of every metric's value on each of the four
"""

from __future__ import annotations

from dataclasses import replace

import cnaps_rag as cr
from cnaps_rag.evaluation.metrics import METRICS, Score, Scored, score_all
from cnaps_rag.evaluation.outcome import DraftCounts, Outcome, SaidClaim
from cnaps_rag.evaluation.readings import read_outcome
from cnaps_rag.evaluation.suite import ForbiddenPoint, Gold, GoldLinks, GoldPoint, MissingPoint
from cnaps_rag.fit import Fit, ModelFit
from cnaps_rag.llm import Usage
from cnaps_rag.report import AnswerClaim, AnswerSlot, Citation, LinkFinding, SlotState
from cnaps_rag.sources import QUESTION_ID, FieldName, SourceId

M1, P1, P2 = (SourceId(source_id) for source_id in ("M1", "P1", "P2"))
MODEL_LINK, P1_LINK, P2_LINK = (
    f"https://arxiv.org/abs/{number}" for number in ("2012.09161", "2501.00001", "2501.00002")
)

REQUEST = cr.AnswerRequest(
    question="My photos came out grainy in the dark. How does AI take the grain away?",
    models=[cr.RecommendedModel(name="Denoise-Grainfree-SIDD", paper=MODEL_LINK)],
    papers=[
        cr.RelatedPaper(
            title="GrainNet: Denoising Night Photographs",
            paper=P1_LINK,
            summary="GrainNet removes noise from photographs taken at night. It was trained on 4,000 pairs of noisy "
            "and clean pictures.",
        ),
        cr.RelatedPaper(
            title="Crop Yields from Space", paper=P2_LINK, summary="We predict crop yields from satellite images."
        ),
    ],
)

GOLD = Gold(
    abstain=False,
    points=(
        GoldPoint(text="The user's photos came out grainy in the dark.", source="Q", quote="My photos came out grainy"),
        GoldPoint(
            text="GrainNet removes noise from photos taken at night.", source="P1", quote="GrainNet removes noise"
        ),
    ),
    forbidden=(
        ForbiddenPoint(text="Denoise-Grainfree-SIDD removes noise from photographs taken at night."),
        ForbiddenPoint(text="GrainNet was trained on 9,000 pairs of pictures."),
    ),
    links=GoldLinks(required=(MODEL_LINK, P1_LINK), allowed=(P2_LINK,)),
    bearing=("P1",),
    off_topic=("P2",),
    fits={"M1": "not_told"},
    missing=(
        MissingPoint(source="M1", slot="input"),
        MissingPoint(source="M1", slot="processing"),
        MissingPoint(source="M1", slot="output"),
        MissingPoint(source="M1", slot="other", text="how fast Denoise-Grainfree-SIDD is"),
    ),
)


def quote(source_id: SourceId, field: FieldName, words: str) -> Citation:
    start = REQUEST.text(source_id, field).index(words)
    return Citation(source_id=source_id, field=field, start=start, end=start + len(words), quote=words)


QUESTION_QUOTE = quote(QUESTION_ID, "question", "My photos came out grainy in the dark.")
GRAINNET_QUOTE = quote(P1, "summary", "GrainNet removes noise from photographs taken at night.")
CROPS_QUOTE = quote(P2, "summary", "We predict crop yields from satellite images.")


def told(text: str, subject: SourceId, *cited: Citation) -> SaidClaim:
    return SaidClaim(text=text, kind="drafted", verdict="supported", subject=subject, cited=cited, evidence=cited)


def wrong(text: str, subject: SourceId, *cited: Citation) -> SaidClaim:
    return replace(told(text, subject, *cited), verdict="not_found")


def absent(text: str) -> SaidClaim:
    return SaidClaim(text=text, kind="absence", verdict="supported", subject=M1)


def link(url: str, *owners: SourceId) -> LinkFinding:
    verdict = "supplied" if owners else "not_supplied"
    return LinkFinding(text=url, start=0, end=len(url), verdict=verdict, reason="", source_ids=owners)  # type: ignore[arg-type]


def slots(state: SlotState, *, task: bool, paper: SlotState | None) -> tuple[AnswerSlot, ...]:
    claims = (AnswerClaim(text="The user's photos came out grainy.", citations=(QUESTION_QUOTE,)),) if task else ()
    rows = [AnswerSlot(name="task", subject=QUESTION_ID, state="answered" if task else "none_passed", claims=claims)]
    rows += [AnswerSlot(name=name, subject=M1, state=state, claims=()) for name in ("input", "processing", "output")]  # type: ignore[arg-type]
    rows += [AnswerSlot(name="paper", subject=P1, state=paper, claims=())] if paper is not None else []
    return tuple(rows)


def fit(verdict: str) -> Fit:
    return Fit(papers=(), models=(ModelFit(source_id=M1, verdict=verdict, evidence=(), reason=""),))  # type: ignore[arg-type]


TASK = told('The user says: "My photos came out grainy in the dark."', QUESTION_ID, QUESTION_QUOTE)
ABSENCES = tuple(
    absent(f"The supplied sources do not say {what}.")
    for what in (
        "what Denoise-Grainfree-SIDD takes as input",
        "how Denoise-Grainfree-SIDD works",
        "what Denoise-Grainfree-SIDD gives as output",
    )
)

PERFECT = Outcome(
    request=REQUEST,
    claims=(
        TASK,
        *ABSENCES,
        absent("The supplied sources do not say how fast Denoise-Grainfree-SIDD is."),
        told("The paper describes GrainNet, which removes noise from night photographs.", P1, GRAINNET_QUOTE),
    ),
    links=(link(MODEL_LINK, M1), link(P1_LINK, P1)),
    seconds=1.5,
    slots=slots("not_told", task=True, paper="answered"),
    fit=fit("not_told"),
    abstained=False,
    draft=DraftCounts(drafted=2, accepted=2, repaired=0),
    usage=Usage(calls=1, prompt_tokens=900, completion_tokens=100, seconds=1.0, cost=0.01),
)
EMPTY = Outcome(
    request=REQUEST,
    claims=(),
    links=(),
    seconds=0.1,
    slots=slots("none_passed", task=False, paper="none_passed"),
    fit=Fit(papers=(), models=()),
    abstained=True,
    draft=DraftCounts(drafted=0, accepted=0, repaired=0),
    usage=Usage(),
)
ABSTAINING = replace(
    EMPTY,
    claims=(TASK, *ABSENCES),
    links=(link(MODEL_LINK, M1),),
    slots=slots("not_told", task=True, paper=None),
    fit=fit("not_told"),
    draft=DraftCounts(drafted=1, accepted=1, repaired=0),
)
BAD = Outcome(
    request=REQUEST,
    claims=(
        wrong("Denoise-Grainfree-SIDD removes noise from photographs taken at night.", M1, CROPS_QUOTE),
        wrong("GrainNet was trained on 9,000 pairs of pictures.", P1, GRAINNET_QUOTE),
        wrong("It predicts the weather of next week.", P2, CROPS_QUOTE),
    ),
    links=(link("https://evil.example/model"),),
    seconds=60.0,
    slots=slots("answered", task=False, paper="none_passed"),
    fit=fit("fits"),
    abstained=False,
    draft=DraftCounts(drafted=3, accepted=0, repaired=0),
    usage=Usage(calls=3, prompt_tokens=9_000, completion_tokens=1_000, seconds=59.0, cost=0.1),
)
FOUR = {"perfect": PERFECT, "empty": EMPTY, "abstaining": ABSTAINING, "bad": BAD}


def scores_of(outcome: Outcome, gold: Gold = GOLD) -> dict[str, Score]:
    readings = read_outcome(outcome, gold, cr.ClaimVerifier())
    return score_all(Scored(outcome=outcome, gold=gold, readings=readings))


def main() -> None:
    scores = {name: scores_of(outcome) for name, outcome in FOUR.items()}
    print("| metric | " + " | ".join(scores) + " |\n|---|" + "---:|" * len(scores))
    for metric in METRICS:
        values = [row[metric.name].value for row in scores.values()]
        print(f"| {metric.name} | " + " | ".join("unscored" if v is None else f"{v:.3g}" for v in values) + " |")


if __name__ == "__main__":
    main()
