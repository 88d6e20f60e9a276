"""Where frames come from: video files, folders of pictures, cameras; all as upright RGB frames with timestamps."""

import itertools
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import VideoError
from mien.image import load_image
from mien.stream.decoding import VideoReader

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
PICTURE_RATE = Fraction(25)
CAMERA_TIME_BASE = Fraction(1, 90_000)


@dataclass(frozen=True)
class SourceFrame:
    """One frame and its place in time."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB, C-contiguous, upright."""
    index: int
    """0 for the first frame that was delivered."""
    pts: int | None
    """When it is shown, in units of `time_base`; None where nobody knows."""
    time_base: Fraction
    """Seconds per unit of `pts` and `duration`."""
    time: float
    """When it is shown, in seconds."""
    duration: int | None = None
    """How long it is shown, in units of `time_base`; None where nobody knows."""


class Source(Protocol):
    """Frames in order, once: iterate over it inside `with`."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first frame as delivered: upright, square pixels."""

    @property
    def rate(self) -> Fraction:
        """Frames per second on average, as exact as the source says."""

    @property
    def time_base(self) -> Fraction:
        """Seconds per unit of the frames' `pts`."""

    @property
    def frame_count(self) -> int | None:
        """How many frames the source says it has; None where it does not say."""

    def __iter__(self) -> Iterator[SourceFrame]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Closing:
    """`with` for whatever has a `close`."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_source(spec: str | os.PathLike[str] | int) -> Source:
    """Opens what `spec` names: a camera (0, "0", "/dev/video0"), a folder of pictures, one picture, or a video file.

    Raises VideoError where there is nothing of the kind, or no frame in it; ImageError for a broken picture.
    """
    name = os.fspath(spec) if not isinstance(spec, int) else str(spec)
    path = Path(name)
    if path.is_dir() or (path.is_file() and path.suffix.lower() in PICTURE_SUFFIXES):
        return FolderSource(path)
    if not path.exists() and name.isdecimal():
        return CameraSource(int(name))
    if path.is_char_device():
        return CameraSource(name)
    return VideoSource(path)


class VideoSource(_Closing):
    """The frames of a video file, at constant memory.

    Rotation and mirroring from the display matrix are applied, pixels are made square (the width is scaled), more than
    8 bits are rounded to 8, and transparency is laid on white. A cover picture is not taken for a video. Timestamps are
    the file's own; only where a format counts from an arbitrary origin (MPEG-TS and the like) do they start at the
    container's first. A damaged or truncated file gives all frames before the damage, then raises VideoError.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises VideoError for a missing or unreadable file, and for one without a frame."""
        self._reader = VideoReader(Path(path))
        try:
            self._frames = self._read()
            first = next(self._frames)
        except BaseException:
            self.close()
            raise
        self._frames = itertools.chain([first], self._frames)
        self.size = (first.image.shape[1], first.image.shape[0])
        self.rate = self._reader.rate
        self.time_base = self._reader.time_base
        self.frame_count = self._reader.frame_count

    def __iter__(self) -> Iterator[SourceFrame]:
        return self._frames

    def close(self) -> None:
        self._reader.close()

    def _read(self) -> Iterator[SourceFrame]:
        base = self._reader.time_base
        for index, shown in enumerate(self._reader.frames()):
            yield SourceFrame(shown.image, index, shown.pts, base, float(shown.pts * base), shown.duration)


class FolderSource(_Closing):
    """The pictures of a folder in natural order (2.png before 10.png) as a clip; or one picture as a clip of one frame.

    Hidden files and files that are not pictures by their name are left out. Pictures may differ in size.
    """

    def __init__(self, path: str | os.PathLike[str], rate: Fraction = PICTURE_RATE) -> None:
        """Raises VideoError where there is no picture, ImageError where the first one cannot be read."""
        self._files = _pictures(Path(path))
        self._next = 0
        self.rate = rate
        self.time_base = 1 / rate
        self.frame_count: int | None = len(self._files)
        self._first = load_image(self._files[0])
        self.size = (self._first.shape[1], self._first.shape[0])

    def __iter__(self) -> Iterator[SourceFrame]:
        for index in range(self._next, len(self._files)):
            self._next = index + 1
            image = self._first if index == 0 else load_image(self._files[index])
            yield SourceFrame(image, index, index, self.time_base, float(index * self.time_base), 1)

    def close(self) -> None:
        self._next = len(self._files)


def _pictures(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise VideoError(f"The folder {path} does not exist.")
    found = [p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".")]
    if not found:
        kinds = ", ".join(PICTURE_SUFFIXES)
        raise VideoError(f"The folder {path} has no pictures in it; files ending in {kinds} are read.")
    return sorted(found, key=lambda p: _natural(p.name))


def _natural(name: str) -> tuple[list[int | str], str]:
    # re.split puts text at even and digits at odd places, so two names are compared number with number.
    parts = re.split(r"(\d+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


class CameraSource(_Closing):
    """A camera, by index or device path; timestamps are the times at which the frames arrived, first frame 0."""

    def __init__(self, device: int | str) -> None:
        """Raises VideoError where there is no such camera or it gives no picture."""
        self.device = device
        if sys.platform == "linux" and not Path(f"/dev/video{device}" if isinstance(device, int) else device).exists():
            there = ", ".join(sorted(path.name[5:] for path in Path("/dev").glob("video*"))) or "none"
            raise VideoError(f"There is no camera {device}; connected: {there}.")
        self._camera = cv2.VideoCapture(device)
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        first = self._grab()
        if first is None:
            self.close()
            raise VideoError(f"Camera {device} gives no picture. Is it connected, and free of other programs?")
        self._frames = self._read(first)
        self.size = (first.shape[1], first.shape[0])
        self.rate = Fraction(self._camera.get(cv2.CAP_PROP_FPS) or 30.0).limit_denominator(1001)
        self.time_base = CAMERA_TIME_BASE
        self.frame_count: int | None = None

    def __iter__(self) -> Iterator[SourceFrame]:
        return self._frames

    def close(self) -> None:
        self._camera.release()

    def _read(self, image: NDArray[np.uint8] | None) -> Iterator[SourceFrame]:
        start = time.monotonic()
        for index in itertools.count():
            if image is None:
                raise VideoError(f"Camera {self.device} stopped after {index} frames. Was it unplugged?")
            seconds = time.monotonic() - start
            yield SourceFrame(image, index, round(seconds / self.time_base), self.time_base, seconds)
            image = self._grab()

    def _grab(self) -> NDArray[np.uint8] | None:
        there, image = self._camera.read()
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8) if there else None
