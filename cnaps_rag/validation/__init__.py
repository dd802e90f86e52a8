"""Draft or any text, and a request → what is traceable in it; the only layer that makes an `Answer`.

Read in this order: `visible`, `predicates` (what asserts nothing), `markup`, `blocks` (what a reader sees of a text),
`subjects` (which source is spoken of), `statements`, `split` (a text's claims), `entries`, `judge` (a claim's verdict),
`texts`, `drafts`, `loading`, `answers`.
"""

from __future__ import annotations

import asyncio

from cnaps_rag.report import Report
from cnaps_rag.request import AnswerRequest
from cnaps_rag.settings import Settings
from cnaps_rag.validation.answers import Settled, make_answer, settle
from cnaps_rag.validation.drafts import judge_draft
from cnaps_rag.validation.judge import ClaimJudge, ClaimQuery, Judgement
from cnaps_rag.validation.loading import load_index, load_judge
from cnaps_rag.validation.split import split_claims
from cnaps_rag.validation.statements import TextClaim
from cnaps_rag.validation.texts import judge_text
from cnaps_rag.verifier import Verifier

__all__ = [
    "ClaimJudge",
    "ClaimQuery",
    "Judgement",
    "Settled",
    "TextClaim",
    "avalidate",
    "judge_draft",
    "judge_text",
    "load_index",
    "load_judge",
    "make_answer",
    "settle",
    "split_claims",
    "validate",
]


def validate(
    text: str, request: AnswerRequest, *, settings: Settings | None = None, verifier: Verifier | None = None
) -> Report:
    """Every finding on the links and claims of any text, from any LLM or hand; needs no LLM. Thread-safe.

    Example:
        >>> validate("LIIF removes all noise.", request).ok
        False

    Raises:
        RequestError: the request is larger than `settings`, where given, allow.
        ServiceError: the encoder or the verifier failed; never because of what the text is.
    """
    return judge_text(text, load_judge(load_index(request, settings), verifier, settings=settings))


async def avalidate(
    text: str, request: AnswerRequest, *, settings: Settings | None = None, verifier: Verifier | None = None
) -> Report:
    """`validate` in a thread, for asyncio."""
    return await asyncio.to_thread(validate, text, request, settings=settings, verifier=verifier)
