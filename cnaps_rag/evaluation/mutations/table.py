"""A report on mutations as text and as plain values."""

from __future__ import annotations

from typing import Any

from cnaps_rag.evaluation.mutations.measure import KindRate, MutationReport, Outcome


def render_table(report: MutationReport) -> str:
    """Markdown table: kill rate of each kind of fault, false-alarm rate of each kind of honest edit."""
    lines = [
        f"{report.n_accepted} claims under test; {len(report.not_accepted)} more were not accepted as they are.",
        "",
        "| kind | group | n | rate | 95% | |",
        "|---|---|---:|---:|---|---|",
    ]
    return "\n".join([*lines, *(_row(rate) for rate in report.rates)])


def _row(rate: KindRate) -> str:
    low, high = (f"{100 * end:.1f}" for end in rate.interval)
    what = "killed" if rate.is_fault else "false alarms"
    return f"| {rate.kind} | {rate.group} | {rate.n} | {100 * rate.rate:.1f}% | {low} to {high} | {what} |"


def render_list(report: MutationReport) -> str:
    """Every surviving fault and every false alarm, with what was changed and what the validator said."""
    parts = [f"Faults that were accepted: {len(report.surviving)}", *map(_told, report.surviving)]
    parts += [f"Honest edits that were rejected: {len(report.false_alarms)}", *map(_told, report.false_alarms)]
    return "\n\n".join(parts)


def _told(outcome: Outcome) -> str:
    mutation, ruling = outcome.mutation, outcome.ruling
    evidence = "; ".join(f"{citation.source_id} {citation.quote!r}" for citation in ruling.evidence)
    lines = [
        f"{mutation.kind} ({mutation.change}) under {mutation.subject or 'no heading'}",
        f"  claim: {mutation.text}",
        f"  before: {mutation.original}",
        f"  {ruling.verdict} by {ruling.layer}: {ruling.reason}",
    ]
    return "\n".join([*lines, f"  evidence: {evidence}"] if evidence else lines)


def report_values(report: MutationReport) -> dict[str, Any]:
    """The report for ``json.dumps``: rates by kind and group, and every outcome."""
    return {
        "seed": report.seed,
        "n_accepted": report.n_accepted,
        "not_accepted": [
            {"text": specimen.text, "subject": specimen.subject, "verdict": ruling.verdict, "reason": ruling.reason}
            for specimen, ruling in report.not_accepted
        ],
        "rates": [
            {
                "kind": rate.kind,
                "group": rate.group,
                "is_fault": rate.is_fault,
                "n": rate.n,
                "rate": rate.rate,
                "interval": rate.interval,
            }
            for rate in report.rates
        ],
        "outcomes": [_values(outcome) for outcome in report.outcomes],
    }


def _values(outcome: Outcome) -> dict[str, Any]:
    mutation, ruling = outcome.mutation, outcome.ruling
    return {
        "kind": mutation.kind,
        "is_fault": mutation.is_fault,
        "group": mutation.group,
        "original": mutation.original,
        "text": mutation.text,
        "subject": mutation.subject,
        "change": mutation.change,
        "is_right": outcome.is_right,
        "verdict": ruling.verdict,
        "layer": ruling.layer,
        "reason": ruling.reason,
    }
