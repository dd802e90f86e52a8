"""Writes data/models/claim-verifier: a trained checkpoint as the ONNX file that the package ships.

Usage: ``python evals/verifier/export.py --checkpoint FOLDER [--precision int8] [--folder OUT]`` (needs the dev extra).
The folder holds `model.pt`, the state of `model.CrossEncoder`, and may hold `config.json`, which is copied; without
``--checkpoint`` the heads are random, which serves to try the way and nothing else. Prints the largest difference that
each precision makes. The same checkpoint gives the same bytes every time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import onnxruntime
import tokenizers
import torch
from model import LIMIT_CLAIM_TOKENS, CrossEncoder, minilm_folder

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "evals" / "encoder"))

from graph import LIMIT_TOKENS, Floats, Graph, Precision, add_encoder, serialized  # noqa: E402

SHIPPED = ROOT / "data" / "models" / "claim-verifier"
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
# Seven bits: on CPUs without VNNI two products of eight bits and eight can be more than their 16 bits hold.
LIMIT_INT8 = {8: 127, 7: 63}
NEW_CONFIG = {
    "limit_tokens": LIMIT_TOKENS,
    "limit_claim_tokens": LIMIT_CLAIM_TOKENS,
    "calibration": {"slope": 1.0, "intercept": 0.0},
    "threshold": 0.5,
}
PAIRS = [
    ("We upsample feature maps cheaply. CLIP helps.", "It upsamples feature maps."),
    ("We upsample feature maps cheaply.", "It cooks soup for the whole family."),
    ("The dataset holds 2,500 images of street scenes, labelled by three people.", "The dataset holds 250 images."),
    ("", "It upsamples feature maps."),
    ("한국어 문장입니다.", "It reads Korean."),
    ("A sentence among many tells of noise in photographs and how it is removed. " * 14, "It removes noise."),
]


def build_model(weights: dict[str, Floats], precision: Precision, limit_int8: int) -> bytes:
    """The whole verifier: int64 `INPUTS` (n, t) to float32 `logit` (n) and `token_logit` (n, t)."""
    bert = {key.removeprefix("bert."): value for key, value in weights.items()}
    graph = Graph(bert, precision, limit_int8)
    hidden, mask = add_encoder(graph, "token_type_ids")
    if precision == "int8":
        graph.precision = "float32"  # the heads are small, and their sums decide
    of_claim = graph.node("Cast", ["token_type_ids"], "of_claim", to=1)
    claim_mask = graph.node("Mul", [mask, of_claim], "claim_mask")
    evidence_mask = graph.node("Sub", [mask, claim_mask], "evidence_mask")
    graph.constant("axis_1", np.array([1], dtype=np.int64))
    graph.constant("axis_2", np.array([2], dtype=np.int64))
    claim = _mean(graph, hidden, claim_mask, "claim")
    evidence = _mean(graph, hidden, evidence_mask, "evidence")
    distance = graph.node("Abs", [graph.node("Sub", [claim, evidence], "difference")], "distance")
    product = graph.node("Mul", [claim, evidence], "product")
    features = graph.node("Concat", [claim, evidence, distance, product], "features", axis=-1)
    pooled = graph.node("Tanh", [graph.linear(features, "dense")], "pooled")
    graph.node("Squeeze", [graph.linear(pooled, "support"), "axis_1"], "logit")
    graph.node("Squeeze", [graph.linear(hidden, "token_support"), "axis_2"], "token_logit")
    return serialized(graph, "claim-verifier", INPUTS, {"logit": ["n"], "token_logit": ["n", "t"]})


def _mean(graph: Graph, hidden: str, mask: str, name: str) -> str:
    """Mean of the tokens that `mask` keeps, (n, 384); zeros where it keeps none."""
    kept = graph.node("Unsqueeze", [mask, "axis_2"], f"{name}.kept")
    summed = graph.node(
        "ReduceSum", [graph.node("Mul", [hidden, kept], f"{name}.tokens"), "axis_1"], f"{name}.sum", keepdims=0
    )
    counted = graph.node("ReduceSum", [kept, "axis_1"], f"{name}.n", keepdims=0)
    at_least_one = graph.node("Max", [counted, graph.constant(f"{name}.one", np.float32(1).reshape(()))], f"{name}.n1")
    return graph.node("Div", [summed, at_least_one], f"{name}.mean")


def load_checkpoint(folder: Path | None) -> CrossEncoder:
    """The trained network, or one with random heads where no checkpoint is given."""
    torch.manual_seed(0)
    network = CrossEncoder.from_minilm()
    if folder is not None:
        state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
        missing, unknown = network.load_state_dict(state, strict=False)
        lacking = [key for key in (*missing, *unknown) if not key.startswith("contradiction.")]  # not shipped
        if lacking:
            sys.exit(f"{folder / 'model.pt'} is no state of this network: {', '.join(lacking)}")
    return network.float().eval()


def bare_tokenizer() -> tokenizers.Tokenizer:
    """The encoder's tokenizer without truncation and padding of its own."""
    tokenizer = tokenizers.Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode(tokenizer: tokenizers.Tokenizer, pair: tuple[str, str]) -> dict[str, np.ndarray]:
    """Inputs of one pair, (1, t)."""
    tokenizer.enable_truncation(LIMIT_TOKENS, strategy="only_first")
    encoded = tokenizer.encode(*pair)
    tokenizer.no_truncation()
    values = (encoded.ids, encoded.attention_mask, encoded.type_ids)
    return {name: np.array([value], dtype=np.int64) for name, value in zip(INPUTS, values, strict=True)}


