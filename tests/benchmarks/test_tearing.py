"""Tears and folds that are put into a flow by hand, and bends that are none."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import tearing
from mien.reenact.motion import INNER_MOUTH, LEFT_EYE, RIGHT_EYE

Floats = NDArray[np.float32]
SIDE = 128


def points() -> Floats:
    """A face from -0.5 to 0.5 with small eyes and a small mouth."""
    placed = np.zeros((102, 3), np.float32)
    around = np.linspace(0, 2 * np.pi, len(tearing.FACE), endpoint=False)
    placed[list(tearing.FACE), :2] = 0.5 * np.stack([np.cos(around), np.sin(around)], 1)
    for ring, x, y in ((RIGHT_EYE, -0.2, -0.15), (LEFT_EYE, 0.2, -0.15), (INNER_MOUTH, 0.0, 0.25)):
        angle = np.linspace(0, 2 * np.pi, len(ring), endpoint=False)
        placed[list(ring), :2] = np.stack([x + 0.08 * np.cos(angle), y + 0.03 * np.sin(angle)], 1)
    return placed


def flow(x: Floats | float = 0.0, y: Floats | float = 0.0) -> Floats:
    out = np.zeros((1, 2, SIDE, SIDE), np.float32)
    out[0, 0], out[0, 1] = x, y
    return out


def maps(moved: Floats) -> dict[str, Floats]:
    return {"flow": moved, "visible": np.ones((1, 1, 256, 256), np.float32)}


ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float32) / (SIDE / 2) - 1


def test_nothing_and_smooth_bends_are_not_torn() -> None:
    for moved in (
        flow(),
        flow(0.3, -0.2),
        flow(0.5 * COLUMNS),
        flow(0.1 * np.sin(4 * ROWS), 0.1 * np.cos(4 * COLUMNS)),
    ):
        assert tearing.tears(maps(moved), points()).both == 0


def test_distortion_of_known_maps() -> None:
    stretch, area = tearing.distortion(flow(0.5 * COLUMNS)[0])
    np.testing.assert_allclose(stretch, 1.5, atol=1e-4)
    np.testing.assert_allclose(area, 1.5, atol=1e-4)
    mirrored = tearing.distortion(flow(-2 * COLUMNS)[0])[1]
    np.testing.assert_allclose(mirrored, -1, atol=1e-4)


@pytest.mark.parametrize("pixels", [4, 8])
def test_a_tear_from_the_mouth_to_the_cheek_is_seen(pixels: int) -> None:
    """A quarter of the face wide, 4 or 8 pixels of 128 high: what lies below it comes from further down."""
    apart = np.where((ROWS > 0.25) & (COLUMNS > 0.12) & (COLUMNS < 0.37), pixels * 2 / SIDE, 0).astype(np.float32)
    found = tearing.tears(maps(flow(y=apart)), points())
    assert found.torn > tearing.SEEN and found.both < 0.05


def test_a_fold_is_seen_as_one() -> None:
    doubled = np.where((np.abs(COLUMNS + 0.3) < 0.1) & (np.abs(ROWS) < 0.1), -0.1, 0).astype(np.float32)
    found = tearing.tears(maps(flow(x=doubled)), points())
    assert found.folded > tearing.SEEN


def test_openings_outside_and_what_is_painted_do_not_count() -> None:
    inside_mouth = np.where((np.abs(ROWS - 0.25) < 0.02) & (np.abs(COLUMNS) < 0.06), 0.1, 0).astype(np.float32)
    assert tearing.tears(maps(flow(y=inside_mouth)), points()).both == 0
    beside = np.where(ROWS > 0.8, 0.1, 0).astype(np.float32)
    assert tearing.tears(maps(flow(y=beside)), points()).both == 0
    painted = maps(flow(y=np.where(ROWS > 0.05, 0.2, 0).astype(np.float32)))
    assert tearing.tears(painted, points()).torn > 0
    painted["visible"][:] = 0
    assert tearing.tears(painted, points()) == tearing.Tears(0, 0)
