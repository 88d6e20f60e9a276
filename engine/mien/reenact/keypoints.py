"""LivePortrait's keypoints: where a head's pose and expression put them, and what of a driver's head a portrait takes.

Guo et al., LivePortrait: Efficient Portrait Animation with Stitching and Retargeting Control, 2024. Points are rows
(x right, y down, z inwards); a crop spans -1 to 1. What the public code calls expression-friendly driving is not here:
it rescales the motion by the ratio of the portrait's size to its size under the first driving frame, and under
relative motion that ratio is 1 by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.reenact.transfer import Region

Floats = NDArray[np.float64]

COUNT = 21
LIPS = (6, 12, 14, 17, 19, 20)
EYES = (11, 13, 15, 16, 18)
"""The keypoints that open and close the mouth and the eyes."""

CHANGEABLE: dict[Region, tuple[int, ...]] = {
    "all": tuple(range(COUNT)),
    "expression": tuple(range(COUNT)),
    "pose": (),
    "lips": LIPS,
    "eyes": EYES,
}
"""The keypoints whose expression a region lets the driver change."""

AS_THEY_ARE = np.ones((COUNT, 3), bool)
"""(21, 3): what absolute motion takes of a driver's expression; the rest carries the shape of a face, not its mood."""
AS_THEY_ARE[[0, 7, 10]] = False
AS_THEY_ARE[[3, 4]] = (False, True, False)
AS_THEY_ARE[[5, 8]] = (False, False, True)
AS_THEY_ARE[9] = (False, True, True)
AS_THEY_ARE.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Head:
    """One head at one time, in units of half a crop, float64.

    ``rotation``: (3, 3), for points as rows. ``expression``: (21, 3), added to the turned canonical keypoints before
    they are scaled. ``scale``: above 0. ``translation``: (2,) x, y; depth is not moved.
    """

    rotation: Floats
    expression: Floats
    scale: float
    translation: Floats


def degrees(logits: ArrayLike) -> Floats:
    """(...) angles of the 66 classes (..., 66), each 3 degrees wide: the expected value, 0 in the middle of all."""
    values = np.asarray(logits, np.float64)
    weights = np.exp(values - values.max(-1, keepdims=True))
    share = weights / weights.sum(-1, keepdims=True)
    result: Floats = 3 * (share @ np.arange(share.shape[-1])) - 97.5
    return result


def rotation_of(angles: ArrayLike) -> Floats:
    """(3, 3) for points as rows, of pitch, yaw and roll in degrees (3,): about x first, then y, then z."""
    pitch, yaw, roll = np.radians(np.asarray(angles, np.float64))
    (cp, cy, cr), (sp, sy, sr) = np.cos([pitch, yaw, roll]), np.sin([pitch, yaw, roll])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    turned: Floats = (about_z @ about_y @ about_x).T
    return turned


def nearest_rotation(matrix: ArrayLike) -> Floats:
    """(3, 3) the rotation nearest to a matrix (3, 3), such as a mean of rotations (Procrustes)."""
    left, _, right = np.linalg.svd(np.asarray(matrix, np.float64))
    handed = np.diag([1.0, 1.0, np.linalg.det(left @ right)])
    turned: Floats = left @ handed @ right
    return turned


def placed(canonical: ArrayLike, head: Head) -> Floats:
    """(21, 3) a person's canonical keypoints (21, 3), turned, given an expression, scaled and moved."""
    points: Floats = head.scale * (np.asarray(canonical, np.float64) @ head.rotation + head.expression)
    points[:, :2] += head.translation
    return points


def relative(source: Head, driving: Head, reference: Head, region: Region) -> Head:
    """The portrait's head with the driver's change since the reference; what the region leaves out stays its own."""
    moves = region in ("all", "pose")
    changed = list(CHANGEABLE[region])
    expression = source.expression.copy()
    expression[changed] += driving.expression[changed] - reference.expression[changed]
    return Head(
        rotation=driving.rotation @ reference.rotation.T @ source.rotation if moves else source.rotation,
        expression=expression,
        scale=source.scale * driving.scale / reference.scale if region == "all" else source.scale,
        translation=source.translation + (driving.translation - reference.translation) if moves else source.translation,
    )


def absolute(source: Head, driving: Head, region: Region) -> Head:
    """The portrait's head with the driver's pose, place and expression as they are; its size stays its own."""
    moves = region in ("all", "pose")
    taken = np.zeros((COUNT, 3), bool)
    taken[list(CHANGEABLE[region])] = True
    if region in ("all", "expression"):
        taken &= AS_THEY_ARE
    return Head(
        rotation=driving.rotation if moves else source.rotation,
        expression=np.where(taken, driving.expression, source.expression),
        scale=source.scale,
        translation=driving.translation if moves else source.translation,
    )
