"""Networks that take a coloured disc for a face, so that detection and tracking can be tested without weights.

A disc of 12 cm across (half the motion crop) is a head; its middle is the crop's middle. Red discs are faces.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.sessions import FunctionSession, TensorSpec

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

PIXELS, DETECTOR_PIXELS, CELLS = 144, 192, 576
DISC_CM, CROP_CM = 12.0, 24.0


def scene(*discs: tuple[float, float, float], width: int = 640, height: int = 480) -> Image:
    """A dark frame with red discs: centre x, y and the side of the motion crop that fits each."""
    image = np.full((height, width, 3), 20, np.uint8)
    for x, y, side in discs:
        left, top = max(int(x - side / 4) - 1, 0), max(int(y - side / 4) - 1, 0)
        around = image[top : int(y + side / 4) + 2, left : int(x + side / 4) + 2]
        rows, columns = np.ogrid[: around.shape[0], : around.shape[1]]
        cover = np.clip(side / 4 + 0.5 - np.hypot(columns + left + 0.5 - x, rows + top + 0.5 - y), 0, 1)
        around[:] = (around + cover[..., None] * (np.array([255.0, 20, 20]) - around)).round()
    return image


def detector() -> FunctionSession:
    """The detector's inputs and outputs; scores 0.9 for every disc."""
    return FunctionSession(
        _detect,
        (TensorSpec("image", "float32", (1, 3, DETECTOR_PIXELS, DETECTOR_PIXELS)),),
        (TensorSpec("scores", "float32", (1, CELLS)), TensorSpec("crops", "float32", (1, CELLS, 3))),
    )


def motion() -> FunctionSession:
    """The motion network's inputs and outputs; two landmarks, the middle and the top of the disc."""
    return FunctionSession(
        _move,
        (TensorSpec("image", "float32", ("N", 3, PIXELS, PIXELS)),),
        (
            TensorSpec("confidence", "float32", ("N", 1)),
            TensorSpec("pose", "float32", ("N", 3)),
            TensorSpec("place", "float32", ("N", 3)),
            TensorSpec("expression", "float32", ("N", 1)),
            TensorSpec("landmarks", "float32", ("N", 2, 2)),
        ),
    )


def _redness(image: Floats) -> Floats:
    cover: Floats = np.clip((image[0, 0] - image[0, 1]) / 0.92, 0, 1)
    return cover


def _detect(feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    cover = _redness(np.asarray(feeds["image"], np.float32))
    scores, crops = np.zeros((1, CELLS), np.float32), np.zeros((1, CELLS, 3), np.float32)
    count, labels = cv2.connectedComponents((cover > 0.1).astype(np.uint8))
    for index in range(1, count):
        (x, y), side = _disc(np.where(labels == index, cover, 0))
        scores[0, index] = 0.9
        crops[0, index] = np.array([x, y, side]) / DETECTOR_PIXELS
    return {"scores": scores, "crops": crops}


def _move(feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    cover = _redness(np.asarray(feeds["image"], np.float32))
    count, labels = cv2.connectedComponents((cover > 0.1).astype(np.uint8))
    sizes = [cover[labels == i].sum() for i in range(1, count)]
    here = bool(sizes) and max(sizes) > 400
    nearest = np.where(labels == 1 + int(np.argmax(sizes)), cover, 0) if here else np.ones_like(cover)
    (x, y), side = _disc(nearest)
    middle = np.array([x, y]) / PIXELS * 2 - 1
    scale = side / PIXELS * 2 / CROP_CM
    top = middle - (0, scale * DISC_CM / 2)
    return {
        "confidence": np.array([[0.95 if here else 0.05]], np.float32),
        "pose": np.zeros((1, 3), np.float32),
        "place": np.array([[middle[0], middle[1] + scale, np.log(scale)]], np.float32),
        "expression": np.zeros((1, 1), np.float32),
        "landmarks": np.stack([middle, top])[None].astype(np.float32),
    }


def _disc(cover: Floats) -> tuple[tuple[float, float], float]:
    """Centre and crop side, in pixels, of the one disc with this cover."""
    area = float(cover.sum())
    rows, columns = np.indices(cover.shape) + 0.5
    return (float((columns * cover).sum() / area), float((rows * cover).sum() / area)), 4 * np.sqrt(area / np.pi)
