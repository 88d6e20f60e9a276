"""Tears in a driven portrait: where the face's pixels come from places that do not lie side by side in the portrait.

The generator's flow says for each place of the output where in the portrait it comes from. Between two neighbours that
map is torn where they come from places far apart (stretched `STRETCH` times or more), and folded where it runs
backwards. Only the face counts, where the output is taken from the portrait, without the openings of eyes and mouth: a
lip may part from the other, a lid may slide over an eye.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.reenact.motion import INNER_MOUTH, LEFT_EYE, RIGHT_EYE

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

STRETCH = 3.0
"""Neighbours in the output that lie so many times further apart in the portrait. A head turned by 60 degrees away from
the viewer is stretched twice."""

SEEN = 0.002
"""Share of the face from which on tears are seen: a tear from the corner of the mouth to the cheek, see the tests."""

FACE = (*range(17), *range(17, 27))
"""Landmarks around the face: jaw and brows."""


@dataclass(frozen=True)
class Tears:
    """Shares of the face that are torn, and folded."""

    torn: float
    folded: float

    @property
    def both(self) -> float:
        """Torn or folded; no place is both, as a fold is not stretched along itself."""
        return self.torn + self.folded


def tears(maps: Mapping[str, Floats], points: Floats) -> Tears:
    """Of one output picture.

    maps: the generator's flow (1, 2, h, w) in normalised units and visible (1, 1, H, W); points: (K, 2 or more), the
    moved points in normalised crop coordinates, landmarks first.
    """
    flow = maps["flow"][0]
    side = flow.shape[-1]
    visible = cv2.resize(maps["visible"][0, 0], (side, side), interpolation=cv2.INTER_AREA) > 0.5
    stretch, area = distortion(flow)
    face = counted_face(points, side) & visible
    if not face.any():
        return Tears(0.0, 0.0)
    folded = face & (area <= 0)
    torn = face & (stretch > STRETCH) & ~folded
    return Tears(float(torn.sum() / face.sum()), float(folded.sum() / face.sum()))


def distortion(flow: Floats) -> tuple[Floats, Floats]:
    """Largest stretch and signed change of area, (h, w) each, between each place and its right and lower neighbour.

    flow: (2, h, w) in normalised units. The last row and column repeat those before them.
    """
    pixels = flow.astype(np.float64) * (flow.shape[-1] / 2)
    right = np.diff(pixels, axis=2, append=2 * pixels[:, :, -1:] - pixels[:, :, -2:-1])
    down = np.diff(pixels, axis=1, append=2 * pixels[:, -1:] - pixels[:, -2:-1])
    a, c = right[0] + 1, right[1]
    b, d = down[0], down[1] + 1
    squares = a * a + b * b + c * c + d * d
    area = a * d - b * c
    # The larger singular value of a 2 x 2 matrix in closed form.
    largest = np.sqrt((squares + np.sqrt(np.maximum(squares * squares - 4 * area * area, 0))) / 2)
    return largest.astype(np.float32), area.astype(np.float32)


def counted_face(points: Floats, side: int) -> Mask:
    """(side, side): the hull of jaw and brows without the openings of eyes and mouth and what lies next to them."""
    pixels = np.round((points[:, :2] + 1) * (side / 2) - 0.5).astype(np.int32)
    face, openings = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(pixels[list(FACE)]), 1)
    for ring in (RIGHT_EYE, LEFT_EYE, INNER_MOUTH):
        cv2.fillPoly(openings, [pixels[list(ring)]], 1)
        cv2.polylines(openings, [pixels[list(ring)]], True, 1)
    margin = 2 * round(side / 64) + 1
    return np.asarray((face > 0) & (cv2.dilate(openings, np.ones((margin, margin), np.uint8)) == 0))
