"""What is counted of one answer while its events go by: times, claims, tokens; for metrics, spans and the log."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from starlette.types import Scope
from typing_extensions import Unpack

from cnaps_rag.render.json import AnswerJson
from cnaps_rag.render.phrases import BROKEN_OFF, LLM_FAILED, REPAIR_GIVEN_UP
from cnaps_rag.server.logs import Told, tell
from cnaps_rag.server.metrics import Metrics
from cnaps_rag.server.telemetry import AnswerSpan
from cnaps_rag.server.wire import Drafter, ServedEvent

FAILURES = (LLM_FAILED, BROKEN_OFF, REPAIR_GIVEN_UP)
"""What a note begins with where the LLM failed and the answer was made all the same."""

_OUTCOME_BY_EVENT = {
    "claim_accepted": "accepted",
    "claim_repaired": "repaired",
    "claim_dropped": "dropped",
    "claim_marked": "marked",
}


class Watch:
    """Counts of one answer. To be told of each event once, as it is made."""

    def __init__(self, metrics: Metrics, span: AnswerSpan, scope: Scope | None) -> None:
        self._metrics = metrics
        self._span = span
        self._scope = scope
        self._began = self._placed = time.monotonic()
        self._stage: tuple[str, float] | None = None
        self._outcomes: Counter[str] = Counter()

    def began(self, drafter: Drafter, *, proof: bool, stream: bool, cached: bool) -> None:
        """An answer is wanted; `cached`: it was made before."""
        self._tell(drafter=drafter, proof=proof, stream=stream, cached=cached)
        self._span.told(cached=cached, proof=proof)

    def placed(self) -> None:
        """It has a place, after waiting in the queue."""
        self._placed = time.monotonic()
        self._tell(wait_s=round(self._placed - self._began, 4))

    def saw(self, event: ServedEvent) -> None:
        """The next event."""
        match event["event"]:
            case "progress":
                self._begin_stage(event["stage"], self._placed + event["seconds"])
            case "claim_accepted" | "claim_repaired":
                self._count(_OUTCOME_BY_EVENT[event["event"]], "supported")
            case "claim_dropped" | "claim_marked":
                self._count(_OUTCOME_BY_EVENT[event["event"]], event["entry"]["verdict"])
            case "slot_open":
                self._outcomes["open"] += 1
            case "usage":
                self._count_tokens(event["usage"])
            case "answer_done":
                self._end(event["answer"])
            case _:
                pass

    def _begin_stage(self, stage: str, at: float) -> None:
        """A stage that began `at` this time of the monotonic clock: its event comes later."""
        self._end_stage(at)
        self._stage = (stage, at)
        self._span.stage(stage, at)

    def _end_stage(self, at: float) -> None:
        if self._stage is not None:
            stage, since = self._stage
            self._metrics.stage_done(stage, at - since)
        self._stage = None

    def _count(self, outcome: str, verdict: str) -> None:
        if outcome in ("accepted", "repaired") and not self._outcomes["accepted"] + self._outcomes["repaired"]:
            seconds = time.monotonic() - self._began
            self._metrics.first_claim(seconds)
            self._span.first_claim()
            self._tell(first_claim_s=round(seconds, 4))
        self._outcomes[outcome] += 1
        self._metrics.claim(outcome, verdict)

    def _count_tokens(self, usage: dict[str, Any]) -> None:
        prompt_tokens: int = usage["prompt_tokens"]
        completion_tokens: int = usage["completion_tokens"]
        self._metrics.llm_tokens(prompt_tokens, completion_tokens)
        self._span.usage(
            llm=", ".join(usage["llms"]) or "extractive",
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
        )
        self._tell(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)

    def _end(self, answer: AnswerJson) -> None:
        self._end_stage(time.monotonic())
        counted = self._outcomes
        self._span.told(drafter=answer["drafter"], n_accepted=counted["accepted"] + counted["repaired"])
        if any(note.startswith(FAILURES) for note in answer["notes"]):
            self._tell(failure="llm")
        self._tell(
            n_accepted=counted["accepted"],
            n_repaired=counted["repaired"],
            n_dropped=counted["dropped"],
            n_open=counted["open"],
        )

    def _tell(self, **told: Unpack[Told]) -> None:
        if self._scope is not None:
            tell(self._scope, **told)
