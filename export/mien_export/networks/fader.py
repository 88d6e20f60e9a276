"""Fader Networks: an autoencoder whose decoder is told the attributes that its latent no longer knows.

Paper: Fader Networks (Lample et al., NeurIPS 2017), code and weights: github.com/facebookresearch/FaderNetworks,
CC BY-NC 4.0 (no commercial use). All pictures are float NCHW, RGB in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from mien.errors import InputError


@dataclass(frozen=True)
class FaderSizes:
    """The hyper-parameters that decide shapes and keys, with the names and values of the public code."""

    img_fm: int = 3
    init_fm: int = 32
    max_fm: int = 512
    n_layers: int = 6
    n_skip: int = 0
    n_attr: int = 2
    deconv_method: Literal["convtranspose", "upsampling", "pixelshuffle"] = "convtranspose"
    instance_norm: bool = False
    dec_dropout: float = 0.0

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the picture and after every encoder layer."""
        return self.img_fm, *(min(self.init_fm * 2**layer, self.max_fm) for layer in range(self.n_layers))


PUBLIC = FaderSizes()


class AutoEncoder(nn.Module):
    """``n_layers`` halvings to a latent and back, the attributes given to every layer on the way back."""

    def __init__(self, sizes: FaderSizes = PUBLIC) -> None:
        super().__init__()
        self.sizes = sizes
        self.enc_layers = nn.ModuleList(_encoder_layer(sizes, depth) for depth in range(sizes.n_layers))
        self.dec_layers = nn.ModuleList(_decoder_layer(sizes, depth) for depth in reversed(range(sizes.n_layers)))

    def encode(self, image: Tensor) -> list[Tensor]:
        """``image`` (N, 3, S, S) -> the picture and each layer's output; the last, side S/2^n_layers, is the latent."""
        outputs = [image]
        for layer in self.enc_layers:
            outputs.append(layer(outputs[-1]))
        return outputs

    def decode(self, encoded: Sequence[Tensor], attributes: Tensor) -> list[Tensor]:
        """`encode`'s outputs, ``attributes`` (N, n_attr) -> the latent and each layer's output, the picture last."""
        outputs = [encoded[-1]]
        for index, layer in enumerate(self.dec_layers):
            x = outputs[-1]
            parts = [x, attributes[:, :, None, None].expand(-1, -1, *x.shape[-2:])]
            if 0 < index <= self.sizes.n_skip:
                parts.append(encoded[-1 - index])
            outputs.append(layer(torch.cat(parts, 1)))
        return outputs

    def forward(self, image: Tensor, attributes: Tensor) -> Tensor:
        """``image`` (N, 3, S, S), ``attributes`` (N, n_attr) -> picture (N, 3, S, S)."""
        return self.decode(self.encode(image), attributes)[-1]


def one_hot(categories: Sequence[int], chosen: Sequence[int]) -> Tensor:
    """(1, sum of ``categories``): each attribute's chosen category, in the network's order.

    The public code orders attributes by (number of categories, name); a boolean one has the categories absent, present.
    """
    codes = [torch.eye(count)[index] for count, index in zip(categories, chosen, strict=True)]
    return torch.cat(codes)[None]


def interpolate(lowest: float, highest: float, steps: int) -> Tensor:
    """(steps, 2): one boolean attribute from ``lowest`` to ``highest``; 0 is absent, 1 present, beyond is more so."""
    present = torch.linspace(lowest, highest, steps)
    return torch.stack([1 - present, present], 1)


def _norm(sizes: FaderSizes, channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True) if sizes.instance_norm else nn.BatchNorm2d(channels)


def _encoder_layer(sizes: FaderSizes, depth: int) -> nn.Sequential:
    inputs, outputs = sizes.widths[depth : depth + 2]
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 4, 2, 1)]
    if depth > 0:
        layers.append(_norm(sizes, outputs))
    return nn.Sequential(*layers, nn.LeakyReLU(0.2))


def _decoder_layer(sizes: FaderSizes, depth: int) -> nn.Sequential:
    """The mirror image of the encoder's layer ``depth``."""
    outputs, inputs = sizes.widths[depth : depth + 2]
    skipped = inputs if 0 < sizes.n_layers - 1 - depth <= sizes.n_skip else 0
    layers = _enlarging(sizes, inputs + sizes.n_attr + skipped, outputs)
    if depth == 0:
        return nn.Sequential(*layers, nn.Tanh())
    layers.append(_norm(sizes, outputs))
    if sizes.dec_dropout > 0 and depth >= sizes.n_layers - 3:
        layers.append(nn.Dropout(sizes.dec_dropout))
    return nn.Sequential(*layers, nn.ReLU())


def _enlarging(sizes: FaderSizes, inputs: int, outputs: int) -> list[nn.Module]:
    if sizes.deconv_method == "convtranspose":
        return [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)]
    if sizes.deconv_method == "upsampling":
        return [nn.UpsamplingNearest2d(scale_factor=2), nn.Conv2d(inputs, outputs, 3, 1, 1)]
    if sizes.deconv_method == "pixelshuffle":
        return [nn.Conv2d(inputs, 4 * outputs, 3, 1, 1), nn.PixelShuffle(2)]
    raise InputError(
        f"Requested deconvolution was: {sizes.deconv_method!r}, but there are: convtranspose, upsampling, pixelshuffle."
    )
