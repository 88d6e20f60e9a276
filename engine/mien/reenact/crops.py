"""What of a picture a network sees: crops from landmarks, and the mask by which a crop is pasted back.

Coordinates are mien's: (0, 0) is the picture's corner, (0.5, 0.5) the centre of its first pixel. LivePortrait's public
code counts from pixel centres; `portrait_crop` converts, so that both cut out the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.errors import InputError
from mien.faces import CROP_CM, Tracked
from mien.geometry import Similarity
from mien.image import Image, crop, shown
from mien.runners import Runner, There

Floats = NDArray[np.float64]

HEAD_CM = 32.0
"""Side of the crops on the head that show all of it and some shoulder, as the networks of 256 pixels are used to."""

DRIVING_CM = 31.0
DRIVING_UP_CM = 1.0
"""LivePortrait's driving crop on the head, and how far above the tracker's: about what its rule gives on most faces."""

RAMP = 16
"""Pixels over which the mask rises from the crop's edge."""


@dataclass(frozen=True)
class Framing:
    """A square around landmarks: ``scale`` times their box's longer side, moved ``up`` by that share of its own side.

    ``turns``: the square turns with the face; else it is upright, though still placed along the face's own axes.
    """

    scale: float
    up: float
    turns: bool = True


SOURCE = Framing(2.3, 0.125)
DRIVING = Framing(2.2, 0.1, turns=False)
LANDMARKS = Framing(1.5, 0.1)
"""LivePortrait's: of a source picture, of a driving frame, of what its network of 203 landmarks looks at."""

ANCHORS: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    203: ((0, 6, 12, 18, 24, 30, 36, 42), (48, 66)),
    106: ((33, 35, 40, 39, 87, 89, 94, 93), (52, 61)),
    101: ((39, 42, 45, 48, 51, 54, 57, 60), (75, 81)),
    68: ((36, 39, 42, 45), (48, 54)),
    5: ((0, 1), (3, 4)),
}
"""By the number of landmarks: those whose mean is the middle of the eyes (as many of each), and of the mouth."""


@dataclass(frozen=True, eq=False)
class Box:
    """A square in a picture: ``centre`` (2,), ``side`` and the face's ``angle``, radians, clockwise as one looks."""

    centre: Floats
    side: float
    angle: float


def box_of(landmarks: ArrayLike, framing: Framing) -> Box:
    """The square of a framing around 203, 106, 101, 68 or 5 landmarks (N, 2), in their own coordinates.

    Raises InputError for another number, for landmarks that are not finite or all one point.
    """
    points = _checked(landmarks)
    eyes, mouth = (points[list(anchors)].mean(0) for anchors in ANCHORS[len(points)])
    down = mouth - eyes
    length = float(np.hypot(*down))
    down = down / length if length >= 1e-3 else np.array([0.0, 1.0])
    axes = np.array([(down[1], -down[0]), down])  # along the eyes, and from them to the mouth
    middle = points.mean(0)
    turned = (points - middle) @ axes.T
    low, high = turned.min(0), turned.max(0)
    side = float((high - low).max()) * framing.scale
    if side <= 0:
        raise InputError("A crop around a face was asked for, but its landmarks are all one point.")
    centre = middle + ((low + high) / 2 - (0.0, framing.up * side)) @ axes
    return Box(centre, side, float(np.arctan2(axes[0, 1], axes[0, 0])))


def crop_of(landmarks: ArrayLike, framing: Framing, size: int) -> Similarity:
    """The map from points of the landmarks' picture to points of the crop, ``size`` wide; both count alike.

    That is M_o2c of the public code; its inverse is M_c2o. Raises InputError as `box_of`.
    """
    box = box_of(landmarks, framing)
    return Similarity.from_crop(box.centre, box.side, size, box.angle if framing.turns else 0.0).inverse()


def portrait_crop(landmarks: ArrayLike, size: int, framing: Framing = SOURCE) -> Similarity:
    """The map from pixels of LivePortrait's crop of a face, ``size`` wide, to pixels of its picture.

    ``landmarks``: (N, 2) as `box_of`, in pixels of the picture.
    """
    half = Similarity(np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]))
    centred = crop_of(np.asarray(landmarks, np.float64) - 0.5, framing, size)  # counted from pixel centres
    return half @ centred.inverse() @ half.inverse()


