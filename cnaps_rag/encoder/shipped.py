"""The encoder in this package: all-MiniLM-L6-v2 as one ONNX file, run by onnxruntime; torch is not imported."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from cnaps_rag.encoder.protocol import Vectors, without_surrogates
from cnaps_rag.model_files import open_shipped

if TYPE_CHECKING:
    import onnxruntime
    import tokenizers

NAME: Final = "all-MiniLM-L6-v2"
SHA256: Final = "fd67b871e4dc8edce80736bc41ff51adf55a6ce105a337b26d4cd2931ffd7b32"
DIM: Final = 384
LIMIT_TOKENS: Final = 256  # as in the original's sentence_bert_config.json
# On 969 sentences of 25 requests, 64 tokens a batch took 115 ms a request, 128 to 256 took 93 to 96 ms; a whole
# request in one batch takes more than twice that, since every row is then as long as the longest.
BATCH_LIMIT_TOKENS: Final = 192
N_THREADS: Final = 2  # one takes 141 ms for the same; threads that wait do not spin, so a shared core costs little

_loading = threading.Lock()


class ShippedEncoder:
    """all-MiniLM-L6-v2: 384 numbers for the first 256 tokens of a text.

    Loaded at the first text, once per process (anew in a process forked off later). Any number of threads may encode.
    """

    identity: str = f"{NAME} {SHA256}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit rows, shape ``(len(texts), 384)``.

        Raises:
            ServiceError: the shipped files are not there or cannot be read.
        """
        vectors = np.empty((len(texts), DIM), dtype=np.float32)
        if not texts:
            return vectors
        session, tokenizer = _load_once()
        # One by one: `encode_batch` starts threads of its own, which warn when the process forks, and saves about 1 ms.
        token_ids = [tokenizer.encode(without_surrogates(text)).ids for text in texts]
        for batch in split_batches([len(ids) for ids in token_ids]):
            padded = np.zeros((len(batch), len(token_ids[batch[-1]])), dtype=np.int64)
            mask = np.zeros_like(padded)
            for row, position in enumerate(batch):
                padded[row, : len(token_ids[position])] = token_ids[position]
                mask[row, : len(token_ids[position])] = 1
            vectors[batch] = np.asarray(session.run(["vectors"], {"input_ids": padded, "attention_mask": mask})[0])
        return vectors


def split_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Positions in batches, shortest texts first, each at most `BATCH_LIMIT_TOKENS` with its padding (or one text)."""
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[position] > BATCH_LIMIT_TOKENS:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def _load_once() -> tuple[onnxruntime.InferenceSession, tokenizers.Tokenizer]:
    with _loading:
        return _load(os.getpid())


@functools.cache
def _load(process_id: int) -> tuple[onnxruntime.InferenceSession, tokenizers.Tokenizer]:
    """Session and tokenizer of one process: a session's threads do not survive a fork, and its calls would hang."""
    del process_id
    session, tokenizer = open_shipped(NAME, "encoder", n_threads=N_THREADS)
    tokenizer.enable_truncation(LIMIT_TOKENS)
    return session, tokenizer
