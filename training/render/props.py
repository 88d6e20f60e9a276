"""Props: everything a synthetic person wears or grows, as parts on the mean head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.render.atlas import SkinAtlas
from training.render.beards import BeardGround, make_beard
from training.render.clothes import Bust, make_clothes
from training.render.extras import make_earrings, make_glasses, make_necklace
from training.render.hair import make_hair
from training.render.hats import hat_rim, make_hat
from training.render.head import Head
from training.render.looks import Look
from training.render.part import Part
from training.render.scalp import Scalp

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Wardrobe:
    """What is precomputed once per head model: the skull about a pole at the crown and one behind, the bust, and
    the ground of beards, without which none grow."""

    scalps: tuple[Scalp, Scalp]
    bust: Bust
    beard: BeardGround | None = None

    @classmethod
    def from_head(cls, head: Head, atlas: SkinAtlas | None = None) -> Wardrobe:
        """Shoot the rays (seconds); without an atlas no beards will grow."""
        bare = cls.from_mesh(head.neutral, head.surfaces["skin"].triangles)
        return cls(bare.scalps, bare.bust, None if atlas is None else BeardGround.from_head(head, atlas))

    @classmethod
    def from_mesh(cls, vertices: Floats, triangles: Ints) -> Wardrobe:
        """The same for any closed skin (V, 3), (T, 3) in the head frame, cm."""
        scalps = Scalp.cast(vertices, triangles, 0.2), Scalp.cast(vertices, triangles, 1.15)
        return cls(scalps, Bust.measure(vertices, triangles))


def make_props(rng: Generator, wardrobe: Wardrobe, look: Look) -> list[Part]:
    """All parts of one look besides the head, modelled on the mean head."""
    crown = wardrobe.scalps[0]
    return [
        *make_hair(rng, look, wardrobe.scalps, hat_rim(look, crown)),
        *make_beard(rng, look, wardrobe.beard),
        *make_hat(rng, look, crown),
        *make_clothes(rng, wardrobe.bust, look),
        *make_glasses(rng, look),
        *make_earrings(rng, look),
        *make_necklace(rng, wardrobe.bust, look),
    ]
