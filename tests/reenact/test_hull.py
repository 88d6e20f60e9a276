"""The area that points span, and what counts as none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.reenact.hull import hull_area, span


def test_the_area_of_a_hull() -> None:
    square = [(0, 0), (2, 0), (2, 3), (0, 3), (1, 1), (0.5, 2.5)]
    assert hull_area(square) == pytest.approx(6)
    assert hull_area(np.array(square) + 1e5) == pytest.approx(6)
    assert hull_area([(0, 0), (1, 1), (2, 2)]) == 0
    assert np.isnan(hull_area([(0, 0), (1, 0), (np.nan, 1)]))


def test_the_span_is_a_length() -> None:
    square = np.array([(0, 0), (2, 0), (2, 2), (0, 2)])
    assert span(square) == pytest.approx(2) and span(5 * square + 7) == pytest.approx(10)


@given(st.floats(0, 2 * np.pi), st.floats(1e-3, 1e3), st.integers(0, 100))
def test_points_on_a_line_span_nothing_however_they_are_rounded(angle: float, size: float, seed: int) -> None:
    along = np.random.default_rng(seed).uniform(-size, size, 10)
    line = np.stack([np.cos(angle) * along, np.sin(angle) * along], 1)
    assert np.isnan(span(line)) and np.isnan(span(np.zeros((10, 2)))) and np.isnan(span(line * np.nan))
    assert span(line + np.array([[0, 0.01 * size], [0.01 * size, 0]] * 5)) > 0
