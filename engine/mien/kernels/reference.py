"""The kernels in NumPy: slow, to be read, and what the C++ and CUDA versions are tested against.

Coordinates are continuous: a picture's corner is (0, 0), the centre of its first pixel (0.5, 0.5). Neighbours beyond
the border are those on it. A pixel of weight 0, or of a colour made from a NaN, keeps the background's bytes.
"""

import numpy as np
from numpy.typing import NDArray

from mien.kernels.protocol import Bytes, Floats, Matrix

Real = NDArray[np.float64]
Indices = NDArray[np.intp]


def blend(out: Bytes, frame: Bytes, patch: Bytes, mask: Bytes | Floats, to_patch: Matrix, feather: float) -> None:
    """Lays the patch over the frame: out = frame + weight (patch - frame), weight = mask x feather."""
    height, width = patch.shape[:2]
    rows, columns, x, y = _covered(frame.shape[:2], to_patch, width, height)
    unit = 255.0 if mask.dtype == np.uint8 else 1.0
    weight = _clamped(_sampled(mask, x, y) / unit, 1.0) * _ramp(x, y, width, height, feather)
    colour = _sampled(patch, x, y)
    _copy_unless_same(out, frame)
    out[rows, columns] = _mixed(frame[rows, columns], colour, weight)


def warp_blend(
    out: Bytes,
    source: Bytes,
    flow: Floats,
    visible: Floats,
    paint: Floats,
    mask: Floats,
    to_crop: Matrix,
    to_source: Matrix,
) -> None:
    """Bends the source by the flow, paints what is not visible, and keeps what the mask leaves out."""
    height, width = mask.shape
    rows, columns, x, y = _covered(source.shape[:2], to_crop, width, height)
    weight = _clamped(_sampled(mask, x, y), 1.0)

    flow_x, flow_y = x * flow.shape[2] / width, y * flow.shape[1] / height
    half_crops = _sampled(flow.transpose(1, 2, 0), flow_x, flow_y) * (width / 2, height / 2)
    dx, dy = (half_crops[:, :1] * to_source[:, 0] + half_crops[:, 1:] * to_source[:, 1]).T
    warped = _sampled(source, columns + 0.5 + dx, rows + 0.5 + dy)
    warped[np.isnan(dx + dy)] = np.nan

    share = np.clip(_sampled(visible, x, y), 0.0, 1.0)[:, None]
    painted = 255.0 * _sampled(paint.transpose(1, 2, 0), x, y)
    with np.errstate(invalid="ignore"):
        of_source = np.where(share <= 0.0, 0.0, share * warped)
        of_paint = np.where(share >= 1.0, 0.0, (1.0 - share) * painted)
    out[:] = source
    out[rows, columns] = _mixed(source[rows, columns], of_source + of_paint, weight)


def _covered(size: tuple[int, ...], inverse: Matrix, width: int, height: int) -> tuple[Indices, Indices, Real, Real]:
    """Rows and columns of the pixels whose centres `inverse` maps into width x height, and the x and y it gives."""
    rows, columns = np.indices(size[:2]).reshape(2, -1)
    x, y = inverse @ np.stack([columns + 0.5, rows + 0.5, np.ones(rows.size)])
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return rows[inside], columns[inside], x[inside], y[inside]


def _sampled(picture: NDArray[np.generic], x: Real, y: Real) -> Real:
    """The bilinear value of a picture (H, W) or (H, W, C) at the points; NaN where one is not finite."""
    height, width = picture.shape[:2]
    cx, cy = _clamped(x - 0.5, width - 1.0), _clamped(y - 0.5, height - 1.0)
    left, top = np.minimum(cx.astype(int), max(width - 2, 0)), np.minimum(cy.astype(int), max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    shape = (-1,) + (1,) * (picture.ndim - 2)
    fx, fy = (cx - left).reshape(shape), (cy - top).reshape(shape)
    corners = (picture[top, left], picture[top, right], picture[bottom, left], picture[bottom, right])
    a, b, c, d = (corner.astype(np.float64) for corner in corners)
    with np.errstate(invalid="ignore"):
        above, below = a + fx * (b - a), c + fx * (d - c)
        value: Real = above + fy * (below - above)
    return np.where(np.isfinite(value), value, np.nan)


def _clamped(values: Real, high: float) -> Real:
    """Into [0, high]; NaN becomes 0."""
    clamped: Real = np.fmin(np.fmax(values, 0.0), high)
    return clamped


def _ramp(x: Real, y: Real, width: int, height: int, feather: float) -> Real:
    """0 at the patch's edge, 1 from `feather` patch pixels inwards."""
    if feather <= 0.0:
        return np.ones_like(x)
    distance = np.minimum(np.minimum(x, width - x), np.minimum(y, height - y))
    return _clamped(distance / feather, 1.0)


def _mixed(background: Bytes, colour: Real, weight: Real) -> Bytes:
    """background + weight (colour - background), rounded; (N, 3), (N, 3), (N,)."""
    weight = weight[:, None]
    kept = np.isnan(colour) | (weight <= 0.0)
    with np.errstate(invalid="ignore", over="ignore"):
        value = np.where(kept, background, background + weight * (colour - background))
    return (_clamped(value, 255.0) + 0.5).astype(np.uint8)


def _copy_unless_same(out: Bytes, frame: Bytes) -> None:
    if out is not frame:
        out[:] = frame
