"""Convolutions with fewer multiplications: Winograd's minimal filtering, F(4x4, 3x3) over pictures, F(4, k) over depth.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016. Over a picture, tiles of 6x6 pixels are
transformed, 36 matrix products mix the channels, and each result is turned back to 4x4 pixels: a quarter of the
products. Over the depth of a volume, k + 3 slices are mixed to as many others, each is convolved as a picture, and four
slices are mixed from them: half of the products for 3 taps, 10 of 28 for 7. ONNX Runtime's CPU kernels never do this;
float32 loses little by it (2e-6 of the largest value, 1.5e-5 for 7 taps), float16 too much. GPU runtimes have it of
their own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POINTS = {3: (0.0, 1.0, -1.0, 0.5, -2.0), 7: (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 1.5, -2 / 3)}
"""By the number of taps: where the polynomials are evaluated; infinity is one more. Small ones, for precision."""

OUT = 4
ONE = 1
"""Index of the point 1: what is added to its product alone is added to every output."""

TAPS = 3
TILE = OUT + TAPS - 1

WORTH = 128
"""Fewest channels, in and out, for which the saved products outweigh the transforms (measured on two cores)."""


def transforms(count: int = TAPS) -> tuple[Tensor, Tensor, Tensor]:
    """float64: of a tile (6, 6), of the taps (6, 3), and back (4, 6), along one axis; so for a ``count`` of 3 taps."""
    points = torch.tensor(POINTS[count], dtype=torch.float64)
    size = OUT + count - 1
    back = torch.zeros(OUT, size, dtype=torch.float64)
    taps, tile = torch.zeros(size, count, dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64)
    for index, point in enumerate(points):
        others = torch.cat([points[:index], points[index + 1 :]])
        back[:, index] = point ** torch.arange(OUT)
        taps[index] = point ** torch.arange(count) / (point - others).prod()
        tile[index, :-1] = polynomial(others)
    back[-1, -1] = taps[-1, -1] = 1
    tile[-1] = polynomial(points)
    return tile, taps, back


def polynomial(roots: Tensor) -> Tensor:
    """Coefficients, lowest first, of the product of (x - root)."""
    found = torch.ones(1, dtype=roots.dtype)
    for root in roots:
        found = F.pad(found, (1, 0)) - root * F.pad(found, (0, 1))
    return found


class Tiles(nn.Module):
    """(1, C, H, W) -> (36, C, H * W / 16), what `MinimalConv` mixes; convolutions of one input share it."""

    def __init__(self) -> None:
        super().__init__()
        tile = transforms()[0]
        self.weight = nn.Parameter(torch.einsum("pk,ql->pqkl", tile, tile).reshape(-1, 1, TILE, TILE).float())

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x.transpose(0, 1), self.weight, stride=OUT, padding=1).flatten(2).transpose(0, 1)


class MinimalConv(nn.Module):
    """`Tiles` -> (1, O, H, W), as ``conv``, 3x3 with padding 1, would give. Height and width are multiples of 4.

    The weight is kept as it was, and transformed by a product of constants, which every runtime computes once, at load.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        _, taps, back = transforms()
        self.widths = conv.out_channels, conv.in_channels
        self.weight = nn.Parameter(conv.weight.detach().permute(2, 3, 0, 1).reshape(TAPS**2, -1).contiguous())
        self.taps = nn.Parameter(torch.einsum("pk,ql->pqkl", taps, taps).reshape(TILE**2, TAPS**2).float())
        self.back = nn.Parameter(torch.einsum("yp,xq->yxpq", back, back).reshape(OUT**2, TILE**2).float())
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach()[:, None, None].clone())

    def forward(self, tiles: Tensor, height: int) -> Tensor:
        weight = torch.unflatten(self.taps @ self.weight, 1, self.widths)
        mixed = self.back @ (weight @ tiles).transpose(0, 1)
        placed = torch.unflatten(mixed, 2, (height // OUT, -1)).flatten(0, 1)[None]
        out = F.pixel_shuffle(placed, OUT)
        return out if self.bias is None else out + self.bias


class Convs(nn.Module):
    """Convolutions of one input, each by the way that is faster where ``minimal`` may be used; a list of outputs."""

    def __init__(self, convs: list[nn.Conv2d], minimal: bool) -> None:
        super().__init__()
        self.quick = [minimal and worth(conv) for conv in convs]
        self.tiles = Tiles() if any(self.quick) else None
        self.convs = nn.ModuleList(MinimalConv(c) if quick else c for c, quick in zip(convs, self.quick, strict=True))

    def forward(self, x: Tensor) -> list[Tensor]:
        tiles = None if self.tiles is None else self.tiles(x)
        pairs = zip(self.convs, self.quick, strict=True)
        return [conv(tiles, x.shape[2]) if quick else conv(x) for conv, quick in pairs]


def worth(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (3, 3) and min(conv.in_channels, conv.out_channels) >= WORTH


class DepthConv(nn.Module):
    """A 3-D convolution of 3 or 7 taps over slices: (depth, inputs, H, W) -> (depth, outputs, H, W), depth 4, 8, ...

    ``inputs`` and ``outputs`` may be more than the weight has: channels of zeros, in and out.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, depth: int, inputs: int | None = None, outputs: int | None = None
    ) -> None:
        super().__init__()
        found, has, count = weight.shape[:3]
        more = (outputs or found) - found
        weight = F.pad(weight.detach(), (0, 0) * 3 + (0, (inputs or has) - has, 0, more))
        self.shape = *weight.shape[:2], *weight.shape[3:]
        self.weight = nn.Parameter(weight.movedim(2, 0).flatten(1).contiguous())
        self.bias = nn.Parameter(F.pad(bias.detach(), (0, more)))
        tile, taps, back = transforms(count)
        self.taps = nn.Parameter(taps.float())
        tiles = depth // OUT
        spread, gather = torch.zeros(len(tile), tiles, depth), torch.zeros(tiles, OUT, len(tile), tiles)
        for index in range(tiles):
            first = index * OUT - count // 2
            inside = range(max(0, first), min(depth, first + len(tile)))
            spread[:, index, inside] = tile[:, [place - first for place in inside]].float()
            gather[index, :, :, index] = back.float()
        self.spread = nn.Parameter(spread)
        self.gather = nn.Parameter(gather.flatten(2).flatten(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.unflatten(self.taps @ self.weight, 1, self.shape).unbind()
        flat, parts = x.flatten(1), []
        for index, (weight, mix) in enumerate(zip(weights, self.spread.unbind(), strict=True)):
            mixed = (mix @ flat).view(-1, *x.shape[1:])
            bias = self.bias if index == ONE else None
            parts.append(F.conv2d(mixed, weight, bias, padding=weight.shape[-1] // 2))
        every = torch.cat(parts)
        return (self.gather @ every.flatten(1)).view(-1, *every.shape[1:])
