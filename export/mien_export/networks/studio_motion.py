"""The studio family's motion network: what a driver's head does in a crop. Weights: made by ``training/``, Apache-2.0.

A trunk reads the whole crop at 144 px. Around each eye with its brow, and around the mouth, a patch is then cut from
the 192 px picture, upright and of one size by the trunk's own landmarks, and a small network corrects what the trunk
said of that part. Both eyes share one network: the left one is seen mirrored.

All pictures are float NCHW, RGB in [0, 1]; points are in normalised crop coordinates (x right, y down, [-1, 1] over the
crop, edges of the outer pixels).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.networks.studio import EXPRESSIONS, Conv, Residual, StudioSizes, upsample

MOTION_SIZE = 192
TRUNK_SIZE = 144

EYE_SIZE = (48, 48)
MOUTH_SIZE = (56, 64)
"""Height and width of the patches in pixels."""
EYE_CM = (2.75, 2.75)
MOUTH_CM = (3.5, 4.0)
"""Half their height and width on the head."""
EYE_OUTWARD, EYE_UP = 0.2, 1.0
"""Where an eye's patch has its centre, cm from the middle of the lids: the brow is in it."""

RIGHT_EYE = (36, 37, 38, 39, 40, 41, 68, 69, 70, 71, 72, 73, 101, 17, 18, 19, 20, 21)
LEFT_EYE = (45, 44, 43, 42, 47, 46, 76, 75, 74, 79, 78, 77, 100, 26, 25, 24, 23, 22)
MOUTH = (*range(48, 68), *range(80, 100))
"""Landmarks of each part, lids first; those of the left eye in the order of their mirror images."""
LIDS = 12
OUTER_LIPS = 12
PARTS = (*RIGHT_EYE, *LEFT_EYE, *MOUTH)

GATE = 5.0
"""How much faster than other weights it is learned how far a patch's landmarks replace the trunk's; 0 at first."""

GROUPS = ("contour", "right eye", "left eye", "nose", "mouth")
"""Groups of landmarks that have an uncertainty in common."""
GROUP_OF = tuple(
    1 if i in RIGHT_EYE else 2 if i in LEFT_EYE else 4 if i in MOUTH else 0 if i < 17 else 3 for i in range(102)
)
GROUP_CM = 0.5
"""A group's uncertainty is 1 where its landmarks are so far off."""

EYE_VALUES = ("lid_gap", "lower_lid", "brow_inner", "brow_outer")
BOTH_EYES = ("brow_together", "gaze_yaw", "gaze_pitch")
MOUTH_VALUES = (
    "lip_gap", "jaw_drop", "jaw_side", "jaw_forward", "mouth_width", "mouth_side", "corner_right", "corner_left",
    "upper_lip_raise", "upper_lip_forward", "upper_lip_height", "lower_lip_raise", "lower_lip_forward",
    "lower_lip_height",
)  # fmt: skip
"""Expression values that the patches correct; of those of both eyes the mean counts, weighed by what each eye sees."""


class Frames(NamedTuple):
    """Where P patches lie in the crop: centre, half width along the patch and half height down it, each (N, P, 2)."""

    centre: Tensor
    across: Tensor
    down: Tensor

    def to_crop(self, places: Tensor) -> Tensor:
        """(N, P, K, 2) in patch coordinates, [-1, 1], to crop coordinates."""
        return (
            self.centre.unsqueeze(2)
            + places[..., :1] * self.across.unsqueeze(2)
            + places[..., 1:] * self.down.unsqueeze(2)
        )

    def to_patch(self, points: Tensor) -> Tensor:
        """The way back."""
        apart = points - self.centre.unsqueeze(2)
        axes = (self.across.unsqueeze(2), self.down.unsqueeze(2))
        return torch.stack([(apart * axis).sum(-1) / axis.square().sum(-1) for axis in axes], -1)


class MotionOutput(NamedTuple):
    """What the motion network says of a crop."""

    confidence: Tensor
    """(N, 1) logit: is there a face where it should be."""
    pose: Tensor
    """(N, 3) yaw, pitch, roll in radians."""
    place: Tensor
    """(N, 3) x, y of the head's origin and the log of the scale (crop units per cm)."""
    expression: Tensor
    """(N, E) named geometric values, cm (gaze: radians); 0 is the neutral face."""
    landmarks: Tensor
    """(N, L, 2) in normalised crop coordinates."""
    doubt: Tensor
    """(N, E + G) log of the scale of a Laplace distribution of the error: of each value in units of its deviation in
    training, then of each group of landmarks in units of GROUP_CM."""
    coarse: Tensor
    """(N, L, 2) the landmarks as the trunk has them."""
    fine: Tensor
    """(N, 76, 2) the landmarks PARTS as the patches have them, in crop coordinates."""
    eyes: Frames
    mouth: Frames
    """Where the patches were cut."""


