"""From a prompt to the reply of an LLM behind any OpenAI-compatible endpoint, with what it cost, or from a recording.

`asking` says what can be asked; `client` asks an endpoint: `completion` by calls in the `dialect` that it takes, whose
`failures` it tells, `streamed` while the reply arrives; `recorded` keeps exchanges and gives them again.
"""

from __future__ import annotations

from cnaps_rag.llm.client import LLM
from cnaps_rag.llm.completion import Reply
from cnaps_rag.llm.dialect import ReplyFormat
from cnaps_rag.llm.recorded import Completes, Exchange, Failure, RecordedLLM, RecordingLLM, Streams, sha256_of
from cnaps_rag.llm.streamed import ReplyPart
from cnaps_rag.llm.usage import Usage, estimated_cost

__all__ = [
    "LLM",
    "Completes",
    "Exchange",
    "Failure",
    "RecordedLLM",
    "RecordingLLM",
    "Reply",
    "ReplyFormat",
    "ReplyPart",
    "Streams",
    "Usage",
    "estimated_cost",
    "sha256_of",
]
