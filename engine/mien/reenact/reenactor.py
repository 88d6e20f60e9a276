"""Makes a portrait follow a driving face: heavy work once a source, cheap work each frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mien.bundle import Bundle
from mien.errors import InputError
from mien.faces import OneEuro
from mien.image import load_image
from mien.reenact.motion import Motion
from mien.reenact.studio import StudioModel, StudioSource
from mien.timing import Stopwatch

Image = NDArray[np.uint8]
Status = Literal["tracked", "held", "blank"]

HOLD_SECONDS = 2.0
"""For so long the last picture stays when the driver's face is lost; then the output is black."""

FRAME_SECONDS = 1 / 25
"""The time between frames where the caller gives none."""


@dataclass(frozen=True)
class Reenacted:
    """One frame of output; never a frame of the driver.

    ``image``: uint8 (H, W, 3) RGB of the source's size. ``status``: ``tracked`` when the driver's face was seen,
    ``held`` while the last picture (or the untouched source) stands in for it, ``blank`` when that has lasted too long.
    ``motion``: the driver's, smoothed; place and landmarks in pixels of its frame. ``synthetic``: always True.
    """

    image: Image
    status: Status
    motion: Motion | None
    synthetic: Literal[True] = True


class Reenactor:
    """Drives one portrait with one face; several may share nothing but the bundle's files.

    ``bundle``: a name (``"studio"`` ships with mien), a folder, a zip, or an open `Bundle`. ``relative``: take over
    only the driver's change since the first frame (the portrait keeps its own bearing), or its pose and expression as
    they are. ``smooth``: steady the driver's motion with a One-Euro filter. Raises BundleError, DeviceError,
    MissingDependency.
    """

    def __init__(
        self,
        bundle: Bundle | str | Path = "studio",
        *,
        device: str = "cpu",
        backend: str = "ort",
        threads: int | None = None,
        relative: bool = True,
        smooth: bool = True,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self.model = StudioModel(self.bundle, device, threads, backend)
        self.relative = relative
        self.timings = Stopwatch()
        self._tracker = self.model.tracker()
        self._filter = OneEuro(cutoff=4.0, beta=8.0) if smooth else None
        self._source: StudioSource | None = None
        self.reset()

    def set_source(self, image: Image | str | Path) -> None:
        """Read a portrait: a file, or uint8 (H, W, 3) RGB. Raises ImageError, NoFace; the old source then stays."""
        picture = load_image(image) if isinstance(image, (str, Path)) else image
        self._source = self.model.source(picture)
        self.reset()

    def reset(self) -> None:
        """Forget the driver: the next frame with a face is the first, and relative motion starts from there."""
        self._tracker.reset()
        if self._filter is not None:
            self._filter.reset()
        self._reference: Motion | None = None
        self._last: Image | None = None
        self._time = self._seen = 0.0

    def step(self, image: Image, time: float | None = None) -> Reenacted:
        """The portrait with the motion of the next driving frame, uint8 (H, W, 3) RGB, at ``time`` in seconds.

        Raises InputError before `set_source`, ImageError for an array of another kind, SessionError.
        """
        source = self._require_source()
        self._time = self._time + FRAME_SECONDS if time is None else time
        with self.timings("track"):
            tracked = self._tracker.step(image)
        if tracked is None:
            return self._stand_in(source)
        driving = self._steady(self.model.motion(tracked))
        if self._reference is None:
            self._reference = driving
        with self.timings("render"):
            points = self.model.drive(source, driving, self._reference if self.relative else None)
            self._last = self.model.render(source, points)
        self._seen = self._time
        return Reenacted(self._last, "tracked", driving)

    def _require_source(self) -> StudioSource:
        if self._source is None:
            raise InputError("A frame was given, but there is no portrait to move. Call set_source(picture) first.")
        return self._source

    def _stand_in(self, source: StudioSource) -> Reenacted:
        """What is shown without a face: the last picture for a while, then black; never the driver's frame."""
        if self._time - self._seen > HOLD_SECONDS:
            return Reenacted(np.zeros_like(source.image), "blank", None)
        return Reenacted(source.image if self._last is None else self._last, "held", None)

    def _steady(self, motion: Motion) -> Motion:
        if self._filter is None:
            return motion
        size = float(np.exp(motion.place[2])) * 10  # pixels of a decimetre: all values then move on a similar scale
        middle, points = motion.place[:2] / size, motion.landmarks.ravel() / size
        raw = [motion.pose, middle, motion.place[2:], motion.expression, points]
        steady = self._filter(np.concatenate(raw), self._time).astype(np.float32)
        pose, middle, scale, expression, landmarks = np.split(steady, np.cumsum([len(part) for part in raw])[:-1])
        place = np.concatenate([middle * size, scale])
        return Motion(pose, place, expression, landmarks.reshape(-1, 2) * np.float32(size))

    @property
    def info(self) -> Mapping[str, object]:
        """What runs where: one line for each network."""
        return {role: session.info for role, session in self.model.sessions.items()}
