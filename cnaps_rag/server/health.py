"""Whether the server lives, whether it can answer, and what it has counted."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Header, HTTPException, Response
from openai import APIConnectionError, APIStatusError, AsyncOpenAI
from typing_extensions import TypedDict

from cnaps_rag.errors import ServiceError
from cnaps_rag.pipeline import Answerer
from cnaps_rag.request import AnswerRequest
from cnaps_rag.server.keys import KeyRing
from cnaps_rag.server.logs import logger
from cnaps_rag.server.metrics import Metrics
from cnaps_rag.server.settings import ServerSettings
from cnaps_rag.settings import Settings
from cnaps_rag.sources import RecommendedModel, RelatedPaper

ModelState = Literal["loading", "loaded", "failed", "stopping"]
LLMState = Literal["not_used", "reachable", "unreachable", "refuses_key"]

_LLM_TIMEOUT_S: Final = 2.0  # probes give up after some seconds themselves; an endpoint that lists its models is quick
_REFUSALS: Final = (401, 403)
_FAILURES: Final = (500, 502, 503, 504)  # others, as 404 and 501, come from one that is there and lists no models
_UNSET_KEY: Final = "unset"  # the client insists on some key, endpoints on this network often want none


class Readiness(TypedDict):
    """What `/readyz` tells, with 200 or 503."""

    ready: bool
    models: ModelState
    llm: LLMState
    fallback: Literal["extractive"] | None


@dataclass(frozen=True, slots=True)
class _Found:
    state: LLMState
    until: float  # by time.monotonic


class Health:
    """Loads the models at the start, and knows whether answers can be made. For one event loop."""

    def __init__(self, settings: Settings, server: ServerSettings) -> None:
        self._settings = settings
        self._llm_check_s = server.llm_check_s
        self._models: ModelState = "loading"
        self._warming: asyncio.Task[None] | None = None
        self._found: _Found | None = None
        self._asking = asyncio.Lock()

    def start(self) -> None:
        """Begins to load the models, beside the event loop: probes are answered meanwhile."""
        self._warming = asyncio.create_task(self._warm_up())

    async def stop(self) -> None:
        """Not ready from now on."""
        self._models = "stopping"
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.wait([self._warming])

    async def readiness(self) -> Readiness:
        """Whether a request that came now would be answered, and by what."""
        has_fallback = self._settings.on_llm_failure == "extractive"
        llm = await self._llm()
        is_llm_fine = llm in ("not_used", "reachable")
        return Readiness(
            ready=self._models == "loaded" and (is_llm_fine or has_fallback),
            models=self._models,
            llm=llm,
            fallback="extractive" if has_fallback and llm != "not_used" else None,
        )

    async def _warm_up(self) -> None:
        started = time.perf_counter()
        try:
            await asyncio.to_thread(warm_up, self._settings)
        except ServiceError as error:
            self._models = "failed"
            logger.error("models_failed", reason=str(error))
            return
        if self._models == "loading":
            self._models = "loaded"
            logger.info("models_loaded", seconds=round(time.perf_counter() - started, 3))

    async def _llm(self) -> LLMState:
        if not Answerer(self._settings).drafts_by_llm:
            return "not_used"
        async with self._asking:  # many probes at once ask the endpoint once
            if self._found is None or self._found.until <= time.monotonic():
                state = await find_llm(self._settings)
                if self._found is None or self._found.state != state:
                    logger.info("llm_found", state=state)
                self._found = _Found(state, time.monotonic() + self._llm_check_s)
            return self._found.state


def warm_up(settings: Settings) -> None:
    """Loads encoder and verifier by answering a request of our own without an LLM.

    Raises:
        ServiceError: one of them is not on this disk or cannot be loaded.
    """
    paper = RelatedPaper(title="Red lamps", summary="The lamp is red. It is switched on by hand.")
    request = AnswerRequest(question="Which lamp is red?", models=(RecommendedModel(name="Lamp"),), papers=(paper,))
    offline = settings.model_copy(update={"drafter": "extractive", "llm_judge": False, "on_untraceable": "drop"})
    Answerer(offline).answer(request)


async def find_llm(settings: Settings) -> LLMState:
    """What the LLM's endpoint says when asked for its models; any reply that is no failure shows that it is there."""
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key is not None else _UNSET_KEY
    async with AsyncOpenAI(
        api_key=key, base_url=settings.openai_base_url, timeout=_LLM_TIMEOUT_S, max_retries=0
    ) as client:
        try:
            async with asyncio.timeout(_LLM_TIMEOUT_S):
                await client.models.with_raw_response.list()
        except APIStatusError as error:
            if error.status_code in _REFUSALS:
                return "refuses_key"
            return "unreachable" if error.status_code in _FAILURES else "reachable"
        except (APIConnectionError, TimeoutError):
            return "unreachable"
    return "reachable"


def health_routes(health: Health, metrics: Metrics, keys: KeyRing) -> APIRouter:
    """Routes ``/healthz`` and ``/readyz`` for everybody, ``/metrics`` for those with a key (all, where none is set).

    Numbers of requests and tokens are nobody else's business, and behind a proxy everybody comes from loopback.
    """
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Whether the process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz", summary="Whether a request would be answered", responses={503: {"model": Readiness}})
    async def readyz(response: Response) -> Readiness:
        readiness = await health.readiness()
        response.status_code = 200 if readiness["ready"] else 503
        return readiness

    @router.get("/metrics", summary="Counts and times for Prometheus", response_class=Response)
    async def metrics_text(
        authorization: Annotated[str | None, Header()] = None, accept: Annotated[str, Header()] = ""
    ) -> Response:
        if keys.owner_of(authorization) is None:
            raise HTTPException(401, "Send a key: Authorization: Bearer KEY.", headers={"WWW-Authenticate": "Bearer"})
        body, content_type = metrics.exposition(accept)
        return Response(body, headers={"Content-Type": content_type})

    return router
