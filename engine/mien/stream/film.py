"""A film in one file: written beside its name, moved there when it is complete, kept when it is cut short."""

import errno
import logging
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import av.error
import numpy as np
from numpy.typing import NDArray

from mien.errors import DiskFull, OutputError

log = logging.getLogger(__name__)

# What finishing a film needs on the disk (its index, some 20 bytes a frame), kept free so that it can be finished.
RESERVE = 8 << 20
FRAMES_PER_DISK_CHECK = 32
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FilmFile(ABC):
    """What all films in one file share: the part beside the final name, and what becomes of it.

    Leaving `with` by an error or Ctrl-C finishes what there is so far: under the final name where that is free,
    otherwise under the part name, since a film that stood there before is replaced by a complete one only.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises OutputError where the place cannot be written."""
        self.path = Path(path)
        self.frames = 0
        self.result: Path | None = None
        self._part = self.path.with_name(f"{self.path.stem}.part{self.path.suffix}")
        self._open = True
        _check_place(self.path)

    @abstractmethod
    def _add(self, image: NDArray[np.uint8], pts: int | None, duration: int | None) -> None:
        """Takes one picture."""

    @abstractmethod
    def _complete(self, whole: bool) -> None:
        """Makes the part a whole file; `whole` is False where the film was cut short."""

    @abstractmethod
    def _release(self) -> None:
        """Closes whatever is open, never raising; the files that only serve the making go."""

    def write(self, image: NDArray[np.uint8], pts: int | None = None, duration: int | None = None) -> None:
        """Takes an (H, W, 3) uint8 RGB picture, shown at `pts` for `duration` units of the time base.

        Raises OutputError for another size and where writing fails, DiskFull while there is still room to finish.
        """
        if self.frames % FRAMES_PER_DISK_CHECK == 0:
            check_room(self.path, self.frames)
        with our_errors(self.path):
            self._add(image, pts, duration)
        self.frames += 1

    def close(self) -> None:
        """Completes the film and gives it its final name. Raises OutputError where that fails or no picture came."""
        if not self._open:
            return
        if self.frames == 0:
            self._discard()
            raise OutputError(f"No picture was written to {self.path}, so there is no video.")
        try:
            self._finish(whole=True)
            with our_errors(self.path):
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
            if self.frames:
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
        with our_errors(self.path):
            self._complete(whole)

    def _discard(self) -> None:
        self._open = False
        self._release()
        self._part.unlink(missing_ok=True)


def _check_place(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{path} cannot be written: the folder {folder} does not exist; create it first.")
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: there is a folder of that name.")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{path} cannot be written: the folder {folder} is not yours to write to.")


def check_room(path: Path, frames: int) -> None:
    """Raises DiskFull while there is still room to finish the film."""
    free = shutil.disk_usage(path.parent).free
    if free < RESERVE:
        raise DiskFull(
            f"The disk that holds {path} has {free >> 20} MB left, and {RESERVE >> 20} MB are needed; "
            f"make room and start again. {frames} frames were written."
        )


@contextmanager
def our_errors(path: Path) -> Iterator[None]:
    """Whatever the system or FFmpeg says about writing becomes an OutputError, and a full disk a DiskFull."""
    try:
        yield
    except (OSError, av.error.FFmpegError) as error:
        kind = DiskFull if error.errno in FULL else OutputError
        raise kind(f"{path} cannot be written: {error.strerror or error}.") from error
