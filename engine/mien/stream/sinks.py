"""Where pictures go: an H.264 video or a folder of PNG files; under its final name a video is complete or not there."""

import contextlib
import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from mien.errors import DiskFull, OutputError
from mien.image import save_image
from mien.provenance import video_metadata
from mien.stream.encoding import PictureEncoder
from mien.stream.sound import SoundCopy

log = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".m4v", ".mkv", ".mov", ".mp4")
# What finishing a video needs on the disk (its index, some 20 bytes a frame), kept free so that it can be finished.
RESERVE = 8 << 20
FRAMES_PER_DISK_CHECK = 32
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Sink(Protocol):
    """Takes pictures of one size in order; write to it inside `with`."""

    @property
    def frames(self) -> int:
        """How many pictures were taken so far."""

    @property
    def result(self) -> Path | None:
        """Where the finished work lies or, after an error, what can be used of it; None while there is none."""

    def write(self, image: NDArray[np.uint8], pts: int | None = None, duration: int | None = None) -> None:
        """Takes an (H, W, 3) uint8 RGB picture, shown at `pts` for `duration` units of the sink's time base."""

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_sink(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    rate: Fraction,
    time_base: Fraction | None = None,
    audio_from: str | os.PathLike[str] | None = None,
) -> Sink:
    """A VideoSink for a name that ends like a video, a FolderSink for a folder or a name without an ending.

    Raises OutputError for any other ending and for a place that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return VideoSink(path, size, rate, time_base, audio_from)
    if path.is_dir() or not path.suffix:
        return FolderSink(path)
    kinds = ", ".join(VIDEO_SUFFIXES)
    raise OutputError(
        f"{path} ends in {path.suffix!r}; write a video ({kinds}) or a folder (a name without an ending)."
    )


class VideoSink:
    """An H.264 video (yuv420p, index at the front) with the timestamps it is given and the sound of another file.

    H.264 wants even sizes: an odd width or height grows by one, the last column or row repeated. The video is written
    beside its final name (`clip.part.mp4`) and renamed when it is complete. Leaving `with` by an error or Ctrl-C
    finishes what there is so far: under the final name where that is free, otherwise under the part name, since a
    video that stood there before is replaced by a complete one only. `result` says which.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: tuple[int, int],
        rate: Fraction,
        time_base: Fraction | None = None,
        audio_from: str | os.PathLike[str] | None = None,
    ) -> None:
        """`size` is width and height; `time_base` (seconds per unit of pts) is 1/rate unless given.

        Raises OutputError where the place cannot be written, DiskFull where there is no room.
        """
        self.path = Path(path)
        self.frames = 0
        self.result: Path | None = None
        self._part = self.path.with_name(f"{self.path.stem}.part{self.path.suffix}")
        self._sound: SoundCopy | None = None
        base = time_base or 1 / rate
        _check_place(self.path)
        with _our_errors(self.path):
            self._output = av.open(os.path.abspath(self._part), "w", options=_container_options(self.path, base))
        try:
            with _our_errors(self.path):
                self._output.metadata.update(video_metadata())
                self._pictures = PictureEncoder(self._output, size, rate, base)
                self._sound = SoundCopy(Path(audio_from), self._output) if audio_from is not None else None
                self._output.start_encoding()
            _check_room(self.path, 0)
        except BaseException:
            self._discard()
            raise
        self._open = True

    def write(self, image: NDArray[np.uint8], pts: int | None = None, duration: int | None = None) -> None:
        """Takes an (H, W, 3) uint8 RGB picture, shown at `pts` for `duration` units of the time base.

        Raises OutputError for another size and where writing fails, DiskFull while there is still room to finish.
        """
        if self.frames % FRAMES_PER_DISK_CHECK == 0:
            _check_room(self.path, self.frames)
        with _our_errors(self.path):
            self._pictures.add(image, pts, duration)
            if self._sound is not None:
                self._sound.copy(until=self._pictures.end)
        self.frames += 1

    def close(self) -> None:
        """Completes the video and gives it its final name. Raises OutputError where that fails or no picture came."""
        if not self._open:
            return
        if self.frames == 0:
            self._discard()
            raise OutputError(f"No picture was written to {self.path}, so there is no video.")
        try:
            self._finish(whole=True)
            with _our_errors(self.path):
                os.replace(self._part, self.path)
        except OutputError:
            self._discard()
            raise
        self.result = self.path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif self._open:
            self._keep()

    def _keep(self) -> None:
        """Makes what was written so far playable; the error on its way out stays the one that is reported."""
        try:
            self._finish(whole=False)
        except OutputError as error:
            log.warning("What was written of %s cannot be kept: %s", self.path, error)
            self.frames = 0
        if self.frames == 0:
            self._discard()
        elif self.path.exists():
            self.result = self._part
        else:
            os.replace(self._part, self.path)
            self.result = self.path

    def _finish(self, whole: bool) -> None:
        self._open = False
        with _our_errors(self.path):
            self._pictures.finish()
            if self._sound is not None:
                self._sound.copy(until=None if whole else self._pictures.end)
                self._sound.close()
            self._output.close()

    def _discard(self) -> None:
        self._open = False
        if self._sound is not None:
            self._sound.close()
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._output.close()
        self._part.unlink(missing_ok=True)


class FolderSink:
    """A folder of PNG files 000000.png, 000001.png, ... Each is written whole or not at all; timestamps are not kept.

    The folder must be new or empty: nothing that lies in one is ever replaced.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises OutputError where the folder has something in it or cannot be made."""
        self.path = Path(path)
        self.frames = 0
        with _our_errors(self.path):
            self.path.mkdir(exist_ok=True)
            if any(self.path.iterdir()):
                raise OutputError(f"The folder {self.path} is not empty; name a new or an empty one.")

    @property
    def result(self) -> Path | None:
        return self.path if self.frames else None

    def write(self, image: NDArray[np.uint8], pts: int | None = None, duration: int | None = None) -> None:
        """Takes an (H, W, 3) uint8 RGB picture. Raises OutputError where it cannot be written."""
        save_image(self.path / f"{self.frames:06d}.png", image)
        self.frames += 1

    def close(self) -> None:
        """Nothing is left to do: every picture is on the disk already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _container_options(path: Path, time_base: Fraction) -> dict[str, str]:
    if path.suffix.lower() == ".mkv":
        return {}
    # The track's clock is the source's, so that timestamps need no rounding.
    return {"movflags": "faststart", "video_track_timescale": str(time_base.denominator)}


def _check_place(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{path} cannot be written: the folder {folder} does not exist; create it first.")
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: there is a folder of that name.")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{path} cannot be written: the folder {folder} is not yours to write to.")


def _check_room(path: Path, frames: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < RESERVE:
        raise DiskFull(
            f"The disk that holds {path} has {free >> 20} MB left, and {RESERVE >> 20} MB are needed; "
            f"make room and start again. {frames} frames were written."
        )


@contextmanager
def _our_errors(path: Path) -> Iterator[None]:
    """Whatever the system or FFmpeg says about writing becomes an OutputError, and a full disk a DiskFull."""
    try:
        yield
    except (OSError, av.error.FFmpegError) as error:
        kind = DiskFull if error.errno in FULL else OutputError
        raise kind(f"{path} cannot be written: {error.strerror or error}.") from error
