"""From a prompt to the reply of an LLM behind any OpenAI-compatible endpoint, with what it cost, or from a recording.

`asking` says what can be asked; `client` asks an endpoint, in the `dialect` that it takes, and tells its `failures`;
`recorded` keeps exchanges and gives them again.
"""

from __future__ import annotations

from cnaps_rag.llm.client import LLM, Reply, ReplyFormat, Usage, estimated_cost
from cnaps_rag.llm.recorded import Completes, Exchange, Failure, RecordedLLM, RecordingLLM, sha256_of

__all__ = [
    "LLM",
    "Completes",
    "Exchange",
    "Failure",
    "RecordedLLM",
    "RecordingLLM",
    "Reply",
    "ReplyFormat",
    "Usage",
    "estimated_cost",
    "sha256_of",
]
