"""The studio family: small networks for reenactment on a CPU, trained on rendered heads alone.

Kin to X2Face (Wiles et al. 2018), First Order Motion (Siarohin et al. 2019) and few-shot talking heads (Zakharov et al.
2019): an appearance code of the source, a motion code of the driver, a generator that takes both. Weights: made by
``training/``, Apache-2.0. All pictures are float NCHW, RGB in [0, 1]; points are in normalised crop coordinates
(x right, y down, [-1, 1] over the crop, edges of the outer pixels).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DETECTOR_SIZE = 192
CROP_SIZE = 256
OPENINGS = 3
"""Filled shapes that are drawn from the points: the inside of the mouth, of the eyes, and the irises in them."""

MOST_SHADE = 1.1
"""Of the logarithm of a gain: three times as bright, or a third."""

EXPRESSIONS = (
    "lid_gap_right", "lid_gap_left", "lower_lid_right", "lower_lid_left", "lip_gap", "jaw_drop", "jaw_side",
    "jaw_forward", "mouth_width", "mouth_side", "corner_right", "corner_left", "upper_lip_raise",
    "upper_lip_forward", "upper_lip_height", "lower_lip_raise", "lower_lip_forward", "lower_lip_height",
    "brow_inner_right", "brow_inner_left", "brow_outer_right", "brow_outer_left", "brow_together", "nostril_right",
    "nostril_left", "gaze_yaw", "gaze_pitch",
)  # fmt: skip
"""The motion network's expression values in their order, cm on the face (gaze: radians); `training/points.py` says how
each is measured."""


@dataclass(frozen=True)
class StudioSizes:
    """The counts that tie the networks to the point model: landmarks, motion points, expression values."""

    landmarks: int
    points: int
    expressions: int


class Conv(nn.Sequential):
    """3x3 convolution, batch normalisation, ReLU; the normalisation is folded away at export."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class Residual(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Conv(channels, channels)
        self.second = Conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(self.first(x))
        return out


def upsample(x: Tensor) -> Tensor:
    """Twice the size, nearest: the convolution behind it smooths."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Detector(nn.Module):
    """Finds heads in a letterboxed frame: one score and one square crop for each cell of a 24x24 grid."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(Conv(3, 16, 2), Conv(16, 32, 2), Conv(32, 32), Conv(32, 64, 2), Conv(64, 64))
        self.context = nn.Sequential(Conv(64, 96, 2), Conv(96, 96), Conv(96, 128, 2), Residual(128))
        self.lift = Conv(128, 96)
        self.join = Conv(96 + 96, 64)
        self.merge = Conv(64 + 64, 64)
        self.head = nn.Conv2d(64, 4, 1)
        self.mid = Conv(96, 96)

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (N, 3, 192, 192) -> raw map (N, 4, 24, 24): logit, offset x, offset y, log side (24 cells = 1)."""
        fine = self.body(image - 0.5)
        middle = self.context[:2](fine)
        coarse = self.context[2:](middle)
        middle = self.join(torch.cat([upsample(self.lift(coarse)), self.mid(middle)], 1))
        raw: Tensor = self.head(self.merge(torch.cat([upsample(middle), fine], 1)))
        return raw


class AppearanceOutput(NamedTuple):
    """What the generator is told of a source."""

    features: Tensor
    """(N, 32, 64, 64)"""
    identity: Tensor
    """(N, 64), of unit length, the same for every pose of a person."""
    cover: Tensor
    """(N, 1, 64, 64) logit: the person is here, not the background."""


class Appearance(nn.Module):
    """Once per source: features for the generator and a pose-invariant identity code, from the 256 px crop.

    It is told the source's openings, so that the moved features say where an eye or a mouth was open, and how far.
    """

    def __init__(self, features: int = 32, identity: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(Conv(3, 24, 2), Conv(24, 48, 2), Residual(48))
        self.down1 = nn.Sequential(Conv(48, 64, 2), Residual(64))
        self.down2 = nn.Sequential(Conv(64, 96, 2), Residual(96))
        self.down3 = nn.Sequential(Conv(96, 128, 2), Conv(128, 128, 2))
        self.up = Conv(96, 64)
        self.join = Conv(64 + 64, 48)
        self.features = nn.Conv2d(48 + 48 + 4 * OPENINGS, features, 3, 1, 1)
        self.cover = nn.Conv2d(48 + 48 + 4 * OPENINGS, 1, 3, 1, 1)
        self.identity = nn.Linear(128 * 16, identity)

    def forward(self, image: Tensor, openings: Tensor) -> AppearanceOutput:
        """``image`` (N, 3, 256, 256), ``openings`` (N, 3, 128, 128): the source's."""
        fine = self.stem(image - 0.5)
        middle = self.down1(fine)
        coarse = self.down2(middle)
        code = F.normalize(self.identity(self.down3(coarse).flatten(1)).float(), dim=1)
        middle = self.join(torch.cat([upsample(self.up(coarse)), middle], 1))
        joined = torch.cat([upsample(middle), fine, F.pixel_unshuffle(openings, 2)], 1)
        return AppearanceOutput(self.features(joined).float(), code, self.cover(joined).float())


