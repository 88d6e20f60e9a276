"""The point model: projection, a person's own shape, transfer, and the openings drawn from points."""

from dataclasses import replace

import numpy as np
import pytest

from mien.geometry import rotation
from mien.reenact.motion import EYE_CM, EYES, FURTHER, MOST_TURN, SHUT, Motion, PointModel, draw_openings

LANDMARKS, POINTS, VALUES = 102, 120, 3


@pytest.fixture
def model() -> PointModel:
    rng = np.random.default_rng(3)
    points = rng.normal(0, 4, (POINTS, 3)).astype(np.float32)
    basis = rng.normal(0, 0.3, (POINTS, 3, VALUES)).astype(np.float32)
    spread = np.zeros((POINTS, LANDMARKS), np.float32)
    spread[:LANDMARKS] = np.eye(LANDMARKS)
    spread[LANDMARKS:, 0] = 1
    rigid = np.ones(POINTS, np.float32)
    limits = np.array([[-1] * VALUES, [1] * VALUES], np.float32)
    return PointModel(points, basis, spread, rigid, np.zeros(3, np.float32), limits)


def motion_at(
    model: PointModel, pose=(0.2, -0.1, 0.05), place=(0.1, -0.2, -2.5), expression=(0.3, -0.2, 0.1)
) -> Motion:
    motion = Motion(*(np.array(v, np.float32) for v in (pose, place, expression)), np.zeros((LANDMARKS, 2), np.float32))
    where = model.project(motion, np.zeros_like(model.points))[:LANDMARKS, :2]
    return replace(motion, landmarks=where)


def test_projection_is_the_perspective_of_the_contract(model: PointModel) -> None:
    motion = motion_at(model)
    head = (model.points[7] + model.basis[7] @ motion.expression) @ rotation(*motion.pose).T
    expected = np.exp(-2.5) * head[:2] * (1, -1) * EYE_CM / (EYE_CM - head[2]) + (0.1, -0.2)
    np.testing.assert_allclose(model.project(motion, np.zeros_like(model.points))[7, :2], expected, atol=1e-5)


def test_a_point_that_reaches_the_camera_stays_a_number(model: PointModel) -> None:
    close = replace(model, points=np.tile(np.array([[1, 1, 2 * EYE_CM]], np.float32), (POINTS, 1)))
    assert np.abs(close.project(motion_at(close, pose=(0, 0, 0)), close.points * 0)).max() < 5


def test_turning_to_the_subjects_left_moves_the_nose_to_the_right(model: PointModel) -> None:
    nose = replace(model, points=np.tile(np.array([[0, 0, 10]], np.float32), (POINTS, 1)), basis=model.basis * 0)
    straight, turned = (nose.project(motion_at(nose, pose=(yaw, 0, 0)), nose.points * 0)[0, 0] for yaw in (0.0, 0.4))
    assert turned > straight


def test_the_shape_of_the_mean_head_is_nothing(model: PointModel) -> None:
    assert np.abs(model.shape_of(motion_at(model))).max() < 1e-4


def test_with_their_own_shape_points_fall_on_the_landmarks(model: PointModel) -> None:
    motion = motion_at(model)
    rng = np.random.default_rng(0)
    motion = replace(motion, landmarks=motion.landmarks + rng.normal(0, 0.02, (LANDMARKS, 2)).astype(np.float32))
    placed = model.project(motion, model.shape_of(motion))
    np.testing.assert_allclose(placed[:LANDMARKS, :2], motion.landmarks, atol=1e-5)


def test_a_source_beyond_the_limits_holds_still_and_goes_hardly_further(model: PointModel) -> None:
    turned = motion_at(model, pose=(-0.95, 0.1, 0), expression=(1.4, 0, -2))
    driver = motion_at(model)
    still = model.transfer(turned, driver, driver)
    np.testing.assert_array_equal(still.pose, turned.pose)
    np.testing.assert_array_equal(still.expression, turned.expression)
    further = replace(driver, pose=driver.pose + np.float32([-0.3, 0, 0]), expression=driver.expression + np.float32(3))
    moved = model.transfer(turned, further, driver)
    assert moved.pose[0] == pytest.approx(turned.pose[0] - FURTHER)
    np.testing.assert_allclose(moved.expression, [1.4, 1, 1])
    back = replace(driver, pose=driver.pose + np.float32([0.5, 0, 0]))
    assert model.transfer(turned, back, driver).pose[0] == pytest.approx(-0.45)


def test_relative_transfer_of_an_unmoved_driver_leaves_the_source(model: PointModel) -> None:
    source, driver = motion_at(model), motion_at(model, pose=(0.5, 0.1, 0), place=(300, 200, 3), expression=(1, 1, 1))
    moved = model.transfer(source, driver, driver)
    for name in ("pose", "place", "expression"):
        np.testing.assert_allclose(getattr(moved, name), getattr(source, name), atol=1e-5)


