"""The point model: named expression values, how they move the motion points, and how landmarks spread over them.

An expression value is a plain measure on the neutral-pose offsets of the points (FaceKit's expressions add the same
offset to every identity), so it is exact, well posed where blendshape weights overlap, and readable by people.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.reenact.motion import PointModel
from mien_export.networks.studio import EXPRESSIONS

Floats = NDArray[np.float32]

X, Y, Z = 0, 1, 2
MEASURES: dict[str, tuple[tuple[tuple[int, ...], int, float], ...]] = {
    # name: sum of factor * mean over points of one coordinate, cm; Multi-PIE numbering, right = the subject's right
    "lid_gap_right": (((37, 38), Y, 1.0), ((40, 41), Y, -1.0)),
    "lid_gap_left": (((43, 44), Y, 1.0), ((46, 47), Y, -1.0)),
    "lower_lid_right": (((40, 41), Y, 1.0),),
    "lower_lid_left": (((46, 47), Y, 1.0),),
    "lip_gap": (((61, 62, 63), Y, 1.0), ((65, 66, 67), Y, -1.0)),
    "jaw_drop": (((7, 8, 9), Y, -1.0),),
    "jaw_side": (((7, 8, 9), X, 1.0),),
    "jaw_forward": (((7, 8, 9), Z, 1.0),),
    "mouth_width": (((54,), X, 1.0), ((48,), X, -1.0)),
    "mouth_side": (((48, 54), X, 0.5), ((51, 57), X, 0.5)),
    "corner_right": (((48,), Y, 1.0),),
    "corner_left": (((54,), Y, 1.0),),
    "upper_lip_raise": (((50, 51, 52), Y, 1.0),),
    "upper_lip_forward": (((50, 51, 52), Z, 1.0),),
    "upper_lip_height": (((50, 51, 52), Y, 1.0), ((61, 62, 63), Y, -1.0)),
    "lower_lip_raise": (((56, 57, 58), Y, 1.0),),
    "lower_lip_forward": (((56, 57, 58), Z, 1.0),),
    "lower_lip_height": (((65, 66, 67), Y, 1.0), ((56, 57, 58), Y, -1.0)),
    "brow_inner_right": (((20, 21), Y, 1.0),),
    "brow_inner_left": (((22, 23), Y, 1.0),),
    "brow_outer_right": (((17, 18), Y, 1.0),),
    "brow_outer_left": (((25, 26), Y, 1.0),),
    "brow_together": (((21,), X, 1.0), ((22,), X, -1.0)),
    "nostril_right": (((31,), Y, 1.0),),
    "nostril_left": (((35,), Y, 1.0),),
}

PIVOT = np.array([0, -10, -2], np.float32)
"""Where the renderer turns the head on the neck, cm."""

GAZE = ("gaze_yaw", "gaze_pitch")
NAMES = (*MEASURES, *GAZE)
assert NAMES == EXPRESSIONS

LEFT_RIGHT = tuple(NAMES.index(n.replace("right", "#").replace("left", "right").replace("#", "left")) for n in NAMES)
MIRROR_SIGN = np.array([-1.0 if n in ("jaw_side", "mouth_side", "gaze_yaw") else 1.0 for n in NAMES], np.float32)

MULTI_PIE_MIRROR = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip


def measure(offsets: Floats, gaze: Floats) -> Floats:
    """Expression values (..., E) of point offsets (..., K, 3) in cm and eye turns (..., 2) in radians."""
    values = [
        sum(factor * offsets[..., list(points), axis].mean(-1) for points, axis, factor in terms)
        for terms in MEASURES.values()
    ]
    return np.concatenate([np.stack(values, -1), gaze], -1).astype(np.float32)


def fit_basis(offsets: Floats, values: Floats) -> Floats:
    """Least squares: how each value moves each point, (K, 3, E), from samples (n, K, 3) and (n, E)."""
    flat = offsets.reshape(len(offsets), -1).astype(np.float64)
    gram = values.T.astype(np.float64) @ values
    gram += np.diag(1e-3 * np.diag(gram) + 1e-9)
    solution = np.linalg.solve(gram, values.T @ flat)
    return np.asarray(solution.T.reshape(*offsets.shape[1:], -1), np.float32)


def fit_spread(points: Floats, landmarks: int, sigma: float = 2.2) -> Floats:
    """(K, L): Gaussian weights of the landmarks around each point, cm; landmarks keep their own offset."""
    apart = np.square(points[:, None] - points[None, :landmarks]).sum(-1)
    weights = np.exp(-apart / (2 * sigma**2))
    spread = weights / (weights.sum(1, keepdims=True) + 0.05)
    spread[:landmarks] = np.eye(landmarks)
    return np.asarray(spread, np.float32)


def mirror_landmarks(mean: Floats) -> NDArray[np.int64]:
    """Which landmark (L, 3 on the mean head) takes the place of which when the picture is mirrored."""
    flipped = mean * np.array([-1, 1, 1], np.float32)
    order = np.asarray(np.square(mean[:, None] - flipped[None]).sum(-1).argmin(0), np.int64)
    order[:68] = MULTI_PIE_MIRROR
    return order


@dataclass(frozen=True)
class PointArrays:
    """What `mien.reenact.motion.PointModel` holds, as made for training and written into the bundle."""

    points: Floats
    basis: Floats
    spread: Floats
    rigid: Floats
    pivot: Floats
    limits: Floats
    deviation: Floats
    """(E,) mean distance of each value from its median in the training data: the unit of its loss and its uncertainty,
    and how far off a guess without looking is."""

    def model(self) -> PointModel:
        """As the runtime uses it."""
        return PointModel(self.points, self.basis, self.spread, self.rigid, self.pivot, self.limits)

    def save(self, path: Path) -> None:
        """Write as .npz."""
        np.savez(path, **{k: getattr(self, k) for k in self.__dataclass_fields__})

    @classmethod
    def load(cls, path: Path) -> PointArrays:
        """Read what `save` wrote."""
        with np.load(path) as stored:
            return cls(**{k: stored[k] for k in cls.__dataclass_fields__})


def fit(mean: Floats, landmarks: int, offsets: Floats, gaze: Floats) -> PointArrays:
    """The point model from the mean head's points (K, 3), sampled offsets (n, K, 3) and gaze (n, 2)."""
    values = measure(offsets, gaze)
    limits = np.stack([np.quantile(values, 0.002, axis=0), np.quantile(values, 0.998, axis=0)])
    rigid = np.clip((mean[:, 1] + 14.5) / 7.5, 0, 1)
    basis, spread = fit_basis(offsets, values), fit_spread(mean, landmarks)
    deviation = np.abs(values - np.median(values, axis=0)).mean(0)
    return PointArrays(mean, basis, spread, rigid, PIVOT, limits.astype(np.float32), deviation)
