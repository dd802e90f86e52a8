"""The proof bundle: one JSON file with an answer and all that made it, in one canonical form under one hash."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any, Final, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from cnaps_rag.errors import RequestError
from cnaps_rag.llm import Exchange
from cnaps_rag.render.json import AnswerJson
from cnaps_rag.request import AnswerRequest
from cnaps_rag.settings import Settings

VERSION: Final = "cnaps_rag.proof/1"
"""Rises when a key is added, renamed, removed or changes its meaning."""

LIMIT_BYTES: Final = 100_000_000
"""Most bytes of a file that is read: a bundle has some 100 kB, one at the limits of a request a few MB."""

LIMIT_DEPTH: Final = 24
"""Most levels of nesting: a bundle has nine, and Python's own limit ends in an error that is not ours."""

LEFT_OUT_SETTINGS: Final = frozenset({"openai_api_key", "openai_base_url", "encoder_cache_file"})
"""What tells of the machine and the account, and decides nothing."""


class ModelFiles(BaseModel):
    """Which encoder or verifier: its name, and SHA-256 of each of its files by path in its folder.

    No files: an object of the caller's own, which cannot be told from another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: dict[str, str]


class ProofBundle(BaseModel):
    """An answer and all that made it.

    Attributes:
        sha256: hash of the canonical form without this field.
        library: version of cnaps_rag; `versions` are those of what it computes with, as information.
        source_sha256: hash of each supplied field's text, by source id and field.
        settings: all but `LEFT_OUT_SETTINGS`; of an encoder or verifier named by a folder, the folder's name alone.
        prompts_sha256: hash of all prompt files, used or not.
        drafter: ``extractive``, or the LLM that drafted as its server called it; `llm` is the name asked for.
        exchanges: every call to an LLM, for the draft, for repair and for judging, with the reply as sent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Literal["cnaps_rag.proof/1"] = VERSION
    sha256: str
    library: str
    versions: dict[str, str]
    request: dict[str, Any]
    source_sha256: dict[str, dict[str, str]]
    settings: dict[str, Any]
    prompts_sha256: str
    drafter: str
    llm: str | None
    encoder: ModelFiles
    verifier: ModelFiles
    verifier_threshold: float
    exchanges: tuple[Exchange, ...]
    answer: AnswerJson

    @model_validator(mode="after")
    def _holds_settings_and_request(self) -> Self:
        try:
            read = settings_values(settings_of(self))
            request_of(self)
        except RequestError as error:
            raise ValueError(f"the request is not usable: {error}") from None
        changed = sorted(name for name, value in self.settings.items() if read.get(name) != value)
        if changed:
            raise ValueError(f"the setting {changed[0]!r} is none of a bundle's, or not as it would be written")
        return self


class _GivenSettings(Settings):
    """Settings of which nothing comes from the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def settings_values(settings: Settings) -> dict[str, Any]:
    """Plain values of the settings that a bundle holds."""
    return settings.model_dump(mode="json", exclude=set(LEFT_OUT_SETTINGS))


def given_settings(values: dict[str, Any]) -> Settings:
    """Settings as `settings_values` wrote them; nothing comes from the environment.

    Raises:
        ValueError: they are none.
    """
    return _GivenSettings(**values)


def settings_of(bundle: ProofBundle) -> Settings:
    """The settings that the answer was made with, without key, address and cache file."""
    return given_settings(bundle.settings)


def request_of(bundle: ProofBundle) -> AnswerRequest:
    """The request that was answered.

    Raises:
        RequestError: it is none, or larger than the bundle's own settings allow.
    """
    return AnswerRequest.model_validate(bundle.request, context={"settings": settings_of(bundle)})


_SURROGATE = re.compile("[\ud800-\udfff]")


def canonical_bytes(bundle: ProofBundle) -> bytes:
    """The one form in which a bundle is written: JSON in UTF-8, keys sorted, two blanks a level, one final line end."""
    return _canonical(bundle.model_dump())


def content_sha256(bundle: ProofBundle) -> str:
    """SHA-256 of the canonical form without the field `sha256`, in hexadecimal."""
    return hashlib.sha256(_canonical(bundle.model_dump(exclude={"sha256"}))).hexdigest()


def sealed(bundle: ProofBundle) -> ProofBundle:
    """The same bundle with the hash that it has to have."""
    return bundle.model_copy(update={"sha256": content_sha256(bundle)})


def _canonical(values: dict[str, Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True)
    # Half of a surrogate pair, which an LLM's reply can hold as an escape, stays one: UTF-8 has no form for it.
    return (_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n").encode()


def read_bundle(raw: bytes, *, file: str = "the bundle") -> ProofBundle:
    """The bundle in these bytes; whether it is true to itself and to what made it is not looked at here.

    Raises:
        RequestError: they are no bundle; says what was found, and what to do.
    """
    found = _read_json(raw, file)
    version = found.get("version")
    if version != VERSION:
        raise _unusable(
            file, f"its version is {version!r:.60}, not {VERSION!r}", "Use the cnaps_rag that made it, if one did."
        )
    try:
        return ProofBundle.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _unusable(file, f"{place[:100]!r}: {first['msg'][:300]}") from None


def _unusable(
    file: str, found: str, remedy: str = "Give a file that `cnaps-rag answer --proof` wrote."
) -> RequestError:
    return RequestError(f"{file} is no proof bundle: {found}.", remedy=remedy)


def _read_json(raw: bytes, file: str) -> dict[str, Any]:
    if len(raw) > LIMIT_BYTES:
        raise _unusable(file, f"it has more than {LIMIT_BYTES:,} bytes")
    try:
        found: object = json.loads(
            raw.decode(), object_pairs_hook=_distinct, parse_constant=_refuse_number, parse_float=_finite
        )
    except UnicodeDecodeError as error:
        raise _unusable(file, f"it is not UTF-8 at byte {error.start}") from None
    except ValueError as error:
        raise _unusable(file, f"it is no JSON of ours: {error}") from None
    except RecursionError:
        raise _unusable(file, "it is nested too deeply") from None
    if not isinstance(found, dict):
        raise _unusable(file, "it is no JSON object")
    values = cast("dict[str, Any]", found)
    if _depth_exceeds(values, LIMIT_DEPTH):
        raise _unusable(file, "it is nested too deeply")
    return values


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:60]!r} stands twice in one object")
    return values


def _refuse_number(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refuse_number(digits[:20])


def _depth_exceeds(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: object) -> list[Any]:
    values: Any = value
    if isinstance(value, dict):
        return list(values.values())
    return values if isinstance(value, list) else []
