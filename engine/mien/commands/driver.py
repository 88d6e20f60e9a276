"""What drives a portrait: the frames of a video, pictures or a camera, or a motion that is known beforehand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from mien.errors import MotionError, NoFace
from mien.reenact.family import Family, FamilyMotion
from mien.reenact.template_files import SUFFIX, read_template, refuse_pickle
from mien.reenact.templates import Recorder, Template
from mien.stream.pipeline import Progress
from mien.stream.sources import PICTURE_SUFFIXES, CameraSource, Source, SourceFrame, VideoSource, open_source

Smooth = Literal["live", "file", "none"]
"""A causal filter, a smoother that looks at the whole clip first, or neither."""


@dataclass(frozen=True)
class Driver:
    """``frames`` set the output's times; ``motions``, where known beforehand, go with them one by one."""

    frames: Source
    motions: Iterator[FamilyMotion | None] | None = None

    @property
    def sound(self) -> bool:
        """Whether the driver may have sound to be copied."""
        return isinstance(self.frames, VideoSource)


def is_picture(driving: str) -> bool:
    """Whether one picture drives, which has an expression and no movement."""
    return Path(driving).suffix.lower() in PICTURE_SUFFIXES and Path(driving).is_file()


@contextmanager
def open_driver(
    driving: str, smooth: Smooth, family: Family[Any, Any], portrait: NDArray[np.uint8], progress: Progress | None
) -> Iterator[Driver]:
    """Opens what a driver's name stands for; a clip to be smoothed as a whole is first gone through for its motion.

    ``portrait`` is any picture with a face, uint8 (H, W, 3) RGB, by which a template is checked. Raises VideoError,
    ImageError, NoFace, MotionError for a template that does not fit or a camera smoothed as a whole.
    """
    refuse_pickle(Path(driving))
    if Path(driving).suffix.lower() == SUFFIX:
        template = read_template(Path(driving))
        template.check(family, _sample(family, portrait))
        with TemplateFrames(template) as times:
            yield Driver(times, _motions(template, smooth, family))
        return
    with open_source(driving) as frames:
        if smooth == "file":
            _check_end(frames)
            yield Driver(frames, _whole_clip(driving, family, progress))
        else:
            yield Driver(frames)


def _whole_clip(driving: str, family: Family[Any, Any], progress: Progress | None) -> Iterator[FamilyMotion | None]:
    """The smoothed motion of a clip, which is gone through once when the first is asked for."""
    with open_source(driving) as frames:
        template = record(family, frames, progress)
    yield from _motions(template, "file", family)


def record(family: Family[Any, Any], frames: Source, progress: Progress | None = None) -> Template:
    """The motion of the face in a clip. Raises MotionError for a camera, which has no end, and NoFace, VideoError."""
    _check_end(frames)
    recorder = Recorder(family)
    for frame in frames:
        recorder.add(frame.image, frame.index if frame.pts is None else frame.pts)
        if progress is not None:
            progress(frame.index + 1, frames.frame_count)
    return recorder.finish(frames.rate, frames.time_base)


def _check_end(frames: Source) -> None:
    if isinstance(frames, CameraSource):
        raise MotionError("A camera has no end, so its motion is not known beforehand. Record it as a video first.")


def _motions(template: Template, smooth: Smooth, family: Family[Any, Any]) -> Iterator[FamilyMotion | None]:
    kind = family.motion_type
    return (template.smoothed(kind) if smooth == "file" else template).motions(kind)


def _sample(family: Family[Any, Any], portrait: NDArray[np.uint8]) -> FamilyMotion:
    tracked = family.tracker().step(portrait)
    if tracked is None:
        raise NoFace("The portrait's face cannot be followed, so the motion template cannot be checked against it.")
    sample: FamilyMotion = family.motion(portrait, tracked)
    return sample


class TemplateFrames:
    """The times of a template as a source; its pictures are black and tiny, for there are none."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self.size = template.size
        self.rate = template.rate
        self.time_base = template.time_base
        self.frame_count: int | None = len(template.pts)

    def __iter__(self) -> Iterator[SourceFrame]:
        base = self.time_base
        for index, (pts, duration) in enumerate(zip(self._template.pts, self._template.durations, strict=True)):
            image = np.zeros((2, 2, 3), np.uint8)
            yield SourceFrame(image, index, int(pts), base, float(int(pts) * base), int(duration))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
