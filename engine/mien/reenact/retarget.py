"""How far eyes and lips are open: the ratios that LivePortrait's retargeting networks were trained with.

Their definition is that of 203 landmarks: the opening between the middles of the lids over the distance of the eye's
corners, and the opening between the middles of the inner lips over the distance of the mouth's outer corners.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.errors import InputError

Floats = NDArray[np.float64]

TINY = 1e-6
"""Pixels, added to the width of an eye or mouth."""

PARABOLA = 9 / 8
"""68 landmarks have points at a third and two thirds of a lid: there a parabola has 8/9 of its height."""

Pairs = tuple[tuple[int, int], ...]

FULL: Pairs = ((6, 18), (0, 12), (30, 42), (24, 36), (90, 102), (48, 66))
"""Upper and lower middle, then corners; of the eye on the picture's left, of the other eye, of the lips: 203 points."""
STUDIO: Pairs = ((69, 72), (36, 39), (75, 78), (42, 45), (62, 66), (48, 54))
"""The same of the studio's motion network: the 68 points of Multi-PIE, then points between those of the lids."""
LEAST_STUDIO = 80


@dataclass(frozen=True, eq=False)
class Openings:
    """``eyes``: (2,) on the picture's left and right; ``lips``. 0 is closed, 0.3 to 0.4 an eye that looks at you."""

    eyes: Floats
    lips: float


def openings(landmarks: ArrayLike) -> Openings:
    """The ratios by the definition, from 203 landmarks (203, 2). Raises InputError for another number."""
    return _measured(_checked(landmarks, 203, 203), FULL)


def tracked_openings(landmarks: ArrayLike) -> Openings:
    """The ratios by the definition, from what the studio's tracker gives: (80 or more, 2). Raises InputError."""
    return _measured(_checked(landmarks, LEAST_STUDIO, None), STUDIO)


def openings_of_68(landmarks: ArrayLike) -> Openings:
    """The ratios from 68 landmarks (68, 2) of Multi-PIE: lips by the definition, lids taken for parabolas.

    Raises InputError for another number.
    """
    points = _checked(landmarks, 68, 68)
    lids = [(points[a] + points[b]) / 2 for a, b in ((37, 38), (40, 41), (43, 44), (46, 47))]
    whole = np.concatenate([points, lids])
    seen = _measured(whole, ((68, 69), (36, 39), (70, 71), (42, 45), (62, 66), (48, 54)))
    return Openings(seen.eyes * PARABOLA, seen.lips)


def openings_by_count(landmarks: ArrayLike) -> Openings | None:
    """The ratios from 203 or 68 landmarks (N, 2), told by their number; None for others."""
    measures = {203: openings, 68: openings_of_68}
    count = len(np.asarray(landmarks))
    return measures[count](landmarks) if count in measures else None


def eye_feature(points: ArrayLike, own: ArrayLike, target: float) -> NDArray[np.float32]:
    """(1, 66) what the eye network reads: the portrait's keypoints (21, 3), its two ratios, the one it shall have."""
    return np.concatenate([np.ravel(points), np.ravel(own), [target]])[None].astype(np.float32)


def lip_feature(points: ArrayLike, own: float, target: float) -> NDArray[np.float32]:
    """(1, 65) what the lip network reads: the portrait's keypoints (21, 3), its ratio, the one it shall have."""
    return np.concatenate([np.ravel(points), [own, target]])[None].astype(np.float32)


def _measured(points: Floats, pairs: Pairs) -> Openings:
    ends = points[np.array(pairs)]
    gaps = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    left, right, lips = gaps[0::2] / (gaps[1::2] + TINY)
    return Openings(np.array([left, right]), float(lips))


def _checked(landmarks: ArrayLike, least: int, most: int | None) -> Floats:
    points = np.asarray(landmarks, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < least or (most is not None and len(points) > most):
        wanted = f"{least}" if most == least else f"at least {least}"
        raise InputError(f"Openings are measured on {wanted} landmarks (N, 2) here; got shape {points.shape}.")
    return points
