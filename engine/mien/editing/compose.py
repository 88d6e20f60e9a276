"""Laying the edited crop back into its photograph: only where the mask says so, and byte for byte nowhere else."""

from __future__ import annotations

import cv2
import numpy as np

from mien import kernels
from mien.editing.latent import Floats
from mien.geometry import Similarity
from mien.image import Image

FAINT = 0.1
"""Mask values from here on take all of the deghosted picture, and smaller ones their share."""


def fuse(edited: Floats, original: Floats, mask: Floats) -> Floats:
    """F = T M + I (1 - M) for pictures (..., H, W) and a mask (H, W)."""
    return original + mask * (edited - original)


def support(mask: Floats) -> Floats:
    """Where the mask is above 0, fading with it at its faintest places; 0 exactly where the mask is."""
    return np.asarray(np.minimum(mask / FAINT, 1), np.float32)


def paste(photo: Image, patch: Image, mask: Floats, place: Similarity) -> tuple[Image, Image]:
    """The photograph with the patch (R, R, 3) where the mask (R, R) is, and what may have changed, uint8 (H, W).

    ``place`` maps pixels of the patch to those of the photograph. Where the second result is 0 the photograph's bytes
    are untouched.
    """
    shrink = int(1 / place.scale)
    if shrink > 1:  # the kernel interpolates; what is shown smaller than half its size has to be averaged first
        side = max(patch.shape[0] // shrink, 1)
        place = place @ Similarity(np.array([[1, 0, 0], [0, 1, 0]]) * (patch.shape[0] / side))
        patch = np.asarray(cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        mask = np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA), np.float32)
    image, changed = photo.copy(), np.zeros(photo.shape[:2], np.uint8)
    part, shift = _around(place, patch.shape[0], photo)
    if changed[part].size:
        matrix = (shift @ place).matrix
        under = np.ascontiguousarray(photo[part])
        image[part] = kernels.blend(under, patch, mask, matrix)
        # White over black by the same weights: no pixel of a photograph changes by more than this one does.
        changed[part] = kernels.blend(np.zeros_like(under), np.full_like(patch, 255), mask, matrix)[..., 0]
    return image, changed


def _around(place: Similarity, side: int, photo: Image) -> tuple[tuple[slice, slice], Similarity]:
    """The part of a photograph that a placed patch can touch, and the shift from pixels of the one to the other."""
    corners = place.apply([(0, 0), (side, 0), (0, side), (side, side)])
    ends = np.array(photo.shape[1::-1])
    left, top = np.clip(np.floor(corners.min(0)), 0, ends).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(0)), 0, ends).astype(int)
    shift = Similarity(np.array([[1.0, 0.0, -left], [0.0, 1.0, -top]]))
    return (slice(top, bottom), slice(left, right)), shift
