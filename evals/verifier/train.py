"""Trains the claim verifier: MiniLM → cross-encoder, on a GPU or on plain cores. One command does it all.

Run: ``python evals/verifier/train.py --out DIR`` (needs the dev extra and ../shared). On two cores with bf16 about an
hour and a half, on a GPU minutes. Stage 1 reads three quarters of the public sets and planted faults (its rate of
learning is still high then), stage 2 reads the written claims twice with a part of stage 1 among them, stage 3 once
more over windows drawn anew. After each part of a stage the dev sets are measured; DIR/curve.jsonl is the curve.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from measure import dev_rows, macro
from model import LIMIT_CLAIM_TOKENS, LIMIT_TOKENS, CrossEncoder, minilm_folder
from recipe import Pair, planted_pairs, public_pairs, written_claims, written_pairs
from tokenizers import Encoding, Tokenizer
from torch import Tensor
from torch.nn import functional

SEED = 20261121
N_ABSTRACTS = 2_000  # read by the planting rules: about 8 pairs each
N_WINDOWS = 2  # windows over which each written claim is put
N_REPLAYED = 8_000  # pairs of stage 1 in each pass of stage 2
DEV_SHARE = 10  # one in so many abstracts with written claims is for choosing

LEARNING_RATE = (1e-4, 8e-5, 6e-5)  # peak of each stage
WARM_UP = 0.06  # share of the steps
WEIGHT_DECAY = 0.01
BATCH_TOKENS = 3_072  # padding included
SMOOTHING = 0.03  # of labels: some are wrong
TOKEN_LOSS = 0.3  # weight of the loss on the claim's tokens, where it is known which of them are wrong
CONTRADICTION_LOSS = 0.3  # weight of the loss on contradiction, where it is known
UNKNOWN = -1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One pair as tokens; `tokens` has 1 for a claim's token that is supported, 0 for one that is not, else UNKNOWN."""

    ids: list[int]
    types: list[int]
    label: float
    tokens: list[float]
    contradicts: float


def load_tokenizer() -> Tokenizer:
    """The encoder's own tokenizer; of a pair that is too long the evidence is cut."""
    tokenizer: Tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LIMIT_TOKENS, strategy="only_first")
    return tokenizer


def encode_pair(tokenizer: Tokenizer, evidence: str, claim: str) -> Encoding:
    """Tokens of a pair; a claim that alone is too long is cut itself."""
    offsets = tokenizer.encode(claim, add_special_tokens=False).offsets
    if len(offsets) > LIMIT_CLAIM_TOKENS:
        claim = claim[: offsets[LIMIT_CLAIM_TOKENS - 1][1]]
    return tokenizer.encode(evidence, claim)


def to_row(tokenizer: Tokenizer, pair: Pair) -> Row:
    """Tokens and targets of one pair."""
    encoding = encode_pair(tokenizer, pair.evidence, pair.claim)
    tokens = [UNKNOWN] * len(encoding.ids)
    if pair.wrong is not None:
        for at, (sequence, (start, end)) in enumerate(zip(encoding.sequence_ids, encoding.offsets, strict=True)):
            if sequence == 1:
                tokens[at] = float(not any(start < b and a < end for a, b in pair.wrong))
    contradicts = UNKNOWN if pair.contradicts is None else float(pair.contradicts)
    return Row(encoding.ids, encoding.type_ids, float(pair.label), tokens, contradicts)


def to_batches(rows: Sequence[Row], rng: random.Random) -> list[list[Row]]:
    """Batches of rows of about the same length, in a random order."""
    ordered = sorted(rows, key=lambda row: len(row.ids) + rng.uniform(-6, 6))
    batches: list[list[Row]] = [[]]
    for row in ordered:
        if batches[-1] and (len(batches[-1]) + 1) * len(row.ids) > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(row)
    rng.shuffle(batches)
    return batches


