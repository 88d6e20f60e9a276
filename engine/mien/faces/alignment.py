"""Alignment as in the FFHQ data set: where a face's crop lies, and the crop itself.

Karras et al., A Style-Based Generator Architecture for Generative Adversarial Networks, 2019 (appendix A).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.errors import ImageError, InputError
from mien.geometry import Similarity
from mien.image import Image, check_image, crop

BORDER = 0.1
"""Of the side: what the data set keeps around a crop while it cuts it."""
LEAST_PAD = 0.3
"""Of the side: the narrowest strip over which what lies outside of the photograph fades."""
BLUR = 0.02
"""Of the side: the blur of what lies outside."""
COARSE = 256
"""Pixels: larger crops are blurred at this size."""

Floats = NDArray[np.float32]


def ffhq(landmarks: ArrayLike, size: int) -> Similarity:
    """Where the aligned crop of a face lies: pixels of the crop, drawn ``size`` wide, to pixels of the photograph.

    ``landmarks``: (68, 2) in the order of Multi-PIE and dlib, pixels of the photograph. The eyes come to lie level; the
    side is four times their distance, or 3.6 times that from eyes to mouth where this is more. Raises InputError for
    another shape and for points that are not a face's.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise InputError(f"Alignment needs 68 finite landmarks (68, 2), in Multi-PIE order; got shape {points.shape}.")
    one_eye, other_eye = points[36:42].mean(0), points[42:48].mean(0)
    eyes, across = (one_eye + other_eye) / 2, other_eye - one_eye
    down = (points[48] + points[54]) / 2 - eyes
    axis = across + (down[1], -down[0])
    if not np.hypot(*axis) > 0:
        raise InputError("Alignment needs the landmarks of a face; in these, eyes and mouth lie in one place.")
    side = 2 * max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down))
    return Similarity.from_crop(eyes + 0.1 * down, side, size, float(np.arctan2(axis[1], axis[0])))


def aligned_crop(image: Image, place: Similarity, size: int) -> Image:
    """The (size, size, 3) crop at ``place``, which maps its pixels to those of ``image``; both uint8 RGB.

    Where it leaves the photograph that is mirrored, blurred and faded to its median colour, as in FFHQ: the networks
    have seen no other rims. Raises ImageError, also for a crop that does not meet the photograph at all.
    """
    check_image(image)
    height, width = image.shape[:2]
    corners = place.apply([(0, 0), (size, 0), (0, size), (size, size)])
    low, high = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
    if (low >= (width, height)).any() or (high <= 0).any():
        raise ImageError(f"The crop of a face was asked for that lies outside of its {width} x {height} photograph.")
    left, top = np.maximum(-low, 0)
    right, bottom = np.maximum(high - (width, height), 0)
    if not (left or top or right or bottom):
        return crop(image, place, size)
    inside = image[max(low[1], 0) : high[1], max(low[0], 0) : high[0]]
    padded = cv2.copyMakeBorder(inside, int(top), int(bottom), int(left), int(right), cv2.BORDER_REFLECT_101)
    shift = Similarity(np.array([[1.0, 0.0, -low[0]], [0.0, 1.0, -low[1]]]))
    drawn = crop(np.asarray(padded, np.uint8), shift @ place, size)
    return _faded(drawn, _depth(place, corners, size, width, height))


def _depth(place: Similarity, corners: NDArray[np.float64], size: int, width: int, height: int) -> Floats:
    """(size, size): 0 at the photograph's border, 1 where the data set's padding ends, negative inside."""
    side = place.scale * size
    reach = np.stack([-corners.min(0), corners.max(0) - (width, height)], axis=1)
    pads = np.maximum(reach + BORDER * side, LEAST_PAD * side)
    steps = np.arange(size) + 0.5
    depth = np.full((size, size), -np.inf, np.float32)
    for (across, down, start), length, (before, after) in zip(place.matrix, (width, height), pads, strict=True):
        at = (across * steps).astype(np.float32) + (down * steps + start).astype(np.float32)[:, None]
        np.maximum(depth, np.maximum(-at / np.float32(before), (at - length) / np.float32(after)), out=depth)
    return depth


def _faded(image: Image, depth: Floats) -> Image:
    """Blurred from a third of the padding inside on, and outside more and more of the median colour."""
    size = image.shape[0]
    least = min(size, COARSE)  # so wide a blur looks the same at this size, and takes a tenth of the time
    small = cv2.resize(image, (least, least), interpolation=cv2.INTER_AREA).astype(np.float32)
    blurred = cv2.GaussianBlur(small, (0, 0), BLUR * least, borderType=cv2.BORDER_REFLECT_101)
    soft = image + np.clip(3 * depth + 1, 0, 1)[..., None] * (cv2.resize(blurred, (size, size)) - image)
    soft += np.clip(depth, 0, 1)[..., None] * (np.median(small, axis=(0, 1)).astype(np.float32) - soft)
    return np.clip(np.rint(soft), 0, 255).astype(np.uint8)
