"""Which sources an answer rests on, and what it says of each model's fit."""

from __future__ import annotations

from collections.abc import Iterable

from cnaps_rag.evaluation.metrics.score import Score, Scored, share, unscored


def fit_accuracy(scored: Scored) -> Score:
    """Share of gold's models whose fit the answer judges as gold does: fits, does not fit, the sources do not tell.

    Accuracy over three classes. Unscored where gold labels no model, and for outside texts.
    """
    if not scored.gold.fits:
        return unscored("gold labels no model's fit")
    if scored.outcome.fit is None:
        return unscored("an outside text judges no fit in a form that can be compared")
    found: dict[str, str] = {fit.source_id: fit.verdict for fit in scored.outcome.fit.models}
    return share([found.get(id_) == label for id_, label in scored.gold.fits.items()], "")


def bearing_used(scored: Scored) -> Score:
    """Share of the papers that bear on the question, by gold, of which the answer tells something.

    Recall of a set; papers that share a link are one. Unscored where gold lists none.
    """
    return _used(scored, scored.gold.bearing, "gold lists no paper that bears on the question")


def off_topic_used(scored: Scored) -> Score:
    """Share of the papers that are off topic, by gold, of which the answer tells something: 0 is good.

    Akin to the noise sensitivity of RAGChecker (Ru et al. 2024, arXiv 2408.08067), counted in sources. A paper that is
    listed as not used is not used. Unscored where gold lists none.
    """
    return _used(scored, scored.gold.off_topic, "gold lists no paper that is off topic")


def _used(scored: Scored, ids: Iterable[str] | None, why_none: str) -> Score:
    request = scored.outcome.request
    told = {citation.source_id for claim in scored.outcome.telling for citation in claim.cited or claim.evidence}
    groups = sorted({request.twins(id_) for id_ in ids or ()})
    return share([bool(set(group) & told) for group in groups], why_none)