def plate(image: Tensor, cover: Tensor) -> Tensor:
    """The background without the person: ``image`` (N, 3, 256, 256), ``cover`` (N, 1, 64, 64) -> (N, 3, 256, 256).

    Push and pull (Gortler et al. 1996): each coarser level averages what is known, and fills what the finer one lacks.
    Known is what lies a centimetre and more outside the person, whose edge would colour the rest; grey is what nothing
    is known of.
    """
    known = 1 - F.max_pool2d(torch.sigmoid(cover), 5, 1, 2)
    levels = [(F.avg_pool2d(image, 4), known)]
    while levels[-1][0].shape[-1] > 1:
        colour, known = levels[-1]
        share = F.avg_pool2d(known, 2)
        mean = (F.avg_pool2d(colour * known, 2) + 0.5e-4) / (share + 1e-4)
        levels.append((mean, (2 * share).clamp(max=1.0)))
    filled = levels.pop()[0]
    for colour, known in reversed(levels):
        filled = torch.lerp(enlarged(filled, 2.0), colour, known.square())
    return enlarged(filled, 4.0)


def enlarged(x: Tensor, times: float) -> Tensor:
    """Bilinear."""
    return F.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)


class FlowPrior(nn.Module):
    """A dense backward flow from moved points, spread with Gaussians at three scales, each on the rest of the last.

    A Gaussian is the product of its x and its y factor, so that the sum over points is a matrix product: 5 MFLOP a
    scale instead of half a million exponentials. The constant in the denominator is a background at rest.
    """

    def __init__(self, size: int = 64, sigmas: tuple[float, ...] = (0.13, 0.075, 0.04),
                 rests: tuple[float, ...] = (0.3, 0.5, 0.5)) -> None:  # fmt: skip
        super().__init__()
        self.scales = tuple(1 / (2 * sigma**2) for sigma in sigmas)
        self.rests = rests
        grid = (torch.arange(size, dtype=torch.float32) + 0.5) * (2 / size) - 1
        self.register_buffer("grid", grid, persistent=False)
        self.grid: Tensor

    def forward(self, source: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
        """Points (N, K, 3): x, y, weight. Gives flow (N, 2, s, s) in crop units and density (N, 1, s, s) in [0, 1]."""
        place, weight = driving[..., :2], driving[..., 2]
        remaining = source[..., :2] - place
        # |a - b|² = |a|² + |b|² - 2ab: a matrix product, where all differences take ORT ten times as long
        length = place.square().sum(-1)
        apart = length.unsqueeze(2) + length.unsqueeze(1) - 2 * torch.matmul(place, place.transpose(1, 2))
        apart = apart.clamp(min=0.0)
        flow: Tensor | None = None
        density: Tensor | None = None
        for level, (scale, rest) in enumerate(zip(self.scales, self.rests, strict=True)):
            across = falloff(scale * (self.grid - place[..., :1]) ** 2)
            down = falloff(scale * (self.grid - place[..., 1:]) ** 2)
            stacked = torch.stack([weight, weight * remaining[..., 0], weight * remaining[..., 1]], 1)
            sums = torch.matmul((stacked.unsqueeze(-1) * down.unsqueeze(1)).transpose(-1, -2), across.unsqueeze(1))
            step = sums[:, 1:] / (sums[:, :1] + rest)
            flow = step if flow is None else flow + step
            if density is None:
                density = sums[:, :1] / (sums[:, :1] + rest)
            if level + 1 < len(self.scales):
                near = falloff(scale * apart) * weight.unsqueeze(1)
                remaining = remaining - torch.matmul(near, remaining) / (near.sum(-1, keepdim=True) + rest)
        assert flow is not None and density is not None
        return flow, density


def falloff(exponent: Tensor) -> Tensor:
    """exp(-x), never below 1e-13: products of smaller factors are subnormal, and those cost a CPU 3 ms a frame."""
    return torch.exp(-exponent.clamp(max=30.0))


class Still(NamedTuple):
    """What the generator sees of the source's pixels."""

    small: Tensor
    """(N, 3, 128, 128): the source at half the size."""
    plate: Tensor
    """(N, 12, 128, 128): the background without the person, `plate`, taken apart as by pixel_unshuffle."""

    @classmethod
    def of(cls, image: Tensor, cover: Tensor) -> Still:
        """A source (N, 3, 256, 256) and where the appearance network sees the person; neither is learned from here."""
        with torch.no_grad():
            return cls(F.avg_pool2d(image, 2), F.pixel_unshuffle(plate(image, cover), 2))


class GeneratorOutput(NamedTuple):
    """One frame in crop coordinates, before it is composed with the source's own pixels."""

    flow: Tensor
    """(N, 2, 128, 128) where each pixel comes from, minus its own place, in crop units."""
    visible: Tensor
    """(N, 1, 256, 256) logit: the source shows this pixel."""
    paint: Tensor
    """(N, 3, 256, 256) colour for what the source does not show, [0, 1]; the plate where ``behind`` says so."""
    behind: Tensor
    """(N, 1, 256, 256) logit: if the source does not show it, it is background."""
    mask: Tensor
    """(N, 1, 256, 256) logit: the result may differ from the source here."""
    prior: Tensor
    """(N, 2, 64, 64) the flow before the network's correction."""
    shade: Tensor
    """(N, 3, 64, 64) gains of the warped colours, 1/3 to 3: light does not turn with the head."""


class Generator(nn.Module):
    """Each frame: point prior, a U-Net's correction of it, what is hidden, its colour, its light, and where to blend.

    The U-Net works at 64 px and says everything once; a thin stage at 128 px then sees the source as the flow moves it,
    beside the openings as they should be, and corrects flow, masks and paint, the last two for 256 px.
    """

    def __init__(self, features: int = 32, identity: int = 64) -> None:
        super().__init__()
        self.features = features
        self.prior = FlowPrior()
        self.enter = Conv(2 * features + 3 + 4 * OPENINGS, 48)
        self.down1 = nn.Sequential(Conv(48, 64, 2), Conv(64, 64))
        self.down2 = nn.Sequential(Conv(64, 96, 2), Residual(96))
        self.down3 = nn.Sequential(Conv(96, 128, 2), Conv(128, 128))
        self.film = nn.Linear(identity, 2 * 128)
        self.up3 = Conv(128, 96)
        self.up2 = Conv(96 + 96, 64)
        self.up1 = Conv(64 + 64, 48)
        self.up0 = Conv(48 + 48, 48)
        self.tint = nn.Linear(identity, 2 * 48)
        self.refine = Conv(48, 48)
        self.flow = nn.Conv2d(48, 2, 3, 1, 1)
        self.masks = nn.Conv2d(48, 3, 3, 1, 1)
        self.paint = nn.Conv2d(48, 3, 3, 1, 1)
        self.shade = nn.Conv2d(48, 3, 3, 1, 1)
        self.spread = Conv(48, 10)
        self.detail = Conv(10 + 3 + OPENINGS, 16)
        self.finer = nn.Conv2d(16, 2 + 3 * 4 + 3 * 4, 3, 1, 1)
        nn.init.normal_(self.flow.weight, std=1e-3)
        for zero in (self.film, self.tint, self.shade, self.finer):
            for weight in zero.parameters():
                nn.init.zeros_(weight)

    def forward(
        self,
        features: Tensor,
        identity: Tensor,
        still: Still,
        source_points: Tensor,
        driving_points: Tensor,
        openings: Tensor,
    ) -> GeneratorOutput:
        """Points (N, K, 3): x, y, weight; ``openings`` (N, 3, 128, 128): the driver's, filled."""
        prior, density = self.prior(source_points, driving_points)
        return self.correct(features, identity, still, prior, density, openings)

    def correct(
        self, features: Tensor, identity: Tensor, still: Still, prior: Tensor, density: Tensor, openings: Tensor
    ) -> GeneratorOutput:
        """What follows the prior; apart, because training runs it in bfloat16 and the prior in float32."""
        changes = torch.cat([prior * 4, density, F.pixel_unshuffle(openings, 2)], 1)
        x0 = self.enter(torch.cat([warp(features, prior), features, changes], 1))
        return self.redraw(x0, identity, still, prior, openings)

    def redraw(self, x0: Tensor, identity: Tensor, still: Still, prior: Tensor, openings: Tensor) -> GeneratorOutput:
        """The U-Net behind its first convolution, and the fine stage."""
        x1 = self.down1(x0)
        x2 = self.down2(x1)
        x3 = coloured(self.down3(x2), self.film(identity))
        up = self.up2(torch.cat([upsample(self.up3(x3)), x2], 1))
        up = self.up1(torch.cat([upsample(up), x1], 1))
        up = self.up0(torch.cat([upsample(up), x0], 1))
        up = self.refine(coloured(up, self.tint(identity)))
        turn, maps, light = torch.split(together(up, self.flow, self.masks, self.paint, self.shade), [2, 6, 3], 1)
        flow = enlarged(prior + turn.float() * 0.25, 2.0)
        border = self.border(flow)
        flow = flow * border
        moved = warp(still.small, flow.detach()) - 0.5
        seen = torch.cat([upsample(self.spread(up)), moved, openings], 1)
        turn, fine = torch.split(self.finer(self.detail(seen)).float(), [2, 24], 1)
        flow = flow + turn * 0.25 * border
        # Each map at 128 px and its four corrections: one of 256 px, still taken apart.
        parts = enlarged(maps.float(), 2.0).unsqueeze(2) + fours(fine)
        visible, behind, mask, colours = torch.split(parts, [1, 1, 1, 3], 1)
        paint = torch.sigmoid(colours)
        paint = paint + sharpen(behind) * (fours(still.plate) - paint)
        shade = torch.exp(MOST_SHADE * torch.tanh(light.float() / MOST_SHADE))
        return GeneratorOutput(flow, whole(visible), whole(paint), whole(behind), whole(mask), prior, shade)

    @staticmethod
    def border(like: Tensor) -> Tensor:
        """1 inside, falling to 0 over the outer 6 %: the crop's edge must not move, or a seam shows."""
        size = like.shape[-1]
        place = (torch.arange(size, dtype=like.dtype, device=like.device) + 0.5) / size
        ramp = (torch.minimum(place, 1 - place) / 0.06).clamp(max=1.0)
        return ramp.view(1, 1, size, 1) * ramp.view(1, 1, 1, size)


def together(x: Tensor, *layers: nn.Conv2d) -> Tensor:
    """3x3 convolutions of one input as one, their outputs one after the other: ONNX Runtime counts them by 16."""
    weight = torch.cat([layer.weight for layer in layers])
    return F.conv2d(x, weight, torch.cat([layer.bias for layer in layers if layer.bias is not None]), padding=1)


def fours(x: Tensor) -> Tensor:
    """Channels (N, 4 C, h, w) as C maps taken apart into every other row and column: (N, C, 4, h, w)."""
    return x.reshape(-1, x.shape[1] // 4, 4, *x.shape[2:])


def whole(parts: Tensor) -> Tensor:
    """The same put together: (N, C, 4, h, w) -> (N, C, 2 h, 2 w)."""
    return F.pixel_shuffle(parts.flatten(1, 2), 2)


def coloured(x: Tensor, code: Tensor) -> Tensor:
    """Features (N, C, h, w) scaled and shifted as a code (N, 2 C) says: FiLM."""
    gain, shift = code.unsqueeze(-1).unsqueeze(-1).chunk(2, 1)
    return x * (1 + gain) + shift


def warp(picture: Tensor, flow: Tensor) -> Tensor:
    """Sample ``picture`` (N, C, h, w) at every pixel of ``flow`` (N, 2, H, W) plus its offset, bilinear, edges held."""
    height, width = flow.shape[-2:]
    xs = (torch.arange(width, dtype=flow.dtype, device=flow.device) + 0.5) * (2 / width) - 1
    ys = (torch.arange(height, dtype=flow.dtype, device=flow.device) + 0.5) * (2 / height) - 1
    # Held within the outer pixels' centres, as padding by the border does; that mode is six times slower in ORT.
    right, down = 1 - 1 / picture.shape[-1], 1 - 1 / picture.shape[-2]
    x = (flow[:, 0] + xs.view(1, 1, -1)).clamp(-right, right)
    y = (flow[:, 1] + ys.view(1, -1, 1)).clamp(-down, down)
    return F.grid_sample(picture, torch.stack([x, y], -1), mode="bilinear", padding_mode="zeros", align_corners=False)


def sharpen(logit: Tensor) -> Tensor:
    """A mask with a hard slope: a soft mix of warped and painted pixels is a blur."""
    return torch.sigmoid(3.0 * logit)


def compose(source: Tensor, out: GeneratorOutput) -> Tensor:
    """The frame at crop size: warped and shaded source where it shows, paint where not, the source outside the mask."""
    shade = F.interpolate(out.shade, size=source.shape[-2:], mode="bilinear", align_corners=False)
    flow = F.interpolate(out.flow, size=source.shape[-2:], mode="bilinear", align_corners=False)
    visible, mask = sharpen(out.visible), torch.sigmoid(out.mask)
    moved = visible * warp(source, flow) * shade + (1 - visible) * out.paint
    return mask * moved + (1 - mask) * source
