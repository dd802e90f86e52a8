"""A report for a terminal: one line a finding with its place in the text, and a last line that counts."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter

from cnaps_rag.report import ClaimFinding, LinkFinding, Report

WIDTH_CHARS = 100
"""Most characters of a finding's text that are shown: enough to recognise a sentence."""


def render_findings(report: Report, text: str) -> str:
    """Lines ``line:column verdict (layer) "text": reason``, and for a supported claim its evidence's place."""
    line_starts = [0, *(place + 1 for place, char in enumerate(text) if char == "\n")]
    findings: list[LinkFinding | ClaimFinding] = sorted((*report.links, *report.claims), key=lambda found: found.start)
    lines = [f"{_place(found.start, line_starts)} {_line(found)}" for found in findings]
    return "\n".join([*lines, _count(report)])


def _place(offset: int, line_starts: list[int]) -> str:
    line = bisect_right(line_starts, offset)
    return f"{line}:{offset - line_starts[line - 1] + 1}"


def _line(found: LinkFinding | ClaimFinding) -> str:
    flat = " ".join(found.text.split())
    shown = flat if len(flat) <= WIDTH_CHARS else f"{flat[: WIDTH_CHARS - 1]}…"
    if isinstance(found, LinkFinding):
        return f"link {found.verdict} {shown!r}: {found.reason}"
    places = [f"{cited.source_id}.{cited.field}[{cited.start}:{cited.end}]" for cited in found.evidence]
    evidence = f" [{', '.join(places)}]" if places else ""
    return f"{found.verdict} ({found.layer}, {found.score:.2f}) {shown!r}: {found.reason}{evidence}"


def _count(report: Report) -> str:
    verdicts = Counter(claim.verdict for claim in report.claims) + Counter(
        f"link {link.verdict}" for link in report.links
    )
    counts = ", ".join(f"{n} {verdict}" for verdict, n in sorted(verdicts.items())) or "nothing to check"
    return f"{'traceable' if report.ok else 'NOT traceable'}: {counts}"
