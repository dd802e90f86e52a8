"""The labelled requests of ../shared, read with the shipped encoder."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnaps_rag.encoder import load_encoder
from cnaps_rag.index import PassageIndex
from cnaps_rag.passages import Hit, Passages, split_passages
from cnaps_rag.request import AnswerRequest
from cnaps_rag.settings import Settings
from cnaps_rag.sources import SourceId

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@dataclass(frozen=True, kw_only=True)
class GoldRequest:
    """One labelled request, indexed."""

    file: str
    index: PassageIndex
    hits: tuple[Hit, ...]
    row: dict[str, Any]

    @property
    def passages(self) -> Passages:
        """Its passages."""
        return self.index.passages

    @property
    def request(self) -> AnswerRequest:
        """The request itself."""
        return self.passages.request

    @property
    def group(self) -> str:
        """Prompts that share a paper are one group: left out together, or the paper is learnt by heart."""
        if self.file.startswith("seeds/"):
            return "seeds"
        return "s014+s018" if self.file.startswith(("requests/s014", "requests/s018")) else self.file

    def label(self, paper_id: SourceId) -> str:
        """``relevant``, ``borderline`` or ``irrelevant``."""
        title = self.request.source(paper_id).title
        return next(label for label in ("relevant", "borderline", "irrelevant") if title in self.row[label])


def load_gold() -> Iterator[GoldRequest]:
    """Every request of gold.jsonl; ends the program, saying so, where there is none."""
    if not (SHARED / "gold.jsonl").exists():
        sys.exit("../shared/gold.jsonl is absent: nothing to measure.")
    encoder = load_encoder(Settings())
    for line in (SHARED / "gold.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        request = AnswerRequest.from_prompt((SHARED / row["file"]).read_bytes().decode())
        index = PassageIndex(split_passages(request), encoder)
        hits = index.search(request.question, k=len(index.passages.all))
        yield GoldRequest(file=row["file"], index=index, hits=hits, row=row)
