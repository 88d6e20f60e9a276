"""Similarities compose, invert and fit; rotations turn the way the text says."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import InputError
from mien.geometry import Similarity, euler, fit_similarity, rotation

coordinate = st.floats(-1000, 1000)
similarities = st.builds(
    lambda x, y, size, out, angle: Similarity.from_crop((x, y), size, out, angle),
    coordinate,
    coordinate,
    st.floats(0.5, 2000),
    st.integers(1, 512),
    st.floats(-4, 4),
)


def test_a_crop_is_where_it_should_be() -> None:
    s = Similarity.from_crop((100, 60), 40, 20)
    assert s.apply([(0, 0), (10, 10), (20, 0)]) == pytest.approx(np.array([(80, 40), (100, 60), (120, 40)]))
    assert s.scale == pytest.approx(2)


def test_a_positive_angle_turns_the_crop_clockwise() -> None:
    s = Similarity.from_crop((0, 0), 2, 2, math.pi / 2)
    # The crop's right edge points down in the frame.
    assert s.apply((2, 1)) == pytest.approx(np.array([0, 1]))
    assert s.angle == pytest.approx(math.pi / 2)


@given(similarities, coordinate, coordinate)
def test_the_inverse_goes_back(s: Similarity, x: float, y: float) -> None:
    assert s.inverse().apply(s.apply((x, y))) == pytest.approx(np.array([x, y]), abs=1e-6 * (1 + 1 / s.scale))


@given(similarities, similarities, coordinate, coordinate)
def test_composing_is_applying_one_after_the_other(a: Similarity, b: Similarity, x: float, y: float) -> None:
    assert (a @ b).apply((x, y)) == pytest.approx(a.apply(b.apply((x, y))), rel=1e-9, abs=1e-5 * (1 + a.scale))


@given(similarities)
def test_a_fit_finds_the_similarity_again(s: Similarity) -> None:
    points = np.array([(0, 0), (10, 3), (-4, 8), (2, -7)], float)
    assert fit_similarity(points, s.apply(points)).apply(points) == pytest.approx(s.apply(points), rel=1e-6, abs=1e-6)


def test_a_fit_is_the_least_squares_one() -> None:
    rng = np.random.default_rng(0)
    src, dst = rng.normal(size=(2, 30, 2))
    best = fit_similarity(src, dst)
    error = ((best.apply(src) - dst) ** 2).sum()
    for _ in range(50):
        a, b, x, y = rng.normal(size=4) * 0.01
        other = Similarity(best.matrix + [[a, -b, x], [b, a, y]])
        assert ((other.apply(src) - dst) ** 2).sum() > error


def test_points_of_any_leading_shape_are_mapped() -> None:
    assert Similarity.from_crop((0, 0), 1, 1).apply(np.zeros((4, 5, 2))).shape == (4, 5, 2)


def test_a_similarity_cannot_be_changed() -> None:
    given_matrix = np.eye(2, 3)
    s = Similarity(given_matrix)
    given_matrix[0, 0] = 5
    assert s.scale == 1
    with pytest.raises(ValueError, match="read-only"):
        s.matrix[0, 0] = 2


@pytest.mark.parametrize(
    "matrix",
    [np.eye(3), np.zeros((2, 3)), np.full((2, 3), np.nan), [[1, 0, 0], [0, -1, 0]], [[1, 0, 0], [0, 2, 0]]],
    ids=["3x3", "to one point", "NaN", "mirrored", "stretched"],
)
def test_what_is_no_similarity_is_refused(matrix: object) -> None:
    with pytest.raises(InputError):
        Similarity(np.asarray(matrix, float))


@pytest.mark.parametrize(
    ("src", "dst"),
    [([(0, 0)], [(1, 1)]), ([(1, 1)] * 3, [(0, 0), (1, 0), (2, 0)]), ([(0, 0), (1, 1)], [(0, 0)])],
    ids=["one point", "one place", "unequal"],
)
def test_a_fit_without_enough_points_is_refused(src: object, dst: object) -> None:
    with pytest.raises(InputError):
        fit_similarity(np.asarray(src, float), np.asarray(dst, float))


def test_angles_turn_the_head_as_described() -> None:
    nose, top = np.array([0, 0, 1.0]), np.array([0, 1.0, 0])
    assert (rotation(0.3, 0, 0) @ nose)[0] > 0  # right in the picture
    assert (rotation(0, 0.3, 0) @ nose)[1] < 0  # down
    assert (rotation(0, 0, 0.3) @ top)[0] < 0  # the top of the head to the picture's left


def test_a_rotation_is_yaw_after_pitch_after_roll() -> None:
    one_after_the_other = rotation(0.4, 0, 0) @ rotation(0, -0.2, 0) @ rotation(0, 0, 0.7)
    assert rotation(0.4, -0.2, 0.7) == pytest.approx(one_after_the_other)
    assert np.linalg.det(rotation(0.4, -0.2, 0.7)) == pytest.approx(1)


@given(st.floats(-3.1, 3.1), st.floats(-1.55, 1.55), st.floats(-3.1, 3.1))
def test_euler_is_the_inverse_of_rotation(yaw: float, pitch: float, roll: float) -> None:
    assert euler(rotation(yaw, pitch, roll)) == pytest.approx(np.array([yaw, pitch, roll]), abs=1e-6)


@given(st.floats(-3, 3), st.sampled_from([-math.pi / 2, math.pi / 2]), st.floats(-3, 3))
def test_looking_straight_up_or_down_still_gives_a_rotation(yaw: float, pitch: float, roll: float) -> None:
    m = rotation(yaw, pitch, roll)
    assert rotation(*euler(m)) == pytest.approx(m, abs=1e-6)
