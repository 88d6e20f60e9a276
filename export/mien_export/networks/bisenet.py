"""BiSeNet with a ResNet-18: the parts of a face as 19 labels.

Paper: BiSeNet (Yu et al. 2018), as changed for faces by zllrunning/face-parsing.PyTorch (MIT): the spatial path is the
ResNet's own map at 1/8. Its weights were trained on CelebAMask-HQ (non-commercial research). Keys are that
repository's. Pictures are float NCHW, RGB, normalised with ImageNet's mean and deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LABELS = (
    "background", "skin", "left brow", "right brow", "left eye", "right eye", "glasses", "left ear", "right ear",
    "earring", "nose", "mouth", "upper lip", "lower lip", "neck", "necklace", "cloth", "hair", "hat",
)  # fmt: skip
"""What the public weights' labels mean, by index; left and right as CelebAMask-HQ names them."""

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of RGB in [0, 1], taken off and divided by before the network."""


class ConvBNReLU(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class BasicBlock(nn.Module):
    """ResNet's block of two convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if inputs != outputs or stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.downsample(x) + self.bn2(self.conv2(inner)))


@dataclass(frozen=True)
class Backbone:
    """What the ResNet hands on: the map after the first pooling (1/4), and those at 1/8, 1/16 and 1/32."""

    maxpool: Tensor
    feat8: Tensor
    feat16: Tensor
    feat32: Tensor


class Resnet18(nn.Module):
    """Without its classifier; ``width`` channels at first, twice as many at each halving."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(BasicBlock(width, width, 1), BasicBlock(width, width, 1))
        self.layer2 = nn.Sequential(BasicBlock(width, 2 * width, 2), BasicBlock(2 * width, 2 * width, 1))
        self.layer3 = nn.Sequential(BasicBlock(2 * width, 4 * width, 2), BasicBlock(4 * width, 4 * width, 1))
        self.layer4 = nn.Sequential(BasicBlock(4 * width, 8 * width, 2), BasicBlock(8 * width, 8 * width, 1))

    def forward(self, x: Tensor) -> Backbone:
        maxpool = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        feat8 = self.layer2(self.layer1(maxpool))
        feat16 = self.layer3(feat8)
        return Backbone(maxpool, feat8, feat16, self.layer4(feat16))


class AttentionRefinement(nn.Module):
    """A convolution whose channels are gated by their own means; the gate has a normalisation and no ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(inputs, outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.conv(x)
        gate = self.bn_atten(self.conv_atten(features.mean((2, 3), keepdim=True)))
        return features * torch.sigmoid(gate)


@dataclass(frozen=True)
class Context:
    """The context path's maps: refined ones, and those handed on at 1/8 and 1/16 of the picture."""

    backbone: Backbone
    arm32: Tensor
    arm16: Tensor
    feat_cp16: Tensor
    feat_cp8: Tensor


class ContextPath(nn.Module):
    """From the ResNet's coarse maps back up to 1/8, by repeating pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.resnet = Resnet18(width)
        self.arm16 = AttentionRefinement(4 * width, 2 * width)
        self.arm32 = AttentionRefinement(8 * width, 2 * width)
        self.conv_head32 = ConvBNReLU(2 * width, 2 * width)
        self.conv_head16 = ConvBNReLU(2 * width, 2 * width)
        self.conv_avg = ConvBNReLU(8 * width, 2 * width, 1)

    def forward(self, x: Tensor) -> Context:
        maps: Backbone = self.resnet(x)
        arm32, arm16 = self.arm32(maps.feat32), self.arm16(maps.feat16)
        average = self.conv_avg(maps.feat32.mean((2, 3), keepdim=True))
        feat_cp16 = self.conv_head32(F.interpolate(arm32 + average, maps.feat16.shape[-2:]))
        feat_cp8 = self.conv_head16(F.interpolate(arm16 + feat_cp16, maps.feat8.shape[-2:]))
        return Context(maps, arm32, arm16, feat_cp16, feat_cp8)


class FeatureFusion(nn.Module):
    """Two maps to one, gated by its channels' means and added to itself; the gate has a ReLU and no normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convblk = ConvBNReLU(inputs, outputs, 1)
        self.conv1 = nn.Conv2d(outputs, outputs // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs // 4, outputs, 1, bias=False)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        features: Tensor = self.convblk(torch.cat([fine, coarse], 1))
        gate = torch.sigmoid(self.conv2(F.relu(self.conv1(features.mean((2, 3), keepdim=True)))))
        return features * gate + features


class Head(nn.Module):
    """Features to the scores of each label."""

    def __init__(self, inputs: int, inner: int, labels: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(inputs, inner)
        self.conv_out = nn.Conv2d(inner, labels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.conv_out(self.conv(x))
        return scores


def enlarged(scores: Tensor, like: Tensor) -> Tensor:
    """To the size of ``like``, bilinear with the corner pixels' centres held in place."""
    return F.interpolate(scores, like.shape[-2:], mode="bilinear", align_corners=True)


class BiSeNet(nn.Module):
    """``n_classes`` labels; ``width``: channels of the ResNet's first map (the public weights: 64)."""

    def __init__(self, n_classes: int = 19, width: int = 64) -> None:
        super().__init__()
        self.cp = ContextPath(width)
        self.ffm = FeatureFusion(4 * width, 4 * width)
        self.conv_out = Head(4 * width, 4 * width, n_classes)
        self.conv_out16 = Head(2 * width, width, n_classes)
        self.conv_out32 = Head(2 * width, width, n_classes)

    def fused(self, context: Context) -> Tensor:
        """The map at 1/8 that the labels are read from."""
        features: Tensor = self.ffm(context.backbone.feat8, context.feat_cp8)
        return features

    def scores(self, image: Tensor) -> Tensor:
        """``image`` (N, 3, H, W) -> (N, labels, H, W): the first of `forward`'s, without the work for the others."""
        return enlarged(self.conv_out(self.fused(self.cp(image))), image)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``image`` (N, 3, H, W) -> three (N, labels, H, W): the scores, then those of the two training heads, which
        despite their names read the maps at 1/8 and 1/16."""
        context: Context = self.cp(image)
        coarse = self.conv_out16(context.feat_cp8), self.conv_out32(context.feat_cp16)
        fine = self.conv_out(self.fused(context))
        return enlarged(fine, image), enlarged(coarse[0], image), enlarged(coarse[1], image)
