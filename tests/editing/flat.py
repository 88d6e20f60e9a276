"""A face of one flat colour, and what the tiny generator makes of it when it is edited."""

import numpy as np

from mien.image import Image
from tests.tiny_edit import SIDE, picture

COLOUR = (102, 51, 204)
FLAT = np.full((SIDE, SIDE, 3), COLOUR, np.uint8)
UNIT = np.array(COLOUR) / 255


def painted(smile: float = 0, old: float = 0, tan: float = 0) -> Image:
    return (255 * picture(UNIT, smile, old, tan)).round().astype(np.uint8)


def same(one: Image, other: Image, by: int = 1) -> bool:
    return bool(np.abs(one.astype(int) - other).max() <= by)
