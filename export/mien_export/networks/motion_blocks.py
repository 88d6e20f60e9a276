"""Blocks that the keypoint motion models share: convolution with normalisation, hourglass, anti-aliased shrinking.

Keys are those of AliaksandrSiarohin/first-order-model (MIT) and of the models made after it. ``norm`` makes the
normalisation of a number of channels: batch normalisation in the first of them, others in later ones.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]


class SameBlock2d(nn.Module):
    """Convolution that keeps the size, normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class DownBlock2d(SameBlock2d):
    """To half the height and width, by the mean."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 2)


class UpBlock2d(SameBlock2d):
    """To twice the height and width, by repeating pixels before the convolution."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class ResBlock2d(nn.Module):
    """Two convolutions of 3x3, each behind its normalisation and ReLU, added to what came in."""

    def __init__(self, channels: int, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = norm(channels)
        self.norm2 = norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(F.relu(self.norm1(x)))
        out: Tensor = self.conv2(F.relu(self.norm2(inner))) + x
        return out


class HourglassEncoder(nn.Module):
    """Halves height and width at each level and keeps what every level saw."""

    def __init__(self, widths: tuple[int, ...], norm: Norm) -> None:
        super().__init__()
        pairs = zip(widths, widths[1:], strict=False)
        self.down_blocks = nn.ModuleList(DownBlock2d(inputs, outputs, norm=norm) for inputs, outputs in pairs)

    def forward(self, x: Tensor) -> list[Tensor]:
        seen = [x]
        for block in self.down_blocks:
            seen.append(block(seen[-1]))
        return seen


class HourglassDecoder(nn.Module):
    """Back up; behind each level's channels come the encoder's of the same size, at last the input itself."""

    def __init__(self, widths: tuple[int, ...], outputs: int, norm: Norm) -> None:
        super().__init__()
        levels = (*reversed(widths[1:]), outputs)
        reads = (levels[0], *(2 * width for width in levels[1:-1]))
        pairs = zip(reads, levels[1:], strict=True)
        self.up_blocks = nn.ModuleList(UpBlock2d(a, b, norm=norm) for a, b in pairs)

    def forward(self, seen: list[Tensor]) -> Tensor:
        *skips, out = seen
        for block, skip in zip(self.up_blocks, reversed(skips), strict=True):
            out = torch.cat([block(out), skip], 1)
        return out


class Hourglass(nn.Module):
    """(N, in_features, H, W) -> (N, ``out_filters``, H, W): ``block_expansion`` channels and then the input's own."""

    def __init__(
        self,
        block_expansion: int,
        in_features: int,
        num_blocks: int = 3,
        max_features: int = 256,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        levels = tuple(min(max_features, block_expansion * 2**level) for level in range(num_blocks + 1))
        widths = (in_features, *levels[1:])
        self.encoder = HourglassEncoder(widths, norm)
        self.decoder = HourglassDecoder(widths, levels[0], norm)
        self.in_features, self.out_filters = in_features, levels[0] + in_features

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.encoder(x))
        return out


def gaussian(scale: float) -> Tensor:
    """The one-dimensional Gaussian (odd length, sums to 1) that a picture is blurred with before it shrinks."""
    sigma = (1 / scale - 1) / 2
    reach = round(4 * sigma)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    curve = torch.exp(-(offsets**2) / (2 * sigma**2))
    return curve / curve.sum()


class AntiAliasInterpolation2d(nn.Module):
    """Blur, then every ``1 / scale``-th pixel from the first on. The blur is a buffer that checkpoints hold."""

    weight: Tensor

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        curve = gaussian(scale)
        self.step = int(1 / scale)
        self.register_buffer("weight", torch.outer(curve, curve).float().expand(channels, 1, -1, -1).clone())

    def forward(self, x: Tensor) -> Tensor:
        channels, size = len(self.weight), self.weight.shape[-1]
        blurred = F.conv2d(x, self.weight, padding=size // 2, groups=channels)
        return blurred[:, :, :: self.step, :: self.step]


def coordinate_grid(height: int, width: int, like: Tensor) -> Tensor:
    """(height, width, 2): x and y of every pixel, -1 and 1 in the middle of the outermost ones."""
    x = 2 * torch.arange(width, dtype=like.dtype, device=like.device) / (width - 1) - 1
    y = 2 * torch.arange(height, dtype=like.dtype, device=like.device) / (height - 1) - 1
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1)
