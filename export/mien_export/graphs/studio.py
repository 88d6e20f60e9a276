"""What is traced of the studio family: one named module for each network, with its decoding inside."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.graphs.folding import folded, rounded
from mien_export.networks.studio import Appearance, Detector, Generator, Still, sharpen, upsample, warp
from mien_export.networks.studio_motion import Motion


class DetectorGraph(nn.Module):
    """Letterboxed frame to scores and crops; a score that is not the largest of its 3x3 cells becomes 0."""

    def __init__(self, network: Detector) -> None:
        super().__init__()
        self.network = rounded(folded(network))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``image`` (1, 3, 192, 192) -> scores (1, 576), crops (1, 576, 3): centre x, y and side, fractions."""
        raw = self.network(image)
        cells = raw.shape[-1]
        score = torch.sigmoid(raw[:, :1])
        peak = (score == F.max_pool2d(score, 3, 1, 1)).to(score.dtype)
        axis = torch.arange(cells, dtype=raw.dtype) + 0.5
        x = (raw[:, 1] + axis.view(1, 1, -1)) / cells
        y = (raw[:, 2] + axis.view(1, -1, 1)) / cells
        side = torch.exp(raw[:, 3])
        return (score * peak).flatten(1), torch.stack([x.flatten(1), y.flatten(1), side.flatten(1)], -1)


class MotionGraph(nn.Module):
    """A motion crop to confidence, pose, place, expression, landmarks and their uncertainty."""

    def __init__(self, network: Motion) -> None:
        super().__init__()
        self.network = rounded(folded(network))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """``image`` (N, 3, 192, 192); see `mien_export.networks.studio_motion.MotionOutput`.

        The uncertainty (N, E + G) is the scale of `MotionOutput.doubt`, held within [0.01, 10].
        """
        out = self.network(image)
        uncertainty = torch.exp(out.doubt.clamp(-4.6, 2.3))
        return torch.sigmoid(out.confidence), out.pose, out.place, out.expression, out.landmarks, uncertainty


def first_convolution(generator: Generator) -> nn.Conv2d:
    """Of the generator, folded and rounded; the appearance and the generator graph each take their share of it."""
    enter = rounded(folded(generator)).enter[0]
    assert isinstance(enter, nn.Conv2d)
    return enter


class AppearanceGraph(nn.Module):
    """A source crop to features, identity, and the features' own share of the generator's first convolution.

    That convolution sees the source's features twice: moved, and as they are. The second half does not change with the
    frame, so it is computed here, once a source: 113 MFLOP less in every frame.
    """

    def __init__(self, network: Appearance, generator: Generator) -> None:
        super().__init__()
        self.network = rounded(folded(network))
        enter = first_convolution(generator)
        channels = network.features.out_channels
        self.weight = nn.Parameter(enter.weight[:, channels : 2 * channels].detach().clone())
        assert enter.bias is not None
        self.bias = nn.Parameter(enter.bias.detach().clone())

    def forward(self, image: Tensor, openings: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """``image`` (1, 3, 256, 256), ``openings`` (1, 3, 128, 128): the source's -> features (1, 32, 64, 64), context
        (1, 48, 64, 64), identity (1, 64), small (1, 3, 128, 128): the image at half the size, plate (1, 12, 128, 128):
        the background without the person, every other row and column apart."""
        out = self.network(image, openings)
        context = F.conv2d(out.features, self.weight, self.bias, padding=1)
        return out.features, context, out.identity, *Still.of(image, out.cover)


class GeneratorGraph(nn.Module):
    """Features and points to the maps that the warp-and-blend kernel takes."""

    def __init__(self, network: Generator) -> None:
        super().__init__()
        self.network = rounded(folded(network))
        weight = first_convolution(network).weight.detach()
        del self.network.enter
        channels = network.features
        moving = torch.cat([weight[:, :channels], weight[:, 2 * channels :]], 1)
        self.spare = -moving.shape[1] % 16
        self.weight = nn.Parameter(F.pad(moving, (0, 0, 0, 0, 0, self.spare)))

    def forward(
        self,
        features: Tensor,
        context: Tensor,
        identity: Tensor,
        small: Tensor,
        plate: Tensor,
        source_points: Tensor,
        driving_points: Tensor,
        openings: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """See `mien_export.networks.studio.Generator`; masks leave as probabilities, hardened where it must be sharp,
        and `cleared`.

        The blend mask falls to 0 towards the crop's edge: where shoulders cross it, the painted side showed as a seam.

        The channels are filled up to a multiple of 16 with zeros: ONNX Runtime's fast layout takes no other number.
        """
        prior, density = self.network.prior(source_points, driving_points)
        spare = torch.zeros(1, self.spare, *prior.shape[-2:], dtype=prior.dtype)
        moving = torch.cat([warp(features, prior), prior * 4, density, F.pixel_unshuffle(openings, 2), spare], 1)
        x0 = F.relu(F.conv2d(moving, self.weight, padding=1) + context)
        out = self.network.redraw(x0, identity, Still(small, plate), prior, openings)
        mask = ((torch.sigmoid(out.mask) - 0.05) / 0.9).clamp(0, 1)
        visible, mask = cleared(sharpen(out.visible), mask)
        return out.flow, visible, out.paint, mask * self.network.border(mask), out.shade


def cleared(visible: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Where background comes to light along the mask's edge, four or five pixels beyond it are repainted as well.

    Hair ends in strands that no mask follows; what stood there before the head moved would stay as an outline.
    Both (N, 1, 256, 256) in [0, 1].
    """
    reach = F.max_pool2d(mask, 10, 2, 4) * F.max_pool2d(1 - visible, 10, 2, 4)
    wider = torch.maximum(mask, upsample(reach))
    return visible * (1 - (wider - mask)), wider
