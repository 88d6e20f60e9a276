"""What is traced of artefact suppression: a blended picture to a clean one, every generator weight a constant."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import InputError
from mien_export.networks.deghosting import Deghosting
from mien_export.networks.stylegan2_mmgen import EPSILON, GAIN, StyledConv, leaky


class ConstantConv(nn.Module):
    """A styled convolution whose weights do not depend on the picture.

    The style scales the input instead of the weights, and the demodulation the output: its length of the styled weights
    is a product of the squared style with the squared weights, summed over their taps beforehand. Noise and bias carry
    the gain, which the leaky ReLU lets through.
    """

    energy: Tensor
    noise: Tensor
    bias: Tensor

    def __init__(self, layer: StyledConv, noise: Tensor) -> None:
        super().__init__()
        weight = layer.conv.weight().detach()
        self.enlarge = layer.conv.enlarge
        self.weight = nn.Parameter(weight.transpose(0, 1).contiguous() if self.enlarge else weight)
        self.style_weight = nn.Parameter(layer.conv.style_modulation.linear.weight().detach())
        self.style_bias = nn.Parameter(layer.conv.style_modulation.bias.detach().clone())
        self.register_buffer("energy", weight.square().sum((2, 3)).T.contiguous())
        self.register_buffer("noise", noise * layer.noise_injector.weight.detach() * GAIN)
        self.register_buffer("bias", layer.activate.bias.detach().view(-1, 1, 1) * GAIN)
        if self.enlarge:
            # Not folded into the weights: 6x6 taps cost ONNX Runtime three times what 3x3 and this blur do together.
            kernel = layer.conv.blur.kernel.flip(0, 1)
            self.blur = nn.Parameter(kernel.repeat(len(weight), 1, 1, 1))

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """``x`` (N or 1, inputs, H, W), ``code`` (N, style) -> (N, outputs, H, W), twice as large when it enlarges."""
        style = F.linear(code, self.style_weight, self.style_bias)
        gain = torch.rsqrt(style.square() @ self.energy + EPSILON) * GAIN
        styled = x * style[:, :, None, None]
        if self.enlarge:
            out = F.conv_transpose2d(styled, self.weight, stride=2)
            out = F.conv2d(out, self.blur, padding=1, groups=len(self.blur))
        else:
            out = F.conv2d(styled, self.weight, padding=1)
        return leaky(out * gain[:, :, None, None] + self.noise + self.bias)


class DeghostGraph(nn.Module):
    """``resolution``: side of the pictures; InputError unless it and the network's sizes divide each other.

    Left out are the generator's own picture and its mapping, which nothing reads.
    """

    constant: Tensor

    def __init__(self, network: Deghosting, resolution: int) -> None:
        super().__init__()
        self.resolution, self.sizes = resolution, network.sizes
        for size in (self.sizes.in_size, self.sizes.out_size):
            if resolution < 1 or (resolution % size and size % resolution):
                raise InputError(
                    f"The deghosting network takes pictures of {self.sizes.in_size} pixels a side and gives "
                    f"{self.sizes.out_size}; {resolution} is neither a multiple nor a fraction of {size}."
                )
        generator = network.generator
        layers = [generator.conv1, *generator.convs]
        self.layers = nn.ModuleList(ConstantConv(layer, generator.noise(i)) for i, layer in enumerate(layers))
        self.register_buffer("constant", generator.constant_input.input.detach().clone())
        self.around = copy.deepcopy(network.FCN)
        del self.around.fusion_skip
        last = self.around.decoder[-1].get_submodule("2")
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        last.weight.data /= 2  # from [-1, 1] to [0, 1]
        last.bias.data = last.bias.data / 2 + 0.5

    def fitted(self, fused: Tensor) -> Tensor:
        """(N, 3, R, R) in [0, 1] -> (N, 3, in, in) in [-1, 1]: each pixel the mean of those it covers."""
        side = self.sizes.in_size
        if self.resolution > side:
            fused = F.avg_pool2d(fused, self.resolution // side)
        elif self.resolution < side:
            fused = F.interpolate(fused, (side, side), mode="nearest")
        return fused * 2 - 1

    def draw(self, maps: list[Tensor], codes: Tensor) -> list[Tensor]:
        """The generator's features at each size above ``in_size``."""
        out: Tensor = self.layers[0](self.constant, codes[:, 0])
        drawn: list[Tensor] = []
        for k in range(len(self.layers) // 2):
            if k < len(maps):
                out = self.around.fusion_out[k](torch.cat([out, maps[k]], 1))
            out = self.layers[2 * k + 1](out, codes[:, 2 * k + 1])
            out = self.layers[2 * k + 2](out, codes[:, 2 * k + 2])
            if k + 1 >= len(maps):
                drawn.append(out)
        return drawn

    def forward(self, fused: Tensor) -> Tensor:
        """``fused`` (N, 3, R, R) RGB in [0, 1] -> clean (N, 3, R, R) in [0, 1]."""
        maps, codes = self.around.encode(self.fitted(fused))
        clean: Tensor = self.around.decode(maps[-1], self.draw(maps, codes)).clamp(0, 1)
        if self.sizes.out_size > self.resolution:
            return F.avg_pool2d(clean, self.sizes.out_size // self.resolution)
        if self.sizes.out_size < self.resolution:
            return F.interpolate(clean, (self.resolution,) * 2, mode="bilinear", align_corners=False)
        return clean
