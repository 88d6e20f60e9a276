"""A 3x3 convolution of a picture enlarged by repetition, computed on the small picture.

Enlarged pixels that a kernel covers are often the same small one: their weights are summed. Each place within the
enlarged block (phase) has a kernel of its own, of 2 taps along an axis at the block's rim and 1 inside. Zero padding
stays exact: the pixel before the first block is the small picture's padding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def merged(taps: Tensor, first: bool, last: bool) -> Tensor:
    """(..., 3) -> (..., 1 or 2): the taps of a phase that is the ``first`` or ``last`` of its block, else inside."""
    before, here, behind = taps.unbind(-1)
    if first:
        return torch.stack([before, here + behind], -1)
    if last:
        return torch.stack([before + here, behind], -1)
    return (before + here + behind)[..., None]


class EnlargedConv(nn.Module):
    """(N, I, H, W) -> (N, O, factor * H, factor * W), ``factor`` 2 or more."""

    def __init__(self, weight: Tensor, bias: Tensor, factor: int) -> None:
        super().__init__()
        kinds = ("first", "last") if factor == 2 else ("first", "inside", "last")
        self.order = [0, *[1] * (factor - 2), len(kinds) - 1]
        self.pads = [(int(kind == "first"), int(kind == "last")) for kind in kinds]
        weights = []
        for row in kinds:
            rows = merged(weight.detach().transpose(2, 3), row == "first", row == "last").transpose(2, 3)
            weights += [merged(rows, column == "first", column == "last").contiguous() for column in kinds]
        self.weights = nn.ParameterList(weights)
        self.bias = nn.Parameter(bias.detach().clone())

    def phase(self, x: Tensor, row: int, column: int) -> Tensor:
        weight = self.weights[row * len(self.pads) + column]
        return F.conv2d(F.pad(x, self.pads[column] + self.pads[row]), weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        rows = []
        for row in range(len(self.pads)):
            columns = [self.phase(x, row, column) for column in range(len(self.pads))]
            rows.append(torch.stack([columns[index] for index in self.order], 4).flatten(3))
        return torch.stack([rows[index] for index in self.order], 3).flatten(2, 3)
