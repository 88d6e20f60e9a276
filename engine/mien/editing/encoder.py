"""Inversion: the latent whose picture comes closest to an aligned face, in one pass or in ReStyle's rounds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mien.editing.generator import Generator
from mien.editing.latent import Floats, Latent
from mien.editing.networks import Networks
from mien.errors import SessionError
from mien.image import Image, to_tensor
from mien.runners import There


class Encoder:
    """pSp (Richardson et al., 2021), e4e (Tov et al., 2021), or ReStyle (Alaluf et al., 2021) of a bundle.

    A ReStyle encoder looks at the face and at the picture of its own last guess and says how to move the guess; it
    starts from ``mean`` (L, 512) and its picture ``average`` (3, 256, 256), for ``steps`` rounds.
    """

    def __init__(
        self, networks: Networks, generator: Generator, steps: int, mean: Floats, average: Floats | None
    ) -> None:
        self._networks = networks
        self._generator = generator
        self._steps = steps
        self._mean = mean
        self._average = average

    def __call__(self, aligned: Image) -> Latent:
        """The latent of an aligned face, uint8 (256, 256, 3) RGB. Raises SessionError."""
        image = to_tensor(aligned)
        if self._average is None:
            return self._guess({"image": image})
        latent, current = Latent(self._mean), self._average[None]
        for step in range(self._steps):
            if step:
                current = self._generator.render(latent).seen
            feeds = {"image": image, "current": current, "latents_in": latent.codes[None]}
            latent = self._guess(feeds)
        return latent

    def _guess(self, feeds: Mapping[str, There]) -> Latent:
        codes = self._networks.answer("encoder", feeds)["latents"][0]
        if not np.isfinite(codes).all():
            raise SessionError("The encoder gave numbers that are not finite for this face. Try another precision.")
        return Latent(codes)
