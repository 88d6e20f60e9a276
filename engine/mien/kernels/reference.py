"""The kernels in NumPy: slow, to be read, and what the C++ and CUDA versions are tested against.

Coordinates are continuous: a picture's corner is (0, 0), the centre of its first pixel (0.5, 0.5). Neighbours beyond
the border are those on it. A pixel of weight 0, or of a colour made from a NaN, keeps the background's bytes.
"""

import numpy as np
from numpy.typing import NDArray

from mien.kernels.layouts import LAYOUTS
from mien.kernels.protocol import Bytes, Floats, Matrix

MOST_SHRINK = 256
"""Of the blocks that a crop takes the means of; beyond that it aliases."""

Real = NDArray[np.float64]
Indices = NDArray[np.intp]


def blend(out: Bytes, frame: Bytes, patch: Bytes, mask: Bytes | Floats, to_patch: Matrix, feather: float) -> None:
    """Lays the patch over the frame: out = frame + weight (patch - frame), weight = mask x feather."""
    rows, columns, colour, weight = _seen(frame.shape, patch, mask, to_patch, feather)
    _copy_unless_same(out, frame)
    out[rows, columns] = _mixed(frame[rows, columns], colour, weight)


def blend_faces(
    out: Bytes,
    frame: Bytes,
    layout: int,
    yuv: Floats,
    patches: Bytes | Floats,
    masks: Bytes | Floats,
    to_patch: Matrix,
    feather: float,
) -> None:
    """Lays patches over a frame of any layout, one after the other."""
    name = LAYOUTS[layout]
    _copy_unless_same(out, frame)
    for i, matrix in enumerate(to_patch):
        patch = patches[i] if patches.dtype == np.uint8 else 255.0 * patches[i].transpose(1, 2, 0).astype(np.float64)
        mask = masks[i if len(masks) > 1 else 0]
        if name == "nv12":
            _blend_nv12(out, yuv, _seen((len(out) // 3 * 2, out.shape[1]), patch, mask, matrix, feather))
            continue
        rows, columns, colour, weight = _seen(out.shape, patch, mask, matrix, feather)
        order = [2, 1, 0] if name.startswith("b") else [0, 1, 2]
        colours = out[..., order]
        colours[rows, columns] = _mixed(colours[rows, columns], colour, weight)
        out[..., order] = colours


def crop(out: Floats, frame: Bytes, layout: int, yuv: Floats, to_frame: Matrix) -> None:
    """Squares of a frame of any layout as planes R, G, B in [0, 1]; what shrinks is first averaged in blocks."""
    picture = _rgb(frame, layout, yuv)
    height, width = out.shape[2:]
    rows, columns = np.indices((height, width)).reshape(2, -1) + 0.5
    for planes, matrix in zip(out, to_frame, strict=True):
        shrink = int(np.clip(np.hypot(matrix[0, 0], matrix[1, 0]), 1, MOST_SHRINK))
        blocks, origin = _blocks(picture, matrix, width, height, shrink)
        x, y = matrix @ np.stack([columns, rows, np.ones(rows.size)])
        colours = _sampled(blocks, (x - origin[0]) / shrink, (y - origin[1]) / shrink)
        planes[...] = colours.T.reshape(3, height, width) / 255


def warp_blend(
    out: Bytes,
    source: Bytes,
    flow: Floats,
    visible: Floats,
    paint: Floats,
    mask: Floats,
    to_crop: Matrix,
    to_source: Matrix,
    shade: Floats | None = None,
) -> None:
    """Bends the source by the flow, shades it, paints what is not visible, and keeps what the mask leaves out."""
    height, width = mask.shape
    rows, columns, x, y = _covered(source.shape[:2], to_crop, width, height)
    weight = _clamped(_sampled(mask, x, y), 1.0)

    flow_x, flow_y = x * flow.shape[2] / width, y * flow.shape[1] / height
    half_crops = _sampled(flow.transpose(1, 2, 0), flow_x, flow_y) * (width / 2, height / 2)
    dx, dy = (half_crops[:, :1] * to_source[:, 0] + half_crops[:, 1:] * to_source[:, 1]).T
    warped = _sampled(source, columns + 0.5 + dx, rows + 0.5 + dy)
    warped[np.isnan(dx + dy)] = np.nan
    if shade is not None:
        warped *= _sampled(shade.transpose(1, 2, 0), x * shade.shape[2] / width, y * shade.shape[1] / height)

    share = np.clip(_sampled(visible, x, y), 0.0, 1.0)[:, None]
    painted = 255.0 * _sampled(paint.transpose(1, 2, 0), x, y)
    with np.errstate(invalid="ignore"):
        of_source = np.where(share <= 0.0, 0.0, share * warped)
        of_paint = np.where(share >= 1.0, 0.0, (1.0 - share) * painted)
    out[:] = source
    out[rows, columns] = _mixed(source[rows, columns], of_source + of_paint, weight)


def _seen(
    size: tuple[int, ...], patch: NDArray[np.generic], mask: Bytes | Floats, to_patch: Matrix, feather: float
) -> tuple[Indices, Indices, Real, Real]:
    """Rows and columns of the pixels under a patch (h, w, 3), its colours there (N, 3) and its weights (N,)."""
    height, width = patch.shape[:2]
    rows, columns, x, y = _covered(size, to_patch, width, height)
    unit = 255.0 if mask.dtype == np.uint8 else 1.0
    weight = _clamped(_sampled(mask, x, y) / unit, 1.0) * _ramp(x, y, width, height, feather)
    return rows, columns, _sampled(patch, x, y), weight


def _blend_nv12(out: Bytes, yuv: Floats, seen: tuple[Indices, Indices, Real, Real]) -> None:
    """Luma pixel by pixel; the chroma of four pixels is the mean of what each would have."""
    rows, columns, colour, weight = seen
    black, gain, rv, _, _, bu, kr, kb = yuv.astype(np.float64)
    height = len(out) // 3 * 2
    luma = colour @ (kr, 1 - kr - kb, kb)
    chroma = 128 + np.stack([(colour[:, 2] - luma) / bu, (colour[:, 0] - luma) / rv], axis=1)
    pairs = out[height:].reshape(height // 2, -1, 2)
    out[rows, columns] = _mixed(out[rows, columns, None], (black + luma / gain)[:, None], weight)[:, 0]
    whole = pairs.repeat(2, 0).repeat(2, 1).astype(np.float64)
    used = ~np.isnan(chroma) & (weight > 0.0)[:, None]
    with np.errstate(invalid="ignore"):
        mixed = whole[rows, columns] + weight[:, None] * (chroma - whole[rows, columns])
    whole[rows, columns] = np.where(used, mixed, whole[rows, columns])
    means = (whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]) / 4
    pairs[...] = (_clamped(means, 255.0) + 0.5).astype(np.uint8)


def _rgb(frame: Bytes, layout: int, yuv: Floats) -> Bytes:
    """(H, W, 3) RGB, of a frame of any layout."""
    name = LAYOUTS[layout]
    if name != "nv12":
        return frame[..., [2, 1, 0] if name.startswith("b") else [0, 1, 2]]
    black, gain, rv, gu, gv, bu = yuv[:6]  # single precision throughout, so that every version rounds alike
    height, width = len(frame) // 3 * 2, frame.shape[1]
    luma = gain * (frame[:height].astype(np.float32) - black)
    pairs = frame[height:].reshape(height // 2, width // 2, 2).astype(np.float32) - np.float32(128)
    u, v = pairs.repeat(2, 0).repeat(2, 1).transpose(2, 0, 1)
    rgb = np.stack([luma + rv * v, luma + gu * u + gv * v, luma + bu * u], axis=-1)
    rounded: Bytes = (np.clip(rgb, 0, 255) + np.float32(0.5)).astype(np.uint8)
    return rounded


def _blocks(picture: Bytes, to_frame: Matrix, width: int, height: int, shrink: int) -> tuple[Bytes, tuple[int, int]]:
    """The part of a picture under the crop as means of blocks of shrink x shrink pixels, and its origin (x, y)."""
    corners = to_frame @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    sides = np.array(picture.shape[1::-1])
    low = np.clip(np.floor(corners.min(1)) - 2 * shrink, 0, sides - 1).astype(int)
    high = np.clip(np.ceil(corners.max(1)) + 2 * shrink, low + 1, sides).astype(int)
    high += (low - high) % shrink  # to whole blocks
    inner = np.minimum(high, sides)
    right, below = high - inner
    part = np.pad(picture[low[1] : inner[1], low[0] : inner[0]], ((0, below), (0, right), (0, 0)), mode="edge")
    sums = part.reshape(len(part) // shrink, shrink, -1, shrink, 3).sum((1, 3), dtype=np.int64)
    means = (sums + shrink * shrink // 2) // (shrink * shrink)
    return means.astype(np.uint8), (int(low[0]), int(low[1]))


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
