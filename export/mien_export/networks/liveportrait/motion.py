"""M, the motion of a face: ConvNeXt V2 with heads for pose, place, expression and the canonical points.

Backbone: Woo et al., "ConvNeXt V2", CVPR 2023. Everything lies under the prefix ``detector.``, as in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BINS = 66
"""Bins of 3 degrees that a head's angle is spread over."""

EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class MotionOutput:
    """What the heads say, raw: for ``pose_degrees`` and the points' transform see the graphs."""

    pitch: Tensor
    """(N, 66) logits, and so are ``yaw`` and ``roll``."""
    yaw: Tensor
    roll: Tensor
    translation: Tensor
    """(N, 3)"""
    expression: Tensor
    """(N, 63), 21 rows of x, y, z"""
    scale: Tensor
    """(N, 1)"""
    keypoints: Tensor
    """(N, 63) canonical, 21 rows of x, y, z"""


@dataclass(frozen=True)
class BackboneSizes:
    """Blocks and width of each stage."""

    depths: tuple[int, ...]
    dims: tuple[int, ...]


BACKBONES: Mapping[str, BackboneSizes] = MappingProxyType(
    {"convnextv2_tiny": BackboneSizes((3, 3, 9, 3), (96, 192, 384, 768))}
)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel, NCHW."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        last = x.permute(0, 2, 3, 1)
        return F.layer_norm(last, last.shape[-1:], self.weight, self.bias, EPSILON).permute(0, 3, 1, 2)


class GlobalResponse(nn.Module):
    """Channels compete: each is scaled by its own strength over the mean strength. NHWC."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        strength: Tensor = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        share = strength / (strength.mean(-1, keepdim=True) + EPSILON)
        out: Tensor = x * (self.gamma * share + 1) + self.beta
        return out


class Block(nn.Module):
    """Depthwise 7x7, then a small perceptron at each pixel, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, EPSILON)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.grn = GlobalResponse(4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        inner = self.pwconv2(self.grn(F.gelu(self.pwconv1(inner))))
        out: Tensor = x + inner.permute(0, 3, 1, 2)
        return out


class ConvNeXtV2(nn.Module):
    """The backbone and the heads on its mean."""

    def __init__(self, points: int, sizes: BackboneSizes) -> None:
        super().__init__()
        dims = sizes.dims
        self.downsample_layers = nn.ModuleList([nn.Sequential(nn.Conv2d(3, dims[0], 4, 4), ChannelNorm(dims[0]))])
        for inputs, outputs in zip(dims, dims[1:], strict=False):
            self.downsample_layers.append(nn.Sequential(ChannelNorm(inputs), nn.Conv2d(inputs, outputs, 2, 2)))
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth)))
            for depth, width in zip(sizes.depths, dims, strict=True)
        )
        self.norm = nn.LayerNorm(dims[-1], EPSILON)
        heads = {"kp": 3 * points, "scale": 1, "pitch": BINS, "yaw": BINS, "roll": BINS, "t": 3, "exp": 3 * points}
        for name, outputs in heads.items():
            self.add_module(f"fc_{name}", nn.Linear(dims[-1], outputs))

    def features(self, image: Tensor) -> Tensor:
        """(N, dims[-1]), what every head reads."""
        x = image
        for down, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(down(x))
        out: Tensor = self.norm(x.mean((2, 3)))
        return out


class MotionExtractor(nn.Module):
    """``image`` (N, 3, 256, 256) -> `MotionOutput`. ``sizes`` is for a smaller one than ``backbone`` names."""

    def __init__(self, num_kp: int = 21, backbone: str = "convnextv2_tiny", sizes: BackboneSizes | None = None) -> None:
        super().__init__()
        self.num_kp = num_kp
        self.detector = ConvNeXtV2(num_kp, sizes or BACKBONES[backbone])

    def forward(self, image: Tensor) -> MotionOutput:
        detector = self.detector
        x = detector.features(image)
        names = "fc_pitch", "fc_yaw", "fc_roll", "fc_t", "fc_exp", "fc_scale", "fc_kp"
        return MotionOutput(*(detector.get_submodule(name)(x) for name in names))
