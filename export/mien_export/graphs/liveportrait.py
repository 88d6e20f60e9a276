"""What is traced of LivePortrait: `AppearanceGraph` once a source, `MotionGraph` and `GeneratorGraph` every frame."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mien_export.graphs.liveportrait_decoder import Decoder
from mien_export.graphs.liveportrait_warp import Still, Warp
from mien_export.graphs.slices import SlicedConv
from mien_export.networks.liveportrait import (
    AppearanceFeatureExtractor,
    MotionExtractor,
    SPADEDecoder,
    StitchingRetargetingNetwork,
    WarpingNetwork,
)
from mien_export.networks.liveportrait.blocks import DownBlock2d, ResBlock3d

BIN_DEGREES, FIRST_DEGREES = 3.0, -97.5


def degrees(logits: Tensor) -> Tensor:
    """(N, 66) -> (N, 1), the mean angle over the bins."""
    bins = torch.arange(logits.shape[1], dtype=logits.dtype) * BIN_DEGREES + FIRST_DEGREES
    return (logits.softmax(1) * bins).sum(1, keepdim=True)


class MotionGraph(nn.Module):
    """A face to its pose and its points, decoded."""

    def __init__(self, network: MotionExtractor) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """``image`` (N, 3, 256, 256) RGB [0, 1].

        -> angles (N, 3) pitch, yaw, roll in degrees, translation (N, 3), expression (N, K, 3), scale (N, 1),
        keypoints (N, K, 3) canonical.
        """
        out = self.network(image)
        angles = torch.cat([degrees(out.pitch), degrees(out.yaw), degrees(out.roll)], 1)
        shape = self.network.num_kp, 3
        expression, keypoints = (torch.unflatten(points, 1, shape) for points in (out.expression, out.keypoints))
        return angles, out.translation, expression, out.scale, keypoints


class SlicedResBlock(nn.Module):
    """`ResBlock3d` on (D, C, H, W)."""

    def __init__(self, block: ResBlock3d) -> None:
        super().__init__()
        self.conv_1, self.conv_2 = (sliced(conv) for conv in (block.conv1, block.conv2))
        self.norm_1, self.norm_2 = (as_2d(norm) for norm in (block.norm1, block.norm2))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv_1(F.relu(self.norm_1(x)))
        out: Tensor = self.conv_2(F.relu(self.norm_2(inner))) + x
        return out


def sliced(conv: nn.Conv3d) -> SlicedConv:
    assert conv.bias is not None
    return SlicedConv(conv.weight, conv.bias)


def as_2d(norm: nn.BatchNorm3d) -> nn.BatchNorm2d:
    """The same over a batch of slices."""
    found = nn.BatchNorm2d(norm.num_features, norm.eps)
    found.load_state_dict(norm.state_dict())
    return found.eval()


class AppearanceGraph(nn.Module):
    """A source to its volume and to all that the generator needs of the source alone."""

    def __init__(self, network: AppearanceFeatureExtractor, warp: WarpingNetwork) -> None:
        super().__init__()
        network, warp = copy.deepcopy(network).eval(), copy.deepcopy(warp).eval()
        self.first = fuse_conv_bn_eval(network.first.conv, network.first.norm)
        self.down = nn.ModuleList(
            fuse_conv_bn_eval(block.conv, block.norm) for block in network.down_blocks if isinstance(block, DownBlock2d)
        )
        self.second, self.shape = network.second, network.shape
        self.blocks = nn.Sequential(
            *(SlicedResBlock(block) for block in network.resblocks_3d if isinstance(block, ResBlock3d))
        )
        self.still = Still(warp.dense_motion_network)

    def forward(self, image: Tensor, source_points: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``image`` (1, 3, 256, 256) RGB [0, 1], ``source_points`` (1, 21, 3).

        -> volume (1, 32, 16, 64, 64), compressed (1, 4, 16, 64, 64), context (16, 4, 64, 64): the compressed volume
        as the hypothesis that nothing moves sees it, context_heat (16, 21, 64, 64): the source's heat maps.
        """
        x = F.relu(self.first(image))
        for conv in self.down:
            x = F.avg_pool2d(F.relu(conv(x)), 2)
        slices = torch.unflatten(self.second(x)[0], 0, self.shape).transpose(0, 1)
        volume = self.blocks(slices).transpose(0, 1)[None]
        compressed, background, heat = self.still(volume, source_points)
        return volume, compressed, background, heat


class Stitching(nn.Module):
    """Driving points to those that are finally used."""

    def __init__(self, network: StitchingRetargetingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, source: Tensor, driving: Tensor, stitching: Tensor, offsets: Tensor, multiplier: Tensor
    ) -> Tensor:
        """Points and offsets (1, K, 3); ``stitching`` (1,) 0 or 1; ``multiplier`` (1,) of the whole motion, last."""
        found = self.network(torch.cat([source.flatten(1), driving.flatten(1)], 1))
        each, place = found[:, :-2].view_as(driving), F.pad(found[:, -2:], (0, 1))
        points = driving + stitching * (each + place[:, None]) + offsets
        final: Tensor = source + (points - source) * multiplier
        return final


class GeneratorGraph(nn.Module):
    """Points to the picture: stitching, warp and decoder, so that nothing returns to the host in between."""

    def __init__(
        self,
        warp: WarpingNetwork,
        decoder: SPADEDecoder,
        stitching: StitchingRetargetingNetwork,
        minimal: bool = True,
    ) -> None:
        """``minimal``: 3x3 convolutions by `mien_export.graphs.minimal`, for float32 on a CPU; False for float16."""
        super().__init__()
        self.stitch = Stitching(stitching)
        self.warp = Warp(copy.deepcopy(warp).eval(), minimal)
        self.decoder = Decoder(decoder, minimal)

    def forward(
        self,
        volume: Tensor,
        compressed: Tensor,
        context: Tensor,
        context_heat: Tensor,
        source_points: Tensor,
        driving_points: Tensor,
        stitching: Tensor,
        offsets: Tensor,
        multiplier: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """What `AppearanceGraph` gave of a source, its points and the driver's (1, 21, 3), and as `Stitching` says.

        -> image (1, 3, 512, 512) RGB [0, 1], points (1, 21, 3) that were finally used.
        """
        points = self.stitch(source_points, driving_points, stitching, offsets, multiplier)
        feature = self.warp(volume, compressed, context, context_heat, source_points, points)
        return self.decoder(feature), points


class RetargetGraph(nn.Module):
    """Eyes or lips: ``feature`` (N, 66) or (N, 65), the source's points and ratios, -> ``delta`` (N, 21, 3)."""

    def __init__(self, network: StitchingRetargetingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, feature: Tensor) -> Tensor:
        return torch.unflatten(self.network(feature), 1, (-1, 3))
