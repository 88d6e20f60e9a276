"""Where an attribute changed: maps from the difference network's last activation, without a gradient.

Papers: Grad-CAM (Selvaraju et al. 2017), Grad-CAM++ (Chattopadhyay et al. 2018); on features of a difference, with
averaging over augmentations and a projection on the first principal component: Song et al. 2022.

Between the activation A (Z places a channel) and a score there are only the mean over the places and one linear layer,
so the gradient at every place is g = w / Z, and higher derivatives of exp(score) are its powers times exp(score).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]

SIDE = 256
"""Of a finished map."""

LARGEST = 1e6
"""An activation that reaches this is broken: the squares of the others must be finite. Real ones are near 10."""

SQUARINGS = 10
"""Of the Gram matrix: with singular values s1 > s2, the second direction is left with a share (s2 / s1) ** 2048."""

NOISE = 1e-6
"""A map whose values differ by less than this share of the largest is flat: the rest is rounding."""

TINY = 1e-30
"""Keeps quotients finite; nothing that counts is so small."""


class HeatGraph(nn.Module):
    """Activations of all augmentations to one map for each attribute asked for.

    ``weight`` (attributes, C): of the difference network's linear layer.
    """

    def __init__(self, weight: Tensor, side: int = SIDE) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
        self.side = side

    def forward(
        self, activation: Tensor, flip: Tensor, attributes: Tensor, plusplus: Tensor, eigen: Tensor, epsilon: Tensor
    ) -> Tensor:
        """``activation`` (N, C, h, w), ``flip`` (N,) bool, ``attributes`` (K,) int64 -> heat (K, side, side) in [0, 1].

        ``plusplus`` (1,) bool: weights of Grad-CAM++ instead of Grad-CAM; ``epsilon`` (1,): see `plusplus_weights`.
        ``eigen`` (1,) bool: the projection of `first_component` instead of the plain sum. The mean over N of the
        finished maps, those of flipped rows turned back. Never NaN, whatever the activation holds.
        """
        height, width = activation.shape[-2:]
        channels = finite(activation).flatten(2)
        linear = self.weight[attributes]
        weights = torch.where(plusplus, plusplus_weights(linear, channels, epsilon), linear / (height * width))
        plain = weights @ channels
        maps = torch.where(eigen, first_component(weights, channels, plain), plain)
        maps = maps.view(-1, attributes.shape[0], height, width)
        upright = torch.where(flip.view(-1, 1, 1, 1), maps.flip(-1), maps)
        size = self.side, self.side
        return enlarged(stretched(upright, size).mean(0), size)


def finite(activation: Tensor) -> Tensor:
    """As it should be after a ReLU: what is negative, NaN or not below `LARGEST` becomes 0 and counts nothing."""
    # Asked this way round because OpenVINO takes NaN > 0 for true, and only NaN < x for false.
    return torch.where(activation.abs() < LARGEST, F.relu(activation), 0.0)


def plusplus_weights(linear: Tensor, channels: Tensor, epsilon: Tensor) -> Tensor:
    """``linear`` (K, C) and ``channels`` (N, C, Z), not negative -> (N, K, C): Grad-CAM++ weights, not negative.

    A weight is the sum over the places of alpha * ReLU(g), alpha = g^2 / (2 g^2 + g^3 * sum(A) + epsilon). All places
    have the same g = w / Z, so the sum is ReLU(w) * alpha; alpha divided through by g^2 leaves the formula below.

    ``epsilon`` (1,) = 0 is the paper's own: the score goes through exp, whose second and third derivative over the
    first are g and g^2, so exp(score) cancels in alpha and scales all weights alike. pytorch-grad-cam takes the score
    itself and epsilon = 1e-6. They agree where g^2 is far above that; for Z = 64 and |w| < 0.064 it is not.
    """
    positive = F.relu(linear)
    slope = positive / channels.shape[-1]
    # Where w <= 0 the numerator is 0, so any divisor but 0 will do.
    return positive / (2 + positive * channels.mean(-1).unsqueeze(1) + epsilon / (slope * slope).clamp(min=TINY))


def first_component(weights: Tensor, channels: Tensor, plain: Tensor) -> Tensor:
    """Weighted channels, centred over the places, projected on their first right singular vector, up to a factor.

    ``weights`` (N, K, C), ``channels`` (N, C, Z), ``plain`` (N, K, Z), the weighted sum -> (N, K, Z): of length 1, its
    sign such that it rises where ``plain`` does; 0 where nothing differs between the places.

    For X (Z, C) that projection is the first left singular vector times its singular value, so the small Gram matrix
    X X^T (Z, Z) is enough. Squared again and again it becomes the projector on its first eigenvector, of which any
    column is a multiple; the one with the largest diagonal is the safest. If the first singular value is repeated,
    the singular vectors are not unique and torch.linalg.svd picks any; this gives the vector of that space
    which is nearest to the place with the largest share in it, every time the same.
    """
    places = channels.shape[-1]
    centred = channels - channels.mean(-1, keepdim=True)
    squared = weights * weights
    left = (squared.unsqueeze(-2) * centred.transpose(1, 2).unsqueeze(1)).flatten(1, 2)
    gram = (left @ centred).view(-1, weights.shape[1], places, places)
    spread = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    whole = (squared @ (channels * channels).sum(-1, keepdim=True)).squeeze(-1)
    varies = (spread > NOISE**2 * whole + TINY).unsqueeze(-1)
    gram = gram / torch.where(varies, spread.unsqueeze(-1), 1.0).unsqueeze(-1)
    for _ in range(SQUARINGS):
        # Symmetric, so the sum of its squares is the trace of its square; a floor for the matrix of zeros.
        gram = gram @ gram / (gram * gram).sum((-2, -1), keepdim=True).clamp(min=TINY)
    place = gram.diagonal(dim1=-2, dim2=-1).argmax(-1, keepdim=True)
    column = gram.gather(-2, place.unsqueeze(-1).expand(-1, -1, -1, places)).squeeze(-2)
    column = F.normalize(column, dim=-1, eps=TINY)
    rises = (column * plain).sum(-1, keepdim=True) >= 0
    return torch.where(varies, torch.where(rises, column, -column), 0.0)


def normalised(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """``maps`` (..., h, w) of any sign -> (..., *size) in [0, 1].

    What is negative becomes 0; bilinear enlargement (pixel centres, align_corners=False); minus the smallest value,
    over the largest of what is left. A map without contrast, positive or not, becomes 0 (the reference divides 0 by 0):
    no place stands out from the others, and a mask of zeros leaves the photograph as it is.
    """
    return enlarged(stretched(maps, size), size)


def stretched(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """What `normalised` does, before the enlargement: both are linear, so a mean of maps is enlarged once.

    The extremes are those of the enlarged map. Between the centres of four neighbours it is bilinear, so they lie on
    the outermost samples there, and the others need not be computed.
    """
    positive = F.relu(maps)
    rows, columns = (outermost(*pair) for pair in zip(size, maps.shape[-2:], strict=True))
    samples = matrix(rows, maps) @ positive @ matrix(columns, maps).T
    low, high = samples.amin((-2, -1), keepdim=True), samples.amax((-2, -1), keepdim=True)
    contrast = high - low
    shown = contrast > NOISE * high + TINY
    return torch.where(shown, (positive - low) / torch.where(shown, contrast, 1.0), 0.0)


def enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Stretched ``maps`` (..., h, w) -> (..., *size) in [0, 1]; two products, several times as fast as Resize."""
    rows, columns = (interpolation(*pair) for pair in zip(size, maps.shape[-2:], strict=True))
    return (matrix(rows, maps) @ (maps @ matrix(columns, maps).T)).clamp(0, 1)


def interpolation(outputs: int, inputs: int) -> Array:
    """(outputs, inputs): linear interpolation at pixel centres, held beyond the outer ones."""
    places = (np.arange(outputs) + 0.5) * inputs / outputs - 0.5
    distance = np.abs(places.clip(0, inputs - 1)[:, None] - np.arange(inputs))
    return (1 - distance).clip(0)


def outermost(outputs: int, inputs: int) -> Array:
    """Of the rows of `interpolation`, the first and the last between each two inputs."""
    cell = np.floor((np.arange(outputs) + 0.5) * inputs / outputs - 0.5)
    first = np.diff(cell, prepend=-np.inf) > 0
    last = np.diff(cell, append=np.inf) > 0
    return interpolation(outputs, inputs)[first | last]


def matrix(values: Array, like: Tensor) -> Tensor:
    """As a constant of the traced graph."""
    return torch.tensor(values.tolist(), dtype=like.dtype, device=like.device)
