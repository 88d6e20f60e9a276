"""LivePortrait's decoder as it is traced: what SPADE repeats on an enlarged picture is computed on the small one.

What stands behind it, for 891.6 GFLOP as written: the instance norm of an enlarged picture is that of the small one;
the three first convolutions of an up block read the same enlarged features (`EnlargedConv`: 145 to 33 GFLOP); the shift
of a shortcut's SPADE is followed by nothing but the shortcut's 1x1 convolution, so the two are one narrow convolution
(58 to 19 GFLOP). Up to the last block all that convolutions give is read by instance norms alone, which take any bias
away again: there are none.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.graphs.enlarging import EnlargedConv
from mien_export.graphs.minimal import Convs
from mien_export.networks.liveportrait.spade import SLOPE, SPADE, SPADEDecoder, SPADEResnetBlock, SpectralConv2d


def plain(conv: SpectralConv2d | nn.Conv2d, bias: bool = True) -> nn.Conv2d:
    """With the spectral norm divided out, by the stored vectors, and, if so asked, without the bias."""
    weight = (conv.effective_weight() if isinstance(conv, SpectralConv2d) else conv.weight).detach()
    outputs, inputs, kernel, _ = weight.shape
    bias = bias and conv.bias is not None
    found = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
    found.weight = nn.Parameter(weight)
    if bias and conv.bias is not None:
        found.bias = nn.Parameter(conv.bias.detach().clone())
    return found


class Modulation(nn.Module):
    """The scale (1 + gamma) and the shift of a SPADE, read from features that are ``factor`` times smaller."""

    def __init__(self, spade: SPADE, factor: int, minimal: bool, shortcut: nn.Conv2d | None = None) -> None:
        """``shortcut``: the 1x1 convolution behind the SPADE, into which its shift is folded."""
        super().__init__()
        first = spade.mlp_shared[0]
        assert isinstance(first, nn.Conv2d) and first.bias is not None
        self.shared = first if factor == 1 else EnlargedConv(first.weight, first.bias, factor)
        scale = copy.deepcopy(spade.mlp_gamma)
        assert scale.bias is not None
        with torch.no_grad():
            scale.bias += 1
        shift = spade.mlp_beta if shortcut is None else after(spade.mlp_beta, shortcut)
        self.both = Convs([scale, shift], minimal)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.both(F.relu(self.shared(features)))
        return scale, shift


def after(conv: nn.Conv2d, pointwise: nn.Conv2d) -> nn.Conv2d:
    """``pointwise`` behind ``conv``, as one convolution."""
    found = nn.Conv2d(conv.in_channels, pointwise.out_channels, 3, padding=1)
    mix = pointwise.weight.detach()[:, :, 0, 0].double()
    assert conv.bias is not None
    found.weight = nn.Parameter((mix @ conv.weight.detach().double().flatten(1)).float().view_as(found.weight))
    found.bias = nn.Parameter((mix @ conv.bias.detach().double()).float())
    return found


class Modulated(nn.Module):
    """SPADE, LeakyReLU and the convolution behind them."""

    def __init__(self, spade: SPADE, conv: SpectralConv2d, factor: int, minimal: bool, bias: bool = False) -> None:
        """``bias``: not needed where nothing but instance norms read the output."""
        super().__init__()
        self.modulation = Modulation(spade, factor, minimal)
        self.conv = Convs([plain(conv, bias)], minimal)

    def forward(self, normal: Tensor, features: Tensor) -> Tensor:
        """``normal``: behind the instance norm, at the size of what is to come out."""
        scale, shift = self.modulation(features)
        out: Tensor = self.conv(F.leaky_relu(normal * scale + shift, SLOPE))[0]
        return out


class MiddleBlock(nn.Module):
    """At the size of the features; the shortcut is the input itself."""

    def __init__(self, block: SPADEResnetBlock, minimal: bool) -> None:
        super().__init__()
        self.first = Modulated(block.norm_0, block.conv_0, 1, minimal)
        self.second = Modulated(block.norm_1, block.conv_1, 1, minimal)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        inner = self.first(F.instance_norm(x), features)
        out: Tensor = x + self.second(F.instance_norm(inner), features)
        return out


class UpBlock(nn.Module):
    """Doubles the picture first; ``factor`` is then its side over that of the features."""

    def __init__(self, block: SPADEResnetBlock, factor: int, minimal: bool) -> None:
        super().__init__()
        self.first = Modulated(block.norm_0, block.conv_0, factor, minimal)
        self.second = Modulated(block.norm_1, block.conv_1, factor, minimal, bias=True)
        self.shortcut = plain(block.conv_s)
        self.modulation = Modulation(block.norm_s, factor, minimal, self.shortcut)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        normal = F.interpolate(F.instance_norm(x), scale_factor=2.0, mode="nearest")
        scale, shift = self.modulation(features)
        short = self.shortcut(normal * scale) + shift
        inner = self.first(normal, features)
        out: Tensor = short + self.second(F.instance_norm(inner), features)
        return out


class Decoder(nn.Module):
    """`SPADEDecoder`, rewritten: ``feature`` (1, 256, 64, 64) -> picture (1, 3, 512, 512) in [0, 1]."""

    def __init__(self, network: SPADEDecoder, minimal: bool = False) -> None:
        """``minimal``: by Winograd's way, where it is worth it; see `mien_export.graphs.minimal`."""
        super().__init__()
        self.fc = Convs([plain(network.fc, bias=False)], minimal)
        self.middle = nn.ModuleList(MiddleBlock(block, minimal) for block in network.middle())
        self.up_0, self.up_1 = UpBlock(network.up_0, 2, minimal), UpBlock(network.up_1, 4, minimal)
        self.conv_img = network.conv_img

    def forward(self, feature: Tensor) -> Tensor:
        x = self.fc(feature)[0]
        for block in self.middle:
            x = block(x, feature)
        x = self.up_1(self.up_0(x, feature), feature)
        return torch.sigmoid(self.conv_img(F.leaky_relu(x, SLOPE)))
