"""The TPSMM family: keypoints in groups whose splines bend the source; the head is redrawn whole, at 256 pixels a side.

Thin-Plate Spline Motion Model for Image Animation (Zhao and Zhang 2022). The networks see a square around the head and
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
from mien.reenact.splines import splines
from mien.reenact.transfer import Feature, Transfer
from mien.runners import Runner, There, kept, open_runner
from mien.sessions import Session

Floats = NDArray[np.float64]

CROP = 256
"""Side of what the networks see, in pixels."""

ROLES = ("keypoints", "appearance", "generator")
AVD = "avd"
"""Animation via disentanglement: a network that a bundle may have or not."""


@dataclass(frozen=True, eq=False)
class TpsmmSource:
    """A portrait, read once.

    ``image``: uint8 (H, W, 3) RGB, where the chain runs. ``crop``: pixels of the 256 px crop to pixels of the image.
    ``points``: (K, 2), the portrait's own, in the crop's coordinates. ``tensors``: all that the generator takes of the
    source alone, by name.
    """

    image: There
    crop: Similarity
    points: Floats
    tensors: Mapping[str, There]


@dataclass(frozen=True, eq=False)
class TpsmmMotion:
    """A driving face. ``points`` (K, 2) in pixels of the frame.

    ``crop``: (3,) the middle x, y of the square that the network saw, and half its side, in pixels of the frame.
    """

    points: Floats
    crop: Floats

    def __post_init__(self) -> None:
        for name in ("points", "crop"):  # a template's may be float32
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))

    def values(self) -> Floats:
        """The points in half crops; the crop itself holds still and needs no smoothing."""
        halves: Floats = self.points.ravel() / self.crop[2]
        return halves

    def with_values(self, values: Floats) -> Self:
        """See `FamilyMotion`."""
        return replace(self, points=(np.asarray(values) * self.crop[2]).reshape(self.points.shape))

    @property
    def seen(self) -> Floats:
        """(K, 2) in the coordinates of its own crop."""
        points: Floats = (self.points - self.crop[:2]) / self.crop[2]
        return points


class Tpsmm:
    """The networks of a bundle, and the studio bundle's that find the face. See `Family`.

    Absolute motion takes the driver's points as they are, the public code's "standard". Where the bundle has the
    network ``avd`` and ``Transfer.adapt_scale`` is on, it is the driver's pose on the portrait's own shape ("avd").
    """

    name = "tpsmm"
    features: frozenset[Feature] = frozenset()
    motion_type = TpsmmMotion

    def __init__(
        self, bundle: Bundle, device: str | Runner = "cpu", threads: int | None = None, backend: str = "ort"
    ) -> None:
        self.runner = open_runner(device, threads, backend)
        roles = [*ROLES, *([AVD] if AVD in bundle.manifest.networks else [])]
        own: dict[str, Session] = {role: self.runner.open(bundle, role) for role in roles}
        self._follower = Follower(self.runner)
        self.sessions: Mapping[str, Session] = {**own, **self._follower.sessions}

    def tracker(self) -> Tracker:
        """A tracker of its own for one clip or camera, over shared networks."""
        return self._follower.tracker()

    def source(self, image: There, face: Tracked | None = None) -> TpsmmSource:
        """Read a portrait, uint8 (H, W, 3) RGB of any size: this face of it, or the most prominent.

        Raises ImageError, NoFace, SessionError.
        """
        picture = self.runner.own(image)
        tracked = face or face_of(self.tracker(), image)
        place = head_crop(tracked, CROP)
        tensor = self.runner.crop(picture, place.matrix, CROP)
        points = self._points(tensor)
        numbers({"points": tensor_of(points)}, "keypoints")
        seen = numbers(self.runner.answer(self.sessions["appearance"], {"image": tensor}), "appearance")
        return TpsmmSource(picture, place, points, kept(self.runner, {**seen, "source_points": tensor_of(points)}))

    def motion(self, frame: There, tracked: Tracked) -> TpsmmMotion:
        """The motion of a tracked face in a driving frame, uint8 (H, W, 3) RGB, in pixels of the frame."""
        place = head_crop(tracked, CROP)
        points = self._points(self.runner.crop(frame, place.matrix, CROP))
        half = place.scale * CROP / 2
        middle = place.apply((CROP / 2, CROP / 2))
        return TpsmmMotion(points * half + middle, np.array([*middle, half]))

    def render(
        self, source: TpsmmSource, driving: TpsmmMotion, reference: TpsmmMotion | None, transfer: Transfer
    ) -> There:
        """The portrait as the driver moves it. Raises MotionError for what this family lacks, SessionError."""
        transfer.check(self.name, self.features)
        points = self._moved(source.points, driving, reference, transfer)
        feeds = {
            **source.tensors,
            "driving_points": tensor_of(points),
            "splines": tensor_of(splines(points, source.points)),
        }
        drawn = self.runner.run(self.sessions["generator"], feeds)["image"]
        return paste(self.runner, source.image, drawn, source.crop)

    def _moved(self, source: Floats, driving: TpsmmMotion, reference: TpsmmMotion | None, transfer: Transfer) -> Floats:
        """The points that the portrait shall take. Without a reference no face is known to be neutral: absolute."""
        if reference is not None and transfer.relative:
            unit = reference.crop[2]
            return relative(
                source, driving.points / unit, reference.points / unit, transfer.adapt_scale, transfer.multiplier
            )
        wanted = driving.seen
        if transfer.adapt_scale and AVD in self.sessions:
            feeds = {"source_points": tensor_of(source), "driving_points": tensor_of(wanted)}
            wanted = self.runner.answer(self.sessions[AVD], feeds)["points"][0].astype(np.float64)
        return source + transfer.multiplier * (wanted - source)

    def _points(self, tensor: There) -> Floats:
        found: Floats = self.runner.answer(self.sessions["keypoints"], {"image": tensor})["points"][0].astype(
            np.float64
        )
        return found


def tensor_of(values: Floats) -> NDArray[np.float32]:
    """As a network takes it: float32, a batch of one."""
    return values[None].astype(np.float32)


def relative(
    source: Floats, driving: Floats, reference: Floats, adapt_scale: bool = True, multiplier: float = 1.0
) -> Floats:
    """The source's points (K, 2), moved as the driver's moved since the reference.

    ``adapt_scale`` measures the way in heads: by the roots of the areas that the points span. Raises MotionError where
    either span none.
    """
    scale = 1.0
    if adapt_scale:
        scale = span(source) / span(reference)
        if not np.isfinite(scale):
            raise MotionError(
                "Relative motion was asked for, but the keypoints of the portrait or of the reference frame lie on one "
                "line. Take another frame as the reference, or ask for absolute motion."
            )
    return source + multiplier * scale * (driving - reference)
