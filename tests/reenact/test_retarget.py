"""Openings of eyes and lips: one measure, whichever landmarks there are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from mien.errors import InputError
from mien.reenact.retarget import (
    Openings,
    eye_feature,
    lip_feature,
    openings,
    openings_of_68,
    tracked_openings,
)
from tests.tiny_liveportrait import tracked_face

open_eyes = st.floats(0, 0.8)


@given(open_eyes, st.floats(0, 1.2), st.floats(1, 60), st.floats(-1, 1))
def test_the_trackers_landmarks_give_what_is_drawn(eyes: float, lips: float, cm: float, tilt: float) -> None:
    seen = tracked_openings(tracked_face(cm=cm, eyes=eyes, lips=lips, tilt=tilt).landmarks)
    np.testing.assert_allclose(seen.eyes, eyes, atol=1e-4)
    assert seen.lips == pytest.approx(lips, abs=1e-4)


def test_203_landmarks_are_read_at_their_places() -> None:
    points = np.zeros((203, 2))
    points[[0, 12]] = (0, 0), (10, 0)
    points[[6, 18]] = (5, -2), (5, 1)
    points[[24, 36]] = (20, 0), (24, 0)
    points[[30, 42]] = (22, -1), (22, 1)
    points[[48, 66]] = (0, 30), (20, 30)
    points[[90, 102]] = (10, 29), (10, 31)
    seen = openings(points)
    np.testing.assert_allclose(seen.eyes, [0.3, 0.5], rtol=1e-5)
    assert seen.lips == pytest.approx(0.1, rel=1e-5)


@given(open_eyes)
def test_68_landmarks_on_round_lids_give_the_same_openings(eyes: float) -> None:
    points = tracked_face(lips=0.4).landmarks[:68].copy()
    for start in (36, 42):
        left, right = points[start], points[start + 3]
        width = right[0] - left[0]
        lids = ((1, 1 / 3, -1), (2, 2 / 3, -1), (4, 2 / 3, 1), (5, 1 / 3, 1))
        for index, at, side in lids:
            points[start + index] = left + (at * width, side * eyes * width / 2 * 4 * at * (1 - at))
    seen = openings_of_68(points)
    np.testing.assert_allclose(seen.eyes, eyes, atol=1e-6)
    assert seen.lips == pytest.approx(0.4, rel=1e-5)


def test_an_eye_without_width_is_no_division_by_zero() -> None:
    assert np.isfinite(openings(np.zeros((203, 2))).eyes).all()


@pytest.mark.parametrize(
    ("read", "count"), [(openings, 106), (openings_of_68, 102), (openings_of_68, 5), (tracked_openings, 68)]
)
def test_other_numbers_of_landmarks_are_refused(read: Callable[[ArrayLike], Openings], count: int) -> None:
    with pytest.raises(InputError, match=rf"\({count}, 2\)"):
        read(np.zeros((count, 2)))


def test_features_are_points_then_own_openings_then_the_wanted_one() -> None:
    points = np.arange(63.0).reshape(21, 3)
    eye, lip = eye_feature(points, np.array([0.1, 0.2]), 0.3), lip_feature(points, 0.4, 0.5)
    assert eye.shape == (1, 66) and lip.shape == (1, 65) and eye.dtype == lip.dtype == np.float32
    np.testing.assert_array_equal(eye[0, :63], np.arange(63))
    np.testing.assert_allclose(eye[0, 63:], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(lip[0, 63:], [0.4, 0.5])
