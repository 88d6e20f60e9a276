"""A face read from a photograph, and what an edit made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mien.editing.generator import Rendered
from mien.editing.latent import Latent
from mien.editing.masks import Labels
from mien.geometry import Similarity
from mien.image import Image


@dataclass(frozen=True, eq=False)
class Subject:
    """A face of a photograph, read once to be edited often; see `Editor.prepare`.

    ``photo``: uint8 (H, W, 3) RGB. ``aligned``: (R, R, 3), its face as FFHQ aligns it. ``place``: pixels of that to
    pixels of the photograph. ``latent``: the inversion, and ``inverted`` its picture. ``labels``: (512, 512), the
    parts of the face, None where the bundle has no parsing network.
    """

    photo: Image
    aligned: Image
    place: Similarity
    latent: Latent
    inverted: Rendered | None = None
    labels: Labels | None = None


@dataclass(frozen=True, eq=False)
class EditResult:
    """An edited photograph, and how it came about. Pictures are uint8 RGB.

    ``image``: (H, W, 3), as large as the photograph. ``mask``: (H, W), 0 to 255: how much of each pixel is new; where
    it is 0 the pixel has the photograph's own bytes. ``inverted``, ``edited``: (R, R, 3), what the generator made of
    the face before and after the edit; ``aligned``: what it was given. ``latent``: of the face before the edit.
    ``place``: pixels of the crop to pixels of the photograph. ``timings``: milliseconds by stage, of those that were
    run: align, invert, synthesise, mask, deghost, paste. ``synthetic``: always True.
    """

    image: Image
    mask: Image
    inverted: Image
    edited: Image
    aligned: Image
    latent: Latent
    place: Similarity
    timings: Mapping[str, float]
    synthetic: Literal[True] = True
