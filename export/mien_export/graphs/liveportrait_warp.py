"""LivePortrait's warp as it is traced: one volume, as a stack of slices (D, C, H, W).

Every hypothesis moves the compressed volume by a constant, so that its trilinear sampling is three small matrix
products, one for each axis, and a heat map is a product of three exponentials of one coordinate each. A hypothesis
that stands still, and the source's heat maps, are computed once a source (`Still`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mien_export.graphs.enlarging import EnlargedConv
from mien_export.graphs.minimal import OUT, Convs, DepthConv
from mien_export.graphs.slices import SlicedConv, SummedConv, flattened, neighbours, spare, with_norm
from mien_export.networks.liveportrait.blocks import Block3d, Hourglass
from mien_export.networks.liveportrait.warp import SPREAD, DenseMotionNetwork, WarpingNetwork, identity_grid, sampled

LIGHT = 2**17
"""Inputs times outputs up to which a level of the decoder is computed by phases: their kernels hold 16/9 the weights,
and with more of them reading those takes the time that was gained."""

NOTHING = 1e-10
"""Heat along one axis below this is none."""


def sampling(size: int, shift: Tensor) -> Tensor:
    """(K,) shifts of an axis's coordinate -> (K, size, size): row i samples at i, moved, linearly, nothing outside.

    The grid has its corners aligned and the sampling has not, as trained: i is read at i * size / (size - 1) - 0.5.
    """
    places = torch.arange(size, dtype=shift.dtype)
    at = places * (size / (size - 1)) - 0.5 + shift[:, None] * (size / 2)
    return F.relu(1 - (at[:, :, None] - places).abs())


def profiles(points: Tensor, size: int) -> Tensor:
    """(K,) -> (size, K), the heat along one axis.

    Far away it is exactly 0: denormal numbers, which a product of three would be, take a CPU a hundred times as long.
    """
    heat = torch.exp(-0.5 / SPREAD * (torch.linspace(-1, 1, size)[:, None] - points).square())
    return heat * (heat > NOTHING)


def heat_maps(points: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(1, K, 3) -> (D, K, H, W), 1 at each point."""
    x, y, z = (profiles(points[0, :, axis], size) for axis, size in enumerate(reversed(shape)))
    return (z[:, :, None] * y.T)[..., None] * x.T[:, None]


