"""Z-buffer rasteriser: which triangle is seen at every sample of the picture. Compiled, one thread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.render.compiled import compiled, inlined

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]

_TOUCH = 1e-7  # samples: what lies on an edge belongs to both of its triangles


@compiled
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
        # barycentrics of b and c, and what they weigh, are affine in the screen
        b_dx, b_dy = (cy - ay) * inverse, -(cx - ax) * inverse
        c_dx, c_dy = -(by - ay) * inverse, (bx - ax) * inverse
        px, py = left + 0.5 - ax, top + 0.5 - ay
        wb, wc = px * b_dx + py * b_dy, px * c_dx + py * c_dy
        near, near_dx = aw + wb * (bw - aw) + wc * (cw - aw), b_dx * (bw - aw) + c_dx * (cw - aw)
        near_dy = b_dy * (bw - aw) + c_dy * (cw - aw)
        # so is where a row enters and leaves it: at most two edges on either side
        lows, highs = (-1.0, 0.0, -1.0, 0.0), (right - left + 0.0, 0.0, right - left + 0.0, 0.0)
        lows, highs = _add_edge(lows, highs, wb, b_dx, b_dy)
        lows, highs = _add_edge(lows, highs, wc, c_dx, c_dy)
        lows, highs = _add_edge(lows, highs, 1.0 - wb - wc, -b_dx - c_dx, -b_dy - c_dy)
        low, low_dy, low2, low2_dy = lows
        high, high_dy, high2, high2_dy = highs
        holes = cutout[part, 1] > 0
        ta, tb, tc = uv_triangles[t, 0], uv_triangles[t, 1], uv_triangles[t, 2]
        u = u_dx = u_dy = v = v_dx = v_dy = 0.0
        if holes:
            tall, wide = cutout[part, 1], cutout[part, 2]
            u, u_dx, u_dy = _plane(uv[ta, 0] * aw, uv[tb, 0] * bw, uv[tc, 0] * cw, wb, b_dx, b_dy, wc, c_dx, c_dy, wide)
            v, v_dx, v_dy = _plane(uv[ta, 1] * aw, uv[tb, 1] * bw, uv[tc, 1] * cw, wb, b_dx, b_dy, wc, c_dx, c_dy, tall)
        for y in range(top, bottom + 1):
            first = int(np.ceil(max(low, low2, 0.0) - _TOUCH))
            last = int(np.floor(min(high, high2, right - left + 0.0) + _TOUCH))
            for k in range(first, last + 1):
                here = np.float32(near + k * near_dx)
                if here > nearness[y, left + k]:
                    if holes:
                        depth = 1.0 / here
                        column = min(max(int((u + k * u_dx) * depth), 0), cutout[part, 2] - 1)
                        row = min(max(int((v + k * v_dx) * depth), 0), cutout[part, 1] - 1)
                        if texels[cutout[part, 0] + (row * cutout[part, 2] + column) * 4 + 3] < 128:
                            continue
                    nearness[y, left + k] = here
                    ids[y, left + k] = t
            low, low2, high, high2 = low + low_dy, low2 + low2_dy, high + high_dy, high2 + high2_dy
            near, u, v = near + near_dy, u + u_dy, v + v_dy
    return nearness, ids


@inlined
def _plane(
    a: float, b: float, c: float, wb: float, b_dx: float, b_dy: float, wc: float, c_dx: float, c_dy: float, scale: int
) -> tuple[float, float, float]:
    """What the corners' values a, b, c, times scale, are at the first sample, and their steps."""
    b, c = (b - a) * scale, (c - a) * scale
    return a * scale + wb * b + wc * c, b_dx * b + c_dx * c, b_dy * b + c_dy * c


@inlined
def _add_edge(
    lows: tuple[float, float, float, float], highs: tuple[float, float, float, float], value: float, dx: float,
    dy: float,
) -> tuple[tuple[float, float, float, float], tuple[float, float, float, float]]:  # fmt: skip
    """Note where a weight, `value` at the first sample, crosses 0 in a row, and how that moves from row to row.

    An edge along the rows is left out: the first and the last row say the same.
    """
    if abs(dx) < 1e-12:
        return lows, highs
    at, step = -value / dx, -dy / dx
    if dx > 0:
        return (at, step, lows[0], lows[1]), highs
    return lows, (at, step, highs[0], highs[1])


@inlined
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
