"""What the motion network is trained for: landmarks, values, steadiness between frames of one person, honest doubt."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mien_export.networks.studio_motion import GROUP_CM, GROUP_OF, GROUPS, LEFT_EYE, PARTS, RIGHT_EYE, MotionOutput
from training.motion_samples import pairs_in

LID_GAPS = ((37, 41), (38, 40), (43, 47), (44, 46))
LIP_GAPS = ((61, 67), (62, 66), (63, 65), (48, 54))
BROW_GAPS = ((17, 36), (19, 37), (21, 39), (22, 42), (24, 44), (26, 45))
EYE_CORNERS = ((101, 36, 39), (100, 42, 45))
"""Irises and the corners between which they turn."""
GAZE = slice(-2, None)
"""Place of the turn of the eyes among the expression values."""
POSE_UNIT = 0.2
"""Radians of pose that weigh in a pair as much as one deviation of a value."""
LANDMARK_UNIT = 0.5
"""The same of landmarks, cm."""
WIDE = 3.0
"""Deviations up to which an error of a value counts by its square."""


def landmark_weights(count: int) -> Tensor:
    """(L,): lids, irises and inner lips matter more than their few pixels, the contour less."""
    weights = torch.ones(count)
    weights[:17] = 0.5
    weights[17:27] = 1.5
    weights[36:48] = 3.0
    weights[60:68] = 2.0
    weights[68:80] = 2.5
    weights[80:88] = 1.5
    weights[-2:] = 3.0
    return weights.div(weights.mean())


def gaps(landmarks: Tensor) -> Tensor:
    """Distances on the face (N, 14): what a blink, a word or a frown is, apart from where the face is."""
    first, second = zip(*(LID_GAPS + LIP_GAPS + BROW_GAPS), strict=True)
    far: Tensor = (landmarks[:, list(first)] - landmarks[:, list(second)]).norm(dim=-1)
    return far


def glances(landmarks: Tensor) -> Tensor:
    """(N, 2, 2): the irises, from the middle between the corners of their eyes."""
    iris, inner, outer = (landmarks[:, list(part)] for part in zip(*EYE_CORNERS, strict=True))
    return iris - (inner + outer) / 2


def motion_losses(out: MotionOutput, batch: dict[str, Tensor], deviation: Tensor) -> dict[str, Tensor]:
    """Weighted L1 losses; crops without a face teach the confidence alone. ``deviation`` (E,) is the values' unit."""
    here, truth = batch["present"], batch["landmarks"]
    share = here / here.sum().clamp(min=1)
    weights = landmark_weights(truth.shape[1])

    def mean(error: Tensor) -> Tensor:
        return torch.dot(error.flatten(1).mean(1), share)

    def far(landmarks: Tensor) -> Tensor:
        apart: Tensor = (landmarks - truth).norm(dim=-1) * weights
        return apart

    wrong = (out.expression - batch["expression"]) / deviation
    return {
        "landmarks": 15 * mean(far(out.landmarks)) + 8 * mean(far(out.coarse)),
        "patches": 15 * mean(patch_error(out, truth)),
        "gaps": 25 * mean((gaps(out.landmarks) - gaps(truth)).abs()),
        "glances": 10 * mean((glances(out.landmarks) - glances(truth)).abs()),
        "pose": 5 * mean((out.pose - batch["pose"]).abs()),
        "place": 5 * mean((out.place - batch["place"]).abs()),
        "expression": 0.7 * mean(value_error(wrong)) + 0.3 * mean(value_error(wrong[:, GAZE])),
        "pairs": 0.5 * pair_error(out, batch, wrong),
        "doubt": 0.1 * mean(doubt_error(out, batch, wrong)),
        "confidence": 0.3 * F.binary_cross_entropy_with_logits(out.confidence[:, 0], here),
    }


def value_error(wrong: Tensor) -> Tensor:
    """Of values in deviations: half L1, half squared up to WIDE.

    Brows rest in most frames. With L1 alone, whose best guess is the median, they had a gain of .02.
    """
    return 0.5 * wrong.abs() + F.smooth_l1_loss(wrong, torch.zeros_like(wrong), reduction="none", beta=WIDE)


def patch_error(out: MotionOutput, truth: Tensor) -> Tensor:
    """(N, 76): distance of the patches' landmarks from the true ones, as far as they are in their patches."""
    wanted, eye = truth[:, list(PARTS)], len(RIGHT_EYE) + len(LEFT_EYE)
    with torch.no_grad():
        eyes = out.eyes.to_patch(torch.stack(wanted[:, :eye].chunk(2, 1), 1)).flatten(1, 2)
        places = torch.cat([eyes, out.mouth.to_patch(wanted[:, None, eye:])[:, 0]], 1)
        inside = (places.abs().amax(-1) < 0.97).to(truth.dtype)
    weights = landmark_weights(truth.shape[1])[list(PARTS)]
    error: Tensor = (out.fine - wanted).norm(dim=-1) * inside * weights
    return error


def pair_error(out: MotionOutput, batch: dict[str, Tensor], wrong: Tensor) -> Tensor:
    """How differently two frames of one person are wrong: what is wrong alike in both moves no portrait.

    Pairs of the same frame teach steadiness, pairs of different ones the full size of a change.
    """
    count = pairs_in(len(wrong))
    if not count:
        return wrong.new_zeros(())
    unit = torch.exp(batch["place"][:, 2]).view(-1, 1, 1)
    pose = (out.pose - batch["pose"]) / POSE_UNIT
    marks = (out.landmarks - batch["landmarks"]) / unit / LANDMARK_UNIT
    both = batch["present"][:count] * batch["present"][-count:]

    def apart(error: Tensor) -> Tensor:
        return (error[:count] - error[-count:]).abs().flatten(1).mean(1)

    error = 0.7 * apart(wrong) + apart(pose) + apart(marks)
    return (error * both).sum() / both.sum().clamp(min=1)


def doubt_error(out: MotionOutput, batch: dict[str, Tensor], wrong: Tensor) -> Tensor:
    """(N, E + G): negative log likelihood of the errors, which are taken as they are: doubt makes nothing wronger."""
    unit = torch.exp(batch["place"][:, 2]).view(-1, 1)
    far = (out.landmarks - batch["landmarks"]).norm(dim=-1) / unit / GROUP_CM
    group = torch.tensor(GROUP_OF, device=far.device)
    groups = torch.stack([far[:, group == g].mean(1) for g in range(len(GROUPS))], 1)
    error = torch.cat([wrong.abs(), groups], 1).detach()
    doubt = out.doubt.clamp(-4.6, 2.3)
    return error * torch.exp(-doubt) + doubt
