"""Detection: where the faces in a picture are, as the square crops that the motion network looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import SessionError
from mien.geometry import Similarity
from mien.image import check_image, to_tensor
from mien.runners import HOST, Runner
from mien.sessions import Session

Image = NDArray[np.uint8]

CROP_CM = 24.0
"""Side of the motion crop on the head; its centre is the point (0, 1, 0) cm of the head frame."""

YUNET_BOX_CM = 18.9
"""Height of YuNet's box on the head; it has the same centre. Measured on rendered heads, whose size is known."""

YUNET_SIDE = 640
"""YuNet looks at a picture shrunk to this: its anchors end at faces of some hundred pixels."""

SAME_FACE = 0.4
"""Two crops that share more than this (intersection over union) show one face."""


@dataclass(frozen=True)
class Face:
    """A face as the square crop around it: centre (x, y) and side in frame pixels, score in [0, 1]."""

    centre: tuple[float, float]
    size: float
    score: float

    def crop(self, pixels: int) -> Similarity:
        """The map from pixels of the crop, drawn ``pixels`` wide, to frame pixels."""
        return Similarity.from_crop(self.centre, self.size, pixels)


Detect = Callable[[Image], list[Face]]
"""Finds the faces in an RGB picture, the most prominent (score times area) first."""


def detect_faces(session: Session, image: Image, threshold: float = 0.5, runner: Runner = HOST) -> list[Face]:
    """Faces that the ``detector`` network finds in a picture, sorted by score times area, the largest first.

    ``image`` is uint8 (H, W, 3) RGB on the host, ``runner`` where the network runs. Raises ImageError for anything
    else, SessionError when the network fails.
    """
    check_image(image)
    side = side_of(session)
    boxed, to_frame = letterbox(image, side)
    outputs = runner.answer(session, {"image": to_tensor(boxed)})
    scores, crops = outputs["scores"].reshape(-1), outputs["crops"].reshape(-1, 3)
    usable = (scores >= threshold) & np.isfinite(crops).all(axis=1) & (crops[:, 2] > 0)
    scores, crops = scores[usable], crops[usable].astype(np.float64) * side
    centres = to_frame.apply(crops[:, :2])
    found = [
        Face((float(x), float(y)), float(size), float(score))
        for (x, y), size, score in zip(centres, crops[:, 2] * to_frame.scale, scores, strict=True)
    ]
    return by_prominence(suppress(found))


def letterbox(image: Image, side: int) -> tuple[Image, Similarity]:
    """The whole picture centred in a black square of ``side`` pixels, and the map from there to frame pixels."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    inner = max(round(width * scale), 1), max(round(height * scale), 1)
    # INTER_AREA averages when shrinking and so does not alias; when enlarging it would repeat pixels.
    small = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (side - inner[0]) // 2, (side - inner[1]) // 2
    boxed = np.zeros((side, side, 3), np.uint8)
    boxed[top : top + inner[1], left : left + inner[0]] = small
    # The middle of the letterboxed square, on the frame: off its middle by half a pixel where the border is uneven.
    off = np.array([side / 2 - left - inner[0] / 2, side / 2 - top - inner[1] / 2])
    centre = np.array([width, height]) / 2 + off / scale
    return boxed, Similarity.from_crop((float(centre[0]), float(centre[1])), side / scale, side)


def suppress(faces: list[Face], overlap: float = SAME_FACE) -> list[Face]:
    """Of faces whose crops overlap more than this (intersection over union), only the one with the best score."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda f: -f.score):
        if all(_shared(face, other) <= overlap for other in kept):
            kept.append(face)
    return kept


def by_prominence(faces: list[Face]) -> list[Face]:
    """Sorted by score times area, the largest first."""
    return sorted(faces, key=lambda f: -f.score * f.size**2)


class NetworkDetector:
    """`detect_faces` with its session, to be handed to a `Tracker`."""

    def __init__(self, session: Session, threshold: float = 0.5, runner: Runner = HOST) -> None:
        self.session = session
        self.threshold = threshold
        self.runner = runner

    def __call__(self, image: Image) -> list[Face]:
        """See `detect_faces`."""
        return detect_faces(self.session, image, self.threshold, self.runner)


class YuNetDetector:
    """The public YuNet network (Wu et al., YuNet: A Tiny Millisecond-level Face Detector, 2023), run by OpenCV.

    ``path`` is its ONNX file, as `mien pull` stores it. Raises SessionError when OpenCV cannot read it.
    """

    def __init__(self, path: Path, threshold: float = 0.6) -> None:
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), score_threshold=threshold)
        except cv2.error as error:
            raise SessionError(f"YuNet was asked for, but OpenCV cannot read {path}: {error.err}") from error

    def __call__(self, image: Image) -> list[Face]:
        """Faces in a uint8 (H, W, 3) RGB picture, the most prominent first. Raises ImageError for anything else."""
        check_image(image)
        height, width = image.shape[:2]
        shrink = min(1.0, YUNET_SIDE / max(height, width))
        small = max(round(width * shrink), 1), max(round(height * shrink), 1)
        self._network.setInputSize(small)
        bgr = cv2.cvtColor(cv2.resize(image, small, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
        rows = self._network.detect(bgr)[1]
        faces = [] if rows is None else [_from_yunet(row, width / small[0], height / small[1]) for row in rows]
        return by_prominence(faces)


def _from_yunet(row: NDArray[np.float32], across: float, down: float) -> Face:
    left, top, width, height = (float(v) for v in row[:4])
    centre = ((left + width / 2) * across, (top + height / 2) * down)
    return Face(centre, height * down * CROP_CM / YUNET_BOX_CM, float(row[14]))


def _shared(one: Face, other: Face) -> float:
    """Intersection over union of two crops."""
    sides = [
        max(0.0, (one.size + other.size) / 2 - max(abs(a - b), abs(one.size - other.size) / 2))
        for a, b in zip(one.centre, other.centre, strict=True)
    ]
    both = sides[0] * sides[1]
    return both / (one.size**2 + other.size**2 - both)


def side_of(session: Session) -> int:
    """The square picture that a network takes as ``image``, in pixels."""
    shape = next(spec.shape for spec in session.inputs if spec.name == "image")
    return int(shape[-1])
