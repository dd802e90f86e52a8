"""All numbers and names of the server that whoever runs it may change, as one frozen value."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServerSettings(BaseSettings):
    """Settings of one server. Environment: ``CNAPS_RAG_SERVER_<NAME>``; what an answer needs is in `Settings`.

    Limits that are told "per worker" hold for each process by itself.
    """

    model_config = SettingsConfigDict(env_prefix="CNAPS_RAG_SERVER_", frozen=True, extra="forbid", allow_inf_nan=False)

    # Where
    host: str = Field(default="127.0.0.1", description="Address to listen on; another than loopback needs a key file.")
    port: int = Field(default=8000, ge=0, le=65_535, description="Port; 0 takes a free one.")
    workers: int = Field(default=1, ge=1, description="Processes that answer; each loads the models, about 260 MB.")
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names by which clients may call this server; empty means loopback's without a key file, else any.",
    )
    cors_origins: tuple[str, ...] = Field(
        default=(), description="Origins of other sites whose pages may call; empty means none."
    )

    # Who
    keys_file: str | None = Field(
        default=None, description="File of hashed keys, made by `cnaps-rag keys new`; None means loopback only."
    )
    redis_url: SecretStr | None = Field(
        default=None, description="Redis in which workers share cache and rate limits; None keeps both in each worker."
    )

    # How much, how long
    limit_body_bytes: int = Field(default=4_000_000, ge=1, description="Largest body of a request.")
    limit_request_s: float = Field(default=300.0, gt=0, description="Most seconds for one answer, waiting not counted.")
    rate_per_minute: int = Field(default=60, ge=0, description="Most answers a key may ask for a minute; 0 sets none.")
    limit_running: int = Field(default=64, ge=1, description="Answers made at once, per worker.")
    limit_waiting: int = Field(default=64, ge=0, description="Requests that may wait for a place, per worker.")
    limit_wait_s: float = Field(default=30.0, ge=0, description="Most seconds that a request waits for a place.")
    shutdown_s: float = Field(
        default=60.0, ge=0, description="Seconds that running answers have left when the server is told to stop."
    )
    ping_s: float = Field(
        default=15.0, gt=0, description="Seconds between a silent stream's signs of life; proxies cut at 30 to 60."
    )

    # Cache of answers
    cache_answers: int = Field(default=256, ge=0, description="Most answers kept in memory, per worker; 0 keeps none.")
    cache_limit_bytes: int = Field(default=64_000_000, ge=0, description="Most bytes of them, per worker.")
    cache_ttl_s: float = Field(default=3_600.0, gt=0, description="Seconds that an answer is kept, also in Redis.")

    # What is told
    log_style: Literal["json", "console"] | None = Field(
        default=None, description="Form of the log; None means console lines on a terminal, JSON elsewhere."
    )
    llm_check_s: float = Field(
        default=10.0, ge=0, description="Seconds for which `/readyz` believes what it last found of the LLM."
    )
