"""Which nodes of a network stay float32 when the rest becomes float16 or bfloat16, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper


@dataclass(frozen=True)
class Half:
    """A floating type of 16 bits: ONNX's number of it, its end, its smallest normal number.

    ``opset``: from which ONNX's convolutions and activations take it. ``narrow``: its exponent is shorter than
    float32's, so that what is harmless in float32 may leave its range. ``lacking``: operators that a runtime does not
    compute in it, whatever ONNX says.
    """

    name: str
    kind: int
    largest: float
    smallest: float
    opset: int
    narrow: bool
    lacking: frozenset[str] = frozenset()


FLOAT16 = Half("float16", TensorProto.FLOAT16, largest=65504.0, smallest=2.0**-14, opset=1, narrow=True)
BFLOAT16 = Half(
    "bfloat16",
    TensorProto.BFLOAT16,
    largest=(2 - 2.0**-7) * 2.0**127,
    smallest=2.0**-126,
    opset=22,
    narrow=False,
    lacking=frozenset({"ConvTranspose"}),  # TensorRT-RTX 1.7.1 builds none, for no compute capability
)

ALWAYS = frozenset({
    # a position in [-1, 1] has 11 bits in float16: a tenth of a pixel at 256, and the CUDA provider has float32 only
    "GridSample",
    # statistics: sums over many places, of squares
    "InstanceNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "LpNormalization",
    "ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "CumSum",
    # a rounding of what they read is multiplied by it
    "Softmax", "LogSoftmax", "Exp",
    # their element type is an attribute, or the operator's definition has no float16
    "Cast", "CastLike", "ConstantOfShape", "Range", "RandomNormal", "RandomUniform", "RandomNormalLike",
    "RandomUniformLike", "EyeLike", "NonMaxSuppression", "QuantizeLinear", "DequantizeLinear", "QLinearConv",
    "DynamicQuantizeLinear",
})  # fmt: skip

IN_A_NARROW_RANGE = frozenset({"Log", "Pow", "Sqrt", "Reciprocal"})
"""Beyond 65504 or near 0 these leave the range of float16."""

MOVING = frozenset({
    "Concat", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Tile",
    "Transpose", "Unsqueeze",
})  # fmt: skip
"""Nodes that only move numbers: in float32 where all they move is, so that nothing is rounded on the way."""

PLAIN = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Clip", "Min", "Max", "Sum", "Where", "MatMul"})
ARITHMETIC = MOVING | PLAIN | ALWAYS | IN_A_NARROW_RANGE

WEIGHTED_SUMS = frozenset({"MatMul", "Gemm", "Conv"})
SQUARES = frozenset({"Pow", "ReduceSumSquare", "ReduceL2"})


def nodes_in_float32(
    graph: onnx.GraphProto, keep: frozenset[str] = frozenset(), half: Half = FLOAT16
) -> frozenset[str]:
    """First outputs of the nodes that stay float32: by their operator, their constants, where they lead, or ``keep``.

    Constants must be initialisers. Nodes come in topological order, as ONNX has it.
    """
    outside = {w.name for w in graph.initializer if w.data_type == TensorProto.FLOAT and outside_half(w, half)}
    always = ALWAYS | half.lacking | (IN_A_NARROW_RANGE if half.narrow else frozenset())
    kept = {
        node.output[0]
        for node in graph.node
        if node.op_type in always or outside & set(node.input) or keep & {*node.input, *node.output}
    }
    makers = {output: node for node in graph.node for output in node.output}
    kept |= _grids(graph, makers)
    if half.narrow:
        kept |= _squares_under_roots(graph, makers)
    weights = {weight.name for weight in graph.initializer}
    inputs = {value.name for value in graph.input}
    for node in graph.node:
        moved = [name for name in node.input if name and name not in weights]
        still = (name in inputs or (name in makers and makers[name].output[0] in kept) for name in moved)
        if node.op_type in MOVING and moved and all(still):
            kept.add(node.output[0])
    return frozenset(kept)


def outside_half(weight: onnx.TensorProto, half: Half = FLOAT16) -> bool:
    """Whether ``half`` would spoil a constant: make it infinite, or make a lone small one (an epsilon) vanish."""
    values = np.abs(numpy_helper.to_array(weight))
    largest = float(values.max(initial=0.0))
    return largest > half.largest or (values.size == 1 and 0 < largest < half.smallest)


def _grids(graph: onnx.GraphProto, makers: Mapping[str, onnx.NodeProto]) -> set[str]:
    """What computes the places at which GridSample reads, back to the convolutions that predict them."""
    found: set[str] = set()
    open_names = [node.input[1] for node in graph.node if node.op_type == "GridSample"]
    while open_names:
        node = makers.get(open_names.pop())
        if node is None or node.output[0] in found or node.op_type not in ARITHMETIC | {"Tanh", "Resize"}:
            continue
        found.add(node.output[0])
        open_names.extend(node.input)
    return found


def _squares_under_roots(graph: onnx.GraphProto, makers: Mapping[str, onnx.NodeProto]) -> set[str]:
    """Whatever lies between a square and a root or quotient: demodulation, norms. Squares leave the range first."""
    roots = {"Sqrt": 0, "Reciprocal": 0, "Pow": 0, "Div": 1}  # the input that may be a norm
    known: dict[tuple[str, int], frozenset[str]] = {}
    found: set[str] = set()
    for node in graph.node:
        if node.op_type in roots:
            trail = _back_to_square(node.input[roots[node.op_type]], makers, 1, known)
            found |= trail | ({node.output[0]} if trail else set())
    return found


def _back_to_square(
    name: str, makers: Mapping[str, onnx.NodeProto], sums: int, known: dict[tuple[str, int], frozenset[str]]
) -> frozenset[str]:
    """The nodes from a square to ``name``, through arithmetic and at most ``sums`` weighted sums; none without one."""
    if (name, sums) in known:
        return known[name, sums]
    node = makers.get(name)
    trail: frozenset[str] = frozenset()
    if node is None:
        pass
    elif node.op_type in SQUARES or (node.op_type == "Mul" and node.input[0] == node.input[1]):
        trail = frozenset({node.output[0]})
    elif (left := sums - (node.op_type in WEIGHTED_SUMS)) >= 0 and node.op_type in ARITHMETIC | WEIGHTED_SUMS:
        before = frozenset().union(*(_back_to_square(one, makers, left, known) for one in node.input))
        trail = before | {node.output[0]} if before else before
    known[name, sums] = trail
    return trail
