"""Vectors in one SQLite file, which survives crashes and which several processes may share."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnaps_rag.errors import ServiceError

APPLICATION_ID = 0x636E6170  # "cnap": how SQLite tells one application's files from another's
BUSY_TIMEOUT_S = 5.0
USE_NOTED_EVERY_S = 86_400  # one note a day is enough to tell what is in use, and spares most reads a write
_N_PARAMETERS = 500  # of one statement; SQLite's own limit was 999 for long
# A damaged vector is told by its length, which is 1 in all that encoders make: SQLite has no checksum of contents.
_LENGTH_TOLERANCE = 1e-3

_log = logging.getLogger(__name__)


class VectorFile:
    """A bounded table from digest to vector: least recently used (by the day) out first.

    A file that cannot be used when it is opened is an error, and is left as it is. A fault later on (the disk is
    full, a page is damaged, another process holds the file too long) is logged, and the text is encoded again.
    """

    def __init__(self, path: Path, *, limit_vectors: int) -> None:
        """Opens the file, making it where there is none.

        Raises:
            ServiceError: it cannot be opened, is no such file, or holds something else.
        """
        self._path = path
        self._limit_vectors = limit_vectors
        self._lock = threading.Lock()
        # By process: a connection must neither be used nor closed in a process that was forked off.
        self._connections: dict[int, sqlite3.Connection] = {}
        remedy = "Remove that file, or name another one in CNAPS_RAG_ENCODER_CACHE_FILE."
        try:
            connection = self._connection()
            application_id = connection.execute("PRAGMA application_id").fetchone()[0]
            n_tables = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]
            if n_tables and application_id != APPLICATION_ID:
                raise ServiceError(f"The cache file {path} holds something else than cnaps_rag's vectors. {remedy}")
            self._lay_out(connection)
        except sqlite3.Error as error:
            raise ServiceError(f"The cache file {path} cannot be used: {error}. {remedy}") from error

    def read(self, digests: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Vectors of those digests that the file has."""
        found: dict[bytes, NDArray[np.float32]] = {}
        stale: list[tuple[int, bytes]] = []
        now = int(time.time())
        try:
            with self._lock, self._connection() as connection:
                for start in range(0, len(digests), _N_PARAMETERS):
                    some = digests[start : start + _N_PARAMETERS]
                    marks = ",".join("?" * len(some))
                    query = f"SELECT digest, vector, used FROM vectors WHERE digest IN ({marks})"
                    for digest, stored, used in connection.execute(query, some):
                        found[digest] = np.frombuffer(stored, dtype="<f4").astype(np.float32)
                        if used < now - USE_NOTED_EVERY_S:
                            stale.append((now, digest))
                if stale:
                    connection.executemany("UPDATE vectors SET used = ? WHERE digest = ?", stale)
        except (sqlite3.Error, ValueError) as error:
            _log.warning("Vectors could not be read from %s: %s", self._path, error)
        return {digest: row for digest, row in found.items() if abs(float(row @ row) - 1) < _LENGTH_TOLERANCE}

    def write(self, rows: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Adds the vectors, and takes out the oldest where there are too many."""
        if not rows:
            return
        now = int(time.time())
        entries = [(digest, row.astype("<f4").tobytes(), now) for digest, row in rows.items()]
        try:
            with self._lock, self._connection() as connection:
                connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", entries)
                n_vectors = connection.execute("SELECT COUNT(*) FROM vectors").fetchone()[0]
                connection.execute(
                    "DELETE FROM vectors WHERE digest IN (SELECT digest FROM vectors ORDER BY used, rowid LIMIT ?)",
                    (max(0, n_vectors - self._limit_vectors),),
                )
        except sqlite3.Error as error:
            _log.warning("Vectors could not be written to %s: %s", self._path, error)

    def _connection(self) -> sqlite3.Connection:
        connection = self._connections.get(os.getpid())
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
            self._connections[os.getpid()] = connection
            # Without waiting for the disk at each commit: a crash of the machine may lose the last vectors, no more.
            connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _lay_out(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        with connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS vectors"
                " (digest BLOB PRIMARY KEY, vector BLOB NOT NULL, used INTEGER NOT NULL)"
            )
            connection.execute("CREATE INDEX IF NOT EXISTS vectors_by_use ON vectors (used)")
