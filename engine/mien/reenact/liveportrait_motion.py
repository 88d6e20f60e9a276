"""A driver's head as LivePortrait reads it, in pixels of the driver's frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mien.reenact import keypoints
from mien.reenact.keypoints import Head

Floats = NDArray[np.float64]

EXPRESSION_UNIT = 0.05
"""How far a keypoint goes in a wide movement of the face."""

SPLITS = np.cumsum([9, 63, 1, 2, 2])
"""Where rotation, expression, scale, translation, eyes and lips end in a motion's values."""


@dataclass(frozen=True, eq=False)
class LivePortraitMotion:
    """A driver's head in one frame, float arrays, in pixels of the frame.

    ``rotation``: (3, 3) for points as rows. ``expression``: (21, 3) as the network gives it. ``scale``: (1,) pixels for
    a unit of the canonical keypoints. ``translation``: (2,) pixels. ``eyes``: (2,) and ``lips``: (1,), how far they are
    open. ``crop``: (3,) middle and half side of the square that was looked at, pixels. ``extent``: (1,) a quarter of
    the frame's longer side, by which movements are measured when they are smoothed.
    """

    rotation: Floats
    expression: Floats
    scale: Floats
    translation: Floats
    eyes: Floats
    lips: Floats
    crop: Floats
    extent: Floats

    def values(self) -> Floats:
        """(78,) see `FamilyMotion.values`. The crop is not among them: it holds still, or moves on purpose."""
        expression, place = self.expression / EXPRESSION_UNIT, self.translation / self.extent
        parts = (self.rotation, expression, np.log(self.scale), place, self.eyes, self.lips)
        return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)

    def with_values(self, values: Floats) -> Self:
        """The same motion with these values, (78,); the rotation is the nearest to them that is one."""
        rotation, expression, scale, place, eyes, lips = np.split(np.asarray(values, np.float64), SPLITS)
        return replace(
            self,
            rotation=keypoints.nearest_rotation(rotation.reshape(3, 3)),
            expression=expression.reshape(21, 3) * EXPRESSION_UNIT,
            scale=np.exp(scale),
            translation=place * self.extent,
            eyes=eyes,
            lips=lips,
        )

    def head(self, middle: Floats, unit: float) -> Head:
        """The head in a crop around ``middle`` (2,) whose half side is ``unit``, both in pixels of the frame."""
        return Head(self.rotation, self.expression, float(self.scale[0]) / unit, (self.translation - middle) / unit)
