"""The mask of an edit: where the difference network sees it, inside the parts of the face that it is about."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.editing.directions import Direction
from mien.editing.generator import Rendered
from mien.editing.latent import Floats
from mien.editing.methods import Method
from mien.editing.networks import Networks
from mien.runners import There

Labels = NDArray[np.uint8]

PARTS = {
    "eyebrows": (1, 2, 3, 10),
    "beard": (1, 2, 3, 10, 14),
    "age": (1, 2, 3, 10, 11, 12, 13, 14),
    "others": (1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14),
}
"""Labels of the parsing network (CelebAMask-HQ's, 0 to 18) that an edit of each kind may touch: 1 skin, 2 and 3 brows,
4 and 5 eyes, 6 glasses, 10 nose, 11 mouth, 12 and 13 lips, 14 neck."""

RIM = 1 / 16
"""Share of the crop's side over which the mask of the whole crop fades."""
FEATHER = 1 / 128
"""Share of the crop's side that the edge of a part of the face is softened by, on both sides of it."""


def draw(
    networks: Networks,
    method: Method,
    directions: Sequence[Direction],
    original: Floats,
    labels: Labels | None,
    before: Rendered,
    after: Rendered,
) -> Floats:
    """(R, R) in [0, 1]: how much of each pixel of the crop the edit may change.

    ``directions``: of the edited attributes; without any the mask is empty, except for the method that takes the whole
    crop. ``original``: (1, 3, R, R) in [0, 1], the face as it is, and ``labels`` its parts where they are known.
    ``before`` and ``after``: the inverted face and the edited one.
    """
    side = original.shape[-1]
    if not (method.difference or method.parsing):
        return whole(side)
    if not directions:
        return np.zeros((side, side), np.float32)
    mask = np.ones((side, side), np.float32)
    if method.difference:
        mask = heat(networks, method, directions, before, after, side)
    if method.parsing:
        known = parse(networks, original) if labels is None else labels
        parts = [direction.parts for direction in directions]
        mask = mask * components(parts, known, parse(networks, after.image), side)
    return mask


def whole(side: int) -> Floats:
    """(side, side): 1, fading to 0 at the rim, so that the crop's border does not show."""
    inside = np.minimum(np.arange(side), np.arange(side)[::-1]) / (side * RIM)
    ramp = np.clip(inside, 0, 1).astype(np.float32)
    return np.minimum.outer(ramp, ramp)


def heat(
    networks: Networks, method: Method, directions: Sequence[Direction], before: Rendered, after: Rendered, side: int
) -> Floats:
    """(side, side) in [0, 1]: how much each place has to do with the attributes, the largest of all of them.

    ``before`` and ``after``: the inverted face and the edited one. Resized bilinearly: the public code repeats each
    value 4 x 4 times and leaves it to the deghosting network to hide the steps, which would show in a photograph.
    """
    flip, brightness = method.augmentations
    feeds = {"inverted": before.seen, "edited": after.seen, "flip": flip, "brightness": brightness}
    activation = networks.run("difference", feeds)["activation"]
    maps = networks.answer(
        "heat",
        {
            "activation": activation,
            "flip": flip,
            "attributes": np.array([direction.difference_class for direction in directions], np.int64),
            "plusplus": np.array([method.plusplus]),
            "eigen": np.array([method.eigen]),
            "epsilon": np.array([method.epsilon], np.float32),
        },
    )["heat"]
    return _resized(maps.max(axis=0), side)


def parse(networks: Networks, image: There) -> Labels:
    """(512, 512) labels of the parsing network for a picture (1, 3, R, R) in [0, 1]."""
    labels: Labels = networks.answer("parsing", {"image": image})["labels"][0]
    return labels


def components(parts: Sequence[str], before: Labels, after: Labels, side: int) -> Floats:
    """(side, side) in [0, 1]: what belongs to any of the parts both before and after the edit, softly edged.

    The blur reaches a fixed few pixels beyond a part; further off the mask is exactly 0.
    """
    wanted = np.zeros(256, np.float32)
    wanted[[label for name in parts for label in PARTS[name]]] = 1
    both = _resized(wanted[before] * wanted[after], side)
    reach = max(round(side * FEATHER), 1)
    soft = cv2.GaussianBlur(both, (2 * reach + 1, 2 * reach + 1), 0.6 * reach)
    return np.minimum(np.asarray(soft, np.float32), np.float32(1))  # the kernel sums to 1 but for rounding


def _resized(mask: Floats, side: int) -> Floats:
    shrinks = side < mask.shape[0]
    mode = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.clip(np.asarray(cv2.resize(mask, (side, side), interpolation=mode), np.float32), 0, 1)
