"""The kernels on a GPU, for arrays that are there already, on a stream of the caller's. Not executed on a GPU yet.

Arrays are whatever has ``__cuda_array_interface__`` (CuPy, PyTorch, Numba, mien's own buffers): C-contiguous, on the
current device. ``stream`` is a cudaStream_t as a number; work is queued on it and not waited for, so the caller keeps
the arrays until it is done and orders it after what filled them. Nothing is allocated, everything can be captured in a
CUDA graph. Each raises ImageError for arrays that do not fit, DeviceError where CUDA refuses or mien was built without.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from math import prod
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from mien.errors import DeviceError, ImageError
from mien.kernels import checks, layouts
from mien.kernels.layouts import Layout, Yuv

BYTES, FLOAT, HALF = "|u1", "<f4", "<f2"
_NAMES = {BYTES: "uint8", FLOAT: "float32", HALF: "float16"}
Sizes = Sequence[int | None]


class OnDevice(Protocol):
    """An array in a GPU's memory."""

    @property
    def __cuda_array_interface__(self) -> Mapping[str, Any]:
        """See the CUDA Array Interface, version 2 or 3."""


@dataclass(frozen=True)
class View:
    """What a kernel is told of an array. ``type``: as in __array_interface__."""

    address: int
    shape: tuple[int, ...]
    type: str

    @property
    def end(self) -> int:
        """The address behind the last byte."""
        return self.address + prod(self.shape) * int(self.type[2:])


def crop(
    out: OnDevice,
    frame: OnDevice,
    similarities: ArrayLike,
    *,
    stream: int,
    layout: Layout = "rgb",
    yuv: Yuv = "bt709",
    black: bool = False,
) -> None:
    """`mien.kernels.crop` in one launch for up to 32 crops; ``out``: (N, 3, h, w) float32 or float16.

    ``black``: what lies outside of the frame, by `mien.image.shown`, instead of the frame's edge.
    """
    to_frame, _ = checks.matrices("crop: similarities", similarities)
    code, numbers = layouts.code("crop", layout), layouts.numbers("crop", yuv)
    shown, size = _frame("crop: frame", frame, layout)
    if not len(to_frame):
        return
    result = _view("crop: out", out, (len(to_frame), 3, None, None), FLOAT, HALF, writable=True)
    _apart("crop", result, shown)
    with _errors() as cuda:
        sides = result.shape[2:]
        cuda.crop(result.address, result.type, sides, shown.address, code, size, numbers, to_frame, black, stream)


def fit(out: OnDevice, planes: OnDevice, side: int, *, stream: int) -> None:
    """Planes (N, 3, S, S) float32 averaged down to ``side`` pixels, as OpenCV's INTER_AREA, in one launch.

    ``out``: (N, 3, h, w) float32, of at least that size; beyond it the right and lower edge are repeated.
    """
    shown = _view("fit: planes", planes, (None, 3, None, None), FLOAT)
    result = _view("fit: out", out, (shown.shape[0], 3, None, None), FLOAT, writable=True)
    if not 1 <= side <= min(*shown.shape[2:], *result.shape[2:]):
        raise ImageError(
            f"fit: side has to be from 1 to what planes and out have, but it is {side}, and they are {shown.shape} and "
            f"{result.shape}."
        )
    _apart("fit", result, shown)
    with _errors() as cuda:
        count = 3 * shown.shape[0]
        cuda.fit(result.address, result.shape[2:], shown.address, shown.shape[2:], (side, side), count, stream)


