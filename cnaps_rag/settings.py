"""All numbers and names that a caller may change, as one frozen value read from arguments and the environment."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class LLMPrice(BaseModel):
    """Price of an LLM's tokens, in the caller's currency per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_million_prompt_tokens: float = Field(ge=0)
    per_million_completion_tokens: float = Field(ge=0)


class Settings(BaseSettings):
    """Settings of one `Answerer` or one validation. Environment: ``CNAPS_RAG_<NAME>``; the endpoint also ``OPENAI_*``.

    ``llm`` decides who drafts: a name asks the OpenAI-compatible endpoint, None the extractive drafter. The endpoint's
    address and key alone never send anything anywhere.
    """

    model_config = SettingsConfigDict(env_prefix="CNAPS_RAG_", frozen=True, extra="forbid", populate_by_name=True)

    # Who drafts
    llm: str | None = Field(default=None, description="Name of the LLM that drafts; None means the extractive drafter.")
    drafter: Literal["llm", "extractive"] | None = Field(
        default=None, description="Overrides the choice that `llm` makes."
    )
    openai_base_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("openai_base_url", "OPENAI_BASE_URL"),
        description="Address of the endpoint.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("openai_api_key", "OPENAI_API_KEY"),
        description="Key of the endpoint.",
    )
    llm_timeout_s: float = Field(
        default=120.0, gt=0, description="Total seconds for one LLM reply, its retries included."
    )
    llm_max_retries: int = Field(default=4, ge=0, description="Retries of one LLM call after failures that may pass.")
    llm_temperature: float = Field(default=0.0, ge=0, le=2)
    llm_seed: int | None = Field(default=0, description="Seed sent to the LLM; None sends none.")
    llm_prices: dict[str, LLMPrice] = Field(default_factory=dict, description="Prices by LLM name, for `usage.cost`.")
    prompt_limit_tokens: int = Field(
        default=6_000, ge=500, description="Most tokens of one prompt, schema not counted."
    )
    reply_limit_tokens: int = Field(default=2_000, ge=50, description="Most tokens of one reply.")

    # Repair: what may be spent on rejected claims, over all rounds together
    repair_limit_calls: int = Field(default=2, ge=0)
    repair_limit_tokens: int = Field(default=12_000, ge=0)
    repair_limit_s: float = Field(default=120.0, ge=0)
    on_untraceable: Literal["drop", "raise", "mark"] = "drop"
    on_llm_failure: Literal["raise", "extractive"] = "raise"

    # Encoder
    encoder: str | None = Field(
        default=None, description="Name or path of a sentence-transformers model; None means the shipped one."
    )
    encoder_cache_vectors: int = Field(
        default=50_000, ge=0, description="Most vectors kept, in memory and in the file; 1.5 kB each, 0 keeps none."
    )
    encoder_cache_file: str | None = Field(
        default=None, description="File that keeps vectors between processes; None keeps none."
    )

    # Verifier
    verifier: str | None = Field(
        default=None,
        description="Name or path of a cross-encoder or MiniCheck model on this disk; None means the shipped one.",
    )
    verifier_threshold: float | None = Field(
        default=None, gt=0, lt=1, description="Score from which a claim is supported; None means the verifier's own."
    )
    verifier_support_label: str | None = Field(
        default=None, description="Label of a named classifier that means supported, where its config does not tell."
    )

    # LLM judge: what the verifier leaves open
    llm_judge: bool = Field(default=False, description="Ask the LLM `llm` about claims that the verifier leaves open.")
    llm_judge_band: float = Field(
        default=0.15, ge=0, le=0.5, description="Scores so near the threshold, on either side, are left open."
    )
    llm_judge_limit_pairs: int = Field(default=24, ge=0, description="Most pairs put to the LLM for one request.")
    llm_judge_limit_s: float = Field(default=60.0, ge=0, description="Most seconds spent on them.")
    on_llm_judge_failure: Literal["undecided", "raise"] = Field(
        default="undecided", description="What is left open when the LLM fails is not supported, or an error."
    )

    # Limits of a request
    request_limit_chars: int = Field(default=1_000_000, ge=1)
    request_limit_sources: int = Field(default=1_000, ge=1)
