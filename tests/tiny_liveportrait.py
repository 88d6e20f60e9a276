"""A tiny LivePortrait bundle with every role, made in a moment, whose results can be worked out on paper.

A face is one flat colour (r, g, b): red turns the head, green opens the mouth, blue moves and enlarges the head; see
`head_of`. The generator shows the portrait's crop, brighter by the mean way of its keypoints to the right. Stitching
moves all keypoints 0.05 to the left; the retargeting networks move the lids or the lips 1 down for each 1 of opening.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from numpy.typing import ArrayLike, NDArray
from onnx import numpy_helper

from mien.bundle import Bundle, Licence, Manifest, NetworkSpec, Parity, TensorInfo, write_bundle
from mien.faces import Tracked
from mien.geometry import Similarity
from mien.reenact.keypoints import EYES, LIPS, Head, rotation_of
from tests.tiny import OPSET, serialized

SIDE, CROP = 32, 64
"""Pixels: what the networks look at, and what the generator paints."""

ROLES = ("motion", "appearance", "generator", "retarget_eye", "retarget_lip")

Array = NDArray[Any]
Floats = NDArray[np.float64]

CANONICAL = np.random.default_rng(21).normal(0, 0.2, (21, 3)).astype(np.float32)
NEUTRAL = np.zeros((21, 3), np.float32)
NEUTRAL[19, 1] = 0.01
STITCH = np.float32([-0.05, 0, 0])


def tiny_liveportrait_bundle(path: Path, roles: Collection[str] = ROLES, **extra: Any) -> Bundle:
    """The bundle, a folder or a zip by the suffix; ``extra`` replaces settings of its manifest."""
    models = {role: model for role, model in _models().items() if role in roles}
    manifest = Manifest(
        name="tiny-liveportrait",
        task="reenact",
        family="liveportrait",
        licence=Licence("Apache-2.0", "Apache-2.0"),
        origin="Made by hand for a test.",
        networks={role: _spec(role, model) for role, model in models.items()},
        extra={"crop": CROP, **extra},
    )
    return write_bundle(path, manifest, models, {"lip_neutral": NEUTRAL})


def head_of(colour: ArrayLike) -> Head:
    """What the motion network reads in a crop of this mean colour, each in 0..1."""
    r, g, b = np.asarray(colour, np.float64) - 0.5
    expression = np.zeros((21, 3))
    expression[list(LIPS), 1] = g
    return Head(rotation_of([0, 40 * r, 0]), expression, 1 + b, np.array([b, -b]))


def tracked_face(
    middle: ArrayLike = (100.0, 90.0), cm: float = 4.0, eyes: float = 0.3, lips: float = 0.2, tilt: float = 0.0
) -> Tracked:
    """A face as the tracker would see it: its middle in frame pixels, pixels for a cm, openings, radians clockwise."""
    x = np.linspace(-7, 7, 102)
    points = np.stack([x, 3 + 4 * np.cos(x / 7 * np.pi / 2)], 1)  # the jaw, and whatever has no place below
    for corners, upper, lower, at in (((36, 39), 69, 72, -3.0), ((42, 45), 75, 78, 3.0)):
        points[list(corners)] = (at - 1.5, -4), (at + 1.5, -4)
        points[[upper, lower]] = (at, -4 - 1.5 * eyes), (at, -4 + 1.5 * eyes)
    points[[48, 54]] = (-2.5, 4), (2.5, 4)
    points[[62, 66]] = (0, 4 - 2.5 * lips), (0, 4 + 2.5 * lips)
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    outputs = {
        "landmarks": (points @ turn / 12).astype(np.float32),
        "place": np.array([0, 1 / 12, np.log(1 / 12)], np.float32),
    }
    return Tracked(Similarity.from_crop(middle, 24 * cm, 144), outputs, 1.0, 144)


def _models() -> dict[str, bytes]:
    return {
        "motion": _motion(),
        "appearance": _network(
            """appearance (float[1,3,32,32] image, float[1,21,3] source_points)
            => (float[1,3,32,32] volume, float[1,3,1,1] compressed, float[1,21,3] context, float[1] unused) {
                volume = Identity (image)
                compressed = ReduceMean <keepdims = 1> (image, places)
                context = Identity (source_points)
                unused = Identity (one)
            }""",
            places=_i(2, 3), one=_f(1.0),
        ),
        "generator": _generator(),
        "retarget_eye": _retarget(EYES, 66, 63),
        "retarget_lip": _retarget(LIPS, 65, 63),
    }  # fmt: skip


def _motion() -> bytes:
    lips = np.zeros((1, 21, 3), np.float32)
    lips[0, list(LIPS), 1] = 1
    return _network(
        """motion (float[batch,3,32,32] image) => (float[batch,3] angles, float[batch,3] translation,
        float[batch,21,3] expression, float[batch,1] scale, float[batch,21,3] keypoints) {
            mean = ReduceMean <keepdims = 0> (image, places)
            colour = Sub (mean, half)
            angles = MatMul (colour, to_yaw)
            translation = MatMul (colour, to_way)
            green = MatMul (colour, second)
            greens = Unsqueeze (green, last)
            expression = Mul (greens, lips)
            blue = MatMul (colour, third)
            scale = Add (blue, one)
            nought = Mul (greens, zero)
            keypoints = Add (nought, canonical)
        }""",
        places=_i(2, 3), half=_f(0.5), to_yaw=np.float32([[0, 40, 0], [0, 0, 0], [0, 0, 0]]),
        to_way=np.float32([[0, 0, 0], [0, 0, 0], [1, -1, 9]]), second=np.float32([[0], [1], [0]]), last=_i(2),
        lips=lips, third=np.float32([[0], [0], [1]]), one=_f(1.0), zero=_f(0.0), canonical=CANONICAL[None],
    )  # fmt: skip


def _generator() -> bytes:
    return _network(
        """generator (float[1,3,32,32] volume, float[1,3,1,1] compressed, float[1,21,3] context,
        float[1,21,3] source_points, float[1,21,3] driving_points, float[1] stitching, float[1,21,3] offsets,
        float[1] multiplier) => (float[1,3,64,64] image, float[1,21,3] points) {
            pull = Mul (stitching, stitch)
            stitched = Add (driving_points, pull)
            wanted = Add (stitched, offsets)
            all_the_way = Sub (wanted, source_points)
            way = Mul (all_the_way, multiplier)
            points = Add (context, way)
            mean = ReduceMean <keepdims = 1> (way, rows)
            right = Slice (mean, nought, one, two)
            light = Reshape (right, single)
            lit = Add (volume, light)
            large = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
                (lit, , scales)
            image = Clip (large, dark, bright)
        }""",
        stitch=STITCH.reshape(1, 1, 3), rows=_i(1), nought=_i(0), one=_i(1), two=_i(2), single=_i(1, 1, 1, 1),
        scales=np.float32([1, 1, 2, 2]), dark=np.array(0, np.float32), bright=np.array(1, np.float32),
    )  # fmt: skip


def _retarget(rows: Collection[int], width: int, own: int) -> bytes:
    """Moves some keypoints down by what the last number of the feature is above the portrait's (first) own."""
    difference = np.zeros((width, 1), np.float32)
    difference[[own, width - 1]] = [[-1], [1]]
    moved = np.zeros((1, 21, 3), np.float32)
    moved[0, list(rows), 1] = 1
    return _network(
        f"""retarget (float[batch,{width}] feature) => (float[batch,21,3] delta) {{
            more = MatMul (feature, difference)
            down = Unsqueeze (more, last)
            delta = Mul (down, moved)
        }}""",
        difference=difference, last=_i(2), moved=moved,
    )  # fmt: skip


def _f(value: float) -> Array:
    return np.array([value], np.float32)


def _i(*values: int) -> Array:
    return np.array(values, np.int64)


def _network(text: str, **constants: Array) -> bytes:
    """An ONNX file from a graph in words and its constants."""
    graph = onnx.parser.parse_graph(text)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return serialized(graph)


def _spec(role: str, model: bytes) -> NetworkSpec:
    graph = onnx.load_from_string(model).graph
    tensors = [tuple(_info(value) for value in values) for values in (graph.input, graph.output)]
    return NetworkSpec(role, f"{role}.onnx", "fp32", OPSET, *tensors, Parity("by hand", 0.0, 1e-4))


def _info(value: onnx.ValueInfoProto) -> TensorInfo:
    kind = value.type.tensor_type
    shape = tuple(axis.dim_param or axis.dim_value for axis in kind.shape.dim)
    return TensorInfo(value.name, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)).name, shape)
