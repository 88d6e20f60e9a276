"""The cost of a network is counted right, and a measurement has every contender in it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.networks import feeds_for, gigaflop, measure, row
from tests import tiny


def model_of(
    node: onnx.NodeProto, inputs: dict[str, list[int | str]], output: list[int | str], weight: tuple[int, ...]
) -> onnx.ModelProto:
    """One node with the weight ``w``."""
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.zeros(weight, np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", tiny.OPSET)], ir_version=10)


@pytest.mark.parametrize(
    ("node", "shape", "weight", "multiply_adds"),
    [
        (helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4), ["N", 3, 8, 6], (5, 3, 3, 3), 8 * 6 * 5 * 3 * 9),
        (helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2]), [1, 3, 8, 6], (5, 3, 2, 2), 4 * 3 * 5 * 3 * 4),
        (helper.make_node("Conv", ["x", "w"], ["y"], group=4), [1, 4, 8, 6], (4, 1, 1, 1), 4 * 8 * 6),
        (helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2]), [1, 3, 4, 4], (3, 5, 2, 2), 16 * 3 * 20),
        (helper.make_node("MatMul", ["x", "w"], ["y"]), ["N", 7, 10], (10, 4), 7 * 10 * 4),
        (helper.make_node("Gemm", ["x", "w"], ["y"]), [7, 10], (10, 4), 7 * 10 * 4),
        (helper.make_node("Gemm", ["x", "w"], ["y"], transA=1, transB=1), [10, 7], (4, 10), 7 * 10 * 4),
        (helper.make_node("Mul", ["x", "w"], ["y"]), [7, 10], (1,), 0),
    ],
    ids=["conv", "strided", "grouped", "transposed conv", "matmul", "gemm", "gemm, transposed", "no product"],
)
def test_multiply_adds_are_counted(
    node: onnx.NodeProto, shape: list[int | str], weight: tuple[int, ...], multiply_adds: int
) -> None:
    free: list[int | str] = ["a"] * (2 if node.op_type in ("Gemm", "Mul") else len(shape))
    model = model_of(node, {"x": shape}, free, weight)
    assert gigaflop(model) == pytest.approx(2 * multiply_adds / 1e9)


def test_a_shape_that_cannot_be_known_is_not_counted_as_nothing() -> None:
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "s"], ["r"]), helper.make_node("MatMul", ["r", "x"], ["y"])],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 3]),
            helper.make_tensor_value_info("s", TensorProto.INT64, [2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b"])],
    )
    with pytest.raises(ValueError, match="cannot be inferred"):
        gigaflop(helper.make_model(graph, opset_imports=[helper.make_opsetid("", tiny.OPSET)], ir_version=10))


def test_feeds_are_as_the_manifest_says(tmp_path: Path) -> None:
    feeds = feeds_for(tiny.tiny_bundle(tmp_path / "b").network("motion"))
    assert list(feeds) == ["image"]
    assert feeds["image"].shape == (1, 3, 8, 8)
    assert feeds["image"].dtype == np.float32
    assert 0 <= feeds["image"].min() < feeds["image"].max() <= 1


def test_a_network_is_measured_by_every_contender_there_is(tmp_path: Path) -> None:
    measured = measure(tiny.tiny_bundle(tmp_path / "b"), "motion", rounds=2, threads=1)
    names = {timing.name for timing in measured.timings}
    assert {"ort", "sgemm"} <= names <= {"ort", "openvino", "sgemm"}  # no torch: the family is not studio
    assert measured.gflop == measured.share_of_peak == 0  # it has no matrix product
    assert row("motion", measured)[0] == "motion"
    assert row("motion", measured)[-1] == "-"
