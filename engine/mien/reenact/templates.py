"""Motion templates: a driver's motion over a whole clip, recorded once, to drive any portrait later."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien.errors import MotionError, NoFace
from mien.reenact.family import Family, FamilyMotion
from mien.reenact.finite import motion_of
from mien.reenact.kalman import kalman_smooth

Image = NDArray[np.uint8]
Array = NDArray[Any]
M = TypeVar("M", bound=FamilyMotion)

KIND = "a motion template"
"""What the file says that it is."""
PART = "motion."
"""Arrays of the file whose names begin so are fields of the family's motion, one row a frame."""
MOST_FRAMES = 10_000_000


@dataclass(frozen=True, eq=False)
class Template:
    """The motion of one face in T frames, as one family reads it.

    ``size``: width and height of the driving frames, in whose pixels the motion is. ``rate``: frames per second.
    ``pts``: (T,) int64, when each frame is shown, in units of ``time_base`` seconds, rising. ``seen``: (T,) bool, where
    there was a face. ``parts``: each field of the family's motion by its name, (T, ...) float, zeros where not seen.
    Raises MotionError for what contradicts itself.
    """

    family: str
    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    pts: NDArray[np.int64]
    seen: NDArray[np.bool_]
    parts: Mapping[str, Array] = field(repr=False)

    def __post_init__(self) -> None:
        count = len(self.pts)
        if not 0 < count <= MOST_FRAMES or self.seen.shape != (count,) or not self.parts:
            raise MotionError(f"A motion template has at least one frame and all its parts; got {count} frames.")
        if (np.diff(self.pts) <= 0).any():
            raise MotionError("The times of a motion template's frames do not rise.")
        if not (self.rate > 0 and self.time_base > 0 and min(self.size) > 0):
            raise MotionError("A motion template's frame rate, time base and frame size are above zero.")
        for name, part in self.parts.items():
            if part.shape[:1] != (count,) or part.dtype.kind != "f":
                raise MotionError(f"A template of {count} frames has {name!r} as {part.dtype} of shape {part.shape}.")
            if not np.isfinite(part).all():
                raise MotionError(f"The motion template's {name!r} has values that are not finite.")
        object.__setattr__(self, "parts", MappingProxyType(dict(self.parts)))

    def check(self, family: Family[Any, Any], sample: FamilyMotion) -> None:
        """Raises MotionError for a template of another family, or of other networks of this one.

        ``sample`` is any motion that this family has read; the template's have the same parts, but for those that a
        motion may be without.
        """
        if self.family != family.name:
            raise MotionError(
                f"The motion template was recorded with a bundle of the family {self.family!r}, and this bundle is of "
                f"{family.name!r}. Record it again with this one: mien template DRIVER --bundle BUNDLE -o TEMPLATE."
            )
        spare = {part.name for part in fields(sample) if part.default_factory is not MISSING}  # type: ignore[arg-type]
        there = {name: part.shape[1:] for name, part in self.parts.items() if name not in spare}
        needed = {name: np.shape(part) for name, part in parts_of(sample).items() if name not in spare}
        if there != needed:
            raise MotionError(
                f"The motion template was recorded with other networks: it has {there} for each frame, and this bundle "
                f"gives {needed}. Record it again with this bundle."
            )

    def motions(self, kind: type[M]) -> Iterator[M | None]:
        """The motion in each frame, made as ``kind``, the family's ``motion_type``; None where no face was seen."""
        for frame, seen in enumerate(self.seen):
            yield kind(**{name: part[frame] for name, part in self.parts.items()}) if seen else None

    def smoothed(self, kind: type[M]) -> Template:
        """The template with each value smoothed over the whole clip; ``kind`` is the family's ``motion_type``."""
        motions = list(self.motions(kind))
        known = [motion for motion in motions if motion is not None]
        if not known:
            return self
        rows = np.zeros((len(motions), len(known[0].values())))
        rows[self.seen] = [motion.values() for motion in known]
        smooth = kalman_smooth(rows, self.seen)
        steady = [m if m is None else m.with_values(row) for m, row in zip(motions, smooth, strict=True)]
        return replace(self, parts=stacked(steady))

    @property
    def durations(self) -> NDArray[np.int64]:
        """(T,) how long each frame is shown, in units of ``time_base``."""
        last = max(round(1 / (self.rate * self.time_base)), 1)
        return np.append(np.diff(self.pts), last)

    def about(self) -> dict[str, Any]:
        """What the file says in words; the rest is `arrays`."""
        return {
            "kind": KIND,
            "family": self.family,
            "size": list(self.size),
            "rate": str(self.rate),
            "time_base": str(self.time_base),
        }

    def arrays(self) -> dict[str, Array]:
        """The file's arrays by name."""
        return {"pts": self.pts, "seen": self.seen, **{PART + name: part for name, part in self.parts.items()}}

    @classmethod
    def read(cls, about: Mapping[str, Any], arrays: Mapping[str, Array]) -> Template:
        """The template that `about` and `arrays` came from. Raises MotionError where they are of another form."""
        try:
            width, height = about["size"]
            numbers = _fraction(about["rate"]), _fraction(about["time_base"])
            family, size = str(about["family"]), (int(width), int(height))
            pts, seen = arrays["pts"], arrays["seen"]
        except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
            raise MotionError(f"The motion template lacks something or has it in another form: {error}.") from error
        if pts.ndim != 1 or pts.dtype != np.int64 or seen.dtype != np.bool_:
            raise MotionError("A motion template's times are a row of int64, and what was seen a row of bool.")
        parts = {name.removeprefix(PART): part for name, part in arrays.items() if name.startswith(PART)}
        return cls(family, size, *numbers, pts, seen, parts)


