"""The smoother against the same estimate made at once, as the solution of one linear system."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.reenact.kalman import OBSERVATION, TRANSITION, kalman_smooth


def at_once(values: NDArray[np.float64], seen: NDArray[np.bool_], q: float, r: float) -> NDArray[np.float64]:
    """The mean of all states given all observations: its precision matrix, written out, and solved."""
    count = len(values)
    precision, right = np.zeros((count, count)), np.zeros_like(values)
    precision[0, 0] += 1
    right[0] += values[np.argmax(seen)]
    for t in range(count):
        if seen[t]:
            precision[t, t] += 1 / r
            right[t] += values[t] / r
        if t:
            precision[t - 1 : t + 1, t - 1 : t + 1] += np.array([[1, -1], [-1, 1]]) / q
    return np.linalg.solve(precision, right)


@pytest.mark.parametrize(("q", "r"), [(TRANSITION, OBSERVATION), (1e-3, 1e-2), (1.0, 0.1)])
@pytest.mark.parametrize("gaps", [False, True])
def test_it_is_the_mean_given_all_frames(q: float, r: float, gaps: bool) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (30, 4))
    seen = np.ones(30, bool)
    if gaps:
        seen[[0, 1, 7, 8, 9, 20, 29]] = False
    np.testing.assert_allclose(kalman_smooth(values, seen, q, r), at_once(values, seen, q, r), atol=1e-7)


def test_a_single_frame_stays() -> None:
    np.testing.assert_allclose(kalman_smooth([[3.0, -2.0]]), [[3.0, -2.0]])


def test_noise_shrinks_and_nothing_lags() -> None:
    time = np.linspace(0, 2, 200)
    clean = np.sin(2 * np.pi * time)[:, None]
    noisy = clean + np.random.default_rng(1).normal(0, 0.05, clean.shape)
    smooth = kalman_smooth(noisy, transition=1e-3, observation=2.5e-3)
    assert np.abs(smooth - clean).mean() < 0.5 * np.abs(noisy - clean).mean()
    shifts = {shift: float((np.roll(clean, shift) * smooth).sum()) for shift in range(-5, 6)}
    assert max(shifts, key=lambda shift: shifts[shift]) == 0


def test_what_was_not_seen_is_the_way_between_its_neighbours_whatever_it_says() -> None:
    values = np.array([[0.0], [np.nan], [np.nan], [3.0]])
    smooth = kalman_smooth(values, [True, False, False, True], observation=1e-12)
    np.testing.assert_allclose(smooth[:, 0], [0, 1, 2, 3], atol=1e-5)


@pytest.mark.parametrize("bad", [{"values": [1.0, 2.0]}, {"seen": [False, False]}, {"seen": [True]}, {"transition": 0}])
def test_what_makes_no_sense_is_refused(bad: dict[str, object]) -> None:
    given = {"values": [[1.0], [2.0]], **bad}
    with pytest.raises(ValueError, match="needed|above zero"):
        kalman_smooth(**given)  # type: ignore[arg-type]
