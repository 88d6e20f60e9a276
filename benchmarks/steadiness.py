"""How much landmarks tremble while a driver holds still: mien's own against Face Mesh's, on the same frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.multipie import COMMON

Floats = npt.NDArray[np.float64]

PAIRS = tuple(pair for group in COMMON.values() for pair in group)
SECONDS = 3
"""How many of the stillest seconds of a clip count."""


@dataclass(frozen=True)
class Still:
    """The stillest seconds of a clip."""

    starts: tuple[int, ...]
    """First frames."""
    moved: float
    """How far the points moved in them: mean range of the smoothed points over the eye distance."""
    ours: float
    theirs: float
    """Mean length of the second difference of points over the eye distance, mien's and Face Mesh's."""


def steadiness(ours: Floats, mesh: Floats, rate: float) -> Still | None:
    """Trembling in the stillest seconds; None for a clip without a second in which both see a face.

    ours: (T, L, 2), mesh: (T, 468, 2 or more), pixels of the frame, NaN where unknown; rate: frames a second.
    """
    here, there = (list(indices) for indices in zip(*PAIRS, strict=True))
    # One distance for the whole clip: a frame's own would bring Face Mesh's trembling into both.
    apart = np.linalg.norm(mesh[:, 33, :2] - mesh[:, 263, :2], axis=-1)
    if not np.isfinite(apart).any():
        return None
    eyes = float(np.nanmedian(apart))
    own, other = ours[:, here] / eyes, mesh[:, there, :2] / eyes
    length = max(round(rate), 5)
    starts, moved = stillest(own, other, length)
    if not starts:
        return None
    shake = [np.mean([tremble(p[s : s + length]) for s in starts]) for p in (own, other)]
    return Still(tuple(starts), moved, float(shake[0]), float(shake[1]))


def stillest(own: Floats, other: Floats, length: int) -> tuple[list[int], float]:
    """First frames of up to `SECONDS` windows that do not overlap, and the mean range of the points in them.

    The range is that of both judges' smoothed points together, so that neither's trembling chooses the windows.
    """
    ranges = np.array([window_range((own + other)[s : s + length] / 2) for s in range(len(own) - length + 1)])
    chosen: list[int] = []
    for start in np.argsort(ranges, kind="stable"):
        if np.isfinite(ranges[start]) and all(abs(int(start) - c) >= length for c in chosen):
            chosen.append(int(start))
        if len(chosen) == SECONDS:
            break
    return chosen, float(ranges[chosen].mean()) if chosen else float("nan")


def window_range(points: Floats) -> float:
    """Mean over points (T, P, 2) of the range of their running mean of five frames; NaN where one is unknown."""
    sums = np.cumsum(np.concatenate([np.zeros_like(points[:1]), points]), axis=0)
    smooth = (sums[5:] - sums[:-5]) / 5
    return float(np.linalg.norm(np.ptp(smooth, axis=0), axis=-1).mean())


def tremble(points: Floats) -> float:
    """Mean length of the second difference in time of points (T, P, 2)."""
    return float(np.linalg.norm(np.diff(points, 2, axis=0), axis=-1).mean())
