"""The studio family's motion network: what a driver's head does in a crop. Weights: made by ``training/``, Apache-2.0.

All pictures are float NCHW, RGB in [0, 1]; points are in normalised crop coordinates (x right, y down, [-1, 1] over the
crop, edges of the outer pixels).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.networks.studio import Conv, Residual, StudioSizes, upsample

MOTION_SIZE = 144


class MotionOutput(NamedTuple):
    """What the motion network says of a crop."""

    confidence: Tensor
    """(N, 1) logit: is there a face where it should be."""
    pose: Tensor
    """(N, 3) yaw, pitch, roll in radians."""
    place: Tensor
    """(N, 3) x, y of the head's origin and the log of the scale (crop units per cm)."""
    expression: Tensor
    """(N, E) named geometric values, cm (gaze: radians); 0 is the neutral face."""
    landmarks: Tensor
    """(N, L, 2) in normalised crop coordinates."""


class Motion(nn.Module):
    """The driver's motion from a 144 px crop: landmarks by soft-argmax, the rest from pooled features and landmarks."""

    def __init__(self, sizes: StudioSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.stage1 = nn.Sequential(Conv(3, 24, 2), Conv(24, 48, 2), Conv(48, 48))
        self.stage2 = nn.Sequential(Conv(48, 96, 2), Residual(96))
        self.stage3 = nn.Sequential(Conv(96, 128, 2), Residual(128))
        self.stage4 = nn.Sequential(Conv(128, 160, 2), Residual(160))
        self.up3 = Conv(128, 96)
        self.up2 = Conv(96 + 96, 64)
        self.up1 = Conv(64 + 48, 64)
        self.heatmaps = nn.Conv2d(64, sizes.landmarks, 1)
        self.squeeze = Conv(160, 64)
        self.local = nn.Sequential(Conv(64, 32, 2), Conv(32, 24))
        self.hidden = nn.Linear(64 * 25 + 24 * 18 * 18 + 2 * sizes.landmarks, 256)
        self.codes = nn.Linear(256, 7 + sizes.expressions)

    def forward(self, image: Tensor) -> MotionOutput:
        """``image`` (N, 3, 144, 144)."""
        x1 = self.stage1(image - 0.5)
        x2 = self.stage2(x1)
        x3 = self.stage3(x2)
        x4 = self.stage4(x3)
        up = self.up2(torch.cat([upsample(self.up3(x3)), x2], 1))
        up = self.up1(torch.cat([upsample(up), x1], 1))
        landmarks = soft_argmax(self.heatmaps(up).float())
        pooled = torch.cat([self.squeeze(x4).flatten(1), self.local(up).flatten(1), landmarks.flatten(1)], 1)
        codes = self.codes(F.relu(self.hidden(pooled))).float()
        return MotionOutput(codes[:, :1], codes[:, 1:4], codes[:, 4:7], codes[:, 7:], landmarks)


def soft_argmax(maps: Tensor) -> Tensor:
    """Expected place under the softmax of each map: (N, L, h, w) -> (N, L, 2), x and y in [-1, 1]."""
    n, count, height, width = maps.shape
    weights = maps.flatten(2).softmax(-1).view(n, count, height, width)
    xs = (torch.arange(width, dtype=maps.dtype, device=maps.device) + 0.5) * (2 / width) - 1
    ys = (torch.arange(height, dtype=maps.dtype, device=maps.device) + 0.5) * (2 / height) - 1
    return torch.stack([(weights.sum(2) * xs).sum(-1), (weights.sum(3) * ys).sum(-1)], -1)
