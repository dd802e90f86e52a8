"""What a run keeps: what it was made with, and one record for each answer."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cnaps_rag.evaluation.metrics import Score
from cnaps_rag.llm import Exchange

RUN_VERSION: Literal["cnaps_rag.run/1"] = "cnaps_rag.run/1"
"""Rises when a key is renamed, removed or changes its meaning; a key may be added without."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Shard(_Frozen):
    """Part `number` (from 1) of `of` parts of a suite: every `of`-th case."""

    number: int = Field(ge=1)
    of: int = Field(ge=1)


class RunInfo(_Frozen):
    """What a run was made with; two runs with equal `identity` answer the same suite in the same way.

    Attributes:
        answers_sha256: of the texts from outside; None where this library answered.
        settings: everything of `Settings` but key and address.
        drafter: ``extractive``, the LLM's name, or ``outside`` where the answers came from a file.
        prompts_sha256: of all prompt files.
        scored_by: SHA-256 of the shipped verifier, which the metrics read with.
        versions: of the library and of what computes scores.
        shard: None for the whole suite.
    """

    version: Literal["cnaps_rag.run/1"] = RUN_VERSION
    name: str
    suite: str
    suite_sha256: str
    n_cases: int
    repeat: int = Field(default=1, ge=1)
    shard: Shard | None = None
    drafter: str
    answers_sha256: str | None = None
    settings: dict[str, Any]
    prompts_sha256: str
    scored_by: str
    versions: dict[str, str]
    is_replay: bool = False
    started_at: str

    def identity(self) -> dict[str, Any]:
        """All that decides the figures; not the name, the time, or which shard it is."""
        return self.model_dump(mode="json", exclude={"name", "started_at", "shard", "is_replay"})


class PointRecord(_Frozen):
    """A gold point, or one that must not be told: whether the answer tells it, how surely, and with which words."""

    text: str
    is_told: bool
    score: float
    words: str = ""
    source: str = ""
    quote: str = ""
    why: str = ""


class CaseRecord(_Frozen):
    """One answer to one case, scored.

    Attributes:
        repeat: which answer to this case, from 0.
        error: why there is no answer; scores are then all unscored.
        seconds: wall-clock time of the answer.
        answer: `Answer.to_json()`; None for outside texts and failures.
        text: the outside text; `report` what the validator found of it (`ReportJson`).
        points, forbidden: gold's, against this answer.
        exchanges: every call to the LLM, so that the run can be replayed.
    """

    case: str
    repeat: int = 0
    error: str | None = None
    seconds: float | None = None
    scores: dict[str, Score] = Field(default_factory=dict)
    points: tuple[PointRecord, ...] = ()
    forbidden: tuple[PointRecord, ...] = ()
    answer: dict[str, Any] | None = None
    text: str | None = None
    report: dict[str, Any] | None = None
    exchanges: tuple[Exchange, ...] = ()

    @property
    def key(self) -> tuple[str, int]:
        """Case and repeat: unique in a run."""
        return self.case, self.repeat
