"""The operations between pixels and networks: C++ where mien was built with a compiler, else NumPy."""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike

from mien.errors import ImageError
from mien.kernels import checks, layouts
from mien.kernels.layouts import Layout, Yuv
from mien.kernels.protocol import Bytes, Floats, Kernels

__all__ = ["Layout", "Yuv", "backend", "blend", "blend_faces", "crop", "warp_blend"]


@cache
def backend() -> Literal["native", "numpy"]:
    """What runs: "native" (C++), or "numpy" in a build without a compiler (MIEN_PURE=1), some hundred times slower."""
    return "native" if find_spec("mien._cpu") else "numpy"


@cache
def _kernels() -> Kernels:
    # A compiled module that is there but does not load is a broken build, and an error: no silent second choice.
    return cast(Kernels, import_module("mien._cpu" if backend() == "native" else "mien.kernels.reference"))


def blend(
    frame: Bytes,
    patch: Bytes,
    mask: Bytes | Floats,
    similarity: ArrayLike,
    *,
    feather: float = 0.0,
    out: Bytes | None = None,
) -> Bytes:
    """Lays a patch over a frame, in one pass over the patch's bounding box; pixels outside keep their bytes.

    frame: (H, W, 3) uint8. patch: (h, w, 3) uint8, in the frame's colour order. mask: (h, w), uint8 0..255 or float32
    0..1; NaN and infinity count as 0. similarity: (2, 3), patch points to frame points in continuous pixel coordinates
    (corners at integers). feather: the width in patch pixels over which the patch fades towards its edge. out:
    (H, W, 3) uint8 to write into; the frame itself blends in place.

    Returns `out`, or a new array. Raises ImageError. Bilinear: a patch shown at less than half its size will alias.
    """
    frame_ = checks.array("blend: frame", frame, (None, None, 3), np.uint8)
    patch_ = checks.array("blend: patch", patch, (None, None, 3), np.uint8)
    mask_ = cast(Bytes | Floats, checks.array("blend: mask", mask, patch_.shape[:2], np.uint8, np.float32))
    _, to_patch = checks.matrix("blend: similarity", similarity)
    if not 0.0 <= feather < np.inf:
        raise ImageError(f"blend: feather has to be a width in pixels, 0 or more, but it is {feather}.")
    result = checks.output("blend: out", out, frame_.shape, [patch, mask] if out is frame else [frame, patch, mask])
    dense = frame_ if out is frame else _dense(result)
    _kernels().blend(dense, frame_, patch_, mask_, to_patch, float(feather))
    return _stored(result, dense)


def blend_faces(
    frame: Bytes,
    patches: Bytes | Floats,
    masks: Bytes | Floats,
    similarities: ArrayLike,
    *,
    feather: float = 0.0,
    layout: Layout = "rgb",
    yuv: Yuv = "bt709",
    out: Bytes | None = None,
) -> Bytes:
    """Lays N patches over a frame of any layout, one after the other, as `blend` does with one.

    frame: uint8, of the shape of its `layout` (`mien.kernels.layouts`). patches: RGB, (N, h, w, 3) uint8, or, as a
    network gives them, (N, 3, h, w) float32 in 0..1. masks: (N, h, w), or (h, w) for all, uint8 0..255 or float32
    0..1. similarities: (N, 2, 3), patch points to frame points. feather: as in `blend`. yuv: what an NV12 frame means.
    out: like the frame, to write into; the frame itself is blended in place. NaN and infinity count as nothing there.

    Returns `out`, or a new array. Raises ImageError.
    """
    code, yuv_numbers = layouts.code("blend_faces", layout), layouts.numbers("blend_faces", yuv)
    frame_ = checks.frame("blend_faces: frame", frame, layout)
    _, to_patch = checks.matrices("blend_faces: similarities", similarities)
    planar = isinstance(patches, np.ndarray) and patches.dtype == np.float32
    count = len(to_patch)
    shape = (count, 3, None, None) if planar else (count, None, None, 3)
    if not isinstance(patches, np.ndarray) or count or len(patches):
        patches = cast(Bytes | Floats, checks.array("blend_faces: patches", patches, shape, np.uint8, np.float32))
    size = patches.shape[2:] if planar else patches.shape[1:3]
    one = isinstance(masks, np.ndarray) and masks.ndim == 2
    if count:
        wanted = size if one else (count, *size)
        masks = cast(Bytes | Floats, checks.array("blend_faces: masks", masks, wanted, np.uint8, np.float32))
    if not 0.0 <= feather < np.inf:
        raise ImageError(f"blend_faces: feather has to be a width in pixels, 0 or more, but it is {feather}.")
    inputs = [patches, masks] if out is frame else [frame, patches, masks]
    result = checks.output("blend_faces: out", out, frame_.shape, inputs)
    if not count:
        result[...] = frame
        return result
    dense = frame_ if out is frame else _dense(result)
    stack = masks[None] if one else masks
    _kernels().blend_faces(dense, frame_, code, yuv_numbers, patches, stack, to_patch, float(feather))
    return _stored(result, dense)


