"""The dark edge of the lids: where it lies, that it goes with them, and that what it hides is no longer visible."""

import numpy as np

from mien.reenact.motion import EYES
from training.liner import Liner, lined


def eyes(gap: float) -> np.ndarray:
    """Landmarks (102, 2) whose eyes are 0.24 wide, 8 cm apart, and open by ``gap`` of the crop's half."""
    marks = np.zeros((102, 2), np.float32)
    for centre, ring in zip((-0.27, 0.27), EYES, strict=True):
        half = len(ring) // 2
        marks[list(ring), 0] = centre + 0.12 * np.cos(np.arange(len(ring)) * np.pi / half + np.pi)
        marks[list(ring), 1] = -gap / 2 * np.sin(np.arange(len(ring)) * np.pi / half)
    return marks


def test_the_line_lies_on_the_upper_lid_and_not_in_the_eye() -> None:
    liner = Liner(0.02, np.zeros(3, np.float32), 1.0, 0.5)
    line = liner.on(eyes(0.1), 256)
    column = line[:, round((1 - 0.27) * 128)]
    edge = round(128 - 0.05 * 128)
    assert column[edge - 3] > 0.8 and column[edge + 5 :].max() < 0.1 and column[: edge - 10].max() < 0.1
    assert line[:, 120:136].max() < 0.1


def test_both_pictures_are_lined_and_skin_that_the_line_covered_is_hidden() -> None:
    pictures = [np.full((256, 256, 3), 200, np.uint8)] * 2
    visible, still = np.full((128, 128), 255, np.uint8), np.zeros((128, 128, 2), np.float32)
    shown, seen = lined(pictures, [eyes(0.1), eyes(0.1)], still, visible, np.random.default_rng(0))
    assert (seen == 255).all() and np.array_equal(*shown) and shown[0].min() < 150 and shown[0][:80].min() == 200
    shown, seen = lined(pictures, [eyes(0.16), eyes(0.02)], still, visible, np.random.default_rng(0))
    hidden = np.argwhere(seen == 0)
    assert 10 < len(hidden) < 600 and hidden[:, 0].max() < 66 and not np.array_equal(*shown)
