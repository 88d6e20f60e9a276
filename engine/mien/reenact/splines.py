"""Thin-plate splines through groups of five keypoints: the equations that the generator of TPSMM takes solved.

Thin-Plate Spline Motion Model for Image Animation (Zhao and Zhang 2022); the splines themselves: Bookstein 1989.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.errors import MotionError

Floats = NDArray[np.float64]

GROUP = 5
"""Points of one spline."""

SOFTNESS = 0.01
"""Added to the equations' diagonal, as the networks were trained: a spline passes near its points, not through them."""

NEAREST = 1e-9
"""Added to squared distances under the logarithm."""


def splines(driving: ArrayLike, source: ArrayLike) -> Floats:
    """(G, 8, 2): what carries driving points to source points, both (5 G, 2), five for each spline.

    Of each: the weights of its five driving points, then of x, y and 1. Raises MotionError where the points allow no
    finite spline.
    """
    here, there = (np.asarray(points, np.float64).reshape(-1, GROUP, 2) for points in (driving, source))
    if not (np.isfinite(here).all() and np.isfinite(there).all()):
        raise MotionError(
            "Splines through keypoints were asked for, but those are not all finite numbers. Leave this frame out."
        )
    groups = len(here)
    flat = np.concatenate([here, np.ones((groups, GROUP, 1))], 2)
    system = np.zeros((groups, GROUP + 3, GROUP + 3))
    system[:, :GROUP, :GROUP] = curve(((here[:, :, None] - here[:, None]) ** 2).sum(-1))
    system[:, :GROUP, GROUP:] = flat
    system[:, GROUP:, :GROUP] = flat.swapaxes(1, 2)
    system += SOFTNESS * np.eye(GROUP + 3)
    wanted = np.zeros((groups, GROUP + 3, 2))
    wanted[:, :GROUP] = there
    try:
        solved: Floats = np.asarray(np.linalg.solve(system, wanted), np.float64)
    except np.linalg.LinAlgError:
        solved = np.full_like(wanted, np.nan)
    if not np.isfinite(solved).all():
        raise MotionError(
            "Splines through keypoints were asked for, but these lie where none passes. Leave this frame out."
        )
    return solved


def carried(places: ArrayLike, driving: ArrayLike, solved: ArrayLike) -> Floats:
    """Where each spline carries ``places`` (P, 2): (G, P, 2). ``driving`` (5 G, 2) as it was ``solved`` for."""
    points = np.asarray(places, np.float64)
    centres = np.asarray(driving, np.float64).reshape(-1, 1, GROUP, 2)
    near = curve(((points[:, None] - centres) ** 2).sum(-1))
    flat = np.concatenate([points, np.ones((len(points), 1))], 1)
    weights = np.asarray(solved, np.float64)
    moved: Floats = near @ weights[:, :GROUP] + flat @ weights[:, GROUP:]
    return moved


def curve(square: Floats) -> Floats:
    """r^2 log r^2 of squared distances; 0 at 0."""
    bend: Floats = square * np.log(square + NEAREST)
    return bend
