"""Z-buffer rasteriser: which triangle is seen at every sample of the picture. Compiled, one thread."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]

_TOUCH = 1e-7  # samples: what lies on an edge belongs to both of its triangles


@numba.njit(cache=True, nogil=True, fastmath=True)
def rasterise(
    screen: Floats,
    triangles: Ints,
    part_of: Ints,
    one_sided: Bytes,
    uv: Floats,
    uv_triangles: Ints,
    cutout: Ints,
    texels: Bytes,
    size: int,
) -> tuple[Floats, Ints]:
    """Draw triangles into a depth and an identity buffer.

    screen (V, 3): x right and y down in samples (the corner of the first sample is 0), and 1 / depth; triangles
    (T, 3) vertex indices; part_of (T,) part of each triangle. Per part: one_sided (P,), 1 culls triangles that are
    clockwise on the screen seen with y up; cutout (P, 3): offset of an RGBA texture in `texels`, its height and width
    (height 0: opaque), whose texels with alpha < 128 are not drawn. uv (U, 2), uv_triangles (T, 3) address it.
    Returns nearness (size, size) float32, 1 / depth of the nearest surface (0: nothing), linear in the screen plane,
    and ids (size, size) int32, its triangle (-1: nothing).
    """
    nearness = np.zeros((size, size), np.float32)
    ids = np.full((size, size), -1, np.int32)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, aw = float(screen[a, 0]), float(screen[a, 1]), float(screen[a, 2])
        bx, by, bw = float(screen[b, 0]), float(screen[b, 1]), float(screen[b, 2])
        cx, cy, cw = float(screen[c, 0]), float(screen[c, 1]), float(screen[c, 2])
        # y points down, so a counter-clockwise triangle has a negative area here
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        part = part_of[t]
        if area == 0 or (area > 0 and one_sided[part] > 0) or min(aw, bw, cw) <= 0:
            continue
        left = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - 0.5)), size - 1)
        top = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - 0.5)), size - 1)
        if left > right or top > bottom:
            continue
        inverse = 1.0 / area
        # barycentrics of b and c, and what they weigh, are affine in the screen: value at a row's start and steps
        b_dx, b_dy = (cy - ay) * inverse, -(cx - ax) * inverse
        c_dx, c_dy = -(by - ay) * inverse, (bx - ax) * inverse
        px, py = left + 0.5 - ax, top + 0.5 - ay
        wb, wc = px * b_dx + py * b_dy, px * c_dx + py * c_dy
        step = b_dx * (bw - aw) + c_dx * (cw - aw)
        b_scale, c_scale, a_scale = _reciprocal(b_dx), _reciprocal(c_dx), _reciprocal(-b_dx - c_dx)
        holes = cutout[part, 1] > 0
        for y in range(top, bottom + 1):
            low, high = _cut(wb, b_scale, 0.0, float(right - left))
            low, high = _cut(wc, c_scale, low, high)
            low, high = _cut(1.0 - wb - wc, a_scale, low, high)
            first, last = int(np.ceil(low - _TOUCH)), int(np.floor(high + _TOUCH))
            if first <= last:
                near = aw + wb * (bw - aw) + wc * (cw - aw)
                if holes:
                    at, corners = (wb, b_dx, wc, c_dx), uv_triangles[t]
                    _row_with_holes(
                        nearness, ids, y, left, first, last, near, step, t, at, (aw, bw, cw), uv, corners, texels,
                        cutout[part],
                    )  # fmt: skip
                else:
                    for k in range(first, last + 1):
                        here = np.float32(near + k * step)
                        if here > nearness[y, left + k]:
                            nearness[y, left + k] = here
                            ids[y, left + k] = t
            wb += b_dy
            wc += c_dy
    return nearness, ids


@numba.njit(cache=True, nogil=True, fastmath=True, inline="always")
def _reciprocal(step: float) -> float:
    return 1.0 / step if abs(step) > 1e-12 else 0.0


@numba.njit(cache=True, nogil=True, fastmath=True, inline="always")
def _cut(value: float, scale: float, low: float, high: float) -> tuple[float, float]:
    """The part of low..high where value + x / scale is not negative; a scale of 0 means that it does not change."""
    if scale > 0:
        return max(low, -value * scale), high
    if scale < 0:
        return low, min(high, -value * scale)
    return low, (high if value >= 0 else low - 1)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _row_with_holes(
    nearness: Floats, ids: Ints, y: int, left: int, first: int, last: int, near: float, step: float, t: int,
    at: tuple[float, float, float, float], w: tuple[float, float, float], uv: Floats, corners: Ints, texels: Bytes,
    layout: Ints,
) -> None:  # fmt: skip
    wb, b_dx, wc, c_dx = at
    aw, bw, cw = w
    au, av = uv[corners[0], 0] * aw, uv[corners[0], 1] * aw
    bu, bv = uv[corners[1], 0] * bw - au, uv[corners[1], 1] * bw - av
    cu, cv = uv[corners[2], 0] * cw - au, uv[corners[2], 1] * cw - av
    u, u_dx = (au + wb * bu + wc * cu) * layout[2], (b_dx * bu + c_dx * cu) * layout[2]
    v, v_dx = (av + wb * bv + wc * cv) * layout[1], (b_dx * bv + c_dx * cv) * layout[1]
    for k in range(first, last + 1):
        here = np.float32(near + k * step)
        if here > nearness[y, left + k]:
            depth = 1.0 / here
            column = min(max(int((u + k * u_dx) * depth), 0), layout[2] - 1)
            row = min(max(int((v + k * v_dx) * depth), 0), layout[1] - 1)
            if texels[layout[0] + (row * layout[2] + column) * 4 + 3] >= 128:
                nearness[y, left + k] = here
                ids[y, left + k] = t


@numba.njit(cache=True, nogil=True, fastmath=True, inline="always")
def weights_at(screen: Floats, corners: Ints, x: float, y: float) -> tuple[float, float, float]:
    """Perspective-correct barycentric weights (sum 1) of the screen point (x, y), in samples, in one triangle.

    Points a little outside are moved onto the triangle, so that textures are never read beyond a seam.
    """
    a, b, c = corners[0], corners[1], corners[2]
    ax, ay = screen[a, 0], screen[a, 1]
    bx, by = screen[b, 0] - ax, screen[b, 1] - ay
    cx, cy = screen[c, 0] - ax, screen[c, 1] - ay
    area = bx * cy - cx * by
    if area == 0:
        return 1.0, 0.0, 0.0
    px, py, inverse = x - ax, y - ay, 1.0 / area
    wb = max((px * cy - cx * py) * inverse, 0.0)
    wc = max((bx * py - px * by) * inverse, 0.0)
    wa = max(1.0 - wb - wc, 0.0)
    wa, wb, wc = wa * screen[a, 2], wb * screen[b, 2], wc * screen[c, 2]
    total = 1.0 / (wa + wb + wc)
    return wa * total, wb * total, wc * total
