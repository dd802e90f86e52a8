"""A request → its answer, and the bundle that proves how it came about."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urlsplit

from cnaps_rag.answer import Answer
from cnaps_rag.errors import ServiceError
from cnaps_rag.llm import LLM, Exchange, RecordingLLM, Streams
from cnaps_rag.llm.completion import DEFAULT_BASE_URL
from cnaps_rag.llm.failures import shown_address
from cnaps_rag.pipeline import Answerer
from cnaps_rag.prompt import prompts_sha256
from cnaps_rag.proof.bundle import ModelFiles, ProofBundle, canonical_bytes, read_bundle, sealed, settings_values
from cnaps_rag.proof.installed import files_of, installed_versions, shown_name
from cnaps_rag.request import AnswerRequest
from cnaps_rag.settings import Settings
from cnaps_rag.verifier import Verifier, load_verifier

LEAST_SECRET_CHARS = 8
"""Shorter keys and passwords ("none", "key") stand in any text, and guard nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proved:
    """An answer and its proof bundle."""

    answer: Answer
    bundle: ProofBundle

    @property
    def raw(self) -> bytes:
        """The bundle as it is written to a file."""
        return canonical_bytes(self.bundle)


def prove(
    request: AnswerRequest,
    settings: Settings | None = None,
    *,
    verifier: Verifier | None = None,
    llm: Streams | None = None,
    progress: Callable[[str], None] | None = None,
) -> Proved:
    """Answer to `request` as `Answerer` makes it, and its bundle. Arguments as there.

    Raises:
        RequestError, ServiceError, UntraceableError: as `Answerer.answer`; there is then no bundle either.
        ServiceError: the LLM's reply holds the endpoint's key or password.
    """
    settings = settings if settings is not None else Settings()
    recording = RecordingLLM(llm if llm is not None else LLM(settings), settings)
    answer = Answerer(settings, verifier=verifier, llm=recording).answer(request, progress=progress)
    return Proved(answer=answer, bundle=build_bundle(answer, recording.exchanges, settings, verifier=verifier))


def build_bundle(
    answer: Answer, exchanges: Iterable[Exchange], settings: Settings, *, verifier: Verifier | None = None
) -> ProofBundle:
    """Bundle of an answer that was made with these settings, and of all exchanges with an LLM in their order.

    Raises:
        ServiceError: the LLM's reply holds the endpoint's key or password, or a named encoder or verifier is gone.
    """
    without_address = _Redacted(settings)
    values = answer.to_json()
    values["notes"] = [without_address(note) for note in values["notes"]]
    named = {"encoder": settings.encoder, "verifier": settings.verifier}
    bundle = sealed(
        ProofBundle(
            sha256="",
            library=version("cnaps_rag"),
            versions=installed_versions(),
            request=values["request"],
            source_sha256=source_hashes(answer.request),
            settings=settings_values(settings) | {kind: name and shown_name(name) for kind, name in named.items()},
            prompts_sha256=prompts_sha256(),
            drafter=answer.drafter,
            llm=settings.llm,
            encoder=files_of("encoder", settings.encoder),
            verifier=files_of("verifier", settings.verifier) if verifier is None else _own(verifier),
            verifier_threshold=(verifier or load_verifier(settings.model_copy(update={"llm_judge": False}))).threshold,
            exchanges=tuple(without_address.of_failure(exchange) for exchange in exchanges),
            answer=values,
        )
    )
    raw = canonical_bytes(bundle)
    _check_no_secret(raw.decode(), settings)
    return read_bundle(raw)  # as whoever reads it will have it: lists where `bundle` still holds tuples


def source_hashes(request: AnswerRequest) -> dict[str, dict[str, str]]:
    """SHA-256 of each supplied field's text, by source id and field; the question is source ``Q``."""
    sources = (request.source("Q"), *request.sources)
    return {
        source.id: {
            field: hashlib.sha256(text.encode()).hexdigest()
            for field in source.field_names
            if (text := source.field(field)) is not None
        }
        for source in sources
    }


def _own(verifier: Verifier) -> ModelFiles:
    return ModelFiles(name=type(verifier).__name__, sha256={})


class _Redacted:
    """Takes the endpoint's address out of the words of an error, and what a proxy's address may hold beside it."""

    def __init__(self, settings: Settings) -> None:
        self._address = shown_address(settings.openai_base_url or DEFAULT_BASE_URL)

    def __call__(self, words: str) -> str:
        return re.sub(r"//[^/\s@]+@", "//", words.replace(self._address, "the endpoint"))

    def of_failure(self, exchange: Exchange) -> Exchange:
        if exchange.failure is None:
            return exchange
        failure = exchange.failure.model_copy(update={"message": self(exchange.failure.message)})
        return exchange.model_copy(update={"failure": failure})


def _check_no_secret(text: str, settings: Settings) -> None:
    key = settings.openai_api_key.get_secret_value().strip() if settings.openai_api_key is not None else ""
    for secret in (key, _password(settings.openai_base_url or "")):
        if len(secret) >= LEAST_SECRET_CHARS and secret in text:
            raise ServiceError(
                "What the LLM replied, or the request, holds the key or the password of the endpoint: no bundle is "
                "made that would give it away. Change the key."
            )


def _password(address: str) -> str:
    try:
        return urlsplit(address).password or ""
    except ValueError:
        return ""