def blend_faces(
    out: OnDevice,
    frame: OnDevice,
    patches: OnDevice,
    masks: OnDevice,
    similarities: ArrayLike,
    *,
    stream: int,
    feather: float = 0.0,
    layout: Layout = "rgb",
    yuv: Yuv = "bt709",
) -> None:
    """`mien.kernels.blend_faces` in one launch for up to 32 patches; ``out`` may be the frame, which saves a copy.

    patches: (N, h, w, 3) uint8, or (N, 3, h, w) float32 or float16. masks: (N, h, w) or (h, w), uint8 or float32.
    """
    _, to_patch = checks.matrices("blend_faces: similarities", similarities)
    code, numbers = layouts.code("blend_faces", layout), layouts.numbers("blend_faces", yuv)
    shown, size = _frame("blend_faces: frame", frame, layout)
    result = _view("blend_faces: out", out, shown.shape, BYTES, writable=True)
    if not 0.0 <= feather < np.inf:
        raise ImageError(f"blend_faces: feather has to be a width in pixels, 0 or more, but it is {feather}.")
    if not len(to_patch):
        raise ImageError("blend_faces: a patch has to be laid; there are no similarities.")
    count, planar = len(to_patch), _interface("blend_faces: patches", patches)["typestr"] != BYTES
    shape = (count, 3, None, None) if planar else (count, None, None, 3)
    patch = _view("blend_faces: patches", patches, shape, BYTES, FLOAT, HALF)
    sides = patch.shape[2:] if planar else patch.shape[1:3]
    one = len(_interface("blend_faces: masks", masks)["shape"]) == 2
    mask = _view("blend_faces: masks", masks, sides if one else (count, *sides), BYTES, FLOAT)
    in_place = result.address == shown.address
    _apart("blend_faces", result, patch, mask, *(() if in_place else (shown,)))
    with _errors() as cuda:
        cuda.blend_faces(
            result.address, shown.address, code, size, numbers, patch.address, patch.type, mask.address, mask.type,
            one, sides, to_patch, float(feather), stream,
        )  # fmt: skip


def warp_blend(
    out: OnDevice,
    source: OnDevice,
    flow: OnDevice,
    visible: OnDevice,
    paint: OnDevice,
    mask: OnDevice,
    similarity: ArrayLike,
    *,
    stream: int,
    shade: OnDevice | None = None,
) -> None:
    """`mien.kernels.warp_blend` in one copy and one launch."""
    source_ = _view("warp_blend: source", source, (None, None, 3), BYTES)
    result = _view("warp_blend: out", out, source_.shape, BYTES, writable=True)
    mask_ = _view("warp_blend: mask", mask, (None, None), FLOAT)
    flow_ = _view("warp_blend: flow", flow, (2, None, None), FLOAT)
    visible_ = _view("warp_blend: visible", visible, mask_.shape, FLOAT)
    paint_ = _view("warp_blend: paint", paint, (3, *mask_.shape), FLOAT)
    to_source, to_crop = checks.matrix("warp_blend: similarity", similarity)
    gains = [] if shade is None else [_view("warp_blend: shade", shade, (3, None, None), FLOAT)]
    _apart("warp_blend", result, source_, flow_, visible_, paint_, mask_, *gains)
    with _errors() as cuda:
        cuda.warp_blend(
            result.address, source_.address, source_.shape[:2], flow_.address, flow_.shape[1:], visible_.address,
            paint_.address, mask_.address, mask_.shape, to_crop, to_source, stream,
            *((gains[0].address, gains[0].shape[1:]) if gains else ()),
        )  # fmt: skip


def sample_volume(out: OnDevice, volume: OnDevice, grid: OnDevice, *, stream: int) -> None:
    """ONNX GridSample of rank 5 (linear, zeros outside, corners not aligned), as LivePortrait's warp uses it.

    volume: (N, C, d, h, w) float32 or float16. grid: (N, D, H, W, 3) float32 of x, y, z, where -1 and 1 are the outer
    faces; a place that is not finite gives 0. out: (N, C, D, H, W), of the volume's type.
    """
    volume_ = _view("sample_volume: volume", volume, (None,) * 5, FLOAT, HALF)
    grid_ = _view("sample_volume: grid", grid, (volume_.shape[0], None, None, None, 3), FLOAT)
    shape = (*volume_.shape[:2], *grid_.shape[1:4])
    result = _view("sample_volume: out", out, shape, volume_.type, writable=True)
    _apart("sample_volume", result, volume_, grid_)
    with _errors() as cuda:
        batch, channels = shape[:2]
        addresses = result.address, volume_.address, volume_.type, grid_.address
        cuda.sample_volume(*addresses, batch, channels, volume_.shape[2:], shape[2:], stream)


