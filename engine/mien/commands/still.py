"""One picture as the output of a run: where a picture drives a picture, or the first frame is enough."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mien.errors import OutputError
from mien.image import save_image

SUFFIXES = (".jpeg", ".jpg", ".png")


class PictureSink:
    """Writes the one picture it is given to .png or .jpg, marked as synthetic; see `mien.stream.sinks.Sink`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.frames = 0

    @property
    def result(self) -> Path | None:
        return self.path if self.frames else None

    def write(self, image: NDArray[np.uint8], pts: int | None = None, duration: int | None = None) -> None:
        """Takes an (H, W, 3) uint8 RGB picture. Raises OutputError for a second one or an unwritable place."""
        if self.frames:
            raise OutputError(f"{self.path} is one picture, and there are more frames. Write a video or a folder.")
        save_image(self.path, image)
        self.frames += 1

    def close(self) -> None:
        """Nothing is left to do: the picture is on the disk already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
