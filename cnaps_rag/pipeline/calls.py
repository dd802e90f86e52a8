"""What the pipeline asks of an LLM, as a generator: drivers for threads and for asyncio send the replies in."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from cnaps_rag.draft import Draft, parse_draft
from cnaps_rag.errors import BadDraftError
from cnaps_rag.llm import Reply, Usage
from cnaps_rag.prompt import Prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class LLMCall:
    """A prompt to send, and the seconds that it may take."""

    prompt: Prompt
    deadline_s: float


def ask(prompt: Prompt, *, deadline_s: float, llm: str) -> Generator[LLMCall, Reply, tuple[Draft, Usage]]:
    """The draft that the LLM called `llm` replies, and its cost; of a reply that broke off, what was whole.

    Raises:
        ServiceError: no reply, or none with a claim in it; its `usage` counts what was spent.
    """
    try:
        reply = yield LLMCall(prompt=prompt, deadline_s=deadline_s)
        return parse_draft(reply.text, prompt.form, reply.llm), reply.usage
    except BadDraftError as error:
        draft = parse_draft(error.partial_text, prompt.form, llm)
        if not any(slot.claims for slot in draft.slots):
            raise
        return draft, error.usage or Usage()