def place_keypoints(
    out: OnDevice,
    canonical: OnDevice,
    angles: OnDevice,
    expression: OnDevice,
    scale: OnDevice,
    translation: OnDevice,
    *,
    stream: int,
) -> None:
    """What LivePortrait's motion network gives, to keypoints (N, K, 3): scale (canonical R + expression) + (tx, ty, 0).

    All float32: canonical and expression (N, K, 3), angles (N, 3) pitch, yaw, roll in degrees, scale (N, 1),
    translation (N, 3), whose z is not used.
    """
    names = ("canonical", "angles", "expression", "scale", "translation")
    points = _view("place_keypoints: canonical", canonical, (None, None, 3), FLOAT)
    batch, count = points.shape[:2]
    shapes: tuple[Sizes, ...] = (points.shape, (batch, 3), points.shape, (batch, 1), (batch, 3))
    arrays = (canonical, angles, expression, scale, translation)
    views = [
        _view(f"place_keypoints: {name}", array, shape, FLOAT)
        for name, array, shape in zip(names, arrays, shapes, strict=True)
    ]
    result = _view("place_keypoints: out", out, points.shape, FLOAT, writable=True)
    _apart("place_keypoints", result, *views)
    with _errors() as cuda:
        cuda.place_keypoints(result.address, *(view.address for view in views), batch, count, stream)


def built() -> bool:
    """Whether mien was built with these kernels; whether they run is known only where there is a GPU."""
    return find_spec("mien._cuda") is not None


def _frame(what: str, frame: OnDevice, layout: Layout) -> tuple[View, tuple[int, int]]:
    """The frame, and its height and width in pixels."""
    if layout != "nv12":
        view = _view(what, frame, (None, None, len(layout)), BYTES)
        return view, (view.shape[0], view.shape[1])
    view = _view(what, frame, (None, None), BYTES)
    rows, width = view.shape
    if rows % 3 or width % 2:
        raise ImageError(f"{what} has to be NV12, (1.5 H, W) with H and W even, but it is {view.shape}.")
    return view, (rows // 3 * 2, width)


def _interface(what: str, array: OnDevice) -> Mapping[str, Any]:
    interface: Mapping[str, Any] | None = getattr(array, "__cuda_array_interface__", None)
    if interface is None:
        raise ImageError(f"{what} has to be an array on the GPU, but it is a {type(array).__name__}.")
    return interface


def _view(what: str, array: OnDevice, shape: Sizes, *types: str, writable: bool = False) -> View:
    """Checks all that can be known of an array without touching it; None in the shape is any size above 0."""
    interface = _interface(what, array)
    given, kind = tuple(int(side) for side in interface["shape"]), str(interface["typestr"])
    address, read_only = interface["data"]
    fits = len(given) == len(shape) and all(
        have > 0 and want in (None, have) for have, want in zip(given, shape, strict=True)
    )
    if not fits or kind not in types:
        wanted = " or ".join(_NAMES[each] for each in types)
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ImageError(f"{what} has to be {wanted} ({sizes}), but it is {_NAMES.get(kind, kind)} {given}.")
    view = View(int(address), given, kind)
    strides = interface.get("strides")
    if strides is not None and tuple(strides) != _dense_strides(view):
        raise ImageError(f"{what} has to be C-contiguous; copy it first.")
    if interface.get("mask") is not None or not view.address:
        raise ImageError(f"{what} has to be plain memory on the GPU, without a mask and not at address 0.")
    if writable and read_only:
        raise ImageError(f"{what} is read-only; hand in a writable array.")
    return view


def _dense_strides(view: View) -> tuple[int, ...]:
    item = int(view.type[2:])
    return tuple(item * prod(view.shape[axis + 1 :]) for axis in range(len(view.shape)))


def _apart(what: str, out: View, *inputs: View) -> None:
    if any(out.address < other.end and other.address < out.end for other in inputs):
        raise ImageError(f"{what}: out shares memory with an input, which would be overwritten while it is read.")


@cache
def _cuda() -> ModuleType:
    if find_spec("mien._cuda") is None:
        raise DeviceError(
            "A CUDA kernel was asked for, but mien was built without a CUDA compiler. Put nvcc on the PATH and install "
            "mien again with MIEN_CUDA=ON."
        )
    return import_module("mien._cuda")


@contextmanager
def _errors() -> Iterator[ModuleType]:
    """The module, and its refusals as mien's own errors."""
    cuda = _cuda()
    try:
        yield cuda
    except RuntimeError as error:
        raise DeviceError(f"A kernel was asked to run on the GPU, and CUDA refuses: {error}.") from error
    except ValueError as error:
        raise ImageError(f"A kernel was asked to run on the GPU, and cannot take its arguments: {error}.") from error
