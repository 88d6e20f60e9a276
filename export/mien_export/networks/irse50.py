"""IR-SE50: the trunk that the StyleGAN encoders share, and ArcFace, the identity network built on it.

Papers: ArcFace (Deng et al., CVPR 2019), squeeze-and-excitation (Hu et al., CVPR 2018). Keys as in pixel2style2pixel
(github.com/eladrich/pixel2style2pixel, MIT; from TreB1eN/InsightFace_Pytorch, MIT); the weights ``model_ir_se50.pth``
come from the latter, trained on MS1M. All pictures are float NCHW, RGB in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

UNITS = {50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 152: (3, 8, 36, 3)}
"""Units in each of the four stages, by the number of layers that names the network."""


@dataclass(frozen=True)
class TrunkSizes:
    """The public IR-SE50 unless said otherwise: units and width of every stage, and whether units weigh channels."""

    units: tuple[int, ...] = UNITS[50]
    widths: tuple[int, ...] = (64, 128, 256, 512)
    squeeze: bool = True

    @property
    def ends(self) -> tuple[int, ...]:
        """The index in ``body`` of the last unit of every stage."""
        return tuple(sum(self.units[: stage + 1]) - 1 for stage in range(len(self.units)))


IRSE50 = TrunkSizes()


class SqueezeExcite(nn.Module):
    """Every channel weighted by what the whole picture holds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(mean))))


class Subsample(nn.Module):
    """Every ``stride``-th row and column: what a max pool with a window of one pixel does."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride]


class Unit(nn.Module):
    """Normalisation first, the stride on the second convolution, nothing after the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int, squeeze: bool) -> None:
        super().__init__()
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        if squeeze:
            self.res_layer.append(SqueezeExcite(outputs))
        self.shortcut_layer: nn.Module
        if inputs != outputs:
            convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut_layer = nn.Sequential(convolution, nn.BatchNorm2d(outputs))
        else:
            self.shortcut_layer = Subsample(stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.res_layer(x) + self.shortcut_layer(x)
        return out


def _units(sizes: TrunkSizes) -> Iterator[Unit]:
    inputs = sizes.widths[0]
    for count, width in zip(sizes.units, sizes.widths, strict=True):
        for index in range(count):
            yield Unit(inputs, width, 1 if index else 2, sizes.squeeze)
            inputs = width


class Trunk(nn.Module):
    """The convolutions up to the last map; encoders and ArcFace inherit it, so that its keys carry no prefix."""

    def __init__(self, channels: int = 3, sizes: TrunkSizes = IRSE50) -> None:
        super().__init__()
        width = sizes.widths[0]
        entry = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.input_layer = nn.Sequential(entry, nn.BatchNorm2d(width), nn.PReLU(width))
        self.body = nn.Sequential(*_units(sizes))
        self.sizes = sizes

    def stages(self, image: Tensor) -> tuple[Tensor, ...]:
        """``image`` (N, channels, S, S) -> the map at the end of every stage: (N, widths[k], S/2^(k+1), S/2^(k+1))."""
        x = self.input_layer(image)
        maps = []
        for index, unit in enumerate(self.body):
            x = unit(x)
            if index in self.sizes.ends:
                maps.append(x)
        return tuple(maps)


class ArcFace(Trunk):
    """An aligned face to a point on the unit sphere; faces of one person lie close to each other."""

    def __init__(self, size: int = 112, sizes: TrunkSizes = IRSE50, affine: bool = True, embedding: int = 512) -> None:
        """``size``: side of the picture. ``affine``: the last normalisation has weights, as the public one does."""
        super().__init__(sizes=sizes)
        width, side = sizes.widths[-1], size // 2 ** len(sizes.units)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Identity(),  # where training drops out
            nn.Flatten(),
            nn.Linear(width * side * side, embedding),
            nn.BatchNorm1d(embedding, affine=affine),
        )

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (N, 3, size, size) -> (N, embedding), each row of length 1."""
        raw = self.output_layer(self.stages(image)[-1])
        out: Tensor = raw / raw.norm(dim=1, keepdim=True)
        return out
