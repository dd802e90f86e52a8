"""A verdict on every link of a text, by `urls.md`: supplied, or why not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher

from cnaps_rag.links import FoundLink, find_links
from cnaps_rag.links.spans import SpanSet
from cnaps_rag.report import LinkFinding, LinkVerdict
from cnaps_rag.sources import SourceId

LIMIT_NEAREST = 50
"""Most supplied links that one reason compares with, and most findings of a text whose reason names the nearest."""


def check_links(text: str, owners: Mapping[str, tuple[SourceId, ...]]) -> tuple[LinkFinding, ...]:
    """Finding on everything in `text` that `urls.md` counts as a link or rejects, in the order of their offsets.

    Args:
        text: any text.
        owners: canonical supplied link → ids of the sources that own it (`AnswerRequest.owners`).
    """
    links = find_links(text)
    findings = [_check(link, owners) for link in links]
    covered = [(finding.start, finding.end) for finding in findings if finding.verdict != "supplied"]
    findings += _check_broken(text, owners, covered)
    return tuple(_with_nearest(sorted(findings, key=lambda finding: (finding.start, -finding.end)), links, owners))


def _check(link: FoundLink, owners: Mapping[str, tuple[SourceId, ...]]) -> LinkFinding:
    ids = owners.get(link.canonical or "", ())
    shown = [shown for shown in (*link.shows, *_repository_shown(link, owners)) if shown != link.canonical]
    if link.fault is not None:
        verdict: LinkVerdict = "disguised" if link.is_disguised else "forbidden_form"
        return _finding(link, verdict, f"This link is always rejected: {link.fault}.")
    if shown:
        said = f"{shown[0]} is shown" if shown[0] else "another link is shown"
        return _finding(link, "mismatched", f"The link leads to {link.canonical}, but {said} in its place.")
    if ids:
        return _finding(link, "supplied", f"Supplied as a link of {' and '.join(ids)}.", ids)
    return _finding(link, "not_supplied", "This link is none of the supplied links.")


def _finding(link: FoundLink, verdict: LinkVerdict, reason: str, ids: tuple[SourceId, ...] = ()) -> LinkFinding:
    return LinkFinding(text=link.text, start=link.start, end=link.end, verdict=verdict, reason=reason, source_ids=ids)


_OWNER_AND_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def _repository_shown(link: FoundLink, owners: Mapping[str, tuple[SourceId, ...]]) -> Iterator[str]:
    """Identity of the supplied repository that the link's text names as ``owner/name``."""
    label = (link.label or "").strip(" `*_")
    if _OWNER_AND_NAME.fullmatch(label) is not None and f"github:{label.lower()}" in owners:
        yield f"github:{label.lower()}"


def _check_broken(
    text: str, owners: Mapping[str, tuple[SourceId, ...]], covered: Iterable[tuple[int, int]]
) -> Iterator[LinkFinding]:
    """Supplied addresses that stand in `text` only where its white space is taken out: broken by blanks or lines."""
    joined = "".join(text.split()).lower()
    addresses = [address for canonical in owners for address in _addresses(canonical) if address in joined]
    places = [place for place, character in enumerate(text) if not character.isspace()] if addresses else []
    if len(places) != len(joined):  # a letter whose small form is two, as in Turkish
        joined = "".join(text[place].lower()[0] for place in places)
    spans = SpanSet(covered)
    for address in addresses:
        for found in re.finditer(re.escape(address), joined):
            start, end = places[found.start()], places[found.end() - 1] + 1
            if end - start > len(address) and not spans.touch(start, end):
                reason = "This link is always rejected: it is broken by a blank or a line's end."
                yield LinkFinding(text=text[start:end], start=start, end=end, verdict="disguised", reason=reason)


def _addresses(canonical: str) -> tuple[str, ...]:
    """How a canonical link is written without its scheme, in small letters."""
    kind, colon, name = canonical.lower().partition(":")
    if not colon or "/" in kind:
        return (canonical.lower(),) if "/" in canonical else ()
    if kind == "arxiv":
        return (f"arxiv.org/abs/{name}", f"arxiv.org/pdf/{name}")
    return (f"github.com/{name}",) if kind == "github" else (f"doi.org/{name}",)


def _with_nearest(
    findings: Iterable[LinkFinding], links: Iterable[FoundLink], owners: Mapping[str, tuple[SourceId, ...]]
) -> Iterator[LinkFinding]:
    """`findings`, the reason of each that was not supplied naming the supplied link that is nearest to it."""
    canonical_by_span = {(link.start, link.end): link.canonical for link in links}
    n_named = 0
    for finding in findings:
        canonical = canonical_by_span.get((finding.start, finding.end))
        if finding.verdict == "not_supplied" and canonical and n_named < LIMIT_NEAREST:
            n_named += 1
            if (nearest := _nearest(canonical, owners)) is not None:
                yield LinkFinding(
                    text=finding.text,
                    start=finding.start,
                    end=finding.end,
                    verdict=finding.verdict,
                    reason=f"{finding.reason} The nearest is {nearest}, of {' and '.join(owners[nearest])}.",
                )
                continue
        yield finding


_LEAST_LIKENESS = 0.6  # difflib's own cutoff for close matches


def _nearest(canonical: str, owners: Mapping[str, tuple[SourceId, ...]]) -> str | None:
    """Supplied link most like `canonical`, or None where none is like it."""
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(canonical[:200])
    best, likeness = None, _LEAST_LIKENESS
    kind = re.split(r"[:/]", canonical)[0]
    candidates = sorted(owners, key=lambda owned: not owned.startswith(kind))
    for owned in candidates[:LIMIT_NEAREST]:
        matcher.set_seq1(owned[:200])
        if matcher.quick_ratio() >= likeness and (ratio := matcher.ratio()) >= likeness:
            best, likeness = owned, ratio
    return best