class Still(nn.Module):
    """What depends on the source alone: its compressed volume, and what the frame's hypotheses need of it."""

    def __init__(self, network: DenseMotionNetwork) -> None:
        super().__init__()
        self.compress = fuse_conv_bn_eval(network.compress, network.norm)

    def forward(self, volume: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """-> compressed (1, 4, D, H, W), background (D, 4, H, W), heat maps (D, K, H, W)."""
        compressed = F.relu(self.compress(volume))
        depth, height, width = volume.shape[2:]
        background = warped(compressed, torch.zeros(1, 3))[:, 0]
        return compressed, background, heat_maps(points, (depth, height, width))


def warped(compressed: Tensor, shift: Tensor) -> Tensor:
    """(1, C, D, H, W), (K, 3) of x, y, z -> (D, K, C, H, W): the volume read at each place plus a shift."""
    _, channels, depth, height, width = compressed.shape
    x, y, z = (sampling(size, shift[:, axis]) for axis, size in enumerate((width, height, depth)))
    rows = compressed.flatten(0, 3)[None] @ x.transpose(1, 2)
    slices = y[:, None] @ torch.unflatten(rows, 1, (channels * depth, height))
    stacks = z[:, None] @ torch.unflatten(slices, 1, (channels, depth)).flatten(3)
    return torch.unflatten(stacks.permute(2, 0, 1, 3), 3, (height, width))


def volume_conv(
    weight: Tensor, bias: Tensor, depth: int, inputs: int | None = None, outputs: int | None = None
) -> SlicedConv | DepthConv:
    """``depth``: of the volume, where minimal filtering may be used, else 0."""
    if depth:
        return DepthConv(weight, bias, depth, inputs, outputs)
    return SlicedConv(weight, bias, inputs, outputs)


class Level(nn.Module):
    """One up block of the hourglass."""

    def __init__(self, block: Block3d, depth: int) -> None:
        super().__init__()
        weight, bias = with_norm(block.conv, block.norm)
        outputs, inputs = weight.shape[:2]
        small = inputs * outputs <= LIGHT
        self.enlarged = EnlargedConv(flattened(weight, inputs), bias, 2) if small else None
        self.conv = None if small else volume_conv(weight, bias, depth)

    def forward(self, x: Tensor) -> Tensor:
        if self.enlarged is not None:
            return F.relu(self.enlarged(neighbours(x)))
        assert self.conv is not None
        return F.relu(self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest")))


def blocks_of(modules: nn.ModuleList) -> list[Block3d]:
    return [block for block in modules if isinstance(block, Block3d)]


class SlicedHourglass(nn.Module):
    """(D, I, H, W) -> (D, O, H, W); ``inputs`` channels, those behind the network's own being zeros."""

    def __init__(self, network: Hourglass, order: list[int], depth: int) -> None:
        """``order``: which of the network's inputs each input here is. ``depth``: see `volume_conv`."""
        super().__init__()
        inputs = len(order) + spare(len(order))
        first, *others = blocks_of(network.encoder.down_blocks)
        weight, bias = with_norm(first.conv, first.norm)
        self.down = nn.ModuleList([volume_conv(weight[:, order], bias, depth, inputs)])
        self.down.extend(volume_conv(*with_norm(block.conv, block.norm), depth) for block in others)
        self.up = nn.ModuleList(Level(block, depth) for block in blocks_of(network.decoder.up_blocks))
        last = network.decoder
        weight, bias = with_norm(last.conv, last.norm)
        found = last.out_filters - first.conv.in_channels
        weight = torch.cat([weight[:, :found], weight[:, found:][:, order]], 1)
        self.outputs = len(weight) + spare(len(weight))
        self.last = volume_conv(weight, bias, depth, found + inputs, self.outputs)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for conv in self.down:
            seen.append(F.avg_pool2d(F.relu(conv(seen[-1])), 2))
        out = seen.pop()
        for level in self.up:
            out = torch.cat([level(out), seen.pop()], 1)
        return F.relu(self.last(out))


class Occlusion(nn.Module):
    """A convolution of thousands of inputs and one output: every tap's share first, then the shares shifted and summed.

    The fast layout computes no fewer than 16 outputs; here they are the 49 taps.
    """

    def __init__(self, conv: nn.Conv2d, filters: int, inputs: int) -> None:
        super().__init__()
        side = conv.kernel_size[0]
        weight = conv.weight.detach()[0].view(filters, -1, side * side).permute(2, 1, 0)
        self.weight = nn.Parameter(F.pad(weight, (0, inputs - filters)).flatten(1)[:, :, None, None].contiguous())
        self.taps = nn.Parameter(torch.eye(side * side).view(1, side * side, side, side))
        assert conv.bias is not None
        self.bias = nn.Parameter(conv.bias.detach().clone())

    def forward(self, features: Tensor) -> Tensor:
        """(D, C, H, W) -> (1, 1, H, W), 1 where the source can be seen."""
        shares = F.conv2d(features.flatten(0, 1)[None], self.weight)
        return torch.sigmoid(F.conv2d(shares, self.taps, self.bias, padding=self.taps.shape[-1] // 2))


class Warp(nn.Module):
    """`WarpingNetwork`, rewritten, behind `Still`."""

    def __init__(self, network: WarpingNetwork, minimal: bool = False) -> None:
        """``minimal``: by Winograd's way, where it is worth it; see `mien_export.graphs.minimal`."""
        super().__init__()
        dense = network.dense_motion_network
        hypotheses, channels = dense.mask.out_channels, dense.compress.out_channels + 1
        moving, features = range(1, hypotheses), range(1, channels)
        order = [k * channels for k in moving]
        order += [k * channels + c for k in moving for c in features] + [*features]
        self.spare = spare(len(order))
        depth = dense.depth if minimal and dense.depth % OUT == 0 else 0
        self.hourglass = SlicedHourglass(dense.hourglass, order, depth)
        filters, inputs = dense.mask.in_channels, self.hourglass.outputs
        assert dense.mask.bias is not None
        weight, bias = dense.mask.weight, dense.mask.bias
        self.mask = DepthConv(weight, bias, depth, inputs) if depth else SummedConv(weight, bias, inputs)
        self.occlusion = None if dense.occlusion is None else Occlusion(dense.occlusion, filters, inputs)
        self.third = Convs([fuse_conv_bn_eval(network.third.conv, network.third.norm)], minimal)
        self.fourth = network.fourth

    def forward(
        self, volume: Tensor, compressed: Tensor, background: Tensor, heat: Tensor, source: Tensor, driving: Tensor
    ) -> Tensor:
        """Points (1, K, 3), the others as `Still` makes them -> (1, 256, H, W)."""
        depth, _, height, width = heat.shape
        shift = source[0] - driving[0]
        change = heat_maps(driving, (depth, height, width)) - heat
        nothing = torch.zeros(depth, self.spare, height, width)
        features = self.hourglass(torch.cat([change, warped(compressed, shift).flatten(1, 2), background, nothing], 1))
        mixture = self.mask(features).softmax(1)[:, 1:].flatten(2)
        grid = identity_grid((depth, height, width)).view(depth, -1, 3)
        deformation = (grid + mixture.transpose(1, 2) @ shift).view(1, depth, height, width, 3)
        moved = F.leaky_relu(self.third(sampled(volume, deformation).flatten(1, 2))[0], 0.01)
        out: Tensor = self.fourth(moved)
        return out if self.occlusion is None else out * self.occlusion(features)
