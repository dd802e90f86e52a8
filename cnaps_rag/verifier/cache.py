"""Scores kept by the content of their pair: the same claims come back in repair and when an answer is validated."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence

from cnaps_rag.errors import ServiceError
from cnaps_rag.verifier.protocol import Pair, PairReader
from cnaps_rag.verifier.windows import select_window

LIMIT_SCORES = 20_000
"""Most scores kept, about 150 bytes each: some hundred answers."""

N_DIGITS = 4
"""Scores are given to so many digits: what is behind them differs between CPUs."""


class ScoreCache:
    """A reader that reads a pair once; the least recently used scores go when there are too many.

    Any number of threads may ask; a pair that two of them bring at the same time may be read twice, to the same score.

    Attributes:
        reader: who reads.
    """

    def __init__(self, reader: PairReader, *, limit_scores: int = LIMIT_SCORES) -> None:
        self.reader = reader
        self._limit_scores = limit_scores
        self._lock = threading.Lock()
        self._scores: OrderedDict[bytes, float] = OrderedDict()

    def score(self, pairs: Sequence[Pair]) -> list[float]:
        """Probability of support of each pair, 0 to 1, evidence of any length.

        Raises:
            ServiceError: the reader failed, or gave something else than a probability.
        """
        digests = [_digest(pair) for pair in pairs]
        pair_by_digest = dict(zip(digests, pairs, strict=True))
        with self._lock:
            known = {digest: self._scores[digest] for digest in pair_by_digest if digest in self._scores}
            for digest in known:
                self._scores.move_to_end(digest)
        new = [digest for digest in pair_by_digest if digest not in known]
        if new:
            windows = [(select_window(*pair_by_digest[digest]), pair_by_digest[digest][1]) for digest in new]
            read = dict(zip(new, self.reader.read(windows), strict=True))
            known |= {digest: _checked(score) for digest, score in read.items()}
            self._keep({digest: known[digest] for digest in new})
        return [known[digest] for digest in digests]

    def _keep(self, scores: dict[bytes, float]) -> None:
        with self._lock:
            self._scores |= scores
            while len(self._scores) > self._limit_scores:
                self._scores.popitem(last=False)


def _checked(score: float) -> float:
    if not (math.isfinite(score) and -1e-6 <= score <= 1 + 1e-6):
        raise ServiceError(f"The verifier gave {score}, which is no probability.")
    return round(min(max(score, 0.0), 1.0), N_DIGITS)


def _digest(pair: Pair) -> bytes:
    evidence, claim = (text.encode("utf-8", "surrogatepass") for text in pair)
    return hashlib.sha256(b"%d\n%s%s" % (len(evidence), evidence, claim)).digest()
