"""LIA: a portrait's features, bent by flows that a code steers; the driver moves the code along learned directions.

Paper: Latent Image Animator: Learning to Animate Images via Latent Space Navigation (Wang et al. 2022). Origin:
wyhsirius/LIA; keys are that repository's. Its code and weights are CC BY-NC 4.0 (no commercial use); nothing here is
copied from it. The blocks are StyleGAN2's. Pictures are float NCHW, RGB, nominally [-1, 1].

What is exported is `mien_export.graphs.lia`, which computes the same in another order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import InputError
from mien_export.networks.stylegan2 import (
    BLUR,
    Blur,
    EqualLinear,
    ModulatedConv,
    NoiseInjection,
    Upsample,
    activated,
    channels_at,
)

NUDGE = 1e-8
"""Added to the directions' weights before they are made orthonormal, as in training."""
LINEARS = 5
SMALLEST, LARGEST = 8, 1024


@dataclass(frozen=True)
class Encoded:
    """``latent`` (N, style); ``features`` at 8, 16, ... pixels, the last as large as the picture."""

    latent: Tensor
    features: tuple[Tensor, ...]


class LowPass(Blur):
    """The blur before pixels are left out: nothing makes up for inserted zeros, its sum is 1."""

    def __init__(self, taps: Sequence[float], padding: tuple[int, int]) -> None:
        super().__init__(taps, padding)
        self.kernel /= 4


class EqualConv(nn.Module):
    """A convolution without bias whose weights are stored at unit variance and made small when used."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.scale, self.stride, self.padding = 1 / math.sqrt(inputs * kernel**2), stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, stride=self.stride, padding=self.padding)


class Activation(nn.Module):
    """A bias for each channel, then `activated`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return activated(x + self.bias)


