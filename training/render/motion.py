"""What changes between two frames of one person, and how it is drawn by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Motion:
    """One frame's motion.

    weights (E,): ARKit weights 0..1; gaze (2,): yaw and pitch of the eyes in the head, radians, signs as the head's;
    pose (3,): yaw, pitch, roll of the head, radians; body (3,): the same of the shoulders; shift (2,): of the head
    in the room, cm, x right, y up; zoom: of the camera, 1 = 30 cm across the picture; centre (2,): crop offset.
    """

    weights: Floats
    gaze: Floats
    pose: Floats
    body: Floats
    shift: Floats
    zoom: float
    centre: Floats


def sample_motions(rng: Generator, names: tuple[str, ...], frames: int) -> list[Motion]:
    """Several frames of one person: the camera and the shoulders move little, head and face freely."""
    body = rng.normal(0, [0.16, 0.05, 0.05])
    zoom, centre = np.exp(rng.normal(0, 0.06)), rng.normal(0, 0.05, 2)
    return [_sample(rng, names, body, float(zoom), centre) for _ in range(frames)]


def _sample(
    rng: Generator, names: tuple[str, ...], body: NDArray[np.float64], zoom: float, centre: NDArray[np.float64]
) -> Motion:
    limit = np.radians([45, 28, 28])
    pose = np.clip(rng.normal(0, np.radians([16, 9, 8])), -limit, limit)
    if rng.random() < 0.25:
        pose *= 0.3
    elif rng.random() < 0.2:
        pose[0] = np.sign(pose[0]) * np.radians(rng.uniform(15, 45))
    face = sample_expression(rng)
    gaze = np.clip(rng.normal(0, [0.22, 0.13]), [-0.6, -0.4], [0.6, 0.4])
    if rng.random() < 0.3:
        gaze *= 0.2
    face |= lids_follow(gaze)
    weights = np.array([face.get(n, 0.0) for n in names], np.float32)
    return Motion(
        np.clip(weights, 0, 1),
        gaze.astype(np.float32),
        pose.astype(np.float32),
        (body + 0.25 * pose * rng.random() + rng.normal(0, 0.03, 3)).astype(np.float32),
        np.clip(rng.normal(0, 1.2, 2), -3, 3).astype(np.float32),
        zoom * float(np.exp(np.clip(rng.normal(0, 0.045), -0.1, 0.1))),
        (centre + rng.normal(0, 0.015, 2)).astype(np.float32),
    )


def lids_follow(gaze: NDArray[np.float64]) -> dict[str, float]:
    """The eyeLook weights that belong to a gaze; 0.6 rad is weight 1."""
    side, down = float(gaze[0]) / 0.6, float(gaze[1]) / 0.6
    return {
        "eyeLookOut_L": max(side, 0), "eyeLookIn_R": max(side, 0),
        "eyeLookIn_L": max(-side, 0), "eyeLookOut_R": max(-side, 0),
        "eyeLookDown_L": max(down, 0), "eyeLookDown_R": max(down, 0),
        "eyeLookUp_L": max(-down, 0), "eyeLookUp_R": max(-down, 0),
    }  # fmt: skip


def sample_expression(rng: Generator) -> dict[str, float]:
    """ARKit weights of a plausible face: a few actions mixed, mostly symmetric; some frames stay near neutral."""
    face: dict[str, float] = {}

    def act(strength: float, lopsided: float = 0.12, **shares: float) -> None:
        for name, share in shares.items():
            value = strength * share
            if name in _SIDED:
                tilt = rng.normal(0, lopsided)
                face[f"{name}_L"] = face.get(f"{name}_L", 0) + value * (1 + tilt)
                face[f"{name}_R"] = face.get(f"{name}_R", 0) + value * (1 - tilt)
            else:
                face[name] = face.get(name, 0) + value

    calm = 0.25 if rng.random() < 0.35 else 1.0

    def happens(chance: float) -> bool:
        return bool(rng.random() < chance * (0.4 + 0.6 * calm))

    if happens(0.6):
        act(calm * (rng.beta(1.2, 2) if rng.random() < 0.75 else rng.uniform(0.5, 1)), jawOpen=0.85)
    if happens(0.45):
        eyes = 1.0 if rng.random() < 0.45 else rng.uniform(0.1, 1)
        act(eyes, 0.04, eyeBlink=1)
        if rng.random() < 0.15:
            face["eyeBlink_L" if rng.random() < 0.5 else "eyeBlink_R"] *= rng.random()
    elif happens(0.2):
        act(calm * rng.random(), eyeWide=1)
    if happens(0.4):
        act(calm * rng.random(), 0.2, mouthSmile=0.9, cheekSquint=0.6, eyeSquint=0.5, mouthDimple=0.25)
        if rng.random() < 0.4:
            act(calm * rng.random(), mouthUpperUp=0.5, mouthLowerDown=0.3)
    elif happens(0.25):
        act(calm * rng.random(), 0.2, mouthFrown=0.8, browDown=0.4, mouthShrugLower=0.3)
    if happens(0.25):
        act(calm * rng.random(), **{str(rng.choice(["mouthPucker", "mouthFunnel"])): 0.9})
    if happens(0.3):
        act(calm * rng.random(), browInnerUp=0.8, browOuterUp=0.8)
    elif happens(0.25):
        act(calm * rng.random(), browDown=0.9, noseSneer=0.3)
    if happens(0.18):
        side = "Left" if rng.random() < 0.5 else "Right"
        act(calm * rng.random(), **{f"mouth{side}": 0.7, f"jaw{side}": 0.5})
    if happens(0.12):
        act(calm * rng.random(), noseSneer=0.8, mouthUpperUp=0.3)
    if happens(0.35):
        name = str(rng.choice(_SMALL))
        act(calm * rng.random(), **{name: 0.6})
    return face


_SIDED = (
    "browDown", "browInnerUp", "browOuterUp", "cheekPuff", "cheekRaiser", "cheekSquint", "eyeBlink", "eyeSquint",
    "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch",
    "mouthUpperUp", "noseSneer",
)  # fmt: skip
_SMALL = (
    "cheekPuff", "cheekRaiser", "eyeSquint", "jawForward", "mouthPress", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthStretch", "mouthLowerDown", "mouthUpperUp", "mouthDimple",
)  # fmt: skip
