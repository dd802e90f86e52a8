"""The whole server as one ASGI app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from cnaps_rag.errors import CnapsRagError
from cnaps_rag.llm import Streams
from cnaps_rag.server.answering import Answering
from cnaps_rag.server.answers import answers_routes
from cnaps_rag.server.chat import chat_routes
from cnaps_rag.server.failures import Failed, failed, failed_by_framework, invalid
from cnaps_rag.server.gate import Gate
from cnaps_rag.server.health import Health, health_routes
from cnaps_rag.server.keys import KeyRing
from cnaps_rag.server.limits import RateLimit, TooBusy
from cnaps_rag.server.logs import REQUEST_ID, RequestLog, request_id, tell
from cnaps_rag.server.metrics import Metrics
from cnaps_rag.server.page import page_router
from cnaps_rag.server.settings import ServerSettings
from cnaps_rag.server.store import open_store
from cnaps_rag.server.telemetry import load_tracer
from cnaps_rag.server.wire import ClientGone
from cnaps_rag.settings import Settings
from cnaps_rag.verifier import Verifier

_DESCRIPTION = (
    "Answers from a handful of supplied AI models and papers, and from nothing else: every link and claim is checked "
    "against the sources before it is sent, also in a stream. Every response carries `X-Request-Id`; every failure has "
    "the body of OpenAI's API."
)


def make_app(
    settings: Settings | None = None,
    server: ServerSettings | None = None,
    *,
    llm: Streams | None = None,
    verifier: Verifier | None = None,
) -> FastAPI:
    """App that answers by these settings, or by those of the environment.

    `verifier` and `llm` stand in for those that the settings name. What the environment leaves open is as a server
    wants it: the extractive drafter stands in for an LLM that fails, and a request is of a size that is soon answered.

    Raises:
        RequestError: the key file, or a setting, is unusable.
    """
    settings = settings if settings is not None else _served(Settings())
    server = server if server is not None else ServerSettings()
    keys, metrics, store, tracing = KeyRing(server.keys_file), Metrics(), open_store(server), load_tracer()
    health, rate = Health(settings, server), RateLimit(server)
    answering = Answering(settings, server, store=store, metrics=metrics, tracing=tracing, verifier=verifier, llm=llm)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        health.start()
        yield
        await health.stop()
        await store.close()
        await rate.close()
        await asyncio.to_thread(tracing.close)

    # Without FastAPI's own pages on the API: they load their scripts from elsewhere.
    app = FastAPI(
        title="cnaps_rag",
        version=version("cnaps_rag"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        # Behind a proxy that ends TLS they would lead a client, and its key, to plain http.
        redirect_slashes=False,
        lifespan=lifespan,
    )
    guard = [Depends(HTTPBearer(auto_error=False, description="A key of this server."))] if keys.needs_key else []
    app.include_router(chat_routes(answering), dependencies=guard)
    app.include_router(answers_routes(answering), dependencies=guard)
    app.include_router(health_routes(health, metrics, keys))
    app.include_router(page_router(has_llm=settings.llm is not None, needs_key=keys.needs_key))
    _tell_failures(app)
    # The last one added is the first to see a request.
    app.add_middleware(Gate, server=server, keys=keys, rate=rate, metrics=metrics)
    if server.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=server.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID, "Retry-After"],
        )
    app.add_middleware(RequestLog, metrics=metrics)
    _correct_openapi(app)
    return app


DEFAULTS_HERE: dict[str, Any] = {
    "on_llm_failure": "extractive",
    # The work grows faster than the sources: a hundred take 1 s, a thousand minutes, which others would wait for.
    "request_limit_chars": 100_000,
    "request_limit_sources": 100,
}
"""Settings of the library that have another default in a server."""


def _served(settings: Settings) -> Settings:
    given = settings.model_fields_set
    return settings.model_copy(update={name: to for name, to in DEFAULTS_HERE.items() if name not in given})


def _tell_failures(app: FastAPI) -> None:
    """Gives every failure the body of OpenAI's API, the framework's own and unexpected ones included."""

    async def own(http: Request, error: Exception) -> Response:
        failure = failed(error)
        tell(http.scope, failure=failure.code or "")
        return failure.response()

    async def of_framework(http: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return failed_by_framework(error, http.method, http.url.path).response()

    async def of_body(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return invalid(error).response()

    async def gone(_: Request, __: Exception) -> Response:
        return Response(status_code=499)  # as nginx logs it; nobody reads it

    async def unexpected(http: Request, error: Exception) -> Response:
        # Starlette answers these outside of all middleware, so the id has to be set here.
        response = failed(error).response()
        response.headers[REQUEST_ID] = request_id(http.scope)
        return response

    for kind in (Failed, CnapsRagError, TooBusy, TimeoutError):
        app.add_exception_handler(kind, own)
    app.add_exception_handler(HTTPException, of_framework)
    app.add_exception_handler(RequestValidationError, of_body)
    app.add_exception_handler(ClientGone, gone)
    app.add_exception_handler(Exception, unexpected)


def _correct_openapi(app: FastAPI) -> None:
    """Takes the framework's 422 out of the description: what is wrong with a body is told with 400."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            description = describe()
            for operations in description["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                description["components"]["schemas"].pop(name, None)
        return app.openapi_schema or describe()

    app.openapi = openapi  # type: ignore[method-assign]