def crop(
    frame: Bytes,
    similarities: ArrayLike,
    size: int,
    *,
    layout: Layout = "rgb",
    yuv: Yuv = "bt709",
    out: Floats | None = None,
) -> Floats:
    """Squares of a frame as a network's input, in one pass: (N, 3, size, size) float32, R, G, B in 0..1.

    frame: uint8, of the shape of its `layout` (`mien.kernels.layouts`). similarities: (N, 2, 3) or (2, 3), points of
    the crop (0..size) to points of the frame in continuous pixel coordinates. yuv: what an NV12 frame means. out:
    float32 to write into, C-contiguous.

    What shrinks by two or more is first averaged in blocks, so it does not alias; the frame's edge is repeated outside.
    Within rounding this is `mien.image.to_tensor` of `mien.image.crop`. Returns `out`, or a new array. Raises
    ImageError.
    """
    code, yuv_numbers = layouts.code("crop", layout), layouts.numbers("crop", yuv)
    frame_ = checks.frame("crop: frame", frame, layout)
    to_frame, _ = checks.matrices("crop: similarities", similarities)
    if not isinstance(size, int) or size < 1:
        raise ImageError(f"crop: size has to be a number of pixels, 1 or more, but it is {size!r}.")
    shape = (len(to_frame), 3, size, size)
    if out is None:
        out = np.empty(shape, np.float32)
    elif not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != np.float32:
        raise ImageError(f"crop: out has to be float32 {shape}, but it is {getattr(out, 'shape', type(out).__name__)}.")
    elif not out.flags.c_contiguous or not out.flags.writeable or np.may_share_memory(out, frame):
        raise ImageError("crop: out has to be writable, C-contiguous, and memory of its own.")
    if len(to_frame):
        _kernels().crop(out, frame_, code, yuv_numbers, to_frame)
    return out


def warp_blend(
    source: Bytes,
    flow: Floats,
    visible: Floats,
    paint: Floats,
    mask: Floats,
    similarity: ArrayLike,
    out: Bytes | None = None,
    shade: Floats | None = None,
) -> Bytes:
    """Bends a picture by a flow, paints what the flow cannot show, and keeps everything else byte by byte.

    source: (H, W, 3) uint8 RGB, any size. All maps are float32 over one crop of the source. flow: (2, h, w), x and y
    offsets of where to look, in units of half a crop. visible: (n, n) in 0..1, 1 takes the warped source, 0 the paint.
    paint: (3, n, n) RGB in 0..1. mask: (n, n) in 0..1, 0 keeps the source. similarity: (2, 3), crop points (0..n) to
    source points in continuous pixel coordinates. out: (H, W, 3) uint8 to write into, not overlapping the source.
    shade: (3, h, w), gains of the warped source's R, G, B: how the light on it changes; 1 where there is none.

    Where a value that counts is NaN or infinite, the source is kept. Returns `out`, or a new array. Raises ImageError.
    """
    source_ = checks.array("warp_blend: source", source, (None, None, 3), np.uint8)
    mask_ = checks.array("warp_blend: mask", mask, (None, None), np.float32)
    flow_ = checks.array("warp_blend: flow", flow, (2, None, None), np.float32)
    visible_ = checks.array("warp_blend: visible", visible, mask_.shape, np.float32)
    paint_ = checks.array("warp_blend: paint", paint, (3, *mask_.shape), np.float32)
    to_source, to_crop = checks.matrix("warp_blend: similarity", similarity)
    gains = [] if shade is None else [checks.array("warp_blend: shade", shade, (3, None, None), np.float32)]
    result = checks.output("warp_blend: out", out, source_.shape, [source, flow, visible, paint, mask, *gains])
    dense = _dense(result)
    _kernels().warp_blend(dense, source_, flow_, visible_, paint_, mask_, to_crop, to_source, *gains)
    return _stored(result, dense)


def _dense(result: Bytes) -> Bytes:
    return result if result.flags.c_contiguous else np.empty(result.shape, np.uint8)


def _stored(result: Bytes, dense: Bytes) -> Bytes:
    if dense is not result:
        result[...] = dense
    return result
