"""A float32 ONNX network to float16 or bfloat16; the border, and what these cannot hold, stay float32.

The precision is in the graph alone: TensorRT 11 takes types as they stand. Inputs and outputs keep their types, so a
bundle looks the same in every precision. ONNX Runtime's CPU provider takes a float16 graph and computes it in float32
with nothing rounded on the way, and has hardly an operator in bfloat16; how good either is, `half_emulation` tells.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

from mien.sessions import OrtSession
from mien.sessions.base import Array
from mien_export.fidelity import Feeds, PrecisionError
from mien_export.float32_rules import BFLOAT16, FLOAT16, Half, nodes_in_float32

FLOAT = TensorProto.FLOAT

HALVES = (FLOAT16, BFLOAT16)

FLOAT32_INPUTS = {"Resize": (1, 2)}
"""Inputs that stay float32 by the operator's definition: region and scales of Resize."""

LOUD = 8192.0
"""Activations beyond this are too near to float16's end, 65504: another picture may go over it."""


def to_half(model: bytes, keep: frozenset[str] = frozenset(), half: Half = FLOAT16) -> bytes:
    """The network with weights and activations in ``half``: float16, or bfloat16, for which its opset may be raised.

    ``keep``: tensors that stay float32, and with them the nodes that make or read them, beyond what `float32_rules`
    says; for example what `overflowing` finds. Raises PrecisionError for a graph with branches, loops or functions,
    for unknown names in ``keep``, and for a network that is not in float32.
    """
    proto = with_plain_constants(_raised(onnx.load_from_string(model), half.opset))
    unknown = keep - {name for node in proto.graph.node for name in (*node.input, *node.output)}
    if unknown:
        raise PrecisionError(
            f"These tensors were to stay float32, but no node knows them: {', '.join(sorted(unknown))}."
        )
    kinds = element_types(proto)
    for other in HALVES:
        if other.kind in kinds.values():
            raise PrecisionError(f"The network has {other.name} in it already; convert the float32 one.")
    kept = nodes_in_float32(proto.graph, keep, half)
    rewriter = _Rewriter(proto.graph, kinds, half.kind)
    for node in proto.graph.node:
        touches = any(kinds.get(name) == FLOAT for name in (*node.input, *node.output))
        rewriter.add(node, FLOAT if node.output[0] in kept or not touches else half.kind)
    rewriter.finish()
    onnx.checker.check_model(proto, full_check=True)
    data: bytes = proto.SerializeToString()
    return data


def _raised(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The network in that opset, or as it is where its own is not lower."""
    if all(one.version >= opset for one in proto.opset_import if one.domain in ("", "ai.onnx")):
        return proto
    try:
        return version_converter.convert_version(proto, opset)
    except RuntimeError as error:
        raise PrecisionError(f"The network cannot be raised to the opset {opset}: {error}") from error


def overflowing(model: bytes, feeds: Feeds, limit: float = LOUD) -> frozenset[str]:
    """Tensors inside the network whose values go beyond ``limit``; `to_half` can keep them in float32."""
    proto = with_plain_constants(onnx.load_from_string(model))
    kinds = element_types(proto)
    names = [output for node in proto.graph.node for output in node.output if kinds.get(output) == FLOAT]
    del proto.graph.output[:]
    for number, name in enumerate(names):  # the largest of each inside the graph: all tensors at once fill the memory
        proto.graph.node.append(helper.make_node("Abs", [name], [f"abs_{number}_of"]))
        proto.graph.node.append(helper.make_node("ReduceMax", [f"abs_{number}_of"], [f"largest_{number}"], keepdims=0))
        proto.graph.output.append(helper.make_tensor_value_info(f"largest_{number}", FLOAT, []))
    session = OrtSession(proto.SerializeToString())
    found = session.run(feeds)
    session.close()
    return frozenset(name for number, name in enumerate(names) if not float(found[f"largest_{number}"]) <= limit)


def with_plain_constants(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Constant nodes, and weights stored in half with a cast behind them, become initialisers. Changes ``proto``.

    Raises PrecisionError for a graph with branches, loops or functions.
    """
    graph = proto.graph
    if proto.functions or any(a.type == onnx.AttributeProto.GRAPH for n in graph.node for a in n.attribute):
        raise PrecisionError("The network has branches, loops or functions; only a plain graph is converted.")
    stored = {weight.name: weight for weight in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type == "Constant":
            stored[node.output[0]] = numpy_helper.from_array(_value(node.attribute[0]), node.output[0])
        elif node.op_type == "Cast" and node.input[0] in stored and node.attribute[0].i == FLOAT:
            values = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
            stored[node.output[0]] = numpy_helper.from_array(values, node.output[0])
        else:
            nodes.append(node)
    _replace(graph, nodes, stored)
    return proto


def _value(attribute: onnx.AttributeProto) -> Array:
    if attribute.name == "value":
        return numpy_helper.to_array(attribute.t)
    kind = np.float32 if attribute.name.startswith("value_float") else np.int64
    return np.array(helper.get_attribute_value(attribute), kind)


def _replace(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], weights: Mapping[str, onnx.TensorProto]) -> None:
    """Put the nodes and those of the weights that they use into the graph."""
    used = {name for node in nodes for name in node.input} | {value.name for value in graph.output}
    kept_nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    kept_weights = [weight for name, weight in weights.items() if name in used]
    copies = [onnx.TensorProto.FromString(weight.SerializeToString()) for weight in kept_weights]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept_nodes)
    graph.initializer.extend(copies)


