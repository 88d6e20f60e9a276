"""Rotations, the weak-perspective place, and dense flow and visibility against closed forms."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.geometry import euler, rotation
from training.render.posing import CENTRE, HALF_SPAN, Viewpoint
from training.render.raster import rasterise
from training.render.truth import backward_flow, fit_place, seen_rotation

QUAD = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
SIZE = 128


def test_place_recovers_a_known_weak_perspective() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 5, (40, 3)).astype(np.float32)
    matrix = rotation(0.4, -0.2, 0.1)
    flat = (points @ matrix.T)[:, :2] * [1, -1]
    place = fit_place(points, (0.07 * flat + [0.1, -0.2]).astype(np.float32), matrix)
    np.testing.assert_allclose(place, [0.1, -0.2, np.log(0.07)], atol=1e-5)


def test_distant_camera_agrees_with_its_weak_perspective() -> None:
    rng = np.random.default_rng(1)
    points = (rng.normal(0, 4, (60, 3)) + CENTRE).astype(np.float32)
    viewpoint = Viewpoint(20000.0, 1.2, np.array([0.05, -0.1], np.float32))
    seen = viewpoint.project(points)[:, :2]
    place = fit_place(points - CENTRE, seen, np.eye(3))
    np.testing.assert_allclose(place, [0.05, -0.1, np.log(1.2 / HALF_SPAN)], atol=2e-3)


def test_seen_rotation_turns_with_the_line_of_sight() -> None:
    # a head left of the axis (to the camera's right) that looks straight ahead shows its right side: yaw > 0
    ray = np.array([10.0, 0, -50])
    seen = euler(seen_rotation(np.eye(3), ray))
    np.testing.assert_allclose(seen, [np.arctan2(10, 50), 0, 0], atol=1e-9)
    np.testing.assert_allclose(seen_rotation(np.eye(3), np.array([0, 0, -5.0])), np.eye(3), atol=1e-12)


@dataclass(frozen=True)
class Seen:
    screen: NDArray[np.float32]
    nearness: NDArray[np.float32]
    ids: NDArray[np.int32]


def views(vertices: list[NDArray[np.float64]], triangles: NDArray[np.int32]) -> list[Seen]:
    viewpoint = Viewpoint(60.0, 1.0, np.zeros(2, np.float32))
    result = []
    for positions in vertices:
        screen = viewpoint.project(positions.astype(np.float32))
        screen[:, :2] = (screen[:, :2] + 1) * 2 * SIZE
        nearness, ids = rasterise(
            screen, triangles, np.zeros(len(triangles), np.int32), np.ones(1, np.uint8),
            np.zeros((len(screen), 2), np.float32), triangles, np.zeros((1, 3), np.int32), np.zeros(0, np.uint8),
            4 * SIZE,
        )  # fmt: skip
        result.append(Seen(screen, nearness, ids))
    return result


def flow_between(
    driving: Seen, source: Seen, triangles: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    return backward_flow(
        driving.ids,
        driving.screen,
        source.screen,
        source.nearness,
        triangles,
        np.zeros(len(triangles), np.int32),
        np.ones(1, np.uint8),
        SIZE,
        0.3,
    )


def square(centre: tuple[float, float, float], half: float) -> NDArray[np.float64]:
    corners = np.array([[-1, 1, 0], [-1, -1, 0], [1, -1, 0], [1, 1, 0]]) * half
    return np.asarray(corners + CENTRE + centre)


def test_flow_of_a_turned_plane_is_its_homography() -> None:
    plane = square((0, 0, 0), 8)
    turned = (plane - CENTRE) @ rotation(0.5, 0.3, -0.4).T + CENTRE + [2.0, -1, 3]
    driving, source = views([plane, turned], QUAD)
    flow, visible = flow_between(driving, source, QUAD)
    h = homography(driving.screen[:, :2], source.screen[:, :2])
    y, x = np.mgrid[:SIZE, :SIZE] * 4 + 2.5
    mapped = np.stack([x, y, np.ones_like(x)], -1) @ h.T
    expected = (mapped[..., :2] / mapped[..., 2:] - np.stack([x, y], -1)) / (2 * SIZE)
    inside = driving.ids[2::4, 2::4] >= 0
    assert inside.sum() > 3000
    np.testing.assert_allclose(flow[inside], expected[inside], atol=1e-4)
    assert (visible[inside] == 255).all()
    assert (flow[~inside] == 0).all()


def homography(start: NDArray[np.float32], stop: NDArray[np.float32]) -> NDArray[np.float64]:
    rows = []
    for (x, y), (u, v) in zip(start.astype(float), stop.astype(float), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y, -u], [0, 0, 0, x, y, 1, -v * x, -v * y, -v]]
    return np.asarray(np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3))


def test_a_nearer_plane_hides_the_farther_one() -> None:
    triangles = np.concatenate([QUAD, QUAD + 4])
    back = square((0, 0, 0), 10)
    driving, source = views(
        [np.concatenate([back, square((-20, 0, 5), 4)]), np.concatenate([back, square((0, 0, 5), 4)])], triangles
    )
    flow, visible = flow_between(driving, source, triangles)
    hidden = source.ids[2::4, 2::4] >= 2
    plane = driving.ids[2::4, 2::4] < 2
    plane &= driving.ids[2::4, 2::4] >= 0
    inner = plane & ~grown(~hidden)
    assert inner.sum() > 1000
    assert (visible[inner] == 0).all()
    apart = plane & ~grown(hidden)
    assert apart.sum() > 1000
    assert (visible[apart] == 255).all()
    np.testing.assert_allclose(flow[plane], 0, atol=1e-4)


def test_background_is_visible_where_nobody_stands_in_the_source() -> None:
    driving, source = views([square((-8, 0, 0), 3), square((8, 0, 0), 3)], QUAD)
    _, visible = flow_between(driving, source, QUAD)
    empty = driving.ids[2::4, 2::4] < 0
    covered = source.ids[2::4, 2::4] >= 0
    assert (visible[empty & covered] == 0).all()
    assert (visible[empty & ~covered] == 255).all()


def test_what_turns_its_back_in_the_source_is_not_visible() -> None:
    plane = square((0, 0, 0), 8)
    away = (plane - CENTRE) @ rotation(np.pi, 0, 0).T + CENTRE
    driving, source = views([plane, away], QUAD)
    _, visible = flow_between(driving, source, QUAD)
    assert (visible[driving.ids[2::4, 2::4] >= 0] == 0).all()


def grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    wide = mask.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            wide |= np.roll(mask, step, axis)
    return wide
