"""An app served by uvicorn in a thread of this process, on a free port of this machine, as long as a test needs it.

with running(make_app(settings, server)) as base_url:
    httpx.get(f"{base_url}/v1/models")
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

START_LIMIT_S = 20
"""Seconds to start: an app imports and opens its store, and two cores may be busy."""

SHUTDOWN_LIMIT_S = 10
"""Seconds that streams have to end after the test is over, before uvicorn cancels them."""


@contextmanager
def running(app: ASGIApp, *, shutdown_s: int = SHUTDOWN_LIMIT_S) -> Iterator[str]:
    """Address of `app`, as in ``http://127.0.0.1:40123``; ends the server, and waits for it, on leaving."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=shutdown_s,
    )
    server = uvicorn.Server(config)
    # A thread cannot take signals: uvicorn sees that itself and leaves them alone.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server under test")
    thread.start()
    try:
        _wait_for(server, thread)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(shutdown_s + START_LIMIT_S)
        listener.close()
    assert not thread.is_alive(), "the server did not end"


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while not server.started:
        assert thread.is_alive(), "the server ended before it had started"
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
