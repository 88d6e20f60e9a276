"""Props: everything a synthetic person wears or grows, as parts on the mean head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.render.hair import make_hair
from training.render.head import Head
from training.render.looks import Look
from training.render.part import Part
from training.render.scalp import Scalp

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Wardrobe:
    """What is precomputed once per head model: the skull as seen from the crown and from the back of the head."""

    scalps: tuple[Scalp, Scalp]

    @classmethod
    def from_head(cls, head: Head) -> Wardrobe:
        """Shoot the rays (about a second)."""
        skin = head.surfaces["skin"].triangles
        return cls((Scalp.cast(head.neutral, skin, 0.2), Scalp.cast(head.neutral, skin, 1.15)))


def make_props(rng: Generator, wardrobe: Wardrobe, look: Look) -> list[Part]:
    """All parts of one look besides the head, modelled on the mean head."""
    return make_hair(rng, look, wardrobe.scalps)
