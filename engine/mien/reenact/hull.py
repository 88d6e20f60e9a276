"""How large a face is by the points on it: what measures a driver's way in heads."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike

FLATTEST = 1e-6
"""Smallest area that counts as one, in squares of what it is along."""


def span(points: ArrayLike) -> float:
    """The root of the area of the convex hull of points (K, 2); NaN where they lie on a line but for rounding."""
    exact = np.asarray(points, np.float64)
    area = hull_area(exact)
    return float(np.sqrt(area)) if area > FLATTEST * np.ptp(exact, 0).max() ** 2 else float("nan")


def hull_area(points: ArrayLike) -> float:
    """Of the convex hull of points (K, 2)."""
    exact = np.asarray(points, np.float64)
    if not np.isfinite(exact).all():
        return float("nan")
    corners = cv2.convexHull(exact.astype(np.float32), returnPoints=False).ravel()  # OpenCV knows float32 alone
    x, y = exact[corners].T
    return float(abs(np.sum(x * np.roll(y, 1) - y * np.roll(x, 1))) / 2)
