"""`cnaps-rag serve` as a process of its own on a free port, ended by its id.

with serving(CNAPS_RAG_SERVER_WORKERS="2") as server:
    httpx.post(f"{server.base_url}/v1/answers", json=...)
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PROGRAM = str(Path(sys.executable).with_name("cnaps-rag"))
"""The command as it was installed."""

START_LIMIT_S = 60
"""Seconds to load the models: about 2, and many more where other tests keep both cores busy."""

END_LIMIT_S = 30
"""Seconds to end when told to and nothing runs."""

_OWN = re.compile(r"(CNAPS_RAG|OTEL|OPENAI|PROMETHEUS)_")
"""Variables of whoever runs the tests, which must not reach the server."""


class ServerProcess:
    """The running server. `lines` are those of its log so far, as objects; `told` is all of its standard error."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log
        self.base_url = ""

    @property
    def told(self) -> str:
        return self._log.read_text(encoding="utf-8")

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.told.splitlines() if line.startswith("{")]

    def terminate(self) -> None:
        """SIGTERM, to the process that was started alone: its workers are its own business."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, limit_s: float = END_LIMIT_S) -> int:
        """Exit status of the server, once it has ended."""
        return self.process.wait(limit_s)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the server ended: {self.told}"
            if not self.base_url:
                found = re.search(r"answers at (http://\S+)", self.told)
                self.base_url = found[1] if found else ""
            if self.base_url and _is_ready(self.base_url):
                return
            time.sleep(0.05)
        raise AssertionError(f"the server is not ready after {START_LIMIT_S} s: {self.told}")


def _is_ready(base_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base_url}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False


@contextmanager
def serving(*options: str, **environment: str) -> Iterator[ServerProcess]:
    """A server that is ready, with these options and variables; killed at the end where it still runs."""
    kept = {name: value for name, value in os.environ.items() if not _OWN.match(name)}
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [PROGRAM, "serve", "--port", "0", "--log", "json", *options],
                env={**kept, **environment},
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        server = ServerProcess(process, log)
        try:
            server.wait_until_ready()
            yield server
        finally:
            if process.poll() is None:
                server.terminate()
                try:
                    process.wait(END_LIMIT_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    raise
