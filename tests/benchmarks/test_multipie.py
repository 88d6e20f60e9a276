"""mien's own landmarks, measured as the judges measure theirs."""

import numpy as np
import pytest

from benchmarks import judge, multipie
from mien.geometry import rotation


def face() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """102 made-up landmarks with known gaps."""
    points = np.random.default_rng(3).normal(size=(102, 2)) * 40
    points[[36, 45]] = (-40, 0), (40, 0)
    points[[27, 8]] = (0, -20), (0, 80)
    points[[62, 66]] = (0, 40), (0, 60)
    points[[75, 78]] = (25, -4), (25, 4)
    points[[69, 72]] = (-25, -2), (-25, 2)
    points[[48, 54]] = (-20, 45), (20, 45)
    points[[18, 19, 20, 23, 24, 25]] = (0, -16)
    return points


def test_quantities_of_a_known_face() -> None:
    values = multipie.quantities(face()[None] + 300, np.zeros((1, 3)))
    assert values["mouth"][0] == pytest.approx(20 / (multipie.FOREHEAD * 100))
    assert values["eye_left"][0] == pytest.approx(8 / 80)
    assert values["eye_right"][0] == pytest.approx(4 / 80)
    assert values["smile"][0] == pytest.approx(40 / 80)
    assert values["brow"][0] == pytest.approx(16 / 80)


def test_quantities_have_the_judges_names() -> None:
    assert set(multipie.quantities(face()[None], np.zeros((1, 3)))) == set(judge.LEAST_RANGE)


def test_turns_are_measured_from_the_first_known_pose_in_the_judges_frame() -> None:
    start, turn = (0.2, -0.1, 0.05), rotation(0.3, 0.1, -0.2)
    poses = np.array([(np.nan,) * 3, start, judge.euler(turn @ rotation(*start))])
    turns = multipie.since_first(poses)
    assert np.isnan(turns[0]).all()
    np.testing.assert_allclose(turns[1:], [(0, 0, 0), (0.3, 0.1, -0.2)], atol=1e-9)


def test_poses_never_known() -> None:
    assert np.isnan(multipie.since_first(np.full((3, 3), np.nan))).all()


def test_landmark_errors_are_in_eye_distances_and_by_group() -> None:
    mesh = np.random.default_rng(4).normal(size=(2, 468, 3)) * 50
    mesh[:, [33, 263], :2] = (-50, 0), (50, 0)
    ours = np.zeros((2, 102, 2))
    for pairs in multipie.COMMON.values():
        for here, there in pairs:
            ours[:, here] = mesh[:, there, :2]
    ours[1, 8] += (3, 4)
    errors = multipie.landmark_errors(ours, mesh)
    assert errors["chin"][1, 0] == pytest.approx(0.05)
    assert sum(float(values.sum()) for values in errors.values()) == pytest.approx(0.05)
