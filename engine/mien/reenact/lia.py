"""The LIA family: the head is redrawn whole, and its motion is one magnitude along each of some learned directions.

Latent Image Animator (Wang et al. 2022). What the directions mean is not known beforehand: turning, nodding, speaking,
more than one of them at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mien.bundle import Bundle
from mien.errors import MotionError
from mien.faces import Tracked, Tracker, side_of
from mien.geometry import Similarity
from mien.reenact.crops import head_crop, paste
from mien.reenact.finite import numbers
from mien.reenact.following import Follower, face_of
from mien.reenact.transfer import Feature, Transfer
from mien.runners import Runner, There, kept, open_runner
from mien.sessions import Session

Floats = NDArray[np.float64]

WIDE = 3.0
"""A magnitude that is a wide movement: the public demonstration shows each direction from -3 to 3."""


@dataclass(frozen=True, eq=False)
class LiaSource:
    """A portrait, read once.

    ``image``: uint8 (H, W, 3) RGB, where the chain runs. ``crop``: pixels of the square crop to pixels of the image.
    ``magnitudes``: (D,) the portrait's own. ``tensors``: its code and feature maps, by the generator's input names.
    """

    image: There
    crop: Similarity
    magnitudes: Floats
    tensors: Mapping[str, There]


@dataclass(frozen=True, eq=False)
class LiaMotion:
    """A driving face: ``magnitudes`` (D,).

    They have no place: how the head lies in its square is one of the things they say. They compare well only while the
    square holds still, as the tracker's does until the face leaves its middle.
    """

    magnitudes: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "magnitudes", np.asarray(self.magnitudes, np.float64))  # a template's may be float32

    def values(self) -> Floats:
        """The magnitudes, a wide movement being 1."""
        wide: Floats = self.magnitudes / WIDE
        return wide

    def with_values(self, values: Floats) -> Self:
        """See `FamilyMotion`."""
        return type(self)(np.asarray(values) * WIDE)


class Lia:
    """The three networks of a bundle, and the studio bundle's that find the face. See `Family`."""

    name = "lia"
    features: frozenset[Feature] = frozenset()
    motion_type = LiaMotion

    def __init__(
        self, bundle: Bundle, device: str | Runner = "cpu", threads: int | None = None, backend: str = "ort"
    ) -> None:
        self.runner = open_runner(device, threads, backend)
        own: dict[str, Session] = {
            role: self.runner.open(bundle, role) for role in ("motion", "appearance", "generator")
        }
        self._follower = Follower(self.runner)
        self._side = side_of(own["motion"])
        self.sessions: Mapping[str, Session] = {**own, **self._follower.sessions}

    def tracker(self) -> Tracker:
        """A tracker of its own for one clip or camera, over shared networks."""
        return self._follower.tracker()

    def source(self, image: There, face: Tracked | None = None) -> LiaSource:
        """Read a portrait, uint8 (H, W, 3) RGB of any size: this face of it, or the most prominent.

        Raises ImageError, NoFace, SessionError.
        """
        picture = self.runner.own(image)
        tracked = face or face_of(self.tracker(), image)
        place = head_crop(tracked, self._side)
        tensor = self.runner.crop(picture, place.matrix, self._side)
        seen = dict(numbers(self.runner.answer(self.sessions["appearance"], {"image": tensor}), "appearance"))
        magnitudes = seen.pop("motion")[0].astype(np.float64)
        return LiaSource(picture, place, magnitudes, kept(self.runner, seen))

    def motion(self, frame: There, tracked: Tracked) -> LiaMotion:
        """The motion of a tracked face in a driving frame, uint8 (H, W, 3) RGB."""
        tensor = self.runner.crop(frame, head_crop(tracked, self._side).matrix, self._side)
        return LiaMotion(self.runner.answer(self.sessions["motion"], {"image": tensor})["motion"][0])

    def render(self, source: LiaSource, driving: LiaMotion, reference: LiaMotion | None, transfer: Transfer) -> There:
        """The portrait as the driver moves it. Raises MotionError for what this family lacks, SessionError."""
        transfer.check(self.name, self.features)
        rest = source.magnitudes if reference is None or not transfer.relative else reference.magnitudes
        return self._drawn(source, source.magnitudes + transfer.multiplier * (driving.magnitudes - rest))

    def shifted(self, source: LiaSource, direction: int, amount: float) -> There:
        """The portrait moved along one direction alone, no driver needed; -3 to 3 are wide movements.

        Raises MotionError for a direction that there is not and an amount that is not finite, SessionError.
        """
        count = len(source.magnitudes)
        if not (0 <= direction < count and math.isfinite(amount)):
            raise MotionError(
                f"A movement by {amount} along direction {direction} was asked for; there are directions 0 to "
                f"{count - 1}, and an amount is a finite number, of which -{WIDE:g} to {WIDE:g} are wide movements."
            )
        return self._drawn(source, source.magnitudes + amount * np.eye(count)[direction])

    def _drawn(self, source: LiaSource, magnitudes: Floats) -> There:
        feeds = {**source.tensors, "motion": magnitudes[None].astype(np.float32)}
        drawn = self.runner.run(self.sessions["generator"], feeds)["image"]
        return paste(self.runner, source.image, drawn, source.crop)
