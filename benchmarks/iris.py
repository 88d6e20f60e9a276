"""Where the irises are, from pixels: an outside judge of gaze, as Face Mesh's 468 points have none.

Each eye is brought upright, 64 pixels from corner to corner, as grey levels. Of all discs that lie half inside the
contour of the lids the iris is the one that is darkest against the rest of the opening, over a few radii. Its place
along the line of the corners, in eye widths from their middle, is what an eye shows. The head's own turn shows, too:
the iris lies on a ball before the corners. `YAW_OF_PLACE` and `YAW_OF_HEAD` turn both into the eye's yaw in the head.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Grey = npt.NDArray[np.float32]

RIGHT = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT = (362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398)
"""Face Mesh's contours of the subject's eyes, from the corner at the left of the picture, along the lower lid, back."""

WIDTH = 64
MARGIN = 16
ROWS = 64
RADII = (0.15, 0.18, 0.21, 0.24)
"""Of the iris over the eye's width: an iris of 11.7 mm in eyes of 25 to 36 mm."""

LEAST_OPEN = 0.23
"""Lid gap over the eye's width below which an iris has no clear place."""

LEAST_SEEN = 0.4
"""Share of the iris that must lie between the lids."""

YAW_OF_PLACE = 96.0
YAW_OF_HEAD = -0.35
"""Degrees of the eye's yaw for each eye width that the iris is off the middle, and for each degree of the head's."""


@dataclass(frozen=True)
class Iris:
    """What one eye shows: ``place`` in eye widths from the middle of the corners, positive to the right of the picture.

    ``contrast`` is how much darker the iris is than the rest of the opening, in grey levels.
    """

    place: float
    contrast: float


def find_iris(image: Image, contour: Floats) -> Iris | None:
    """The iris of an eye in an RGB picture; None for an eye nearly shut.

    contour: (N, 2) pixels, the corner at the left of the picture first and the other one in the middle of the list.
    """
    left, right = contour[0], contour[len(contour) // 2]
    across = right - left
    width = float(np.linalg.norm(across))
    if width < 4 or _opening(contour, across, width) < LEAST_OPEN:
        return None
    to_eye = _upright(left, across, width)
    size = (WIDTH + 2 * MARGIN, ROWS)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    # Highlights on the cornea are small and bright: a median takes them out.
    eye = cv2.medianBlur(cv2.warpAffine(grey, to_eye, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), 5)
    inside = np.zeros(size[::-1], np.uint8)
    drawn = contour @ to_eye[:, :2].T + to_eye[:, 2]
    cv2.fillPoly(inside, [np.round(drawn).astype(np.int32)], 1)
    return _darkest(eye.astype(np.float32), inside.astype(np.float32))


def _opening(contour: Floats, across: Floats, width: float) -> float:
    """Greatest extent of a contour across its corners' line, over the width."""
    normal = np.array([-across[1], across[0]]) / width
    return float(np.ptp(contour @ normal)) / width


def _upright(left: Floats, across: Floats, width: float) -> Floats:
    """(2, 3): pixel indices of the picture to those of the upright eye."""
    scale = WIDTH / width
    cosine, sine = across / width * scale
    turn = np.array([[cosine, sine], [-sine, cosine]])
    shift = np.array([MARGIN, ROWS / 2]) - turn @ left
    matrix: Floats = np.column_stack([turn, shift])
    return matrix


def _darkest(eye: Grey, inside: Grey) -> Iris | None:
    """The disc whose part inside the lids is darkest against what else is inside."""
    everything, total = float((eye * inside).sum()), float(inside.sum())
    best, iris = 0.0, None
    for radius in RADII:
        disc = _disc(round(radius * WIDTH))
        area = np.maximum(cv2.filter2D(inside, -1, disc, borderType=cv2.BORDER_CONSTANT), 0)
        light = cv2.filter2D(eye * inside, -1, disc, borderType=cv2.BORDER_CONSTANT)
        rest = np.maximum(total - area, 1)
        darker = (everything - light) / rest - light / np.maximum(area, 1)
        # Weighed by the root of the disc's area: a few dark pixels of a lash are no iris.
        score = darker * np.sqrt(area / disc.sum()) * (area > LEAST_SEEN * disc.sum()) * (rest > 0.15 * total)
        row, column = np.unravel_index(int(score.argmax()), score.shape)
        if score[row, column] > best:
            best = float(score[row, column])
            x = column + _peak(score[row], int(column))
            iris = Iris((x - MARGIN - WIDTH / 2) / WIDTH, float(darker[row, column]))
    return iris


def _peak(line: Grey, at: int) -> float:
    """Where between its neighbours a maximum lies, in samples."""
    if not 0 < at < len(line) - 1:
        return 0.0
    before, here, after = (float(v) for v in line[at - 1 : at + 2])
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 and min(before, after) > 0 else 0.0


@cache
def _disc(radius: int) -> Grey:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(x * x + y * y <= radius * radius, np.float32)


def eye_yaws(image: Image, landmarks: Floats, head_yaw: float) -> Floats:
    """(2,) the yaw in degrees of the subject's right and left eye in the head, positive to the right of the picture.

    NaN for an eye nearly shut. landmarks: (468, 2 or 3) of Face Mesh in pixels; head_yaw: degrees, positive alike.
    """
    found = [find_iris(image, landmarks[list(ring), :2]) for ring in (RIGHT, LEFT)]
    places = np.array([np.nan if iris is None else iris.place for iris in found])
    yaws: Floats = YAW_OF_PLACE * places + YAW_OF_HEAD * head_yaw
    return yaws
