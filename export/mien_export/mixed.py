"""An int8 network that came out too far from float32: the nodes that cost most go back to float32, until it is near."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import onnx

from mien_export.fidelity import Feeds, Fidelity, PrecisionError, answers, compared
from mien_export.quantise import QUANTISED, prepared, work

MOST_RESTORED = 0.5
"""Share of the multiply-adds that may go back. A network with less in int8 gains too little to differ from float32."""

Missing = Callable[[tuple[Fidelity, ...]], float]
"""Decibels that the worst output lacks; 0 or less is near enough."""


def mixed(model: bytes, quantised: bytes, feeds: Sequence[Feeds], missing: Missing) -> tuple[bytes, float]:
    """The network near enough, and the share of its multiply-adds that went back to float32.

    Each int8 node is tried in float32 alone, on the first feed; those that bring most go back together: one, two, four
    and so on. Of those, whichever are not needed beside the others stay int8 after all, the largest first. The same
    bytes and feeds give the same bytes. Raises PrecisionError where `MOST_RESTORED` is not enough.
    """
    original, made = prepared(model), onnx.load_from_string(quantised)
    truth = answers(model, feeds)
    rounded = {output for node in made.graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    nodes = [node.name for node in made.graph.node if node.op_type in QUANTISED and node.input[1] in rounded]

    def lacking(names: Collection[str], count: int) -> float:
        return missing(compared(truth[:count], answers(restored(original, made, names), feeds[:count])))

    order = sorted(nodes, key=lambda name: lacking({name}, 1))
    sizes = work(original.graph)
    count, least = 1, missing(compared(truth, answers(quantised, feeds)))
    while count < 2 * len(order):
        names = frozenset(order[:count])
        share = sum(sizes[name] for name in names) / sum(sizes.values())
        if share > MOST_RESTORED:
            break
        lack = lacking(names, len(feeds))
        if lack <= 0:
            for name in sorted(names, key=lambda name: (-sizes[name], name)):
                if lacking(names - {name}, len(feeds)) <= 0:
                    names -= {name}
            return restored(original, made, names), sum(sizes[name] for name in names) / sum(sizes.values())
        least, count = min(least, lack), 2 * count
    raise PrecisionError(
        f"and with up to {MOST_RESTORED:.0%} of its work back in float32 it still lacks {least:.1f} dB"
    )


def restored(original: onnx.ModelProto, quantised: onnx.ModelProto, names: Collection[str]) -> bytes:
    """The int8 network with these of its nodes in float32 again. ``original``: as `quantise.prepared` gives it."""
    made = onnx.ModelProto()
    made.CopyFrom(quantised)
    graph = made.graph
    makers = {output: node for node in graph.node for output in node.output}
    weights = {weight.name: weight for weight in original.graph.initializer}
    weight_of = {node.name: node.input[1] for node in original.graph.node if node.name in names}
    there = {weight.name for weight in graph.initializer}
    for node in graph.node:
        if node.name in names:
            rounded = makers[node.input[0]]
            node.input[0] = makers[rounded.input[0]].input[0]
            node.input[1] = weight_of[node.name]
            if weight_of[node.name] not in there:
                graph.initializer.append(weights[weight_of[node.name]])
                there.add(weight_of[node.name])
    _drop_unread(graph)
    data: bytes = made.SerializeToString()
    return data


def _drop_unread(graph: onnx.GraphProto) -> None:
    read = {value.name for value in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if read & set(node.output):
            nodes.append(node)
            read |= set(node.input)
    weights = [weight for weight in graph.initializer if weight.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(weights)
