"""Briefs for tests: what a drafter is given, from an encoder so small that it fits here."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from cnaps_rag.draft import Brief
from cnaps_rag.fit import Fit, Vectors, assess_fit
from cnaps_rag.passages import Hit, Passages, split_passages
from cnaps_rag.request import AnswerRequest
from cnaps_rag.words import content_stems


def encode(texts: Sequence[str], n_dims: int = 1_024) -> Vectors:
    """Unit rows, shape (n, d), of the content words of each text: equal words, equal direction."""
    rows = np.full((len(texts), n_dims), 1e-3, dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for stem in content_stems(text):
            row[zlib.crc32(stem.encode()) % n_dims] += 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def rank(passages: Passages, cosines: Sequence[float]) -> tuple[Hit, ...]:
    hits = [Hit(passage=passage, score=float(score)) for passage, score in zip(passages.all, cosines, strict=True)]
    return tuple(sorted(hits, key=lambda hit: -hit.score))


def fit_in_plane(request: AnswerRequest, degrees_by_id: Mapping[str, float]) -> Fit:
    """Fit of a request whose passages lie at these angles in a plane, the question at 0; 90 where none is given.

    An id of a source ("P1") gives the angle of all its passages, an id of a passage ("P1.2") its own.
    """
    passages = split_passages(request)
    degrees = [
        degrees_by_id.get(passage.id, degrees_by_id.get(passage.source_id, 0.0 if passage.source_id == "Q" else 90.0))
        for passage in passages.all
    ]
    angles = np.radians(degrees)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    return assess_fit(passages, rank(passages, vectors[:, 0].tolist()), vectors)


def build_brief(request: AnswerRequest, *, bearing: Sequence[str] | None = None) -> Brief:
    """Brief by the small encoder; `bearing` papers bear, or those that the fit finds."""
    passages = split_passages(request)
    vectors = encode([passage.text for passage in passages.all])
    hits = rank(passages, (vectors @ encode([request.question])[0]).tolist())
    fit = assess_fit(passages, hits, vectors)
    if bearing is not None:
        papers = tuple(
            type(paper)(
                source_id=paper.source_id,
                bears=paper.source_id in bearing,
                score=paper.score,
                passage_ids=paper.passage_ids,
                reason=paper.reason,
            )
            for paper in fit.papers
        )
        fit = Fit(papers=papers, models=fit.models)
    return Brief(passages=passages, hits=hits, fit=fit)
