"""Claims of an answer: supported or not, by what they cite, and against gold's points."""

from __future__ import annotations

from cnaps_rag.evaluation.metrics.score import Score, Scored, share, unscored

_NO_CITED = "the answer makes no claim that cites"
_NO_POINTS = "gold holds no points"


def claims_supported(scored: Scored) -> Score:
    """Share of claims that the validator finds supported: of the draft before repair, or of an outside text.

    Of this library's final answers it would be 1 by construction, so their first draft is counted. Unscored at zero
    claims. The share of atomic facts supported of FActScore (Min et al. 2023, arXiv 2305.14251), with
    sentences for atomic facts and the request's sources for the knowledge source.
    """
    draft = scored.outcome.draft
    if draft is not None:
        return share([True] * draft.accepted + [False] * draft.rejected, "nothing was drafted")
    return share([claim.verdict == "supported" for claim in scored.outcome.claims], "the text makes no claim")


def citation_recall(scored: Scored) -> Score:
    """Share of claims with citations whose cited quotes, read together, entail them.

    ALCE's citation recall (Gao et al. 2023, arXiv 2305.14627), with the claim verifier in place of TRUE.
    Statements of absence cite nothing, by policy.md, and are not counted; unscored at zero claims that cite.
    """
    return share([cited.is_supported for cited in scored.readings.cited], _NO_CITED)


def citation_precision(scored: Scored) -> Score:
    """Share of citations that are of use: the claim is supported, and this one supports it alone or is needed for it.

    ALCE's citation precision (Gao et al. 2023, arXiv 2305.14627): a citation is irrelevant where it alone
    does not support the claim and the others do without it. Unscored at zero claims that cite.
    """
    return share([useful for cited in scored.readings.cited for useful in cited.is_useful], _NO_CITED)


def point_recall(scored: Scored) -> Score:
    """Share of gold's points that the answer tells of the right source, by the verifier.

    Nugget recall (Voorhees 2003, TREC QA; AutoNuggetizer, Pradeep et al. 2024, arXiv 2411.09607), decided by the claim
    verifier with the answer's words as evidence and the point as claim. Unscored without points.
    """
    points = scored.readings.points
    return unscored(_NO_POINTS) if points is None else share([match.is_told for match in points], _NO_POINTS)


def point_precision(scored: Scored) -> Score:
    """Share of the claims that tell something which a gold point entails (its text and quote as evidence).

    The other direction of `point_recall`: low where an answer tells much that gold does not ask for, which is no fault
    in itself. Unscored without points and at zero claims.
    """
    matches = scored.readings.on_point
    if matches is None or not scored.gold.points:
        return unscored(_NO_POINTS)
    return share([match.is_told for match in matches], "the answer tells nothing")


def forbidden_said(scored: Scored) -> Score:
    """Share of gold's forbidden points that the answer tells, by the verifier: 0 is good.

    Definition of this project, after the "negative rubrics" of HealthBench (Arora et al. 2025, arXiv 2505.08775).
    Unscored where gold forbids nothing.
    """
    forbidden = scored.readings.forbidden or ()
    return share([match.is_told for match in forbidden], "gold forbids nothing")
