"""Links of an answer against the request and against gold, by the identity of links (urls.md)."""

from __future__ import annotations

from collections.abc import Iterable

from cnaps_rag.evaluation.metrics.score import Score, Scored, share, unscored
from cnaps_rag.links.identity import canonical_link

_NO_GOLD = "gold names no links"


def link_validity(scored: Scored) -> Score:
    """Share of the answer's links, and of all that looks like one, that were supplied (the verdicts of urls.md).

    Unscored where the answer shows none. Definition of this project; SourceCheckup (Wu et al. 2024, arXiv 2402.02008)
    asks whether a cited address exists, here it is asked whether it was supplied.
    """
    return share([link.verdict == "supplied" for link in scored.outcome.links], "the answer shows no link")


def link_recall(scored: Scored) -> Score:
    """Share of gold's required links that the answer shows; two spellings of one link are one.

    Unscored where gold requires none. Recall of a set.
    """
    if scored.gold.links is None:
        return unscored(_NO_GOLD)
    shown = _shown(scored)
    required = _identities(scored.gold.links.required)
    return share([link in shown for link in sorted(required)], "gold requires no link")


def link_precision(scored: Scored) -> Score:
    """Share of the distinct links shown that gold requires or allows; what was not supplied counts against it.

    Unscored where the answer shows none. Precision of a set.
    """
    if scored.gold.links is None:
        return unscored(_NO_GOLD)
    good = _identities((*scored.gold.links.required, *scored.gold.links.allowed))
    bad = {link.text for link in scored.outcome.links if link.verdict != "supplied"}
    return share([link in good for link in sorted(_shown(scored))] + [False] * len(bad), "the answer shows no link")


def _shown(scored: Scored) -> set[str]:
    return _identities(link.text for link in scored.outcome.links if link.verdict == "supplied")


def _identities(links: Iterable[str]) -> set[str]:
    return {canonical_link(link) or link for link in links}
