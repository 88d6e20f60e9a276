"""Z-buffer rasteriser: which triangle is seen at every sample of the picture. Compiled, one thread."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]


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
        ax, ay, aw = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bw = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cw = screen[c, 0], screen[c, 1], screen[c, 2]
        if aw <= 0 or bw <= 0 or cw <= 0:
            continue
        # y points down, so a counter-clockwise triangle has a negative area here
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        part = part_of[t]
        if area == 0 or (area > 0 and one_sided[part]):
            continue
        left = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - 0.5)), size - 1)
        top = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - 0.5)), size - 1)
        if left > right or top > bottom:
            continue
        inverse = 1.0 / area
        # barycentrics of b and c are affine in the screen: value at the first sample and steps
        b_dx, b_dy = (cy - ay) * inverse, -(cx - ax) * inverse
        c_dx, c_dy = -(by - ay) * inverse, (bx - ax) * inverse
        px, py = left + 0.5 - ax, top + 0.5 - ay
        b_row, c_row = px * b_dx + py * b_dy, px * c_dx + py * c_dy
        height = cutout[part, 1]
        for y in range(top, bottom + 1):
            wb, wc = b_row, c_row
            for x in range(left, right + 1):
                wa = 1.0 - wb - wc
                if wa >= 0 and wb >= 0 and wc >= 0:
                    near = wa * aw + wb * bw + wc * cw
                    if near > nearness[y, x]:
                        solid = True
                        if height > 0:
                            solid = _opaque(texels, cutout[part], uv, uv_triangles[t], wa * aw, wb * bw, wc * cw)
                        if solid:
                            nearness[y, x] = near
                            ids[y, x] = t
                wb += b_dx
                wc += c_dx
            b_row += b_dy
            c_row += c_dy
    return nearness, ids


@numba.njit(cache=True, nogil=True, fastmath=True, inline="always")
def _opaque(texels: Bytes, layout: Ints, uv: Floats, corners: Ints, wa: float, wb: float, wc: float) -> bool:
    total = wa + wb + wc
    u = (wa * uv[corners[0], 0] + wb * uv[corners[1], 0] + wc * uv[corners[2], 0]) / total
    v = (wa * uv[corners[0], 1] + wb * uv[corners[1], 1] + wc * uv[corners[2], 1]) / total
    row = min(max(int(v * layout[1]), 0), layout[1] - 1)
    column = min(max(int(u * layout[2]), 0), layout[2] - 1)
    return bool(texels[layout[0] + (row * layout[2] + column) * 4 + 3] >= 128)


@numba.njit(cache=True, nogil=True, fastmath=True)
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
    px, py = x - ax, y - ay
    wb = max((px * cy - cx * py) / area, 0.0)
    wc = max((bx * py - px * by) / area, 0.0)
    wa = max(1.0 - wb - wc, 0.0)
    wa, wb, wc = wa * screen[a, 2], wb * screen[b, 2], wc * screen[c, 2]
    total = wa + wb + wc
    return wa / total, wb / total, wc / total
