"""W, the warp: where each voxel of a driven face comes from in the source's volume, and what is hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.networks.liveportrait.blocks import Hourglass, SameBlock2d

SPREAD = 0.01
"""Variance of a point's heat map."""


@dataclass(frozen=True, eq=False)
class DenseMotion:
    """What the dense motion network finds."""

    deformation: Tensor
    """(N, D, H, W, 3): x, y, z in the source's volume, [-1, 1], for every voxel of the driven one"""
    occlusion: Tensor | None
    """(N, 1, H, W) in [0, 1], 1 where the source can be seen"""


def identity_grid(shape: tuple[int, ...]) -> Tensor:
    """(D, H, W, 3) of x, y, z: the outermost samples lie at -1 and 1 exactly."""
    z, y, x = (torch.linspace(-1, 1, size) for size in shape)
    return torch.stack(torch.meshgrid(z, y, x, indexing="ij")[::-1], -1)


def sampled(volume: Tensor, grid: Tensor) -> Tensor:
    """As trained: without aligned corners, though `identity_grid` has them aligned. Nothing outside."""
    return F.grid_sample(volume, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def heat(grid: Tensor, points: Tensor) -> Tensor:
    """(N, K, D, H, W), 1 at each point."""
    distance = (grid - points[:, :, None, None, None]).square().sum(-1)
    return torch.exp(-0.5 * distance / SPREAD)


class DenseMotionNetwork(nn.Module):
    """A hypothesis for each point (its neighbourhood moves with it) and one for what stands still, then a mixture."""

    def __init__(
        self,
        num_kp: int,
        feature_channel: int,
        block_expansion: int,
        max_features: int,
        num_blocks: int,
        reshape_depth: int,
        compress: int,
        estimate_occlusion_map: bool,
    ) -> None:
        super().__init__()
        hypotheses = num_kp + 1
        self.hourglass = Hourglass(block_expansion, hypotheses * (compress + 1), num_blocks, max_features)
        self.depth, filters = reshape_depth, self.hourglass.decoder.out_filters
        self.mask = nn.Conv3d(filters, hypotheses, 7, padding=3)
        self.compress = nn.Conv3d(feature_channel, compress, 1)
        self.norm = nn.BatchNorm3d(compress)
        self.occlusion = nn.Conv2d(filters * reshape_depth, 1, 7, padding=3) if estimate_occlusion_map else None

    def compressed(self, volume: Tensor) -> Tensor:
        """(N, 4, D, H, W), of the source alone."""
        return F.relu(self.norm(self.compress(volume)))

    def forward(self, volume: Tensor, driving: Tensor, source: Tensor) -> DenseMotion:
        grid = identity_grid(tuple(volume.shape[2:])).to(volume)[None, None]
        moved = grid + (source - driving)[:, :, None, None, None]
        motions = torch.cat([grid.expand(len(volume), -1, -1, -1, -1, -1), moved], 1)
        count = motions.shape[1]
        thin = self.compressed(volume).repeat_interleave(count, 0)
        deformed = torch.unflatten(sampled(thin, motions.flatten(0, 1)), 0, (-1, count))
        change = heat(grid, driving) - heat(grid, source)
        maps = F.pad(change, (0, 0, 0, 0, 0, 0, 1, 0))[:, :, None]
        features = self.hourglass(torch.cat([maps, deformed], 2).flatten(1, 2))
        mixture = self.mask(features).softmax(1)[..., None]
        occlusion = None if self.occlusion is None else self.occlusion(features.flatten(1, 2)).sigmoid()
        return DenseMotion((mixture * motions).sum(1), occlusion)


class WarpingNetwork(nn.Module):
    """Volume and points to the decoder's (N, 256, 64, 64).

    The arguments have the names and, as defaults, the values of the public configuration.
    """

    def __init__(
        self,
        num_kp: int = 21,
        block_expansion: int = 64,
        max_features: int = 512,
        num_down_blocks: int = 2,
        reshape_channel: int = 32,
        estimate_occlusion_map: bool = True,
        dense_motion_params: Mapping[str, int] | None = None,
    ) -> None:
        """``dense_motion_params``: those of `DenseMotionNetwork` that differ from the public ones."""
        super().__init__()
        public = {"block_expansion": 32, "max_features": 1024, "num_blocks": 5, "reshape_depth": 16, "compress": 4}
        self.dense_motion_network = DenseMotionNetwork(
            num_kp,
            reshape_channel,
            estimate_occlusion_map=estimate_occlusion_map,
            **{**public, **(dense_motion_params or {})},
        )
        width = block_expansion * 2**num_down_blocks
        self.third = SameBlock2d(max_features, width, leaky=True)
        self.fourth = nn.Conv2d(width, width, 1)

    def moved(self, volume: Tensor, motion: DenseMotion) -> Tensor:
        """The volume sampled where ``motion`` says, flattened, and dimmed where it is hidden."""
        out: Tensor = self.fourth(self.third(sampled(volume, motion.deformation).flatten(1, 2)))
        return out if motion.occlusion is None else out * motion.occlusion

    def forward(self, feature_3d: Tensor, kp_driving: Tensor, kp_source: Tensor) -> Tensor:
        """(N, 32, 16, 64, 64), (N, 21, 3), (N, 21, 3), in the public order -> (N, 256, 64, 64)."""
        return self.moved(feature_3d, self.dense_motion_network(feature_3d, kp_driving, kp_source))
