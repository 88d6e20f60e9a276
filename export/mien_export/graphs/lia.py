"""What is traced of LIA: one graph for each portrait, two for each driving frame; the same numbers as the network's.

Exact, because all of it is linear where it is used:

- Scales and gains lie in constant weights, and so does the way from [0, 1] to [-1, 1].
- A driving frame needs its magnitudes alone: the encoder's last convolution and the five layers behind it, which have
  no activation between them, are one matrix, and no feature map leaves the graph.
- Where the size is halved, the blur before a 1x1 convolution is computed for the pixels that are kept, and no others.
- The style scales a layer's input where the paper scales the weights, which stay constant; and the demodulation, a
  positive factor that the activation lets through, waits for the next layer's style: one pass over the features less.
- The last layer's features end in its flow, so that only what becomes colour has to be warped. Weighing channels and
  moving pixels can change places: a portrait's largest map is weighed to 3 channels once, and these move.

The orthonormal directions are constants. Noise and the first picture layer, which the public network never uses, are
left out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.graphs.mapping import plain
from mien_export.networks import lia
from mien_export.networks.stylegan2 import EPSILON, GAIN, SLOPE, EqualLinear

HALF = 0.5
"""From [-1, 1] to [0, 1]: this factor, and the same once more as an offset."""

Map = Tensor | None
"""A feature map, or None beyond the picture's size: the exporter takes the inputs' names from `forward`."""


@torch.no_grad()
def conv(layer: lia.ConvLayer, gain: float = 1.0) -> nn.Conv2d:
    """The convolution of a layer with its scale, bias and ``gain`` in it."""
    equal = next(one for one in layer if isinstance(one, lia.EqualConv))
    outputs, inputs, kernel, _ = equal.weight.shape
    last = layer[-1]
    biased = isinstance(last, lia.Activation)
    out = nn.Conv2d(inputs, outputs, kernel, equal.stride, equal.padding, bias=biased)
    out.weight.copy_(equal.weight * (equal.scale * gain))
    if out.bias is not None and isinstance(last, lia.Activation):
        out.bias.copy_(last.bias.flatten() * gain)
    return out


@torch.no_grad()
def blur(layer: lia.ConvLayer, stride: int) -> nn.Conv2d:
    """The low-pass filter of a layer that halves the size, for every ``stride``-th pixel."""
    first = layer[0]
    assert isinstance(first, lia.LowPass)
    equal = layer[1]
    assert isinstance(equal, lia.EqualConv)
    channels = equal.weight.shape[1]
    out = nn.Conv2d(channels, channels, 4, stride, first.padding[0], groups=channels, bias=False)
    out.weight.copy_(first.kernel.flip(0, 1).expand_as(out.weight))
    return out


class Down(nn.Module):
    """A residual block; the root of a half that weighs its two sides meets the gain of one and goes into the other."""

    def __init__(self, block: lia.ResBlock) -> None:
        super().__init__()
        self.conv1 = conv(block.conv1, GAIN)
        self.blur, self.conv2 = blur(block.conv2, 1), conv(block.conv2)
        self.thin, self.skip = blur(block.skip, 2), conv(block.skip, 1 / GAIN)
        self.skip.stride = (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        beside = self.skip(self.thin(x))
        x = F.leaky_relu(self.conv1(x), SLOPE)
        out: Tensor = F.leaky_relu(self.conv2(self.blur(x)), SLOPE) + beside
        return out


class Trunk(nn.Module):
    """The encoder up to 4x4 pixels: its maps from the picture's size down."""

    @torch.no_grad()
    def __init__(self, encoder: lia.Encoder) -> None:
        super().__init__()
        first, *blocks, _ = encoder.net_app.convs
        assert isinstance(first, lia.ConvLayer)
        self.first = conv(first, GAIN)
        assert self.first.bias is not None
        self.first.bias.sub_(self.first.weight.sum((1, 2, 3)))  # w (2x - 1) + b = 2w x + (b - sum of w)
        self.first.weight.mul_(2)
        self.blocks = nn.ModuleList(Down(block) for block in blocks if isinstance(block, lia.ResBlock))

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = [F.leaky_relu(self.first(image), SLOPE)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps


@torch.no_grad()
def joined(encoder: lia.Encoder) -> nn.Linear:
    """The linears between a code and its magnitudes, as one."""
    linears = [plain(layer).double() for layer in encoder.fc if isinstance(layer, EqualLinear)]
    weight, bias = linears[0].weight.data, linears[0].bias.data
    for one in linears[1:]:
        weight, bias = one.weight @ weight, one.weight @ bias + one.bias
    out = nn.Linear(weight.shape[1], weight.shape[0])
    out.weight.copy_(weight)
    out.bias.copy_(bias)
    return out


@torch.no_grad()
def summed(encoder: lia.Encoder) -> nn.Linear:
    """The encoder's last convolution, which sees all of a map of 4x4 pixels: flattened maps to the code."""
    last = encoder.net_app.convs[-1]
    assert isinstance(last, lia.EqualConv)
    weight = last.weight.flatten(1) * last.scale
    out = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    out.weight.copy_(weight)
    return out


class AppearanceGraph(nn.Module):
    """A portrait, read once."""

    def __init__(self, generator: lia.Generator) -> None:
        super().__init__()
        self.trunk = Trunk(generator.enc)
        self.summed = summed(generator.enc)
        self.magnitudes = joined(generator.enc)
        colour = generator.dec.to_rgbs[-1]
        assert isinstance(colour, lia.ToRGB)
        self.colour = conv(colour.conv, GAIN * HALF)
        self.colour.bias = None

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """``image`` (1, 3, S, S) in [0, 1] -> ``latent`` (1, D), ``motion`` (1, M), ``feature_8`` ... of 8, ... S
        pixels; the last has only the 3 channels that it is seen by."""
        *maps, small = self.trunk(image)
        latent = self.summed(small.flatten(1))
        maps[0] = self.colour(maps[0])
        return latent, self.magnitudes(latent), *reversed(maps)


class MotionGraph(nn.Module):
    """A driving frame to its magnitudes."""

    @torch.no_grad()
    def __init__(self, generator: lia.Generator) -> None:
        super().__init__()
        self.trunk = Trunk(generator.enc)
        linear = joined(generator.enc)
        whole = linear.weight.double() @ summed(generator.enc).weight.double()
        self.magnitudes = nn.Linear(whole.shape[1], whole.shape[0])
        self.magnitudes.weight.copy_(whole)
        self.magnitudes.bias.copy_(linear.bias)

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (N, 3, S, S) in [0, 1] -> ``motion`` (N, M)."""
        motion: Tensor = self.magnitudes(self.trunk(image)[-1].flatten(1))
        return motion


class Layer(nn.Module):
    """A 3x3 layer of the synthesis, in which every channel's last factor is left to whoever reads it."""

    weight: Tensor
    power: Tensor
    bias: Tensor
    blur: Tensor

    @torch.no_grad()
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        assert isinstance(layer, lia.StyledConv)
        weight = layer.conv.weight[0] * layer.conv.scale
        self.style = plain(layer.conv.modulation)
        self.upsamples = layer.conv.upsamples
        self.register_buffer("power", weight.square().sum((2, 3)).T.contiguous())
        self.register_buffer("weight", (weight.transpose(0, 1) if self.upsamples else weight).contiguous() * GAIN)
        self.register_buffer("bias", layer.activate.bias.flatten() * GAIN)
        if self.upsamples:
            self.register_buffer("blur", layer.conv.blur.kernel.flip(0, 1).repeat(weight.shape[0], 1, 1, 1))
            self.padding = layer.conv.blur.padding[0]

    def forward(self, x: Tensor, code: Tensor, factor: Tensor | None) -> tuple[Tensor, Tensor]:
        """``x`` (1, in, H, W), to be multiplied by ``factor`` (1, in) where there is one -> the same of its outputs."""
        style = self.style(code)
        norm = torch.sqrt(style.square() @ self.power + EPSILON)
        x = x * (style if factor is None else style * factor)[:, :, None, None]
        if self.upsamples:
            x = F.conv_transpose2d(x, self.weight, stride=2)
            x = F.conv2d(x, self.blur, padding=self.padding, groups=len(self.blur))
        else:
            x = F.conv2d(x, self.weight, padding=1)
        return F.leaky_relu(x + (self.bias * norm)[:, :, None, None], SLOPE), 1 / norm


class Flow(nn.Module):
    """Features and the flow so far at half the size -> x, y and mask (1, 3, S, S), before their activations."""

    weight: Tensor
    bias: Tensor
    kernel: Tensor

    @torch.no_grad()
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        assert isinstance(layer, lia.ToFlow)
        self.style = plain(layer.conv.modulation)
        self.register_buffer("weight", layer.conv.weight[0, :, :, 0, 0] * layer.conv.scale)
        self.register_buffer("bias", layer.bias.clone())
        self.register_buffer("kernel", layer.upsample.kernel.repeat(3, 1, 1, 1))

    def forward(self, x: Tensor, code: Tensor, factor: Tensor, flow: Tensor | None) -> Tensor:
        weight = self.weight * (self.style(code) * factor)[:, None]
        out: Tensor = (weight @ x.flatten(2)).reshape(1, 3, *x.shape[2:]) + self.bias
        return out if flow is None else out + doubled(flow, self.kernel)


class Colour(nn.Module):
    """Warped features, weighed already where ``last``, and the picture so far at half the size -> the picture.

    Kept at half its range, and around 0 up to the last layer.
    """

    bent: Tensor
    bias: Tensor
    kernel: Tensor

    @torch.no_grad()
    def __init__(self, layer: nn.Module, last: bool) -> None:
        super().__init__()
        assert isinstance(layer, lia.ToRGB)
        weighed = conv(layer.conv, GAIN * HALF)
        assert weighed.bias is not None
        self.register_buffer("bent", weighed.bias.view(-1, 1, 1).clone())
        self.weighed = None if last else weighed
        self.register_buffer("bias", layer.bias * HALF + (HALF if last else 0.0))
        self.register_buffer("kernel", layer.upsample.kernel.repeat(3, 1, 1, 1))

    def forward(self, seen: Tensor, rgb: Tensor | None) -> Tensor:
        raw = seen + self.bent if self.weighed is None else self.weighed(seen)
        out: Tensor = F.leaky_relu(raw, SLOPE) + self.bias
        return out if rgb is None else out + doubled(rgb, self.kernel)


def doubled(small: Tensor, kernel: Tensor) -> Tensor:
    """(1, 3, H, W) -> (1, 3, 2H, 2W)."""
    return F.conv_transpose2d(small, kernel, stride=2, padding=1, groups=3)


class GeneratorGraph(nn.Module):
    """A portrait's code and features, and the magnitudes that move it, to the picture."""

    start: Tensor
    directions: Tensor

    @torch.no_grad()
    def __init__(self, generator: lia.Generator) -> None:
        super().__init__()
        decoder = generator.dec
        last = len(decoder.to_flows) - 1
        self.register_buffer("directions", decoder.direction.basis().T.contiguous())
        self.register_buffer("start", decoder.input.input.clone())
        self.first = Layer(decoder.conv1)
        self.layers = nn.ModuleList(Layer(layer) for layer in decoder.convs)
        self.flows = nn.ModuleList(Flow(layer) for layer in decoder.to_flows)
        self.colours = nn.ModuleList(Colour(layer, index == last) for index, layer in enumerate(decoder.to_rgbs))
        for index in range(last + 1):
            self.register_buffer(f"grid_{index}", lia.identity_grid(8 << index))

    def forward(
        self, latent: Tensor, motion: Tensor, feature_8: Tensor,
        feature_16: Map = None, feature_32: Map = None, feature_64: Map = None, feature_128: Map = None,
        feature_256: Map = None, feature_512: Map = None, feature_1024: Map = None,
    ) -> Tensor:  # fmt: skip
        """What `AppearanceGraph` gives; ``motion`` (1, M) is added to the code -> ``image`` (1, 3, S, S) in [0, 1]."""
        given = (feature_8, feature_16, feature_32, feature_64, feature_128, feature_256, feature_512, feature_1024)
        features = [one for one in given if one is not None]
        code = latent + motion @ self.directions
        factor: Tensor | None
        x, factor = self.first(self.start, code, None)
        flow: Tensor | None = None
        rgb: Tensor | None = None
        for index, feature in enumerate(features):
            x, factor = self.layers[2 * index](x, code, factor)
            x, factor = self.layers[2 * index + 1](x, code, factor)
            assert factor is not None
            flow = self.flows[index](x, code, factor, flow)
            grid = self.get_buffer(f"grid_{index}") + torch.tanh(flow[:, :2]).permute(0, 2, 3, 1)
            mask = torch.sigmoid(flow[:, 2:])
            seen = F.grid_sample(feature, grid, align_corners=False) * mask
            rgb = self.colours[index](seen, rgb)
            if index + 1 < len(features):
                x, factor = seen + x * factor[:, :, None, None] * (1 - mask), None
        assert rgb is not None
        return rgb.clamp(0, 1)
