"""Answers made by hand from the five seeds, so that renderings can be tested without encoder, verifier or LLM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnaps_rag.fit import Fit, ModelFit, PaperFit
from cnaps_rag.passages import Passage, PassageId, Passages, split_passages
from cnaps_rag.render.layout import AnswerBody
from cnaps_rag.report import AnswerClaim, AnswerSlot, Citation, Section, SlotState
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, RecommendedModel, RelatedPaper, SourceId

SEEDS = Path(__file__).parents[1] / "data" / "requests"
M1, P1, P2, P3 = (SourceId(source_id) for source_id in ("M1", "P1", "P2", "P3"))


def citation(passage: Passage) -> Citation:
    return Citation(
        source_id=passage.source_id, field=passage.field, start=passage.start, end=passage.end, quote=passage.text
    )


def claim(passages: Passages, text: str, *ids: str, accepted: bool = True, reason: str = "") -> AnswerClaim:
    """A claim that cites the passages `ids`; ``{}`` in its text stand for their words."""
    cited = [passages.by_id[PassageId(passage_id)] for passage_id in ids]
    return AnswerClaim(
        text=text.format(*(passage.text for passage in cited)),
        citations=tuple(citation(passage) for passage in cited),
        accepted=accepted,
        reason=reason,
    )


def slot(name: str, subject: SourceId, claims: Sequence[AnswerClaim] = (), state: SlotState = "answered") -> AnswerSlot:
    return AnswerSlot(name=name, subject=subject, state=state, claims=tuple(claims))  # type: ignore[arg-type]


def build_sections(slots: Sequence[AnswerSlot]) -> tuple[Section, ...]:
    names = {1: ("task",), 2: ("input", "processing", "output"), 3: ("paper",)}
    titles = {1: "Task", 2: "Workflow: input → model → output", 3: "Papers and tools"}
    return tuple(
        Section(number=number, title=titles[number], slots=tuple(slot for slot in slots if slot.name in names[number]))  # type: ignore[arg-type]
        for number in (1, 2, 3)
    )


def build_fit(passages: Passages, bearing: Sequence[SourceId] = (), models: Sequence[ModelFit] = ()) -> Fit:
    """Fit in which `bearing` papers bear on the question; models not in `models` are ``not_told``."""
    sources = passages.request.sources
    fit_by_id = {fit.source_id: fit for fit in models}
    return Fit(
        papers=tuple(
            PaperFit(
                source_id=source.id,
                bears=source.id in bearing,
                score=0.5,
                passage_ids=tuple(passage.id for passage in passages.of(source.id)),
                reason="",
            )
            for source in sources
            if source.kind == "paper"
        ),
        models=tuple(
            fit_by_id.get(source.id, ModelFit(source_id=source.id, verdict="not_told", evidence=(), reason=""))
            for source in sources
            if source.kind == "model"
        ),
    )


def plain_body(request: AnswerRequest, *, drafter: str = "extractive", notes: Sequence[str] = ()) -> AnswerBody:
    """A short answer: the question, nothing of a model, two sentences of each of two papers."""
    passages = split_passages(request)
    slots = [slot("task", QUESTION_ID, [claim(passages, 'The user asks: "{}"', passages.of(QUESTION_ID)[-1].id)])]
    for source in request.sources:
        if source.kind == "model":
            slots += [slot(name, source.id, state="not_told") for name in ("input", "processing", "output")]
    bearing = [source.id for source in request.sources if source.kind == "paper" and len(passages.of(source.id)) > 2][
        :2
    ]
    for source_id in bearing:
        _, first, second, *_ = passages.of(source_id)
        slots.append(
            slot(
                "paper",
                source_id,
                [
                    claim(passages, 'The paper says: "{}"', first.id),
                    claim(passages, 'The paper says: "{}" "{}"', first.id, second.id),
                ],
            )
        )
    return AnswerBody(
        passages=passages,
        sections=build_sections(slots),
        fit=build_fit(passages, bearing),
        drafter=drafter,
        notes=tuple(notes),
    )


def seed_request(number: int) -> AnswerRequest:
    return AnswerRequest.from_prompt((SEEDS / f"00{number}.txt").read_text(encoding="utf-8"))


def seed_body(number: int = 1) -> AnswerBody:
    return plain_body(seed_request(number))


def hostile_request() -> AnswerRequest:
    """Sources that try what a page or a Markdown reader could fall for; ``pwned`` is what their scripts would set."""
    script = "<script>window.pwned = 1</script>"
    return AnswerRequest(
        question=f"Why is it *sharp*? </title>{script}<!-- {{{{ 7 * 7 }}}} Is \u202egnp.exe safe?",
        models=(
            RecommendedModel(
                name='LIIF" onmouseover="window.pwned=1" **x** [here](https://evil.example/a)',
                paper="javascript:window.pwned=1",
                github="https://github.com/yinboc/liif",
                description='<img src="https://evil.example/x.png" onerror="window.pwned=1"> It takes an image.',
            ),
        ),
        papers=(
            RelatedPaper(
                title=f"</script>{script} Sharp & sure </style> [^1]: # heading",
                paper="http://arxiv.org/pdf/2502.16025v1.pdf",
                summary=(
                    f"We {script} sharpen images. </mark></p></article><iframe src='https://evil.example/'></iframe> "
                    "It says \"sharp\" and 'plain'. See https://evil.example/page and "
                    "[this](javascript:window.pwned=1).\n\n"
                    "1. `code` and ~~struck~~ and *starred* _words_ of \u2067מימין\u2069 \u0000 and 𝛼 in $x_1$."
                ),
            ),
            RelatedPaper(title="data:text/html,<b>x</b>", paper="https://evil.example@arxiv.org/abs/1", summary=None),
        ),
    )


def hostile_body() -> AnswerBody:
    """An answer in which every source, and a claim that did not pass, speaks."""
    passages = split_passages(hostile_request())
    slots = [
        slot("task", QUESTION_ID, [claim(passages, 'The user asks: "{}"', "Q.1")]),
        slot("input", M1, [claim(passages, "It takes an image.", "M1.1")]),
        slot("processing", M1, [claim(passages, "<b>It</b> [loads](https://evil.example/b).", "M1.1", accepted=False)]),
        slot("output", M1, state="ended"),
        slot("paper", P1, [claim(passages, 'The paper says: "{}"', passage.id) for passage in passages.of(P1)[1:]]),
    ]
    fit = build_fit(passages, [P1], [ModelFit(source_id=M1, verdict="fits", evidence=(PassageId("M1.1"),), reason="")])
    return AnswerBody(passages=passages, sections=build_sections(slots), fit=fit, drafter="<i>llm</i>")