def test_relative_transfer_measures_the_drivers_way_in_heads(model: PointModel) -> None:
    source = motion_at(model, place=(0, 0, np.log(0.05)))
    first = motion_at(model, place=(100, 100, np.log(10)))
    then = motion_at(model, place=(120, 90, np.log(11)))
    moved = model.transfer(source, then, first)
    np.testing.assert_allclose(moved.place, [0.1, -0.05, np.log(0.055)], atol=1e-5)


def test_transfer_stays_where_the_networks_have_been_trained(model: PointModel) -> None:
    source, driver = motion_at(model), motion_at(model, pose=(3, -3, 0), expression=(9, -9, 0))
    moved = model.transfer(source, driver, None)
    assert np.abs(moved.pose).max() <= MOST_TURN + 1e-6
    assert moved.expression.tolist() == [1, -1, 0]


def test_absolute_transfer_takes_the_drivers_pose_and_keeps_the_sources_place(model: PointModel) -> None:
    source, driver = motion_at(model), motion_at(model, pose=(0.5, 0.1, 0), place=(300, 200, 3))
    moved = model.transfer(source, driver, None)
    np.testing.assert_allclose(moved.pose, driver.pose)
    np.testing.assert_allclose(moved.place, source.place)


def test_of_a_driver_whose_neutral_face_is_unknown_only_the_expression_is_taken(model: PointModel) -> None:
    source, driver = motion_at(model), motion_at(model, pose=(0.5, 0.1, 0), place=(300, 200, 3), expression=(0.2, 9, 0))
    moved = model.express(source, driver)
    np.testing.assert_allclose(moved.expression, [0.5, 1, 0.1], atol=1e-6)
    np.testing.assert_allclose(moved.pose, source.pose)
    np.testing.assert_allclose(moved.place, source.place)


def test_a_motion_is_its_values_and_they_are_of_one_size(model: PointModel) -> None:
    motion = motion_at(model, place=(800, 500, np.log(20)))
    values = motion.values()
    assert values.shape == (3 + 3 + VALUES + 2 * LANDMARKS,) and np.abs(values).max() < 10
    again = motion_at(model).with_values(values)
    for name in ("pose", "place", "expression", "landmarks"):
        part = getattr(again, name)
        assert part.dtype == np.float32
        np.testing.assert_allclose(part, getattr(motion, name), rtol=1e-5)


def test_openings_fill_the_rings() -> None:
    points = np.zeros((LANDMARKS, 3), np.float32)
    mouth, eye = (range(60, 68), range(80, 88)), (range(36, 42), range(68, 74))
    for (corners, between), middle in ((mouth, (0, 0.5)), (eye, (-0.5, -0.5))):
        order = [v for pair in zip(corners, between, strict=True) for v in pair]
        angle = np.arange(len(order)) / len(order) * 2 * np.pi
        points[order, :2] = np.stack([np.cos(angle), np.sin(angle)], 1) * 0.2 + middle
    maps = draw_openings(points, 128)
    assert maps.shape == (2, 128, 128) and maps.dtype == np.float32
    assert maps[0, 96, 64] == 1 and maps[0, 20, 64] == 0
    assert maps[1, 32, 32] == 1 and maps[1, 96, 64] == 0
    assert abs(maps[0].sum() - np.pi * (0.2 * 64) ** 2) < 60


def test_irises_are_drawn_inside_the_eyes_alone() -> None:
    points = np.zeros((LANDMARKS, 3), np.float32)
    angle = np.arange(12) / 12 * 2 * np.pi
    order = [v for pair in zip(range(36, 42), range(68, 74), strict=True) for v in pair]
    points[order, :2] = np.stack([np.cos(angle), np.sin(angle)], 1) * 0.2 - 0.5
    points[100, :2], points[101, :2] = (-0.5, -0.5), (0.5, 0.5)
    maps = draw_openings(points, 128, irises=True)
    np.testing.assert_array_equal(maps[:2], draw_openings(points, 128))
    assert maps[2, 32, 32] == 1
    assert 20 < maps[2].sum() < 34  # one disc of 2.6 px with its soft edge: the other eye is shut


def test_what_was_not_seen_leaves_the_sources_own(model: PointModel) -> None:
    unsure = np.array([0.1, 2.0, 0.1, *[0.1] * 5], np.float32)
    source, first = motion_at(model), motion_at(model, expression=(0, 0, 0))
    then = replace(motion_at(model, expression=(0.2, 0.4, 0.1)), uncertainty=unsure)
    np.testing.assert_allclose(model.transfer(source, then, first).expression, [0.5, -0.2, 0.2], atol=1e-6)
    np.testing.assert_allclose(model.transfer(source, then, None).expression, [0.2, -0.2, 0.1], atol=1e-6)
    np.testing.assert_allclose(model.express(source, then).expression, [0.5, -0.2, 0.2], atol=1e-6)


def test_landmarks_that_were_not_seen_carry_nothing(model: PointModel) -> None:
    first = motion_at(model)
    moved = replace(first, landmarks=first.landmarks + np.float32(0.05))
    assert np.abs(model.rest_of(moved, first)[[0, 50]]).max(1).min() > 0.1
    hidden = replace(moved, uncertainty=np.array([0.1] * 3 + [0.1, 0.1, 0.1, 0.1, 5.0], np.float32))
    rest = model.rest_of(hidden, first)
    assert not rest[50].any() and np.array_equal(rest[0], model.rest_of(moved, first)[0])


