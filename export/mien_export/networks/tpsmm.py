"""Thin-Plate-Spline Motion Model: splines through keypoints bend the source, and a network paints the rest.

Paper: Thin-Plate Spline Motion Model for Image Animation (Zhao and Zhang 2022). Origin:
yoyo-nb/Thin-Plate-Spline-Motion-Model (MIT); keys are that repository's, those of the ResNet torchvision's. The public
vox weights were trained on VoxCeleb (its terms apply). Pictures are float NCHW, RGB in [0, 1], not normalised.
Coordinates are x, y from -1 to 1, the middles of the outermost pixels: all sampling is with align_corners=True.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.networks.bisenet import BasicBlock
from mien_export.networks.motion_blocks import (
    AntiAliasInterpolation2d,
    DownBlock2d,
    Hourglass,
    ResBlock2d,
    SameBlock2d,
    UpBlock2d,
    coordinate_grid,
)

GROUP = 5
"""Keypoints of one spline."""

KP_VARIANCE = 0.01
"""Of the Gaussians that stand for keypoints in a map."""

SOFTNESS = 0.01
"""Added to the diagonal of a spline's equations: it passes near its points and not through them."""

OCCLUSIONS = 4
"""Maps of what the source does not show: at 1/8, 1/4, 1/2 and the whole of the picture's size."""


def instance_norm(channels: int) -> nn.InstanceNorm2d:
    """The blocks' normalisation: by each picture's own mean and deviation, then a learnt scale and shift."""
    return nn.InstanceNorm2d(channels, affine=True)


class ResNet18(nn.Module):
    """torchvision's, for 3 channels, ``width`` of them at first."""

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(BasicBlock(width, width, 1), BasicBlock(width, width, 1))
        self.layer2 = nn.Sequential(BasicBlock(width, 2 * width, 2), BasicBlock(2 * width, 2 * width, 1))
        self.layer3 = nn.Sequential(BasicBlock(2 * width, 4 * width, 2), BasicBlock(4 * width, 4 * width, 1))
        self.layer4 = nn.Sequential(BasicBlock(4 * width, 8 * width, 2), BasicBlock(8 * width, 8 * width, 1))
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        scores: Tensor = self.fc(x.mean((2, 3)))
        return scores


class KPDetector(nn.Module):
    """A picture (N, 3, H, W) to keypoints (N, 5 ``num_tps``, 2), five for each spline."""

    def __init__(self, num_tps: int = 10, width: int = 64) -> None:
        super().__init__()
        self.fg_encoder = ResNet18(2 * GROUP * num_tps, width)

    def forward(self, image: Tensor) -> Tensor:
        return torch.unflatten(2 * torch.sigmoid(self.fg_encoder(image)) - 1, 1, (-1, 2))


def radial(square: Tensor) -> Tensor:
    """The spline's curve r^2 log r^2 of squared distances; 0 at 0."""
    return square * torch.log(square + 1e-9)


def distances(places: Tensor, points: Tensor) -> Tensor:
    """Squared, (..., P, K), of places (..., P, 2) from points (..., K, 2)."""
    return ((places[..., :, None, :] - points[..., None, :, :]) ** 2).sum(-1)


def solved_splines(driving: Tensor, source: Tensor) -> Tensor:
    """(N, groups, 8, 2): of each group the weights of its five points, then x, y and 1; points (N, 5 groups, 2)."""
    here, there = (torch.unflatten(points, 1, (-1, GROUP)) for points in (driving, source))
    flat = F.pad(here, (0, 1), value=1.0)
    above = torch.cat([radial(distances(here, here)), flat], -1)
    below = F.pad(flat.transpose(-1, -2), (0, 3))
    system = torch.cat([above, below], -2) + SOFTNESS * torch.eye(GROUP + 3, dtype=driving.dtype)
    solved: Tensor = torch.linalg.solve(system, F.pad(there, (0, 0, 0, 3)))
    return solved


def bent(places: Tensor, driving: Tensor, splines: Tensor) -> Tensor:
    """Where each spline looks from ``places`` (P, 2): (N, groups, P, 2)."""
    near = radial(distances(places, torch.unflatten(driving, 1, (-1, GROUP))))
    flat = F.pad(places, (0, 1), value=1.0)
    return near @ splines[..., :GROUP, :] + flat @ splines[..., GROUP:, :]


