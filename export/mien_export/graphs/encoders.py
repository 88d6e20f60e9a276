"""What is traced of the StyleGAN encoders: a picture to W+ in one pass, or ReStyle's rounds, stepped or unrolled."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mien.errors import InputError
from mien_export.graphs.folding import folded
from mien_export.networks.encoders import StyleBlock, StyleEncoder, WEncoder


class EncoderGraph(nn.Module):
    """A picture to W+ with ``latent_avg`` added; a W encoder's one code becomes every row."""

    latent_avg: Tensor

    def __init__(self, encoder: StyleEncoder | WEncoder, latent_avg: Tensor, layers: int = 18) -> None:
        """``latent_avg``: (512,), (1, 512) or (layers, 512). Raises InputError for shapes that do not fit."""
        super().__init__()
        if isinstance(encoder, StyleEncoder) and len(encoder.styles) != layers:
            raise InputError(
                f"{layers} rows of W+ were asked for, but the encoder makes {len(encoder.styles)}. Take an encoder "
                "that was trained for this generator's resolution."
            )
        if latent_avg.dim() not in (1, 2) or latent_avg.shape[:-1] not in ((), (1,), (layers,)):
            raise InputError(
                f"The average latent has the shape {tuple(latent_avg.shape)}; (512,), (1, 512) or ({layers}, 512) was "
                "expected. Take `latent_avg` of the checkpoint that the encoder comes from."
            )
        self.encoder = slim(encoder)
        self.register_buffer("latent_avg", latent_avg.detach().expand(layers, -1).clone())

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (N, 3, 256, 256) in [0, 1] -> latents (N, layers, 512)."""
        out: Tensor = self.encoder(image * 2 - 1) + self.latent_avg
        return out


class ReStyleGraph(nn.Module):
    """One of ReStyle's rounds: what the reconstruction still lacks, added to the latents it was made from."""

    def __init__(self, encoder: StyleEncoder) -> None:
        super().__init__()
        self.encoder = slim(encoder)

    def forward(self, image: Tensor, current: Tensor, latents_in: Tensor) -> Tensor:
        """The first round takes the generator's average picture and latents.

        ``image`` (N, 3, 256, 256) in [0, 1]; ``current`` of the same shape, the reconstruction, nominally in [0, 1] but
        not clamped; ``latents_in`` (N, L, 512) -> latents (N, L, 512).
        """
        out: Tensor = latents_in + self.encoder(torch.cat([image, current], 1) * 2 - 1)
        return out


class UnrolledReStyleGraph(nn.Module):
    """All rounds in one graph, the generator between them."""

    latent_avg: Tensor
    average_image: Tensor

    def __init__(
        self,
        step: ReStyleGraph,
        synthesis: Callable[[Tensor], Tensor],
        latent_avg: Tensor,
        average_image: Tensor,
        steps: int = 5,
    ) -> None:
        """``synthesis``: latents (N, layers, 512) -> picture (N, 3, 256, 256), nominally [0, 1], not clamped.

        ``latent_avg`` (layers, 512); ``average_image`` (3, 256, 256), the picture of it.
        """
        super().__init__()
        self.step, self.synthesis, self.steps = step, synthesis, steps
        self.register_buffer("latent_avg", latent_avg.detach().clone())
        self.register_buffer("average_image", average_image.detach().clone())

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (N, 3, 256, 256) in [0, 1] -> latents (N, layers, 512)."""
        current = self.average_image.expand_as(image)
        latents: Tensor = self.step(image, current, self.latent_avg.expand(len(image), -1, -1))
        for _ in range(self.steps - 1):
            latents = self.step(image, self.synthesis(latents), latents)
        return latents


class JoinedEncoder(nn.Module):
    """A W+ encoder whose style blocks that read the same map are one stack of grouped convolutions."""

    def __init__(self, encoder: StyleEncoder) -> None:
        super().__init__()
        blocks = [block for block in encoder.styles if isinstance(block, StyleBlock)]
        starts = itertools.accumulate(encoder.readers, initial=0)
        self.stacks = nn.ModuleList(joined(blocks[a:b]) for a, b in itertools.pairwise(starts))
        # The memo keeps the style blocks, most of the weights, out of the copies.
        self.encoder = folded(copy.deepcopy(encoder, {id(encoder.styles): nn.ModuleList()}))

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (N, channels, size, size) in [-1, 1] -> codes (N, L, 512)."""
        maps = self.encoder.maps(image)
        rows = [stack(x) for stack, x in zip(self.stacks, maps, strict=True)]
        return self.encoder.join(torch.cat(rows, 1))


def slim(encoder: StyleEncoder | WEncoder) -> nn.Module:
    """The encoder as it is traced: (N, channels, size, size) in [-1, 1] -> (N, its rows, 512)."""
    if isinstance(encoder, WEncoder):
        return nn.Sequential(folded(encoder), nn.Unflatten(1, (1, -1)))
    return JoinedEncoder(encoder)


@torch.no_grad()
def joined(blocks: Sequence[StyleBlock]) -> nn.Sequential:
    """The blocks side by side: map (N, width, side, side) -> rows (N, len(blocks), width)."""
    convolutions = [[layer for layer in block.convs if isinstance(layer, nn.Conv2d)] for block in blocks]
    layers: list[nn.Module] = []
    for step, column in enumerate(zip(*convolutions, strict=True)):
        weight = torch.cat([c.weight for c in column])
        bias = torch.cat([c.bias for c in column if c.bias is not None])
        groups = len(blocks) if step else 1
        if step < len(convolutions[0]) - 1:
            layers.append(convolution(weight, bias, groups, stride=2, padding=1))
        else:  # from 2x2 to one place: of the nine values around it five are padding
            layers.append(convolution(weight[:, :, 1:, 1:], bias, groups))
        layers.append(nn.LeakyReLU())
    weight = torch.cat([block.linear.effective_weight() for block in blocks])
    bias = torch.cat([block.linear.bias for block in blocks])
    layers.append(convolution(weight[:, :, None, None], bias, len(blocks)))
    return nn.Sequential(*layers, nn.Flatten(), nn.Unflatten(1, (len(blocks), -1)))


def convolution(weight: Tensor, bias: Tensor, groups: int, stride: int = 1, padding: int = 0) -> nn.Conv2d:
    """With these very weights (outputs, inputs of a group, side, side)."""
    outputs, inputs, side, _ = weight.shape
    module = nn.Conv2d(inputs * groups, outputs, side, stride, padding, groups=groups, device="meta")
    module.weight, module.bias = nn.Parameter(weight.contiguous()), nn.Parameter(bias)
    return module
