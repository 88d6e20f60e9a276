"""Results to look at: a contact sheet of eight times, and a video with the driver beside the result."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from mien.image import save_image
from mien.stream.sinks import Sink, open_sink

Image = npt.NDArray[np.uint8]

HEIGHT = 384
TIMES = 8


def scaled(image: Image, height: int = HEIGHT) -> Image:
    """The picture at this height and an even width, as video encoders want it."""
    width = max(round(image.shape[1] * height / image.shape[0] / 2) * 2, 2)
    shrinking = height < image.shape[0]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def close_up(box: npt.NDArray[np.float64] | None, image: Image) -> tuple[slice, slice]:
    """Rows and columns of a picture around a face's box (left, top, width, height), twice as large; all without one."""
    height, width = image.shape[:2]
    if box is None:
        return slice(0, height), slice(0, width)
    half = float(max(box[2:4]))
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    rows = slice(max(int(y - half), 0), min(int(y + half), height))
    return rows, slice(max(int(x - half), 0), min(int(x + half), width))


class ContactSheet:
    """Keeps the frames at eight evenly spaced times of a clip of known length, and draws driver above result."""

    def __init__(self, frames: int) -> None:
        self._wanted = set(np.linspace(0, max(frames - 1, 0), TIMES).round().astype(int).tolist())
        self._columns: list[tuple[Image, Image]] = []

    def add(self, index: int, driver: Image, result: Image) -> None:
        """Frame ``index`` of both, RGB."""
        if index in self._wanted:
            self._columns.append((scaled(driver, HEIGHT * 2 // 3), scaled(result, HEIGHT * 2 // 3)))

    def save(self, path: Path) -> None:
        """Write the sheet as a picture."""
        width = max(image.shape[1] for column in self._columns for image in column)
        rows = [np.hstack([_padded(column[row], width) for column in self._columns]) for row in (0, 1)]
        save_image(path, np.ascontiguousarray(np.vstack(rows)))


class SideBySide:
    """Writes driver and result next to each other as a video without sound."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        self._path, self._rate = path, rate
        self._open = ExitStack()
        self._sink: Sink | None = None

    def add(self, driver: Image, result: Image) -> None:
        """The next frame of both, RGB."""
        picture = np.hstack([scaled(driver), scaled(result)])
        if self._sink is None:
            size = (picture.shape[1], picture.shape[0])
            self._sink = self._open.enter_context(open_sink(self._path, size, self._rate))
        self._sink.write(picture)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


def _padded(image: Image, width: int) -> Image:
    left = (width - image.shape[1]) // 2
    wide = np.zeros((image.shape[0], width, 3), np.uint8)
    wide[:, left : left + image.shape[1]] = image
    return wide
