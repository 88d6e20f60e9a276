"""Where pictures go: an H.264 video, a GIF or a folder of PNG files."""

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from mien.errors import OutputError
from mien.image import save_image
from mien.provenance import video_metadata
from mien.stream.encoding import PictureEncoder
from mien.stream.film import FilmFile, check_room, our_errors
from mien.stream.gif import GifSink
from mien.stream.sound import SoundCopy

VIDEO_SUFFIXES = (".m4v", ".mkv", ".mov", ".mp4")
GIF_SUFFIX = ".gif"


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
    """A VideoSink for a name that ends like a video, a GifSink for .gif, a FolderSink for a folder or no ending.

    Only a video has sound. Raises OutputError for any other ending and for a place that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return VideoSink(path, size, rate, time_base, audio_from)
    if path.suffix.lower() == GIF_SUFFIX and not path.is_dir():
        return GifSink(path, size, rate, time_base)
    if path.is_dir() or not path.suffix:
        return FolderSink(path)
    kinds = ", ".join((*VIDEO_SUFFIXES, GIF_SUFFIX))
    raise OutputError(
        f"{path} ends in {path.suffix!r}; write a video ({kinds}) or a folder (a name without an ending)."
    )


class VideoSink(FilmFile):
    """An H.264 video (yuv420p, index at the front) with the timestamps it is given and the sound of another file.

    H.264 wants even sizes: an odd width or height grows by one, the last column or row repeated. The video is written
    beside its final name (`clip.part.mp4`) and renamed when it is complete; `result` says where the work lies when it
    was cut short.
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
        super().__init__(path)
        self._sound: SoundCopy | None = None
        base = time_base or 1 / rate
        with our_errors(self.path):
            self._output = av.open(os.path.abspath(self._part), "w", options=_container_options(self.path, base))
        try:
            with our_errors(self.path):
                self._output.metadata.update(video_metadata())
                self._pictures = PictureEncoder(self._output, size, rate, base)
                self._sound = SoundCopy(Path(audio_from), self._output) if audio_from is not None else None
                self._output.start_encoding()
            check_room(self.path, 0)
        except BaseException:
            self._discard()
            raise

    def _add(self, image: NDArray[np.uint8], pts: int | None, duration: int | None) -> None:
        self._pictures.add(image, pts, duration)
        if self._sound is not None:
            self._sound.copy(until=self._pictures.end)

    def _complete(self, whole: bool) -> None:
        self._pictures.finish()
        if self._sound is not None:
            self._sound.copy(until=None if whole else self._pictures.end)
            self._sound.close()
        self._output.close()

    def _release(self) -> None:
        if self._sound is not None:
            self._sound.close()
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._output.close()


class FolderSink:
    """A folder of PNG files 000000.png, 000001.png, ... Each is written whole or not at all; timestamps are not kept.

    The folder must be new or empty: nothing that lies in one is ever replaced.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises OutputError where the folder has something in it or cannot be made."""
        self.path = Path(path)
        self.frames = 0
        with our_errors(self.path):
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
