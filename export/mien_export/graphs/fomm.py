"""What is traced of FOMM: keypoints, what the source alone decides, and what is left for every frame.

All rewrites are exact but for rounding: normalisations folded into convolutions, pixels that nobody reads not
computed, repeated pixels not convolved twice (`mien_export.graphs.phases`), maps that two convolutions read convolved
once, and channels in the order (and number) that the fast kernels take.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mien_export.graphs.minimal import Convs
from mien_export.graphs.phases import Doubling, RowsThenSum, phased, woven
from mien_export.networks import fomm
from mien_export.networks.motion_blocks import (
    AntiAliasInterpolation2d,
    Hourglass,
    ResBlock2d,
    SameBlock2d,
    coordinate_grid,
)

LANES = 16
"""ONNX Runtime's fast layout holds channels by so many."""

FAINTEST = -30.0
"""The logarithm below which a Gaussian does not fall."""


def folded(block: nn.Module) -> nn.Conv2d:
    """A block's convolution with its normalisation in it."""
    assert isinstance(block, SameBlock2d)
    return fused(block.conv, block.norm)


def fused(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """Both as one, in evaluation mode."""
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(conv.eval(), norm.eval())


def convolution(weight: Tensor, bias: Tensor, padding: int) -> nn.Conv2d:
    """Of these weights."""
    outputs, inputs, size, _ = weight.shape
    result = nn.Conv2d(inputs, outputs, size, padding=padding)
    result.weight, result.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return result


def joined(*convolutions: nn.Conv2d) -> nn.Conv2d:
    """Convolutions of one size and one input as one, their outputs behind each other."""
    padding = convolutions[0].padding[0]
    assert isinstance(padding, int)
    biases = [one.bias for one in convolutions if one.bias is not None]
    return convolution(torch.cat([one.weight for one in convolutions]), torch.cat(biases), padding)


class Shrink(nn.Module):
    """The blurred picture, only where it is kept: a convolution with a stride."""

    def __init__(self, down: AntiAliasInterpolation2d) -> None:
        super().__init__()
        self.step = down.step
        self.weight = nn.Parameter(down.weight.detach().clone())

    def forward(self, image: Tensor) -> Tensor:
        channels, _, size, _ = self.weight.shape
        return F.conv2d(image, self.weight, stride=self.step, padding=size // 2, groups=channels)


def shrink(down: AntiAliasInterpolation2d | None) -> nn.Module:
    """Of a network that may look at pictures as they are."""
    return nn.Identity() if down is None else Shrink(down)


class FastHourglass(nn.Module):
    """An hourglass that gives the decoded channels without the input behind them.

    Its input's channels come in another ``order``; further ones, up to whole lanes, count for nothing.
    """

    def __init__(self, network: Hourglass, order: list[int] | None = None) -> None:
        super().__init__()
        down = [folded(block) for block in network.encoder.down_blocks]
        if order is not None:
            bias = down[0].bias
            assert bias is not None
            down[0] = convolution(reordered(down[0].weight, order), bias, 1)
        self.down = nn.ModuleList(down)
        self.up = nn.ModuleList(Doubling(folded(block)) for block in network.decoder.up_blocks)

    def forward(self, x: Tensor) -> Tensor:
        seen = []
        for conv in self.down:
            x = F.avg_pool2d(F.relu(conv(x)), 2)
            seen.append(x)
        out = seen.pop()
        for block in self.up:
            out = woven(block(out))
            if seen:
                out = torch.cat([out, seen.pop()], 1)
        return out


def reordered(weight: Tensor, order: list[int]) -> Tensor:
    """A kernel for inputs in another order, with zeros for those that fill up the lanes."""
    return F.pad(weight.detach()[:, order], (0, 0, 0, 0, 0, -len(order) % LANES))


class KeypointsGraph(nn.Module):
    """Pictures to keypoints and affine maps."""

    def __init__(self, network: fomm.KPDetector) -> None:
        super().__init__()
        assert network.jacobian is not None
        self.shrink = shrink(network.down)
        self.hourglass = FastHourglass(network.predictor)
        self.read = joined(network.kp, network.jacobian)
        self.decoded = network.predictor.out_filters - network.predictor.in_features
        self.points, self.maps = network.kp.out_channels, network.maps
        self.temperature = network.temperature

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``image`` (N, 3, 256, 256) in [0, 1] -> value (N, K, 2), jacobian (N, K, 2, 2)."""
        small = self.shrink(image)
        features = self.hourglass(small)
        weight, bias, padding = self.read.weight, self.read.bias, self.read.padding
        # The few raw channels apart: together they are no number of channels for the fast layout.
        of_small = F.conv2d(small, weight[:, self.decoded :], None, padding=padding)
        raw = F.conv2d(features, weight[:, : self.decoded], bias, padding=padding) + of_small
        height, width = raw.shape[-2:]
        heat = torch.softmax(raw[:, : self.points].flatten(2) / self.temperature, -1)
        value = heat @ coordinate_grid(height, width, raw).reshape(-1, 2)
        maps = raw[:, self.points :].reshape(-1, self.maps, 4, height * width)
        return value, (heat[:, :, None] * maps).sum(-1).reshape(-1, self.points, 2, 2)


class AppearanceGraph(nn.Module):
    """A source picture to its features, and to the small picture that the motion is found on."""

    def __init__(self, network: fomm.OcclusionAwareGenerator) -> None:
        super().__init__()
        self.first = folded(network.first)
        self.down = nn.ModuleList(folded(block) for block in network.down_blocks)
        self.shrink = shrink(network.dense_motion_network.down)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``image`` (1, 3, 256, 256) in [0, 1] -> features (1, 256, 64, 64), small (1, 3, 64, 64)."""
        out = F.relu(self.first(image))
        for conv in self.down:
            out = F.avg_pool2d(F.relu(conv(out)), 2)
        return out, self.shrink(image)


class MotionField(nn.Module):
    """Where every pixel looks, and how much of it the source shows."""

    def __init__(self, network: fomm.DenseMotionNetwork) -> None:
        super().__init__()
        self.hypotheses = network.mask.out_channels
        raw = network.hourglass.in_features
        order = made_order(self.hypotheses, raw // self.hypotheses - 1)
        self.spare = -len(order) % LANES
        self.variance = network.kp_variance
        self.hourglass = FastHourglass(network.hourglass, order)
        self.occludes = network.occlusion is not None
        read = joined(network.mask, *([network.occlusion] if network.occlusion is not None else []))
        decoded, seen = read.weight.detach()[:, :-raw], read.weight.detach()[:, -raw:]
        read.weight = nn.Parameter(torch.cat([decoded, reordered(seen, order)], 1))
        self.read = RowsThenSum(read)

    def forward(
        self,
        small: Tensor,
        source_value: Tensor,
        source_jacobian: Tensor,
        driving_value: Tensor,
        driving_jacobian: Tensor,
    ) -> tuple[Tensor, Tensor | None]:
        """Deformation (1, h, w, 2), occlusion (1, 1, h, w) or None."""
        height, width = small.shape[-2:]
        grid = coordinate_grid(height, width, small)
        motions = hypotheses(grid.reshape(-1, 2), source_value, source_jacobian, driving_value, driving_jacobian)
        # Pictures of all hypotheses below each other are one picture, sampled in one go.
        moved = F.grid_sample(small, motions.reshape(1, -1, width, 2), align_corners=False)
        heat = self.heat(driving_value, grid) - self.heat(source_value, grid)
        still = torch.zeros(1, self.spare, height, width, dtype=small.dtype)
        seen = torch.cat([heat, moved.reshape(1, -1, height, width), still], 1)
        raw = self.read(torch.cat([self.hourglass(seen), seen], 1))
        mask = torch.softmax(raw[:, : self.hypotheses], 1).reshape(self.hypotheses, -1, 1)
        deformation = (mask * motions).sum(0).reshape(1, height, width, 2)
        return deformation, torch.sigmoid(raw[:, self.hypotheses :]) if self.occludes else None

    def heat(self, value: Tensor, grid: Tensor) -> Tensor:
        """(1, K, h, w): a Gaussian at each point, a product of one in x and one in y.

        Nowhere below 1e-26: far from their points they would be denormal numbers, which take many times as long.
        """
        x, y = (
            torch.exp(torch.clamp((axis - value[..., i : i + 1]) ** 2 / (-2 * self.variance), min=FAINTEST))
            for i, axis in enumerate((grid[0, :, 0], grid[:, 0, 1]))
        )
        return y[..., :, None] * x[..., None, :]


def made_order(hypotheses: int, colours: int) -> list[int]:
    """Which of the network's input channels come in the order that `MotionField` makes them.

    The network has those of one hypothesis beside each other, its heat map first; here come the heat maps and then,
    colour by colour, what each hypothesis moves. The heat map of the first, which nothing moves, is zero and left out.
    """
    starts = range(0, hypotheses * (colours + 1), colours + 1)
    return [*starts[1:], *(start + 1 + colour for colour in range(colours) for start in starts)]


def hypotheses(
    places: Tensor, source: Tensor, source_jacobian: Tensor, driving: Tensor, driving_jacobian: Tensor
) -> Tensor:
    """(K + 1, h * w, 2): where nothing and each keypoint's affine motion look from ``places`` (h * w, 2)."""
    affine = (source_jacobian @ fomm.inverse_2x2(driving_jacobian))[0]
    offset = source[0] - (affine @ driving[0, :, :, None])[..., 0]
    return torch.cat([places[None], places @ affine.transpose(1, 2) + offset[:, None]])


class Residual(nn.Module):
    """`ResBlock2d` with its second normalisation folded; the first stands before a ReLU and stays."""

    def __init__(self, block: nn.Module, minimal: bool) -> None:
        super().__init__()
        assert isinstance(block, ResBlock2d)
        self.norm = block.norm1
        self.conv1 = Convs([fused(block.conv1, block.norm2)], minimal)
        self.conv2 = Convs([block.conv2], minimal)

    def forward(self, x: Tensor) -> Tensor:
        (inner,) = self.conv1(F.relu(self.norm(x)))
        (out,) = self.conv2(F.relu(inner))
        moved: Tensor = out + x
        return moved


class GeneratorGraph(nn.Module):
    """What a source alone decided, and both faces' keypoints, to the picture.

    ``minimal``: the bottleneck, two thirds of the work, by `mien_export.graphs.minimal`, for float32 on a CPU; False
    for lower precisions.
    """

    def __init__(self, network: fomm.OcclusionAwareGenerator, minimal: bool = True) -> None:
        super().__init__()
        self.field = MotionField(network.dense_motion_network)
        self.bottleneck = nn.Sequential(*(Residual(block, minimal) for block in network.bottleneck))
        self.up = nn.ModuleList(Doubling(folded(block)) for block in network.up_blocks)
        self.final = RowsThenSum(phased(network.final))

    def forward(
        self,
        features: Tensor,
        small: Tensor,
        source_value: Tensor,
        source_jacobian: Tensor,
        driving_value: Tensor,
        driving_jacobian: Tensor,
    ) -> Tensor:
        """-> image (1, 3, 256, 256) in [0, 1]. Values (1, K, 2), jacobians (1, K, 2, 2)."""
        deformation, occlusion = self.field(small, source_value, source_jacobian, driving_value, driving_jacobian)
        out = fomm.warped(features, deformation)
        if occlusion is not None:
            out = out * fomm.resized(occlusion, out.shape[-2:])
        out = self.bottleneck(out)
        *earlier, last = self.up
        for block in earlier:
            out = woven(block(out))
        return torch.sigmoid(F.pixel_shuffle(self.final(torch.cat(last(out), 1)), 2))
