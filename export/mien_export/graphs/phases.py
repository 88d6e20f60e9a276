"""Convolutions around a doubling of height and width, computed at the lower resolution, phase by phase.

A phase is the pixels of one place in each 2x2 block: (row, column) of (0, 0), (0, 1), (1, 0), (1, 1). Where pixels are
repeated before a 3x3 convolution, two of its taps fall on one pixel in each direction: four kernels of 2x2 do the work
of nine taps with four. All is exact, the zero padding too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))


class Doubling(nn.Module):
    """Nearest x2, a 3x3 convolution and ReLU: (N, I, H, W) -> the four phases (N, O, H, W) of (N, O, 2H, 2W)."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        assert conv.kernel_size == (3, 3) and conv.bias is not None
        weight = conv.weight.detach()
        self.weights = nn.ParameterList(_merged(_merged(weight, 2, row), 3, column) for row, column in PLACES)
        self.bias = nn.Parameter(conv.bias.detach().clone())

    def forward(self, x: Tensor) -> list[Tensor]:
        phases = []
        for (row, column), weight in zip(PLACES, self.weights, strict=True):
            padded = F.pad(x, (1 - column, column, 1 - row, row))
            phases.append(F.relu(F.conv2d(padded, weight, self.bias)))
        return phases


def _merged(weight: Tensor, axis: int, place: int) -> Tensor:
    """The taps that meet on one pixel added: three along ``axis`` to two."""
    first, middle, last = weight.unbind(axis)
    pair = (first, middle + last) if place == 0 else (first + middle, last)
    return torch.stack(pair, axis)


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
