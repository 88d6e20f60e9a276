"""How well the motion network does on frames that it has not been trained on: errors in units that mean something."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien_export.networks.studio_motion import Motion
from training.points import NAMES

Floats = NDArray[np.float64]

WATCHED = {
    "lids": ("lid_gap_right", "lid_gap_left"),
    "lips": ("lip_gap",),
    "width": ("mouth_width",),
    "corners": ("corner_right", "corner_left"),
    "brows": ("brow_inner_right", "brow_inner_left", "brow_outer_right", "brow_outer_left"),
    "jaw": ("jaw_drop",),
    "glance": ("gaze_yaw", "gaze_pitch"),
}
"""Values that are shown together."""


@torch.no_grad()
def read(network: Motion, batches: list[dict[str, Tensor]]) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """What the network says and what is true, by the names of `MotionOutput`, over all batches."""
    network.eval()
    names = ("pose", "place", "expression", "landmarks")
    outs = [network(batch["image"].float().div(255)) for batch in batches]
    found = {name: torch.cat([getattr(out, name) for out in outs]).double().numpy() for name in (*names, "doubt")}
    return found, {name: torch.cat([batch[name] for batch in batches]).double().numpy() for name in names}


def validate(network: Motion, batches: list[dict[str, Tensor]], deviation: Tensor) -> str:
    """One line: landmarks in px of 128, gaze in degrees; correlation, gain and mean doubt of what is watched."""
    found, truth = read(network, batches)
    error = np.linalg.norm(found["landmarks"] - truth["landmarks"], axis=-1) * 64
    gaze = gaze_error(found["expression"][:, -2:], truth["expression"][:, -2:])
    turned = np.linalg.norm(truth["expression"][:, -2:], axis=1) > np.radians(12)
    parts = [
        f"landmarks {error.mean():.2f} px of 128: lids {error[:, 36:48].mean():.2f}",
        f"lips {error[:, 48:68].mean():.2f}",
        f"irises {error[:, -2:].mean():.2f}",
        f"gaze {np.median(gaze):.1f} degrees: glances {np.median(gaze[turned]):.1f}",
    ]
    for index, name in enumerate(("yaw", "pitch", "roll")):
        parts.append(f"{name} {agreement(found['pose'][:, index], truth['pose'][:, index])}")
    doubt = np.exp(found["doubt"][:, : len(NAMES)])
    far = np.abs(found["expression"] - truth["expression"]) / deviation.numpy()
    for name, members in WATCHED.items():
        columns = [NAMES.index(member) for member in members]
        said, true = found["expression"][:, columns].ravel(), truth["expression"][:, columns].ravel()
        parts.append(f"{name} {agreement(said, true)} +-{doubt[:, columns].mean():.2f}/{far[:, columns].mean():.2f}")
    return ", ".join(parts)


def agreement(found: Floats, truth: Floats) -> str:
    """Correlation and gain, the slope of what is found over what is true, of two rows of numbers."""
    slope = np.polyfit(truth, found, 1)[0]
    return f"{np.corrcoef(found, truth)[0, 1]:.2f}x{slope:.2f}"


def gaze_error(found: Floats, truth: Floats) -> Floats:
    """(n,) degrees between two directions of the eyes, each (n, 2) yaw and pitch in radians."""
    first, second = (directions(angles) for angles in (found, truth))
    return np.asarray(np.degrees(np.arccos(np.clip((first * second).sum(-1), -1, 1))), np.float64)


def directions(angles: Floats) -> Floats:
    """Unit vectors (n, 3) of yaw and pitch (n, 2)."""
    yaw, pitch = angles[:, 0], angles[:, 1]
    return np.stack([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], -1)
