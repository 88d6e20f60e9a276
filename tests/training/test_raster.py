"""The rasteriser against closed forms: a triangle's area, a sphere's depth, hidden planes, cut-out texels."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.render.raster import rasterise, weights_at

OPAQUE = np.zeros((1, 3), np.int32)
NO_TEXELS = np.zeros(0, np.uint8)


def draw(
    screen: NDArray[np.float32], triangles: NDArray[np.int32], size: int, one_sided: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    parts = np.zeros(len(triangles), np.int32)
    uv = np.zeros((len(screen), 2), np.float32)
    return rasterise(screen, triangles, parts, np.array([one_sided], np.uint8), uv, triangles, OPAQUE, NO_TEXELS, size)


def test_triangle_covers_exactly_the_samples_inside() -> None:
    screen = np.array([[3.2, 4.1, 1], [8.7, 55.3, 1], [60.9, 20.2, 1]], np.float32)
    _, ids = draw(screen, np.array([[0, 1, 2]], np.int32), 64)
    y, x = np.mgrid[:64, :64] + 0.5
    inside = np.ones((64, 64), bool)
    for k in range(3):
        (ax, ay, _), (bx, by, _) = screen[k], screen[(k + 1) % 3]
        inside &= (bx - ax) * (y - ay) - (by - ay) * (x - ax) < 0
    assert inside.sum() > 1000
    np.testing.assert_array_equal(ids == 0, inside)


def test_two_triangles_share_an_edge_without_gap() -> None:
    screen = np.array([[2, 2, 1], [2, 30, 1], [30, 30, 1], [30, 2, 1]], np.float32)
    _, ids = draw(screen, np.array([[0, 1, 2], [0, 2, 3]], np.int32), 32)
    assert (ids[2:30, 2:30] >= 0).all()
    assert (ids >= 0).sum() == 28 * 28


def test_back_faces_are_culled_only_where_one_sided() -> None:
    screen = np.array([[2, 2, 1], [30, 30, 1], [2, 30, 1]], np.float32)
    triangle = np.array([[0, 1, 2]], np.int32)
    assert (draw(screen, triangle, 32)[1] < 0).all()
    assert (draw(screen, triangle, 32, one_sided=0)[1] >= 0).any()


def test_depth_of_a_slanted_plane_is_perspective_correct() -> None:
    # depth 4 on the left edge, 8 on the right: 1 / depth is linear on the screen
    screen = np.array([[0, 0, 1 / 4], [0, 64, 1 / 4], [64, 64, 1 / 8], [64, 0, 1 / 8]], np.float32)
    nearness, _ = draw(screen, np.array([[0, 1, 2], [0, 2, 3]], np.int32), 64)
    expected = 1 / 4 + (np.arange(64) + 0.5) / 64 * (1 / 8 - 1 / 4)
    np.testing.assert_allclose(nearness[20], expected, rtol=1e-5)


def test_sphere_depth() -> None:
    vertices, triangles = sphere(64)
    distance, focal, size = 5.0, 200.0, 128
    near = 1 / (distance - vertices[:, 2])
    screen = np.stack([64 + focal * vertices[:, 0] * near, 64 - focal * vertices[:, 1] * near, near], 1)
    nearness, _ = draw(screen.astype(np.float32), triangles, size)
    y, x = np.mgrid[:size, :size] + 0.5 - 64
    ray = np.stack([x / focal, -y / focal, -np.ones_like(x)], -1)
    square, along = (ray**2).sum(-1), distance
    root = along**2 - square * (distance**2 - 1)
    depth = (along - np.sqrt(np.maximum(root, 0))) / square
    inside = root > 0.5
    assert inside.sum() > 2000
    np.testing.assert_allclose(1 / nearness[inside], depth[inside], atol=4e-3)
    assert (nearness[root < -0.5] == 0).all()


def sphere(rings: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    polar, around = np.meshgrid(np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, 2 * rings), indexing="ij")
    vertices = np.stack([np.sin(polar) * np.cos(around), np.cos(polar), np.sin(polar) * np.sin(around)], -1)
    index = np.arange(rings * 2 * rings).reshape(rings, 2 * rings)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    quads = np.stack([np.stack([a, c, b], -1), np.stack([a, d, c], -1)], 2)
    return vertices.reshape(-1, 3), quads.reshape(-1, 3).astype(np.int32)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_nearest_plane_wins_in_any_order(order: list[int]) -> None:
    far = [[0, 0, 0.1], [0, 32, 0.1], [32, 32, 0.1]]
    close = [[0, 0, 0.2], [0, 16, 0.2], [16, 16, 0.2]]
    screen = np.array(far + close, np.float32)
    triangles = np.array([[0, 1, 2], [3, 4, 5]], np.int32)[order]
    _, ids = draw(screen, triangles, 32)
    assert ids[10, 4] == order.index(1)
    assert ids[25, 4] == order.index(0)


def test_transparent_texels_are_not_drawn() -> None:
    texture = np.full((4, 4, 4), 255, np.uint8)
    texture[:, 2:, 3] = 0
    screen = np.array([[0, 0, 1], [0, 32, 1], [32, 32, 1], [32, 0, 1]], np.float32)
    uv = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    _, ids = rasterise(
        screen,
        triangles,
        np.zeros(2, np.int32),
        np.ones(1, np.uint8),
        uv,
        triangles,
        np.array([[0, 4, 4]], np.int32),
        texture.reshape(-1),
        32,
    )
    assert (ids[:, :16] >= 0).all()
    assert (ids[:, 16:] < 0).all()


def test_weights_are_perspective_correct_and_stay_on_the_triangle() -> None:
    screen = np.array([[0, 0, 1 / 2], [0, 10, 1 / 2], [10, 0, 1 / 6]], np.float32)
    corners = np.array([0, 1, 2], np.int32)
    # halfway on the screen between depths 2 and 6 is a quarter of the way in space
    np.testing.assert_allclose(weights_at(screen, corners, 5.0, 0.0), (0.75, 0, 0.25), atol=1e-6)
    outside = weights_at(screen, corners, -3.0, 4.0)
    assert min(outside) >= 0
    assert sum(outside) == pytest.approx(1)


def test_what_lies_behind_the_camera_or_outside_is_ignored() -> None:
    screen = np.array([[0, 0, -1], [0, 32, 1], [32, 32, 1], [100, 100, 1], [100, 140, 1], [140, 140, 1]], np.float32)
    nearness, ids = draw(screen, np.array([[0, 1, 2], [3, 4, 5]], np.int32), 32)
    assert (ids < 0).all()
    assert (nearness == 0).all()
