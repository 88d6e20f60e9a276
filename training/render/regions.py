"""CelebAMask-HQ labels of the skin texture, from the same places and masks that it is painted by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.render.atlas import SkinAtlas
from training.render.head import Head
from training.render.part import LABELS


def skin_labels(head: Head, atlas: SkinAtlas) -> NDArray[np.uint8]:
    """Labels, indices into `LABELS`, of every texel of the skin texture (h, w); left and right are the subject's."""
    x, y, z = np.moveaxis(atlas.place, -1, 0)
    labels = np.full(x.shape, LABELS.index("skin"), np.uint8)
    mark = head.neutral[head.landmarks]
    # the jaw line runs from the ear (0) to the chin (8); what lies lower at the same depth is neck
    depth, height = mark[:9, 2], np.minimum.accumulate(mark[:9, 1])
    neck = np.where(z > depth[0], y < np.interp(z, depth, height) - 0.6, y < -3)
    labels[neck] = LABELS.index("neck")
    width = np.interp(y, [-1.6, -1.0, 0.6, 4.4], [0.9, 1.75, 1.6, 0.75])
    labels[(np.abs(x) < width) & (y > -1.35) & (y < 4.2) & (z > 8)] = LABELS.index("nose")
    brow = (atlas.brow_s > 0) & (atlas.brow_s < 1) & (np.abs(atlas.brow_t) < 0.42)
    corners, middles = mark[[48, 61, 62, 63, 54]], mark[[48, 67, 66, 65, 54]]
    line = (corners + middles) / 2
    upper = y > np.interp(x, line[:, 0], line[:, 1])
    for place, left, right, first in (
        (atlas.fields[atlas.names.index("ears")] > 0.5, "l_ear", "r_ear", x > 0),
        (brow, "l_brow", "r_brow", x > 0),
        (atlas.fields[atlas.names.index("lips")] > 0.5, "u_lip", "l_lip", upper),
    ):
        labels[place] = np.where(first, LABELS.index(left), LABELS.index(right))[place]
    return labels
