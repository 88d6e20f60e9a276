"""What is known exactly about a picture: place, projected points, and the flow between two frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.render.compiled import compiled
from training.render.raster import weights_at

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]


def seen_rotation(matrix: NDArray[np.float64], ray: NDArray[np.floating]) -> NDArray[np.float64]:
    """The rotation as it looks from the camera: `ray` (3,) from the camera to the head is turned onto (0, 0, -1)."""
    ray = ray / np.linalg.norm(ray)
    axis = np.cross(ray, [0.0, 0.0, -1.0])
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray((np.eye(3) + skew + skew @ skew / (1 - ray[2])) @ matrix, np.float64)


def fit_place(points: Floats, projected: Floats, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(tx, ty, log s): least squares of x = s (R p)_x + tx, y = -s (R p)_y + ty.

    points (N, 3) head frame, cm; projected (N, 2) normalised crop coordinates; matrix (3, 3) the rotation R.
    """
    flat = (points @ matrix.T)[:, :2] * [1, -1]
    middle, target = flat.mean(0), projected.mean(0)
    scale = ((flat - middle) * (projected - target)).sum() / ((flat - middle) ** 2).sum()
    return np.array([*(target - scale * middle), np.log(scale)])


@compiled
def backward_flow(
    ids: Ints,
    screen: Floats,
    other_screen: Floats,
    other_nearness: Floats,
    triangles: Ints,
    part_of: Ints,
    one_sided: Bytes,
    size: int,
    slack: float,
) -> tuple[Floats, Bytes]:
    """Where every place of the driving frame lies in the source frame.

    ids (S, S): the driving frame's triangles; screen, other_screen (V, 3): samples and 1 / depth of the same vertices
    in both frames; other_nearness (S, S): depth buffer of the source frame; part_of (T,), one_sided (P,): as in
    `rasterise`; slack: cm a surface may lie behind the depth buffer.
    Returns flow (size, size, 2) in normalised crop units (x, y), 0 on the background, and visible (size, size) uint8,
    255 where the same surface is seen in the source (background: where nothing covers it there).
    """
    samples = ids.shape[0]
    step = samples // size
    flow = np.zeros((size, size, 2), np.float32)
    visible = np.zeros((size, size), np.uint8)
    for y in range(size):
        for x in range(size):
            sy, sx = y * step + step // 2, x * step + step // 2
            t = ids[sy, sx]
            if t < 0:
                if other_nearness[sy, sx] <= 0:
                    visible[y, x] = 255
                continue
            px, py = sx + 0.5, sy + 0.5
            wa, wb, wc = weights_at(screen, triangles[t], px, py)
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            # weights are of the surface: interpolate homogeneous positions of the source frame
            da, db, dc = wa / other_screen[a, 2], wb / other_screen[b, 2], wc / other_screen[c, 2]
            depth = da + db + dc
            qx = (da * other_screen[a, 0] + db * other_screen[b, 0] + dc * other_screen[c, 0]) / depth
            qy = (da * other_screen[a, 1] + db * other_screen[b, 1] + dc * other_screen[c, 1]) / depth
            flow[y, x, 0] = (qx - px) * 2 / samples
            flow[y, x, 1] = (qy - py) * 2 / samples
            if qx < 0 or qy < 0 or qx >= samples or qy >= samples:
                continue
            ax, ay = other_screen[a, 0], other_screen[a, 1]
            area = (other_screen[b, 0] - ax) * (other_screen[c, 1] - ay)
            area -= (other_screen[c, 0] - ax) * (other_screen[b, 1] - ay)
            if area > 0 and one_sided[part_of[t]]:
                continue
            # four neighbours: a surface at its own silhouette is seen if any of them shows it
            for k in range(4):
                ry = min(max(int(qy - 0.5) + k // 2, 0), samples - 1)
                rx = min(max(int(qx - 0.5) + k % 2, 0), samples - 1)
                near = other_nearness[ry, rx]
                if near > 0 and depth <= 1.0 / near + slack:
                    visible[y, x] = 255
    return flow, visible
