"""A float32 ONNX network to int8: its convolutions and matrix products, calibrated on real feeds.

Symmetric signed QDQ before each such node, weights per channel, biases in float32: the one form that ONNX Runtime,
OpenVINO and TensorRT all take. Outputs are not rounded: what a sum, an activation or a softmax reads keeps its digits.
That is three to seven decibels of the studio family's outputs. OpenVINO is as fast; ONNX Runtime joins fewer nodes.

What `float32_rules` keeps from float16 stays out, and so do depthwise convolutions, which OpenVINO refuses, and small
products: the styles of a StyleGAN2 are none of its work and two decibels of its picture.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import median

import numpy as np
import onnx
from onnxruntime.quantization import (  # type: ignore[import-untyped]
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.quant_utils import add_pre_process_metadata  # type: ignore[import-untyped]

from mien.errors import MissingDependency, SessionError
from mien.sessions import OrtSession, Session, open_session
from mien.sessions.base import Array, TensorSpec, check_tensors
from mien_export.fidelity import Feeds, Fidelity, PrecisionError, fidelity
from mien_export.float32_rules import nodes_in_float32
from mien_export.precision import with_plain_constants

QUANTISED = ("Conv", "ConvTranspose", "Gemm", "MatMul")

BACKENDS = ("ort", "openvino")

LEAST_WORK = 1e-3
"""Of all multiply-adds; a node below this share stays float32."""

MOST_VALUES = 1 << 18
"""Of one tensor that its range is taken from: evenly spaced ones, where there are more."""

ROUNDS = 9
"""Runs of each network, in turns, for one measured speed."""


@dataclass(frozen=True)
class Gain:
    """What int8 costs and what it brings."""

    fidelity: tuple[Fidelity, ...]
    speed: Mapping[str, float]
    """Time of float32 over time of int8, for each backend that runs float32 here; below 1, int8 is slower."""

    @property
    def slower(self) -> tuple[str, ...]:
        """The backends that int8 makes slower."""
        return tuple(backend for backend, ratio in self.speed.items() if ratio < 1)


def to_int8(model: bytes, calibration: Iterable[Feeds], share: float = 1.0) -> bytes:
    """The network with int8 weights and activations where `QUANTISED` says.

    ``calibration``: feeds as in real use; the largest value that each tensor takes on them becomes its range. With a
    ``share`` below 1, what that share of its values other than 0 does not exceed: a few values far out take the digits
    of all others. Raises PrecisionError without feeds, for a graph that `precision.to_half` refuses, and where nothing
    can be quantised; SessionError for feeds that the network does not take.
    """
    proto = prepared(model)
    chosen = _chosen(proto.graph)
    if not chosen:
        raise PrecisionError(f"The network has nothing to quantise: no {', '.join(QUANTISED)} with constant weights.")
    add_pre_process_metadata(proto)  # or the quantiser advises to fold what the exporter has folded
    feeds = list(calibration)
    reader = _Reader(feeds, _inputs(model))
    ranges = _ranges(proto, chosen, feeds, share) if share < 1 else {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            proto,
            path,
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=chosen,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,
                "OpTypesToExcludeOutputQuantization": list(QUANTISED),
                "TensorQuantOverrides": {name: [{"rmin": -most, "rmax": most}] for name, most in ranges.items()},
            },
        )
        made = onnx.load(path)
    del made.metadata_props[:]
    onnx.checker.check_model(made, full_check=True)
    data: bytes = made.SerializeToString()
    return data


def prepared(model: bytes) -> onnx.ModelProto:
    """The network as it is quantised: constants as initialisers, shapes known, every node with a name of its own."""
    proto = onnx.shape_inference.infer_shapes(with_plain_constants(onnx.load_from_string(model)))
    for number, node in enumerate(proto.graph.node):
        node.name = f"{node.op_type}_{number}"
    return proto


def work(graph: onnx.GraphProto) -> dict[str, float]:
    """Multiply-adds of the nodes of a `prepared` network that can be quantised, by name."""
    kept = nodes_in_float32(graph)
    weights = {weight.name: weight for weight in graph.initializer}
    sizes = _sizes(graph)
    return {
        node.name: _multiply_adds(node, weights[node.input[1]], sizes)
        for node in graph.node
        if node.op_type in QUANTISED and node.input[1] in weights and node.input[0] not in weights
        if node.output[0] not in kept and not _is_depthwise(node, weights)
    }


def gain(
    model: bytes,
    quantised: bytes,
    feeds: Sequence[Feeds],
    backends: Sequence[str] = BACKENDS,
    threads: int | None = None,
) -> Gain:
    """Compare on ``feeds``, which the calibration should not have seen; a backend that cannot run float32 is left out.

    Raises PrecisionError for outputs that are not finite, SessionError where a backend takes float32 and not int8.
    """
    found = fidelity(model, quantised, feeds)
    speed = {}
    for backend in backends:
        try:
            plain = open_session(model, backend, threads=threads)
        except (MissingDependency, SessionError):
            continue
        speed[backend] = _ratio(plain, open_session(quantised, backend, threads=threads), feeds[0])
    return Gain(found, speed)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Feeds as the quantiser takes them: one by one, None at the end."""

    def __init__(self, feeds: Iterable[Feeds], specs: tuple[TensorSpec, ...]) -> None:
        self.feeds: Iterator[Feeds] = iter(feeds)
        self.specs = specs
        self.read = 0

    def get_next(self) -> dict[str, Array] | None:
        feed = next(self.feeds, None)
        if feed is None and not self.read:
            raise PrecisionError("Int8 needs pictures to be calibrated on; none was given.")
        if feed is None:
            return None
        check_tensors(self.specs, feed)
        self.read += 1
        return dict(feed)


