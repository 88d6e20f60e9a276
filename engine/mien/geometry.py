"""Similarity transforms between pictures, and rotations of the head.

Points are continuous pixel coordinates: (0, 0) is the picture's top-left corner, (0.5, 0.5) the centre of its first
pixel, x to the right, y down. The head frame is the other way up: x to the subject's left, y up, z to the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Similarity:
    """A map of points of one picture to points of another: turn, scale, shift.

    ``matrix``: (2, 3) float64, read-only, ``[[a, -b, x], [b, a, y]]``. Raises InputError for a matrix that is not
    finite, not of that shape, or maps everything to one point.
    """

    matrix: Floats

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, np.float64)
        if matrix.shape != (2, 3):
            raise InputError(f"A similarity is a (2, 3) matrix; this one is {matrix.shape}.")
        a, b = matrix[0, 0], matrix[1, 0]
        size = np.hypot(a, b)
        if not np.isfinite(matrix).all() or size == 0:
            raise InputError(f"A similarity has finite numbers and a scale above zero; got {matrix.tolist()}.")
        if max(abs(matrix[0, 1] + b), abs(matrix[1, 1] - a)) > 1e-6 * size:
            raise InputError(f"A similarity turns and scales and does nothing else; got {matrix.tolist()}.")
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def from_crop(cls, centre: ArrayLike, size: float, out_size: int, angle: float = 0.0) -> Similarity:
        """The map from pixels of a square crop, drawn ``out_size`` wide, to pixels of the frame it is cut from.

        ``centre`` (x, y) and ``size`` (side) are in frame pixels; ``angle`` in radians turns the crop clockwise as one
        looks at the frame.
        """
        x, y = np.asarray(centre, np.float64)
        a, b = size / out_size * np.cos(angle), size / out_size * np.sin(angle)
        half = out_size / 2
        return cls(np.array([[a, -b, x - (a - b) * half], [b, a, y - (a + b) * half]]))

    @property
    def scale(self) -> float:
        """Pixels of the target for one pixel of the origin."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))

    @property
    def angle(self) -> float:
        """Radians, clockwise in a picture."""
        return float(np.arctan2(self.matrix[1, 0], self.matrix[0, 0]))

    def apply(self, points: ArrayLike) -> Floats:
        """Points (..., 2), mapped."""
        result: Floats = np.asarray(points, np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return result

    def inverse(self) -> Similarity:
        """The map back."""
        a, b = self.matrix[0, 0], self.matrix[1, 0]
        turn = np.array([[a, b], [-b, a]]) / (a * a + b * b)
        return Similarity(np.column_stack([turn, -turn @ self.matrix[:, 2]]))

    def compose(self, first: Similarity) -> Similarity:
        """The map that applies ``first`` and then this one: ``(a @ b).apply(p) == a.apply(b.apply(p))``."""
        turn = self.matrix[:, :2] @ first.matrix[:, :2]
        return Similarity(np.column_stack([turn, self.apply(first.matrix[:, 2])]))

    def __matmul__(self, first: Similarity) -> Similarity:
        return self.compose(first)


def fit_similarity(src: ArrayLike, dst: ArrayLike) -> Similarity:
    """The similarity that maps points ``src`` (N, 2) to ``dst`` (N, 2) with the least squared error, never mirroring.

    In the plane Umeyama's fit (Least-squares estimation of transformation parameters, 1991) is one complex division.
    Raises InputError for fewer than two points, points that all coincide, shapes that differ, numbers not finite.
    """
    here, there = np.asarray(src, np.float64), np.asarray(dst, np.float64)
    if here.shape != there.shape or here.ndim != 2 or here.shape[1] != 2 or len(here) < 2:
        raise InputError(f"A fit needs two equal lists of at least two points (N, 2); got {here.shape}, {there.shape}.")
    middle_here, middle_there = here.mean(0), there.mean(0)
    z = (here - middle_here) @ (1, 1j)
    w = (there - middle_there) @ (1, 1j)
    power = np.vdot(z, z).real
    if not power > 0:
        raise InputError("A fit needs points that differ; all points given are one and the same, or not finite.")
    factor = np.vdot(z, w) / power
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return Similarity(np.column_stack([turn, middle_there - turn @ middle_here]))


def rotation(yaw: float, pitch: float, roll: float) -> Floats:
    """(3, 3) ``Ry(yaw) Rx(pitch) Rz(roll)`` for columns in the head frame; angles in radians.

    yaw > 0 turns the head to the subject's left (the nose goes right in the picture), pitch > 0 nods (the nose goes
    down), roll > 0 tips the top of the head to the subject's right (left in the picture: anticlockwise).
    """
    (cy, cp, cr), (sy, sp, sr) = np.cos([yaw, pitch, roll]), np.sin([yaw, pitch, roll])
    return np.array(
        [
            [cy * cr + sy * sp * sr, sy * sp * cr - cy * sr, sy * cp],
            [cp * sr, cp * cr, -sp],
            [cy * sp * sr - sy * cr, sy * sr + cy * sp * cr, cy * cp],
        ]
    )


def euler(matrix: ArrayLike) -> Floats:
    """(3,) yaw, pitch, roll in radians of a rotation (3, 3); the inverse of `rotation` for pitch within 90 degrees.

    Looking straight up or down, yaw and roll turn about one axis; all of the turn is then given as yaw.
    """
    m = np.asarray(matrix, np.float64)
    pitch = np.arcsin(np.clip(-m[1, 2], -1.0, 1.0))
    if abs(m[1, 2]) > 1 - 1e-12:
        return np.array([np.arctan2(-m[2, 0], m[0, 0]), pitch, 0.0])
    return np.array([np.arctan2(m[0, 2], m[2, 2]), pitch, np.arctan2(m[1, 0], m[1, 1])])
