"""The difference network: which attributes changed between two pictures of a face, and features that show where.

Paper: Song et al., "Editing Out-of-domain GAN Inversion via Differential Activations", ECCV 2022. Weights:
HaoruiSong622/Editing-Out-of-Domain, which states no licence; the keys are those of its ``diff_cam_weight.pt``.
Backbone: ResNet-101 (He et al. 2016), the stride of a block on its 3x3 convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXPANSION = 4
"""Channels that leave a block, in multiples of those inside."""


@dataclass(frozen=True)
class DifferenceFeatures:
    """What the network computes on its way, in that order; sides are those of a 256 x 256 picture."""

    shared_inverted: Tensor
    """(N, 1024, 16, 16), not negative."""
    delta: Tensor
    """(N, 1024, 16, 16): features of the edited picture minus those of the inverted one."""
    activation: Tensor
    """(N, 2048, 8, 8), not negative: what the maps are made of."""
    scores: Tensor
    """(N, attributes): logits."""


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolution around a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(x)))
        inner = F.relu(self.bn2(self.conv2(inner)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(inner)) + shortcut)


def stage(inputs: int, width: int, blocks: int, stride: int) -> list[Bottleneck]:
    """The blocks of one resolution; the first one takes the stride."""
    first = Bottleneck(inputs, width, stride)
    return [first, *(Bottleneck(EXPANSION * width, width) for _ in range(blocks - 1))]


class DifferenceNetwork(nn.Module):
    """A ResNet cut inside its third stage: both pictures pass the first part, their difference the second.

    ``num_class``: attributes. ``blocks``: of the four stages. ``split``: blocks of the third stage before the cut.
    ``width``: channels of the first convolution.
    """

    def __init__(
        self,
        num_class: int = 17,
        blocks: tuple[int, int, int, int] = (3, 4, 23, 3),
        split: int = 10,
        width: int = 64,
    ) -> None:
        super().__init__()
        second, third, fourth = (EXPANSION * width * scale for scale in (1, 2, 4))
        middle = stage(third, 4 * width, blocks[2], 2)
        self.shared = nn.Sequential(
            nn.Conv2d(3, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            nn.Sequential(*stage(width, width, blocks[0], 1)),
            nn.Sequential(*stage(second, 2 * width, blocks[1], 2)),
            *middle[:split],
        )
        # The keys count on from 0 after the cut; the pooling at the end has no weights and no place here.
        self.classifier = nn.Sequential(*middle[split:], nn.Sequential(*stage(fourth, 8 * width, blocks[3], 2)))
        self.fc = nn.Linear(EXPANSION * 8 * width, num_class)

    def forward(self, inverted: Tensor, edited: Tensor) -> DifferenceFeatures:
        """Both (N, 3, H, W), RGB in [-1, 1], H and W multiples of 32."""
        # One batch of 2N: the weights are read once.
        before, after = self.shared(torch.cat([inverted, edited])).unflatten(0, (2, -1))
        delta = after - before
        activation = self.classifier(delta)
        return DifferenceFeatures(before, delta, activation, self.fc(activation.mean((2, 3))))
