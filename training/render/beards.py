"""Beards and moustaches with a thickness of their own: sheets of strands grown out of the skin that they move with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.render.atlas import SkinAtlas
from training.render.head import Head
from training.render.looks import Look
from training.render.part import LABELS, Part
from training.render.person import head_weights
from training.render.shade import vertex_normals
from training.render.shell import fold
from training.render.strands import CURLED, STRAIGHT, WAVY, hair_texture

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

REGIONS: Final = ("beard", "moustache", "chin")
_STRAND: Final = 5.0  # cm of hair that one texture shows
_BURIED: Final = 0.12  # cm under the skin where nothing grows
_SHAPES: Final = {
    "full": {"beard": (0.25, 1.1), "moustache": (0.2, 0.55)},
    "goatee": {"chin": (0.3, 1.2), "moustache": (0.15, 0.5)},
    "moustache": {"moustache": (0.25, 0.8)},
}


@dataclass(frozen=True)
class BeardGround:
    """The mean head's skin where hair can grow: places, normals (V, 3), region weights (V, 3) in the order of REGIONS.

    follow (V,): the head's vertices; triangles (T, 3) between them; head_weight (V,) as in `Part`.
    """

    places: Floats
    normals: Floats
    weights: Floats
    follow: Ints
    triangles: Ints
    head_weight: Floats

    @classmethod
    def from_head(cls, head: Head, atlas: SkinAtlas) -> BeardGround:
        """Read the regions at the skin's vertices."""
        skin = head.surfaces["skin"]
        height, width = atlas.fields.shape[1:]
        column = np.clip((skin.uv[:, 0] * width).astype(int), 0, width - 1)
        row = np.clip((skin.uv[:, 1] * height).astype(int), 0, height - 1)
        grown = np.zeros((len(head.neutral), len(REGIONS)), np.float32)
        for index, name in enumerate(REGIONS):
            field = atlas.fields[atlas.names.index(name)]
            grown[skin.triangles, index] = field[row, column][skin.uv_triangles]
        covered = grown.max(axis=1) > 0.03
        triangles = skin.triangles[covered[skin.triangles].any(axis=1)]
        follow, inverse = np.unique(triangles, return_inverse=True)
        normals = vertex_normals(head.neutral, skin.triangles)
        return cls(
            head.neutral[follow], normals[follow], grown[follow], follow.astype(np.int32),
            inverse.reshape(-1, 3).astype(np.int32), head_weights(head)[follow],
        )  # fmt: skip


def make_beard(rng: Generator, look: Look, ground: BeardGround | None) -> list[Part]:
    """Two or three sheets over the painted ground of the beard; empty without a beard, or for stubble."""
    shape = _SHAPES.get(look.beard)
    if shape is None or ground is None:
        return []
    length, down = np.zeros(len(ground.places), np.float32), np.zeros(len(ground.places), np.float32)
    full = float(rng.beta(1.2, 1.8))
    for name, (least, most) in shape.items():
        weight = ground.weights[:, REGIONS.index(name)]
        length = np.maximum(length, (least + full * (most - least)) * weight)
        if name != "moustache":
            down = np.maximum(down, weight * np.clip((-3.5 - ground.places[:, 1]) / 4, 0, 1))
    hang = float(rng.uniform(1, 5) * full) if rng.random() < 0.35 else 0.3 * full
    style = int(rng.choice((STRAIGHT, WAVY, CURLED), p=(0.3, 0.35, 0.35)))
    lumps = 1 + 0.25 * np.sin(ground.places @ rng.normal(0, 1.6, 3).astype(np.float32) + rng.uniform(0, 6))
    parts = []
    for layer, share in enumerate((0.55, 0.85, 1.1)):
        reach = np.where(length > 0.02, share * length * lumps + 0.05, 0) - _BURIED
        places = ground.places + reach[:, None] * ground.normals
        places[:, 1] -= share * hang * down
        parts.append(_sheet(rng, look, ground, places.astype(np.float32), style, layer))
    return parts


def _sheet(rng: Generator, look: Look, ground: BeardGround, places: Floats, style: int, layer: int) -> Part:
    turn = np.asarray(np.arctan2(ground.places[:, 0], np.maximum(ground.places[:, 2] - 3, 1)), np.float32)
    across, along = turn * np.float32(8 / _STRAND), -places[:, 1] / np.float32(_STRAND)
    if look.beard == "moustache":  # its hairs lie sideways
        across, along = along, np.asarray(np.abs(across), np.float32)
    shift = rng.uniform(0, 2, 2).astype(np.float32)
    uv = np.stack([fold(across + shift[0]), fold(along + shift[1])], -1)
    cover = np.full(256, (0.62, 0.52, 0.43)[layer] + 0.05 * look.beard_strength, np.float32)
    texture = hair_texture(rng, look.hair_colour, look.hair_contrast, style, cover, 256, 0.0)
    if look.style == "grey":
        texture[..., :3] = texture[..., :3].mean(axis=2, keepdims=True).astype(np.uint8)
    return Part(
        f"beard{layer}", places, ground.triangles, uv, texture, LABELS.index("skin"), ground.head_weight,
        0.5 * look.hair_gloss, True, ground.follow,
    )  # fmt: skip