class ConvLayer(nn.Sequential):
    """[Blur, where the size is halved,] convolution [, bias and activation]."""

    def __init__(self, inputs: int, outputs: int, kernel: int, down: bool = False, activate: bool = True) -> None:
        excess = len(BLUR) - 2 + kernel - 1
        layers: list[nn.Module] = [LowPass(BLUR, ((excess + 1) // 2, excess // 2))] if down else []
        layers.append(EqualConv(inputs, outputs, kernel, 2 if down else 1, 0 if down else kernel // 2))
        super().__init__(*layers, *([Activation(outputs)] if activate else []))


class ResBlock(nn.Module):
    """(N, I, H, W) -> (N, O, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(inputs, inputs, 3)
        self.conv2 = ConvLayer(inputs, outputs, 3, down=True)
        self.skip = ConvLayer(inputs, outputs, 1, down=True, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = (self.conv2(self.conv1(x)) + self.skip(x)) / math.sqrt(2)
        return out


class AppearanceEncoder(nn.Module):
    """A picture to its code, and the feature maps on the way."""

    def __init__(self, size: int, style: int, widest: int) -> None:
        super().__init__()
        widths = [channels_at(side, 1, widest) for side in sides(size)]
        self.convs = nn.ModuleList([ConvLayer(3, widths[-1], 1)])
        for inputs, outputs in zip(reversed(widths), [*reversed(widths[:-1]), channels_at(4, 1, widest)], strict=True):
            self.convs.append(ResBlock(inputs, outputs))
        self.convs.append(EqualConv(channels_at(4, 1, widest), style, 4))

    def forward(self, image: Tensor) -> Encoded:
        maps = [image]
        for layer in self.convs:
            maps.append(layer(maps[-1]))
        return Encoded(maps[-1].flatten(1), tuple(reversed(maps[1:-2])))


class Encoder(nn.Module):
    """``net_app``: a picture to its code; ``fc``: a code to its magnitudes along the directions, all of it linear."""

    def __init__(self, size: int, style: int, motion: int, widest: int) -> None:
        super().__init__()
        self.net_app = AppearanceEncoder(size, style, widest)
        widths = [style] * LINEARS + [motion]
        self.fc = nn.Sequential(*(EqualLinear(a, b) for a, b in zip(widths, widths[1:], strict=False)))

    def motion(self, latent: Tensor) -> Tensor:
        """(N, style) -> (N, motion)."""
        magnitudes: Tensor = self.fc(latent)
        return magnitudes

    def forward(self, image: Tensor) -> Encoded:
        encoded: Encoded = self.net_app(image)
        return encoded


class Direction(nn.Module):
    """The directions, as trained: not yet orthonormal."""

    def __init__(self, style: int, motion: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(style, motion))

    def basis(self) -> Tensor:
        """(style, motion), orthonormal columns. Their signs are LAPACK's, and the networks were trained with them."""
        basis: Tensor = torch.linalg.qr(self.weight + NUDGE).Q
        return basis


class ConstantInput(nn.Module):
    """What the synthesis begins with."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))


class StyledConv(nn.Module):
    """Modulated convolution, bias, activation. ``noise`` lies in the files but no noise is ever drawn."""

    def __init__(self, inputs: int, outputs: int, style: int, blur: Sequence[float] | None = None) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style, blur=blur)
        self.noise = NoiseInjection()
        self.activate = Activation(outputs)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        out: Tensor = self.activate(self.conv(x, code))
        return out


class ToRGB(nn.Module):
    """Warped features to a picture, added to the picture so far at twice its size."""

    def __init__(self, inputs: int, blur: Sequence[float] | None = None) -> None:
        super().__init__()
        if blur is not None:
            self.upsample = Upsample(blur)
        self.conv = ConvLayer(inputs, 3, 1)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, warped: Tensor, skip: Tensor | None) -> Tensor:
        out: Tensor = self.conv(warped) + self.bias
        return out if skip is None else out + self.upsample(skip)


class ToFlow(nn.Module):
    """Features to a map of x offset, y offset and mask, before their activations; added up over the sizes."""

    def __init__(self, inputs: int, style: int, blur: Sequence[float]) -> None:
        super().__init__()
        self.upsample = Upsample(blur)
        self.conv = ModulatedConv(inputs, 3, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, code: Tensor, skip: Tensor | None) -> Tensor:
        out: Tensor = self.conv(x, code) + self.bias
        return out if skip is None else out + self.upsample(skip)


def identity_grid(side: int) -> Tensor:
    """(1, side, side, 2): x, y from -1 to 1 at the outermost pixels' middles, though sampling takes edges for that."""
    line = torch.linspace(-1, 1, side)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)[None]


def warped(feature: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """The feature map (N, C, S, S) as a flow map (N, 3, S, S) bends and masks it, and the mask (N, 1, S, S)."""
    grid = identity_grid(feature.shape[-1]).to(flow) + torch.tanh(flow[:, :2]).permute(0, 2, 3, 1)
    mask = torch.sigmoid(flow[:, 2:])
    return F.grid_sample(feature, grid, align_corners=False) * mask, mask


class Synthesis(nn.Module):
    """A code and a portrait's features to a picture."""

    def __init__(
        self, size: int, style: int, motion: int, multiplier: int, blur: Sequence[float], widest: int
    ) -> None:
        super().__init__()
        self.direction = Direction(style, motion)
        inputs = channels_at(4, multiplier, widest)
        self.input = ConstantInput(inputs)
        self.conv1 = StyledConv(inputs, inputs, style)
        self.to_rgb1 = ToRGB(inputs)  # lies in the files, and nothing uses it
        self.convs, self.to_flows, self.to_rgbs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for side in sides(size):
            outputs = channels_at(side, multiplier, widest)
            self.convs.append(StyledConv(inputs, outputs, style, blur))
            self.convs.append(StyledConv(outputs, outputs, style))
            self.to_flows.append(ToFlow(outputs, style, blur))
            self.to_rgbs.append(ToRGB(outputs, blur))
            inputs = outputs

    def forward(self, latent: Tensor, features: Sequence[Tensor]) -> Tensor:
        """``latent`` (N, style), ``features`` at 8, 16, ... pixels -> (N, 3, size, size), not clamped."""
        x: Tensor = self.conv1(self.input.input.expand(len(latent), -1, -1, -1), latent)
        flow: Tensor | None = None
        rgb: Tensor | None = None
        for index, feature in enumerate(features):
            x = self.convs[2 * index + 1](self.convs[2 * index](x, latent), latent)
            flow = self.to_flows[index](x, latent, flow)
            seen, mask = warped(feature, flow)
            x = seen + x * (1 - mask)
            rgb = self.to_rgbs[index](seen, rgb)
        assert rgb is not None
        return rgb


class Generator(nn.Module):
    """The whole. ``widest`` caps the channels, for small networks of the same shape."""

    def __init__(
        self,
        size: int = 256,
        style_dim: int = 512,
        motion_dim: int = 20,
        channel_multiplier: int = 1,
        blur_kernel: Sequence[float] = BLUR,
        widest: int = 512,
    ) -> None:
        super().__init__()
        if not SMALLEST <= size <= LARGEST or size & (size - 1):
            raise InputError(
                f"A generator of {size} pixels was asked for; it must be a power of two, {SMALLEST} to {LARGEST}."
            )
        self.size, self.style_dim, self.motion_dim = size, style_dim, motion_dim
        self.enc = Encoder(size, style_dim, motion_dim, widest)
        self.dec = Synthesis(size, style_dim, motion_dim, channel_multiplier, blur_kernel, widest)

    def moved(self, latent: Tensor, motion: Tensor) -> Tensor:
        """The code (N, style) moved by magnitudes (N, motion) along the directions."""
        return latent + motion @ self.dec.direction.basis().T

    def forward(self, source: Tensor, driving: Tensor, start: Tensor | None = None) -> Tensor:
        """Pictures (N, 3, size, size) -> the source as the driver moves it: by its motion since ``start``, its first
        frame, or by its motion as it is."""
        seen = self.enc(source)
        motion = self.enc.motion(self.enc(driving).latent)
        if start is not None:
            motion = motion - self.enc.motion(self.enc(start).latent) + self.enc.motion(seen.latent)
        out: Tensor = self.dec(self.moved(seen.latent, motion), seen.features)
        return out


def sides(size: int) -> tuple[int, ...]:
    """8, 16, ... up to the picture's."""
    return tuple(2**power for power in range(3, size.bit_length()))
