"""What one endpoint takes for one LLM: how a reply's form may be asked for, and which parameters it refuses."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cnaps_rag.llm.asking import Asking
from cnaps_rag.settings import Settings

if TYPE_CHECKING:
    from openai import APIStatusError

ReplyFormat = Literal["schema", "json", "text"]

_WEAKER: dict[ReplyFormat, ReplyFormat] = {"schema": "json", "json": "text"}

_NAMES_FORMAT = re.compile(r"response_?format|json_?schema|json_object|schema|grammar|structured", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """What one endpoint was found to take for one LLM; as it stands, what none has refused yet.

    `limit_name` is the parameter that bounds a reply: the older name is the one that most servers know. `refused` are
    optional parameters that are not sent.
    """

    reply_format: ReplyFormat = "schema"
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    refused: frozenset[str] = frozenset()

    def arguments(self, prompt: Asking, settings: Settings, *, streams: bool = False) -> dict[str, Any]:
        """Arguments of one chat completion, asked for in parts where it `streams`."""
        arguments: dict[str, Any] = {
            "model": settings.llm,
            "messages": list(prompt.messages),
            self.limit_name: settings.reply_limit_tokens,
            "temperature": settings.llm_temperature,
        }
        if settings.llm_seed is not None:
            arguments["seed"] = settings.llm_seed
        if streams:
            arguments |= {"stream": True, "stream_options": {"include_usage": True}}
        if self.reply_format == "schema":
            schema = {"name": "draft", "strict": True, "schema": prompt.schema}
            arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif self.reply_format == "json":
            arguments["response_format"] = {"type": "json_object"}
        return {name: value for name, value in arguments.items() if name not in self.refused}

    def weaker(self) -> Dialect | None:
        """The same with the next weaker way to ask for a form, or None where it is plain text already."""
        weaker = _WEAKER.get(self.reply_format)
        return None if weaker is None else replace(self, reply_format=weaker)

    def after(self, error: APIStatusError) -> Dialect | None:
        """What to try next where `error` may be the refusal of something optional, or None where it is not.

        A 400 that does not say what is wrong may be any of it, so it too is answered by asking for less.
        """
        told = f"{error.param or ''} {error.message}".lower()
        # OpenAI's reasoning LLMs: "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        if "max_completion_tokens" in told and self.limit_name == "max_tokens":
            return replace(self, limit_name="max_completion_tokens")
        for name in ("temperature", "seed", "stream_options", "stream"):
            if re.search(rf"\b{name}\b", told) and name not in self.refused:
                return replace(self, refused=self.refused | {name})
        if error.status_code in (400, 415, 422) or (error.status_code >= 500 and _NAMES_FORMAT.search(told)):
            return self.weaker()
        return None


_FORGET_S = 3_600.0
"""Seconds after which an endpoint is asked for a schema again: gateways change the servers behind one name."""


class Dialects:
    """What endpoints were found to take, so that no call pays for finding it again. Thread-safe."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[Dialect, float]] = {}
        self._lock = threading.Lock()

    def recall(self, address: str, llm: str) -> Dialect:
        """What was found, or what to try first."""
        with self._lock:
            dialect, found_at = self._found.get((address, llm), (Dialect(), 0.0))
        return dialect if time.monotonic() - found_at < _FORGET_S else Dialect()

    def remember(self, address: str, llm: str, dialect: Dialect) -> None:
        """Keeps `dialect` for the next calls."""
        with self._lock:
            self._found[address, llm] = (dialect, time.monotonic())
