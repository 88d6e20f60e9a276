"""Weights in other files are found wherever an ONNX model can hide them, and nothing else is refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mien.bundle.onnx_guard import refuse_external_data
from mien.errors import BundleInvalid
from tests import tiny


def outside(name: str = "weights") -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    return tensor


def model_with(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(list(nodes), "g", [], []))


def in_a_constant() -> onnx.ModelProto:
    return model_with(helper.make_node("Constant", [], ["c"], value=outside()))


def in_a_list_of_tensors() -> onnx.ModelProto:
    node = helper.make_node("Custom", [], ["c"])
    node.attribute.add(name="all", type=onnx.AttributeProto.TENSORS).tensors.append(outside())
    return model_with(node)


def in_a_branch() -> onnx.ModelProto:
    branch = helper.make_graph([], "inner", [], [], [outside()])
    return model_with(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))


def in_a_function() -> onnx.ModelProto:
    model = model_with()
    node = helper.make_node("Constant", [], ["c"], value=outside())
    model.functions.append(helper.make_function("local", "f", [], ["c"], [node], []))
    return model


def in_a_sparse_tensor() -> onnx.ModelProto:
    model = model_with()
    model.graph.sparse_initializer.add().values.CopyFrom(outside())
    return model


def in_training_info() -> onnx.ModelProto:
    model = model_with()
    model.training_info.add().initialization.initializer.append(outside())
    return model


def without_saying_so() -> onnx.ModelProto:
    """The place is there, but the tensor does not say that its data is elsewhere."""
    model = model_with()
    tensor = outside()
    tensor.ClearField("data_location")
    model.graph.initializer.append(tensor)
    return model


HIDING = [
    in_a_constant,
    in_a_list_of_tensors,
    in_a_branch,
    in_a_function,
    in_a_sparse_tensor,
    in_training_info,
    without_saying_so,
]


@pytest.mark.parametrize("make", HIDING, ids=lambda make: make.__name__)
def test_external_data_is_found(make: object) -> None:
    assert callable(make)
    with pytest.raises(BundleInvalid, match="The network keeps weights in another file"):
        refuse_external_data(make().SerializeToString(), "The network")


def test_external_data_of_an_initializer_is_found() -> None:
    with pytest.raises(BundleInvalid, match="external data"):
        refuse_external_data(tiny.external_model(), "The network")


def test_ordinary_models_pass() -> None:
    refuse_external_data(tiny.scale_model(), "The network")
    refuse_external_data(tiny.conv_model(), "The network")


def test_a_model_that_only_talks_of_a_location_passes() -> None:
    model = onnx.load_from_string(tiny.conv_model())
    model.metadata_props.add(key="location", value="a studio")
    model.graph.node[0].name = "allocation"
    refuse_external_data(model.SerializeToString(), "The network")


def test_external_data_behind_a_field_number_with_dropped_bits_is_refused() -> None:
    # A reader with 32 bits sees field 7, the graph; one with more sees a number that no message has.
    graph = helper.make_graph([], "g", [], [], [outside()]).SerializeToString()
    assert len(graph) < 128
    key = bytes([0x80 | 7 << 3 | 2, 0x80, 0x80, 0x80, 0x10])
    with pytest.raises(BundleInvalid, match="not an ONNX model"):
        refuse_external_data(key + bytes([len(graph)]) + graph, "The network")


@pytest.mark.parametrize(
    "junk", [b"location", b"\x0a\xfflocation", b"\x0f" * 9 + b"location", b"\xff" * 20 + b"location"]
)
def test_what_is_no_protobuf_is_refused(junk: bytes) -> None:
    with pytest.raises(BundleInvalid, match="not an ONNX model"):
        refuse_external_data(junk, "The network")


def test_graphs_nested_without_end_are_refused() -> None:
    data = b"location"
    for _ in range(200):
        for field in (6, 5, 1):  # graph of an attribute of a node of a graph
            size = len(data)
            length = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
            data = bytes([field << 3 | 2]) + length + data
    with pytest.raises(BundleInvalid, match="nested too deeply"):
        refuse_external_data(b"\x3a" + bytes([len(data) & 0x7F | 0x80, len(data) >> 7]) + data, "The network")


def test_the_format_of_onnx_runtime_is_refused() -> None:
    with pytest.raises(BundleInvalid, match="bundles hold ONNX"):
        refuse_external_data(b"\x18\0\0\0ORTM" + bytes(20), "The network")
