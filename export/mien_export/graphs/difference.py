"""What is traced of the difference network: two pictures, as often as they are augmented, to features and scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mien_export.graphs.folding import folded
from mien_export.networks.difference import Bottleneck, DifferenceNetwork


def folded_blocks(network: DifferenceNetwork) -> DifferenceNetwork:
    """A copy in evaluation mode without batch normalisation: each is folded into the convolution before it."""
    module = folded(network)
    for block in module.modules():
        if isinstance(block, Bottleneck):
            for conv, norm in (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")):
                setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm)))
                setattr(block, norm, nn.Identity())
    return module


class DifferenceGraph(nn.Module):
    """Both pictures, flipped and brightened as each row asks, to the difference's activation and scores."""

    def __init__(self, network: DifferenceNetwork) -> None:
        super().__init__()
        self.network = folded_blocks(network)

    def forward(self, inverted: Tensor, edited: Tensor, flip: Tensor, brightness: Tensor) -> tuple[Tensor, Tensor]:
        """``inverted``, ``edited`` (1, 3, 256, 256) RGB, nominally [0, 1]; ``flip`` (N,) bool, ``brightness`` (N,).

        Gives activation (N, 2048, 8, 8) and scores (N, attributes), of flipped rows as the flipped pictures have them.
        Brightness multiplies values in [-1, 1], where 0 is grey.
        """
        before, after = (augmented(picture * 2 - 1, flip, brightness) for picture in (inverted, edited))
        features = self.network(before, after)
        return features.activation, features.scores


def augmented(picture: Tensor, flip: Tensor, brightness: Tensor) -> Tensor:
    """``picture`` (1, 3, H, W) -> (N, 3, H, W): mirrored left to right where ``flip``, times ``brightness``."""
    rows = torch.where(flip.view(-1, 1, 1, 1), picture.flip(-1), picture)
    return rows * brightness.view(-1, 1, 1, 1)