def to_tensors(batch: Sequence[Row], device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Ids, mask, types, labels and token targets, padded to the longest."""
    width = max(len(row.ids) for row in batch)

    def padded(values: list[list[float]], fill: float, dtype: torch.dtype) -> Tensor:
        return torch.tensor([[*value, *[fill] * (width - len(value))] for value in values], dtype=dtype, device=device)

    ids = padded([list(map(float, row.ids)) for row in batch], 0, torch.long)
    mask = padded([[1.0] * len(row.ids) for row in batch], 0, torch.long)
    types = padded([list(map(float, row.types)) for row in batch], 0, torch.long)
    labels = torch.tensor([row.label for row in batch], device=device)
    return ids, mask, types, labels, padded([row.tokens for row in batch], UNKNOWN, torch.float)


def loss_of(model: CrossEncoder, batch: Sequence[Row], device: torch.device) -> Tensor:
    """Cross entropy of the pairs, and of the claim's tokens where they are known."""
    ids, mask, types, labels, tokens = to_tensors(batch, device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        logits, token_logits, contradiction_logits = model.read(ids, mask, types)
    smooth = labels * (1 - 2 * SMOOTHING) + SMOOTHING
    loss = functional.binary_cross_entropy_with_logits(logits.float(), smooth)
    known = tokens != UNKNOWN
    if known.any():
        target = tokens[known]
        # Wrong tokens are few: they weigh as much as eight supported ones.
        weight = torch.where(target == 0, 8.0, 1.0)
        loss = loss + TOKEN_LOSS * functional.binary_cross_entropy_with_logits(
            token_logits.float()[known], target, weight
        )
    contradicts = torch.tensor([row.contradicts for row in batch], device=device)
    told = contradicts != UNKNOWN
    if told.any():
        loss = loss + CONTRADICTION_LOSS * functional.binary_cross_entropy_with_logits(
            contradiction_logits.float()[told], contradicts[told]
        )
    return loss


@torch.inference_mode()
def score(
    model: CrossEncoder, tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]], device: torch.device
) -> list[float]:
    """Logits of pairs, in their order."""
    model.eval()
    rows = [to_row(tokenizer, Pair(evidence, claim, 0, "", None)) for evidence, claim in pairs]
    order = sorted(range(len(rows)), key=lambda at: len(rows[at].ids))
    logits = [0.0] * len(rows)
    for start in range(0, len(order), 16):
        part = order[start : start + 16]
        ids, mask, types, *_ = to_tensors([rows[at] for at in part], device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            found = model(ids, mask, types)[0]
        for at, logit in zip(part, found.float().tolist(), strict=True):
            logits[at] = logit
    return logits


class Trainer:
    """One model on its way through the stages."""

    def __init__(self, out: Path, n_dev: int, resume: Path | None) -> None:
        torch.manual_seed(SEED)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.out = out
        self.tokenizer = load_tokenizer()
        self.model = CrossEncoder.from_minilm().to(self.device)
        if resume is not None:
            self.model.load_state_dict(torch.load(resume, map_location=self.device, weights_only=True), strict=False)
        self.dev = dev_rows(n_dev)
        self.n_seen = 0
        out.mkdir(parents=True, exist_ok=True)

    def train(
        self, stage: str, pairs: Sequence[Pair], *, n_epochs: int, peak: float, n_parts: int, n_parts_read: int
    ) -> None:
        """Passes over the pairs; measures and saves after each of `n_parts`, and stops after `n_parts_read` of them."""
        rng = random.Random(SEED)
        rows = [to_row(self.tokenizer, pair) for pair in pairs]
        batches = [batch for _ in range(n_epochs) for batch in to_batches(rows, rng)]
        print(f"{stage}: {len(rows)} pairs, {len(batches)} steps", flush=True)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=peak, weight_decay=WEIGHT_DECAY)
        warm = max(1, int(WARM_UP * len(batches)))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warm, max(0.02, (len(batches) - step) / (len(batches) - warm)))
        )
        started, total = time.monotonic(), 0.0
        ends = {part * (len(batches) // n_parts) for part in range(1, n_parts)} | {len(batches)}
        for step, batch in enumerate(batches[: sorted(ends)[n_parts_read - 1]], 1):
            self.model.train()
            loss = loss_of(self.model, batch, self.device)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            self.n_seen += len(batch)
            total += float(loss)
            if step % 50 == 0:
                spent = time.monotonic() - started
                left = spent / step * (len(batches) - step)
                print(
                    f"{stage} {step}/{len(batches)} loss {total / 50:.3f} {spent:.0f} s, {left:.0f} s left", flush=True
                )
                total = 0.0
            if step in ends:
                self.measure(stage, step)

    def measure(self, stage: str, step: int) -> None:
        """Saves the weights, and adds a line to the curve."""
        torch.save(self.model.state_dict(), self.out / "model.pt")
        if not self.dev:
            return
        found = macro(self.dev, lambda pairs: score(self.model, self.tokenizer, pairs, self.device))
        line = {"stage": stage, "step": step, "pairs": self.n_seen, **found}
        with (self.out / "curve.jsonl").open("a", encoding="utf-8") as curve:
            curve.write(json.dumps(line) + "\n")
        print(line, flush=True)


def stage_1() -> list[Pair]:
    """Public sets and planted faults."""
    written = frozenset(claim.abstract.id for claim in written_claims())
    return [*public_pairs(), *planted_pairs(N_ABSTRACTS, SEED, without=written)]


def stage_2(n_replayed: int, seed: int) -> Iterator[Pair]:
    """Written claims over windows drawn by `seed`, and pairs of stage 1 so that nothing is unlearned."""
    claims = [claim for claim in written_claims() if not is_dev(claim.abstract.id)]
    yield from written_pairs(claims, seed, N_WINDOWS)
    yield from random.Random(seed).sample(stage_1(), n_replayed)


def is_dev(abstract_id: str) -> bool:
    """True for abstracts whose written claims are for choosing, not for training."""
    return (
        int(abstract_id.replace(".", "").translate({ord(c): None for c in "abcdefghijklmnopqrstuvwxyz/-"})) % DEV_SHARE
        == 0
    )


def main() -> None:
    """All stages, or one of them from a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for model.pt and curve.jsonl")
    parser.add_argument("--stage", choices=["1", "2", "3", "all"], default="all")
    parser.add_argument("--resume", type=Path, help="checkpoint to begin with (for --stage 2 or 3)")
    parser.add_argument("--dev-rows", type=int, default=80, help="rows of each dev set measured on the way; 0: none")
    parser.add_argument("--replayed", type=int, default=N_REPLAYED, help="pairs of stage 1 that stage 2 reads again")
    parser.add_argument("--limit", type=int, help="pairs of each stage at most, to try the command out")
    arguments = parser.parse_args()
    trainer = Trainer(arguments.out, arguments.dev_rows, arguments.resume)
    if arguments.stage in ("1", "all"):
        pairs = _some(stage_1(), arguments.limit)
        trainer.train("stage 1", pairs, n_epochs=1, peak=LEARNING_RATE[0], n_parts=4, n_parts_read=3)
    if arguments.stage in ("2", "all"):
        pairs = _some(list(stage_2(arguments.replayed, SEED)), arguments.limit)
        trainer.train("stage 2", pairs, n_epochs=2, peak=LEARNING_RATE[1], n_parts=4, n_parts_read=4)
    if arguments.stage in ("3", "all"):
        pairs = _some(list(stage_2(arguments.replayed // 2, SEED + 1)), arguments.limit)
        trainer.train("stage 3", pairs, n_epochs=1, peak=LEARNING_RATE[2], n_parts=1, n_parts_read=1)


def _some(pairs: list[Pair], limit: int | None) -> list[Pair]:
    return random.Random(SEED).sample(pairs, min(limit, len(pairs))) if limit else pairs


if __name__ == "__main__":
    main()
