"""What is traced of TPSMM: what the source alone decides, and what is left for every frame.

All rewrites are exact but for rounding: repeated pixels not convolved twice (`mien_export.graphs.enlarging`), 3x3
convolutions with fewer products (`mien_export.graphs.minimal`), biases that a normalisation takes away again left out,
maps that two convolutions read convolved once, all pictures of a size sampled in one go. The splines' equations are
solved by whoever runs the graph: no exporter knows how.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.graphs.enlarging import EnlargedConv
from mien_export.graphs.fomm import LANES, convolution, joined, reordered, shrink
from mien_export.graphs.minimal import Convs
from mien_export.graphs.phases import PLACES, RowsThenSum, woven
from mien_export.networks import tpsmm
from mien_export.networks.motion_blocks import Hourglass, ResBlock2d, SameBlock2d, coordinate_grid
from mien_export.networks.tpsmm import GROUP

NEAREST = 1e-9
"""Squared distances below it have its logarithm, which is finite; times themselves nothing is left of them."""

FAINTEST = -60.0
"""The logarithm below which a Gaussian does not fall: denormal numbers take many times as long."""


def centred(conv: nn.Conv2d) -> nn.Conv2d:
    """Without its bias, which the normalisation behind it takes out with the mean."""
    result = convolution(conv.weight, conv.weight.new_zeros(len(conv.weight)), conv.weight.shape[-1] // 2)
    result.bias = None
    return result


class Same(nn.Module):
    """`SameBlock2d`: convolution, each channel's mean and deviation taken out, a scale and a shift put in, ReLU."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        assert isinstance(block, SameBlock2d)
        self.conv = centred(block.conv)
        self.norm = block.norm

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Up(nn.Module):
    """`UpBlock2d`, phase by phase up to the normalisation."""

    def __init__(self, block: nn.Module, weight: Tensor | None = None) -> None:
        super().__init__()
        assert isinstance(block, SameBlock2d)
        conv = block.conv.weight if weight is None else weight
        self.conv = EnlargedConv(conv, conv.new_zeros(len(conv)), 2)
        self.norm = block.norm

    def forward(self, x: Tensor) -> Tensor:
        large = woven([self.conv.phase(x, row, column) for row, column in PLACES])
        return F.relu(self.norm(large))


class Residual(nn.Module):
    """`ResBlock2d`; ``minimal`` as `mien_export.graphs.minimal.Convs`."""

    def __init__(self, block: nn.Module, minimal: bool) -> None:
        super().__init__()
        assert isinstance(block, ResBlock2d)
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.conv1, self.conv2 = Convs([centred(block.conv1)], minimal), Convs([block.conv2], minimal)

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.conv1(F.relu(self.norm1(x)))[0]
        out: Tensor = self.conv2(F.relu(self.norm2(inner)))[0] + x
        return out


class FastHourglass(nn.Module):
    """An hourglass that gives what its decoder hands on at its last two levels.

    Its input's channels come in another ``order``; further ones, up to whole lanes, count for nothing.
    """

    def __init__(self, network: Hourglass, order: list[int]) -> None:
        super().__init__()
        self.down = nn.ModuleList(Same(block) for block in network.encoder.down_blocks)
        first = self.down[0]
        assert isinstance(first, Same)
        first.conv.weight = nn.Parameter(reordered(first.conv.weight, order))
        self.up = nn.ModuleList(Up(block) for block in network.decoder.up_blocks)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen = [x]
        for block in self.down:
            seen.append(F.avg_pool2d(block(seen[-1]), 2))
        before = out = seen.pop()
        for block in self.up:
            before, out = out, torch.cat([block(out), seen.pop()], 1)
        return before, out


