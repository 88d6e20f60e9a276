"""What a network in float16 or bfloat16 gives where it is really computed so, found out on a processor that cannot.

ONNX Runtime's CPU provider computes float16 graphs in float32 and drops the casts that it puts between; of
bfloat16 it knows the casts alone. Here every tensor is rounded to 16 bits, to the nearest and ties to even, by casts of
the graph's own, which it keeps; sums inside a node are exact, as on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from mien_export.fidelity import Feeds, Fidelity, fidelity
from mien_export.precision import FLOAT, HALVES, element_types


def half_fidelity(model: bytes, half: bytes, feeds: Iterable[Feeds]) -> tuple[Fidelity, ...]:
    """How near `precision.to_half`'s network comes to the float32 one. Raises PrecisionError, as `fidelity` does."""
    return fidelity(model, emulated(half), feeds)


def emulated(half: bytes) -> bytes:
    """A float32 network that rounds each tensor as the one in 16 bits, ``half``, stores it."""
    proto = onnx.load_from_string(half)
    graph = proto.graph
    kinds = element_types(proto)
    low = {one.kind for one in HALVES}
    for weight in graph.initializer:
        if weight.data_type in low:
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float32), weight.name))
    nodes = []
    for node in graph.node:
        if node.op_type == "Cast" and kinds[node.input[0]] in low and kinds[node.output[0]] == FLOAT:
            nodes.append(helper.make_node("Identity", node.input, node.output))
            continue
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        nodes.append(copy)
        for place, name in enumerate(node.output):
            kind = kinds.get(name)
            if kind not in low:
                continue
            copy.output[place] = f"{name}_stored" if node.op_type == "Cast" else f"{name}_exact"
            if node.op_type != "Cast":
                nodes.append(helper.make_node("Cast", [f"{name}_exact"], [f"{name}_stored"], to=kind))
            nodes.append(helper.make_node("Cast", [f"{name}_stored"], [name], to=FLOAT))
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    data: bytes = proto.SerializeToString()
    return data
