"""Answers of networks that are no numbers: an error in a portrait, and in a driver's frame no face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import SessionError
from mien.faces import Tracker
from mien.reenact.family import Family, FamilyMotion
from mien.runners import There

Tensors = Mapping[str, NDArray[np.float32]]


def numbers(outputs: Tensors, role: str) -> Tensors:
    """What a network said of a portrait, as it is. Raises SessionError unless all of it is finite."""
    if not all(np.isfinite(value).all() for value in outputs.values()):
        raise SessionError(
            f"Of the portrait the network {role!r} gave values that are no numbers; its bundle is unsound. Export it "
            "again from checkpoints that are whole, or in fp32."
        )
    return outputs


def motion_of(family: Family[Any, Any], tracker: Tracker, frame: There) -> FamilyMotion | None:
    """The motion of the face that a tracker follows, in its next frame, uint8 (H, W, 3) RGB; None where there is none.

    Nor is there one whose values are no numbers: a single frame is no reason to end a film. Raises ImageError,
    SessionError.
    """
    picture = family.runner.take(frame)
    tracked = tracker.step(picture)
    if tracked is None:
        return None
    motion: FamilyMotion = family.motion(picture, tracked)
    return motion if np.isfinite(motion.values()).all() else None
