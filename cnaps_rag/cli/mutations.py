"""`mutations`: the validator under test."""

from __future__ import annotations

import click

from cnaps_rag.cli.console import (
    EPILOG,
    errors_told,
    json_text,
    print_result,
    progress_lines,
    read_request,
    read_settings,
)


@click.command(epilog=EPILOG)
@click.argument("request_files", metavar="REQUEST...", nargs=-1, required=True)
@click.option("--seed", default=0, show_default=True, help="Of every choice: the same seed makes the same mutations.")
@click.option("--limit-claims", type=click.IntRange(min=1), help="Most claims of each request; all without.")
@click.option("--verifier", metavar="NAME", help="Name or path of another claim verifier on this disk.")
@click.option("--list", "as_list", is_flag=True, help="Also list the faults that were accepted and the false alarms.")
@click.option("--json", "as_json", is_flag=True, help="Print every outcome as JSON instead of the table.")
def mutations(
    request_files: tuple[str, ...],
    *,
    seed: int,
    limit_claims: int | None,
    as_list: bool,
    as_json: bool,
    **overrides: str | None,
) -> None:
    """Test the validator: plant faults in what it accepts, edit it honestly, and count what it says of either.

    Each REQUEST is answered as `answer` would; the answer's claims and links and the sources' sentences are changed.
    """
    with errors_told():
        from cnaps_rag.evaluation.mutations import render_list, render_table, report_values, run_mutations

        settings = read_settings(overrides)
        requests = [read_request(file, settings) for file in request_files]
        report = run_mutations(
            requests, seed=seed, settings=settings, limit_claims=limit_claims, progress=progress_lines()
        )
    if as_json:
        print_result(json_text(report_values(report)))
    else:
        print_result(render_table(report) + (f"\n\n{render_list(report)}" if as_list else ""))
