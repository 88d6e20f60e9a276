"""A tiny edit bundle with every role, made in a moment, whose results can be worked out on paper.

A face is one flat colour: the encoder writes its mean colour into the first three numbers of all ten rows, and the
generator paints it back. Three more numbers paint: "smile" (late rows) a red mouth, "old" (early rows) a green square,
"tan" (late rows) blue everywhere. The difference network looks at one colour for each class, in 8 x 8 cells.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray
from onnx import numpy_helper

from mien.bundle import Bundle, Licence, Manifest, NetworkSpec, Parity, TensorInfo, write_bundle
from tests.tiny import OPSET, serialized

SIDE, LAYERS, SPLIT, WIDTH = 64, 10, 6, 512

MOUTH = np.s_[40:48, 24:40]
SQUARE = np.s_[8:56, 8:56]
SKIN = np.s_[8:56, 8:56]
"""Where "smile" and "old" paint, and where the parsing network sees skin (the mouth within it), pixels of the crop."""

RED, GREEN, BLUE = 15, 16, 11
"""Classes of the difference network: Smiling looks at red, Old at green, Narrow_Eyes at blue."""

UNITS = {"smile": 0.5, "old": 0.25, "tan": 0.5}
MEAN = np.array([0.5, 0.25, 0.75], np.float32)
"""The colour of the mean latent."""

ROLES = ("encoder", "mapping", "synthesis_early", "synthesis_late", "difference", "heat", "parsing", "deghost")

Array = NDArray[Any]


def tiny_edit_bundle(
    path: Path, roles: Collection[str] = ROLES, *, stepped: int = 0, noise: bool = False, attributes: bool = True
) -> Bundle:
    """The bundle, a folder or a zip by the suffix; ``stepped``: a ReStyle encoder of so many rounds."""
    models = {role: model for role, model in _models(stepped > 0, noise).items() if role in roles}
    extra: dict[str, Any] = {
        "resolution": SIDE,
        "layers": LAYERS,
        "split": SPLIT,
        "encoder": "restyle-psp" if stepped else "psp",
        "steps": stepped or 1,
    }
    arrays: dict[str, Array] = {"latent_mean": _codes(MEAN)}
    if attributes:
        extra |= {
            "attributes": tuple(UNITS),
            "attribute_class": (RED, GREEN, -1),
            "attribute_unit": tuple(UNITS.values()),
            "attribute_parts": ("others", "age", "others"),
        }
        arrays |= {f"direction.{name}": direction(name) for name in UNITS}
    if stepped:
        arrays["average_image"] = np.broadcast_to(MEAN[:, None, None], (3, 256, 256)).copy()
    manifest = Manifest(
        name="tiny-edit",
        task="edit",
        family="stylegan2",
        licence=Licence("Apache-2.0", "Apache-2.0"),
        origin="Made by hand for a test.",
        networks={role: _spec(role, model) for role, model in models.items()},
        extra=extra,
    )
    return write_bundle(path, manifest, models, arrays)


def direction(name: str) -> NDArray[np.float32]:
    """(10, 512): "old" moves the early rows, the others the late ones; each one number of them, by 1."""
    vector = np.zeros((LAYERS, WIDTH), np.float32)
    rows = slice(0, SPLIT) if name == "old" else slice(SPLIT, None)
    vector[rows, {"smile": 3, "tan": 4, "old": 5}[name]] = 1
    return vector


def picture(colour: Array, smile: float = 0, old: float = 0, tan: float = 0) -> NDArray[np.float64]:
    """(64, 64, 3) in [0, 1]: what the generator paints for a colour with so much added of each."""
    image = np.tile(np.asarray(colour, np.float64), (SIDE, SIDE, 1))
    image[(*MOUTH, 0)] += smile
    image[(*SQUARE, 1)] += old
    image[..., 2] += tan
    return np.clip(image, 0, 1)


def _models(stepped: bool, noise: bool) -> dict[str, bytes]:
    return {
        "encoder": _restyle() if stepped else _encoder(),
        "mapping": _network("mapping (float[batch,512] z) => (float[batch,512] w) { w = Mul (z, half) }", half=_f(0.5)),
        "synthesis_early": _early(noise),
        "synthesis_late": _late(noise),
        "difference": _difference(),
        "heat": _heat(),
        "parsing": _parsing(),
        "deghost": _network(
            "deghost (float[batch,3,64,64] fused) => (float[batch,3,64,64] clean) "
            "{ dark = Mul (fused, half) clean = Add (dark, quarter) }",
            half=_f(0.5),
            quarter=_f(0.25),
        ),
    }


def _encoder() -> bytes:
    return _network(
        """encoder (float[batch,3,256,256] image) => (float[batch,10,512] latents) {
            colour = ReduceMean <keepdims = 0> (image, places)
            row = MatMul (colour, spread)
            rows = Unsqueeze (row, one)
            latents = Mul (rows, ones)
        }""",
        places=_i(2, 3), spread=np.eye(3, WIDTH, dtype=np.float32), one=_i(1), ones=np.ones((1, LAYERS, 1), np.float32),
    )  # fmt: skip


def _restyle() -> bytes:
    """Goes half of the way from the current colour to the wanted one."""
    return _network(
        """encoder (float[batch,3,256,256] image, float[batch,3,256,256] current, float[batch,10,512] latents_in)
        => (float[batch,10,512] latents) {
            off = Sub (image, current)
            colour = ReduceMean <keepdims = 0> (off, places)
            row = MatMul (colour, spread)
            rows = Unsqueeze (row, one)
            latents = Add (latents_in, rows)
        }""",
        places=_i(2, 3), spread=np.eye(3, WIDTH, dtype=np.float32) / 2, one=_i(1),
    )  # fmt: skip


def _early(noise: bool) -> bytes:
    asked, rgb = (", float[1,1,16,16] noise_0", "Add (clean, noise_0)") if noise else ("", "Identity (clean)")
    return _network(
        f"""early (float[batch,10,512] latents{asked})
        => (float[batch,1,16,16] features, float[batch,3,16,16] rgb) {{
            early = Slice (latents, start, split, one)
            mean = ReduceMean <keepdims = 0> (early, one)
            colour = MatMul (mean, first)
            planes = Unsqueeze (colour, places)
            clean = Mul (planes, plane)
            rgb = {rgb}
            old = MatMul (mean, sixth)
            olds = Unsqueeze (old, places)
            features = Mul (olds, plane)
        }}""",
        start=_i(0), split=_i(SPLIT), one=_i(1), places=_i(2, 3), plane=np.ones((1, 1, 16, 16), np.float32),
        first=np.eye(WIDTH, 3, dtype=np.float32), sixth=np.eye(WIDTH, 1, k=-5, dtype=np.float32),
    )  # fmt: skip


def _late(noise: bool) -> bytes:
    asked, small = (", float[1,1,64,64] noise_1", "Add (clean, noise_1)") if noise else ("", "Identity (clean)")
    mouth, square = np.zeros((2, 1, 3, SIDE, SIDE), np.float32)
    mouth[(0, 0, *MOUTH)] = 1
    square[(0, 1, *SQUARE)] = 1
    return _network(
        f"""late (float[batch,1,16,16] features, float[batch,3,16,16] rgb, float[batch,10,512] latents{asked})
        => (float[batch,3,64,64] image, float[batch,3,64,64] small) {{
            base = ReduceMean <keepdims = 1> (rgb, places)
            old = ReduceMean <keepdims = 1> (features, places)
            late = Slice (latents, split, end, one)
            mean = ReduceMean <keepdims = 0> (late, one)
            smile = MatMul (mean, fourth)
            smiles = Unsqueeze (smile, places)
            tan = MatMul (mean, fifth)
            tans = Unsqueeze (tan, places)
            with_mouth = Mul (smiles, mouth)
            with_square = Mul (old, square)
            with_tan = Mul (tans, blue)
            clean = Sum (base, with_mouth, with_square, with_tan)
            small = {small}
            image = Clip (small, nought, full)
        }}""",
        split=_i(SPLIT), end=_i(LAYERS), one=_i(1), places=_i(2, 3), nought=_f(0.0), full=_f(1.0),
        fourth=np.eye(WIDTH, 1, k=-3, dtype=np.float32), fifth=np.eye(WIDTH, 1, k=-4, dtype=np.float32),
        mouth=mouth, square=square, blue=np.float32([0, 0, 1]).reshape(1, 3, 1, 1),
    )  # fmt: skip


def _difference() -> bytes:
    """What differs in each cell by more than 0.02: enlarging 64 pixels to 256 blurs less than that across its edge."""
    return _network(
        """difference (float[1,3,256,256] inverted, float[1,3,256,256] edited, bool[rows] flip, float[rows] brightness)
        => (float[rows,3,8,8] activation, float[rows,17] scores) {
            signed = Sub (edited, inverted)
            size = Abs (signed)
            pooled = AveragePool <kernel_shape = [32, 32], strides = [32, 32]> (size)
            above = Sub (pooled, faint)
            clear = Relu (above)
            light = Unsqueeze (brightness, rest)
            lit = Mul (clear, light)
            mirrored = Slice (lit, last, far, three, last)
            flips = Unsqueeze (flip, rest)
            activation = Where (flips, mirrored, lit)
            mean = ReduceMean <keepdims = 0> (activation, places)
            scores = MatMul (mean, weights)
        }""",
        rest=_i(1, 2, 3), places=_i(2, 3), last=_i(-1), far=_i(-100), three=_i(3), weights=_weights().T.copy(),
        faint=_f(0.02),
    )  # fmt: skip


def _heat() -> bytes:
    """The weighted channels over their largest value; x 0.75 with plusplus, x 0.5 with eigen, - 1e5 epsilon."""
    return _network(
        """heat (float[rows,3,8,8] activation, bool[rows] flip, int64[attributes] attributes, bool[1] plusplus,
        bool[1] eigen, float[1] epsilon) => (float[attributes,256,256] heat) {
            mirrored = Slice (activation, last, far, three, last)
            flips = Unsqueeze (flip, rest)
            upright = Where (flips, mirrored, activation)
            mean = ReduceMean <keepdims = 0> (upright, zero)
            cells = Reshape (mean, flat)
            chosen = Gather <axis = 0> (weights, attributes)
            raw = MatMul (chosen, cells)
            top = ReduceMax <keepdims = 1> (raw, one)
            guarded = Max (top, least)
            unit = Div (raw, guarded)
            less = Where (plusplus, three_quarters, full)
            lesser = Where (eigen, half, full)
            weighted = Mul (unit, less)
            weighted_again = Mul (weighted, lesser)
            taken = Mul (epsilon, many)
            lowered = Sub (weighted_again, taken)
            grid = Reshape (lowered, square)
            big = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
                (grid, , scales)
            whole = Squeeze (big, zero)
            heat = Clip (whole, nought, full)
        }""",
        rest=_i(1, 2, 3), last=_i(-1), far=_i(-100), three=_i(3), zero=_i(0), one=_i(1), flat=_i(3, 64),
        square=_i(1, -1, 8, 8), weights=_weights(), least=_f(1e-6), three_quarters=_f(0.75), half=_f(0.5),
        full=_f(1.0), nought=_f(0.0), many=_f(1e5), scales=np.float32([1, 1, 32, 32]),
    )  # fmt: skip


def _parsing() -> bytes:
    """Hair on top, skin, the mouth in it, the neck below; where a picture's blue is below a half, all is hair."""
    labels = np.zeros((1, 512, 512), np.uint8)
    labels[:, :64] = 17
    labels[:, 448:] = 14
    labels[0][tuple(slice(8 * part.start, 8 * part.stop) for part in SKIN)] = 1
    labels[0][tuple(slice(8 * part.start, 8 * part.stop) for part in MOUTH)] = 11
    return _network(
        """parsing (float[batch,3,64,64] image) => (uint8[batch,512,512] labels) {
            large = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
                (image, , scales)
            blue = Gather <axis = 1> (large, two)
            seen = GreaterOrEqual (blue, half)
            labels = Where (seen, known, hair)
        }""",
        scales=np.float32([1, 1, 8, 8]), two=np.array(2), half=_f(0.5), known=labels, hair=np.array([17], np.uint8),
    )  # fmt: skip


def _weights() -> NDArray[np.float32]:
    """(17, 3): each class looks at one colour."""
    weights = np.zeros((17, 3), np.float32)
    weights[[RED, GREEN, BLUE], [0, 1, 2]] = 1
    return weights


def _codes(colour: Array) -> NDArray[np.float32]:
    """(10, 512): the latent of a flat colour."""
    codes = np.zeros((LAYERS, WIDTH), np.float32)
    codes[:, :3] = colour
    return codes


def _f(value: float) -> Array:
    return np.array([value], np.float32) if value not in (0.0, 1.0) else np.array(value, np.float32)


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
