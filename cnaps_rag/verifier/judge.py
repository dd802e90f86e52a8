"""An LLM asked about what another verifier leaves open: one pair a call, believed only with a quote that is there."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, StrictBool, StrictStr, ValidationError

from cnaps_rag.errors import BadDraftError, ServiceError
from cnaps_rag.llm import LLM, Completes, Usage
from cnaps_rag.passages import PassageId
from cnaps_rag.prompt import Message, as_data, count_message_tokens, fill_prompt, unforgeable_key
from cnaps_rag.settings import Settings
from cnaps_rag.verifier.protocol import Floats, Pair, Verifier
from cnaps_rag.verifier.windows import select_window

LEAST_QUOTE_WORDS = 3
"""Fewer words stand in nearly any evidence, and show nothing."""

_STEP = 1e-3
"""How far from the threshold a judged score lies: just so far that no rounding carries it across."""

_QUOTATION_MARKS = "\"'“”‘’«» …."


class JudgeReply(BaseModel):
    """What an LLM says of one pair: the words of the evidence that decide, and whether they support the claim."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quote: StrictStr
    supported: StrictBool


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgePrompt:
    """What the call about one pair sends; `evidence` as it is shown, on one line and without control tokens."""

    messages: tuple[Message, ...]
    n_tokens: int
    evidence: str
    left_out: tuple[PassageId, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema of `JudgeReply`; the quote comes first, so that a weak LLM looks before it decides."""
        properties = {"quote": {"type": "string"}, "supported": {"type": "boolean"}}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def is_obeyed(self, reply_text: str) -> bool:
        """True when the reply is such an object and nothing else."""
        try:
            JudgeReply.model_validate_json(reply_text)
        except ValidationError:
            return False
        return True

    def is_answered(self, reply_text: str) -> bool:
        """True when the reply holds such an object."""
        return read_reply(reply_text) is not None


class LLMJudge:
    """A verifier that puts to an LLM what another one scores close to its threshold. Thread-safe; for one request.

    A pair is supported where the LLM says so and quotes words that stand in the evidence; it then scores just above the
    threshold. Every other pair in the band scores just below: what the LLM denies, quotes wrongly or fails on, and
    what there is no budget for, best scores first.
    """

    def __init__(self, verifier: Verifier, settings: Settings, *, llm: Completes | None = None) -> None:
        """Asks nothing yet; `llm` is what it will ask, None the one that the settings name.

        Raises:
            ServiceError: the settings name no LLM.
        """
        if not settings.llm:
            raise ServiceError("No LLM is named that could judge. Set CNAPS_RAG_LLM, or leave CNAPS_RAG_LLM_JUDGE off.")
        self._verifier = verifier
        self._settings = settings
        self._llm = llm if llm is not None else LLM(settings)
        self._lock = threading.Lock()
        self._supported: dict[Pair, bool] = {}
        self._usage = Usage()
        self._n_asked = 0
        self._seconds_left = settings.llm_judge_limit_s

    @property
    def threshold(self) -> float:
        """That of the verifier which scores first."""
        return self._verifier.threshold

    @property
    def usage(self) -> Usage:
        """What the LLM's calls cost so far."""
        return self._usage

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Probability of support, as in `Verifier.score`, but for pairs that were judged or left undecided.

        Raises:
            ServiceError: the other verifier failed; or the LLM, where ``on_llm_judge_failure`` is ``raise``.
        """
        scores = self._verifier.score(pairs).astype(np.float32, copy=True)
        band, threshold = self._settings.llm_judge_band, self.threshold
        score_by_pair = {
            pair: float(score) for pair, score in zip(pairs, scores, strict=True) if abs(score - threshold) <= band
        }
        # Best first, and not in the order they come in: that must not decide what the budget is spent on.
        ranked = sorted(score_by_pair, key=lambda pair: (-score_by_pair[pair], pair))
        with self._lock:
            supported = {pair: self._judge(pair) for pair in ranked}
        for row, pair in enumerate(pairs):
            if pair in supported:
                scores[row] = min(threshold + _STEP, 1.0) if supported[pair] else max(threshold - _STEP, 0.0)
        return scores

    def _judge(self, pair: Pair) -> bool:
        """Whether the LLM shows that a pair is supported; asked once, while there is budget."""
        if pair not in self._supported:
            if self._n_asked >= self._settings.llm_judge_limit_pairs or self._seconds_left <= 0:
                return False
            self._n_asked += 1
            self._supported[pair] = self._ask(pair)
        return self._supported[pair]

    def _ask(self, pair: Pair) -> bool:
        prompt = build_judge_prompt(pair)
        if prompt.n_tokens > self._settings.prompt_limit_tokens:
            return False
        try:
            reply = self._llm.complete(prompt, deadline_s=min(self._seconds_left, self._settings.llm_timeout_s))
        except ServiceError as error:
            self._usage += error.usage or Usage()
            # A bad reply is this pair's; what is down would keep every other pair waiting for nothing.
            self._seconds_left = self._seconds_left if isinstance(error, BadDraftError) else 0.0
            if self._settings.on_llm_judge_failure == "raise":
                raise
            return False
        self._usage += reply.usage
        self._seconds_left -= reply.usage.seconds
        judged = read_reply(reply.text)
        return judged is not None and judged.supported and quotes(prompt.evidence, judged.quote)


def build_judge_prompt(pair: Pair) -> JudgePrompt:
    """Prompt that asks about one pair; of long evidence, what `select_window` reads of it."""
    evidence, claim = as_data(select_window(*pair)), as_data(pair[1])
    key = unforgeable_key((evidence, claim))
    content = fill_prompt("judge", key=key, evidence=evidence, claim=claim)
    messages: tuple[Message, ...] = ({"role": "user", "content": content},)
    return JudgePrompt(messages=messages, n_tokens=count_message_tokens(messages), evidence=evidence)


_DECODER = json.JSONDecoder()


def read_reply(text: str) -> JudgeReply | None:
    """The only object of the right form in a reply, fenced or in prose; None where there is none, or two disagree."""
    found: set[JudgeReply] = set()
    for brace in re.finditer(r"\{", text):
        try:
            found.add(JudgeReply.model_validate(_DECODER.raw_decode(text, brace.start())[0]))
        except (ValueError, RecursionError):  # pydantic's ValidationError is a ValueError
            continue
    return found.pop() if len(found) == 1 else None


def quotes(evidence: str, quote: str) -> bool:
    """True when `quote` stands in `evidence` word for word and is long enough, or all of it, to show something."""
    words = " ".join(quote.split()).strip(_QUOTATION_MARKS)
    is_long = len(words.split()) >= min(LEAST_QUOTE_WORDS, len(evidence.split()))
    return bool(words) and is_long and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", evidence) is not None
