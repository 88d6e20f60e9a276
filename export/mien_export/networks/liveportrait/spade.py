"""G, the decoder: the warped features to a picture, steered at every step by those same features (SPADE).

Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019. The convolutions carry the
old spectral normalisation of torch: the checkpoint stores ``weight_orig`` and the two vectors it was last divided by.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
MIDDLE_BLOCKS = 6


class SpectralConv2d(nn.Module):
    """A convolution whose weight is ``weight_orig`` over its largest singular value, as STORED vectors u, v say it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        self.weight_orig = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) / (inputs * kernel**2) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.weight_u: Tensor
        self.weight_v: Tensor
        self.register_buffer("weight_u", torch.full((outputs,), outputs**-0.5))
        self.register_buffer("weight_v", torch.full((inputs * kernel**2,), (inputs * kernel**2) ** -0.5))

    def effective_weight(self) -> Tensor:
        """What a plain convolution would store. The vectors are never estimated anew: that changes the picture."""
        sigma = torch.dot(self.weight_u, torch.mv(self.weight_orig.flatten(1), self.weight_v))
        return self.weight_orig / sigma

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.effective_weight(), self.bias, padding=self.weight_orig.shape[-1] // 2)


class SPADE(nn.Module):
    """Instance normalisation, then a scale and a shift for each pixel, read from ``segmap``."""

    def __init__(self, channels: int, label_channels: int, hidden: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(label_channels, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, segmap: Tensor) -> Tensor:
        shared = self.mlp_shared(F.interpolate(segmap, size=x.shape[2:], mode="nearest"))
        out: Tensor = F.instance_norm(x) * (1 + self.mlp_gamma(shared)) + self.mlp_beta(shared)
        return out


class SPADEResnetBlock(nn.Module):
    """Two convolutions behind SPADEs, and a shortcut that has its own where the width changes."""

    def __init__(self, inputs: int, outputs: int, label_channels: int, hidden: int) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.learned_shortcut = inputs != outputs
        self.conv_0 = SpectralConv2d(inputs, middle, 3)
        self.conv_1 = SpectralConv2d(middle, outputs, 3)
        self.norm_0 = SPADE(inputs, label_channels, hidden)
        self.norm_1 = SPADE(middle, label_channels, hidden)
        if self.learned_shortcut:
            self.conv_s = SpectralConv2d(inputs, outputs, 1, bias=False)
            self.norm_s = SPADE(inputs, label_channels, hidden)

    def forward(self, x: Tensor, segmap: Tensor) -> Tensor:
        short = self.conv_s(self.norm_s(x, segmap)) if self.learned_shortcut else x
        inner = self.conv_0(F.leaky_relu(self.norm_0(x, segmap), SLOPE))
        out: Tensor = short + self.conv_1(F.leaky_relu(self.norm_1(inner, segmap), SLOPE))
        return out


class SPADEDecoder(nn.Module):
    """``feature`` (N, 256, 64, 64) -> picture (N, 3, 512, 512) in [0, 1].

    The arguments have the names and, as defaults, the values of the public configuration; ``out_channels`` (before
    the last convolution) and ``hidden`` (of a SPADE) are fixed in the public code.
    """

    def __init__(
        self,
        upscale: int = 2,
        block_expansion: int = 64,
        max_features: int = 512,
        num_down_blocks: int = 2,
        out_channels: int = 64,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        width = min(max_features, block_expansion * 2**num_down_blocks)
        self.fc = nn.Conv2d(width, 2 * width, 3, padding=1)
        for index in range(MIDDLE_BLOCKS):
            self.add_module(f"G_middle_{index}", SPADEResnetBlock(2 * width, 2 * width, width, hidden))
        self.up_0 = SPADEResnetBlock(2 * width, width, width, hidden)
        self.up_1 = SPADEResnetBlock(width, out_channels, width, hidden)
        last = nn.Conv2d(out_channels, 3 * upscale**2, 3, padding=1)
        self.conv_img = nn.Sequential(last, nn.PixelShuffle(upscale)) if upscale > 1 else last

    def middle(self) -> list[SPADEResnetBlock]:
        """``G_middle_0`` and so on, in their order."""
        blocks = [self.get_submodule(f"G_middle_{index}") for index in range(MIDDLE_BLOCKS)]
        return [block for block in blocks if isinstance(block, SPADEResnetBlock)]

    def forward(self, feature: Tensor) -> Tensor:
        x = self.fc(feature)
        for block in self.middle():
            x = block(x, feature)
        for block in (self.up_0, self.up_1):
            x = block(F.interpolate(x, scale_factor=2.0, mode="nearest"), feature)
        return torch.sigmoid(self.conv_img(F.leaky_relu(x, SLOPE)))
