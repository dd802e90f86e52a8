"""`verify` and `diff`: what of a proof bundle holds, and how two of them differ."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cnaps_rag.cli.console import EPILOG, EXIT_CHECK_FAILED, errors_told, json_text, note, print_result

if TYPE_CHECKING:
    from cnaps_rag.proof import ProofBundle


@click.command(epilog=EPILOG)
@click.argument("bundle", metavar="BUNDLE|-")
@click.option("--encoder", metavar="NAME", help="Name or path of the encoder it was made with, if not the shipped one.")
@click.option("--verifier", metavar="NAME", help="Name or path of the claim verifier it was made with, likewise.")
@click.option("--json", "as_json", is_flag=True, help="Print all checks as JSON.")
def verify(bundle: str, *, encoder: str | None, verifier: str | None, as_json: bool) -> None:
    """Check a proof bundle again, without an LLM and without a network: what holds of it, and what does not.

    Exit 0 only if all holds; what could not be checked here (exit 1) is told, and how it could be. A bundle is
    tamper-evident, not signed: keep its SHA-256 where nobody else can change it.
    """
    with errors_told():
        from cnaps_rag.proof import render_verification, verification_values, verify_bundle

        found = verify_bundle(_read(bundle), encoder=encoder, verifier=verifier)
    print_result(json_text(verification_values(found)) if as_json else render_verification(found))
    if not found.ok:
        sys.exit(EXIT_CHECK_FAILED)


@click.command(epilog=EPILOG)
@click.argument("before", metavar="A|-")
@click.argument("after", metavar="B|-")
@click.option("--exit-code", is_flag=True, help="Exit 1 if the bundles differ; without, 0 whether or not.")
@click.option("--json", "as_json", is_flag=True, help="Print all differences as JSON.")
def diff(before: str, after: str, *, exit_code: bool, as_json: bool) -> None:
    """Compare two proof bundles: which claims appeared, vanished or changed when a prompt or an LLM did.

    Lines with - are of A, with + of B; → follows a claim that changed, = one that is judged otherwise. Neither bundle
    is verified: a bundle that does not fit its own hash is only told.
    """
    if before == after == "-":
        raise click.UsageError("only one of A and B can be standard input.")
    with errors_told():
        from cnaps_rag.proof import diff_bundles, diff_values, render_diff

        found = diff_bundles(_read_intact(before), _read_intact(after))
    print_result(json_text(diff_values(found)) if as_json else render_diff(found))
    if exit_code and not found.is_empty:
        sys.exit(EXIT_CHECK_FAILED)


def _read(file: str) -> bytes:
    from cnaps_rag.proof import load_bytes
    from cnaps_rag.proof.bundle import LIMIT_BYTES

    return sys.stdin.buffer.read(LIMIT_BYTES + 1) if file == "-" else load_bytes(file)


def _read_intact(file: str) -> ProofBundle:
    """The bundle in `file`; says so where it was changed after it was made."""
    from cnaps_rag.proof import check_bytes, read_bundle

    raw = _read(file)
    bundle = read_bundle(raw, file=file)
    for check in check_bytes(raw):
        if not check.holds:
            note(f"warning: {file}: {check.name} does not hold: {check.told}")
    return bundle
