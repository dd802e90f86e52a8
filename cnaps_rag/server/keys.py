"""Whose key a request carries: a file of hashed keys, read again whenever it changes.

A line of the file is ``NAME SHA256 MADE``: the key's name, the SHA-256 of the key in hex, the day it was made. A name
may stand on several lines, so that a new key works before the old one is revoked. Lines that begin with ``#`` are
comments.

Plain SHA-256 is enough here, where passwords would need a slow hash: a key is 256 random bits of our own making, so
there is nothing to guess, and a slow hash would only cost each request its time.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cnaps_rag.errors import RequestError
from cnaps_rag.server.logs import logger

LOCAL_OWNER: Final = "local"
"""Owner of every request where no key file is set; only loopback is listened on then."""

KEY_PREFIX: Final = "cnr_"
"""So that a key that leaked is known as one, also by secret scanners."""

_KEY_BYTES: Final = 32  # 256 bits: twice what could ever be searched
_ID_DIGITS: Final = 8  # of the hash, to tell keys apart; says nothing of the key
_FILE_MODE: Final = 0o600
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LINE = re.compile(rf"({_NAME.pattern})\s+([0-9a-f]{{64}})\s+(\S+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class HashedKey:
    """One key of the file: who may use it, and what it hashes to."""

    name: str
    sha256: str
    made: str

    @property
    def key_id(self) -> str:
        """First digits of the hash: enough to tell two keys of one name apart."""
        return self.sha256[:_ID_DIGITS]


class KeyRing:
    """Names of those whose keys are in the file. The file is read again when it changes; thread-safe.

    A file that cannot be read, or is broken, leaves the last good keys in place and is told in the log: half an edit
    must not lock everybody out. To revoke keys, write a whole file without them; a missing file revokes nothing.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        """Reads the file.

        Raises:
            RequestError: the file cannot be read, or a line of it is no key.
        """
        self._path = None if path is None else Path(path)
        self._keys: tuple[HashedKey, ...] = ()
        self._stamp: tuple[int, ...] | None = None
        self._lock = threading.Lock()
        if self._path is not None:
            self._stamp = _stamp(self._path)
            self._keys = read_keys(self._path)

    @property
    def needs_key(self) -> bool:
        """True where a key file is set."""
        return self._path is not None

    def owner_of(self, authorization: str | None) -> str | None:
        """Name of the key in an ``Authorization: Bearer`` header; None where it is none of ours."""
        if self._path is None:
            return LOCAL_OWNER
        self._read_again(self._path)
        scheme, _, key = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
        presented = sha256_of_key(key.strip())
        owner = None
        for known in self._keys:  # all of them, always: time must not tell which key came near
            if hmac.compare_digest(known.sha256, presented):
                owner = known.name
        return owner

    def _read_again(self, path: Path) -> None:
        try:
            stamp = _stamp(path)
        except RequestError:
            stamp = ()
        if stamp == self._stamp:
            return
        with self._lock:
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._keys = read_keys(path)
            except RequestError as error:
                logger.error("keys_file_unusable", reason=str(error), n_keys_kept=len(self._keys))
            else:
                logger.info("keys_read", n_keys=len(self._keys))


def sha256_of_key(key: str) -> str:
    """Hex digits of the SHA-256 of `key`."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def read_keys(path: Path) -> tuple[HashedKey, ...]:
    """Keys of a file, in its order.

    Raises:
        RequestError: the file cannot be read, or a line of it is no key; the line is not repeated in the message.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise RequestError(
            f"the key file {path} cannot be read: {reason}.", remedy="Make one: cnaps-rag keys new NAME --file FILE."
        ) from None
    keys: list[HashedKey] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise RequestError(
                f"the key file {path} has a line that is no key.",
                remedy="Each line is NAME SHA256 DAY; remove it, or make the key anew with cnaps-rag keys new.",
                line=number,
            )
        keys.append(HashedKey(name=found[1], sha256=found[2], made=found[3]))
    return tuple(keys)


def new_key(name: str, path: Path) -> str:
    """A new key, whose hash now stands in the file under `name`; the key itself is nowhere but here.

    Raises:
        RequestError: the name is unusable, or the file cannot be read or written.
    """
    if _NAME.fullmatch(name) is None:
        raise RequestError(
            f"{name!r} is no name of a key.", remedy="Use up to 64 letters, digits, dots, dashes and underscores."
        )
    kept = read_keys(path) if path.exists() else ()
    key = KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    made = datetime.now(UTC).date().isoformat()
    _write_keys(path, (*kept, HashedKey(name=name, sha256=sha256_of_key(key), made=made)))
    return key


def revoke_keys(name_or_id: str, path: Path) -> tuple[HashedKey, ...]:
    """The keys that no longer stand in the file: all of a name, or the one with this id.

    Raises:
        RequestError: there is none, or the file cannot be read or written.
    """
    keys = read_keys(path)
    revoked = tuple(key for key in keys if name_or_id in (key.name, key.key_id))
    if not revoked:
        raise RequestError(f"no key in {path} has the name or id {name_or_id!r}.", remedy="See cnaps-rag keys list.")
    _write_keys(path, tuple(key for key in keys if key not in revoked))
    return revoked


def _write_keys(path: Path, keys: tuple[HashedKey, ...]) -> None:
    """Replaces the file whole, so that a running server never reads half of it."""
    lines = ["# Hashed keys of cnaps-rag serve: NAME SHA256 DAY. Made by `cnaps-rag keys new`."]
    lines += [f"{key.name} {key.sha256} {key.made}" for key in keys]
    path = Path(os.path.realpath(path))  # a link goes on to point at the file
    try:
        # mkstemp makes the file with mode 0600 from its first moment on.
        number, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            os.fchmod(file.fileno(), _FILE_MODE)
            if path.exists() and os.geteuid() == 0:
                # root may change the keys of a server that runs as somebody else, who must still read them.
                os.fchown(file.fileno(), path.stat().st_uid, path.stat().st_gid)
        Path(part).replace(path)
    except OSError as error:
        raise RequestError(
            f"the key file {path} cannot be written: {error.strerror}.", remedy="Give a path that you may write."
        ) from None


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        stat = path.stat()
    except OSError as error:
        raise RequestError(
            f"the key file {path} cannot be read: {error.strerror}.",
            remedy="Make one: cnaps-rag keys new NAME --file FILE.",
        ) from None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
