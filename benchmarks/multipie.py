"""What the judges measure, measured on mien's own landmarks instead, and which points of the two name one place.

Subscripts are mien's landmarks: 0 to 67 in Multi-PIE order, then the middles between neighbours of the lids (68 to 79).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.geometry import euler, rotation

Floats = npt.NDArray[np.float64]

COMMON: dict[str, tuple[tuple[int, int], ...]] = {
    "eye corners": ((36, 33), (39, 133), (42, 362), (45, 263)),
    "mouth corners": ((48, 61), (54, 291)),
    "lips": ((51, 0), (57, 17), (62, 13), (66, 14)),
    "chin": ((8, 152),),
    "nose tip": ((30, 4),),
}
"""Pairs (mien, Face Mesh). On 256 rendered heads, where mien's points are known, Face Mesh puts the outer corners of
the eyes 0.045 of the eye distance further out, the chin 0.04 off, and the others within 0.03: so much is definition."""

FOREHEAD = 1.456
"""Face height (Face Mesh 10 to 152) over nose bridge to chin (27 to 8): median of the same heads. Multi-PIE has no
point on the forehead."""


def quantities(landmarks: Floats, poses: Floats) -> dict[str, Floats]:
    """The quantities of `judge.quantities`, from landmarks (T, L, 2) in pixels and poses (T, 3) in radians."""

    def gap(one: int, other: int) -> Floats:
        distance: Floats = np.linalg.norm(landmarks[:, one] - landmarks[:, other], axis=-1)
        return distance

    eyes = gap(36, 45)
    along = (landmarks[:, 45] - landmarks[:, 36]) / eyes[:, None]
    up = np.stack([along[:, 1], -along[:, 0]], axis=-1)
    brows = landmarks[:, [18, 19, 20, 23, 24, 25]].mean(1) - landmarks[:, [36, 45]].mean(1)
    yaw, pitch, roll = np.degrees(since_first(poses)).T
    return {
        "yaw": yaw,
        "pitch": pitch,
        "roll": roll,
        "mouth": gap(62, 66) / (FOREHEAD * gap(27, 8)),
        "eye_left": gap(75, 78) / eyes,
        "eye_right": gap(69, 72) / eyes,
        "smile": gap(48, 54) / eyes,
        "brow": (brows * up).sum(-1) / eyes,
    }


def since_first(poses: Floats) -> Floats:
    """(T, 3) yaw, pitch, roll of the turn since the first known pose; radians, NaN where unknown."""
    seen = np.isfinite(poses).all(1)
    turns = np.full((len(poses), 3), np.nan)
    if seen.any():
        first = rotation(*poses[np.argmax(seen)])
        for frame in np.flatnonzero(seen):
            turns[frame] = euler(rotation(*poses[frame]) @ first.T)
    return turns


def landmark_errors(ours: Floats, mesh: Floats) -> dict[str, Floats]:
    """(T, points) distances of common points by group, over the distance of the outer corners of the eyes.

    ours: (T, L, 2), mesh: (T, 468, 2 or more), both in pixels of the frame.
    """
    flat = mesh[..., :2]
    eyes = np.linalg.norm(flat[:, 33] - flat[:, 263], axis=-1)
    errors = {}
    for group, pairs in COMMON.items():
        here, there = zip(*pairs, strict=True)
        errors[group] = np.linalg.norm(ours[:, here] - flat[:, there], axis=-1) / eyes[:, None]
    return errors
