"""Answers over HTTP: OpenAI-compatible chat, native endpoints with events, a page; `make_app` puts them together.

Read in this order: `settings`, `logs`, `keys`, `redis_server`, `limits`, `store`, `metrics`, `telemetry`, `failures`
(why there is no answer, as HTTP), `wire` (JSON and events), `watch`, `answering` (the one way to an answer), `answers`,
`conversation`, `chat`, `health`, `page`, `gate` (who comes in, with how much), `app`, `serving`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnaps_rag.server.app import make_app as make_app
    from cnaps_rag.server.settings import ServerSettings as ServerSettings

__all__ = ["ServerSettings", "make_app"]


def __getattr__(name: str) -> Any:
    # Late, because `serving` names a folder for the counts of several workers before prometheus_client is imported.
    if name == "make_app":
        from cnaps_rag.server.app import make_app

        return make_app
    if name == "ServerSettings":
        from cnaps_rag.server.settings import ServerSettings

        return ServerSettings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
