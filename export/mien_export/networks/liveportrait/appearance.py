"""F, the appearance of a source: a picture to a volume of features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien_export.networks.liveportrait.blocks import DownBlock2d, ResBlock3d, SameBlock2d


class AppearanceFeatureExtractor(nn.Module):
    """``image`` (N, 3, 256, 256) -> (N, 32, 16, 64, 64).

    The arguments have the names and, as defaults, the values of the public configuration.
    """

    def __init__(
        self,
        image_channel: int = 3,
        block_expansion: int = 64,
        num_down_blocks: int = 2,
        max_features: int = 512,
        reshape_channel: int = 32,
        reshape_depth: int = 16,
        num_resblocks: int = 6,
    ) -> None:
        super().__init__()
        self.shape = reshape_channel, reshape_depth
        widths = [min(max_features, block_expansion * 2**level) for level in range(num_down_blocks + 1)]
        self.first = SameBlock2d(image_channel, block_expansion)
        self.down_blocks = nn.ModuleList(DownBlock2d(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.second = nn.Conv2d(widths[-1], max_features, 1)
        blocks = {f"3dr{index}": ResBlock3d(reshape_channel) for index in range(num_resblocks)}
        self.resblocks_3d = nn.Sequential()
        for name, block in blocks.items():
            self.resblocks_3d.add_module(name, block)

    def flat(self, image: Tensor) -> Tensor:
        """Before the volume's own blocks: (N, 32 * 16, 64, 64), channel by channel, in each depth by depth."""
        x = self.first(image)
        for block in self.down_blocks:
            x = block(x)
        out: Tensor = self.second(x)
        return out

    def forward(self, image: Tensor) -> Tensor:
        volume: Tensor = self.resblocks_3d(torch.unflatten(self.flat(image), 1, self.shape))
        return volume
