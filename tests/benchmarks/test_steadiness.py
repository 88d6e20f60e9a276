"""Trembling: measured in the stillest seconds only, in eye distances, for both on the same points."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import steadiness

Floats = NDArray[np.float64]


def clip(noise: float, frames: int = 100, points: int = 102, seed: int = 0) -> Floats:
    """Points that move in the first half, then hold still but for noise, pixels."""
    rng = np.random.default_rng(seed)
    still = np.random.default_rng(9).uniform(0, 100, (points, 2))
    moving = np.zeros((frames, 1, 2))
    moving[: frames // 2, 0, 0] = 30 * np.sin(np.arange(frames // 2) / 3)
    return still + moving + rng.normal(0, noise, (frames, points, 2))


def mesh(noise: float) -> Floats:
    points = clip(noise, points=468, seed=1)
    points[:, 263] += 50 * np.array([1, 0]) + (points[0, 33] - points[0, 263]).round()
    return points


def test_the_ratio_is_that_of_the_noise() -> None:
    found = steadiness.steadiness(clip(0.5), mesh(1.0), 10)
    assert found is not None
    assert all(start >= 45 for start in found.starts) and len(found.starts) == steadiness.SECONDS
    assert found.ours / found.theirs == pytest.approx(0.5, rel=0.15)
    # The second difference of white noise of 0.5 pixels in two directions, over 50 pixels.
    assert found.ours == pytest.approx(0.5 * np.sqrt(6) * np.sqrt(np.pi / 2) / 50, rel=0.1)


def test_steady_movement_does_not_tremble() -> None:
    line = np.arange(20.0)[:, None, None] * np.ones((1, 3, 2))
    assert steadiness.tremble(line) == pytest.approx(0)


def test_seconds_without_a_face_are_left_out() -> None:
    ours = clip(0.5)
    ours[60:] = np.nan
    found = steadiness.steadiness(ours, mesh(1.0), 10)
    assert found is not None and max(found.starts) <= 50
    ours[:] = np.nan
    assert steadiness.steadiness(ours, mesh(1.0), 10) is None
    assert steadiness.steadiness(clip(0.5, 4), mesh(1.0)[:4], 10) is None