def _ranges(
    proto: onnx.ModelProto, chosen: Sequence[str], feeds: Sequence[Feeds], share: float
) -> dict[str, np.float32]:
    """What the nodes ``chosen`` read: of each tensor the largest quantile ``share`` of a feed, zeros left out."""
    read = {node.input[0] for node in proto.graph.node if node.name in chosen}
    probe = onnx.ModelProto()
    probe.CopyFrom(proto)
    shown = {value.name for value in (*proto.graph.input, *proto.graph.output)}
    probe.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in sorted(read - shown))
    session = OrtSession(probe.SerializeToString())
    largest = dict.fromkeys(read, np.float32(0))
    for feed in feeds:
        said = {**feed, **session.run(feed)}
        for name in read:
            values = np.abs(said[name].ravel()[:: -(-said[name].size // MOST_VALUES)])
            values = values[values > 0]
            if values.size:
                largest[name] = max(largest[name], np.float32(np.quantile(values, share)))
    session.close()
    return {name: most for name, most in largest.items() if most > 0}


def _inputs(model: bytes) -> tuple[TensorSpec, ...]:
    session = OrtSession(model)
    session.close()
    return session.inputs


def _chosen(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes to quantise."""
    found = work(graph)
    return [name for name, count in found.items() if count >= LEAST_WORK * sum(found.values())]


def _sizes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """The shapes that are known, a free dimension as 1."""
    values = (*graph.input, *graph.value_info, *graph.output)
    return {value.name: tuple(d.dim_value or 1 for d in value.type.tensor_type.shape.dim) for value in values}


def _multiply_adds(node: onnx.NodeProto, weight: onnx.TensorProto, sizes: Mapping[str, tuple[int, ...]]) -> float:
    """Every weight once for each place: of the input of a transposed convolution, of the output of the others."""
    side = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
    shape = sizes.get(side, ())
    places = prod(shape[2:] if node.op_type.startswith("Conv") else shape[:-1])
    return float(prod(weight.dims) * places)


def _is_depthwise(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return groups > 1 and groups == weights[node.input[1]].dims[0]


def _ratio(plain: Session, quantised: Session, feeds: Feeds) -> float:
    """Median time of the one over that of the other, run in turns so that both meet the same machine. Closes them."""
    sessions = (plain, quantised)
    seconds: tuple[list[float], list[float]] = ([], [])
    for lap in range(ROUNDS + 1):
        for session, spent in zip(sessions, seconds, strict=True):
            start = time.perf_counter()
            session.run(feeds)
            if lap:  # the first run warms up
                spent.append(time.perf_counter() - start)
    for session in sessions:
        session.close()
    return median(seconds[0]) / median(seconds[1])
