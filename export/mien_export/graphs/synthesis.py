"""What is traced of StyleGAN2's synthesis: the same numbers as the network's, with constant weights.

The style scales a layer's input and the demodulation its output, where the paper scales the weights: exact, because a
convolution is linear in each. Its factor is rsqrt(style^2 @ sum over the taps of weight^2), one small matrix product.
Every gain lies in constant weights (a leaky ReLU lets positive factors through), as does the picture's way from
[-1, 1] to [0, 1].

A layer that doubles the size stays a transposed convolution with the filter behind it. Both together are one of 6x6
taps, or four of 3x3 at the low resolution: exact too, one operation less, and two to four times slower. Scaling a
picture layer's three rows of weights, and not its input, saves a pass over the features: 3 % in ONNX Runtime, but the
matrix product that it takes costs OpenVINO 15 % at 1024 pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import InputError
from mien_export.graphs.mapping import plain
from mien_export.networks.stylegan2 import EPSILON, GAIN, SLOPE, Generator, StyledConv, ToRGB, channels_at

Noise = Literal["constant", "input"]
Map = Tensor | None
"""Noise for one layer, (1, 1, r, r), or None where the layer has its own. The two halves name each map in `forward`,
because the exporter takes the names of a network's inputs from there."""

SMALL = 256
"""Largest side of ``small``."""
HALF = 0.5
"""From [-1, 1] to [0, 1]: this factor, and the same once more as an offset."""
LATE_SHARE = 0.4
"""Of all multiply-adds, at most, behind the default split."""


class Layer(nn.Module):
    """One 3x3 layer: style, convolution, demodulation, noise, bias, activation."""

    weight: Tensor
    power: Tensor
    bias: Tensor
    noise: Tensor
    blur: Tensor

    @torch.no_grad()
    def __init__(self, layer: StyledConv, noise: Tensor | None) -> None:
        """``noise``: the constant map, or None where it is fed."""
        super().__init__()
        weight = layer.conv.weight[0] * layer.conv.scale
        self.style = plain(layer.conv.modulation)
        self.upsamples = layer.conv.upsamples
        self.register_buffer("power", weight.square().sum((2, 3)).T.contiguous())
        self.register_buffer("weight", (weight.transpose(0, 1) if self.upsamples else weight).contiguous() * GAIN)
        self.register_buffer("bias", layer.activate.bias.view(-1, 1, 1) * GAIN)
        strength = layer.noise.weight * GAIN
        self.register_buffer("noise", strength if noise is None else strength * noise)
        if self.upsamples:
            kernel = layer.conv.blur.kernel.flip(0, 1)
            self.register_buffer("blur", kernel.repeat(weight.shape[0], 1, 1, 1))
            self.padding = layer.conv.blur.padding

    def forward(self, x: Tensor, code: Tensor, noise: Tensor | None) -> Tensor:
        """``x`` (N or 1, in, H, W), ``code`` (N, 512), ``noise`` (1, 1, ...) or None for the constant one."""
        style = self.style(code)
        demodulation = torch.rsqrt(style.square() @ self.power + EPSILON)
        x = x * style[:, :, None, None]
        if self.upsamples:
            x = F.conv_transpose2d(x, self.weight, stride=2)
            x = F.conv2d(x, self.blur, padding=self.padding[0], groups=len(self.blur))
        else:
            x = F.conv2d(x, self.weight, padding=1)
        x = x * demodulation[:, :, None, None]
        x = x + (self.noise if noise is None else self.noise * noise) + self.bias
        out: Tensor = F.leaky_relu(x, SLOPE)
        return out


class Picture(nn.Module):
    """Features to the picture so far, which has half its range and is kept around 0 up to the last layer."""

    weight: Tensor
    bias: Tensor
    kernel: Tensor

    @torch.no_grad()
    def __init__(self, layer: ToRGB, last: bool) -> None:
        super().__init__()
        self.style = plain(layer.conv.modulation)
        self.register_buffer("weight", layer.conv.weight[0] * (layer.conv.scale * HALF))
        self.register_buffer("bias", layer.bias.flatten() * HALF + (HALF if last else 0.0))
        if hasattr(layer, "upsample"):
            self.register_buffer("kernel", layer.upsample.kernel.repeat(3, 1, 1, 1))

    def forward(self, x: Tensor, code: Tensor, rgb: Tensor | None) -> Tensor:
        """``x`` (N, in, H, W), ``rgb`` (N, 3, H/2, W/2) or None for the first -> (N, 3, H, W)."""
        out = F.conv2d(x * self.style(code)[:, :, None, None], self.weight, self.bias)
        return out if rgb is None else out + F.conv_transpose2d(rgb, self.kernel, stride=2, padding=1, groups=3)


