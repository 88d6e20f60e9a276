"""Following one face through a video: a crop that holds still, and what the motion network says about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.faces.detect import CROP_CM, Detect, Face, by_prominence, side_of, suppress
from mien.geometry import Similarity
from mien.runners import HOST, Runner, There
from mien.sessions import Session

Floats = NDArray[np.float32]

HEAD_POINT_CM = 1.0
"""The crop is centred this far above the head's origin."""

DEAD_ZONE = 0.10
"""The crop holds still until the face is off its centre by this share of its side..."""
DEAD_SCALE = 0.12
"""...or its size is off by this share."""
SETTLED = 0.25
"""A crop that moves stops moving within this share of the dead zone."""
APPROACH = 0.2
"""Share of the way that a moving crop goes in each frame."""
FAR_OFF = 3.0
"""Beyond this many dead zones the crop jumps: the network is not trained for a face so far off."""

SMALLEST_CROP = 8.0
"""Pixels; below this there is no face to read."""
LONGEST_PAUSE = 8
"""Frames: while no face is found, the detector's pauses double up to this."""
PATIENCE = 30
"""Frames during which a lost face is awaited where it was; after that any face is taken."""
CANDIDATES = 3
"""How many detections are tried in one frame."""


@dataclass(frozen=True)
class Tracked:
    """A face in one frame, as the motion network sees it in a crop.

    ``crop`` maps pixels of the crop to frame pixels. ``outputs`` are those of the network without the batch axis:
    ``pose`` (3,), ``place`` (3,), ``expression`` (E,), ``landmarks`` (L, 2) as in the bundle, place and landmarks in
    normalised coordinates of this crop. ``confidence`` is in [0, 1], ``pixels`` is the crop's side as the network
    sees it.
    """

    crop: Similarity
    outputs: Mapping[str, Floats]
    confidence: float
    pixels: int

    @property
    def landmarks(self) -> NDArray[np.float64]:
        """(L, 2) in frame pixels."""
        return _normalised(self.crop, self.pixels).apply(self.outputs["landmarks"])

    @property
    def place(self) -> NDArray[np.float64]:
        """(3,): the head's origin in frame pixels, and the log of the scale in frame pixels per cm."""
        return _moved_place(self.outputs["place"], _normalised(self.crop, self.pixels))

    @property
    def face(self) -> Face:
        """The crop that would have this face in its middle, at its proper size."""
        place = self.outputs["place"].astype(np.float64)
        scale = np.exp(min(place[2], 50.0))  # a size without sense stays a number, and is judged as such
        to_frame = _normalised(self.crop, self.pixels)
        x, y = to_frame.apply(place[:2] - (0.0, scale * HEAD_POINT_CM))
        return Face((float(x), float(y)), float(CROP_CM * scale * to_frame.scale), self.confidence)

    def seen_from(self, other: Similarity) -> Tracked:
        """The same face with place and landmarks in another (upright) crop's normalised coordinates.

        Seen from one crop all along, for example that of the first frame, nothing jumps when the tracker moves its own.
        """
        change = _normalised(other, self.pixels).inverse() @ _normalised(self.crop, self.pixels)
        outputs = dict(self.outputs)
        outputs["place"] = _moved_place(outputs["place"], change).astype(np.float32)
        outputs["landmarks"] = change.apply(outputs["landmarks"]).astype(np.float32)
        return replace(self, crop=other, outputs=outputs)


