"""Answers over HTTP: OpenAI-compatible chat, native endpoints with events, a page; `make_app` puts them together.

Read in this order: `settings`, `keys`, `limits`, `store`, `metrics`, `telemetry`, `logs`, `failures` (errors as HTTP),
`wire` (bodies in and out), `answering` (the one place through which answers are made), `answers`, `chat` (endpoints),
`health`, `page`, `app`, `serving`.
"""

from __future__ import annotations

from cnaps_rag.server.app import make_app
from cnaps_rag.server.settings import ServerSettings

__all__ = ["ServerSettings", "make_app"]
