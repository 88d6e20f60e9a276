"""Constants folded before tracing: batch normalisation into convolutions, weights to what the file stores."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def folded(network: Network) -> Network:
    """A copy in evaluation mode with every batch normalisation folded into the convolution before it."""
    module = copy.deepcopy(network).eval()
    for parent in list(module.modules()):
        if not isinstance(parent, nn.Sequential):
            continue
        for index in range(len(parent) - 1):
            conv, norm = parent[index], parent[index + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                parent[index] = fuse_conv_bn_eval(conv, norm)
                parent[index + 1] = nn.Identity()
    return module


@torch.no_grad()
def rounded(module: Network) -> Network:
    """The same module with its weights rounded to float16: the file stores them so, at half the size."""
    for weight in module.parameters():
        if weight.dim() > 1:
            weight.copy_(weight.half().float())
    return module
