"""The two operations between networks and pixels: C++ where mien was built with a compiler, else NumPy."""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike

from mien.errors import ImageError
from mien.kernels import checks
from mien.kernels.protocol import Bytes, Floats, Kernels

__all__ = ["backend", "blend", "warp_blend"]


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


def warp_blend(
    source: Bytes,
    flow: Floats,
    visible: Floats,
    paint: Floats,
    mask: Floats,
    similarity: ArrayLike,
    out: Bytes | None = None,
) -> Bytes:
    """Bends a picture by a flow, paints what the flow cannot show, and keeps everything else byte by byte.

    source: (H, W, 3) uint8 RGB, any size. All maps are float32 over one crop of the source. flow: (2, h, w), x and y
    offsets of where to look, in units of half a crop. visible: (n, n) in 0..1, 1 takes the warped source, 0 the paint.
    paint: (3, n, n) RGB in 0..1. mask: (n, n) in 0..1, 0 keeps the source. similarity: (2, 3), crop points (0..n) to
    source points in continuous pixel coordinates. out: (H, W, 3) uint8 to write into, not overlapping the source.

    Where a value that counts is NaN or infinite, the source is kept. Returns `out`, or a new array. Raises ImageError.
    """
    source_ = checks.array("warp_blend: source", source, (None, None, 3), np.uint8)
    mask_ = checks.array("warp_blend: mask", mask, (None, None), np.float32)
    flow_ = checks.array("warp_blend: flow", flow, (2, None, None), np.float32)
    visible_ = checks.array("warp_blend: visible", visible, mask_.shape, np.float32)
    paint_ = checks.array("warp_blend: paint", paint, (3, *mask_.shape), np.float32)
    to_source, to_crop = checks.matrix("warp_blend: similarity", similarity)
    result = checks.output("warp_blend: out", out, source_.shape, [source, flow, visible, paint, mask])
    dense = _dense(result)
    _kernels().warp_blend(dense, source_, flow_, visible_, paint_, mask_, to_crop, to_source)
    return _stored(result, dense)


def _dense(result: Bytes) -> Bytes:
    return result if result.flags.c_contiguous else np.empty(result.shape, np.uint8)


def _stored(result: Bytes, dense: Bytes) -> Bytes:
    if dense is not result:
        result[...] = dense
    return result
