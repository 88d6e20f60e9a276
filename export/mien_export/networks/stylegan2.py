"""StyleGAN2's generator: a code for every layer to a picture, and the mapping network that makes such codes.

Paper: Karras et al., Analyzing and Improving the Image Quality of StyleGAN, 2020 (arXiv 1912.04958). Names and values
of the weights: rosinality/stylegan2-pytorch, ``Generator`` (MIT); pSp, e4e, ReStyle and Editing-Out-of-Domain keep the
same class under ``decoder.``. Weights are licensed by whoever trained them (NVIDIA's FFHQ weights: non-commercial).

Written to be read beside the paper: the weights are modulated at run time. What is exported is
`mien_export.graphs.synthesis`, which computes the same in another order. Pictures are float NCHW, RGB, nominally
[-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import InputError

EPSILON = 1e-8
SLOPE, GAIN = 0.2, math.sqrt(2)
BLUR = (1.0, 3.0, 3.0, 1.0)
SMALLEST, LARGEST = 8, 1024


def channels_at(resolution: int, multiplier: int = 2, widest: int = 512) -> int:
    """Of the feature maps at a resolution; ``widest`` caps all of them (512 in every published network)."""
    return min(widest, 512 if resolution <= 32 else 16384 // resolution * multiplier)


def blur_kernel(taps: Sequence[float] = BLUR, factor: int = 2) -> Tensor:
    """The separable low-pass filter (n, n), with the sum factor^2 that makes up for inserted zeros."""
    row = torch.tensor(taps, dtype=torch.float32)
    square = row[:, None] * row[None, :]
    return square / square.sum() * factor**2


def activated(x: Tensor) -> Tensor:
    """Leaky ReLU with the gain that keeps the variance."""
    return F.leaky_relu(x, SLOPE) * GAIN


class PixelNorm(nn.Module):
    """Each row divided by the root of its mean square over the channels."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPSILON)


class EqualLinear(nn.Module):
    """A linear layer whose weights are stored at scale 1 / ``rate`` and made small when used."""

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0, activate: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.scale, self.rate, self.activate = rate / math.sqrt(inputs), rate, activate

    def forward(self, x: Tensor) -> Tensor:
        out = F.linear(x, self.weight * self.scale, self.bias * self.rate)
        return activated(out) if self.activate else out


