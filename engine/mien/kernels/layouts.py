"""How a frame lies in memory, and what its luma and chroma mean.

"rgb", "bgr": (H, W, 3) uint8. "rgba", "bgra": (H, W, 4) uint8, the fourth byte of a pixel is left alone. "nv12":
(1.5 H, W) uint8 with H and W even, as cameras, decoders and encoders have it: H rows of luma, then H / 2 rows of
U, V pairs, one pair for 2 x 2 pixels. Each pixel of NV12 is read with the chroma of its pair.
"""

from typing import Literal, TypeAlias, get_args

import numpy as np

from mien.errors import ImageError
from mien.kernels.protocol import Floats

Layout: TypeAlias = Literal["rgb", "bgr", "rgba", "bgra", "nv12"]
Yuv: TypeAlias = Literal["bt601", "bt601-full", "bt709", "bt709-full"]
"""ITU-R BT.601 is what webcams use, BT.709 what HD video does; "-full" spreads luma over 0..255 and not 16..235."""

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
"""The compiled kernels know a layout by its place in here."""

_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
"""Red's and blue's share of luma."""


def code(what: str, layout: str) -> int:
    """The number of a layout. Raises ImageError for an unknown one."""
    if layout not in LAYOUTS:
        raise ImageError(f"{what}: layout has to be one of {', '.join(LAYOUTS)}, but it is {layout!r}.")
    return LAYOUTS.index(layout)


def numbers(what: str, yuv: str) -> Floats:
    """(8,) black, gain, rv, gu, gv, bu, kr, kb of cpp_ext/picture.hpp. Raises ImageError for an unknown name.

    luma = gain (y - black); r = luma + rv (v - 128); b = luma + bu (u - 128); luma = kr r + (1 - kr - kb) g + kb b.
    """
    if yuv not in get_args(Yuv):
        raise ImageError(f"{what}: yuv has to be one of {', '.join(get_args(Yuv))}, but it is {yuv!r}.")
    kr, kb = _WEIGHTS[yuv.removesuffix("-full")]
    black, gain, chroma = (0.0, 1.0, 1.0) if yuv.endswith("-full") else (16.0, 255 / 219, 255 / 224)
    rv, bu = 2 * (1 - kr) * chroma, 2 * (1 - kb) * chroma
    kg = 1 - kr - kb
    return np.array([black, gain, rv, -bu * kb / kg, -rv * kr / kg, bu, kr, kb], np.float32)
