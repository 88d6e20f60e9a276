"""Tiny ONNX networks and bundles, made in a moment, for tests of whatever loads or runs one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mien.bundle import Bundle, Licence, Manifest, NetworkSpec, Parity, TensorInfo, write_bundle

OPSET = 20


def serialized(graph: onnx.GraphProto) -> bytes:
    """The graph as an ONNX file's bytes, checked."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def scale_model(factor: float = 2.0, size: int | str = 8) -> bytes:
    """``image`` (N, 3, size, size) float32 -> ``scaled``, the same times ``factor``."""
    weight = numpy_helper.from_array(np.full((1, 3, 1, 1), factor, np.float32), "weight")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["image", "weight"], ["scaled"])],
        "scale",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, size, size])],
        [helper.make_tensor_value_info("scaled", TensorProto.FLOAT, ["N", 3, size, size])],
        [weight],
    )
    return serialized(graph)


def failing_model() -> bytes:
    """``values`` (4,) float32 and ``shape`` (1,) int64 -> ``out`` of that shape: fails while running for most."""
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["values", "shape"], ["out"])],
        "reshape",
        [
            helper.make_tensor_value_info("values", TensorProto.FLOAT, [4]),
            helper.make_tensor_value_info("shape", TensorProto.INT64, [1]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["M"])],
    )
    return serialized(graph)


def conv_model(channels: int = 4, side: int = 16) -> bytes:
    """``image`` (1, 3, side, side) -> 3x3 convolution with ReLU -> ``features`` (1, channels, side, side)."""
    weight = numpy_helper.from_array(np.full((channels, 3, 3, 3), 0.1, np.float32), "weight")
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "weight"], ["raw"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["raw"], ["features"]),
        ],
        "conv",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, channels, side, side])],
        [weight],
    )
    return serialized(graph)


def precision_model(kind: int) -> bytes:
    """`conv_model` computed in another type; what goes in and out stays float32."""
    model = onnx.load_from_string(conv_model())
    graph = model.graph
    weight = numpy_helper.to_array(graph.initializer[0])
    low = numpy_helper.to_array(helper.make_tensor("weight", kind, weight.shape, weight.ravel().tolist()))
    graph.initializer[0].CopyFrom(numpy_helper.from_array(low, "weight"))  # as bytes, which every runtime reads
    graph.node[0].input[0], graph.node[1].output[0] = "low", "low_features"
    graph.node.insert(0, helper.make_node("Cast", ["image"], ["low"], to=kind))
    graph.node.append(helper.make_node("Cast", ["low_features"], ["features"], to=TensorProto.FLOAT))
    model.opset_import[0].version = 22  # from which a convolution takes bfloat16
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def int8_model(kind: int = TensorProto.INT8) -> bytes:
    """`conv_model` with its picture and weight rounded to integers and back."""
    model = onnx.load_from_string(conv_model())
    graph = model.graph
    graph.initializer.extend(
        (helper.make_tensor("step", TensorProto.FLOAT, [], [0.1]), helper.make_tensor("zero", kind, [], [0]))
    )
    for place, name in enumerate(("image", "weight")):
        graph.node[0].input[place] = f"{name}_back"
    for name in ("image", "weight"):
        graph.node.insert(0, helper.make_node("DequantizeLinear", [f"{name}_low", "step", "zero"], [f"{name}_back"]))
        graph.node.insert(0, helper.make_node("QuantizeLinear", [name, "step", "zero"], [f"{name}_low"]))
    model.opset_import[0].version = 21  # from which there are four bits
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def idle_model() -> bytes:
    """The convolution of `conv_model`, plus a zero that a runtime may drop -> ``sum`` (1, 4, 16, 16)."""
    model = onnx.load_from_string(conv_model())
    del model.graph.node[1]
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "zero"))
    model.graph.node.append(helper.make_node("Add", ["raw", "zero"], ["sum"]))
    model.graph.output[0].name = "sum"
    return serialized(model.graph)


def external_model(location: str = "weights.bin") -> bytes:
    """The scale model with its weight in another file, which is what a bundle must refuse."""
    model = onnx.load_from_string(scale_model())
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    data: bytes = model.SerializeToString()
    return data


def scale_spec(role: str = "motion", file: str = "motion.onnx", size: int = 8) -> NetworkSpec:
    """What a manifest says about `scale_model`."""
    image = TensorInfo("image", "float32", ("N", 3, size, size), "NCHW", "RGB", (0.0, 1.0))
    scaled = TensorInfo("scaled", "float32", ("N", 3, size, size), "NCHW")
    return NetworkSpec(role, file, "fp32", OPSET, (image,), (scaled,), Parity("by hand", 0.0, 1e-4))


def spec_of(model: bytes, role: str) -> NetworkSpec:
    """What a manifest says about any of these models."""
    graph = onnx.load_from_string(model).graph

    def infos(values: Iterable[onnx.ValueInfoProto]) -> tuple[TensorInfo, ...]:
        return tuple(TensorInfo(v.name, "float32", sizes(v)) for v in values)

    def sizes(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
        return tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)

    parity = Parity("by hand", 0.0, 1e-4)
    return NetworkSpec(role, f"{role}.onnx", "fp32", OPSET, infos(graph.input), infos(graph.output), parity)


def tiny_manifest(*networks: NetworkSpec) -> Manifest:
    """A manifest of networks (one `scale_spec` unless given), not yet with hashes."""
    return Manifest(
        name="tiny",
        task="reenact",
        family="tiny",
        licence=Licence("Apache-2.0", "Apache-2.0"),
        origin="Made by hand for a test.",
        networks={spec.role: spec for spec in networks or (scale_spec(),)},
        extra={"expressions": ("jaw", "lids"), "crop_cm": 24.0},
    )


def tiny_bundle(path: Path, arrays: Mapping[str, NDArray[np.generic]] | None = None) -> Bundle:
    """A bundle of one network, ``motion``, which doubles its picture; a folder, or a zip by the suffix."""
    return write_bundle(path, tiny_manifest(), {"motion": scale_model()}, arrays)
