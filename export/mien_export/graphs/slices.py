"""Volumes as stacks of pictures: (D, C, H, W), so that every 3-D convolution is a 2-D one over a batch of slices.

ONNX Runtime runs 3-D convolutions on one thread and without its fast layout; 2-D ones have both. One volume at a time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

LANES = 16
"""Channels in one step of ONNX Runtime's fast layout, which takes no inputs of another multiple."""


def spare(channels: int) -> int:
    """Channels of zeros to be added."""
    return -channels % LANES


def with_norm(conv: nn.Conv3d, norm: nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution and the normalisation behind it, in one."""
    assert norm.running_mean is not None and norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return weight.detach().clone(), bias.detach().clone()


def shifted(x: Tensor, by: int) -> Tensor:
    """(D, ...): slice d becomes slice d + by of the old stack, zeros where there is none."""
    if by == 0:
        return x
    nothing = torch.zeros_like(x[: abs(by)])
    return torch.cat([x[by:], nothing]) if by > 0 else torch.cat([nothing, x[:by]])


def neighbours(x: Tensor, reach: int = 1) -> Tensor:
    """(D, C, H, W) -> (D, (2 * reach + 1) * C, H, W): each slice with those before and behind it."""
    nothing = torch.zeros_like(x[:reach])
    padded = torch.cat([nothing, x, nothing])
    return torch.cat([padded[by : by + len(x)] for by in range(2 * reach + 1)], 1)


def flattened(weight: Tensor, inputs: int) -> Tensor:
    """(O, I, k, k, k) -> (O, k * inputs, k, k), for what `neighbours` makes of a volume with spare channels."""
    wide = F.pad(weight, (0, 0, 0, 0, 0, 0, 0, inputs - weight.shape[1]))
    return wide.transpose(1, 2).flatten(1, 2).contiguous()


class SlicedConv(nn.Module):
    """A 3-D convolution that reads each slice with its neighbours: (D, inputs, H, W) -> (D, outputs, H, W).

    ``inputs`` and ``outputs`` may be more than the weight has: channels of zeros, in and out.
    """

    def __init__(self, weight: Tensor, bias: Tensor, inputs: int | None = None, outputs: int | None = None) -> None:
        super().__init__()
        more = (outputs or len(weight)) - len(weight)
        weight = F.pad(weight, (0, 0) * 4 + (0, more))
        self.weight = nn.Parameter(flattened(weight.detach(), inputs or weight.shape[1]))
        self.bias = nn.Parameter(F.pad(bias.detach(), (0, more)))
        self.reach = weight.shape[2] // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(neighbours(x, self.reach), self.weight, self.bias, padding=self.weight.shape[-1] // 2)


class SummedConv(nn.Module):
    """The same for few outputs: each slice says what it adds to every neighbour, and that is shifted and summed."""

    def __init__(self, weight: Tensor, bias: Tensor, inputs: int | None = None) -> None:
        super().__init__()
        wide = F.pad(weight.detach(), (0, 0) * 3 + (0, (inputs or weight.shape[1]) - weight.shape[1]))
        self.weight = nn.Parameter(wide.permute(2, 0, 1, 3, 4).flatten(0, 1).contiguous())
        self.bias = nn.Parameter(bias.detach()[:, None, None].clone())
        self.depth = weight.shape[2]

    def forward(self, x: Tensor) -> Tensor:
        parts = F.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2).chunk(self.depth, 1)
        total: Tensor = self.bias
        for index, part in enumerate(parts):
            total = total + shifted(part, index - self.depth // 2)
        return total
