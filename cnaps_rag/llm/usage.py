"""What LLM calls cost: calls, tokens, seconds and money."""

from __future__ import annotations

from dataclasses import dataclass

from cnaps_rag.passages import PassageId
from cnaps_rag.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What LLM calls cost, failed ones included; usages add up.

    Attributes:
        calls: requests sent, retries included; `failed_calls` of them brought no reply.
        seconds: wall-clock time, waiting between retries included.
        cost: in the currency of ``Settings.llm_prices``; None where the price of a call is not known.
        estimated: True where a server told no token counts and our own stand in their place.
        llms: names of the LLMs that replied, as the servers gave them: the only sign that an unknown name was
            silently answered by another LLM.
        left_out: passages that the prompts' token budget left out.
    """

    calls: int = 0
    failed_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    cost: float | None = 0.0
    estimated: bool = False
    llms: tuple[str, ...] = ()
    left_out: tuple[PassageId, ...] = ()

    def __add__(self, other: Usage) -> Usage:
        """Both together."""
        costs = (self.cost, other.cost)
        return Usage(
            calls=self.calls + other.calls,
            failed_calls=self.failed_calls + other.failed_calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            seconds=self.seconds + other.seconds,
            cost=None if costs[0] is None or costs[1] is None else costs[0] + costs[1],
            estimated=self.estimated or other.estimated,
            llms=tuple(dict.fromkeys(self.llms + other.llms)),
            left_out=tuple(dict.fromkeys(self.left_out + other.left_out)),
        )


def estimated_cost(settings: Settings, prompt_tokens: int, completion_tokens: int) -> float | None:
    """Cost of so many tokens by ``settings.llm_prices``, or None where the LLM has no price there."""
    price = settings.llm_prices.get(settings.llm or "")
    if price is None:
        return None
    return (
        prompt_tokens * price.per_million_prompt_tokens + completion_tokens * price.per_million_completion_tokens
    ) / 1_000_000
