"""An LLM asked which gold points an answer tells: reported apart, several times over, and never part of the gate.

What the metrics decide with the claim verifier, an LLM decides here, so that a reader can see how far the two agree,
and how far the LLM agrees with itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, StrictBool, ValidationError

from cnaps_rag.errors import RequestError, ServiceError
from cnaps_rag.evaluation.runs import CaseRecord, Run
from cnaps_rag.evaluation.runs.lines import append_line, cut_short_line, read_lines
from cnaps_rag.evaluation.statistics import Estimate, estimate
from cnaps_rag.llm import LLM, Completes
from cnaps_rag.passages import PassageId
from cnaps_rag.prompt import Message, as_data, count_message_tokens, fill_prompt, unforgeable_key
from cnaps_rag.settings import Settings

JUDGED = "judged.jsonl"
"""File in a run's folder: a line for each judging of an answer, appended as it is made."""


class Judging(BaseModel):
    """One judging of one answer; `told` is in the order of its gold points, None where the LLM failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str
    repeat: int
    judging: int
    llm: str
    told: tuple[bool, ...] | None
    error: str = ""


class GradeReply(BaseModel):
    """What the LLM replies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    told: tuple[StrictBool, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class GradePrompt:
    """What one judging sends."""

    messages: tuple[Message, ...]
    n_points: int
    left_out: tuple[PassageId, ...] = ()

    @property
    def n_tokens(self) -> int:
        """Tokens of the messages."""
        return count_message_tokens(self.messages)

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema of `GradeReply`, with one place a point."""
        told = {
            "type": "array",
            "items": {"type": "boolean"},
            "minItems": self.n_points,
            "maxItems": self.n_points,
        }
        return {"type": "object", "properties": {"told": told}, "required": ["told"], "additionalProperties": False}

    def is_obeyed(self, reply_text: str) -> bool:
        """True when the reply is such an object and nothing else."""
        try:
            return len(GradeReply.model_validate_json(reply_text).told) == self.n_points
        except ValidationError:
            return False

    def is_answered(self, reply_text: str) -> bool:
        """True when the reply holds such an object."""
        return self.read(reply_text) is not None

    def read(self, reply_text: str) -> tuple[bool, ...] | None:
        """The first such object in a reply."""
        for found in re.finditer(r"\{[^{}]*\}", reply_text):
            if self.is_obeyed(found[0]):
                return GradeReply.model_validate_json(found[0]).told
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedRun:
    """What the LLM said of a whole run.

    Attributes:
        recall: share of gold points told, mean of the judgings of an answer, interval by case.
        by_judging: the same mean for each judging alone: how far it swings.
        flips: share of points on which the judgings of one answer differ, 0 to 1; None where each was judged once.
        agreement: share of judgings that agree with the claim verifier.
        n_failed: judgings on which the LLM failed.
    """

    llm: str
    recall: Estimate | None
    by_judging: tuple[float, ...]
    flips: float | None
    agreement: float | None
    n_failed: int


def judge_run(
    run: Run,
    settings: Settings,
    *,
    n_judgings: int = 3,
    llm: Completes | None = None,
    progress: Callable[[str], None] | None = None,
) -> JudgedRun:
    """Has each answer judged `n_judgings` times, with a seed of its own each time; goes on where it was broken off.

    Raises:
        RequestError: no LLM is named, or the run was judged by another one.
    """
    if not settings.llm:
        raise RequestError("no LLM is named that could judge.", remedy="Give --llm NAME, or set CNAPS_RAG_LLM.")
    path = run.folder / JUDGED
    judgings = {(row.case, row.repeat, row.judging): row for row in _read(path)}
    others = {row.llm for row in judgings.values()} - {settings.llm}
    if others:
        raise RequestError(f"{path} was made by {', '.join(sorted(others))}.", remedy="Move the file away.")
    for judging in range(n_judgings):
        seeded = settings.model_copy(update={"llm_seed": (settings.llm_seed or 0) + judging})
        asked = llm if llm is not None else LLM(seeded)
        for record in run.records:
            key = (record.case, record.repeat, judging)
            done = judgings.get(key)
            if not record.points or record.error is not None or (done is not None and done.told is not None):
                continue
            judgings[key] = _judge(record, judging, settings.llm, asked)
            append_line(path, judgings[key].model_dump_json())
            if progress is not None:
                progress(f"judged {record.case}, {judging + 1} of {n_judgings}")
    return _summary(run, list(judgings.values()), settings.llm)


def build_grade_prompt(record: CaseRecord) -> GradePrompt:
    """Prompt that asks which gold points an answer tells; the answer without its links and footnotes."""
    claims = [claim["text"] for claim in (record.answer or {}).get("claims", ()) if claim["kind"] != "unused"]
    answer = as_data(record.text if record.text is not None else " ".join(claims))
    points = "\n".join(f"{number}. {as_data(point.text)}" for number, point in enumerate(record.points, 1))
    content = fill_prompt("grade", key=unforgeable_key((answer, points)), answer=answer, points=points)
    return GradePrompt(messages=({"role": "user", "content": content},), n_points=len(record.points))


def render_judged(judged: JudgedRun, *, by_verifier: Estimate | None) -> str:
    """What the LLM said, in a few lines, beside what the verifier says."""
    lines = [f"gold points told, as {judged.llm} judges (no part of the gate)"]
    if judged.recall is None:
        return f"{lines[0]}: nothing judged, {judged.n_failed} judgings failed"
    low, high = judged.recall.interval or (float("nan"), float("nan"))
    interval = f" ({low:.3f} to {high:.3f})" if judged.recall.interval is not None else ""
    lines.append(f"  mean {judged.recall.mean:.3f}{interval}, {judged.recall.n_cases} cases")
    lines.append(f"  by judging: {', '.join(f'{mean:.3f}' for mean in judged.by_judging)}")
    if judged.flips is not None:
        lines.append(f"  points on which it differs from itself: {judged.flips:.1%}")
    if judged.agreement is not None and by_verifier is not None:
        lines.append(f"  agrees with the verifier on {judged.agreement:.1%}; by the verifier {by_verifier.mean:.3f}")
    lines.append(f"  failed judgings: {judged.n_failed}")
    return "\n".join(lines)


def _judge(record: CaseRecord, judging: int, llm: str, asked: Completes) -> Judging:
    prompt = build_grade_prompt(record)
    told, error = None, ""
    try:
        told = prompt.read(asked.complete(prompt).text)
    except ServiceError as failure:
        error = str(failure)
    return Judging(case=record.case, repeat=record.repeat, judging=judging, llm=llm, told=told, error=error)


def _read(path: Path) -> Iterator[Judging]:
    """Judgings kept so far."""
    if not path.exists():
        return
    cut_short_line(path)
    for line in read_lines(path):
        try:
            yield Judging.model_validate(json.loads(line))
        except ValueError:
            raise RequestError(f"{path} holds a line that is no judging.", remedy="Move the file away.") from None


def _summary(run: Run, judgings: list[Judging], llm: str) -> JudgedRun:
    records = {record.key: record for record in run.records}
    told = {(row.case, row.repeat, row.judging): row.told for row in judgings if row.told is not None}
    by_answer: dict[tuple[str, int], list[tuple[bool, ...]]] = {}
    for (case, repeat, _), points in sorted(told.items()):
        by_answer.setdefault((case, repeat), []).append(points)
    values: dict[str, list[float]] = {}
    for (case, _), rows in by_answer.items():
        values.setdefault(case, []).append(sum(map(sum, rows)) / sum(map(len, rows)))
    passes = sorted({judging for _, _, judging in told})
    repeated = [rows for rows in by_answer.values() if len(rows) > 1]
    flips = [len(set(point)) > 1 for rows in repeated for point in zip(*rows, strict=True)]
    agrees = [
        is_told == point.is_told
        for (case, repeat, _), points in told.items()
        for is_told, point in zip(points, records[case, repeat].points, strict=True)
    ]
    return JudgedRun(
        llm=llm,
        recall=estimate(values),
        by_judging=tuple(_mean([points for key, points in told.items() if key[2] == judging]) for judging in passes),
        flips=sum(flips) / len(flips) if flips else None,
        agreement=sum(agrees) / len(agrees) if agrees else None,
        n_failed=sum(row.told is None for row in judgings),
    )


def _mean(rows: list[tuple[bool, ...]]) -> float:
    """Mean over answers of the share of points told."""
    return sum(sum(points) / len(points) for points in rows) / len(rows)
