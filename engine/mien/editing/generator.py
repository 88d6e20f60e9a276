"""The generator: from latents to pictures, in two halves, so that a fine edit need not draw the coarse layers again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mien.editing.latent import WIDTH, Floats, Latent
from mien.editing.networks import Networks
from mien.editing.settings import Settings
from mien.errors import EditError
from mien.runners import There, kept
from mien.sessions import Session

SEEN = 256
"""Side of the pictures that the encoder and the difference network look at."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """A latent and all that the generator made of it. Handed back to `Generator.vary`, only what changed is run again.

    All of it is where the networks run. ``features`` (1, C, h, w) and ``rgb`` (1, 3, h, w): what the early half gives
    to the late one. ``image``: (1, 3, R, R) RGB in [0, 1]. ``small``: (1, 3, S, S), the same pooled to at most 256
    pixels, nominally [0, 1] and not clamped. ``seen``: (1, 3, 256, 256), as the other networks look at it; enlarged
    where the generator itself is smaller.
    """

    latent: Latent
    features: There
    rgb: There
    image: There
    small: There
    seen: There


class Generator:
    """StyleGAN2's mapping and synthesis (Karras et al., Analyzing and Improving the Image Quality of StyleGAN, 2020).

    ``mean``: (L, 512), the mean latent. ``noise_seed``: where the bundle leaves the noise open it is drawn once from
    this seed, so that pictures of one generator differ by their latents only.
    """

    def __init__(self, networks: Networks, settings: Settings, mean: Floats, noise_seed: int) -> None:
        self._networks = networks
        self._split = settings.split
        self._mean = mean
        noise = {role: _noise(networks[role], noise_seed) for role in ("synthesis_early", "synthesis_late")}
        self._noise = {role: kept(networks.runner, arrays) for role, arrays in noise.items()}

    def render(self, latent: Latent) -> Rendered:
        """The picture of one latent."""
        return self._late([latent], *self._early([latent]))[0]

    def pair(self, latent: Latent, edited: Latent) -> tuple[Rendered, Rendered]:
        """Both pictures in one go; where the early half is the same for both it is run once."""
        both = [latent, edited]
        if self._same_early(latent, edited):
            features, rgb = (self._networks.runner.join([array] * 2) for array in self._early([latent]))
        else:
            features, rgb = self._early(both)
        first, second = self._late(both, features, rgb)
        return first, second

    def vary(self, base: Rendered, latent: Latent) -> Rendered:
        """The picture of a latent like that of ``base``: all of it, the late half or nothing is drawn anew."""
        if np.array_equal(base.latent.codes, latent.codes):
            return base
        if self._same_early(base.latent, latent):
            return self._late([latent], base.features, base.rgb)[0]
        return self.render(latent)

    def sample(self, seed: int, truncation: float) -> Latent:
        """A random face, drawn towards the mean one by the truncation trick: 0 is the mean itself. Raises EditError."""
        if not math.isfinite(truncation):
            raise EditError(f"A random face was asked for with the truncation {truncation}; a finite number is needed.")
        if seed < 0:
            raise EditError(f"A random face was asked for with the seed {seed}; a seed is a whole number from 0 on.")
        z = np.random.default_rng(seed).standard_normal((1, WIDTH), np.float32)
        w: Floats = self._networks.answer("mapping", {"z": z})["w"]
        return Latent(self._mean + np.float32(truncation) * (w - self._mean))

    def _same_early(self, one: Latent, other: Latent) -> bool:
        return np.array_equal(one.codes[: self._split], other.codes[: self._split])

    def _early(self, latents: Sequence[Latent]) -> tuple[There, There]:
        outputs = self._run("synthesis_early", latents, {})
        return outputs["features"], outputs["rgb"]

    def _late(self, latents: Sequence[Latent], features: There, rgb: There) -> list[Rendered]:
        out = self._run("synthesis_late", latents, {"features": features, "rgb": rgb})
        whole = (features, rgb, out["image"], out["small"], self._seen(out["small"]))
        parts = zip(latents, *map(self._networks.runner.split, whole), strict=True)
        return [Rendered(*one) for one in parts]

    def _seen(self, small: There) -> There:
        if small.shape[-1] == SEEN:
            return small
        runner = self._networks.runner
        planes = [
            [cv2.resize(plane, (SEEN, SEEN), interpolation=cv2.INTER_LINEAR) for plane in picture]
            for picture in runner.host(small)
        ]
        return runner.keep(np.array(planes, np.float32))

    def _run(self, role: str, latents: Sequence[Latent], feeds: dict[str, There]) -> dict[str, There]:
        codes = np.stack([latent.codes for latent in latents])
        return self._networks.run(role, {"latents": codes, **feeds, **self._noise[role]})


def _noise(session: Session, seed: int) -> dict[str, Floats]:
    """Normal noise for the inputs that ask for it, each with a stream of its own."""
    noise: dict[str, Floats] = {}
    for spec in session.inputs:
        if spec.name.startswith("noise_"):
            stream = np.random.default_rng([seed, *spec.name.encode()])
            noise[spec.name] = stream.standard_normal([int(size) for size in spec.shape], np.float32)
    return noise
