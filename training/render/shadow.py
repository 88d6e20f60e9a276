"""Shadow map: the person's depth as the main light sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.render import posing, raster
from training.render.person import Person

Floats = NDArray[np.float32]

_SIZE = 128
_SPAN = 40.0  # cm across
_FAR = 100.0  # cm added to the nearness, which has to be positive


@dataclass(frozen=True)
class Shadow:
    """What the light meets first, and where to look it up.

    nearness (m, m) float32: cm towards the light (0: nothing), empty for no shadow at all; aim (3, 4): from positions
    in cm, a 1 after them, to the map's column and row and the same nearness.
    """

    nearness: Floats
    aim: Floats


NO_SHADOW: Final = Shadow(np.zeros((0, 0), np.float32), np.zeros((3, 4), np.float32))


def cast_shadow(person: Person, positions: Floats, direction: Floats) -> Shadow:
    """What hides the light that comes from `direction` (3,), a unit vector, for positions (V, 3), cm."""
    helper = np.array([0, 1, 0]) if abs(direction[1]) < 0.9 else np.array([0, 0, 1])
    across = np.cross(helper, direction)
    across /= np.linalg.norm(across)
    matrix = np.stack([across * _SIZE / _SPAN, -np.cross(direction, across) * _SIZE / _SPAN, direction])
    offset = np.array([_SIZE / 2, _SIZE / 2, _FAR]) - matrix @ (posing.CENTRE * [1, 1, 1])
    aim = np.concatenate([matrix, offset[:, None]], axis=1).astype(np.float32)
    seen = positions @ aim[:, :3].T + aim[:, 3]
    nearness, _ = raster.rasterise(
        seen, person.triangles, person.part_of, np.ones_like(person.one_sided), person.uv, person.uv_triangles,
        person.cutout, person.textures.texels, _SIZE,
    )  # fmt: skip
    return Shadow(nearness, aim)
