"""Figures of gaze: angles, clear glances, and which side counts as right."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import gaze


def test_angles_between_known_turns() -> None:
    turns = np.radians([[0.0, 0], [10, 0], [0, -7], [90, 0]])
    np.testing.assert_allclose(gaze.angles_between(turns, np.zeros((4, 2))), [0, 10, 7, 90], atol=1e-6)
    np.testing.assert_allclose(gaze.directions(np.radians([[90.0, 0], [0, 90]])), [[1, 0, 0], [0, -1, 0]], atol=1e-9)


def test_an_answer_that_never_moves_is_no_better_than_straight_ahead() -> None:
    truth = np.random.default_rng(0).normal(0, 0.15, (500, 2))
    none = gaze.angle_figures(np.zeros_like(truth), truth)
    assert none["angle, median (degrees)"] == none["angle of straight ahead, median (degrees)"]
    assert (none["yaw, correlation"], none["yaw, gain"]) == (0, pytest.approx(0))
    half = gaze.angle_figures(truth / 2, truth)
    assert half["angle, median (degrees)"] == pytest.approx(none["angle, median (degrees)"] / 2, rel=0.02)
    assert half["pitch, gain"] == pytest.approx(0.5)


def eyes(*yaws: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.repeat(np.array(yaws)[:, None], 2, 1) + (-3.0, 3.0)  # each eye has its own middle


def test_clear_glances_are_large_and_of_both_eyes() -> None:
    seen = eyes(0, 0, 0, 0, 0, 9, 11, -11, 30)
    seen[-1, 1] = 3.0  # one eye stays
    assert gaze.clear_glances(seen).tolist() == [False] * 6 + [True, True, False]


def test_the_side_of_glances() -> None:
    seen = eyes(0, 0, 0, 0, 0, 20, 20, -20, -20)
    said = np.array([1.0, 1, 1, 1, 1, 5, 5, -5, 2])
    found = gaze.compare_glances(seen, said)
    assert (found.frames, found.clear, found.right) == (9, 4, pytest.approx(0.75))
    assert 0 < found.gain < 0.5 < found.correlation < 1


def test_shut_eyes_and_lost_faces_do_not_count() -> None:
    seen, said = eyes(0, 0, 0, 0, 20, 20), np.array([0.0, 0, 0, np.nan, 3, -3])
    seen[5, 0] = np.nan
    found = gaze.compare_glances(seen, said)
    assert (found.frames, found.clear, found.right) == (4, 1, 1)
    assert np.isnan(gaze.compare_glances(seen[:2], said[:2]).right)


def test_a_bundle_without_gaze_is_refused() -> None:
    def bundle(*names: str) -> SimpleNamespace:
        return SimpleNamespace(manifest=SimpleNamespace(name="plain", extra={"expressions": names}))

    assert gaze.gaze_columns(bundle("lip_gap", "gaze_yaw", "gaze_pitch")) == (1, 2)
    with pytest.raises(gaze.NoGaze, match="plain has no expression value gaze_pitch, only lip_gap, gaze_yaw"):
        gaze.gaze_columns(bundle("lip_gap", "gaze_yaw"))
