"""What is traced of the difference network: two pictures, as often as they are augmented, to features and scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien_export.graphs.fusing import fused
from mien_export.networks.difference import DifferenceNetwork

NORMALISED = {"conv1": "bn1", "conv2": "bn2", "conv3": "bn3"}
"""Convolutions of a block, and the normalisation behind each."""


class DifferenceGraph(nn.Module):
    """Both pictures, flipped and brightened as each row asks, to the difference's activation and scores."""

    def __init__(self, network: DifferenceNetwork) -> None:
        super().__init__()
        self.network = fused(network, NORMALISED)

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
