"""Metrics of one answer against its gold, all without an LLM; each docstring is the definition, with its source.

A metric gives a value or says why there is none: unscored is neither 0 nor NaN. Read `score` first.
"""

from __future__ import annotations

from cnaps_rag.evaluation.metrics import abstention, claims, form, links, sources
from cnaps_rag.evaluation.metrics.score import Better, Metric, Score, Scored, Unit

__all__ = ["METRICS", "METRIC_BY_NAME", "Better", "Metric", "Score", "Scored", "Unit", "score_all"]

METRICS: tuple[Metric, ...] = (
    Metric(name="traceable", title="Traceable", better="higher", unit="yes_no", measure=form.traceable),
    Metric(name="link_validity", title="Link validity", better="higher", unit="share", measure=links.link_validity),
    Metric(name="link_recall", title="Required links shown", better="higher", unit="share", measure=links.link_recall),
    Metric(name="link_precision", title="Links wanted", better="higher", unit="share", measure=links.link_precision),
    Metric(
        name="citation_recall", title="Citation recall", better="higher", unit="share", measure=claims.citation_recall
    ),
    Metric(
        name="citation_precision",
        title="Citation precision",
        better="higher",
        unit="share",
        measure=claims.citation_precision,
    ),
    Metric(
        name="claims_supported",
        title="Drafted claims supported",
        better="higher",
        unit="share",
        measure=claims.claims_supported,
    ),
    Metric(name="point_recall", title="Gold points told", better="higher", unit="share", measure=claims.point_recall),
    Metric(
        name="point_precision",
        title="Claims on a gold point",
        better="higher",
        unit="share",
        measure=claims.point_precision,
    ),
    Metric(
        name="forbidden_said",
        title="Forbidden points told",
        better="lower",
        unit="share",
        measure=claims.forbidden_said,
    ),
    Metric(
        name="abstention_precision",
        title="Abstention precision",
        better="higher",
        unit="share",
        measure=abstention.abstention_precision,
    ),
    Metric(
        name="abstention_recall",
        title="Abstention recall",
        better="higher",
        unit="share",
        measure=abstention.abstention_recall,
    ),
    *(
        Metric(
            name=f"abstention_{kind}_{slot}",
            title=f"Abstention {kind}: {slot}",
            better="higher",
            unit="share",
            measure=make(slot),
            is_minor=True,
        )
        for slot in ("input", "processing", "output")
        for kind, make in (("precision", abstention.precision_of), ("recall", abstention.recall_of))
    ),
    Metric(
        name="abstention_recall_other",
        title="Abstention recall: other",
        better="higher",
        unit="share",
        measure=abstention.abstention_recall_other,
        is_minor=True,
    ),
    Metric(
        name="abstains_rightly",
        title="Abstains exactly when gold does",
        better="higher",
        unit="yes_no",
        measure=abstention.abstains_rightly,
    ),
    Metric(name="fit_accuracy", title="Fit accuracy", better="higher", unit="share", measure=sources.fit_accuracy),
    Metric(
        name="bearing_used", title="Bearing papers used", better="higher", unit="share", measure=sources.bearing_used
    ),
    Metric(
        name="off_topic_used",
        title="Off-topic papers used",
        better="lower",
        unit="share",
        measure=sources.off_topic_used,
    ),
    Metric(
        name="sections_complete",
        title="Sections complete",
        better="higher",
        unit="share",
        measure=form.sections_complete,
    ),
    Metric(name="repair_rate", title="Repair rate", better="higher", unit="share", measure=form.repair_rate),
    Metric(name="n_claims", title="Claims", better="neither", unit="count", measure=form.n_claims),
    Metric(name="length_words", title="Words", better="neither", unit="count", measure=form.length_words),
    Metric(name="llm_calls", title="LLM calls", better="lower", unit="count", measure=form.llm_calls),
    Metric(name="llm_tokens", title="LLM tokens", better="lower", unit="count", measure=form.llm_tokens),
    Metric(name="cost", title="Cost", better="lower", unit="cost", measure=form.cost),
    Metric(name="seconds", title="Seconds", better="lower", unit="seconds", measure=form.seconds),
)
"""All metrics, in the order of tables."""

METRIC_BY_NAME = {metric.name: metric for metric in METRICS}


def score_all(scored: Scored) -> dict[str, Score]:
    """Every metric of one answer, by name."""
    return {metric.name: metric.measure(scored) for metric in METRICS}