def element_types(proto: onnx.ModelProto) -> dict[str, int]:
    """Every tensor's element type. Raises PrecisionError where the graph does not say it."""
    graph = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    known = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info, *graph.output)}
    known |= {weight.name: weight.data_type for weight in graph.initializer}
    lost = [name for node in graph.node for name in node.output if name and not known.get(name)]
    if lost:
        raise PrecisionError(f"The element type of {lost[0]!r} cannot be told from the graph.")
    return known


class _Rewriter:
    """Copies nodes in one precision or the other and puts casts between them, one for each tensor and direction."""

    def __init__(self, graph: onnx.GraphProto, kinds: Mapping[str, int], half: int) -> None:
        self.graph = graph
        self.half = half
        self.weights = {weight.name: weight for weight in graph.initializer}
        self.kinds = dict(kinds)
        self.outputs = {value.name for value in graph.output}
        self.names: dict[str, str] = {}  # of the network's tensors, where they had to be renamed
        self.nodes: list[onnx.NodeProto] = []

    def add(self, node: onnx.NodeProto, kind: int) -> None:
        """The next node, computing in ``kind``; nodes come in topological order."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for place, name in enumerate(node.input):
            fixed = place in FLOAT32_INPUTS.get(node.op_type, ())
            copy.input[place] = self._as(name, FLOAT if fixed else kind)
        for place, name in enumerate(node.output):
            if kind != self.half or self.kinds.get(name) != FLOAT:
                continue
            if name in self.outputs:
                self.names[name] = copy.output[place] = f"{name}_half"
            self.kinds[copy.output[place]] = self.half
        self.nodes.append(copy)

    def finish(self) -> None:
        """Give the network's outputs their types back and put everything into the graph."""
        for name in self.outputs:
            if name in self.names:
                self.nodes.append(helper.make_node("Cast", [self.names[name]], [name], to=FLOAT))
        del self.graph.value_info[:]
        _replace(self.graph, self.nodes, self.weights)

    def _as(self, name: str, kind: int) -> str:
        source = self.names.get(name, name)
        if self.kinds.get(source) not in (FLOAT, self.half) or self.kinds[source] == kind:
            return source
        target = f"{source}_as_half" if kind == self.half else f"{source}_as_float"
        if target not in self.kinds:
            self.kinds[target] = kind
            if source in self.weights:
                values = numpy_helper.to_array(self.weights[source]).astype(helper.tensor_dtype_to_np_dtype(kind))
                # as bytes, not as numbers: OpenVINO misreads bfloat16 among those
                self.weights[target] = numpy_helper.from_array(values, target)
            else:
                self.nodes.append(helper.make_node("Cast", [source], [target], to=kind))
        return target
