"""What is traced of the Fader autoencoder: a picture and the attributes that it shall have, to a picture."""

from __future__ import annotations

from torch import Tensor, nn

from mien_export.graphs.folding import folded
from mien_export.networks.fader import AutoEncoder


class FaderGraph(nn.Module):
    """Pictures in [0, 1] on both sides."""

    def __init__(self, network: AutoEncoder) -> None:
        super().__init__()
        self.network = folded(network)

    def forward(self, image: Tensor, attributes: Tensor) -> Tensor:
        """``image`` (N, 3, S, S), ``attributes`` (N, n_attr), see `interpolate` -> picture (N, 3, S, S)."""
        out: Tensor = (self.network(image * 2 - 1, attributes) + 1) / 2
        return out
