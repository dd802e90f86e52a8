"""What stands beside a link that makes it a part of another: the rest of a broken link, or something invisible."""

from __future__ import annotations

import re

from cnaps_rag.links.characters import BLANKS, has_invisible
from cnaps_rag.links.scan import Span


def invisible_at(text: str, start: int, end: int) -> str | None:
    """Why a link is disguised in which, or right beside which, an invisible character stands; else None."""
    if has_invisible(text, start, end):
        return "it holds an invisible character"
    if has_invisible(text, start - 1, start) or has_invisible(text, end, end + 1):
        return "an invisible character stands beside it"
    return None


_LIMIT_BEFORE_CHARS = 24  # "https : / / ", with room for blanks
_BEFORE = re.compile(
    rf"(?:\b(?:https?|hxxps?|ftp)\s?:\s?(?:[/\\]{{0,3}}[{BLANKS}]+|[/\\]{{1,3}}[\W_]{{1,3}})"  # "https:// github.com/…"
    rf"|\bwww[{BLANKS}]*\.[{BLANKS}]*"
    r"|(?<!<)[/\\])$",
    re.IGNORECASE,
)
_GAP = r"(?:[^\S\n]+|[^\S\n]*\n[^\S\n]*)"
_AFTER = re.compile(
    rf"{_GAP}(?:[/\\][^\W_]|\.[^\W_]|[?&][\w.%-]+=|%[0-9A-Fa-f]{{2}})"  # "https://github.com/o/r /issues"
    r"|[^\S\n]*\n-[a-z0-9][\w.-]*[^\S\n]*(?:\n|$)"  # "https://github.com/o/r", and "-fork" alone on the next line
    r"|[\u3002\uff0e\uff61\uff1a](?:pdf|git|v\d{1,2})(?![A-Za-z0-9])"
)
_AFTER_DOT = re.compile(rf"{_GAP}(?:pdf(?!\w)|git(?=\s*(?:[,;)\n]|\.(?:\s|$)|$)))")
_VERSION_AFTER = re.compile(rf"{_GAP}v\d{{1,2}}(?:\.pdf)?(?![A-Za-z0-9-])")
_VERSIONED = re.compile(r"(?:v\d+|\.pdf)$")


def broken(text: str, span: Span, canonical: str) -> str | None:
    """Why the link is a part of one that is broken by blanks or a line's end; else None."""
    is_without_scheme = "://" not in text[span.start : span.end] and not span.target
    before = text[max(0, span.start - _LIMIT_BEFORE_CHARS) : span.start]
    if is_without_scheme and _BEFORE.search(before) is not None:
        return "what stands before it makes it a part of another link"
    run = text[span.end : span.run_end]
    after = _AFTER if not run else _AFTER_DOT if run == "." else None
    is_page_without_version = (
        canonical.startswith("arxiv:") and not span.target and not _VERSIONED.search(text[span.start : span.end])
    )
    if (after is not None and after.match(text, span.end + len(run)) is not None) or (
        is_page_without_version and not run and _VERSION_AFTER.match(text, span.end) is not None
    ):
        return "it is broken by a blank or a line's end"
    return None
