"""What changes between two frames of one person, and how it is drawn by chance."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.render.expressions import Face, sample_expression

Floats = NDArray[np.float32]

_LIMIT = np.radians([50, 30, 28])  # yaw, pitch, roll
_GAZE = np.array([0.65, 0.42])  # yaw, pitch, radians: as far as the lids follow


def _no_tongue() -> Floats:
    return np.zeros(3, np.float32)


@dataclass(frozen=True)
class Motion:
    """One frame's motion.

    weights (E,): ARKit weights 0..1; gaze (2,): yaw and pitch of the eyes in the head, radians, signs as the head's;
    pose (3,): yaw, pitch, roll of the head, radians; body (3,): the same of the shoulders; shift (2,): of the head
    in the room, cm, x right, y up; zoom: of the camera, 1 = 30 cm across the picture; centre (2,): crop offset;
    tongue (3,): out 0..1, tip up 0..1, to the subject's left -1..1.
    """

    weights: Floats
    gaze: Floats
    pose: Floats
    body: Floats
    shift: Floats
    zoom: float
    centre: Floats
    tongue: Floats = field(default_factory=_no_tongue)


@dataclass(frozen=True)
class _Habit:
    """What the frames of one scene share: body (3,), zoom, centre (2,), the head's mean pose (3,) and how far each
    frame strays from it, a factor."""

    body: NDArray[np.float64]
    zoom: float
    centre: NDArray[np.float64]
    pose: NDArray[np.float64]
    stray: float


def sample_motions(rng: Generator, names: tuple[str, ...], frames: int) -> list[Motion]:
    """Several frames of one person: the camera and the shoulders move little, head and face freely.

    In a third of the scenes the head is seen from the side throughout; in a quarter it keeps still, so that only the
    face moves. The first frame, which readers mostly take as the source, is near neutral more often than the others.
    """
    pose = np.zeros(3)
    if rng.random() < 0.36:
        pose[0] = np.radians(rng.uniform(24, 42)) * (1 if rng.random() < 0.5 else -1)
    stray = float(rng.uniform(0.02, 0.2)) if rng.random() < 0.25 else 1.0
    if stray < 1:
        pose += rng.normal(0, np.radians([9, 9, 6]))
    habit = _Habit(
        rng.normal(0, [0.16, 0.05, 0.05]) + 0.3 * pose, float(np.exp(rng.normal(0, 0.06))), rng.normal(0, 0.05, 2),
        pose, stray,
    )  # fmt: skip
    return [_sample(rng, names, habit, 0.45 if index == 0 else 0.2) for index in range(frames)]


def _sample(rng: Generator, names: tuple[str, ...], habit: _Habit, calm: float) -> Motion:
    stray = rng.normal(0, np.radians([12, 12.5, 9]))
    if rng.random() < 0.25:
        stray *= 0.3
    elif rng.random() < 0.12:
        stray[0] = np.sign(stray[0]) * np.radians(rng.uniform(20, 45))
    pose = np.clip(habit.pose + habit.stray * stray, -_LIMIT, _LIMIT)
    gaze = _gaze(rng, pose)
    face = sample_expression(rng, calm)
    for name, value in lids_follow(gaze).items():
        face[name] = value * (1 - face.get(f"eyeBlink_{name[-1]}", 0.0))  # shut lids do not follow
    weights = np.array([face.get(n, 0.0) for n in names], np.float32)
    return Motion(
        np.clip(weights, 0, 1),
        gaze.astype(np.float32),
        pose.astype(np.float32),
        (habit.body + 0.25 * (pose - habit.pose) * rng.random() + rng.normal(0, 0.03, 3)).astype(np.float32),
        np.clip(rng.normal(0, 1.2 * max(habit.stray, 0.15), 2), -3, 3).astype(np.float32),
        habit.zoom * float(np.exp(np.clip(rng.normal(0, 0.045), -0.1, 0.1))),
        (habit.centre + rng.normal(0, 0.015, 2)).astype(np.float32),
        _tongue(face),
    )


def _gaze(rng: Generator, pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Anywhere, ahead, at the camera, or a clear glance aside: independent of the head but for the third."""
    kind = rng.random()
    gaze = rng.normal(0, [0.3, 0.21])
    if kind < 0.18:
        gaze *= 0.15
    elif kind < 0.3:
        gaze = -0.85 * pose[:2] + rng.normal(0, 0.03, 2)
    elif kind < 0.48:
        gaze[0] = rng.uniform(0.3, 0.62) * (1 if rng.random() < 0.5 else -1)
    return np.clip(gaze, -_GAZE, _GAZE)


def _tongue(face: Face) -> Floats:
    return np.array([face.get(n, 0.0) for n in ("tongueOut", "tongueUp", "tongueSide")], np.float32)


def lids_follow(gaze: NDArray[np.float64]) -> dict[str, float]:
    """The eyeLook weights that belong to a gaze; 0.6 rad is weight 1."""
    side, down = float(gaze[0]) / 0.6, float(gaze[1]) / 0.6
    return {
        "eyeLookOut_L": max(side, 0), "eyeLookIn_R": max(side, 0),
        "eyeLookIn_L": max(-side, 0), "eyeLookOut_R": max(-side, 0),
        "eyeLookDown_L": max(down, 0), "eyeLookDown_R": max(down, 0),
        "eyeLookUp_L": max(-down, 0), "eyeLookUp_R": max(-down, 0),
    }  # fmt: skip
