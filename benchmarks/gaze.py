"""Where mien says that eyes look: against rendered eyes, whose gaze is known, and against the irises of a real clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import iris
from benchmarks.judge import Measures, read_clip
from benchmarks.pairs import read
from mien.bundle import Bundle
from mien.reenact.studio import Studio

Floats = npt.NDArray[np.float64]

NAMES = ("gaze_yaw", "gaze_pitch")

CLEAR = 10.0
"""Degrees: a glance is clear where the mean yaw of both irises is so far off its median over the clip..."""
EACH = 5.0
"""...and that of each eye so far off its own median, to the same side."""


class NoGaze(ValueError):
    """The bundle's expression values hold no gaze."""


def gaze_columns(bundle: Bundle) -> tuple[int, int]:
    """Where the yaw and pitch of the eyes stand among a bundle's expression values."""
    stored = bundle.manifest.extra.get("expressions", ())
    names = [str(name) for name in stored] if isinstance(stored, tuple) else []
    if missing := [name for name in NAMES if name not in names]:
        there = ", ".join(names) or "none"
        raise NoGaze(f"{bundle.manifest.name} has no expression value {' or '.join(missing)}, only {there}")
    yaw, pitch = (names.index(name) for name in NAMES)
    return yaw, pitch


def directions(gaze: Floats) -> Floats:
    """(..., 3) unit vectors of eye turns (..., 2), yaw and pitch in radians: Ry(yaw) Rx(pitch) of straight ahead."""
    yaw, pitch = np.moveaxis(np.asarray(gaze, np.float64), -1, 0)
    seen: Floats = np.stack([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)], -1)
    return seen


def angles_between(one: Floats, other: Floats) -> Floats:
    """(...) degrees between eye turns (..., 2) in radians."""
    cosine = (directions(one) * directions(other)).sum(-1)
    apart: Floats = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return apart


def rendered(
    model: Studio, columns: tuple[int, int], shards: Sequence[Path], most: int
) -> Iterator[tuple[Floats, Floats]]:
    """(2,) what the network says through the real tracker and (2,) the truth, radians.

    One frame of each scene, the next one in the next scene; without those in which mien sees no face.
    """
    share = -(-most // len(shards))
    for shard in shards:
        pictures, truth = (np.load(shard / f"{name}.npy", mmap_mode="r") for name in ("rgb", "gaze"))
        for scene in range(min(share, len(pictures))):
            frame = scene % pictures.shape[1]
            motion = read(model, np.ascontiguousarray(pictures[scene, frame], np.uint8))
            if motion is not None:
                yield motion.expression[list(columns)].astype(np.float64), truth[scene, frame].astype(np.float64)


def angle_figures(said: Floats, truth: Floats) -> dict[str, float]:
    """Figures of eye turns (N, 2) against the truth: median angle, of no answer at all, and correlation (gain)."""
    figures = {
        "pictures": float(len(said)),
        "angle, median (degrees)": float(np.median(angles_between(said, truth))),
        "angle of straight ahead, median (degrees)": float(np.median(angles_between(np.zeros_like(truth), truth))),
    }
    for column, name in enumerate(("yaw", "pitch")):
        x, y = truth[:, column], said[:, column]
        figures[f"{name}, correlation"] = float(np.corrcoef(x, y)[0, 1]) if y.std() > 0 else 0.0
        figures[f"{name}, gain"] = float(np.polyfit(x, y, 1)[0])
    return figures


@dataclass(frozen=True)
class Glances:
    """How often mien looks to the side to which a real driver looks."""

    frames: int
    """Frames in which both irises and mien's tracker are sure."""
    clear: int
    """Of these, clear glances."""
    right: float
    """Share of the clear glances on whose side mien agrees; NaN without any."""
    correlation: float
    gain: float


def judge_yaws(clip: Path, seen: Measures) -> Floats:
    """(T, 2) degrees: the yaw of each eye in the head by its iris, NaN where it is shut or there is no face."""
    head = seen.quantities()["yaw"]
    found = zip(read_clip(clip), seen.landmarks, head, strict=True)
    nothing = np.full(2, np.nan)
    return np.array([iris.eye_yaws(f, points, yaw) if np.isfinite(yaw) else nothing for f, points, yaw in found])


def clear_glances(eyes: Floats) -> npt.NDArray[np.bool_]:
    """(T,): which frames of (T, 2) eye yaws in degrees show a glance that leaves no doubt of its side."""
    off = eyes - np.nanmedian(eyes, axis=0)
    mean = off.mean(1)
    # Comparisons with NaN are false, so a shut eye makes no glance.
    return np.asarray((np.abs(mean) > CLEAR) & (off * np.sign(mean)[:, None] > EACH).all(1), np.bool_)


def compare_glances(eyes: Floats, said: Floats) -> Glances:
    """(T, 2) degrees by the irises against (T,) of mien's, both relative to their medians over the clip."""
    known = np.isfinite(eyes).all(1) & np.isfinite(said)
    if known.sum() < 3:
        return Glances(int(known.sum()), 0, float("nan"), float("nan"), float("nan"))
    eyes, said = eyes[known], said[known] - np.median(said[known])
    clear = clear_glances(eyes)
    mean = (eyes - np.median(eyes, axis=0)).mean(1)
    right = float((np.sign(mean) == np.sign(said))[clear].mean()) if clear.any() else float("nan")
    correlation = float(np.corrcoef(mean, said)[0, 1]) if said.std() > 0 else 0.0
    return Glances(int(known.sum()), int(clear.sum()), right, correlation, float(np.polyfit(mean, said, 1)[0]))