def _fraction(text: str) -> Fraction:
    if not re.fullmatch(r"\d{1,12}(/\d{1,12})?", text):  # Fraction would also raise ten to any power
        raise ValueError(f"{text!r} is no fraction like 30000/1001")
    return Fraction(text)


class Recorder:
    """Follows one face through a clip and keeps its motion; pictures are not kept.

    ``family`` may be shared with others at the same time.
    """

    def __init__(self, family: Family[Any, Any]) -> None:
        self.family = family
        self._tracker = family.tracker()
        self._motions: list[FamilyMotion | None] = []
        self._pts: list[int] = []
        self._size = (0, 0)

    def add(self, image: Image, pts: int) -> bool:
        """The next frame, uint8 (H, W, 3) RGB; whether there is a face in it. Raises ImageError, SessionError."""
        motion = motion_of(self.family, self._tracker, image)
        self._motions.append(motion)
        self._pts.append(pts)
        self._size = (image.shape[1], image.shape[0])
        return motion is not None

    def finish(self, rate: Fraction, time_base: Fraction) -> Template:
        """What was recorded. Raises NoFace where no frame had a face."""
        seen = np.array([motion is not None for motion in self._motions], np.bool_)
        if not seen.any():
            raise NoFace(f"None of the {len(seen)} frames shows a face whose motion could be recorded.")
        pts = np.array(self._pts, np.int64)
        return Template(self.family.name, self._size, rate, time_base, pts, seen, stacked(self._motions))


def parts_of(motion: FamilyMotion) -> dict[str, Array]:
    """A motion's fields by name, as arrays."""
    return {part.name: np.asarray(getattr(motion, part.name)) for part in fields(motion)}  # type: ignore[arg-type]


def stacked(motions: Sequence[FamilyMotion | None]) -> dict[str, Array]:
    """Each field over all frames, (T, ...); zeros where there is no motion. At least one there is."""
    known = [parts_of(motion) for motion in motions if motion is not None]
    rows = np.flatnonzero([motion is not None for motion in motions])
    parts: dict[str, Array] = {}
    for name, first in known[0].items():
        parts[name] = np.zeros((len(motions), *first.shape), first.dtype)
        parts[name][rows] = [one[name] for one in known]
    return parts
