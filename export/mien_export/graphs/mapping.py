"""What is traced of StyleGAN2's mapping network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.networks.stylegan2 import GAIN, SLOPE, EqualLinear, Generator, PixelNorm


class MappingGraph(nn.Module):
    """z to w, with every scale and gain inside the weights."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.norm = PixelNorm()
        self.layers = nn.ModuleList(gained(layer) for layer in list(generator.style)[1:])

    def forward(self, z: Tensor) -> Tensor:
        """``z`` (N, 512) -> ``w`` (N, 512)."""
        w: Tensor = self.norm(z)
        for layer in self.layers:
            w = F.leaky_relu(layer(w), SLOPE)
        return w


@torch.no_grad()
def plain(linear: EqualLinear, gain: float = 1.0) -> nn.Linear:
    """The same layer, times ``gain``, as one whose stored weights are those that it uses."""
    out = nn.Linear(linear.weight.shape[1], linear.weight.shape[0]).requires_grad_(False)
    out.weight.copy_(linear.weight * (linear.scale * gain))
    out.bias.copy_(linear.bias * (linear.rate * gain))
    return out


def gained(layer: nn.Module) -> nn.Linear:
    """A mapping layer with the activation's gain in its weights: a leaky ReLU lets a positive factor through."""
    assert isinstance(layer, EqualLinear)
    return plain(layer, GAIN)
