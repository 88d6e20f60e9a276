"""Lashes and eyeliner on pairs: a dark edge that goes with the lid and does not stretch as the mesh's skin does.

The head's lids are skin of one piece: where they close, the millimetre above an open lid's edge becomes half of the
lid. Real lids unfold, and the dark edge stays as wide as it was. A generator that never saw one smears it over the eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.reenact.motion import EYES
from training.data import Floats, Picture

LINED_SHARE = 0.6
"""Of the pairs."""

WIDTH = (0.004, 0.022)
"""Of a line, shares of the crop's side: 0.12 to 0.66 cm."""

UNLIKE = 0.3
"""From which difference of the lines on a pixel does not show what the source shows where the flow comes from."""


@dataclass(frozen=True)
class Liner:
    """How one person's lids are edged: width as a share of the crop, colour, opacity, and how far it is smeared."""

    width: float
    colour: NDArray[np.float32]
    opacity: float
    soft: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Liner:
        """Any: mostly dark, brown to black."""
        colour = rng.uniform(5, 70) * np.array([1.0, rng.uniform(0.6, 1.0), rng.uniform(0.4, 1.0)])
        return cls(
            float(np.exp(rng.uniform(*np.log(WIDTH)))),
            colour.astype(np.float32),
            float(rng.uniform(0.4, 0.95)),
            float(rng.uniform(0.5, 1.6)),
        )

    def on(self, landmarks: Floats, size: int) -> Floats:
        """(size, size) how much of each pixel is line, from landmarks (L, 2) in normalised coordinates."""
        drawn = np.zeros((size, size), np.uint8)
        thick = self.width * size
        for ring in EYES:
            half = len(ring) // 2
            upper = (landmarks[list(ring[: half + 1])] + 1) * (size / 2) - 0.5
            along = upper[-1] - upper[0]
            up = np.array([along[1], -along[0]]) / max(float(np.linalg.norm(along)), 1e-3)
            if up[1] > 0:
                up = -up
            fixed = np.round((upper + up * (thick / 2)) * 16).astype(np.int32)
            cv2.polylines(drawn, [fixed], False, 255, max(round(thick), 1), cv2.LINE_AA, 4)
        blurred = cv2.GaussianBlur(drawn, (0, 0), self.soft * size / 256)
        return np.asarray(blurred, np.float32) * np.float32(self.opacity / 255)

    def over(self, picture: Picture, line: Floats) -> Picture:
        """The picture with the line on it."""
        share = line[..., None]
        return np.asarray(picture * (1 - share) + self.colour * share, np.float32).astype(np.uint8)


def lined(
    pictures: list[Picture], landmarks: list[Floats], flow: Floats, visible: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[list[Picture], NDArray[np.uint8]]:
    """Source and driving with the same liner, and what of the driving picture the source then still shows.

    ``flow``: (s, s, 2), ``visible``: (s, s), as in `training.pairs`.
    """
    liner = Liner.drawn(rng)
    lines = [liner.on(marks, picture.shape[0]) for marks, picture in zip(landmarks, pictures, strict=True)]
    size = flow.shape[0]
    here, there = (cv2.resize(line, (size, size), interpolation=cv2.INTER_AREA) for line in lines)
    places = np.indices((size, size), np.float32).transpose(1, 2, 0)[..., ::-1] + flow * np.float32(size / 2)
    moved = cv2.remap(here, places[..., 0], places[..., 1], cv2.INTER_LINEAR)
    alike = np.abs(moved - there) < UNLIKE * liner.opacity
    pictures = [liner.over(picture, line) for picture, line in zip(pictures, lines, strict=True)]
    return pictures, np.where(alike, visible, 0).astype(np.uint8)
