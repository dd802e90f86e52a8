"""The verifier in this package: a cross-encoder as one ONNX file, run by onnxruntime; torch is not imported."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cnaps_rag.encoder.protocol import without_surrogates
from cnaps_rag.errors import ServiceError
from cnaps_rag.model_files import open_shipped, remedy, shipped_folder
from cnaps_rag.verifier.protocol import Pair, sigmoid

if TYPE_CHECKING:
    import onnxruntime
    import tokenizers

NAME: Final = "claim-verifier"

N_AT_ONCE: Final = 2
"""Pairs that are read at the same time, one thread each: 2.6 ms a pair of 76 tokens where both cores were free,
against 4.6 ms with two threads on one pair. Several pairs in one batch would share the scales of its int8 numbers, so
that a score would depend on what else is asked; float32, which has none, takes 10 ms a pair in batches of four."""

N_SPECIAL_TOKENS = 3  # [CLS] evidence [SEP] claim [SEP]

_loading = threading.Lock()


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Calibration(_Frozen):
    """Platt scaling (Platt 1999): the probability is the sigmoid of ``slope * logit + intercept``."""

    slope: float = Field(gt=0, allow_inf_nan=False)
    intercept: float = Field(allow_inf_nan=False)


class ShippedConfig(_Frozen):
    """What `config.json` beside the network says.

    `limit_tokens` are those of evidence, claim and the three special ones together, `limit_claim_tokens` those of the
    claim alone; the threshold is one of the calibrated probability.
    """

    limit_tokens: int = Field(ge=16)
    limit_claim_tokens: int = Field(ge=8)
    calibration: Calibration
    threshold: float = Field(gt=0, lt=1)


class ShippedReader:
    """The shipped network. Loaded at the first pair, once per process (anew in one forked off later). Thread-safe."""

    def __init__(self) -> None:
        """Reads the network's `config.json`.

        Raises:
            ServiceError: it is not there, or is broken.
        """
        self._config = _load_config()

    @property
    def threshold(self) -> float:
        """As chosen when the network was trained."""
        return self._config.threshold

    def read(self, pairs: Sequence[Pair]) -> list[float]:
        """As `PairReader.read`."""
        calibration = self._config.calibration
        return [sigmoid(calibration.slope * logit + calibration.intercept) for logit in self.logits(pairs)]

    def logits(self, pairs: Sequence[Pair]) -> list[float]:
        """What the network gives for each pair, before calibration.

        Raises:
            ServiceError: the network cannot be loaded, or failed.
        """
        if not pairs:
            return []
        network = _load_once()
        read = functools.partial(_read, network, self._config)
        # A pool is of no use to one pair, and would cost it the way to another thread.
        return [read(pairs[0])] if len(pairs) == 1 else list(network.pool.map(read, pairs))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Network:
    """What one process loads."""

    session: onnxruntime.InferenceSession
    tokenizer: tokenizers.Tokenizer
    pool: ThreadPoolExecutor
    start_id: int
    end_id: int


def _read(network: _Network, config: ShippedConfig, pair: Pair) -> float:
    """The network's logit for one pair."""
    evidence, claim = (
        network.tokenizer.encode(without_surrogates(text), add_special_tokens=False).ids for text in pair
    )
    # The evidence gives way, and the claim only where it is longer by itself than any that one window can support.
    room = config.limit_tokens - N_SPECIAL_TOKENS
    claim = claim[: min(config.limit_claim_tokens, room)]
    evidence = evidence[: room - len(claim)]
    ids = [network.start_id, *evidence, network.end_id, *claim, network.end_id]
    types = [0] * (len(evidence) + 2) + [1] * (len(claim) + 1)
    inputs = {
        "input_ids": np.array([ids], dtype=np.int64),
        "attention_mask": np.ones((1, len(ids)), dtype=np.int64),
        "token_type_ids": np.array([types], dtype=np.int64),
    }
    return float(np.asarray(network.session.run(["logit"], inputs)[0])[0])


@functools.cache
def _load_config() -> ShippedConfig:
    file = shipped_folder(NAME) / "config.json"
    try:
        return ShippedConfig.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError, ValueError) as error:
        raise ServiceError(f"The shipped verifier's {file} cannot be read: {error} {remedy('verifier')}") from error


def _load_once() -> _Network:
    with _loading:
        return _load(os.getpid())


@functools.cache
def _load(process_id: int) -> _Network:
    """Network of one process: threads do not survive a fork, and a call that waits for them would hang."""
    del process_id
    session, tokenizer = open_shipped(NAME, "verifier", n_threads=1, fuses=True)
    # "[SEP]" in a source is five characters, not the end of the evidence.
    tokenizer.encode_special_tokens = True
    start_id, end_id = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    if start_id is None or end_id is None:
        raise ServiceError(f"The shipped verifier's tokenizer has no [CLS] or no [SEP]. {remedy('verifier')}")
    pool = ThreadPoolExecutor(max_workers=N_AT_ONCE, thread_name_prefix=NAME)
    return _Network(session=session, tokenizer=tokenizer, pool=pool, start_id=start_id, end_id=end_id)
