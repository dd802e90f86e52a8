"""The whole way with a real, weak LLM: whatever it makes up, what reaches the user is traceable."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import cnaps_rag as cr

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT.parent / "shared/tools/llm-server"

LLM = "qwen2.5-coder-1.5b"
PATIENCE_S = 400.0  # two busy cores write a token or two a second

pytestmark = pytest.mark.llm


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def llm_settings() -> Iterator[cr.Settings]:
    """Settings of a running LLM: the one the environment names, else one that this fixture starts and ends."""
    if os.environ.get("CNAPS_RAG_LLM") and os.environ.get("OPENAI_BASE_URL"):
        yield cr.Settings(llm_timeout_s=PATIENCE_S)
        return
    if not SCRIPT.is_file():
        pytest.skip("../shared/tools/llm-server is absent, and CNAPS_RAG_LLM and OPENAI_BASE_URL name no LLM")
    folder = Path(os.environ.get("CNAPS_LLM_DIR") or Path.home() / ".cache/cnaps-llm")
    port = free_port()
    subprocess.run([str(SCRIPT), "start", str(port)], check=True, stdout=subprocess.DEVNULL)
    pid = int((folder / "server.pid").read_text())
    try:
        yield cr.Settings(
            llm=LLM,
            openai_base_url=f"http://127.0.0.1:{port}/v1",
            openai_api_key="local",
            llm_timeout_s=PATIENCE_S,
        )
    finally:
        os.kill(pid, 15)


@pytest.mark.parametrize("name", ["000.txt", "001.txt"])
def test_answer_of_a_weak_llm_is_traceable_and_proved(name: str, llm_settings: cr.Settings) -> None:
    request = cr.AnswerRequest.from_prompt((ROOT / "data/requests" / name).read_text())
    proved = cr.prove(request, llm_settings)
    answer = proved.answer
    assert cr.verify_bundle(proved.raw).ok
    assert answer.report.ok
    assert cr.validate(answer.markdown, request).ok
    assert answer.usage.calls >= 1
    assert answer.drafter == (os.environ.get("CNAPS_RAG_LLM") or LLM)
    assert all(link.verdict == "supplied" for link in answer.report.links)
    for claim in answer.claims:
        for citation in claim.citations:
            assert request.text(citation.source_id, citation.field)[citation.start : citation.end] == citation.quote
