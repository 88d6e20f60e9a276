"""Encoders from a face to StyleGAN latents: pSp, e4e, pSp into W, and the two of ReStyle.

Papers and code: pSp (Richardson et al., CVPR 2021, github.com/eladrich/pixel2style2pixel), e4e (Tov et al., SIGGRAPH
2021, github.com/omertov/encoder4editing), ReStyle (Alaluf et al., ICCV 2021, github.com/yuval-alaluf/restyle-encoder);
all MIT, weights too. All pictures are float NCHW, RGB in [-1, 1]; codes come without ``latent_avg``.

Each is the IR-SE50 trunk and one style block for every row of W+. They differ in the maps that the blocks read
(`StyleEncoder.maps`) and in whether the first row is added to the others (`StyleEncoder.join`). pSp and e4e have the
same keys, and so have the two of ReStyle: only the checkpoint's ``opts`` tell which one a file is.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.networks.irse50 import IRSE50, Trunk, TrunkSizes

COARSE, MIDDLE = 3, 7
"""Rows below ``COARSE`` read a pyramid's coarsest map, rows below ``MIDDLE`` the next, all others the finest."""


class EqualLinear(nn.Module):
    """A linear layer whose weights are divided by the square root of their number as it runs."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def effective_weight(self) -> Tensor:
        """(outputs, inputs), what a plain linear layer would store."""
        return self.weight / math.sqrt(self.weight.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.effective_weight(), self.bias)


class StyleBlock(nn.Module):
    """A map to one row of W+: convolutions of stride 2 down to a single place, then a linear layer."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(int(math.log2(side))):
            layers += [nn.Conv2d(width, width, 3, 2, 1), nn.LeakyReLU()]
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(self.convs(x).flatten(1))
        return out


def above_first(rows: Tensor) -> Tensor:
    """(N, L, width): the first row, and the others as what they add to it."""
    return torch.cat([rows[:, :1], rows[:, :1] + rows[:, 1:]], 1)


class StyleEncoder(Trunk):
    """What all W+ encoders share: style blocks ``readers[k]`` in number read map k."""

    def __init__(self, channels: int, readers: tuple[int, ...], size: int, sizes: TrunkSizes) -> None:
        """``size``: side of the picture; map k has ``2**k`` times the side of the trunk's last one."""
        super().__init__(channels, sizes)
        last = size // 2 ** len(sizes.units)
        blocks = [StyleBlock(sizes.widths[-1], last * 2**k) for k, count in enumerate(readers) for _ in range(count)]
        self.styles = nn.ModuleList(blocks)
        self.readers = readers
        self.size = size

    def maps(self, image: Tensor) -> tuple[Tensor, ...]:
        """What the style blocks read, coarsest first, each (N, widths[-1], side, side)."""
        return self.stages(image)[-1:]

    def join(self, rows: Tensor) -> Tensor:
        """The blocks' outputs (N, L, width) to codes of the same shape."""
        return rows

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (N, channels, size, size) -> codes (N, L, 512)."""
        maps = self.maps(image)
        read = [x for x, count in zip(maps, self.readers, strict=True) for _ in range(count)]
        return self.join(torch.stack([style(x) for style, x in zip(self.styles, read, strict=True)], 1))


class BackboneEncoder(StyleEncoder):
    """ReStyle's pSp: every row reads the last map. Six channels: the picture, then the current reconstruction."""

    def __init__(self, channels: int = 6, styles: int = 18, size: int = 256, sizes: TrunkSizes = IRSE50) -> None:
        super().__init__(channels, (styles,), size, sizes)


class ProgressiveBackboneEncoder(BackboneEncoder):
    """ReStyle's e4e: as its pSp, the rows after the first as differences to it."""

    def join(self, rows: Tensor) -> Tensor:
        return above_first(rows)


class GradualStyleEncoder(StyleEncoder):
    """pSp: coarse, middle and fine rows read three levels of a feature pyramid (ReStyle's variant: 6 channels)."""

    def __init__(self, channels: int = 3, styles: int = 18, size: int = 256, sizes: TrunkSizes = IRSE50) -> None:
        super().__init__(channels, (COARSE, MIDDLE - COARSE, styles - MIDDLE), size, sizes)
        fine, middle, width = sizes.widths[-3:]
        self.latlayer1 = nn.Conv2d(middle, width, 1)
        self.latlayer2 = nn.Conv2d(fine, width, 1)

    def maps(self, image: Tensor) -> tuple[Tensor, ...]:
        c1, c2, c3 = self.stages(image)[-3:]
        p2 = _enlarged(c3, c2) + self.latlayer1(c2)
        p1 = _enlarged(p2, c1) + self.latlayer2(c1)
        return c3, p2, p1


class Encoder4Editing(GradualStyleEncoder):
    """e4e: pSp's modules and keys, the rows after the first as differences to it."""

    def join(self, rows: Tensor) -> Tensor:
        return above_first(rows)


class WEncoder(Trunk):
    """pSp into W (BackboneEncoderUsingLastLayerIntoW): one code for all rows, from the mean of the last map."""

    def __init__(self, channels: int = 3, sizes: TrunkSizes = IRSE50) -> None:
        super().__init__(channels, sizes)
        self.linear = EqualLinear(sizes.widths[-1], sizes.widths[-1])

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (N, channels, S, S) -> code (N, 512)."""
        out: Tensor = self.linear(self.stages(image)[-1].mean((2, 3)))
        return out


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)
