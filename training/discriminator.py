"""The generator's opponent: says of patches of a picture, and of close-ups of eyes and mouth, whether they are real."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from mien_export.networks.studio import OPENINGS

CLOSE_UP = 56
"""Side of a close-up, pixels of the 256 px crop: 6.6 cm."""


def convolution(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Spectrally normalised, 4x4 where it shrinks, so that every pixel counts alike."""
    size = 4 if stride == 2 else 3
    return spectral_norm(nn.Conv2d(inputs, outputs, size, stride, 1))


class Patches(nn.Module):
    """Three stages that halve, and a verdict for each cell of 8 x 8 pixels; all stages are handed out for matching."""

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 96)) -> None:
        super().__init__()
        ins = (3 + OPENINGS, *widths[:-1])
        self.stages = nn.ModuleList(convolution(i, o, 2) for i, o in zip(ins, widths, strict=True))
        self.verdict = convolution(widths[-1], 1, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 6, h, w): picture - 0.5 and openings -> the three stages' features and the verdict (N, 1, h/8, w/8)."""
        found = []
        for stage in self.stages:
            x = F.leaky_relu(stage(x), 0.2)
            found.append(x)
        return [*found, self.verdict(x)]


class Discriminator(nn.Module):
    """One for the whole picture at half its size, one for the three close-ups; both see the openings asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = Patches()
        self.close = Patches()

    def forward(self, picture: Tensor, openings: Tensor, middles: Tensor) -> list[list[Tensor]]:
        """``picture`` (N, 3, 256, 256) in [0, 1], ``openings`` (N, 3, 128, 128), ``middles`` (N, 3, 2): eyes and mouth,
        crop coordinates; see `Patches`."""
        small = torch.cat([F.avg_pool2d(picture, 2) - 0.5, openings], 1)
        fine = F.interpolate(openings, size=picture.shape[-2:], mode="bilinear", align_corners=False)
        return [self.whole(small), self.close(close_ups(torch.cat([picture - 0.5, fine], 1), middles))]


def close_ups(picture: Tensor, middles: Tensor) -> Tensor:
    """(3 N, C, 56, 56): squares of ``picture`` (N, C, s, s) around ``middles`` (N, 3, 2), pixel for pixel."""
    side = picture.shape[-1]
    first = ((middles + 1) * (side / 2) - CLOSE_UP / 2).round().long().clamp(0, side - CLOSE_UP)
    corners = first.flatten(0, 1).tolist()
    cuts = [picture[i // 3, :, y : y + CLOSE_UP, x : x + CLOSE_UP] for i, (x, y) in enumerate(corners)]
    return torch.stack(cuts)


def judged(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """The discriminator's hinge loss."""
    return torch.stack([F.relu(1 - r[-1].float()).mean() + F.relu(1 + f[-1].float()).mean()
                        for r, f in zip(real, fake, strict=True)]).mean()  # fmt: skip


def deceived(fake: list[list[Tensor]]) -> Tensor:
    """The generator's hinge loss."""
    return torch.stack([-f[-1].float().mean() for f in fake]).mean()


def matched(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """How far the features of the generator's pictures are from those of the true ones: L1."""
    apart = [F.l1_loss(f.float(), r.detach().float())
             for rs, fs in zip(real, fake, strict=True) for r, f in zip(rs[:-1], fs[:-1], strict=True)]  # fmt: skip
    return torch.stack(apart).mean()
