"""Part: one textured piece of a rendered person (skin, hair, glasses, clothes ...), and the label list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LABELS: Final = (
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r",
    "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
)  # fmt: skip
"""The 19 classes of CelebAMask-HQ in its own order (Lee et al., 2020)."""


@dataclass
class Part:
    """A triangle mesh with one texture and one label.

    vertices: (V, 3) float32, head frame, cm, neutral expression; split at texture seams.
    triangles: (T, 3) int32, counter-clockwise seen from outside.
    uv: (V, 2) float32 in [0, 1]; u to the right and v down the texture (v = 0 is its first row).
    texture: (h, w, 4) uint8 RGBA, sRGB; texels with alpha < 128 are not drawn.
    label: index into LABELS.
    head_weight: (V,) float32, 1 moves rigidly with the head, 0 stays with the shoulders.
    gloss: strength of the specular highlight, 0 (cloth) to 1 (wet).
    two_sided: light and draw both faces.
    follow: (V,) int32 or None: the head vertex whose identity and expression this vertex inherits.
    """

    name: str
    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    uv: NDArray[np.float32]
    texture: NDArray[np.uint8]
    label: int
    head_weight: NDArray[np.float32]
    gloss: float
    two_sided: bool
    follow: NDArray[np.int32] | None = None
