"""Networks with random weights that hide nothing: statistics of their own, no layer that begins at zero."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def stirred(module: Network) -> Network:
    """With statistics that are not those of a fresh normalisation, or folding would be tested on nothing."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.3, 0.3)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.2, 0.2)
    return module.eval()


def awake(module: Network) -> Network:
    """Stirred, with small random weights where a layer begins at zero and would hide what comes before it."""
    for parameter in stirred(module).parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return module
