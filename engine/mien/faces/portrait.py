"""Every face of a still picture with its landmarks: what alignment needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien import kernels
from mien.bundle import Bundle
from mien.errors import BundleInvalid, InputError, NoFace
from mien.faces.detect import Detect, Face, Image, NetworkDetector, by_prominence, side_of, suppress
from mien.faces.tracker import Tracked
from mien.image import check_image
from mien.sessions import Session

LANDMARKS = 68
"""The first landmarks of the motion network are in the order of Multi-PIE; more follow."""

REFINEMENTS = 2
"""How often the crop is centred anew on the face that is seen in it."""
SURE = 0.5
"""Below this confidence of the motion network it is no face."""
LARGEST_CROP = 4.0
"""Of the picture's longer side; what is said to be larger is no face."""


@dataclass(frozen=True, eq=False)
class Portrait:
    """``landmarks``: (68, 2) in pixels of the picture, in the order of Multi-PIE and dlib."""

    face: Face
    landmarks: NDArray[np.float64]


Find = Callable[[Image], list[Portrait]]
"""Finds the faces of an RGB picture and their landmarks, the most prominent first."""


class PortraitFinder:
    """Finds faces with the ``detector`` and ``motion`` networks of a studio bundle, by default the one mien brings.

    ``detect`` replaces its detector, for example with YuNet. Holds nothing of any picture. Raises BundleError.
    """

    def __init__(
        self, bundle: Bundle | None = None, *, detect: Detect | None = None, threads: int | None = None
    ) -> None:
        bundle = bundle or Bundle.open("studio")
        self._detect = detect or NetworkDetector(bundle.session("detector", threads=threads))
        self._motion = bundle.session("motion", threads=threads)
        self._pixels = side_of(self._motion)
        _check_landmarks(bundle, self._motion)

    def __call__(self, image: Image) -> list[Portrait]:
        """The faces of a picture, uint8 (H, W, 3) RGB, the most prominent first; none is an empty list.

        Raises ImageError for another kind of array, SessionError.
        """
        check_image(image)
        faces = self._detect(image)
        for _ in range(REFINEMENTS):
            faces = [seen.face for seen in self._look(image, faces)]
        seen = self._look(image, suppress(faces))
        by_face = {one.face: one.landmarks[:LANDMARKS] for one in seen}
        return [Portrait(face, by_face[face]) for face in by_prominence(list(by_face))]

    def _look(self, image: Image, faces: Sequence[Face]) -> list[Tracked]:
        """What the motion network sees in the crops of these faces, where it is sure of one."""
        if not faces:
            return []
        places = [face.crop(self._pixels) for face in faces]
        batch = kernels.crop(image, [place.matrix for place in places], self._pixels)
        outputs = self._motion.run({"image": batch})
        rows = [{name: array[i] for name, array in outputs.items()} for i in range(len(faces))]
        seen = [
            Tracked(place, row, float(row["confidence"].reshape(-1)[0]), self._pixels)
            for place, row in zip(places, rows, strict=True)
            if all(np.isfinite(array).all() for array in row.values())
        ]
        return [one for one in seen if one.confidence >= SURE and _inside(one.face, image)]


def choose(portraits: Sequence[Portrait], face: int | str, image: Image) -> Portrait:
    """The face of that number, from 0, or the most prominent one ("largest").

    Raises NoFace where there is none, InputError for a number that no face has.
    """
    height, width = image.shape[:2]
    if not portraits:
        raise NoFace(
            f"A face was asked for, but none was found in the picture of {width} x {height} pixels. Give one whose "
            "face is upright and turned to the camera, cut it closer to the face, or, where the picture is an aligned "
            "crop already, say so (aligned=True, --aligned)."
        )
    number = 0 if face == "largest" else face
    if not isinstance(number, int) or not 0 <= number < len(portraits):
        raise InputError(
            f"The face {face!r} was asked for; the picture has {len(portraits)}, numbered from 0, the most prominent "
            'first. Give such a number, or "largest".'
        )
    return portraits[number]


def _inside(face: Face, image: Image) -> bool:
    height, width = image.shape[:2]
    x, y = face.centre
    return bool(0 <= x <= width and 0 <= y <= height and 0 < face.size <= LARGEST_CROP * max(height, width))


def _check_landmarks(bundle: Bundle, motion: Session) -> None:
    shape = next((spec.shape for spec in motion.outputs if spec.name == "landmarks"), ())
    if len(shape) != 3 or not isinstance(shape[1], int) or shape[1] < LANDMARKS:
        raise BundleInvalid(f"The motion network of the bundle {bundle.place!r} does not give {LANDMARKS} landmarks.")
