"""Convolution, normalisation, activation: the small blocks that appearance and warp are built of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SameBlock2d(nn.Module):
    """Convolution of 3x3, batch normalisation, and ReLU or (``leaky``) a LeakyReLU of slope 0.01."""

    def __init__(self, inputs: int, outputs: int, leaky: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)
        self.leaky = leaky

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return F.leaky_relu(x, 0.01) if self.leaky else F.relu(x)


class DownBlock2d(SameBlock2d):
    """To half the height and width, by the mean."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 2)


class Block3d(nn.Module):
    """Convolution of 3x3x3, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class DownBlock3d(Block3d):
    """To half the height and width; the depth stays."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool3d(super().forward(x), (1, 2, 2))


class UpBlock3d(Block3d):
    """To twice the height and width, by repetition; the depth stays."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=(1.0, 2.0, 2.0), mode="nearest"))


class ResBlock3d(nn.Module):
    """Two convolutions of 3x3x3, each behind its normalisation and ReLU, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm3d(channels)
        self.norm2 = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(F.relu(self.norm1(x)))
        out: Tensor = self.conv2(F.relu(self.norm2(inner))) + x
        return out


class HourglassEncoder(nn.Module):
    """Halves height and width at each level and keeps what every level saw."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        pairs = zip(widths, widths[1:], strict=False)
        self.down_blocks = nn.ModuleList(DownBlock3d(inputs, outputs) for inputs, outputs in pairs)

    def forward(self, x: Tensor) -> list[Tensor]:
        seen = [x]
        for block in self.down_blocks:
            seen.append(block(seen[-1]))
        return seen


class HourglassDecoder(nn.Module):
    """Back up; each level's output is joined by the encoder's of the same size, the last by the input itself."""

    def __init__(self, widths: tuple[int, ...], block_expansion: int) -> None:
        super().__init__()
        levels = list(reversed((block_expansion, *widths[1:])))
        reads = [levels[0], *(2 * width for width in levels[1:-1])]
        self.up_blocks = nn.ModuleList(UpBlock3d(a, b) for a, b in zip(reads, levels[1:], strict=True))
        self.out_filters = block_expansion + widths[0]
        self.conv = nn.Conv3d(self.out_filters, self.out_filters, 3, padding=1)
        self.norm = nn.BatchNorm3d(self.out_filters)

    def forward(self, seen: list[Tensor]) -> Tensor:
        out = seen.pop()
        for block in self.up_blocks:
            out = torch.cat([block(out), seen.pop()], 1)
        return F.relu(self.norm(self.conv(out)))


class Hourglass(nn.Module):
    """(N, in_features, D, H, W) -> (N, block_expansion + in_features, D, H, W)."""

    def __init__(self, block_expansion: int, in_features: int, num_blocks: int, max_features: int) -> None:
        super().__init__()
        levels = (min(max_features, block_expansion * 2**level) for level in range(1, num_blocks + 1))
        widths = (in_features, *levels)
        self.encoder = HourglassEncoder(widths)
        self.decoder = HourglassDecoder(widths, min(max_features, block_expansion))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.encoder(x))
        return out
