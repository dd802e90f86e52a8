"""What an LLM can be asked: a chat, the form of its reply, and how that is told from something else."""

from __future__ import annotations

from typing import Any, Protocol

from cnaps_rag.passages import PassageId
from cnaps_rag.prompt import Message


class Asking(Protocol):
    """What one LLM call sends, and how its reply is told from something else."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The chat."""
        ...

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema of the reply."""
        ...

    @property
    def n_tokens(self) -> int:
        """Tokens of the messages, the schema not counted."""
        ...

    @property
    def left_out(self) -> tuple[PassageId, ...]:
        """Passages that the token budget left out."""
        ...

    def is_obeyed(self, reply_text: str) -> bool:
        """True when a server that enforces the schema could have sent this whole reply."""
        ...

    def is_answered(self, reply_text: str) -> bool:
        """True when the reply holds all that was asked for, in whatever wrapping."""
        ...


class AskingParts(Asking, Protocol):
    """What is asked for a reply that is read while it arrives."""

    def is_begun(self, reply_text: str) -> bool:
        """True when something in a reply that broke off can be used."""
        ...