@dataclass(frozen=True)
class DenseMotion:
    """``deformed`` (N, T+1, C, h, w): the small source moved by each hypothesis, the first that nothing moves.

    ``maps`` (N, T+1, h, w) sum to 1; ``deformation`` (N, h, w, 2) says where to look; ``occlusions``: (N, 1, H, W) of
    growing sizes, 1 where the source shows what is needed.
    """

    deformed: Tensor
    maps: Tensor
    deformation: Tensor
    occlusions: tuple[Tensor, ...]


class DenseMotionNetwork(nn.Module):
    """Weighs the motions that the splines suggest, pixel by pixel, and finds what no source pixel shows."""

    def __init__(
        self,
        block_expansion: int = 64,
        num_blocks: int = 5,
        max_features: int = 1024,
        num_tps: int = 10,
        num_channels: int = 3,
        scale_factor: float = 0.25,
        multi_mask: bool = True,
        kp_variance: float = KP_VARIANCE,
    ) -> None:
        super().__init__()
        self.down = AntiAliasInterpolation2d(num_channels, scale_factor) if scale_factor != 1 else None
        reads = num_channels * (num_tps + 1) + GROUP * num_tps + 1
        self.hourglass = Hourglass(block_expansion, reads, num_blocks, max_features, instance_norm)
        last = self.hourglass.out_filters
        self.maps = nn.Conv2d(last, num_tps + 1, 7, padding=3)
        self.kp_variance = kp_variance
        doublings = int(log2(1 / scale_factor)) if multi_mask else 0
        self.up = nn.ModuleList(
            UpBlock2d(last // 2**level, last // 2 ** (level + 1), norm=instance_norm) for level in range(doublings)
        )
        self.early = OCCLUSIONS - doublings if multi_mask else 1
        """How many of the occlusions are read from the hourglass."""
        decoded = [skip + block.conv.out_channels for skip, block in zip(self._skips(), self._ups(), strict=True)]
        widths = [*decoded[-self.early :], *(last // 2 ** (level + 1) for level in range(doublings))]
        self.occlusion = nn.ModuleList(nn.Conv2d(width, 1, 7, padding=3) for width in widths)

    def _ups(self) -> Sequence[UpBlock2d]:
        return [block for block in self.hourglass.decoder.up_blocks if isinstance(block, UpBlock2d)]

    def _skips(self) -> list[int]:
        """Channels that stand behind those of each level of the decoder."""
        return [
            block.conv.in_channels
            for block in reversed(self.hourglass.encoder.down_blocks)
            if isinstance(block, DownBlock2d)
        ]

    def decoded(self, x: Tensor) -> list[Tensor]:
        """What every level of the hourglass's decoder hands on, the smallest first."""
        *skips, out = self.hourglass.encoder(x)
        levels = []
        for block, skip in zip(self._ups(), reversed(skips), strict=True):
            out = torch.cat([block(out), skip], 1)
            levels.append(out)
        return levels

    def heat_maps(self, driving: Tensor, source: Tensor, grid: Tensor) -> Tensor:
        """(N, K+1, h, w): first a map of zeros, then Gaussians at the driver's points minus those at the source's."""
        ours, theirs = (
            torch.exp(distances(grid, points).permute(0, 3, 1, 2) / (-2 * self.kp_variance))
            for points in (driving[:, None], source[:, None])
        )
        return F.pad(ours - theirs, (0, 0, 0, 0, 1, 0))

    def forward(self, image: Tensor, driving: Tensor, source: Tensor) -> DenseMotion:
        small = image if self.down is None else self.down(image)
        batch, _, height, width = small.shape
        grid = coordinate_grid(height, width, small)
        moved = bent(grid.reshape(-1, 2), driving, solved_splines(driving, source))
        motions = torch.cat([grid.expand(batch, 1, -1, -1, -1), torch.unflatten(moved, 2, (height, width))], 1)
        repeated = small[:, None].expand(-1, motions.shape[1], -1, -1, -1).flatten(0, 1)
        sampled = F.grid_sample(repeated, motions.flatten(0, 1), align_corners=True)
        deformed = torch.unflatten(sampled, 0, (batch, -1))
        levels = self.decoded(torch.cat([self.heat_maps(driving, source, grid), deformed.flatten(1, 2)], 1))
        maps = torch.softmax(self.maps(levels[-1]), 1)
        read = levels[-self.early :]
        for block in self.up:
            read.append(block(read[-1]))
        pairs = zip(self.occlusion, read, strict=True)
        occlusions = tuple(torch.sigmoid(conv(features)) for conv, features in pairs)
        return DenseMotion(deformed, maps, (maps[..., None] * motions).sum(1), occlusions)


def resized(maps: Tensor, size: torch.Size) -> Tensor:
    """Bilinearly to (height, width)."""
    return maps if maps.shape[-2:] == size else F.interpolate(maps, size, mode="bilinear", align_corners=True)


def warped(maps: Tensor, deformation: Tensor) -> Tensor:
    """``maps`` (N, C, H, W) as the deformation (N, h, w, 2) looks at them."""
    grid = resized(deformation.permute(0, 3, 1, 2), maps.shape[-2:]).permute(0, 2, 3, 1)
    return F.grid_sample(maps, grid, align_corners=True)


@dataclass(frozen=True)
class Inpainted:
    """``prediction`` (N, C, H, W) in [0, 1]; ``deformed``: the source itself, moved."""

    prediction: Tensor
    deformed: Tensor


class InpaintingNetwork(nn.Module):
    """A source picture and its motion to the moved picture: what the source shows moved, the rest painted."""

    def __init__(
        self,
        num_channels: int = 3,
        block_expansion: int = 64,
        max_features: int = 512,
        num_down_blocks: int = 3,
        multi_mask: bool = True,
    ) -> None:
        super().__init__()
        widths = [min(max_features, block_expansion * 2**level) for level in range(num_down_blocks + 1)]
        self.first = SameBlock2d(num_channels, widths[0], 7, instance_norm)
        self.down_blocks = nn.ModuleList(
            DownBlock2d(a, b, norm=instance_norm) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.up_blocks, self.resblock = nn.ModuleList(), nn.ModuleList()
        for level in range(num_down_blocks, 0, -1):
            reads = widths[level] * (1 if level == num_down_blocks else 2)
            self.up_blocks.append(UpBlock2d(reads, widths[level - 1], norm=instance_norm))
            self.resblock.extend(ResBlock2d(reads, instance_norm) for _ in range(2))
        self.final = nn.Conv2d(widths[0], num_channels, 7, padding=3)
        self.multi_mask = multi_mask

    def encoded(self, image: Tensor) -> list[Tensor]:
        """The source's maps, the smallest first; no driver changes them."""
        maps: list[Tensor] = [self.first(image)]
        for block in self.down_blocks:
            maps.insert(0, block(maps[0]))
        return maps

    def forward(self, image: Tensor, deformation: Tensor, occlusions: Sequence[Tensor]) -> Inpainted:
        moved = [warped(maps, deformation) for maps in self.encoded(image)]
        chosen = list(occlusions) * (1 if self.multi_mask else len(moved))
        shown = [resized(one, maps.shape[-2:]) for one, maps in zip(chosen, moved, strict=True)]
        out, *skips = (maps * shows for maps, shows in zip(moved, shown, strict=True))
        for level, (block, skip) in enumerate(zip(self.up_blocks, skips, strict=True)):
            out = block(self.resblock[2 * level + 1](self.resblock[2 * level](out)))
            out = torch.cat([out, skip], 1) if level + 1 < len(skips) else out * (1 - shown[-1]) + skip
        deformed = warped(image, deformation)
        painted = torch.sigmoid(self.final(out))
        return Inpainted(painted * (1 - shown[-1]) + deformed * shown[-1], deformed)


class AVDNetwork(nn.Module):
    """Takes the driver's shape out of its motion: keypoints of the source's face in the driver's pose."""

    def __init__(self, num_tps: int = 10, id_bottle_size: int = 128, pose_bottle_size: int = 128) -> None:
        super().__init__()
        size = 2 * GROUP * num_tps
        self.id_encoder = perceptron(size, 256, 512, 1024, id_bottle_size)
        self.pose_encoder = perceptron(size, 256, 512, 1024, pose_bottle_size)
        self.decoder = perceptron(pose_bottle_size + id_bottle_size, 1024, 512, 256, size)

    def forward(self, source: Tensor, driving: Tensor) -> Tensor:
        """Keypoints (N, K, 2) both, and the result."""
        codes = self.pose_encoder(driving.flatten(1)), self.id_encoder(source.flatten(1))
        return torch.unflatten(self.decoder(torch.cat(codes, 1)), 1, (-1, 2))


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers with batch normalisation and ReLU between them."""
    layers: list[nn.Module] = []
    for a, b in zip(widths[:-2], widths[1:-1], strict=True):
        layers += nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))
