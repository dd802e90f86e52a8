"""Counts and times of the server for Prometheus; with several workers, of all of them together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import (
    MultiProcessCollector,
    mark_process_dead,  # pyright: ignore[reportUnknownVariableType]
)

MULTIPROCESS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Environment: the folder in which workers keep their counts; to be set before prometheus_client is first imported."""

# From what validation alone takes (tens of ms) to the longest answer of a slow LLM.
_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics:
    """What one app counts, in a registry of its own. Thread-safe. Labels have few values, all of our own choosing."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._is_shared = MULTIPROCESS_DIR in os.environ
        own = self._registry
        if not self._is_shared:
            # Of one process: with several, only those of whichever worker is asked would show.
            ProcessCollector(registry=own)
            PlatformCollector(registry=own)
        self._requests = Counter("cnaps_rag_requests", "Requests.", ("route", "status"), registry=own)
        self._request_s = Histogram(
            "cnaps_rag_request_seconds", "Seconds to the last byte.", ("route",), buckets=_SECONDS, registry=own
        )
        self._stage_s = Histogram(
            "cnaps_rag_stage_seconds", "Seconds of each stage of an answer.", ("stage",), buckets=_SECONDS, registry=own
        )
        self._first_claim_s = Histogram(
            "cnaps_rag_first_claim_seconds",
            "Seconds from a request to its first validated claim.",
            buckets=_SECONDS,
            registry=own,
        )
        self._claims = Counter(
            "cnaps_rag_claims", "Claims by verdict and by what became of them.", ("outcome", "verdict"), registry=own
        )
        self._tokens = Counter("cnaps_rag_llm_tokens", "Tokens of the LLM.", ("kind",), registry=own)
        self._cache = Counter("cnaps_rag_cache_lookups", "Answers looked up.", ("found",), registry=own)
        self._refused = Counter("cnaps_rag_refused", "Requests refused for being too many.", ("reason",), registry=own)
        self._running = Gauge(
            "cnaps_rag_answers_running", "Answers being made.", multiprocess_mode="livesum", registry=own
        )
        self._waiting = Gauge(
            "cnaps_rag_answers_waiting", "Requests that wait.", multiprocess_mode="livesum", registry=own
        )

    def request_done(self, route: str, status: int, seconds: float) -> None:
        """Counts a request; `route` is the route's own path, never the one that was asked for."""
        self._requests.labels(route, str(status)).inc()
        self._request_s.labels(route).observe(seconds)

    def stage_done(self, stage: str, seconds: float) -> None:
        """Counts the end of a stage of `pipeline.events.Stage`."""
        self._stage_s.labels(stage).observe(seconds)

    def first_claim(self, seconds: float) -> None:
        """Counts the first validated claim of an answer, `seconds` after its request."""
        self._first_claim_s.observe(seconds)

    def claim(self, outcome: str, verdict: str) -> None:
        """Counts a claim: accepted, repaired, dropped or marked; in a text that is no answer, checked."""
        self._claims.labels(outcome, verdict).inc()

    def llm_tokens(self, prompt: int, completion: int) -> None:
        """Counts the tokens of an answer."""
        self._tokens.labels("prompt").inc(prompt)
        self._tokens.labels("completion").inc(completion)

    def cache(self, *, hit: bool) -> None:
        """Counts a look into the store."""
        self._cache.labels("yes" if hit else "no").inc()

    def refused(self, reason: str) -> None:
        """Counts a request that was told to come again: `limits.Busy`."""
        self._refused.labels(reason).inc()

    def places(self, running: int, waiting: int) -> None:
        """Sets how many answers are being made in this worker, and how many requests wait in it."""
        self._running.set(running)
        self._waiting.set(waiting)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Body and content type for Prometheus, in the form that its ``Accept`` header asks for."""
        registry = self._registry
        if self._is_shared:
            registry = CollectorRegistry()
            _forget_the_dead(Path(os.environ[MULTIPROCESS_DIR]))
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type


def _forget_the_dead(folder: Path) -> None:
    """Takes out the gauges of workers that died: what they ran is not running. Nobody else is told of their end."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
