"""What the person in the demonstration's driving video does: six seconds that begin and end neutral and frontal."""

from __future__ import annotations

from typing import Final

import numpy as np

from training.render.motion import Floats, Motion, lids_follow

Keys = tuple[tuple[float, float], ...]

SECONDS: Final = 6.0

_BLINKS: Final = (0.42, 1.66, 3.68)
_LEFT_RIGHT: Final = ((0.3, 0.0), (0.95, 22.0), (1.1, 22.0), (2.1, -22.0), (2.25, -22.0), (2.95, 0.0))
# (seconds, value) of every channel, at rest before the first and after the last key; angles in degrees
_TRACKS: Final[dict[str, Keys]] = {
    "yaw": _LEFT_RIGHT,
    "pitch": ((2.65, 0), (3.05, 11), (3.45, -6), (3.8, 4), (4.05, 0)),
    "roll": ((3.6, 0), (4.1, 11), (4.2, 11), (4.8, -8), (5.3, 0)),
    # the eyes arrive before the head does, and turn back while it follows
    "gaze_yaw": ((0.2, 0), (0.45, 15), (1.0, 3), (1.15, 2), (1.4, -14), (2.1, -3), (2.3, -2), (2.5, 11), (2.95, 0)),
    "gaze_pitch": ((2.65, 0), (3.05, -8), (3.45, 4), (4.05, 0)),
    "blink": tuple(key for t in _BLINKS for key in ((t, 0.0), (t + 0.1, 1.0), (t + 0.14, 1.0), (t + 0.32, 0.0))),
    "smile": ((3.0, 0), (3.6, 0.8), (4.2, 0.8), (4.7, 0)),
    "brows": ((2.2, 0), (2.5, 0.85), (2.75, 0.85), (3.1, 0), (4.75, 0), (4.95, 0.35), (5.4, 0)),
    "jaw": (
        (1.15, 0), (1.3, 0.3), (1.42, 0.08), (1.58, 0.4), (1.72, 0.05), (1.86, 0.25), (2.05, 0),
        (4.5, 0), (4.72, 0.8), (4.9, 0.1), (5.22, 0.12), (5.4, 0.45), (5.62, 0),
    ),
    "pucker": ((1.6, 0), (1.76, 0.5), (1.92, 0), (4.82, 0), (5.04, 0.8), (5.14, 0.8), (5.36, 0)),
}  # fmt: skip
_FACE: Final[dict[str, dict[str, float]]] = {
    "blink": {"eyeBlink_L": 1, "eyeBlink_R": 1},
    "smile": {
        "mouthSmile_L": 0.85, "mouthSmile_R": 0.8, "cheekSquint_L": 0.5, "cheekSquint_R": 0.5, "eyeSquint_L": 0.25,
        "eyeSquint_R": 0.25, "mouthDimple_L": 0.2, "mouthDimple_R": 0.2,
    },
    "brows": {"browInnerUp_L": 0.8, "browInnerUp_R": 0.8, "browOuterUp_L": 0.9, "browOuterUp_R": 0.9},
    "jaw": {"jawOpen": 1},
    "pucker": {"mouthPucker": 1},
}  # fmt: skip


def value_at(keys: Keys, second: float) -> float:
    """A channel's value: between two keys it moves as a hand does, with the least jerk; outside them it rests."""
    times, values = zip(*keys, strict=True)
    index = int(np.searchsorted(times, second, side="right"))
    if index in (0, len(keys)):
        return float(values[0] if index == 0 else values[-1])
    share = (second - times[index - 1]) / (times[index] - times[index - 1])
    eased = share**3 * (10 - 15 * share + 6 * share**2)
    return float(values[index - 1] + eased * (values[index] - values[index - 1]))


def motion_at(second: float, names: tuple[str, ...], zoom: float, centre: Floats) -> Motion:
    """What the driving person does at that time; `names` (E,) of the weights; zoom and centre: of the still camera."""
    now = {name: value_at(keys, second) for name, keys in _TRACKS.items()}
    gaze = np.radians([now["gaze_yaw"], now["gaze_pitch"]])
    face = lids_follow(gaze)
    for action, shares in _FACE.items():
        for name, share in shares.items():
            face[name] = face.get(name, 0.0) + now[action] * share
    pose = np.radians([now["yaw"], now["pitch"], now["roll"]])
    weights = np.array([face.get(n, 0.0) for n in names], np.float32)
    # the shoulders follow a little, and the neck leans to where the head turns
    body = np.asarray(0.12 * pose, np.float32)
    shift = np.array([0.6 * np.sin(pose[0]) - 0.9 * np.sin(pose[2]), 0.0], np.float32)
    weights = np.clip(weights, 0, 1)
    return Motion(weights, gaze.astype(np.float32), pose.astype(np.float32), body, shift, zoom, centre)
