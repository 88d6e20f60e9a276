"""What is traced of ArcFace: an aligned face, cropped and scaled as its encoders were trained with, to an embedding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.graphs.folding import folded
from mien_export.networks.irse50 import ArcFace

FACE = 256
ROWS, COLUMNS = slice(35, 223), slice(32, 220)
"""What the identity loss of pixel2style2pixel cuts out of an aligned face of 256 pixels."""


class IdentityGraph(nn.Module):
    """Crop, mean over bins down to the network's size, ArcFace. Two faces are as alike as their dot product."""

    rows: Tensor
    columns: Tensor

    def __init__(self, network: ArcFace, size: int = 112) -> None:
        """``size``: side of the picture that ``network`` takes."""
        super().__init__()
        self.network = folded(network)
        self.network.output_layer = folded_head(self.network.output_layer)
        self.register_buffer("rows", pooling(ROWS, size))
        self.register_buffer("columns", pooling(COLUMNS, size).T.contiguous())

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (N, 3, 256, 256), an aligned face in [0, 1] -> embedding (N, 512), each row of length 1."""
        small = self.rows @ image @ self.columns
        out: Tensor = self.network(small * 2 - 1)
        return out


def pooling(part: slice, size: int) -> Tensor:
    """(size, 256): adaptive average pooling of this part of an axis as a matrix.

    The bins overlap where the sizes do not divide, and ONNX has no such pooling.
    """
    picked = torch.eye(FACE)[:, part]
    return F.adaptive_avg_pool1d(picked, size).T.contiguous()


@torch.no_grad()
def folded_head(head: nn.Sequential) -> nn.Sequential:
    """Flatten and one linear layer, equal to normalise, flatten, linear, normalise."""
    before, linear, after = head[0], head[3], head[4]
    assert isinstance(before, nn.BatchNorm2d) and isinstance(linear, nn.Linear) and isinstance(after, nn.BatchNorm1d)
    (scale_in, shift_in), (scale_out, shift_out) = affine(before), affine(after)
    weight = linear.weight.double().view(linear.out_features, len(scale_in), -1)
    bias = linear.bias.double() + torch.einsum("ocp,c->o", weight, shift_in)
    weight = (weight * scale_in[:, None]).flatten(1)
    linear.weight = nn.Parameter((weight * scale_out[:, None]).float())
    linear.bias = nn.Parameter((bias * scale_out + shift_out).float())
    return nn.Sequential(nn.Flatten(), linear)


def affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift, float64, of a normalisation that has learned its statistics."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    return scale, shift + norm.bias.double() if norm.affine else shift
