"""Long evidence → the sentences of it that a claim may rest on, in their order: what a cross-encoder reads at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from cnaps_rag.passages import split_sentences
from cnaps_rag.words import content_stems, split_words

LIMIT_WORDS = 150
"""Words of evidence that are read at once: about 220 tokens; accuracy drifts and time grows with more."""

# A sentence's neighbours help to read it ("It ...", "This ..."): their words count this much of their own.
_NEIGHBOUR = 0.25


def select_window(evidence: str, claim: str, limit_words: int = LIMIT_WORDS) -> str:
    """`evidence` itself where it is short, else its sentences nearest to `claim`, in their order, up to the limit.

    Sentences are taken one by one: each time the one that holds most of the claim's words, rare ones counting more and
    words that are held already counting little, so that a claim which needs two places gets both.
    """
    if _n_words(evidence) <= limit_words:
        return evidence
    sentences = _split(evidence)
    taken: list[int] = []
    room = limit_words
    for row in _ranked(tuple(frozenset(content_stems(text)) for text in sentences), frozenset(content_stems(claim))):
        n_words = _n_words(sentences[row])
        if n_words <= room or not taken:
            taken.append(row)
            room -= n_words
    return " ".join(sentences[row] for row in sorted(taken))


def _ranked(stems: Sequence[frozenset[str]], wanted: frozenset[str]) -> list[int]:
    """Rows of sentences, most useful first, without those that hold no word of the claim nor stand beside one."""
    counts = Counter(stem for row in stems for stem in row)
    weight = {stem: math.log(1 + len(stems) / counts[stem]) for stem in wanted if stem in counts}
    own = [{stem: weight[stem] for stem in row & wanted} for row in stems]
    needed = dict.fromkeys(weight, 1.0)
    left = list(range(len(stems)))
    ranked: list[int] = []
    while left:
        best = max(left, key=lambda row: (_gain(own, row, needed), -row))
        if ranked and not _gain(own, best, needed):
            break  # the rest would be noise
        left.remove(best)
        ranked.append(best)
        for stem in own[best]:
            needed[stem] *= 0.3
    return ranked


def _gain(own: Sequence[dict[str, float]], row: int, needed: dict[str, float]) -> float:
    """What a sentence and its neighbours add to what is held already."""
    gain = sum(value * needed[stem] for stem, value in own[row].items())
    for neighbour in (row - 1, row + 1):
        if 0 <= neighbour < len(own):
            gain += _NEIGHBOUR * sum(value * needed[stem] for stem, value in own[neighbour].items())
    return gain


@lru_cache(maxsize=1_024)
def _split(text: str) -> tuple[str, ...]:
    return tuple(text[start:end] for start, end in split_sentences(text)) or (text,)


def _n_words(text: str) -> int:
    return len(split_words(text))
