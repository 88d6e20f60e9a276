"""Artefact suppression after blending: a StyleGAN2 between an encoder and a decoder, which redraws the whole face.

Paper: Editing Out-of-Domain GAN Inversion via Differential Activations (Song et al. 2022), HaoruiSong622/
Editing-Out-of-Domain, no licence stated for code or weights. The layout is that of GLEAN (Chan et al. 2021); keys are
the published file's. Pictures are float NCHW, RGB in [-1, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.networks.stylegan2_mmgen import Generator, channels, leaky

convolution = partial(nn.Conv2d, kernel_size=3, padding=1)


@dataclass(frozen=True)
class Sizes:
    """Of one deghosting network; the defaults are the published ones.

    ``in_size`` and ``out_size``: pixels a side, powers of two. ``widest``: channels of the generator's small maps.
    """

    in_size: int = 128
    out_size: int = 1024
    style_channels: int = 512
    rrdb_channels: int = 64
    num_rrdbs: int = 23
    growth_channels: int = 32
    widest: int = 512

    @property
    def layers(self) -> int:
        """Codes that the generator takes."""
        return 2 * int(math.log2(self.out_size)) - 2

    @property
    def encoded(self) -> list[int]:
        """Sides of the encoder's maps, from ``in_size`` down to 4."""
        return [2**k for k in range(int(math.log2(self.in_size)), 1, -1)]

    @property
    def decoded(self) -> list[int]:
        """Sides of the maps that generator and decoder share, up to ``out_size``."""
        return [2**k for k in range(int(math.log2(self.in_size)) + 1, int(math.log2(self.out_size)) + 1)]


class ResidualDenseBlock(nn.Module):
    """Five convolutions, each seeing everything before it."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.conv1 = convolution(width, growth)
        self.conv2 = convolution(width + growth, growth)
        self.conv3 = convolution(width + 2 * growth, growth)
        self.conv4 = convolution(width + 3 * growth, growth)
        self.conv5 = convolution(width + 4 * growth, width)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen.append(leaky(conv(torch.cat(seen, 1))))
        out: Tensor = x + 0.2 * self.conv5(torch.cat(seen, 1))
        return out


class RRDB(nn.Module):
    """Three dense blocks and a shortcut (ESRGAN, Wang et al. 2018)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = ResidualDenseBlock(width, growth)
        self.rdb2 = ResidualDenseBlock(width, growth)
        self.rdb3 = ResidualDenseBlock(width, growth)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))
        return out


class RRDBNet(nn.Module):
    """Picture to features of the same size."""

    def __init__(self, width: int, blocks: int, growth: int, outputs: int) -> None:
        super().__init__()
        self.conv_first = convolution(3, width)
        self.body = nn.Sequential(*(RRDB(width, growth) for _ in range(blocks)))
        self.conv_body = convolution(width, width)
        self.conv_up = convolution(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv_first(x)
        return leaky(self.conv_up(first + self.conv_body(self.body(first))))


class PixelShufflePack(nn.Module):
    """Twice the size: four times the channels, dealt out to the pixels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.upsample_conv = convolution(inputs, 4 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.upsample_conv(x), 2)


class Surroundings(nn.Module):
    """The trained part around the frozen generator: encoder, the fusions into it, decoder."""

    def __init__(self, net: Sizes) -> None:
        super().__init__()
        sizes = net.encoded
        width = partial(channels, widest=net.widest)
        slope = partial(nn.LeakyReLU, 0.2)
        self.encoder = nn.ModuleList(
            [RRDBNet(net.rrdb_channels, net.num_rrdbs, net.growth_channels, width(net.in_size))]
        )
        for s in sizes[:-1]:
            out = width(s // 2)
            self.encoder.append(
                nn.Sequential(convolution(width(s), out, stride=2), slope(), convolution(out, out), slope())
            )
        deepest, codes = width(4), net.layers * net.style_channels
        self.encoder.append(
            nn.Sequential(convolution(deepest, deepest), slope(), nn.Flatten(), nn.Linear(16 * deepest, codes))
        )
        self.fusion_out = nn.ModuleList(convolution(2 * width(s), width(s)) for s in reversed(sizes))
        self.fusion_skip = nn.ModuleList(convolution(width(s) + 3, 3) for s in reversed(sizes))
        self.decoder = nn.ModuleList()
        inputs = width(net.in_size)
        for s in net.decoded:
            self.decoder.append(PixelShufflePack(inputs, width(s)))
            inputs = 2 * width(s)
        self.decoder.append(nn.Sequential(convolution(inputs, 64), slope(), convolution(64, 3)))
        self.codes = net.layers, net.style_channels

    def encode(self, fused: Tensor) -> tuple[list[Tensor], Tensor]:
        """``fused`` (N, 3, in, in) -> its maps from 4 pixels a side to ``in_size``, and codes (N, layers, style)."""
        maps: list[Tensor] = []
        x = fused
        for block in self.encoder:
            x = block(x)
            maps.insert(0, x)
        return maps[1:], x.view(-1, *self.codes)

    def decode(self, coarse: Tensor, drawn: list[Tensor]) -> Tensor:
        """The encoder's map at ``in_size`` and the generator's at each larger size -> (N, 3, out, out)."""
        hr: Tensor = self.decoder[0](coarse)
        for block, features in zip(list(self.decoder)[1:], drawn, strict=True):
            hr = block(torch.cat([hr, features], 1))
        return hr


@dataclass(frozen=True)
class Deghosted:
    """``image``: the redrawn picture; ``preview``: the generator's own, which nothing reads. Both (N, 3, out, out)."""

    image: Tensor
    preview: Tensor


class Deghosting(nn.Module):
    """See `Sizes`, whose names the constructor takes."""

    def __init__(
        self,
        in_size: int = 128,
        out_size: int = 1024,
        style_channels: int = 512,
        rrdb_channels: int = 64,
        num_rrdbs: int = 23,
        growth_channels: int = 32,
        widest: int = 512,
    ) -> None:
        super().__init__()
        self.sizes = Sizes(in_size, out_size, style_channels, rrdb_channels, num_rrdbs, growth_channels, widest)
        self.FCN = Surroundings(self.sizes)
        self.generator = Generator(out_size, style_channels, widest)

    def forward(self, fused: Tensor) -> Deghosted:
        """``fused`` (N, 3, in, in) in [-1, 1], the blended picture."""
        maps, codes = self.FCN.encode(fused)
        net, drawn = self.generator, list[Tensor]()
        out = net.conv1(net.constant_input.input.expand(len(fused), -1, -1, -1), codes[:, 0], net.noise(0))
        preview = net.to_rgb1(out, codes[:, 1])
        for k, to_rgb in enumerate(net.to_rgbs):
            if k < len(maps):
                out = self.FCN.fusion_out[k](torch.cat([out, maps[k]], 1))
                preview = self.FCN.fusion_skip[k](torch.cat([preview, maps[k]], 1))
            first, second = 2 * k + 1, 2 * k + 2
            out = net.convs[first - 1](out, codes[:, first], net.noise(first))
            out = net.convs[second - 1](out, codes[:, second], net.noise(second))
            preview = to_rgb(out, codes[:, second + 1], preview)
            if out.shape[-1] > self.sizes.in_size:
                drawn.append(out)
        return Deghosted(self.FCN.decode(maps[-1], drawn), preview)
