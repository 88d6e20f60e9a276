"""Small ONNX networks with what precision is about: a demodulated layer, a warp, a normalisation."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.tiny import OPSET, serialized

SIDE, WIDE = 32, 16


def graph(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    outputs: list[str],
    kind: int = TensorProto.FLOAT,
    **weights: NDArray[np.generic],
) -> bytes:
    """Float32 inputs, outputs of ``kind``; the shapes of the outputs are left to be inferred."""
    proto = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    return serialized(onnx.shape_inference.infer_shapes(helper.make_model(proto, opset_imports=opset)).graph)


def node(kind: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    """``inputs`` and ``outputs`` separated by spaces; "-" is one left out."""
    names = [["" if name == "-" else name for name in side.split()] for side in (inputs, outputs)]
    return helper.make_node(kind, *names, **attributes)


def modulated(scale: float = 1.0) -> bytes:
    """One StyleGAN2 layer: style and demodulation around a convolution, a depthwise blur, a convolution to colours.

    ``features`` (N, 16, 32, 32), ``code`` (N, 16) -> ``image`` (N, 3, 32, 32).
    """
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(WIDE, WIDE, 3, 3)).astype(np.float32) / 12
    return graph(
        [
            node("Gemm", "code affine one", "style", transB=1),
            node("Unsqueeze", "style axes", "scale"),
            node("Mul", "features scale", "scaled"),
            node("Conv", "scaled weight", "raw", pads=[1, 1, 1, 1]),
            node("Conv", "raw blur", "soft", pads=[1, 1, 1, 1], group=WIDE),
            node("Mul", "style style", "square"),
            node("MatMul", "square power", "energy"),
            node("Add", "energy epsilon", "above_zero"),
            node("Sqrt", "above_zero", "root"),
            node("Reciprocal", "root", "inverse"),
            node("Unsqueeze", "inverse axes", "demodulation"),
            node("Mul", "soft demodulation", "even"),
            node("LeakyRelu", "even", "active", alpha=0.2),
            node("Conv", "active colours", "image", pads=[1, 1, 1, 1]),
        ],
        {"features": ["N", WIDE, SIDE, SIDE], "code": ["N", WIDE]},
        ["image"],
        affine=(rng.normal(size=(WIDE, WIDE)) / 4 * scale).astype(np.float32),
        one=np.full(WIDE, scale, np.float32),
        axes=np.array([2, 3], np.int64),
        weight=weight,
        blur=np.full((WIDE, 1, 3, 3), 1 / 9, np.float32),
        power=np.square(weight).sum((2, 3)).T.copy(),
        epsilon=np.array(1e-8, np.float32),
        colours=(rng.normal(size=(3, WIDE, 3, 3)) / 12).astype(np.float32),
    )


def modulated_feeds(seed: int = 2, rows: int = 1) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return {
        "features": rng.standard_normal((rows, WIDE, SIDE, SIDE), np.float32),
        "code": rng.standard_normal((rows, WIDE), np.float32),
    }


def warp() -> bytes:
    """``image`` (1, 3, 32, 32) read where its own convolution plus a grid says -> ``warped``, of the same shape."""
    rng = np.random.default_rng(3)
    line = np.linspace(-1, 1, SIDE, dtype=np.float32)
    return graph(
        [
            node("Conv", "image weight", "flow", pads=[1, 1, 1, 1]),
            node("Transpose", "flow", "moved", perm=[0, 2, 3, 1]),
            node("Add", "moved places", "grid"),
            node("GridSample", "image grid", "read", mode="linear", padding_mode="border"),
            node("Resize", "read - double", "large", mode="linear"),
            node("InstanceNormalization", "large ones zeros", "even"),
            node("AveragePool", "even", "warped", kernel_shape=[2, 2], strides=[2, 2]),
        ],
        {"image": [1, 3, SIDE, SIDE]},
        ["warped"],
        weight=(rng.normal(size=(2, 3, 3, 3)) / 50).astype(np.float32),
        places=np.stack(np.meshgrid(line, line), -1)[None],
        double=np.array([1, 1, 2, 2], np.float32),
        ones=np.ones(3, np.float32),
        zeros=np.zeros(3, np.float32),
    )
