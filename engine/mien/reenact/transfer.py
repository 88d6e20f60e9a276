"""How a driver's motion is put upon a portrait: the wishes of whoever asks, the same for every family."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from mien.errors import MotionError

Region = Literal["all", "expression", "pose", "lips", "eyes"]
Feature = Literal["regions", "retargeting", "lip normalisation"]
"""What only some families can do."""

REGIONS: tuple[Region, ...] = get_args(Region)


@dataclass(frozen=True)
class Transfer:
    """What of the driver's motion reaches the portrait, and how.

    ``relative``: take over the driver's change since the reference, or its motion as it is. ``region``: only this part
    of the motion. ``multiplier``: 1 is the driver's own strength, 0 the portrait at rest. ``stitching``: fit the moved
    head to the shoulders, in families that do. ``eyes``, ``lips``: openings to keep all along, their height over their
    width from 0, closed, to 1 (an open eye has about 0.35); None is as the driver has it. ``retarget_eyes``,
    ``retarget_lips``: follow the driver's openings exactly rather than their change. ``normalise_lips``: close the
    portrait's own mouth first. ``adapt_scale``: measure the driver's way in its own head's size. Raises MotionError for
    numbers that are not finite or out of bounds.
    """

    relative: bool = True
    region: Region = "all"
    multiplier: float = 1.0
    stitching: bool = True
    eyes: float | None = None
    lips: float | None = None
    retarget_eyes: bool = False
    retarget_lips: bool = False
    normalise_lips: bool = False
    adapt_scale: bool = True

    def __post_init__(self) -> None:
        if self.region not in REGIONS:
            raise MotionError(f"The region {self.region!r} was asked for; there are {', '.join(REGIONS)}.")
        if not math.isfinite(self.multiplier):
            raise MotionError(f"A multiplier is a finite number, 1 the driver's own strength; got {self.multiplier}.")
        for name, ratio in (("eyes", self.eyes), ("lips", self.lips)):
            if ratio is not None and not 0 <= ratio <= 1:
                raise MotionError(
                    f"An opening of the {name} is its height over its width, from 0 (closed) to 1; got {ratio}."
                )

    @property
    def features(self) -> frozenset[Feature]:
        """Those that these wishes need."""
        retargets = self.retarget_eyes or self.retarget_lips or self.eyes is not None or self.lips is not None
        needs: dict[Feature, bool] = {
            "regions": self.region != "all",
            "retargeting": retargets,
            "lip normalisation": self.normalise_lips,
        }
        return frozenset(feature for feature, needed in needs.items() if needed)

    def check(self, family: str, has: Collection[Feature]) -> None:
        """Raises MotionError unless a family with these features can do what is wished; every family calls it.

        ``stitching`` and ``adapt_scale`` mean nothing to some families and are never refused.
        """
        missing = sorted(self.features - set(has))
        if missing:
            there = ", ".join(sorted(has)) or "only relative and absolute motion of the whole face, and the multiplier"
            raise MotionError(
                f"Asked for: {' and '.join(missing)}. The family {family!r} cannot do that; it has: {there}."
            )


CHANGES = Transfer()
"""The driver's changes since the reference, all of them: what is done where nothing else is wished."""
