"""Processes that benchmarks of streams and of load need: the scripted LLM, the server, and what memory they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripted_endpoint import TOKENS_PER_S, Written

END_LIMIT_S = 90  # a server lets running answers finish
NO_LIMITS = {
    "CNAPS_RAG_SERVER_CACHE_ANSWERS": "0",
    "CNAPS_RAG_SERVER_RATE_PER_MINUTE": "0",
    "CNAPS_RAG_SERVER_LIMIT_RUNNING": "512",
    "CNAPS_RAG_SERVER_LIMIT_WAITING": "512",
}
"""Settings with which a server makes every answer anew and turns nobody away."""


@dataclass(frozen=True)
class RunningEndpoint:
    """The scripted LLM as a process."""

    base_url: str
    pid: int

    def take_written(self) -> list[Written]:
        """Replies that ended since this was last asked."""
        with urllib.request.urlopen(f"{self.base_url}/written", timeout=60) as reply:
            return [Written(**written) for written in json.load(reply)]


@contextmanager
def running_endpoint(tokens_per_s: float = TOKENS_PER_S) -> Iterator[RunningEndpoint]:
    """A scripted LLM in a process of its own, ended on leaving."""
    script = Path(__file__).with_name("scripted_endpoint.py")
    command = [sys.executable, str(script), "--tokens-per-s", str(tokens_per_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield RunningEndpoint(process.stdout.readline().strip(), process.pid)
        finally:
            process.terminate()


@dataclass(frozen=True)
class RunningServer:
    """A server as a process, with its workers."""

    base_url: str
    pid: int

    @property
    def rss_mb(self) -> float:
        """Memory of the process and of all that it started, in megabytes (RSS, so what they share counts twice)."""
        return sum(_rss_mb(pid) for pid in _with_children(self.pid))

    @property
    def cpu_s(self) -> float:
        """Processor seconds that they have used."""
        return sum(_cpu_s(pid) for pid in _with_children(self.pid))


@contextmanager
def running_server(llm_base_url: str, *, n_workers: int = 1, **environment: str) -> Iterator[RunningServer]:
    """`cnaps-rag serve` on a free port, drafting by the LLM at `llm_base_url`; told to stop on leaving."""
    settings = {"CNAPS_RAG_LLM": "told", "OPENAI_BASE_URL": llm_base_url, "OPENAI_API_KEY": "none", **NO_LIMITS}
    command = [str(Path(sys.executable).with_name("cnaps-rag")), "serve", "--port", "0", "--workers", str(n_workers)]
    with running_process(command, "cnaps-rag answers at ", {**settings, **environment}) as server:
        yield server


@contextmanager
def running_process(command: list[str], told: str, environment: dict[str, str]) -> Iterator[RunningServer]:
    """A server that tells its address on standard error, after the words `told`."""
    with subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        base_url = next((line.strip().rpartition(told)[2] for line in lines if told in line), "")
        if not base_url:
            sys.exit(f"The server ended: run `{' '.join(command)}` to see why.")
        # Read on, or the log would fill the pipe and halt the server.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield RunningServer(base_url, process.pid)
        finally:
            process.terminate()
            process.wait(END_LIMIT_S)


def _with_children(pid: int) -> list[int]:
    """The process and those below it, as Linux tells them."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(below for child in children for below in _with_children(int(child)))]


def _rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
