"""Claims → what `validate` finds of each: many of one request in one text, each a paragraph beneath its own heading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnaps_rag.render.escape import escape_markdown
from cnaps_rag.render.shown import shown_title
from cnaps_rag.report import Citation, ClaimFinding, Layer, LinkFinding, LinkVerdict, Report, Verdict
from cnaps_rag.request import AnswerRequest
from cnaps_rag.settings import Settings
from cnaps_rag.sources import QUESTION_ID, SourceId
from cnaps_rag.validation import validate
from cnaps_rag.validation.texts import LIMIT_CLAIMS
from cnaps_rag.verifier import Verifier

_CLAIMS_A_TEXT = LIMIT_CLAIMS // 2  # a changed claim may be read as two


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A claim, or a line of Markdown where `is_line`, and the source under whose heading it stands."""

    text: str
    subject: SourceId | None
    is_line: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """Whether everything in a placed text passed, and the first finding that did not, else the first of all."""

    is_accepted: bool
    verdict: Verdict | LinkVerdict
    layer: Layer
    reason: str
    evidence: tuple[Citation, ...]


def judge_placed(
    placed: Sequence[Placed], request: AnswerRequest, *, settings: Settings | None, verifier: Verifier | None
) -> tuple[Ruling, ...]:
    """Rulings in the order of `placed`.

    Raises:
        RequestError, ServiceError: as `validate` does.
    """
    rulings: list[Ruling] = []
    for first in range(0, len(placed), _CLAIMS_A_TEXT):
        part = placed[first : first + _CLAIMS_A_TEXT]
        text, spans = _compose(part, request)
        report = validate(text, request, settings=settings, verifier=verifier)
        rulings += [_rule(report, start, end) for start, end in spans]
    return tuple(rulings)


def _compose(placed: Sequence[Placed], request: AnswerRequest) -> tuple[str, list[tuple[int, int]]]:
    """A Markdown text of all of them, grouped by heading, and the span of each in it."""
    headings = [None, *(source.id for source in request.sources)]
    text = ""
    spans: dict[int, tuple[int, int]] = {}
    for heading in headings:
        members = [n for n, one in enumerate(placed) if _heading(one) == heading]
        if heading is not None and members:
            title = shown_title(heading, request)
            text += f"### {escape_markdown(title, before=' ', after=chr(10))}\n\n"
        for n in members:
            one = placed[n]
            body = one.text if one.is_line else escape_markdown(one.text, before="\n", after="\n")
            spans[n] = len(text), len(text) + len(body)
            text += f"{body}\n\n"
    return text, [spans[n] for n in range(len(placed))]


def _heading(one: Placed) -> SourceId | None:
    return None if one.subject == QUESTION_ID else one.subject


def _rule(report: Report, start: int, end: int) -> Ruling:
    claims = [found for found in report.claims if found.start < end and start < found.end]
    links = [found for found in report.links if found.start < end and start < found.end]
    failed: list[ClaimFinding | LinkFinding] = [link for link in links if link.verdict != "supplied"]
    failed += [claim for claim in claims if claim.verdict not in ("supported", "not_a_claim")]
    told = [claim for claim in claims if claim.verdict == "supported"]
    found = next(iter([*failed, *told, *claims, *links]), None)
    if found is None:
        return Ruling(
            is_accepted=True, verdict="not_a_claim", layer="form", reason="nothing is read there", evidence=()
        )
    return Ruling(
        is_accepted=not failed,
        verdict=found.verdict,
        layer=found.layer if isinstance(found, ClaimFinding) else "links",
        reason=found.reason,
        evidence=found.evidence if isinstance(found, ClaimFinding) else (),
    )
