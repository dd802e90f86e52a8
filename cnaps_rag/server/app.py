"""The whole server as one ASGI app."""

from __future__ import annotations

from fastapi import FastAPI

from cnaps_rag.llm import Completes
from cnaps_rag.server.settings import ServerSettings
from cnaps_rag.settings import Settings
from cnaps_rag.verifier import Verifier


def make_app(
    settings: Settings | None = None,
    server: ServerSettings | None = None,
    *,
    llm: Completes | None = None,
    verifier: Verifier | None = None,
) -> FastAPI:
    """App that answers by these settings; `verifier` and `llm` stand in for those that the settings name."""
    return FastAPI(title="cnaps_rag", docs_url=None, redoc_url=None)
