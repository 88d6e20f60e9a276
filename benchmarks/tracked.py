"""What mien's tracker and motion network say along a clip, beside what Face Mesh says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import typer

from benchmarks import multipie
from benchmarks.judge import Measures, read_clip
from mien.faces import Tracked
from mien.reenact.studio import Studio

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Track:
    """A clip of T frames as the tracker sees it, NaN where the face is lost."""

    landmarks: Floats
    """(T, L, 2) pixels of the frame."""
    poses: Floats
    """(T, 3) yaw, pitch, roll in radians."""
    expressions: Floats
    """(T, E) in the order of the bundle."""
    moved: float
    """In how many frames the crop moved (share)."""


def track(model: Studio, clip: Path) -> Track:
    """Follow the clip's face with a tracker of its own, without any smoothing."""
    tracker = model.tracker()
    tracked = [tracker.step(frame) for frame in read_clip(clip)]
    known = [t for t in tracked if t is not None]
    if not known:
        raise typer.BadParameter(f"mien sees no face in {clip}")
    crops = np.array([t.crop.matrix for t in known])
    moved = float((np.diff(crops, axis=0) != 0).any((1, 2)).mean()) if len(known) > 1 else 0.0
    rows = [None if t is None else _row(t) for t in tracked]
    landmarks, poses, expressions = (_column(rows, part) for part in range(3))
    return Track(landmarks, poses, expressions, moved)


def _row(tracked: Tracked) -> tuple[Floats, Floats, Floats]:
    pose, expression = (np.asarray(tracked.outputs[name], np.float64) for name in ("pose", "expression"))
    return tracked.landmarks, pose, expression


def _column(rows: list[tuple[Floats, Floats, Floats] | None], part: int) -> Floats:
    nothing = next(np.full_like(row[part], np.nan) for row in rows if row is not None)
    return np.array([nothing if row is None else row[part] for row in rows])


def landmark_row(landmarks: Floats, seen: Measures) -> dict[str, float]:
    """Median distance of each group of common points, and median and mean of all."""
    errors = multipie.landmark_errors(landmarks, seen.landmarks)
    every = np.concatenate(list(errors.values()), axis=1)
    medians = {group: float(np.nanmedian(values)) for group, values in errors.items()}
    return medians | {"all, median": float(np.nanmedian(every)), "all, mean": float(np.nanmean(every))}


def jitter(angles: Floats) -> float:
    """Mean size of the second difference between frames, in degrees: what is left is mostly noise."""
    return float(np.degrees(np.nanmean(np.abs(np.diff(angles, 2))))) if len(angles) > 2 else 0.0
