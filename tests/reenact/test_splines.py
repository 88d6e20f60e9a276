"""Thin-plate splines: they solve their equations, pass near their points, each group its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import MotionError
from mien.reenact.splines import GROUP, SOFTNESS, carried, curve, splines


def points(seed: int, groups: int = 10) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-1, 1, (GROUP * groups, 2))


def test_the_equations_hold_written_out_one_by_one() -> None:
    """For the first group: sum of weighted curves, the flat part, and the softness of each unknown itself."""
    driving, source = points(1), points(2)
    solved = splines(driving, source)
    assert solved.shape == (10, 8, 2)
    here, weights, flat = driving[:5], solved[0, :5], solved[0, 5:]
    for index, (x, y) in enumerate(here):
        total = SOFTNESS * weights[index] + flat[0] * x + flat[1] * y + flat[2]
        for other, weight in zip(here, weights, strict=True):
            square = (other[0] - x) ** 2 + (other[1] - y) ** 2
            total = total + weight * square * np.log(square + 1e-9)
        assert np.allclose(total, source[index], atol=1e-9)
    for row, factor in zip(flat, (here[:, 0], here[:, 1], np.ones(5)), strict=True):
        assert np.allclose(factor @ weights + SOFTNESS * row, 0, atol=1e-9)


@given(st.integers(0, 10_000))
def test_points_at_rest_are_left_nearly_where_they_are(seed: int) -> None:
    """Five well-spread points; the softness takes hundredths away, no more."""
    driving = np.array([(-0.6, -0.6), (0.6, -0.6), (0, 0), (-0.6, 0.6), (0.6, 0.6)])
    driving = np.tile(driving, (2, 1)) + np.random.default_rng(seed).uniform(-0.1, 0.1, (10, 2))
    moved = carried(driving, driving, splines(driving, driving))
    assert np.abs(moved[0, :5] - driving[:5]).max() < 0.02 and np.abs(moved[1, 5:] - driving[5:]).max() < 0.02


def test_each_group_is_its_own() -> None:
    driving, source = points(1), points(2)
    other = driving.copy()
    other[7] += 0.1
    changed = np.abs(splines(other, source) - splines(driving, source)).max((1, 2)) > 0
    assert changed.tolist() == [False, True] + 8 * [False]


def test_on_a_point_the_curve_is_nothing_and_finite() -> None:
    assert curve(np.zeros(3)).tolist() == [0, 0, 0]
    driving = np.zeros((5, 2))  # all of them in one place
    assert np.isfinite(splines(driving, points(3, 1))).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("broken", [0, 1])
def test_points_that_are_not_finite_are_refused(value: float, broken: int) -> None:
    both = [points(1), points(2)]
    both[broken][13, 1] = value
    with pytest.raises(MotionError, match="not all finite"):
        splines(*both)
