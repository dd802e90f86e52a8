"""The passages of one request, searched exactly by the cosine of their vectors."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cnaps_rag.errors import ServiceError
from cnaps_rag.passages import Hit, Passages
from cnaps_rag.sources import QUESTION_ID, SourceId

if TYPE_CHECKING:
    from cnaps_rag.encoder import Encoder, Vectors


class PassageIndex:
    """Index of one request; searching it changes nothing, so threads may share it.

    Attributes:
        passages: what is searched.
        encoder: what made the vectors, and makes those of the queries.
        vectors: float32, shape ``(n, d)``, unit rows in the order of ``passages.all``; an entry ``X.0`` is embedded by
            its title or name alone.
    """

    def __init__(self, passages: Passages, encoder: Encoder) -> None:
        """Encodes every passage.

        Raises:
            ServiceError: the encoder failed, or gave something else than one finite vector for each passage.
        """
        import faiss

        self.passages = passages
        self.encoder = encoder
        self.vectors = _encode(encoder, [passage.text for passage in passages.all])
        self._index = faiss.IndexFlatIP(self.vectors.shape[1])
        self._index.add(self.vectors)
        rows: dict[SourceId, list[int]] = {}
        for row, passage in enumerate(passages.all):
            rows.setdefault(passage.source_id, []).append(row)
        self._rows_by_source = {source_id: np.array(each, dtype=np.int64) for source_id, each in rows.items()}

    def search(self, query: str, k: int, *, source_ids: Collection[SourceId] | None = None) -> tuple[Hit, ...]:
        """The `k` passages closest to the query (or as many as there are), best first; equals stay in passage order.

        Args:
            query: any text.
            k: most hits; 0 or less gives none.
            source_ids: sources to search. None means every model and paper, and not the question: it is what is
                searched for, and supports no claim about a source. Name ``Q`` to search it too.

        Raises:
            ServiceError: the encoder failed, or its vector for the query has another dimension than those here.
        """
        rows = self._rows_of(source_ids)
        if k <= 0 or not len(rows):
            return ()
        vector = _encode(self.encoder, [query])
        n_found, n_kept = vector.shape[1], self.vectors.shape[1]
        if n_found != n_kept:
            raise ServiceError(
                f"The encoder gave {n_found} numbers for the query and {n_kept} for the passages: build the index and "
                "search it with the same encoder."
            )
        scores = self._score(vector)[rows]
        best = np.argsort(-scores, kind="stable")[:k]
        return tuple(Hit(passage=self.passages.all[rows[place]], score=float(scores[place])) for place in best)

    def _rows_of(self, source_ids: Collection[SourceId] | None) -> NDArray[np.int64]:
        """Rows of the passages of some sources, ascending."""
        wanted = self._rows_by_source.keys() - {QUESTION_ID} if source_ids is None else set(source_ids)
        found = [self._rows_by_source[source_id] for source_id in wanted if source_id in self._rows_by_source]
        return np.sort(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)

    def _score(self, vector: Vectors) -> NDArray[np.float32]:
        """Score of every passage, in passage order: FAISS breaks ties by descending row, and cuts them anywhere."""
        scores, rows = self._index.search(vector, len(self.vectors))
        score_by_row = np.empty(len(self.vectors), dtype=np.float32)
        # Rounding can carry a unit vector's product with itself past 1.
        score_by_row[rows[0]] = np.clip(scores[0], -1.0, 1.0)
        return score_by_row


def _encode(encoder: Encoder, texts: list[str]) -> Vectors:
    vectors = np.ascontiguousarray(encoder.encode(texts), dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
        raise ServiceError(f"The encoder gave no finite vector for each of {len(texts)} texts: shape {vectors.shape}.")
    return vectors
