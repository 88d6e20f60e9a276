"""What is traced of face parsing: a picture of any generator's size to the labels of its parts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import InputError
from mien_export.graphs.fusing import fused
from mien_export.networks.bisenet import DEVIATION, MEAN, BiSeNet

SIDE = 512
"""Of the picture that the public weights were trained on, and of the labels."""

PAIRS = {"conv": "bn", "conv1": "bn1", "conv2": "bn2", "conv_atten": "bn_atten"}


class Shrink(nn.Module):
    """A picture ``factor`` times smaller through a triangle as wide as it should be: PIL's bilinear, without rounding.

    One strided convolution of 2 * factor taps, which every runtime has, unlike an anti-aliased Resize. At the border
    PIL leaves out the taps that fall outside and divides by what remains; ``rows`` and ``columns`` do that.
    """

    taps: Tensor
    rows: Tensor
    columns: Tensor

    def __init__(self, factor: int, side: int) -> None:
        super().__init__()
        self.factor = factor
        away = torch.arange(1 - factor, factor) if factor % 2 else torch.arange(0.5 - factor, factor)
        line = (1 - away.abs() / factor) / factor
        rest = F.conv1d(torch.ones(1, 1, side), line.view(1, 1, -1), stride=factor, padding=factor // 2).flatten()
        self.register_buffer("taps", (line[:, None] * line).repeat(3, 1, 1, 1))
        self.register_buffer("rows", (1 / rest).view(1, 1, -1, 1))
        self.register_buffer("columns", (1 / rest).view(1, 1, 1, -1))

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (N, 3, side, side) -> (N, 3, side / factor, side / factor)."""
        small = F.conv2d(image, self.taps, stride=self.factor, padding=self.factor // 2, groups=3)
        return small * self.rows * self.columns


class ParsingGraph(nn.Module):
    """``resolution``: side of the pictures, at most `SIDE` or a whole multiple of it; anything else is an InputError.

    The two heads that only training needs are dropped. Of ImageNet's normalisation, the deviation is in the first
    convolution's weights; the mean is taken off beforehand, because it is zeros around the normalised picture that the
    convolution was trained with.
    """

    mean: Tensor

    def __init__(self, network: BiSeNet, resolution: int) -> None:
        super().__init__()
        if resolution < 1 or (resolution > SIDE and resolution % SIDE):
            raise InputError(
                f"Parsing takes pictures of at most {SIDE} pixels a side or of a whole multiple of that; "
                f"asked for {resolution}."
            )
        self.resolution = resolution
        self.shrink = Shrink(resolution // SIDE, resolution) if resolution > SIDE else nn.Identity()
        self.network = fused(network, PAIRS)
        del self.network.conv_out16, self.network.conv_out32
        first = self.network.cp.resnet.conv1.weight
        first.data /= torch.tensor(DEVIATION).view(1, 3, 1, 1)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))

    def scores(self, image: Tensor) -> Tensor:
        """``image`` (N, 3, R, R) RGB in [0, 1] -> (N, labels, 512, 512)."""
        fitting = self.shrink(image)
        if self.resolution < SIDE:
            fitting = F.interpolate(fitting, (SIDE, SIDE), mode="bilinear", align_corners=False)
        return self.network.scores(fitting - self.mean)

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (N, 3, R, R) RGB in [0, 1] -> labels (N, 512, 512) uint8."""
        return self.scores(image).argmax(1).to(torch.uint8)
