"""Offsets as other languages count them."""

from __future__ import annotations

from bisect import bisect_left


class Utf16:
    """Turns code point offsets in one text into UTF-16 code unit offsets, as JavaScript, Java and C# count.

    Example:
        >>> Utf16("𝛼 and β").at(2)
        3
    """

    def __init__(self, text: str) -> None:
        self._wide = () if text.isascii() else tuple(at for at, character in enumerate(text) if ord(character) > 0xFFFF)

    def at(self, offset: int) -> int:
        """Code units before the code point at `offset`."""
        return offset + bisect_left(self._wide, offset)
