"""Any verifier that sentence-transformers or transformers can load from this disk; no network is waited for.

Three kinds: a cross-encoder with one logit, one that classifies (natural language inference, or supported or not), and
a MiniCheck-style sequence-to-sequence model, which writes "1" or "0".
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from cnaps_rag.encoder.protocol import without_surrogates
from cnaps_rag.errors import ServiceError
from cnaps_rag.model_files import find_folder, loading, torch_waiting_passively
from cnaps_rag.verifier.protocol import Pair, PairReader, sigmoid

THRESHOLD: Final = 0.5
"""Of a network that comes without one."""

SUPPORT_LABELS: Final = frozenset({"entailment", "entailed", "entails", "supported", "supports", "support"}) | {
    "consistent",
    "faithful",
    "attributable",
}
"""Names that publishers of such networks give to what means that the evidence supports the claim, in lower case."""

_GENERIC_LABEL = re.compile(r"LABEL_\d+", re.IGNORECASE)

# MiniCheck (Tang, Laban and Durrett 2024, arXiv 2404.10774), minicheck/inference.py: the prompt, and its longest.
_PROMPT: Final = "predict: "
LIMIT_PROMPT_TOKENS: Final = 2_048

_READ_FAULTS = (IndexError, RuntimeError, ValueError)


def load_named(name_or_path: str, support_label: str | None) -> PairReader:
    """Reader of the network that is called so, or lies in this folder.

    Raises:
        ServiceError: it is not on this disk, is no network that reads pairs, or does not tell which label supports.
    """
    with torch_waiting_passively():
        folder = find_folder(name_or_path, "verifier", ("cross-encoder",))
        config = _read_json(folder / "config.json")
        if config.get("is_encoder_decoder"):
            if support_label is not None:
                raise ServiceError(f"Verifier {name_or_path!r} writes text and has no labels: leave out support_label.")
            return Seq2SeqReader(name_or_path, folder)
        _check_reads_pairs(name_or_path, folder, config)
        return CrossEncoderReader(name_or_path, folder, support_label)


class CrossEncoderReader:
    """A cross-encoder by sentence-transformers: the sigmoid of its one logit, or the share of its supporting label.

    Attributes:
        threshold: `THRESHOLD`.
    """

    threshold: float = THRESHOLD

    def __init__(self, name: str, folder: Path, support_label: str | None) -> None:
        self._name = name
        # Threads that read at once halve each other's speed in torch.
        self._lock = threading.Lock()
        with loading(name, "verifier", folder):
            from sentence_transformers import CrossEncoder
            from torch.nn import Identity

            self._network: Any = CrossEncoder(str(folder), local_files_only=True)
            # What the network's own config would apply to a logit differs from one publisher to the next.
            self._as_it_is = Identity()
            label_by_id = {int(row): str(label) for row, label in self._network.model.config.id2label.items()}
        n_labels: int = self._network.num_labels
        labels = [label_by_id.get(row, f"LABEL_{row}") for row in range(n_labels)]
        self._row = None if n_labels == 1 and support_label is None else _support_row(name, labels, support_label)
        self._special = _special_tokens(self._network.tokenizer)

    def read(self, pairs: Sequence[Pair]) -> list[float]:
        """As `PairReader.read`: one pair at a time, since padding moves a logit."""
        if not pairs:
            return []
        plain = [tuple(_plain(text, self._special) for text in pair) for pair in pairs]
        try:
            with self._lock:
                logits: Any = self._network.predict(
                    plain, batch_size=1, activation_fn=self._as_it_is, show_progress_bar=False
                )
        except _READ_FAULTS as error:
            raise ServiceError(f"Verifier {self._name!r} failed on {len(pairs)} pairs: {error}") from error
        logits = np.asarray(logits, dtype=np.float64)
        if self._row is None:
            return [sigmoid(float(logit)) for logit in logits.reshape(len(pairs))]
        return [float(value) for value in _softmax(logits)[:, self._row]]


class Seq2SeqReader:
    """A MiniCheck-style network: how much likelier it is to begin its reply with "1" than with "0".

    Attributes:
        threshold: `THRESHOLD`.
    """

    threshold: float = THRESHOLD

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._lock = threading.Lock()
        with loading(name, "verifier", folder):
            from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

            seq2seq: Any = AutoModelForSeq2SeqLM
            tokenizers: Any = AutoTokenizer
            self._network: Any = seq2seq.from_pretrained(str(folder), local_files_only=True).eval()
            self._tokenizer: Any = tokenizers.from_pretrained(str(folder), local_files_only=True)
            no, yes = (self._tokenizer(word, add_special_tokens=False)["input_ids"] for word in "01")
        self._special = _special_tokens(self._tokenizer)
        # T5 writes "0" in two tokens, a blank and the digit, and "1" in one; the first decides.
        if not no or not yes or no[0] == yes[0] or self._tokenizer.eos_token is None:
            raise ServiceError(f"Verifier {name!r} cannot be asked for 1 or 0: its tokenizer does not tell them apart.")
        self._no_id, self._yes_id = no[0], yes[0]

    def read(self, pairs: Sequence[Pair]) -> list[float]:
        """As `PairReader.read`."""
        try:
            with self._lock:
                return [self._read(*(_plain(text, self._special) for text in pair)) for pair in pairs]
        except _READ_FAULTS as error:
            raise ServiceError(f"Verifier {self._name!r} failed on {len(pairs)} pairs: {error}") from error

    def _read(self, evidence: str, claim: str) -> float:
        import torch

        ids = self._prompt_ids(evidence, claim)
        start: int = self._network.config.decoder_start_token_id or 0
        with torch.inference_mode():
            output = self._network(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([[start]]))
        both = output.logits[0, 0, [self._no_id, self._yes_id]]
        return float(_softmax(np.asarray(both, dtype=np.float64)[None, :])[0, 1])

    def _prompt_ids(self, evidence: str, claim: str) -> list[int]:
        """Tokens of the prompt; words of the evidence give way where it is too long, never the claim before them."""
        while True:
            ids: list[int] = self._tokenizer(f"{_PROMPT}{evidence}{self._tokenizer.eos_token}{claim}")["input_ids"]
            n_over = len(ids) - LIMIT_PROMPT_TOKENS
            if n_over <= 0 or not evidence:
                return ids[:LIMIT_PROMPT_TOKENS]
            evidence = " ".join(evidence.split()[:-n_over])


def _support_row(name: str, labels: Sequence[str], support_label: str | None) -> int:
    """Which of a classifier's labels means that the evidence supports the claim.

    Raises:
        ServiceError: none of them does, or the one asked for is not among them.
    """
    shown = ", ".join(labels)
    lowered = [label.lower() for label in labels]
    if support_label is not None:
        if len(labels) == 1 or support_label.lower() not in lowered:
            raise ServiceError(f"Verifier {name!r} has no label {support_label!r} to choose; its labels: {shown}.")
        return lowered.index(support_label.lower())
    found = [row for row, label in enumerate(lowered) if label in SUPPORT_LABELS]
    if len(found) == 1:
        return found[0]
    if len(labels) == 2 and all(_GENERIC_LABEL.fullmatch(label) for label in labels):
        return 1  # as MiniCheck's RoBERTa and DeBERTa, and most that tell no from yes
    raise ServiceError(
        f"Verifier {name!r} does not tell which of its labels means supported: {shown}. Say it: "
        f"ClaimVerifier({name!r}, support_label={labels[-1]!r}), or CNAPS_RAG_VERIFIER_SUPPORT_LABEL."
    )


def _check_reads_pairs(name: str, folder: Path, config: dict[str, Any]) -> None:
    """Refuses an encoder: sentence-transformers would give it a new head of random numbers.

    Raises:
        ServiceError: the folder does not say that it holds a cross-encoder.
    """
    architectures = [str(each) for each in config.get("architectures") or ()]
    kind = _read_json(folder / "config_sentence_transformers.json").get("model_type")
    if kind == "CrossEncoder" or any("ForSequenceClassification" in each for each in architectures):
        return
    found = ", ".join(architectures) or "nothing that says what it is"
    raise ServiceError(
        f"Verifier {name!r} in {folder} is no network that reads pairs (found: {found}). Name a cross-encoder, a "
        "classifier of natural language inference or a MiniCheck model, or leave CNAPS_RAG_VERIFIER unset."
    )


def _read_json(file: Path) -> dict[str, Any]:
    """The object in a file; empty where there is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _special_tokens(tokenizer: Any) -> re.Pattern[str] | None:
    """What the tokenizer would read as a control token where it stands in a text."""
    tokens = sorted({str(token) for token in tokenizer.all_special_tokens}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, tokens))) if tokens else None


def _plain(text: str, special: re.Pattern[str] | None) -> str:
    """The text without control tokens: a source must not be able to end the evidence and write a claim of its own."""
    cleaned = without_surrogates(text)
    return special.sub(" ", cleaned) if special is not None else cleaned


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = exp / exp.sum(axis=1, keepdims=True)
    return shares