class Patch(nn.Module):
    """A part of the face from its patch: landmarks by soft-argmax on half its size, and corrections of values.

    The last layer begins at zero: a new patch corrects nothing.
    """

    def __init__(self, size: tuple[int, int], landmarks: int, context: int, outputs: int) -> None:
        super().__init__()
        cells = size[0] * size[1] // 64
        self.enter = Conv(3, 32, 2)
        self.middle = nn.Sequential(Conv(32, 64, 2), Conv(64, 64))
        self.deep = nn.Sequential(Conv(64, 96, 2), Residual(96))
        self.up2 = Conv(96, 64)
        self.up1 = Conv(64, 32)
        self.join = Conv(32, 32)
        self.heatmaps = nn.Conv2d(32, landmarks, 1)
        self.squeeze = Conv(96, 32)
        self.local = nn.Sequential(Conv(32, 16, 2), Conv(16, 16, 2))
        self.hidden = nn.Linear((32 + 16) * cells + 2 * landmarks + context, 128)
        self.outputs = nn.Linear(128, outputs)
        nn.init.zeros_(self.outputs.weight)
        nn.init.zeros_(self.outputs.bias)

    def forward(self, patch: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """``patch`` (N, 3, h, w), ``context`` (N, C): landmarks (N, K, 2) in patch coordinates, outputs (N, O)."""
        x1 = self.enter(patch - 0.5)
        x2 = self.middle(x1)
        x3 = self.deep(x2)
        up = self.up1(upsample(self.up2(x3)) + x2)
        up = self.join(upsample(up) + x1)
        places = soft_argmax(self.heatmaps(up).float())
        seen = [self.squeeze(x3).flatten(1), self.local(up).flatten(1), places.flatten(1), context]
        return places, self.outputs(F.relu(self.hidden(torch.cat(seen, 1)))).float()


class Motion(nn.Module):
    """The driver's motion from a 192 px crop: the trunk's account of the whole, corrected by patches of its parts."""

    def __init__(self, sizes: StudioSizes) -> None:
        super().__init__()
        if (sizes.landmarks, sizes.expressions) != (len(GROUP_OF), len(EXPRESSIONS)):
            raise ValueError(
                f"The motion network has {len(GROUP_OF)} landmarks and {len(EXPRESSIONS)} expression values; asked for "
                f"were {sizes.landmarks} and {sizes.expressions}."
            )
        self.sizes = sizes
        self.stage1 = nn.Sequential(Conv(3, 24, 2), Conv(24, 48, 2), Conv(48, 48))
        self.stage2 = nn.Sequential(Conv(48, 96, 2), Residual(96))
        self.stage3 = nn.Sequential(Conv(96, 128, 2), Residual(128))
        self.stage4 = nn.Sequential(Conv(128, 160, 2), Residual(160))
        self.up3 = Conv(128, 96)
        self.up2 = Conv(96 + 96, 64)
        self.up1 = Conv(64 + 48, 64)
        self.heatmaps = nn.Conv2d(64, sizes.landmarks, 1)
        self.squeeze = Conv(160, 64)
        self.local = nn.Sequential(Conv(64, 32, 2), Conv(32, 24))
        self.hidden = nn.Linear(64 * 25 + 24 * 18 * 18 + 2 * sizes.landmarks, 256)
        self.codes = nn.Linear(256, 7 + sizes.expressions)
        self.doubt = nn.Linear(256, sizes.expressions + len(GROUPS))
        nn.init.zeros_(self.doubt.weight)
        nn.init.constant_(self.doubt.bias, -1.0)
        own = len(EYE_VALUES) + len(BOTH_EYES)
        # values, their doubts, the group's doubt, and how much this eye counts for what both eyes say
        self.eye = Patch(EYE_SIZE, len(RIGHT_EYE), 3 + own, 2 * own + 2)
        self.mouth = Patch(MOUTH_SIZE, len(MOUTH), 3 + len(MOUTH_VALUES), 2 * len(MOUTH_VALUES) + 1)
        self.gate = nn.Parameter(torch.zeros(len(PARTS)))
        self.index = Indices(sizes)

    def forward(self, image: Tensor) -> MotionOutput:
        """``image`` (N, 3, 192, 192)."""
        small = F.interpolate(image, size=(TRUNK_SIZE, TRUNK_SIZE), mode="bilinear", align_corners=False)
        codes, doubt, coarse = self.trunk(small)
        pose, place, expression = codes[:, 1:4], codes[:, 4:7], codes[:, 7:]
        known = coarse.index_select(1, self.index.parts)
        eyes, mouth = frames(known.detach(), place.detach())
        if self.training:
            eyes, mouth = shaken(eyes), shaken(mouth)
        near_eyes, eye_values = self.look_at_eyes(image, eyes, pose.detach(), expression.detach())
        near_mouth, mouth_values = self.look_at_mouth(image, mouth, pose.detach(), expression.detach())
        fine = torch.cat([near_eyes, near_mouth], 1)
        moved = GATE * self.gate.unsqueeze(-1) * (fine - known)
        landmarks = coarse + F.pad(moved, (0, 0, 0, 1)).index_select(1, self.index.landmarks)
        values, doubts = (torch.cat(pair, 1) for pair in zip(eye_values, mouth_values, strict=True))
        expression = expression + F.pad(values, (0, 1)).index_select(1, self.index.values)
        doubt = doubt + F.pad(doubts, (0, 1)).index_select(1, self.index.doubts)
        return MotionOutput(codes[:, :1], pose, place, expression, landmarks, doubt, coarse, fine, eyes, mouth)

    def trunk(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``image`` (N, 3, 144, 144) -> codes (N, 7 + E), doubt (N, E + G), landmarks (N, L, 2)."""
        x1 = self.stage1(image - 0.5)
        x2 = self.stage2(x1)
        x3 = self.stage3(x2)
        x4 = self.stage4(x3)
        up = self.up2(torch.cat([upsample(self.up3(x3)), x2], 1))
        up = self.up1(torch.cat([upsample(up), x1], 1))
        landmarks = soft_argmax(self.heatmaps(up).float())
        pooled = torch.cat([self.squeeze(x4).flatten(1), self.local(up).flatten(1), landmarks.flatten(1)], 1)
        hidden = F.relu(self.hidden(pooled))
        return self.codes(hidden).float(), self.doubt(hidden).float(), landmarks

    def look_at_eyes(
        self, image: Tensor, eyes: Frames, pose: Tensor, expression: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Landmarks (N, 36, 2) in the crop; corrections and doubts of right eye, left eye, both, the two groups last.

        The left eye is seen mirrored: what has a side changes its sign on the way in and on the way out.
        """
        patches = cut(image, eyes, EYE_SIZE)
        right = torch.cat([pose, expression.index_select(1, self.index.right)], 1)
        left = torch.cat([pose, expression.index_select(1, self.index.left)], 1) * self.index.context_sign
        places, outputs = self.eye(patches.flatten(0, 1), torch.stack([right, left], 1).flatten(0, 1))
        places, outputs = places.reshape(-1, 2, *places.shape[1:]), outputs.reshape(-1, 2, outputs.shape[-1])
        own, every = len(EYE_VALUES), len(EYE_VALUES) + len(BOTH_EYES)
        weight = outputs[..., -1:].softmax(1)
        shared = (weight * outputs[..., own:every] * self.index.shared_sign).sum(1)
        unsure = (weight * outputs[..., every + own : 2 * every]).sum(1)
        values = torch.cat([outputs[..., :own].flatten(1), shared], 1)
        doubts = torch.cat([outputs[..., every : every + own].flatten(1), unsure, outputs[..., -2]], 1)
        return eyes.to_crop(places).flatten(1, 2), (values, doubts)

    def look_at_mouth(
        self, image: Tensor, mouth: Frames, pose: Tensor, expression: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Landmarks (N, 40, 2) in the crop; corrections (N, 14), and doubts, the group's last (N, 15)."""
        context = torch.cat([pose, expression.index_select(1, self.index.mouth)], 1)
        places, outputs = self.mouth(cut(image, mouth, MOUTH_SIZE)[:, 0], context)
        count = len(MOUTH_VALUES)
        return mouth.to_crop(places.unsqueeze(1))[:, 0], (outputs[:, :count], outputs[:, count:])


class Indices(nn.Module):
    """Which landmark and which value of the parts goes where; numbers beyond the last stand for nothing."""

    parts: Tensor
    landmarks: Tensor
    values: Tensor
    doubts: Tensor
    right: Tensor
    left: Tensor
    mouth: Tensor
    context_sign: Tensor
    shared_sign: Tensor

    def __init__(self, sizes: StudioSizes) -> None:
        super().__init__()
        right, left = ([f"{name}_{side}" for name in EYE_VALUES] for side in ("right", "left"))
        values = [*right, *left, *BOTH_EYES, *MOUTH_VALUES]
        doubts = [*right, *left, *BOTH_EYES, "right eye", "left eye", *MOUTH_VALUES, "mouth"]
        where = {
            "parts": PARTS,
            "landmarks": tuple(PARTS.index(i) if i in PARTS else len(PARTS) for i in range(sizes.landmarks)),
            "values": _places(values, EXPRESSIONS),
            "doubts": _places(doubts, (*EXPRESSIONS, *GROUPS)),
            "right": _places(EXPRESSIONS, (*right, *BOTH_EYES)),
            "left": _places(EXPRESSIONS, (*left, *BOTH_EYES)),
            "mouth": _places(EXPRESSIONS, MOUTH_VALUES),
        }
        for name, numbers in where.items():
            self.register_buffer(name, torch.tensor(numbers), persistent=False)
        sign = [-1.0 if name == "gaze_yaw" else 1.0 for name in (*left, *BOTH_EYES)]
        shared = torch.tensor([[1.0] * len(BOTH_EYES), sign[len(EYE_VALUES) :]])
        self.register_buffer("context_sign", torch.tensor([-1.0, 1.0, -1.0, *sign]), persistent=False)
        self.register_buffer("shared_sign", shared, persistent=False)


def _places(there: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...]:
    return tuple(there.index(name) if name in there else len(there) for name in wanted)


def frames(parts: Tensor, place: Tensor) -> tuple[Frames, Frames]:
    """Patches of the eyes (two) and of the mouth (one), upright on the line between the eyes, the left eye mirrored.

    ``parts`` (N, 76, 2) are the landmarks PARTS, ``place`` (N, 3) as in `MotionOutput`.
    """
    left_eye, mouth_begin = len(RIGHT_EYE), len(RIGHT_EYE) + len(LEFT_EYE)
    right, left = parts[:, :LIDS].mean(1), parts[:, left_eye : left_eye + LIDS].mean(1)
    line = left - right
    across = line * line.square().sum(-1, keepdim=True).clamp(min=1e-6).rsqrt()
    unit = torch.exp(place[:, 2:]).clamp(0.03, 0.3)
    across = across * unit
    down = torch.stack([-across[:, 1], across[:, 0]], -1)
    middle = torch.stack([right - EYE_OUTWARD * across, left + EYE_OUTWARD * across], 1) - EYE_UP * down.unsqueeze(1)
    eyes = Frames(
        middle,
        EYE_CM[1] * torch.stack([across, -across], 1),
        EYE_CM[0] * torch.stack([down, down], 1),
    )
    lips = parts[:, mouth_begin : mouth_begin + OUTER_LIPS].mean(1)
    mouth = Frames(lips.unsqueeze(1), MOUTH_CM[1] * across.unsqueeze(1), MOUTH_CM[0] * down.unsqueeze(1))
    return eyes, mouth


def shaken(where: Frames) -> Frames:
    """A little off, as the trunk's landmarks are on faces that it was not trained on."""
    centre, across, down = where
    noise = torch.randn(*centre.shape[:2], 4, device=centre.device) * torch.tensor([0.07, 0.07, 0.06, 0.06])
    zoom, angle = torch.exp(noise[..., 2:3]), noise[..., 3:]
    sine, cosine = torch.sin(angle) * zoom, torch.cos(angle) * zoom

    def turned(axis: Tensor) -> Tensor:
        return cosine * axis + sine * torch.stack([-axis[..., 1], axis[..., 0]], -1)

    return Frames(centre + noise[..., :1] * across + noise[..., 1:2] * down, turned(across), turned(down))


def cut(image: Tensor, where: Frames, size: tuple[int, int]) -> Tensor:
    """P patches (N, P, 3, *size) of ``image`` (N, 3, s, s), bilinear, the picture's edge held."""
    height, width = size
    xs = (torch.arange(width, dtype=image.dtype, device=image.device) + 0.5) * (2 / width) - 1
    ys = (torch.arange(height, dtype=image.dtype, device=image.device) + 0.5) * (2 / height) - 1
    most = 1 - 1 / image.shape[-1]  # held so rather than by padding with the border, which is slow in ORT

    def plane(axis: int) -> Tensor:
        # x and y apart: ORT spends twice the time on a dimension of two, and a patch is the sum of a row and a column
        centre, across, down = (part[..., axis, None, None] for part in where)
        return (centre + across * xs + down * ys.unsqueeze(-1)).clamp(-most, most)

    count = where.centre.shape[1]
    grid = torch.stack([plane(0), plane(1)], -1).flatten(1, 2)
    stacked = F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return stacked.reshape(-1, image.shape[1], count, height, width).transpose(1, 2)


def soft_argmax(maps: Tensor) -> Tensor:
    """Expected place under the softmax of each map: (N, L, h, w) -> (N, L, 2), x and y in [-1, 1]."""
    n, count, height, width = maps.shape
    weights = maps.flatten(2).softmax(-1).view(n, count, height, width)
    xs = (torch.arange(width, dtype=maps.dtype, device=maps.device) + 0.5) * (2 / width) - 1
    ys = (torch.arange(height, dtype=maps.dtype, device=maps.device) + 0.5) * (2 / height) - 1
    return torch.stack([(weights.sum(2) * xs).sum(-1), (weights.sum(3) * ys).sum(-1)], -1)
