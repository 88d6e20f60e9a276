"""3x3 convolutions with a quarter of the multiplications: Winograd's minimal filtering, F(4x4, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016. Tiles of 6x6 pixels are transformed, 36
matrix products mix the channels, and each result is turned back to 4x4 pixels. ONNX Runtime's CPU kernels never do
this; float32 loses little by it (2e-6 of the largest value), float16 too much. GPU runtimes have it of their own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
"""Where the polynomials are evaluated; with infinity, six for four outputs of three taps."""

OUT, TAPS = 4, 3
TILE = OUT + TAPS - 1

WORTH = 128
"""Fewest channels, in and out, for which the saved products outweigh the transforms (measured on two cores)."""


def transforms() -> tuple[Tensor, Tensor, Tensor]:
    """float64: of a tile (6, 6), of the taps (6, 3), and back (4, 6), along one axis."""
    points = torch.tensor(POINTS, dtype=torch.float64)
    back = torch.zeros(OUT, TILE, dtype=torch.float64)
    taps, tile = torch.zeros(TILE, TAPS, dtype=torch.float64), torch.zeros(TILE, TILE, dtype=torch.float64)
    for index, point in enumerate(points):
        others = torch.cat([points[:index], points[index + 1 :]])
        back[:, index] = point ** torch.arange(OUT)
        taps[index] = point ** torch.arange(TAPS) / (point - others).prod()
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
        assert conv.bias is not None
        self.bias = nn.Parameter(conv.bias.detach()[:, None, None].clone())

    def forward(self, tiles: Tensor, height: int) -> Tensor:
        weight = torch.unflatten(self.taps @ self.weight, 1, self.widths)
        mixed = self.back @ (weight @ tiles).transpose(0, 1)
        placed = torch.unflatten(mixed, 2, (height // OUT, -1)).flatten(0, 1)[None]
        return F.pixel_shuffle(placed, OUT) + self.bias


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
    return conv.kernel_size == (3, 3) and conv.bias is not None and min(conv.in_channels, conv.out_channels) >= WORTH
