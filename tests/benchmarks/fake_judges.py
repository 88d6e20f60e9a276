"""ONNX files with YuNet's and Face Mesh's real inputs and outputs whose answers are known, so no weights are needed."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
"""The one frame size (square) that the false YuNet works on."""


def write_yunet(path: Path, box: tuple[float, float, float, float], cell: tuple[int, int]) -> Path:
    """A network that finds one face, at stride 8, scored by how blue the picture is on average.

    box: offsets of the centre in cells and logarithms of the size in cells; cell: row and column of the anchor.
    """
    nodes = [
        helper.make_node("Slice", ["input", "zero", "one", "axis"], ["blue"]),
        helper.make_node("ReduceMean", ["blue"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "to_unit"], ["score"]),
        helper.make_node("Mul", ["mean", "nothing"], ["zeroed"]),
    ]
    constants: dict[str, npt.NDArray[np.generic]] = {
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "axis": np.array([1], np.int64),
        "to_unit": np.array(1 / 255, np.float32),
        "nothing": np.array(0, np.float32),
    }
    outputs = []
    for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            name, cells = f"{kind}_{stride}", (SIDE // stride) ** 2
            values = np.zeros((1, cells, width), np.float32)
            if stride == 8:
                index = cell[0] * (SIDE // 8) + cell[1]
                values[0, index] = {"cls": 1, "obj": 1, "bbox": box, "kps": 0}[kind]
            constants[f"{name}_values"] = values
            operation, factor = ("Mul", "score") if kind in ("cls", "obj") else ("Add", "zeroed")
            nodes.append(helper.make_node(operation, [f"{name}_values", factor], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, cells, width]))
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    return _save(path, nodes, [picture], outputs, constants)


def write_face_mesh(path: Path, landmarks: npt.NDArray[np.float32]) -> Path:
    """A network that answers these (468, 3) landmarks, in pixels of its 192 x 192 input, plus the mean red as z."""
    nodes = [
        helper.make_node("Slice", ["input_1", "zero", "one", "axis"], ["red"]),
        helper.make_node("ReduceMean", ["red"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["depth", "mean"], ["z"]),
        helper.make_node("Add", ["landmarks", "z"], ["out"]),
    ]
    constants: dict[str, npt.NDArray[np.generic]] = {
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "axis": np.array([3], np.int64),
        "depth": np.tile(np.array([0, 0, 1], np.float32), 468).reshape(1, 1, 1, 1404),
        "landmarks": landmarks.reshape(1, 1, 1, 1404).astype(np.float32),
    }
    picture = helper.make_tensor_value_info("input_1", TensorProto.FLOAT, [1, 192, 192, 3])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 1, 1, 1404])
    return _save(path, nodes, [picture], [out], constants)


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, npt.NDArray[np.generic]],
) -> Path:
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "fake", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