class Blur(nn.Module):
    """The low-pass filter behind a transposed convolution, every channel for itself."""

    kernel: Tensor

    def __init__(self, taps: Sequence[float], padding: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("kernel", blur_kernel(taps))
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H + padding - 3, W + padding - 3) with the four taps of the paper."""
        channels = x.shape[1]
        weight = self.kernel.flip(0, 1).expand(channels, 1, -1, -1)
        return F.conv2d(F.pad(x, (*self.padding, *self.padding)), weight, groups=channels)


class Upsample(nn.Module):
    """Twice the size: zeros between the pixels, then the low-pass filter."""

    kernel: Tensor

    def __init__(self, taps: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("kernel", blur_kernel(taps))
        excess = len(taps) - 2
        self.padding = (excess + 1) // 2 + 1, excess // 2

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        spread = F.pad(x.reshape(n, channels, height, 1, width, 1), (0, 1, 0, 0, 0, 1))
        padded = F.pad(spread.reshape(n, channels, 2 * height, 2 * width), (*self.padding, *self.padding))
        return F.conv2d(padded, self.kernel.flip(0, 1).expand(channels, 1, -1, -1), groups=channels)


class ModulatedConv(nn.Module):
    """A convolution whose weights are scaled by the style for each sample, and normalised again where asked."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        style: int,
        demodulate: bool = True,
        blur: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel, kernel))
        self.modulation = EqualLinear(style, inputs, bias=1.0)
        self.scale = 1 / math.sqrt(inputs * kernel**2)
        self.demodulate = demodulate
        if blur is not None:
            excess = len(blur) - 2 - (kernel - 1)
            self.blur = Blur(blur, ((excess + 1) // 2 + 1, excess // 2 + 1))

    @property
    def upsamples(self) -> bool:
        """Whether the picture leaves at twice the size, blurred."""
        return hasattr(self, "blur")

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """``x`` (N, in, H, W), ``code`` (N, style) -> (N, out, H, W), or twice the size."""
        n, inputs, height, width = x.shape
        weight = self.scale * self.weight * self.modulation(code)[:, None, :, None, None]
        if self.demodulate:
            weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + EPSILON)
        side = x.reshape(1, n * inputs, height, width)
        if self.upsamples:
            out = F.conv_transpose2d(side, weight.transpose(1, 2).flatten(0, 1), stride=2, groups=n)
        else:
            out = F.conv2d(side, weight.flatten(0, 1), padding=weight.shape[-1] // 2, groups=n)
        out = out.reshape(n, -1, *out.shape[-2:])
        blurred: Tensor = self.blur(out) if self.upsamples else out
        return blurred


class NoiseInjection(nn.Module):
    """One map of noise for all channels, times one learned number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return x + self.weight * noise


class BiasedActivation(nn.Module):
    """A bias for each channel, then `activated`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return activated(x + self.bias.view(-1, 1, 1))


class StyledConv(nn.Module):
    """One layer: modulated convolution, noise, bias, activation."""

    def __init__(self, inputs: int, outputs: int, style: int, blur: Sequence[float] | None = None) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style, blur=blur)
        self.noise = NoiseInjection()
        self.activate = BiasedActivation(outputs)

    def forward(self, x: Tensor, code: Tensor, noise: Tensor) -> Tensor:
        out: Tensor = self.activate(self.noise(self.conv(x, code), noise))
        return out


class ToRGB(nn.Module):
    """Features to a picture, added to the picture so far at twice its size."""

    def __init__(self, inputs: int, style: int, blur: Sequence[float] | None = None) -> None:
        super().__init__()
        if blur is not None:
            self.upsample = Upsample(blur)
        self.conv = ModulatedConv(inputs, 3, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, code: Tensor, skip: Tensor | None = None) -> Tensor:
        out: Tensor = self.conv(x, code) + self.bias
        return out if skip is None else out + self.upsample(skip)


@dataclass(frozen=True)
class Drawn:
    """A picture and what it was made of, for comparisons layer by layer."""

    image: Tensor
    """(N, 3, R, R), nominally [-1, 1], not clamped."""
    features: Sequence[Tensor]
    """After conv1, convs.0, convs.1 and so on."""
    pictures: Sequence[Tensor]
    """The picture so far at 4, 8, 16, ... pixels; the last is ``image``."""


class Generator(nn.Module):
    """Mapping (``style``) and synthesis; ``widest`` caps the channels, for small networks of the same shape."""

    def __init__(
        self,
        size: int,
        style_dim: int = 512,
        n_mlp: int = 8,
        channel_multiplier: int = 2,
        blur_kernel: Sequence[float] = BLUR,
        lr_mlp: float = 0.01,
        widest: int = 512,
    ) -> None:
        super().__init__()
        if not SMALLEST <= size <= LARGEST or size & (size - 1):
            raise InputError(
                f"A generator of {size} pixels was asked for; it must be a power of two, {SMALLEST} to {LARGEST}."
            )
        self.size, self.style_dim, self.layers = size, style_dim, 2 * size.bit_length() - 4
        mapping = [EqualLinear(style_dim, style_dim, rate=lr_mlp, activate=True) for _ in range(n_mlp)]
        self.style = nn.Sequential(PixelNorm(), *mapping)
        self.input = nn.Module()
        self.input.input = nn.Parameter(torch.randn(1, channels_at(4, channel_multiplier, widest), 4, 4))
        first = channels_at(4, channel_multiplier, widest)
        self.conv1 = StyledConv(first, first, style_dim)
        self.to_rgb1 = ToRGB(first, style_dim)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        self.noises = nn.Module()
        inputs, resolution = first, 4
        while resolution < size:
            resolution *= 2
            outputs = channels_at(resolution, channel_multiplier, widest)
            self.convs.append(StyledConv(inputs, outputs, style_dim, blur_kernel))
            self.convs.append(StyledConv(outputs, outputs, style_dim))
            self.to_rgbs.append(ToRGB(outputs, style_dim, blur_kernel))
            inputs = outputs
        for index, side in enumerate(self.noise_sides):
            self.noises.register_buffer(f"noise_{index}", torch.randn(1, 1, side, side))

    @property
    def noise_sides(self) -> tuple[int, ...]:
        """The side of the noise map of each 3x3 layer: 4, 8, 8, 16, 16, ..."""
        return tuple(2 ** ((index + 5) // 2) for index in range(self.layers - 1))

    def noise(self) -> tuple[Tensor, ...]:
        """The maps that are stored with the weights, (1, 1, side, side) each."""
        return tuple(self.noises.get_buffer(f"noise_{index}") for index in range(self.layers - 1))

    @torch.no_grad()
    def mean_latent(self, count: int, seed: int = 0) -> Tensor:
        """The average of ``count`` mapped codes, (1, style_dim): what truncation draws towards."""
        z = torch.randn(count, self.style_dim, generator=torch.Generator().manual_seed(seed))
        mean: Tensor = self.style(z).mean(0, keepdim=True)
        return mean

    def codes(self, w: Tensor, truncation: float = 1.0, mean: Tensor | None = None) -> Tensor:
        """``w`` (N, style_dim) or W+ (N, layers, style_dim) -> W+, moved towards ``mean`` by 1 - truncation.

        Raises InputError for a truncation below 1 without a mean.
        """
        if truncation < 1:
            if mean is None:
                raise InputError(f"A truncation of {truncation} needs the mean latent; give one, or leave it at 1.")
            w = mean + truncation * (w - mean)
        return w if w.dim() == 3 else w[:, None].expand(-1, self.layers, -1)

    def draw(self, codes: Tensor, noise: Sequence[Tensor] | None = None) -> Drawn:
        """``codes`` (N, layers, style_dim); ``noise``: a map for each 3x3 layer, the stored ones unless given."""
        maps = self.noise() if noise is None else noise
        x = self.conv1(self.input.get_parameter("input").expand(len(codes), -1, -1, -1), codes[:, 0], maps[0])
        features, pictures = [x], [self.to_rgb1(x, codes[:, 1])]
        for index, to_rgb in enumerate(self.to_rgbs):
            for conv in (2 * index, 2 * index + 1):
                x = self.convs[conv](x, codes[:, conv + 1], maps[conv + 1])
                features.append(x)
            pictures.append(to_rgb(x, codes[:, 2 * index + 3], pictures[-1]))
        return Drawn(pictures[-1], features, pictures)

    def forward(self, codes: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """W+ (N, layers, style_dim) -> picture (N, 3, size, size), nominally [-1, 1], not clamped."""
        return self.draw(codes, noise).image


def completed(weights: Mapping[str, Tensor], generator: Generator, seed: int = 0) -> dict[str, Tensor]:
    """A state_dict with what some published files leave out: blur kernels as built, noise drawn from ``seed``.

    Everything else must be there: load the result strictly.
    """
    random = torch.Generator().manual_seed(seed)
    full = dict(weights)
    for name, buffer in generator.named_buffers():
        noise = name.startswith("noises.")
        drawn = torch.randn(buffer.shape, generator=random) if noise else buffer.clone()
        full.setdefault(name, drawn)
    return full
