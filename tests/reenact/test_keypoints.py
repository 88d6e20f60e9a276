"""LivePortrait's keypoints: angles, rotations, and which part of a driver's head reaches the portrait."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.reenact import keypoints
from mien.reenact.keypoints import EYES, LIPS, Head
from mien.reenact.transfer import REGIONS, Region

angles = st.lists(st.floats(-90, 90), min_size=3, max_size=3)
seeds = st.integers(0, 2**32 - 1)


def head(seed: int) -> Head:
    rng = np.random.default_rng(seed)
    turn = keypoints.rotation_of(rng.uniform(-60, 60, 3))
    return Head(turn, rng.normal(0, 0.05, (21, 3)), float(rng.uniform(0.5, 2)), rng.normal(0, 0.2, 2))


def changed_rows(one: Head, other: Head) -> set[int]:
    return set(np.flatnonzero((one.expression != other.expression).any(1)).tolist())


def test_angles_are_the_middles_of_their_classes() -> None:
    sure = np.where(np.eye(66, dtype=bool), 200.0, 0.0)
    np.testing.assert_allclose(keypoints.degrees(sure), 3 * np.arange(66) - 97.5, atol=1e-9)
    assert keypoints.degrees(np.zeros(66)) == pytest.approx(0)
    assert keypoints.degrees(np.full(66, 1e5)) == pytest.approx(0), "large logits do not overflow"


@given(angles)
def test_rotations_turn_about_x_then_y_then_z(given_angles: list[float]) -> None:
    pitch, yaw, roll = given_angles
    turn = keypoints.rotation_of(given_angles)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    steps = [keypoints.rotation_of(step) for step in ([pitch, 0, 0], [0, yaw, 0], [0, 0, roll])]
    np.testing.assert_allclose(turn, steps[0] @ steps[1] @ steps[2], atol=1e-12)


def test_each_angle_turns_its_own_way() -> None:
    towards = np.array([0.0, 0.0, -1.0])  # the tip of a nose: z goes into the picture
    assert (towards @ keypoints.rotation_of([0, 30, 0]))[0] == pytest.approx(-0.5), "yaw: to the left in the picture"
    assert (towards @ keypoints.rotation_of([30, 0, 0]))[1] == pytest.approx(0.5), "pitch: down"
    right = np.array([1.0, 0.0, 0.0])
    assert (right @ keypoints.rotation_of([0, 0, 30]))[1] == pytest.approx(0.5), "roll: clockwise"


@given(angles, st.floats(0.3, 3))
def test_the_nearest_rotation_undoes_a_change_of_size(given_angles: list[float], size: float) -> None:
    turn = keypoints.rotation_of(given_angles)
    np.testing.assert_allclose(keypoints.nearest_rotation(size * turn), turn, atol=1e-9)


def test_the_nearest_rotation_never_mirrors() -> None:
    assert np.linalg.det(keypoints.nearest_rotation(np.diag([1.0, 1.0, -1.0]))) == pytest.approx(1)


def test_points_are_turned_then_expressed_then_scaled_then_moved_but_not_in_depth() -> None:
    canonical = np.arange(63.0).reshape(21, 3)
    quarter = keypoints.rotation_of([0, 0, 90])
    still = Head(quarter, np.full((21, 3), 0.5), 2.0, np.array([10.0, 20.0]))
    expected = 2 * (np.stack([-canonical[:, 1], canonical[:, 0], canonical[:, 2]], 1) + 0.5) + (10, 20, 0)
    np.testing.assert_allclose(keypoints.placed(canonical, still), expected, atol=1e-9)


@given(seeds, st.sampled_from(REGIONS))
def test_relative_motion_of_an_unmoved_driver_leaves_the_portrait(seed: int, region: Region) -> None:
    source, driver = head(seed), head(seed + 1)
    moved = keypoints.relative(source, driver, driver, region)
    for name in ("rotation", "expression", "scale", "translation"):
        np.testing.assert_allclose(getattr(moved, name), getattr(source, name), atol=1e-12)


@given(seeds)
def test_relative_motion_is_the_drivers_change(seed: int) -> None:
    source, driver, first = head(seed), head(seed + 1), head(seed + 2)
    moved = keypoints.relative(source, driver, first, "all")
    np.testing.assert_allclose(moved.rotation @ source.rotation.T, driver.rotation @ first.rotation.T, atol=1e-12)
    np.testing.assert_allclose(moved.expression - source.expression, driver.expression - first.expression, atol=1e-12)
    np.testing.assert_allclose(moved.translation - source.translation, driver.translation - first.translation)
    assert moved.scale / source.scale == pytest.approx(driver.scale / first.scale)


@pytest.mark.parametrize(
    ("region", "rows", "turns", "grows"),
    [
        ("all", set(range(21)), True, True),
        ("expression", set(range(21)), False, False),
        ("pose", set(), True, False),
        ("lips", set(LIPS), False, False),
        ("eyes", set(EYES), False, False),
    ],
)
def test_a_region_moves_only_its_part(region: Region, rows: set[int], turns: bool, grows: bool) -> None:
    source, driver, first = head(0), head(1), head(2)
    moved = keypoints.relative(source, driver, first, region)
    assert changed_rows(moved, source) == rows
    assert bool((moved.rotation != source.rotation).any()) is turns
    assert bool((moved.translation != source.translation).any()) is turns
    assert (moved.scale != source.scale) is grows


@pytest.mark.parametrize("region", ["lips", "eyes", "pose", "expression"])
def test_absolute_motion_of_a_region_moves_only_its_part(region: Region) -> None:
    source, driver = head(0), head(1)
    moved = keypoints.absolute(source, driver, region)
    expected = {"lips": set(LIPS), "eyes": set(EYES), "pose": set(), "expression": set(range(21)) - {0, 7, 10}}
    assert changed_rows(moved, source) == expected[region]
    assert bool((moved.rotation == driver.rotation).all()) is (region == "pose")
    assert moved.scale == source.scale


def test_absolute_motion_takes_pose_and_place_and_most_of_the_expression() -> None:
    source, driver = head(0), head(1)
    moved = keypoints.absolute(source, driver, "all")
    np.testing.assert_array_equal(moved.rotation, driver.rotation)
    np.testing.assert_array_equal(moved.translation, driver.translation)
    taken: NDArray[np.bool_] = moved.expression == driver.expression
    assert (taken | (moved.expression == source.expression)).all()
    assert [i for i in range(21) if taken[i].all()] == [1, 2, 6, *range(11, 21)]
    parts = {i: "".join(np.array(list("xyz"))[taken[i]]) for i in range(21) if taken[i].any() and not taken[i].all()}
    assert parts == {3: "y", 4: "y", 5: "z", 8: "z", 9: "yz"}


def test_a_single_picture_drives_by_its_expression_alone() -> None:
    """The family's way to do it: the reference is the driver itself, with a mouth at rest."""
    source, driver = head(0), head(1)
    rest = np.zeros((21, 3))
    moved = keypoints.relative(source, driver, replace(driver, expression=rest), "all")
    np.testing.assert_allclose(moved.rotation, source.rotation, atol=1e-12)
    np.testing.assert_allclose(moved.expression, source.expression + driver.expression, atol=1e-12)
    assert moved.scale == pytest.approx(source.scale)
