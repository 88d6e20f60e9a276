"""The FOMM family: keypoints with local affine motions; the head is redrawn whole, at 256 pixels a side.

First Order Motion Model for Image Animation (Siarohin et al. 2019). The networks see a square around the head and
speak of it in coordinates from -1 to 1, x to the right, y down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mien.bundle import Bundle
from mien.errors import MotionError
from mien.faces import Tracked, Tracker
from mien.geometry import Similarity
from mien.reenact.crops import head_crop, paste
from mien.reenact.finite import numbers
from mien.reenact.following import Follower, face_of
from mien.reenact.hull import span
from mien.reenact.transfer import Feature, Transfer
from mien.runners import Runner, There, kept, open_runner
from mien.sessions import Session

Floats = NDArray[np.float64]

CROP = 256
"""Side of what the networks see, in pixels."""


@dataclass(frozen=True, eq=False)
class Points:
    """Keypoints and what is around each: ``value`` (K, 2), ``jacobian`` (K, 2, 2), both in one unit of length."""

    value: Floats
    jacobian: Floats

    def tensors(self, who: str) -> dict[str, NDArray[np.float32]]:
        """As the generator takes them."""
        return {
            f"{who}_value": self.value[None].astype(np.float32),
            f"{who}_jacobian": self.jacobian[None].astype(np.float32),
        }


@dataclass(frozen=True, eq=False)
class FommSource:
    """A portrait, read once.

    ``image``: uint8 (H, W, 3) RGB, where the chain runs. ``crop``: pixels of the 256 px crop to pixels of the image.
    ``points``: the portrait's own, in the crop's coordinates. ``tensors``: all that the generator takes of the source,
    by name.
    """

    image: There
    crop: Similarity
    points: Points
    tensors: Mapping[str, There]


@dataclass(frozen=True, eq=False)
class FommMotion:
    """A driving face. ``value`` (K, 2) and ``jacobian`` (K, 2, 2) in pixels of the frame.

    ``crop``: (3,) the middle x, y of the square that the network saw, and half its side, in pixels of the frame.
    """

    value: Floats
    jacobian: Floats
    crop: Floats

    def __post_init__(self) -> None:
        for name in ("value", "jacobian", "crop"):  # a template's may be float32
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))

    def values(self) -> Floats:
        """Points and affine maps, in half crops; the crop itself holds still and needs no smoothing."""
        halves: Floats = np.concatenate([self.value.ravel(), self.jacobian.ravel()]) / self.crop[2]
        return halves

    def with_values(self, values: Floats) -> Self:
        """See `FamilyMotion`."""
        value, jacobian = np.split(np.asarray(values) * self.crop[2], [self.value.size])
        return replace(self, value=value.reshape(self.value.shape), jacobian=jacobian.reshape(self.jacobian.shape))

    @property
    def seen(self) -> Points:
        """In the coordinates of its own crop."""
        return Points((self.value - self.crop[:2]) / self.crop[2], self.jacobian / self.crop[2])


class Fomm:
    """The three networks of a bundle, and the studio bundle's that find the face. See `Family`."""

    name = "fomm"
    features: frozenset[Feature] = frozenset()
    motion_type = FommMotion

    def __init__(
        self, bundle: Bundle, device: str | Runner = "cpu", threads: int | None = None, backend: str = "ort"
    ) -> None:
        self.runner = open_runner(device, threads, backend)
        own: dict[str, Session] = {
            role: self.runner.open(bundle, role) for role in ("keypoints", "appearance", "generator")
        }
        self._follower = Follower(self.runner)
        self.sessions: Mapping[str, Session] = {**own, **self._follower.sessions}

    def tracker(self) -> Tracker:
        """A tracker of its own for one clip or camera, over shared networks."""
        return self._follower.tracker()

    def source(self, image: There, face: Tracked | None = None) -> FommSource:
        """Read a portrait, uint8 (H, W, 3) RGB of any size: this face of it, or the most prominent.

        Raises ImageError, NoFace, SessionError.
        """
        picture = self.runner.own(image)
        tracked = face or face_of(self.tracker(), image)
        place = head_crop(tracked, CROP)
        tensor = self.runner.crop(picture, place.matrix, CROP)
        points = self._points(tensor)
        numbers(points.tensors("source"), "keypoints")
        seen = numbers(self.runner.answer(self.sessions["appearance"], {"image": tensor}), "appearance")
        return FommSource(picture, place, points, kept(self.runner, {**seen, **points.tensors("source")}))

    def motion(self, frame: There, tracked: Tracked) -> FommMotion:
        """The motion of a tracked face in a driving frame, uint8 (H, W, 3) RGB, in pixels of the frame."""
        place = head_crop(tracked, CROP)
        points = self._points(self.runner.crop(frame, place.matrix, CROP))
        half = place.scale * CROP / 2
        middle = place.apply((CROP / 2, CROP / 2))
        return FommMotion(points.value * half + middle, points.jacobian * half, np.array([*middle, half]))

    def render(
        self, source: FommSource, driving: FommMotion, reference: FommMotion | None, transfer: Transfer
    ) -> There:
        """The portrait as the driver moves it. Raises MotionError for what this family lacks, SessionError."""
        transfer.check(self.name, self.features)
        points = moved(source.points, driving, reference, transfer)
        drawn = self.runner.run(self.sessions["generator"], {**source.tensors, **points.tensors("driving")})["image"]
        return paste(self.runner, source.image, drawn, source.crop)

    def _points(self, tensor: There) -> Points:
        found = self.runner.answer(self.sessions["keypoints"], {"image": tensor})
        return Points(found["value"][0].astype(np.float64), found["jacobian"][0].astype(np.float64))


def moved(source: Points, driving: FommMotion, reference: FommMotion | None, transfer: Transfer) -> Points:
    """The points that the portrait shall take, in its crop's coordinates. Raises MotionError.

    Without a reference they are the driver's own in its crop: no face is known to be neutral. Its affine maps then
    stand for the driver's, as in the public code.
    """
    if reference is None or not transfer.relative:
        return between(source, driving.seen, transfer.multiplier)
    unit = reference.crop[2]
    now, then = (Points(one.value / unit, one.jacobian / unit) for one in (driving, reference))
    return relative(source, now, then, transfer.adapt_scale, transfer.multiplier)


def relative(
    source: Points, driving: Points, reference: Points, adapt_scale: bool = True, multiplier: float = 1.0
) -> Points:
    """The source's points, moved as the driver's moved since the reference.

    ``adapt_scale`` measures the way in heads: by the roots of the areas that the points span. Raises MotionError where
    the reference spans none, or one of its affine maps is flat.
    """
    scale = span(source.value) / span(reference.value) if adapt_scale else 1.0
    try:
        back = np.linalg.inv(reference.jacobian)
    except np.linalg.LinAlgError:
        back = np.full_like(reference.jacobian, np.nan)
    change = driving.jacobian @ back
    if not (np.isfinite(scale) and np.isfinite(change).all()):
        raise MotionError(
            "Relative motion was asked for, but the keypoints of the portrait or of the reference frame lie on one "
            "line, or have no extent. Take another frame as the reference, or ask for absolute motion."
        )
    value = source.value + multiplier * scale * (driving.value - reference.value)
    still = np.eye(2)
    return Points(value, (still + multiplier * (change - still)) @ source.jacobian)


def between(here: Points, there: Points, share: float) -> Points:
    """From one set of points (0) to another (1), or beyond."""
    if share == 1:
        return there
    value, jacobian = (a + share * (b - a) for a, b in ((here.value, there.value), (here.jacobian, there.jacobian)))
    return Points(value, jacobian)