def mean_driving_box(clip: ArrayLike) -> Floats:
    """(4,) left, top, right, bottom: the mean of a clip's driving boxes, of its frames' landmarks (T, N, 2)."""
    boxes = [box_of(landmarks, DRIVING) for landmarks in np.asarray(clip, np.float64)]
    ends = [np.concatenate([box.centre - box.side / 2, box.centre + box.side / 2]) for box in boxes]
    mean: Floats = np.mean(ends, axis=0)
    return mean


def head_crop(tracked: Tracked, pixels: int = 256, cm: float = HEAD_CM, up: float = 0.0) -> Similarity:
    """The map from pixels of an upright square around a tracked head, ``cm`` wide on it, to pixels of the frame.

    It holds still as long as the tracker's own crop does, and lies ``up`` cm above its middle.
    """
    half = tracked.pixels / 2
    cm_pixels = tracked.crop.scale * tracked.pixels / CROP_CM
    centre = tracked.crop.apply((half, half)) - (0.0, up * cm_pixels)
    return Similarity.from_crop(centre, cm * cm_pixels, pixels)


def driving_crop(tracked: Tracked, pixels: int) -> Similarity:
    """LivePortrait's crop of a driving frame, in the place of its mean over the clip, which a camera does not have."""
    return head_crop(tracked, pixels, DRIVING_CM, DRIVING_UP_CM)


def cut(image: Image, place: Similarity, size: int) -> Image:
    """The (size, size, 3) crop whose pixels ``place`` maps to those of ``image``; black outside of the picture.

    Does not alias where it shrinks.
    """
    seen, inside = crop(image, place, size), shown(image.shape[:2], place, size)
    return seen if inside is None else np.asarray(seen * inside[..., None] + np.float32(0.5), np.uint8)


@cache
def paste_mask(size: int) -> NDArray[np.uint8]:
    """(size, size), read-only: 0 at the crop's edge, rising to 255 over 16 pixels, with round corners.

    As in the public code the first row and column are 0 and the last are not: it counts pixels from the edge.
    """
    steps = np.minimum(np.arange(size), size - np.arange(size)).astype(np.float64)
    x, y = np.meshgrid(steps, steps)
    corner = np.maximum(x, y) < RAMP
    depth = np.where(corner, RAMP - np.hypot(RAMP - x, RAMP - y), np.minimum(x, y))
    mask = np.floor(255 * np.clip(depth / RAMP, 0, 1)).astype(np.uint8)
    mask.flags.writeable = False
    return mask


@cache
def rimmed_mask(size: int, side: int) -> NDArray[np.uint8]:
    """(side + 1, side + 1), read-only: `paste_mask` averaged down to ``side``, and a row and column of 0 more.

    The mask's last row and column are above 0; beyond them it goes down by one step more and not at once.
    """
    mask = cv2.resize(paste_mask(size), (side, side), interpolation=cv2.INTER_AREA)
    rimmed = np.asarray(cv2.copyMakeBorder(mask, 0, 1, 0, 1, cv2.BORDER_CONSTANT, value=(0,)), np.uint8)
    rimmed.flags.writeable = False
    return rimmed


def paste(runner: Runner, picture: There, drawn: There, place: Similarity) -> There:
    """A new picture with a network's crop in it by `paste_mask`.

    ``drawn``: (1, 3, S, S) float32 RGB in [0, 1], whose pixels ``place`` maps to those of ``picture``. More than one of
    its pixels away from it every byte stays. It may reach beyond the picture.
    """
    size = drawn.shape[-1]
    # The kernel interpolates; what is shown at less than half its size has to be averaged first.
    side = max(size // max(int(1 / place.scale), 1), 1)
    place = place @ Similarity(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) * (size / side))
    return runner.blend(picture, drawn, rimmed_mask(size, side), place, side)


def _checked(landmarks: ArrayLike) -> Floats:
    points = np.asarray(landmarks, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) not in ANCHORS:
        known = ", ".join(map(str, ANCHORS))
        raise InputError(f"A crop is made from landmarks (N, 2), N one of {known}; got shape {points.shape}.")
    if not np.isfinite(points).all():
        raise InputError("A crop around a face was asked for, but its landmarks are not all finite numbers.")
    return points
