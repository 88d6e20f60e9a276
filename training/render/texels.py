"""Texels: the loops over every texel of the skin texture, compiled."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.render.compiled import compiled

Floats = NDArray[np.float32]


@compiled
def speckle(base: Floats, fields: Floats, rows: NDArray[np.int64], gains: Floats) -> Floats:
    """A skin of colour `base` (3,) times exp(sum of gains (K, 3) x fields[rows] (K, h, w)), (h, w, 3) float32.

    The exponential is its second-order series: the noise is a few per cent.
    """
    height, width = fields.shape[1], fields.shape[2]
    out = np.empty((height, width, 3), np.float32)
    for y in range(height):
        for x in range(width):
            r, g, b = np.float32(0), np.float32(0), np.float32(0)
            for k in range(len(rows)):
                value = fields[rows[k], y, x]
                r += gains[k, 0] * value
                g += gains[k, 1] * value
                b += gains[k, 2] * value
            out[y, x, 0] = base[0] * (1 + r + np.float32(0.5) * r * r)
            out[y, x, 1] = base[1] * (1 + g + np.float32(0.5) * g * g)
            out[y, x, 2] = base[2] * (1 + b + np.float32(0.5) * b * b)
    return out


@compiled
def tint(picture: Floats, field: Floats, box: NDArray[np.int32], gain: Floats) -> None:
    """Multiply picture (h, w, 3), in place, by exp(gain (3,) x field (h, w)) within box (top, bottom, left, right)."""
    for y in range(box[0], box[1]):
        for x in range(box[2], box[3]):
            value = field[y, x]
            if abs(value) > 0.004:
                for c in range(3):
                    picture[y, x, c] *= np.exp(gain[c] * value)


def to_rgba(picture: Floats) -> NDArray[np.uint8]:
    """Picture (h, w, 3) in 0..1 as opaque uint8 RGBA (h, w, 4)."""
    coded = cv2.convertScaleAbs(np.maximum(picture, 0), alpha=255.0)
    return np.asarray(cv2.cvtColor(coded, cv2.COLOR_RGB2RGBA), np.uint8)


@compiled
def grow_scalp(
    picture: Floats, gap: Floats, grain: Floats, lumps: Floats, above: float, strength: float, tone: Floats
) -> None:
    """Lay hair of colour `tone` (3,) over picture (h, w, 3), in place, where gap (h, w) exceeds `above` cm."""
    for y in range(gap.shape[0]):
        for x in range(gap.shape[1]):
            t = (gap[y, x] - above + 0.5 * lumps[y, x] + 0.5 * grain[y, x] - 0.1) / 0.9
            if t <= 0:
                continue
            t = min(t, 1.0)
            share = t * t * (3 - 2 * t) * strength * (0.8 + 0.2 * grain[y, x])
            for c in range(3):
                picture[y, x, c] += share * (tone[c] - picture[y, x, c])
