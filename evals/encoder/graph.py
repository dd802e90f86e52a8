"""ONNX graphs of BERT written operator by operator: what `make_encoder.py` and `verifier/export.py` share.

Not exported by torch: the same bytes come out whatever version of torch or transformers is installed, and onnxruntime
loads them in 0.09 s (an export of the same network: 0.14 s).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

N_LAYERS, N_HEADS, HEAD_DIM, DIM = 6, 12, 32, 384
LIMIT_TOKENS = 256  # as in the original's sentence_bert_config.json
LAYER_NORM_EPSILON = 1e-12  # as in the original's config.json
OPSET, IR_VERSION = 20, 9  # the first with Gelu as one operator; onnxruntime >= 1.17

Floats = NDArray[np.floating]
Precision = Literal["float32", "float16-stored", "int8"]


class Graph:
    """An ONNX graph under construction: each method adds what it names and returns the name of its output.

    ``float16-stored`` weights are cast when the file is loaded, and everything is computed in float32. ``int8`` keeps
    one scale for each output of a matrix and each row of a table, and computes products of matrices in integers.
    """

    def __init__(
        self, weights: dict[str, Floats], precision: Precision = "float16-stored", limit_int8: int = 127
    ) -> None:
        self.weights = weights
        self.precision = precision
        self.limit_int8 = limit_int8
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Stored as it is."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def halved(self, name: str, value: Floats) -> str:
        """Stored as float16 and cast to float32, which onnxruntime does once, when it loads the file."""
        if self.precision != "float16-stored":  # what is small, and not halved, is kept whole
            return self.constant(name, value.astype(np.float32))
        stored = self.constant(f"{name}.float16", value.astype(np.float16))
        return self.node("Cast", [stored], name, to=TensorProto.FLOAT)

    def node(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        """One operator."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def linear(self, x: str, key: str) -> str:
        """``x @ weight.T + bias``."""
        if self.precision == "int8":
            product = self._product_of_integers(x, key)
        else:
            weight = self.halved(f"{key}.weight", self.weights[f"{key}.weight"].T)
            product = self.node("MatMul", [x, weight], f"{key}.matmul")
        return self.node("Add", [product, self.halved(f"{key}.bias", self.weights[f"{key}.bias"])], key)

    def _product_of_integers(self, x: str, key: str) -> str:
        """``x @ weight.T`` with `x` in 8 bits, its scale taken from the whole of it each time."""
        parts = [f"{x}.uint8", f"{x}.scale", f"{x}.zero"]
        if not any(node.name == parts[0] for node in self.nodes):
            self.nodes.append(helper.make_node("DynamicQuantizeLinear", [x], parts, name=parts[0]))
        rows, scales = self._integers(self.weights[f"{key}.weight"])
        weight = self.constant(f"{key}.weight.int8", rows.T)
        zero = self.constant(f"{key}.weight.zero", np.zeros(len(scales), dtype=np.int8))
        product = self.node("MatMulInteger", [parts[0], weight, parts[2], zero], f"{key}.integers")
        scale = self.node("Mul", [parts[1], self.constant(f"{key}.weight.scale", scales)], f"{key}.scale")
        floats = self.node("Cast", [product], f"{key}.floats", to=TensorProto.FLOAT)
        return self.node("Mul", [floats, scale], f"{key}.matmul")

    def _integers(self, value: Floats) -> tuple[NDArray[np.int8], Floats]:
        """Rows as int8, and the scale of each."""
        scales = np.maximum(np.abs(value).max(axis=1), 1e-12).astype(np.float32) / np.float32(self.limit_int8)
        return np.rint(value / scales[:, None]).astype(np.int8), scales

    def look_up(self, table: Floats, rows: str, output: str) -> str:
        """Float32 rows of a big table: only those in use become float32, which keeps its memory free."""
        if self.precision == "float32":
            return self.node("Gather", [self.constant("words.float32", table.astype(np.float32)), rows], output)
        if self.precision == "float16-stored":
            words = self.constant("words.float16", table.astype(np.float16))
            found = self.node("Gather", [words, rows], "found")
            return self.node("Cast", [found], output, to=TensorProto.FLOAT)
        integers, scales = self._integers(table)
        found = self.node("Gather", [self.constant("words.int8", integers), rows], "found")
        scale = self.node("Gather", [self.constant("words.scale", scales[:, None]), rows], "found.scale")
        return self.node("Mul", [self.node("Cast", [found], "found.float32", to=TensorProto.FLOAT), scale], output)

    def layer_norm(self, x: str, key: str) -> str:
        """Normalised over the last axis, scaled and shifted."""
        scale = self.halved(f"{key}.weight", self.weights[f"{key}.weight"])
        bias = self.halved(f"{key}.bias", self.weights[f"{key}.bias"])
        return self.node("LayerNormalization", [x, scale, bias], key, axis=-1, epsilon=LAYER_NORM_EPSILON)


def add_embeddings(graph: Graph, token_types: str | None = None) -> str:
    """Word, position and segment embeddings, (n, t, 384); without token types all tokens are of segment 0."""
    embedded = graph.look_up(graph.weights["embeddings.word_embeddings.weight"], "input_ids", "embedded")
    segments = graph.weights["embeddings.token_type_embeddings.weight"]
    placed_weights = graph.weights["embeddings.position_embeddings.weight"][:LIMIT_TOKENS]
    # Where a text is one segment, the embedding of segment 0 is a constant part of every position's.
    positions = graph.halved("positions", placed_weights if token_types else placed_weights + segments[0])
    n_tokens = graph.node("Shape", ["input_ids"], "n_tokens", start=1, end=2)
    start = graph.constant("start", np.array([0], dtype=np.int64))
    placed = graph.node("Slice", [positions, start, n_tokens, start], "placed")
    if token_types:
        typed = graph.node("Gather", [graph.halved("segments", segments), token_types], "typed")
        embedded = graph.node("Add", [embedded, typed], "embedded_typed")
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


def add_encoder(graph: Graph, token_types: str | None = None) -> tuple[str, str]:
    """Embeddings and all layers, (n, t, 384), and the mask as float32, (n, t), 0 where a token is padding."""
    graph.constant("shape_heads", np.array([0, 0, N_HEADS, HEAD_DIM], dtype=np.int64))
    graph.constant("shape_joined", np.array([0, 0, DIM], dtype=np.int64))
    graph.constant("scale", np.array(HEAD_DIM**-0.5, dtype=np.float32))
    mask = graph.node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
    padded = graph.node("Sub", [graph.constant("one", np.array(1, dtype=np.float32)), mask], "padded")
    # -1e9 and not -inf: the softmax of a padded place is exactly 0 either way, and a row of padding is not NaN.
    bias = graph.node("Mul", [padded, graph.constant("far", np.array(-1e9, dtype=np.float32))], "bias")
    graph.node("Unsqueeze", [bias, graph.constant("axes_1_2", np.array([1, 2], dtype=np.int64))], "mask_bias")
    x = add_embeddings(graph, token_types)
    for layer in range(N_LAYERS):
        x = add_layer(graph, x, f"encoder.layer.{layer}")
    return x, mask


def serialized(graph: Graph, name: str, inputs: list[str], outputs: dict[str, list[str | int]]) -> bytes:
    """The checked graph as a file's bytes: int64 `inputs` (n, t), float32 `outputs` by name with their shapes."""
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            name,
            [helper.make_tensor_value_info(each, TensorProto.INT64, ["n", "t"]) for each in inputs],
            [helper.make_tensor_value_info(each, TensorProto.FLOAT, shape) for each, shape in outputs.items()],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="cnaps_rag",
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)
