"""Files that grow by a line at a time and survive a crash: a line counts once its line feed is on the disk."""

from __future__ import annotations

import os
from pathlib import Path


def read_lines(path: Path) -> list[bytes]:
    """All whole lines; one that a crash cut short is left out."""
    return path.read_bytes().split(b"\n")[:-1]


def append_line(path: Path, line: str) -> None:
    """Writes a line, on the disk before this returns."""
    with path.open("ab") as file:
        file.write(line.encode("utf-8", "surrogatepass") + b"\n")
        file.flush()
        os.fsync(file.fileno())


def cut_short_line(path: Path) -> None:
    """Takes off what a crash left of a last line, so that the next one does not go on in it."""
    raw = path.read_bytes()
    if raw and not raw.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(raw.rfind(b"\n") + 1)
