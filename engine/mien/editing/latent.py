"""The latent of a face: one style vector for each layer of the generator (W+)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import EditError

Floats = NDArray[np.float32]

WIDTH = 512
"""Numbers in a style vector; every published StyleGAN has so many."""


@dataclass(frozen=True, eq=False)
class Latent:
    """A face as the generator knows it.

    ``codes``: (L, 512) float32, read-only; row i is the style of layer i, coarse layers first (W+ of Abdal et al.,
    Image2StyleGAN, 2019). Raises EditError for another shape or numbers that are not finite.
    """

    codes: Floats

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):
            codes = np.array(self.codes, np.float32)
        if codes.ndim != 2 or codes.shape[1] != WIDTH or not len(codes):
            raise EditError(f"A latent is (layers, {WIDTH}) float32; got shape {codes.shape}.")
        if not np.isfinite(codes).all():
            raise EditError("A latent has finite numbers; this one has NaN or infinity. Invert or edit again.")
        codes.flags.writeable = False
        object.__setattr__(self, "codes", codes)
