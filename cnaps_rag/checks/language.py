"""Which texts the checks can read: English ones, told by script and function words."""

from __future__ import annotations

import re
from functools import lru_cache

from cnaps_rag.words import word_set

_ENGLISH = word_set(
    """the of and to in is are that for with on as it from by this an be at or not which was were its has have can how
    does do what when where than into their they these but also more such only between"""
)
# Function words of the languages that are written with Latin letters most often; none is an English word.
_FOREIGN = word_set(
    """der die das und ist nicht mit von für auf ein eine einer dem den des wird werden sich auch als bei nach aus wie
    le la les des du une est et dans pour que qui sur pas avec par ce cette sont aux ne au plus
    el los las del una es en y por con para se al como su lo más pero sus
    il di che per non della sono nel gli dei alla più questo
    um uma não com os dos da na no mais são pelo ao
    het een van dat niet zijn voor met op te aan
    och att som på av är för inte ett
    i w na z że się nie do jest jak
    ve bir bu için ile"""
) - {"i", "do", "no", "as", "in", "es", "se", "me", "a"}

LEAST_LATIN_SHARE = 0.6
"""A claim in English may hold a quoted word of another script; one that is mostly of another script is not English."""


@lru_cache(maxsize=4_096)
def is_english(text: str) -> bool:
    """False where `text` is plainly in another language; short texts without function words count as English."""
    letters = [character for character in text if character.isalpha()]
    if letters and sum(character < "\u0250" for character in letters) < LEAST_LATIN_SHARE * len(letters):
        return False
    words = re.findall(r"[^\W\d_]+", text.lower())
    n_english = sum(word in _ENGLISH for word in words)
    n_foreign = sum(word in _FOREIGN for word in words)
    return n_foreign < 2 or n_foreign <= n_english