class Rows(nn.Module):
    """Some consecutive rows of W+: the picture layer and the 3x3 layer that each of them steers."""

    start: Tensor

    def __init__(self, generator: Generator, rows: Iterable[int], noise: Noise) -> None:
        super().__init__()
        self.resolution, self.last = generator.size, generator.layers - 1
        self.rows = tuple(rows)
        self.fed = noise == "input"
        convs = [generator.conv1, *generator.convs]
        pictures = [generator.to_rgb1, *generator.to_rgbs]
        maps = generator.noise()
        if 0 in self.rows:
            self.register_buffer("start", generator.input.get_parameter("input").detach())
        self.layers, self.pictures = nn.ModuleDict(), nn.ModuleDict()
        for row in self.rows:
            if row % 2:
                self.pictures[str(row)] = Picture(pictures[row // 2], row == self.last)
            if row < self.last:
                self.layers[str(row)] = Layer(convs[row], None if self.fed else maps[row])

    @property
    def noise_shapes(self) -> dict[str, tuple[int, int, int, int]]:
        """Of the inputs ``noise_0``, ``noise_1``, ... that have to be fed; none where the noise is constant."""
        sides = {f"noise_{row}": 2 ** ((row + 5) // 2) for row in self.rows if row < self.last}
        return {name: (1, 1, side, side) for name, side in sides.items()} if self.fed else {}

    def run(self, x: Tensor, rgb: Tensor | None, latents: Tensor, noise: Sequence[Map]) -> tuple[Tensor, Tensor | None]:
        """Features and picture after these rows."""
        for row in self.rows:
            if row % 2:
                rgb = self.pictures[str(row)](x, latents[:, row], rgb)
            if row < self.last:
                x = self.layers[str(row)](x, latents[:, row], noise[row])
        return x, rgb

    def finished(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """The image within [0, 1], and the small one as the networks that look at it want it, with what is beyond."""
        return picture.clamp(0, 1), F.avg_pool2d(picture, max(1, self.resolution // SMALL))


class SynthesisEarly(Rows):
    """The rows before the split: what an edit of the rows behind it does not change."""

    def forward(
        self,
        latents: Tensor,
        noise_0: Map = None, noise_1: Map = None, noise_2: Map = None, noise_3: Map = None, noise_4: Map = None,
        noise_5: Map = None, noise_6: Map = None, noise_7: Map = None, noise_8: Map = None, noise_9: Map = None,
        noise_10: Map = None, noise_11: Map = None, noise_12: Map = None, noise_13: Map = None,
        noise_14: Map = None, noise_15: Map = None, noise_16: Map = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """``latents`` (N, L, 512) -> ``features`` (N, C, h, w), ``rgb`` (N, 3, h/2, w/2)."""
        noise = (
            noise_0, noise_1, noise_2, noise_3, noise_4, noise_5, noise_6, noise_7, noise_8, noise_9,
            noise_10, noise_11, noise_12, noise_13, noise_14, noise_15, noise_16,
        )  # fmt: skip
        features, rgb = self.run(self.start, None, latents, noise)
        assert rgb is not None
        return features, rgb


class SynthesisLate(Rows):
    """The rows from the split on."""

    def forward(
        self,
        features: Tensor, rgb: Tensor, latents: Tensor,
        noise_0: Map = None, noise_1: Map = None, noise_2: Map = None, noise_3: Map = None, noise_4: Map = None,
        noise_5: Map = None, noise_6: Map = None, noise_7: Map = None, noise_8: Map = None, noise_9: Map = None,
        noise_10: Map = None, noise_11: Map = None, noise_12: Map = None, noise_13: Map = None,
        noise_14: Map = None, noise_15: Map = None, noise_16: Map = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """What `SynthesisEarly` gives, ``latents`` (N, L, 512) -> ``image`` (N, 3, R, R) in [0, 1], ``small``
        (N, 3, S, S), nominally so, S = min(R, 256)."""
        noise = (
            noise_0, noise_1, noise_2, noise_3, noise_4, noise_5, noise_6, noise_7, noise_8, noise_9,
            noise_10, noise_11, noise_12, noise_13, noise_14, noise_15, noise_16,
        )  # fmt: skip
        _, picture = self.run(features, rgb, latents, noise)
        assert picture is not None
        return self.finished(picture)


class SynthesisGraph(Rows):
    """All rows in one graph, the noise constant."""

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator, range(generator.layers), "constant")

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """``latents`` (N, L, 512) -> ``image``, ``small``; see `SynthesisLate`."""
        _, picture = self.run(self.start, None, latents, (None,) * self.last)
        assert picture is not None
        return self.finished(picture)


def split_at(generator: Generator, split: int, noise: Noise = "constant") -> tuple[SynthesisEarly, SynthesisLate]:
    """The rows before ``split`` and those from it on; no weight is in both.

    ``noise``: the generator's own maps as constants, or inputs ``noise_0``, ``noise_1``, ... (1, 1, r, r) of whichever
    half uses them. Raises InputError for a split below 2 (there is no picture yet) or behind the last row.
    """
    if not 2 <= split < generator.layers:
        raise InputError(
            f"A split at row {split} was asked for; a generator of {generator.size} pixels has rows 0 to "
            f"{generator.layers - 1} and can be split at 2 to {generator.layers - 1}. "
            f"{default_split(generator.layers)} is the default."
        )
    early = SynthesisEarly(generator, range(split), noise)
    return early, SynthesisLate(generator, range(split, generator.layers), noise)


def default_split(layers: int) -> int:
    """The first row behind which at most `LATE_SHARE` of the work remains: 11 of 14, 13 of 16, 13 of 18.

    A third or two fifths of the work take more of the time, because the layers with the most pixels wait for memory: at
    1024 pixels half of it in OpenVINO, three fifths in ONNX Runtime. Splitting later would be faster still, and leave
    fewer rows to edit. Counted with the published widths; a smaller channel multiplier makes the share smaller.
    """
    work = [_work(row) for row in range(layers - 1)]
    rows = range(2, layers)
    return next(row for row in rows if sum(work[row:]) <= LATE_SHARE * sum(work))


def _work(row: int) -> int:
    """Multiply-adds of one row's 3x3 layer; one that doubles the size works at the lower resolution."""
    side: int = 1 << (row + 5) // 2
    below = side // 2 if row % 2 else side
    return 9 * channels_at(below) * channels_at(side) * below * below
