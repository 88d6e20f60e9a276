"""StyleGAN2's generator as mmgeneration lays it out and names it; the arithmetic is that of every other StyleGAN2.

Paper: Analyzing and Improving the Image Quality of StyleGAN (Karras et al. 2020); open-mmlab/mmgeneration (Apache-2.0).
NVIDIA's weights converted to it keep their licence (non-commercial). Only what the deghosting network runs is here: the
synthesis layers; the mapping's weights are kept, so that its files load strictly, and not used.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-8
"""Below the root of the demodulation."""

GAIN = math.sqrt(2)
"""After the generator's leaky ReLUs; those of the networks around it have none."""


def leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def channels(size: int, widest: int) -> int:
    """Of the maps of ``size`` pixels a side: halved at each doubling after 64."""
    return min(widest, 64 * widest // size)


def filtered(x: Tensor, kernel: Tensor, before: int, after: int, up: int = 1) -> Tensor:
    """``x`` with ``up`` - 1 zeros after each pixel and some around, every channel through the low pass ``kernel``."""
    n, c, h, w = x.shape
    spread = F.pad(x.view(n, c, h, 1, w, 1), (0, up - 1, 0, 0, 0, up - 1)).view(n * c, 1, h * up, w * up)
    padded = F.pad(spread, (before, after, before, after))
    out = F.conv2d(padded, kernel.flip(0, 1)[None, None])
    return out.view(n, c, *out.shape[-2:])


def binomial() -> Tensor:
    """The generator's low pass, times four because it always follows an enlargement by two with zeros."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    return line[:, None] * line


class Kernel(nn.Module):
    """A low pass, as the checkpoint holds it."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", binomial())


class EqualWeight(nn.Module):
    """A matrix stored with a deviation of one; used divided by the root of its inputs, times ``rate``."""

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0) -> None:
        super().__init__()
        self.weight_orig = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.scale = rate / math.sqrt(inputs)

    def weight(self) -> Tensor:
        return self.weight_orig * self.scale


class EqualLinear(nn.Module):
    """``linear`` and a bias, both learnt at ``rate``."""

    def __init__(self, inputs: int, outputs: int, start: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.linear = EqualWeight(inputs, outputs, rate)
        self.bias = nn.Parameter(torch.full((outputs,), start))
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.linear.weight(), self.bias * self.rate)


class ModulatedConv(nn.Module):
    """A convolution whose weights are scaled by a style, and, with ``demodulate``, brought back to a length of one."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style: int, demodulate: bool = True, enlarge: bool = False
    ) -> None:
        super().__init__()
        self.weight_orig = nn.Parameter(torch.randn(1, outputs, inputs, kernel, kernel))
        self.style_modulation = EqualLinear(style, inputs, start=1.0)
        self.demodulate = demodulate
        self.enlarge = enlarge
        if enlarge:
            self.blur = Kernel()

    def weight(self) -> Tensor:
        """(outputs, inputs, k, k), before any style."""
        return self.weight_orig[0] / math.sqrt(self.weight_orig[0, 0].numel())

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """``x`` (N, inputs, H, W), ``code`` (N, style) -> (N, outputs, H, W), twice as large with ``enlarge``."""
        weight = self.weight()[None] * self.style_modulation(code)[:, None, :, None, None]
        if self.demodulate:
            weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + EPSILON)
        n, outputs, inputs, kernel, _ = weight.shape
        grouped = x.reshape(1, n * inputs, *x.shape[-2:])
        if self.enlarge:
            turned = weight.transpose(1, 2).reshape(n * inputs, outputs, kernel, kernel)
            out = F.conv_transpose2d(grouped, turned, stride=2, groups=n)
            return filtered(out.view(n, outputs, *out.shape[-2:]), self.blur.kernel, 1, 1)
        out = F.conv2d(grouped, weight.reshape(n * outputs, inputs, kernel, kernel), padding=kernel // 2, groups=n)
        return out.view(n, outputs, *out.shape[-2:])


class NoiseInjector(nn.Module):
    """One number: how strong the noise is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return x + self.weight * noise


class Activate(nn.Module):
    """Bias, leaky ReLU, gain."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return leaky(x + self.bias.view(-1, 1, 1)) * GAIN


class StyledConv(nn.Module):
    """A modulated convolution, noise, and the activation."""

    def __init__(self, inputs: int, outputs: int, style: int, enlarge: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style, enlarge=enlarge)
        self.noise_injector = NoiseInjector()
        self.activate = Activate(outputs)

    def forward(self, x: Tensor, code: Tensor, noise: Tensor) -> Tensor:
        out: Tensor = self.activate(self.noise_injector(self.conv(x, code), noise))
        return out


class ToRGB(nn.Module):
    """Features to a picture, on top of the enlarged one of the size before."""

    def __init__(self, inputs: int, style: int, enlarge: bool) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, 3, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        if enlarge:
            self.upsample = Kernel()

    def forward(self, x: Tensor, code: Tensor, before: Tensor | None = None) -> Tensor:
        picture: Tensor = self.conv(x, code) + self.bias
        return picture if before is None else picture + filtered(before, self.upsample.kernel, 2, 1, up=2)


class ConstantInput(nn.Module):
    """What every picture starts from."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, inputs, 4, 4))


class Generator(nn.Module):
    """StyleGAN2's synthesis from 4 pixels to ``size``; ``style_mapping`` is in the file and never used."""

    def __init__(self, size: int, style: int, widest: int) -> None:
        super().__init__()
        sizes = [8 << k for k in range(int(math.log2(size)) - 2)]
        self.constant_input = ConstantInput(channels(4, widest))
        self.conv1 = StyledConv(channels(4, widest), channels(4, widest), style)
        self.to_rgb1 = ToRGB(channels(4, widest), style, enlarge=False)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for s in sizes:
            width = channels(s, widest)
            self.convs.append(StyledConv(channels(s // 2, widest), width, style, enlarge=True))
            self.convs.append(StyledConv(width, width, style))
            self.to_rgbs.append(ToRGB(width, style, enlarge=True))
        self.style_mapping = nn.Sequential(nn.Identity(), *(EqualLinear(style, style, rate=0.01) for _ in range(8)))
        for index, s in enumerate([4, *(s for s in sizes for _ in range(2))]):
            self.register_buffer(f"injected_noise_{index}", torch.randn(1, 1, s, s))

    def noise(self, index: int) -> Tensor:
        """The fixed noise of layer ``index``; 0 is ``conv1``."""
        return self.get_buffer(f"injected_noise_{index}")
