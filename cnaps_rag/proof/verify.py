"""A bundle → what of it holds: all that is deterministic, checked again without an LLM and without a network."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cnaps_rag.errors import RequestError
from cnaps_rag.proof.bundle import LIMIT_BYTES, ProofBundle, read_bundle, request_of
from cnaps_rag.proof.installed import installed_versions
from cnaps_rag.proof.parts import (
    Check,
    check_agreement,
    check_canonical,
    check_places,
    check_quotes,
    check_sha256,
    check_shown_links,
    check_sources,
)
from cnaps_rag.proof.replay import Here, check_installed, check_replayed


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """All checks on one bundle; `notes` say what the checks do not decide."""

    checks: tuple[Check, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True when all holds; what could not be checked does not."""
        return all(check.holds for check in self.checks)


def verify_bundle(
    bundle: bytes | str | os.PathLike[str], *, encoder: str | None = None, verifier: str | None = None
) -> Verification:
    """What holds of a bundle, given as its bytes or its path. Nothing that it says of itself is believed or obeyed.

    Args:
        bundle: the file.
        encoder: name or folder on this disk of the encoder that the answer was made with; None is the shipped one.
        verifier: likewise of the verifier.

    Raises:
        RequestError: it is no bundle.
    """
    raw = bundle if isinstance(bundle, bytes) else load_bytes(bundle)
    read = read_bundle(raw, file="the bundle" if isinstance(bundle, bytes) else str(bundle))
    request, here = request_of(read), Here(encoder=encoder, verifier=verifier)
    installed = check_installed(read, here)
    checks = (
        check_canonical(raw, read),
        check_sha256(read),
        check_agreement(read),
        check_sources(read, request),
        check_quotes(read, request),
        check_places(read),
        check_shown_links(read, request),
        *installed,
        *check_replayed(read, here, installed),
    )
    return Verification(checks=checks, notes=tuple(_notes(read)))


def load_bytes(file: str | os.PathLike[str]) -> bytes:
    """Bytes of a bundle's file; of a larger file than any bundle one byte more than `read_bundle` takes.

    Raises:
        RequestError: it cannot be read.
    """
    try:
        with Path(file).open("rb") as opened:
            return opened.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise RequestError(
            f"{file} cannot be read: {error.strerror}.", remedy="Give the path of a readable file."
        ) from None


def _notes(bundle: ProofBundle) -> list[str]:
    """What a reader should know beside the checks."""
    here = {"cnaps_rag": version("cnaps_rag")} | installed_versions()
    made = {"cnaps_rag": bundle.library} | bundle.versions
    notes = [
        f"made with {name} {made.get(name, 'unknown')[:40]!r}, checked with {here[name]!r}"
        for name in here
        if made.get(name) != here[name]
    ]
    if not bundle.answer["report"]["ok"]:
        notes.append("by its own report the answer is not traceable: it shows claims that did not pass, marked")
    return notes
