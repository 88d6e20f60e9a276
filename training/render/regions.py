"""CelebAMask-HQ labels of the skin texture, by position on the mean head."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.render.head import Head
from training.render.part import LABELS
from training.render.raster import rasterise

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def position_map(head: Head, surface: str, height: int, width: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Where on the mean neutral head every texel lies: (height, width, 3) cm, and which texels are used at all."""
    mesh = head.surfaces[surface]
    size = max(height, width)
    flat = np.column_stack([mesh.uv[:, 0] * width, mesh.uv[:, 1] * height, np.ones(len(mesh.uv))]).astype(np.float32)
    nothing = np.zeros(0, np.uint8)
    parts = np.zeros(len(mesh.triangles), np.int32)
    layout = np.zeros((1, 3), np.int32)
    _, ids = rasterise(flat, mesh.uv_triangles, parts, np.zeros(1, np.uint8), mesh.uv, mesh.uv_triangles, layout,
                       nothing, size)
    ids = ids[:height, :width]
    rows, columns = np.nonzero(ids >= 0)
    found = ids[rows, columns]
    corners = flat[mesh.uv_triangles[found], :2]
    across, along = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = across[:, 0] * along[:, 1] - across[:, 1] * along[:, 0]
    px, py = columns + 0.5 - corners[:, 0, 0], rows + 0.5 - corners[:, 0, 1]
    wb, wc = (px * along[:, 1] - py * along[:, 0]) / area, (across[:, 0] * py - across[:, 1] * px) / area
    share = np.stack([1 - wb - wc, wb, wc], 1)
    positions = np.zeros((height, width, 3), np.float32)
    positions[rows, columns] = (head.neutral[mesh.triangles[found]] * share[..., None]).sum(1)
    return positions, ids >= 0


def skin_labels(head: Head, height: int = 512) -> Bytes:
    """Labels (height, 2 height) of the skin texture; texels between the islands take the nearest island's."""
    where, used = position_map(head, "skin", height, 2 * height)
    x, y, z = where[..., 0], where[..., 1], where[..., 2]
    labels = np.full(used.shape, LABELS.index("skin"), np.uint8)
    mark = head.neutral[head.landmarks]
    jaw = mark[:9]
    under = y < np.interp(z, jaw[:, 2], np.maximum.accumulate(jaw[::-1, 1])[::-1]) - 0.5
    labels[np.where(z > jaw[0, 2], under, y < -3)] = LABELS.index("neck")
    ear = (np.abs(x) > 7.3) & (z < 4.2) & (y > -2.5) & (y < 6.5)
    labels[ear & (x > 0)], labels[ear & (x < 0)] = LABELS.index("l_ear"), LABELS.index("r_ear")
    front = z > 7.5
    nose = _inside(x, y, np.array([(-0.7, 4.2), (0.7, 4.2), (0.9, 2.2), (1.9, 0.4), (2.0, -0.7), (1.2, -1.4),
                                   (0, -1.6), (-1.2, -1.4), (-2.0, -0.7), (-1.9, 0.4), (-0.9, 2.2)], np.float32))
    labels[nose & front] = LABELS.index("nose")
    for name, brow in (("r_brow", mark[17:22]), ("l_brow", mark[22:27])):
        line = brow[:, :2]
        band = np.concatenate([line + [0, 0.35], (line - [0, 0.4])[::-1]])
        labels[_inside(x, y, band) & front] = LABELS.index(name)
    corner_r, corner_l = mark[48, :2], mark[54, :2]
    outer = np.stack([mark[i, :2] for k in range(12) for i in (48 + k, 88 + k)])
    lips = _inside(x, y, outer) & (z > 9.2)
    line = np.concatenate([[corner_r], (mark[61:64, :2] + mark[[67, 66, 65], :2]) / 2, [corner_l]])
    upper = y > np.interp(x, line[:, 0], line[:, 1])
    labels[lips & upper], labels[lips & ~upper] = LABELS.index("u_lip"), LABELS.index("l_lip")
    _, nearest = cv2.distanceTransformWithLabels((~used).astype(np.uint8), cv2.DIST_L2, 3,
                                                 labelType=cv2.DIST_LABEL_PIXEL)
    of_island = np.zeros(int(nearest.max()) + 1, np.uint8)
    of_island[nearest[used]] = labels[used]
    return np.ascontiguousarray(of_island[nearest])


def _inside(x: Floats, y: Floats, polygon: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which (x, y) lie in a polygon, by crossing number."""
    inside = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if ay == by:
            continue
        inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return inside
