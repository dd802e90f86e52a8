"""(evidence, claim) pairs → probability of support: the shipped network, a named one, an LLM for what they leave open.

`protocol` says what a verifier is; `windows` picks what is read of long evidence; `shipped` and `named` read pairs;
`cache` keeps scores; `judge` puts undecided pairs to an LLM; `load_verifier` chooses as the settings say.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence

import numpy as np

from cnaps_rag.errors import ServiceError
from cnaps_rag.llm import Completes, Usage
from cnaps_rag.settings import Settings
from cnaps_rag.verifier.cache import ScoreCache
from cnaps_rag.verifier.judge import LLMJudge
from cnaps_rag.verifier.named import load_named
from cnaps_rag.verifier.protocol import Floats, Pair, Verifier
from cnaps_rag.verifier.shipped import ShippedReader

__all__ = ["ClaimVerifier", "LLMJudge", "Verifier", "load_verifier", "usage_of"]

_loading = threading.Lock()


class ClaimVerifier:
    """The shipped verifier; by name or path any cross-encoder that is on this disk. Thread-safe, loaded once.

    Example:
        >>> ClaimVerifier().score([("The lamp is red.", "The lamp is blue.")])

    Attributes:
        threshold: a claim is supported when its score reaches this.
    """

    threshold: float

    def __init__(
        self, name_or_path: str | None = None, *, threshold: float | None = None, support_label: str | None = None
    ) -> None:
        """Finds the network; a named one is loaded here, the shipped one at the first pair.

        Args:
            name_or_path: a folder, or a name on the hub that is in Hugging Face's cache; None is the shipped one.
            threshold: another than the network's own (0.5 where it has none).
            support_label: of a named classifier, the label that means "supported" where its config does not tell.

        Raises:
            ServiceError: the network is not on this disk, cannot be loaded, or does not tell which label supports.
        """
        self._scores = _load_scores(name_or_path, support_label)
        self.threshold = self._scores.reader.threshold if threshold is None else threshold

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Probability of support, as in `Verifier.score`.

        Raises:
            ServiceError: the network cannot be loaded, or failed.
        """
        return np.array(self._scores.score(pairs), dtype=np.float32)


def _load_scores(name_or_path: str | None, support_label: str | None) -> ScoreCache:
    with _loading:
        return _load(name_or_path, support_label)


@functools.cache
def _load(name_or_path: str | None, support_label: str | None) -> ScoreCache:
    if name_or_path is not None:
        return ScoreCache(load_named(name_or_path, support_label))
    if support_label is not None:
        raise ServiceError("The shipped verifier has no labels: leave out support_label.")
    return ScoreCache(ShippedReader())


def load_verifier(settings: Settings, *, llm: Completes | None = None) -> Verifier:
    """The verifier that the settings name, for one request: an LLM judge's budget is that of what is made here.

    `llm` is what an LLM judge asks; None is the LLM that the settings name.

    Raises:
        ServiceError: the named network is not on this disk or cannot be loaded, or no LLM is named that could judge.
    """
    verifier = ClaimVerifier(
        settings.verifier, threshold=settings.verifier_threshold, support_label=settings.verifier_support_label
    )
    return LLMJudge(verifier, settings, llm=llm) if settings.llm_judge else verifier


def usage_of(verifier: Verifier) -> Usage:
    """What a verifier has cost so far: nothing where no LLM judges."""
    return verifier.usage if isinstance(verifier, LLMJudge) else Usage()
