"""The three small perceptrons: stitching (points that keep the shoulders still), and eyes and lips set to a ratio."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class StitchingRetargetingNetwork(nn.Module):
    """(N, input_size) -> (N, output_size), ReLU between the layers and none after the last.

    Public sizes: stitching 126 -> 128, 128, 64 -> 65; eyes 66 -> 256, 256, 128, 128, 64 -> 63; lips 65 -> 128, 128,
    64 -> 63.
    """

    def __init__(self, input_size: int, hidden_sizes: Sequence[int], output_size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths = [input_size, *hidden_sizes]
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(widths[-1], output_size))

    def forward(self, feature: Tensor) -> Tensor:
        out: Tensor = self.mlp(feature)
        return out