class Tracker:
    """Follows the most prominent face, and stays with it.

    One crop per clip, as long as the face stays about its middle: a crop that follows every detection jitters, and the
    jitter ends up in the motion. ``detect`` finds faces when there is none to follow, ``motion`` is the network of that
    role. Below ``threshold`` confidence (or with outputs that are not finite) the face counts as lost. ``runner`` is
    where the motion network runs; what ``detect`` is given is on the host.
    """

    def __init__(self, detect: Detect, motion: Session, threshold: float = 0.5, runner: Runner = HOST) -> None:
        self.threshold = threshold
        self._runner = runner
        self._detect = detect
        self._motion = motion
        self._pixels = side_of(motion)
        self.reset()

    def reset(self) -> None:
        """Forget the face: the next frame begins a new clip."""
        self._face: Face | None = None
        self._moving = False
        self._last: Face | None = None
        self._missed = 0
        self._pause = 1
        self._wait = 0

    def step(self, image: There) -> Tracked | None:
        """The followed face in the next frame, uint8 (H, W, 3) RGB, or None while there is none.

        Raises ImageError for another kind of array, SessionError when a network fails.
        """
        picture = self._runner.take(image)
        tracked = self._follow(picture)
        return tracked if tracked is not None else self._search(picture)

    def everyone(self, image: There) -> list[Tracked]:
        """Every face of a still picture, uint8 (H, W, 3) RGB, the most prominent first; none is followed afterwards.

        Raises ImageError for another kind of array, SessionError when a network fails.
        """
        picture = self._runner.take(image)
        faces = self._detect(self._runner.host(picture))
        seen = [tracked for face in faces if (tracked := self._settle(picture, face)) is not None]
        self.reset()
        by_face = {tracked.face: tracked for tracked in seen}
        return [by_face[face] for face in by_prominence(suppress(list(by_face)))]

    def _follow(self, image: There) -> Tracked | None:
        if self._face is None:
            return None
        tracked = self._look(image, self._face)
        if tracked is None:
            self._last, self._face = self._face, None
            self._missed, self._pause, self._wait = 0, 1, 0
            return None
        self._face = self._held(self._face, tracked.face)
        return tracked

    def _search(self, image: There) -> Tracked | None:
        self._missed += 1
        if self._wait > 0:
            self._wait -= 1
            return None
        for face in self._candidates(self._detect(self._runner.host(image))):
            tracked = self._settle(image, face)
            if tracked is not None:
                return tracked
        self._wait, self._pause = self._pause - 1, min(2 * self._pause, LONGEST_PAUSE)
        return None

    def _candidates(self, faces: list[Face]) -> list[Face]:
        """Only faces about where the lost one was, while it is awaited; then any."""
        last = self._last
        if last is not None and self._missed <= PATIENCE:
            faces = sorted((f for f in faces if _apart(f, last) < 1), key=lambda f: _apart(f, last))
        return faces[:CANDIDATES]

    def _settle(self, image: There, face: Face) -> Tracked | None:
        """Centre the crop by what the motion network sees in it, twice, and begin to follow it."""
        for _ in range(2):
            tracked = self._look(image, face)
            if tracked is None:
                return None
            face = tracked.face
        tracked = self._look(image, face)
        if tracked is not None:
            self._face, self._moving, self._last = face, False, None
        return tracked

    def _look(self, image: There, face: Face) -> Tracked | None:
        """What the network sees in a crop; None where it is not sure of a face."""
        if not _inside(face, image):
            return None
        place = face.crop(self._pixels)
        seen = self._runner.crop(image, place.matrix, self._pixels)
        outputs = self._runner.answer(self._motion, {"image": seen})
        single = {name: array[0] for name, array in outputs.items()}
        confidence = float(single["confidence"].reshape(-1)[0])
        finite = all(np.isfinite(array).all() for array in single.values())
        if not finite or confidence < self.threshold:
            return None
        tracked = Tracked(place, single, confidence, self._pixels)
        return tracked if _inside(tracked.face, image) else None

    def _held(self, held: Face, wanted: Face) -> Face:
        """The crop of the next frame: the same one inside the dead zone, else a step towards the face."""
        off = _off(held, wanted)
        if off > 1:
            self._moving = True
        if not self._moving:
            return held
        share = 1.0 if off > FAR_OFF else APPROACH
        x, y = (a + share * (b - a) for a, b in zip(held.centre, wanted.centre, strict=True))
        size = held.size * (wanted.size / held.size) ** share
        moved = Face((x, y), size, wanted.score)
        self._moving = _off(moved, wanted) > SETTLED
        return moved


def _off(held: Face, wanted: Face) -> float:
    """How far a crop is off the face, in dead zones."""
    drift = abs(math.log(wanted.size / held.size))
    return max(_apart(wanted, held) / DEAD_ZONE, drift / math.log(1 + DEAD_SCALE))


def _apart(face: Face, other: Face) -> float:
    """Distance of the centres along the further axis, in sides of the other crop."""
    return max(abs(a - b) for a, b in zip(face.centre, other.centre, strict=True)) / other.size


def _inside(face: Face, image: There) -> bool:
    """Whether the crop can show a face of this picture: its centre in it, neither tiny nor many times its size."""
    height, width = image.shape[:2]
    x, y = face.centre
    sized = bool(SMALLEST_CROP <= face.size <= 4 * max(height, width))
    return sized and bool(0 <= x <= width and 0 <= y <= height)


def _normalised(crop: Similarity, pixels: int) -> Similarity:
    """The map from normalised coordinates of a crop, [-1, 1], to frame pixels."""
    half = pixels / 2
    return crop @ Similarity(np.array([[half, 0, half], [0, half, half]]))


def _moved_place(place: Floats, change: Similarity) -> NDArray[np.float64]:
    return np.array([*change.apply(place[:2].astype(np.float64)), float(place[2]) + np.log(change.scale)])
