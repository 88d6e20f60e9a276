"""First Order Motion Model: keypoints with local affine motions, and a generator that warps features by them.

Paper: First Order Motion Model for Image Animation (Siarohin et al. 2019). Origin: AliaksandrSiarohin/first-order-model
(MIT); keys are that repository's. The public vox weights were trained on VoxCeleb (its terms apply). Pictures are float
NCHW, RGB in [0, 1], not normalised. Coordinates are x, y from -1 to 1. Sampling is with align_corners=False, as the
public code does in every torch since 1.3, though -1 and 1 of the coordinates are the middles of the outermost pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.networks.motion_blocks import (
    AntiAliasInterpolation2d,
    DownBlock2d,
    Hourglass,
    ResBlock2d,
    SameBlock2d,
    UpBlock2d,
    coordinate_grid,
)

KP_VARIANCE = 0.01
"""Of the Gaussians that stand for keypoints in a map."""


@dataclass(frozen=True)
class Keypoints:
    """``value`` (N, K, 2); ``jacobian`` (N, K, 2, 2), what is around each, or None where a model has none."""

    value: Tensor
    jacobian: Tensor | None


@dataclass(frozen=True)
class DenseMotion:
    """``sparse_deformed`` (N, K+1, C, h, w): the small source moved by each hypothesis, the first that nothing moves.

    ``mask`` (N, K+1, h, w) sums to 1; ``deformation`` (N, h, w, 2) says where to look; ``occlusion`` (N, 1, h, w).
    """

    sparse_deformed: Tensor
    mask: Tensor
    deformation: Tensor
    occlusion: Tensor | None


@dataclass(frozen=True)
class Generated:
    """``prediction`` (N, C, H, W) in [0, 1]; ``deformed``: the source itself, moved."""

    prediction: Tensor
    deformed: Tensor
    motion: DenseMotion


class KPDetector(nn.Module):
    """A picture (N, C, H, W) to keypoints: means of softmaxed maps, and of one affine map each under the same."""

    def __init__(
        self,
        block_expansion: int = 32,
        num_kp: int = 10,
        num_channels: int = 3,
        max_features: int = 1024,
        num_blocks: int = 5,
        temperature: float = 0.1,
        estimate_jacobian: bool = True,
        scale_factor: float = 0.25,
        single_jacobian_map: bool = False,
        pad: int = 0,
    ) -> None:
        super().__init__()
        self.predictor = Hourglass(block_expansion, num_channels, num_blocks, max_features)
        self.kp = nn.Conv2d(self.predictor.out_filters, num_kp, 7, padding=pad)
        self.temperature = temperature
        self.maps = 1 if single_jacobian_map else num_kp
        self.jacobian = (
            nn.Conv2d(self.predictor.out_filters, 4 * self.maps, 7, padding=pad) if estimate_jacobian else None
        )
        self.down = AntiAliasInterpolation2d(num_channels, scale_factor) if scale_factor != 1 else None

    def forward(self, image: Tensor) -> Keypoints:
        features = self.predictor(image if self.down is None else self.down(image))
        raw = self.kp(features)
        batch, points, height, width = raw.shape
        heat = torch.softmax(raw.flatten(2) / self.temperature, -1)
        value = heat @ coordinate_grid(height, width, raw).reshape(-1, 2)
        if self.jacobian is None:
            return Keypoints(value, None)
        maps = self.jacobian(features).reshape(batch, self.maps, 4, -1)
        return Keypoints(value, (heat[:, :, None] * maps).sum(-1).reshape(batch, points, 2, 2))


def inverse_2x2(matrix: Tensor) -> Tensor:
    """(..., 2, 2), by determinant and adjugate: no exporter knows the general inverse."""
    a, b, c, d = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1]
    adjugate = torch.stack([d, -b, -c, a], -1).reshape(matrix.shape)
    return adjugate / (a * d - b * c)[..., None, None]


class DenseMotionNetwork(nn.Module):
    """Weighs the motions that the keypoints suggest, pixel by pixel, and finds what no source pixel shows."""

    def __init__(
        self,
        block_expansion: int = 64,
        num_blocks: int = 5,
        max_features: int = 1024,
        num_kp: int = 10,
        num_channels: int = 3,
        estimate_occlusion_map: bool = True,
        scale_factor: float = 0.25,
        kp_variance: float = KP_VARIANCE,
    ) -> None:
        super().__init__()
        hypotheses = num_kp + 1
        self.hourglass = Hourglass(block_expansion, hypotheses * (num_channels + 1), num_blocks, max_features)
        self.mask = nn.Conv2d(self.hourglass.out_filters, hypotheses, 7, padding=3)
        self.occlusion = nn.Conv2d(self.hourglass.out_filters, 1, 7, padding=3) if estimate_occlusion_map else None
        self.kp_variance = kp_variance
        self.down = AntiAliasInterpolation2d(num_channels, scale_factor) if scale_factor != 1 else None

    def heat_maps(self, driving: Keypoints, source: Keypoints, grid: Tensor) -> Tensor:
        """(N, K+1, h, w): Gaussians at the driver's points minus those at the source's, and first a map of zeros."""
        maps = [
            torch.exp(-((grid - kp.value[:, :, None, None]) ** 2).sum(-1) / (2 * self.kp_variance))
            for kp in (driving, source)
        ]
        return F.pad(maps[0] - maps[1], (0, 0, 0, 0, 1, 0))

    @staticmethod
    def sparse_motions(driving: Keypoints, source: Keypoints, grid: Tensor) -> Tensor:
        """(N, K+1, h, w, 2): where each hypothesis looks; the first stays."""
        offset = grid - driving.value[:, :, None, None]
        if driving.jacobian is not None and source.jacobian is not None:
            affine = source.jacobian @ inverse_2x2(driving.jacobian)
            offset = (affine[:, :, None, None] @ offset[..., None])[..., 0]
        moved = offset + source.value[:, :, None, None]
        return torch.cat([grid.expand(len(moved), 1, *grid.shape), moved], 1)

    def forward(self, image: Tensor, driving: Keypoints, source: Keypoints) -> DenseMotion:
        small = image if self.down is None else self.down(image)
        batch, channels, height, width = small.shape
        grid = coordinate_grid(height, width, small)
        motions = self.sparse_motions(driving, source, grid)
        hypotheses = motions.shape[1]
        repeated = small[:, None].expand(-1, hypotheses, -1, -1, -1).reshape(-1, channels, height, width)
        moved = F.grid_sample(repeated, motions.flatten(0, 1), align_corners=False)
        sparse = moved.reshape(batch, hypotheses, channels, height, width)
        heat = self.heat_maps(driving, source, grid)[:, :, None]
        features = self.hourglass(torch.cat([heat, sparse], 2).flatten(1, 2))
        mask = torch.softmax(self.mask(features), 1)
        deformation = (mask[..., None] * motions).sum(1)
        occlusion = None if self.occlusion is None else torch.sigmoid(self.occlusion(features))
        return DenseMotion(sparse, mask, deformation, occlusion)


def resized(maps: Tensor, size: torch.Size) -> Tensor:
    """Bilinearly to (height, width)."""
    return maps if maps.shape[-2:] == size else F.interpolate(maps, size, mode="bilinear", align_corners=False)


def warped(maps: Tensor, deformation: Tensor) -> Tensor:
    """``maps`` (N, C, H, W) as the deformation (N, h, w, 2) looks at them."""
    grid = resized(deformation.permute(0, 3, 1, 2), maps.shape[-2:]).permute(0, 2, 3, 1)
    return F.grid_sample(maps, grid, align_corners=False)


class OcclusionAwareGenerator(nn.Module):
    """A source picture and both faces' keypoints to the source as the driver moves it."""

    def __init__(
        self,
        num_channels: int = 3,
        num_kp: int = 10,
        block_expansion: int = 64,
        max_features: int = 512,
        num_down_blocks: int = 2,
        num_bottleneck_blocks: int = 6,
        estimate_occlusion_map: bool = True,
        dense_motion_params: Mapping[str, Any] | None = None,
        estimate_jacobian: bool = True,
    ) -> None:
        super().__init__()
        self.dense_motion_network = DenseMotionNetwork(
            num_kp=num_kp,
            num_channels=num_channels,
            estimate_occlusion_map=estimate_occlusion_map,
            **(dense_motion_params or {}),
        )
        widths = [min(max_features, block_expansion * 2**level) for level in range(num_down_blocks + 1)]
        self.first = SameBlock2d(num_channels, widths[0], 7)
        pairs = list(zip(widths, widths[1:], strict=False))
        self.down_blocks = nn.ModuleList(DownBlock2d(a, b) for a, b in pairs)
        self.up_blocks = nn.ModuleList(UpBlock2d(b, a) for a, b in reversed(pairs))
        self.bottleneck = nn.Sequential()
        for index in range(num_bottleneck_blocks):
            self.bottleneck.add_module(f"r{index}", ResBlock2d(widths[-1]))
        self.final = nn.Conv2d(widths[0], num_channels, 7, padding=3)
        self.estimate_jacobian = estimate_jacobian

    def encoded(self, image: Tensor) -> Tensor:
        """The source's features, which no driver changes."""
        out: Tensor = self.first(image)
        for block in self.down_blocks:
            out = block(out)
        return out

    def decoded(self, features: Tensor) -> Tensor:
        """Moved features to the picture."""
        out: Tensor = self.bottleneck(features)
        for block in self.up_blocks:
            out = block(out)
        return torch.sigmoid(self.final(out))

    def forward(self, image: Tensor, driving: Keypoints, source: Keypoints) -> Generated:
        motion: DenseMotion = self.dense_motion_network(image, driving, source)
        features = warped(self.encoded(image), motion.deformation)
        if motion.occlusion is not None:
            features = features * resized(motion.occlusion, features.shape[-2:])
        return Generated(self.decoded(features), warped(image, motion.deformation), motion)
