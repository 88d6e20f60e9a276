"""Convolutions around a doubling of height and width, computed at the lower resolution, phase by phase.

A phase is the pixels of one place in each 2x2 block: (row, column) of (0, 0), (0, 1), (1, 0), (1, 1). What is done to
pixels one by one can be done to phases, and a convolution too can read them as they are: weaving them into the large
map is put off until something needs it. All is exact, the zero padding too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.graphs.enlarging import EnlargedConv

PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))


class Doubling(nn.Module):
    """Nearest x2, a 3x3 convolution and ReLU: (N, I, H, W) -> the four phases (N, O, H, W) of (N, O, 2H, 2W)."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        assert conv.kernel_size == (3, 3) and conv.bias is not None
        self.conv = EnlargedConv(conv.weight, conv.bias, 2)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [F.relu(self.conv.phase(x, row, column)) for row, column in PLACES]


def woven(phases: list[Tensor]) -> Tensor:
    """Four phases (N, C, H, W) to the map (N, C, 2H, 2W) that they are of."""
    return F.pixel_shuffle(torch.stack(phases, 2).flatten(1, 2), 2)


def phased(conv: nn.Conv2d) -> nn.Conv2d:
    """A convolution of odd size at the doubled resolution as one of phases beside each other (N, 4I, H, W).

    Its outputs are in the order that `torch.nn.functional.pixel_shuffle` weaves: a channel's phases side by side.
    """
    weight = conv.weight.detach()
    outputs, inputs, size, _ = weight.shape
    reach = size // 2
    near = (reach + 1) // 2
    wide = weight.new_zeros(outputs, 4, 4, inputs, 2 * near + 1, 2 * near + 1)
    for to, (row, column) in enumerate(PLACES):
        for y in range(size):
            for x in range(size):
                down, right = row + y - reach, column + x - reach
                source = PLACES.index((down % 2, right % 2))
                wide[:, to, source, :, down // 2 + near, right // 2 + near] = weight[:, :, y, x]
    result = nn.Conv2d(4 * inputs, 4 * outputs, 2 * near + 1, padding=near)
    result.weight = nn.Parameter(wide.flatten(2, 3).flatten(0, 1))
    assert conv.bias is not None
    result.bias = nn.Parameter(conv.bias.detach().repeat_interleave(4))
    return result


class RowsThenSum(nn.Module):
    """A large kernel of few outputs: each of its rows on its own, then the rows' results added, shifted.

    ONNX Runtime computes outputs by 64 at a time; twelve of them take as long, though they are a fifth of the work.
    """

    sum: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        weight = conv.weight.detach()
        outputs, inputs, size, _ = weight.shape
        assert conv.bias is not None and conv.padding[0] == conv.padding[1] == size // 2
        self.rows = nn.Parameter(weight.permute(2, 0, 1, 3).reshape(size * outputs, inputs, 1, size).contiguous())
        shifts = torch.eye(outputs)[:, None, :, None] * torch.eye(size)[None, :, None, :]
        self.register_buffer("sum", shifts.reshape(outputs, size * outputs, size, 1))
        self.bias = nn.Parameter(conv.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        reach = self.sum.shape[2] // 2
        rows = F.conv2d(x, self.rows, padding=(0, reach))
        return F.conv2d(rows, self.sum, self.bias, padding=(reach, 0))
