"""The first verifier, embeddings and word alignment: no longer shipped, kept as the column that others have to beat."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cnaps_rag.encoder import Encoder, load_encoder
from cnaps_rag.passages import split_sentences
from cnaps_rag.settings import Settings
from cnaps_rag.words import content_stems

Floats = NDArray[np.float32]


# Logistic regression (L2 = 1) over `OverlapVerifier.signals`; fit.py fits, chooses and measures.
WEIGHTS: Final = (2.13, 1.36, 1.22)
INTERCEPT: Final = -2.73
THRESHOLD: Final = 0.55

N_SENTENCES_READ = 3
"""Sentences of the evidence that are read together: more of them cover the words of nearly any claim."""

# Scores are given to four digits, so that rounding in the encoder's batches never shows.
_N_DIGITS = 4


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of evidence as alignment sees it."""

    text: str
    stems: frozenset[str]


class OverlapVerifier:
    """The first verifier: how near a claim is to its evidence in meaning, and how much of its wording stands there.

    It reads no grammar: what is turned round or made stronger in the same words is for the deterministic checks. It
    fails closed: near and covered is asked for at once.
    """

    threshold: float = THRESHOLD

    def __init__(self, encoder: Encoder | None = None) -> None:
        self._encoder = load_encoder(Settings()) if encoder is None else encoder

    def score(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        """Probability of support, as in `cnaps_rag.verifier.Verifier.score`.

        Raises:
            ServiceError: the encoder failed.
        """
        if not pairs:
            return np.zeros(0, dtype=np.float32)
        logits = self.signals(pairs) @ np.array(WEIGHTS) + INTERCEPT
        scores: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
        return scores.round(_N_DIGITS).astype(np.float32)

    def signals(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """What the score is made of, shape ``(len(pairs), 3)``.

        Columns: cosine of the claim and the best one to three sentences next to each other; share of its content words
        that stand in its best sentence; share that stand in its three nearest.
        """
        evidence = [_split_evidence(text) for text, _ in pairs]
        texts = list(dict.fromkeys(itertools.chain((s.text for row in evidence for s in row), (c for _, c in pairs))))
        row_by_text = {text: row for row, text in enumerate(texts)}
        vectors = np.asarray(self._encoder.encode(texts), dtype=np.float64)
        return np.array(
            [
                _signals(
                    sentences, vectors[[row_by_text[s.text] for s in sentences]], claim, vectors[row_by_text[claim]]
                )
                for sentences, (_, claim) in zip(evidence, pairs, strict=True)
            ]
        )


@lru_cache(maxsize=4_096)
def _split_evidence(text: str) -> tuple[_Sentence, ...]:
    sentences = [text[start:end] for start, end in split_sentences(text)] or [text]
    return tuple(_Sentence(sentence, frozenset(content_stems(sentence))) for sentence in sentences)


def _signals(
    sentences: Sequence[_Sentence], vectors: NDArray[np.float64], claim: str, claim_vector: NDArray[np.float64]
) -> tuple[float, float, float]:
    cosines = vectors @ claim_vector
    stems = content_stems(claim)
    order: list[int] = np.argsort(-cosines, kind="stable")[:N_SENTENCES_READ].tolist()
    read: frozenset[str] = frozenset(stem for row in order for stem in sentences[row].stems)
    in_one = max(_share(stems, sentence.stems) for sentence in sentences)
    in_nearest = _share(stems, read)
    return _best_cosine(vectors, claim_vector, float(cosines.max())), in_one, in_nearest


def _share(stems: Sequence[str], held: frozenset[str]) -> float:
    return sum(stem in held for stem in stems) / len(stems) if stems else 0.0


def _best_cosine(vectors: NDArray[np.float64], claim_vector: NDArray[np.float64], best: float) -> float:
    """Cosine with the nearest sentence, or with the mean of two or three next to each other."""
    for length in range(2, min(N_SENTENCES_READ, len(vectors)) + 1):
        sums = sum(vectors[offset : len(vectors) - length + 1 + offset] for offset in range(length))
        norms = np.linalg.norm(sums, axis=1)
        best = max(best, float(((sums @ claim_vector) / np.maximum(norms, 1e-9)).max()))
    return best