def largest_differences(network: CrossEncoder, model: bytes) -> tuple[float, float]:
    """Largest difference of a pair's logit and of a token's between torch and ONNX over `PAIRS`."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    tokenizer = bare_tokenizer()
    differences = []
    for pair in PAIRS:
        inputs = encode(tokenizer, pair)
        found = session.run(["logit", "token_logit"], inputs)
        with torch.inference_mode():
            expected = network(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        differences.append([np.abs(a - b.numpy()).max() for a, b in zip(found, expected, strict=True)])
    logit, token_logit = np.max(differences, axis=0)
    return float(logit), float(token_logit)


def make_files(folder: Path, model: bytes, checkpoint: Path | None) -> None:
    """Writes model.onnx, tokenizer.json, config.json and LICENSE into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    bare_tokenizer().save(str(folder / "tokenizer.json"), pretty=False)
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")
    told = checkpoint / "config.json" if checkpoint is not None else None
    config = json.loads(told.read_text(encoding="utf-8")) if told is not None and told.is_file() else NEW_CONFIG
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for made in sorted(folder.iterdir()):
        print(f"{hashlib.sha256(made.read_bytes()).hexdigest()}  {made.stat().st_size:>10,}  {made.name}")


def main() -> None:
    """Measures every precision and writes the one that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="folder with model.pt")
    parser.add_argument("--precision", choices=get_args(Precision), default="int8")
    parser.add_argument("--bits", type=int, choices=sorted(LIMIT_INT8), default=7, help="bits of an int8 weight")
    parser.add_argument("--folder", type=Path, default=SHIPPED, help="where to write (default: where it is shipped)")
    arguments = parser.parse_args()
    network = load_checkpoint(arguments.checkpoint)
    weights = {key: value.numpy() for key, value in network.state_dict().items()}
    ways = [("float32", 8), ("float16-stored", 8), ("int8", 8), ("int8", 7)]
    print(f"{'precision':16}{'bits':>5}{'megabytes':>11}{'largest difference of logits, of token logits':>47}")
    for precision, bits in ways:
        model = build_model(weights, precision, LIMIT_INT8[bits])
        logit, token_logit = largest_differences(network, model)
        shown_bits = str(bits) if precision == "int8" else ""
        print(f"{precision:16}{shown_bits:>5}{len(model) / 1e6:11.1f}{logit:24.5f}{token_logit:23.5f}")
    asked = build_model(weights, arguments.precision, LIMIT_INT8[arguments.bits])
    make_files(arguments.folder, asked, arguments.checkpoint)


if __name__ == "__main__":
    main()
