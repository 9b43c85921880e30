"""Writes the network as an ONNX graph of 8-bit matrix products, node by node.

By hand, because torch's tracer gets padding wrong here, and because the usual dynamic
quantisation takes each activation's range from the whole batch, so that a text's answer depends
on its neighbours. Here the ranges are constants, taken from training texts: an answer is the same
in any batch, and nothing is searched for at run time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Floats: TypeAlias = NDArray[np.float32]

LAYERS, HEADS, CLASSES = 6, 12, 2
EPSILON = 1e-12  # of the layer normalisations, as BERT has it
OPSET, ORT_OPSET, IR_VERSION = 18, 1, 10
ORT = "com.microsoft"  # ONNX Runtime's own operators
# 7 bits: without VNNI a processor adds pairs of products in 16 bits, where 8 would overflow.
LARGEST_WEIGHT = 63
LARGEST_EMBEDDING = 127


@dataclass(frozen=True)
class Range:
    """What an activation lies in; values outside are clipped. Zero is always inside."""

    low: float
    high: float

    @property
    def step(self) -> np.float32:
        return np.float32((self.high - self.low) / 255)

    @property
    def zero(self) -> np.uint8:
        return np.uint8(round(-self.low / float(self.step)))


def sentiment_graph(
    weights: Mapping[str, Floats], ranges: Mapping[str, Range], temperature: float
) -> onnx.ModelProto:
    """Token ids and their mask in; the encoder, its mean, the head and softmax; probabilities out.

    `weights` are named as in SentimentNetwork's state, `ranges` as `products` are; with no ranges
    at all the graph stays in 32-bit floats.
    """
    graph = _Graph(weights, ranges)
    hidden = graph.embeddings()
    for layer in range(LAYERS):
        hidden = graph.transformer_layer(hidden, f"encoder.encoder.layer.{layer}")
    graph.answer(graph.mean_of_tokens(hidden), temperature)
    return graph.model()


def products() -> dict[str, str]:
    """Every quantised product's name, and the module whose input it multiplies."""
    layers = [f"encoder.encoder.layer.{layer}" for layer in range(LAYERS)]
    dense = ("attention.output.dense", "intermediate.dense", "output.dense")
    return {f"{layer}.attention.self": f"{layer}.attention.self.query" for layer in layers} | {
        f"{layer}.{name}": f"{layer}.{name}" for layer in layers for name in dense
    }


def rounded(weights: Floats, largest: int, axis: int) -> tuple[NDArray[np.int8], Floats]:
    """Signed integers and the scale of each vector along `axis`, symmetric about zero."""
    scales = np.maximum(np.abs(weights).max(axis=axis, keepdims=True), 1e-9) / largest
    return np.rint(weights / scales).astype(np.int8), scales.astype(np.float32)