def test_uncertainty_is_among_the_values_and_may_be_missing(model: PointModel) -> None:
    motion = replace(motion_at(model), uncertainty=np.arange(8, dtype=np.float32))
    assert motion.values().size == motion_at(model).values().size + 8
    np.testing.assert_allclose(motion.with_values(motion.values()).uncertainty, motion.uncertainty)
    assert motion_at(model).with_values(motion_at(model).values()).uncertainty.size == 0
    assert motion_at(model).trust.tolist() == [1, 1, 1]


def test_a_motion_of_a_networks_outputs_holds_what_the_network_says_and_no_more(model: PointModel) -> None:
    motion = motion_at(model)
    outputs = {name: getattr(motion, name) for name in ("pose", "place", "expression", "landmarks")}
    silent = Motion.of({**outputs, "confidence": np.ones(1, np.float32)})
    assert silent.uncertainty.size == 0 and np.array_equal(silent.values(), motion.values())
    unsure = Motion.of({**outputs, "uncertainty": np.arange(8.0), "place": motion.place.astype(np.float64)})
    assert unsure.uncertainty.tolist() == list(range(8)) and unsure.place.dtype == np.float32


def test_what_is_not_believed_of_a_value_is_carried_over_by_the_landmarks(model: PointModel) -> None:
    first = motion_at(model, expression=(0, 0, 0))
    moved = motion_at(model, expression=(0.4, 0, 0))
    sure, unsure = (
        replace(moved, uncertainty=np.array([doubt] + [0.1] * 7, np.float32)) for doubt in (0.1, 5.0)
    )  # the first value, then two more and five groups of landmarks
    for driving in (sure, unsure):
        given = model.transfer(first, driving, first)
        points = model.project(given, model.shape_of(first) + model.rest_of(driving, first))
        np.testing.assert_allclose(points[:LANDMARKS, :2], moved.landmarks, atol=1e-5)
    assert model.transfer(first, unsure, first).expression[0] == 0


@pytest.fixture
def flat(model: PointModel) -> PointModel:
    """Its eyes lie in one plane: where landmarks are in depth, no picture says."""
    points = model.points.copy()
    points[[index for ring in EYES for index in ring], 2] = 0
    return replace(model, points=points)


def person(model: PointModel, gap: float, hidden: bool = False) -> Motion:
    """Straight on, both eyes 3 cm wide and open by ``gap`` cm throughout."""
    shape = np.zeros_like(model.points)
    for centre, ring in zip((-3.0, 3.0), EYES, strict=True):
        half = len(ring) // 2
        place = np.zeros((len(ring), 3), np.float32)
        across = np.linspace(-1.5, 1.5, half + 1)
        place[:, 0] = centre + np.concatenate([across, across[-2:0:-1]])
        place[1:half, 1], place[half + 1 :, 1] = gap / 2, -gap / 2
        shape[list(ring)] = place - model.points[list(ring)]
    motion = motion_at(model, (0, 0, 0), (0, 0, -2.5), (0, 0, 0))
    uncertainty = np.full(VALUES + 5, 9.0 if hidden else 0.0, np.float32)
    return replace(motion, landmarks=model.project(motion, shape)[:LANDMARKS, :2], uncertainty=uncertainty)


def gaps(model: PointModel, source: Motion, driving: Motion, reference: Motion) -> np.ndarray:
    """(2, 5) cm between the lids of the portrait, its values at rest."""
    head = model.head(source, model.shape_of(source))
    head = head + model.lids_of(head, head, driving, reference)
    return np.array([np.linalg.norm(head[list(r[1:6])] - head[list(r[:6:-1])], axis=1) for r in EYES])


@pytest.mark.parametrize(("before", "wide"), [(0.5, 1.2), (1.2, 0.5)])
def test_eyes_close_by_the_share_by_which_the_drivers_do_whatever_their_size(
    flat: PointModel, before: float, wide: float
) -> None:
    source, shut = person(flat, wide), SHUT * 3
    first = person(flat, before)
    np.testing.assert_allclose(gaps(flat, source, person(flat, shut), first), shut, atol=0.02)
    half = person(flat, (before + shut) / 2)
    np.testing.assert_allclose(gaps(flat, source, half, first), (wide + shut) / 2, atol=0.02)
    for same in (first, person(flat, before + 0.3)):
        np.testing.assert_allclose(gaps(flat, source, same, first), wide, atol=1e-3)


def test_eyes_that_were_not_seen_close_nothing(flat: PointModel) -> None:
    source, first = person(flat, 1.0), person(flat, 1.0)
    assert gaps(flat, source, person(flat, 0.2, hidden=True), first).min() > 0.9


def test_who_begins_with_eyes_shut_does_not_blink_at_a_tremble(flat: PointModel) -> None:
    source, first = person(flat, 1.0), person(flat, SHUT * 3 + 0.03)
    assert gaps(flat, source, person(flat, SHUT * 3), first).min() > 0.85
