"""Makes a portrait follow a driving face: heavy work once a source, cheap work each frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from mien.bundle import Bundle
from mien.errors import ImageError, InputError
from mien.faces import OneEuro
from mien.image import load_image
from mien.kernels.device import OnDevice
from mien.reenact.family import Family, FamilyMotion, open_family
from mien.reenact.finite import motion_of
from mien.reenact.several import Choice, draw_faces, read_faces
from mien.reenact.transfer import CHANGES, Transfer
from mien.runners import Runner, There
from mien.sessions.device_tensor import DeviceTensor
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
    ``motion``: the driver's, smoothed; in pixels of its frame. ``synthetic``: always True.
    """

    image: Image
    status: Status
    motion: FamilyMotion | None
    synthetic: Literal[True] = True


@dataclass(frozen=True)
class ReenactedThere:
    """`Reenacted` with its picture in the GPU's memory, finished: other packages read it without a copy.

    It is mien's to use again once nobody holds ``image``, or what was made of it by the array interfaces.
    """

    image: DeviceTensor
    status: Status
    motion: FamilyMotion | None
    synthetic: Literal[True] = True


class Reenactor:
    """Drives one portrait with one face.

    ``bundle``: a name (``"studio"`` ships with mien), a folder, a zip, an open `Bundle`, or an open family of networks:
    any number of reenactors, each with its own source and driver and in its own thread, may share one (`open_family`;
    ``device``, ``backend`` and ``threads`` are its own then). ``device``: "cpu", "cuda", "cuda:N", or what
    `mien.runners.open_runner` gave, shared with others; on a GPU a frame goes up once and comes down once, or stays
    there, see `step`. ``transfer``: what of the driver's motion is taken over,
    and how; it may be set to another at any time. ``smooth``: steady the motion with a One-Euro filter. ``neutral``:
    the driver is a single picture, whose expression is measured from a neutral face rather than from its first frame.
    Raises BundleError, DeviceError, MissingDependency, MotionError for a transfer that the family lacks.
    """

    def __init__(
        self,
        bundle: Bundle | str | Path | Family[Any, Any] = "studio",
        *,
        device: str | Runner = "cpu",
        backend: str = "ort",
        threads: int | None = None,
        transfer: Transfer = CHANGES,
        smooth: bool = True,
        neutral: bool = False,
    ) -> None:
        if isinstance(bundle, (str, Path)):
            bundle = Bundle.open(bundle)
        self.family = open_family(bundle, device, threads, backend) if isinstance(bundle, Bundle) else bundle
        transfer.check(self.family.name, self.family.features)
        self.transfer = transfer
        self.neutral = neutral
        self.timings = Stopwatch()
        self._tracker = self.family.tracker()
        self._filter = OneEuro(cutoff=4.0, beta=8.0) if smooth else None
        self._sources: tuple[Any, ...] = ()
        self._source_tracker = self.family.tracker()
        self.reset()

    def set_source(self, image: Image | OnDevice | str | Path, face: Choice = "largest") -> None:
        """Read a portrait: a file, or uint8 (H, W, 3) RGB; of several faces one by its number, the largest, or all.

        It may be an array on the GPU where the reenactor runs.

        Raises ImageError, NoFace, InputError for a number that no face has; the old source then stays.
        """
        picture = load_image(image) if isinstance(image, (str, Path)) else image
        self._sources = read_faces(self.family, picture, face)
        self._source_tracker.reset()
        self.reset()

    def next_source(self, image: There) -> None:
        """The portrait's next picture where it is a film itself; the driver goes on. It has one face, the largest.

        Where no face is seen in it, the last picture that had one stays. Raises ImageError, also for another size than
        the first one's, InputError before `set_source`, SessionError.
        """
        first = self._require_source()
        image = self.family.runner.take(image)
        if image.shape != first.shape:
            raise ImageError(f"The portrait's film began with pictures of {first.shape}; now one is {image.shape}.")
        tracked = self._source_tracker.step(image)
        if tracked is not None:
            self._sources = (self.family.source(image, tracked),)

    def reset(self) -> None:
        """Forget the driver: the next frame with a face is the first, and relative motion starts from there."""
        self._tracker.reset()
        if self._filter is not None:
            self._filter.reset()
        self._last: There | None = None
        self._time = self._seen = 0.0
        self.calibrate()

    def calibrate(self) -> None:
        """Let the driver's next tracked frame stand for the portrait as it is; at any time, from any thread."""
        self._reference: FamilyMotion | None = None

    @overload
    def step(self, image: Image, time: float | None = None) -> Reenacted: ...

    @overload
    def step(self, image: OnDevice, time: float | None = None) -> ReenactedThere: ...

    def step(self, image: Image | OnDevice, time: float | None = None) -> Reenacted | ReenactedThere:
        """The portrait with the motion of the next driving frame, uint8 (H, W, 3) RGB, at ``time`` in seconds.

        A frame that is an array on the GPU where the reenactor runs, of CuPy, torch or any package with
        ``__cuda_array_interface__`` or DLPack, gives a picture that stays there; while no face is being followed, a
        copy of such a frame comes down for the detector.

        Raises InputError before `set_source`, ImageError for an array of another kind, DeviceError for one on a GPU
        where the reenactor is not, MotionError, SessionError.
        """
        self._require_source()
        with self.timings("track"):
            driving = motion_of(self.family, self._tracker, image)
        if isinstance(image, np.ndarray):
            return self.move(driving, time)
        picture, status, motion = self._moved(driving, time)
        self.family.runner.finish()
        return ReenactedThere(picture, status, motion)

    def move(self, driving: FamilyMotion | None, time: float | None = None) -> Reenacted:
        """The portrait with a motion that is known already (a template's), None while there is no face.

        Raises InputError before `set_source`, MotionError, SessionError.
        """
        picture, status, motion = self._moved(driving, time)
        with self.timings("download"):
            image = self.family.runner.host(picture)
        return Reenacted(image, status, motion)

    def _moved(self, driving: FamilyMotion | None, time: float | None) -> tuple[There, Status, FamilyMotion | None]:
        """The next picture, where the chain runs."""
        source = self._require_source()
        self._time = self._time + FRAME_SECONDS if time is None else time
        if driving is None:
            return self._stand_in(source)
        driving = self._steady(driving)
        reference, transfer = self._reference, self.transfer  # once: other threads may set them
        if reference is None:
            reference = self._reference = driving
        if self.neutral or not transfer.relative:
            reference = None
        with self.timings("render"):
            self._last = draw_faces(self.family, self._sources, driving, reference, transfer)
        self._seen = self._time
        return self._last, "tracked", driving

    def _require_source(self) -> There:
        if not self._sources:
            raise InputError("A frame was given, but there is no portrait to move. Call set_source(picture) first.")
        return self._sources[0].image

    def _stand_in(self, source: There) -> tuple[There, Status, None]:
        """What is shown without a face: the last picture for a while, then black; never the driver's frame."""
        if self._time - self._seen > HOLD_SECONDS:
            return self.family.runner.own(np.zeros(source.shape, np.uint8)), "blank", None
        return source if self._last is None else self._last, "held", None

    def _steady(self, motion: FamilyMotion) -> FamilyMotion:
        return motion if self._filter is None else motion.with_values(self._filter(motion.values(), self._time))

    @property
    def info(self) -> Mapping[str, object]:
        """What runs where: one line for each network."""
        return {role: session.info for role, session in self.family.sessions.items()}