@dataclass
class _Graph:
    """The nodes and constants so far; every method adds some and gives back its output's name."""

    weights: Mapping[str, Floats]
    ranges: Mapping[str, Range]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def embeddings(self) -> str:
        names = "encoder.embeddings"
        words = self._rows(
            "Gather", "words", self.weights[f"{names}.word_embeddings.weight"], ["input_ids"]
        )
        # Every text is of type 0, so its embedding joins the positions'.
        positions = (
            self.weights[f"{names}.position_embeddings.weight"]
            + self.weights[f"{names}.token_type_embeddings.weight"][0]
        )
        length = self._add("Shape", ["input_ids"], "length", start=1, end=2)
        zero = self._constant("zero", np.array([0]))
        placed = self._rows("Slice", "positions", positions, [zero, length])
        summed = self._add("Add", [words, placed], "embedded")
        scale, bias = self._norm(f"{names}.LayerNorm")
        self._add("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
        return self._add(
            "LayerNormalization", [summed, scale, bias], "embeddings", axis=-1, epsilon=EPSILON
        )

    def transformer_layer(self, hidden: str, name: str) -> str:
        attended = self._attention(hidden, name)
        output = self._product(attended, f"{name}.attention.output.dense")
        hidden = self._joined(hidden, output, f"{name}.attention.output")
        wide = self._product(hidden, f"{name}.intermediate.dense")
        active = self._add("Gelu", [wide], f"{name}.gelu", domain=ORT)
        output = self._product(active, f"{name}.output.dense")
        return self._joined(hidden, output, f"{name}.output")

    def mean_of_tokens(self, hidden: str) -> str:
        mask = self._add("Cast", ["attention_mask"], "float_mask", to=TensorProto.FLOAT)
        row = self._add("Unsqueeze", [mask, self._constant("one", np.array([1]))], "mask_row")
        summed = self._add("MatMul", [row, hidden], "sum_of_tokens")
        last = self._constant("last", np.array([2]))
        count = self._add("ReduceSum", [row, last], "count_of_tokens")
        mean = self._add("Div", [summed, count], "mean_row")
        return self._add("Squeeze", [mean, "one"], "mean_of_tokens")

    def answer(self, mean: str, temperature: float) -> None:
        weight = self._constant(
            "head.weight", self.weights["head.weight"] / np.float32(temperature)
        )
        bias = self._constant("head.bias", self.weights["head.bias"] / np.float32(temperature))
        logits = self._add("Gemm", [mean, weight, bias], "logits", transB=1)
        self._add("Softmax", [logits], "probabilities", axis=-1)

    def model(self) -> onnx.ModelProto:
        tokens, value = ["batch", "tokens"], helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "sentiment_analysis",
            [value(name, TensorProto.INT64, tokens) for name in ("input_ids", "attention_mask")],
            [value("probabilities", TensorProto.FLOAT, ["batch", CLASSES])],
            list(self.constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ORT, ORT_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model

    def _rows(self, operator: str, name: str, table: Floats, which: list[str]) -> str:
        """Those rows of an embedding table; kept as one byte per number and a scale per row."""
        if not self.ranges:
            return self._add(operator, [self._constant(name, table), *which], f"{name}.rows")
        integers, scales = rounded(table, LARGEST_EMBEDDING, axis=1)
        integers_of = self._add(operator, [self._constant(name, integers), *which], f"{name}.bytes")
        floats_of = self._add("Cast", [integers_of], f"{name}.floats", to=TensorProto.FLOAT)
        scale_of = [self._constant(f"{name}.scales", scales), *which]
        scales_of = self._add(operator, scale_of, f"{name}.scale")
        return self._add("Mul", [floats_of, scales_of], f"{name}.rows")

    def _attention(self, hidden: str, name: str) -> str:
        parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        matrix = np.concatenate([self.weights[f"{part}.weight"] for part in parts]).T
        bias = np.concatenate([self.weights[f"{part}.bias"] for part in parts])
        biases, output = self._constant(f"{name}.attention.self.bias", bias), f"{name}.attention"
        if not self.ranges:
            inputs = [hidden, self._constant(f"{name}.attention.self.weight", matrix), biases]
            inputs += ["mask"]
            return self._add("Attention", inputs, output, domain=ORT, num_heads=HEADS)
        hidden, weight, step, scale, zero = self._quantised(
            hidden, f"{name}.attention.self", matrix
        )
        none = self._constant("no_zero", np.int8(0))
        inputs = [hidden, weight, biases, step, scale, "mask", zero, none]
        return self._add("QAttention", inputs, output, domain=ORT, num_heads=HEADS)

    def _joined(self, hidden: str, output: str, name: str) -> str:
        """The residual sum, normalised.

        In two nodes: ONNX Runtime's SkipLayerNormalization, on a CPU, takes four times as long.
        """
        summed = self._add("Add", [hidden, output], f"{name}.sum")
        inputs = [summed, *self._norm(f"{name}.LayerNorm")]
        return self._add("LayerNormalization", inputs, name, axis=-1, epsilon=EPSILON)

    def _product(self, hidden: str, name: str) -> str:
        """The linear layer `name` of `hidden`."""
        matrix, bias = self.weights[f"{name}.weight"].T, self._bias(name)
        if not self.ranges:
            weight = self._constant(f"{name}.weight", matrix)
            return self._add(
                "Add", [self._add("MatMul", [hidden, weight], f"{name}.raw"), bias], name
            )
        inputs = [*self._quantised(hidden, name, matrix), "", bias]
        return self._add("MatMulIntegerToFloat", inputs, name, domain=ORT)

    def _quantised(self, hidden: str, name: str, matrix: Floats) -> list[str]:
        """`hidden` and `matrix` as integers, the scales of both, and what is 0 in `hidden`."""
        integers, scales = rounded(matrix, LARGEST_WEIGHT, axis=0)
        step = self._constant(f"{name}.step", self.ranges[name].step)
        zero = self._constant(f"{name}.zero", self.ranges[name].zero)
        return [
            self._add("QuantizeLinear", [hidden, step, zero], f"{name}.quantised"),
            self._constant(f"{name}.weight", integers),
            step,
            self._constant(f"{name}.scale", scales[0]),
            zero,
        ]

    def _norm(self, name: str) -> tuple[str, str]:
        weight = self._constant(f"{name}.weight", self.weights[f"{name}.weight"])
        return weight, self._bias(name)

    def _bias(self, name: str) -> str:
        return self._constant(f"{name}.bias", self.weights[f"{name}.bias"])

    def _constant(self, name: str, array: NDArray[Any] | np.generic) -> str:
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output