class MotionField(nn.Module):
    """Where every pixel looks, and how much of what is there the source shows."""

    def __init__(self, network: tpsmm.DenseMotionNetwork) -> None:
        super().__init__()
        self.hypotheses = network.maps.out_channels
        raw = network.hourglass.in_features
        order = made_order(self.hypotheses, raw)
        self.spare = -len(order) % LANES
        self.variance = network.kp_variance
        self.hourglass = FastHourglass(network.hourglass, order)
        first, second, *others = network.occlusion

        def reading(weight: Tensor) -> Tensor:
            """The hourglass's input, which comes behind what it decoded, in its new order."""
            return torch.cat([weight.detach()[:, :-raw], reordered(weight[:, -raw:], order)], 1)

        assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d) and len(others) == len(network.up) == 2
        read = joined(network.maps, second)
        read.weight = nn.Parameter(reading(read.weight))
        self.read = RowsThenSum(read)
        blocks = [block for block in network.up if isinstance(block, SameBlock2d)]
        self.up = nn.ModuleList([Up(blocks[0], reading(blocks[0].conv.weight)), Up(blocks[1])])
        self.occlusions = nn.ModuleList(RowsThenSum(one) for one in (first, *others) if isinstance(one, nn.Conv2d))

    def forward(
        self, small: Tensor, source_points: Tensor, driving_points: Tensor, splines: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Deformation (1, 2, h, w), occlusions (1, 1, h / 2, w / 2) to (1, 1, 4 h, 4 w)."""
        height, width = small.shape[-2:]
        grid = coordinate_grid(height, width, small)
        near = squares(driving_points, grid)
        motions = torch.cat([grid.permute(2, 0, 1)[None], bent(near, grid, splines)])
        # Pictures of all hypotheses below each other are one picture, sampled in one go.
        looks = motions.permute(0, 2, 3, 1).reshape(1, -1, width, 2)
        moved = F.grid_sample(small, looks, align_corners=True).reshape(1, -1, height, width)
        heat = self.heat(near) - self.heat(squares(source_points, grid))
        still = torch.zeros(1, self.spare, height, width, dtype=small.dtype)
        before, levels = self.hourglass(torch.cat([heat[None], moved, still], 1))
        raw = self.read(levels)
        maps = torch.softmax(raw[:, : self.hypotheses], 1)
        larger = self.up[0](levels)
        largest = self.up[1](larger)
        seen = [read(one) for read, one in zip(self.occlusions, (before, larger, largest), strict=True)]
        seen.insert(1, raw[:, self.hypotheses :])
        return (maps[0, :, None] * motions).sum(0)[None], [torch.sigmoid(one) for one in seen]

    def heat(self, near: Tensor) -> Tensor:
        """(K, h, w): a Gaussian of squared distances."""
        return torch.exp((near / (-2 * self.variance)).clamp(min=FAINTEST))


def made_order(hypotheses: int, inputs: int) -> list[int]:
    """Which of the network's input channels come in the order that `MotionField` makes them.

    The first heat map is zero and left out; behind the heat maps come, colour by colour, what each hypothesis moves,
    where the network has a hypothesis's colours beside each other.
    """
    heats = (hypotheses - 1) * GROUP + 1
    colours = (inputs - heats) // hypotheses
    return [*range(1, heats), *(start for first in range(colours) for start in range(heats + first, inputs, colours))]


def squares(points: Tensor, grid: Tensor) -> Tensor:
    """(K, h, w): squared distances of a grid's pixels (h, w, 2) from points (1, K, 2)."""
    x = (grid[0, :, 0] - points[0, :, :1]) ** 2
    y = (grid[:, 0, 1] - points[0, :, 1:]) ** 2
    return x[:, None] + y[:, :, None]


def bent(near: Tensor, grid: Tensor, splines: Tensor) -> Tensor:
    """(groups, 2, h, w): where each spline (1, groups, 8, 2) looks from a grid's pixels.

    ``near``: (5 groups, h, w) their squared distances from the splines' points.
    """
    height, width = grid.shape[:2]
    curves = (near * torch.log(near.clamp(min=NEAREST))).reshape(-1, GROUP, height * width)
    flat = torch.cat([grid, torch.ones_like(grid[..., :1])], -1).reshape(-1, 3).T
    # One product each: the flat part is large beside the curves, and both in one lose digits.
    moved = splines[0, :, :GROUP].transpose(1, 2) @ curves + splines[0, :, GROUP:].transpose(1, 2) @ flat
    return moved.reshape(-1, 2, height, width)


class AppearanceGraph(nn.Module):
    """A source picture to its maps, the largest with the picture itself behind it, and to the small picture."""

    def __init__(self, motion: tpsmm.DenseMotionNetwork, network: tpsmm.InpaintingNetwork) -> None:
        super().__init__()
        self.first = Same(network.first)
        self.down = nn.ModuleList(Same(block) for block in network.down_blocks)
        self.shrink = shrink(motion.down)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """``image`` (1, 3, 256, 256) in [0, 1] -> four maps of 32 to 256 pixels a side, small (1, 3, 64, 64)."""
        maps = [self.first(image)]
        for block in self.down:
            maps.append(F.avg_pool2d(block(maps[-1]), 2))
        maps[0] = torch.cat([maps[0], image], 1)
        return *reversed(maps), self.shrink(image)


class GeneratorGraph(nn.Module):
    """What a source alone decided, both faces' keypoints and the splines between them, to the picture."""

    def __init__(
        self, motion: tpsmm.DenseMotionNetwork, network: tpsmm.InpaintingNetwork, minimal: bool = False
    ) -> None:
        """``minimal``: by Winograd's way, where it is worth it; see `mien_export.graphs.minimal`."""
        super().__init__()
        assert network.multi_mask
        self.field = MotionField(motion)
        self.residual = nn.ModuleList(Residual(block, minimal) for block in network.resblock)
        self.up = nn.ModuleList(Up(block) for block in network.up_blocks)
        self.final = RowsThenSum(network.final)
        self.colours = network.final.out_channels

    def forward(
        self,
        features_32: Tensor,
        features_64: Tensor,
        features_128: Tensor,
        features_256: Tensor,
        small: Tensor,
        source_points: Tensor,
        driving_points: Tensor,
        splines: Tensor,
    ) -> Tensor:
        """-> image (1, 3, 256, 256) in [0, 1]. Points (1, K, 2), splines (1, K / 5, 8, 2)."""
        deformation, occlusions = self.field(small, source_points, driving_points, splines)
        maps = features_32, features_64, features_128, features_256
        out, *skips = (warped(one, deformation) * shows for one, shows in zip(maps, occlusions, strict=True))
        hidden = 1 - occlusions[-1]
        for level, (up, skip) in enumerate(zip(self.up, skips, strict=True)):
            out = up(self.residual[2 * level + 1](self.residual[2 * level](out)))
            if level + 1 < len(skips):
                out = torch.cat([out, skip], 1)
        features, picture = skips[-1].split([out.shape[1], self.colours], 1)
        image: Tensor = torch.sigmoid(self.final(out * hidden + features)) * hidden + picture
        return image


def warped(maps: Tensor, deformation: Tensor) -> Tensor:
    """``maps`` (1, C, H, W) as the deformation (1, 2, h, w) looks at them."""
    grid = tpsmm.resized(deformation, maps.shape[-2:])
    return F.grid_sample(maps, grid.permute(0, 2, 3, 1), align_corners=True)


class AvdGraph(nn.Module):
    """The driver's pose on the source's shape."""

    def __init__(self, network: tpsmm.AVDNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, source_points: Tensor, driving_points: Tensor) -> Tensor:
        """Both (1, K, 2) -> points (1, K, 2)."""
        points: Tensor = self.network(source_points, driving_points)
        return points
