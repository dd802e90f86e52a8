"""Vectors kept by the content of their text: the same papers come back in request after request."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnaps_rag.encoder.protocol import IdentifiedEncoder, Vectors
from cnaps_rag.encoder.vector_file import VectorFile

Row = NDArray[np.float32]


class CachedEncoder:
    """An encoder that encodes a text once: the least recently used vectors go when there are too many.

    Any number of threads may encode; a text that one of them is encoding is waited for, not encoded again.
    """

    def __init__(self, encoder: IdentifiedEncoder, *, limit_vectors: int, file: str | Path | None = None) -> None:
        """Keeps at most `limit_vectors` in memory, and as many in `file`, which other processes may share.

        Raises:
            ServiceError: the file cannot be opened, is broken, or is not one of ours (it is then left as it is).
        """
        self.encoder = encoder
        self.identity = encoder.identity
        self._limit_vectors = limit_vectors
        self._file = VectorFile(Path(file), limit_vectors=limit_vectors) if file is not None else None
        self._lock = threading.Lock()
        self._rows: OrderedDict[bytes, Row] = OrderedDict()
        self._pending: dict[bytes, Future[Row | None]] = {}

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit rows, shape ``(len(texts), d)``; a text met before has bit for bit the row it had."""
        if not texts:
            return self.encoder.encode(texts)
        digests = [self._digest(text) for text in texts]
        text_by_digest = dict(zip(digests, texts, strict=True))
        rows, mine, others = self._claim(text_by_digest)
        try:
            made = self._make({digest: text_by_digest[digest] for digest in mine})
            rows |= made
        except BaseException:
            self._settle(dict.fromkeys(mine))
            raise
        self._settle(made)
        for digest, pending in others.items():
            row = pending.result()
            rows[digest] = row if row is not None else self.encoder.encode([text_by_digest[digest]])[0]
        return np.stack([rows[digest] for digest in digests])

    def _digest(self, text: str) -> bytes:
        return hashlib.sha256(f"{self.identity}\0{text}".encode("utf-8", "surrogatepass")).digest()

    def _claim(
        self, digests: Mapping[bytes, str]
    ) -> tuple[dict[bytes, Row], list[bytes], dict[bytes, Future[Row | None]]]:
        """Rows at hand, digests that this thread is to make, and those that another one is making."""
        with self._lock:
            rows = {digest: self._rows[digest] for digest in digests if digest in self._rows}
            for digest in rows:
                self._rows.move_to_end(digest)
            missing = [digest for digest in digests if digest not in rows]
            others = {digest: self._pending[digest] for digest in missing if digest in self._pending}
            mine = [digest for digest in missing if digest not in others]
            self._pending |= {digest: Future() for digest in mine}
        return rows, mine, others

    def _make(self, text_by_digest: Mapping[bytes, str]) -> dict[bytes, Row]:
        """Rows of texts that are not in memory: out of the file, or encoded."""
        if not text_by_digest:
            return {}
        rows = self._file.read(list(text_by_digest)) if self._file is not None else {}
        new = [digest for digest in text_by_digest if digest not in rows]
        # Each row is its own array: a slice would keep the whole batch in memory.
        encoded = self.encoder.encode([text_by_digest[digest] for digest in new]) if new else ()
        made = {digest: row.copy() for digest, row in zip(new, encoded, strict=True)}
        if self._file is not None:
            self._file.write(made)
        return rows | made

    def _settle(self, made: Mapping[bytes, Row | None]) -> None:
        """Keeps what was made and tells those that wait for it; None: not made, they have to encode it themselves."""
        with self._lock:
            for digest, row in made.items():
                self._pending.pop(digest).set_result(row)
                if row is not None:
                    self._rows[digest] = row
            while len(self._rows) > self._limit_vectors:
                self._rows.popitem(last=False)
