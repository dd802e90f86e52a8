"""What the pipeline asks of an LLM, as a generator: drivers for threads and for asyncio send the replies in."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from cnaps_rag.draft import Draft, DraftReader
from cnaps_rag.errors import BadDraftError
from cnaps_rag.llm import Reply, ReplyPart, Usage
from cnaps_rag.prompt import Prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class LLMCall:
    """A prompt to send, and the seconds that it may take.

    Where there is a `reader`, whoever makes the call may feed it the reply's parts, and send None whenever that made
    something whole; the call is then yielded again, and goes on.
    """

    prompt: Prompt
    deadline_s: float
    reader: DraftReader | None = None

    def takes(self, part: ReplyPart) -> bool:
        """Feeds the reader; True when something became whole."""
        if self.reader is None:
            return False
        if part.starts:
            self.reader.restart()
        return self.reader.feed(part.text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """The draft that a call brought, and its cost; `failure` tells why the reply broke off, where it did."""

    draft: Draft
    usage: Usage
    failure: BadDraftError | None = None


Asked = Generator[LLMCall, Reply | None, Drawn]


def ask(prompt: Prompt, *, deadline_s: float, llm: str, on_part: Callable[[Draft], None] | None = None) -> Asked:
    """The draft that the LLM called `llm` replies; of a reply that broke off, what was whole.

    Args:
        prompt: what is sent.
        deadline_s: seconds that the call may take.
        llm: name of the LLM that is asked.
        on_part: takes what is whole of the draft while it arrives, each time that it has grown.

    Raises:
        ServiceError: no reply, or none with a claim in it; its `usage` counts what was spent.
    """
    reader = DraftReader(prompt.form, llm)
    call = LLMCall(prompt=prompt, deadline_s=deadline_s, reader=None if on_part is None else reader)
    try:
        reply = yield call
        while reply is None:
            if on_part is not None and reader.draft is not None:
                on_part(reader.draft)
            reply = yield call
        return Drawn(draft=replace(reader.close(reply.text), drafter=reply.llm), usage=reply.usage)
    except BadDraftError as error:
        try:
            draft = reader.close(error.partial_text)
        except BadDraftError:
            draft = None
        if draft is None or not any(slot.claims for slot in draft.slots):
            raise error from None
        return Drawn(draft=draft, usage=error.usage or Usage(), failure=error)
