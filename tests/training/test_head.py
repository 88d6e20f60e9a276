"""Mesh helpers, blendshapes and the neck, on meshes small enough to check by hand."""

import numpy as np

from mien.geometry import rotation
from training.render.blend import Blendshapes
from training.render.head import azimuthal, halfway, mesh_edges, split_quads
from training.render.motion import Motion
from training.render.person import spread
from training.render.posing import turn


def motion(pose: tuple[float, float, float], body: tuple[float, float, float] = (0, 0, 0)) -> Motion:
    zero = np.zeros(2, np.float32)
    return Motion(zero, zero, np.array(pose, np.float32), np.array(body, np.float32), zero, 1.0, zero)


def test_quads_split_in_their_own_winding() -> None:
    quads = np.array([[0, 1, 2, 3], [4, 5, 6, -1]], np.int32)
    assert sorted(map(tuple, split_quads(quads).tolist())) == [(0, 1, 2), (0, 2, 3), (4, 5, 6)]


def test_halfway_follows_the_mesh_not_the_straight_line() -> None:
    # a U: the straight line's middle is nearest to vertex 5, which only a detour reaches
    vertices = np.array([[0, 0, 0], [0, -2, 0], [2, -2, 0], [4, -2, 0], [4, 0, 0], [2, 0.1, 9]], np.float32)
    triangles = np.array([[0, 1, 5], [1, 2, 5], [2, 3, 5], [3, 4, 5]], np.int32)
    edges = mesh_edges(triangles, vertices)
    assert halfway(edges, vertices, 0, 4) == 2


def test_eye_texture_centre_is_the_pupil() -> None:
    centre = np.zeros(3, np.float32)
    ahead, up, left = [0, 0, 2], [0, 2, 0], [2, 0, 0]
    uv = azimuthal(np.array([ahead, up, left], np.float32), centre)
    np.testing.assert_allclose(uv, [[0.5, 0.5], [0.5, 0.0], [1.0, 0.5]], atol=1e-6)


def test_sparse_blendshapes_equal_the_dense_sum() -> None:
    rng = np.random.default_rng(0)
    shapes = rng.normal(0, 1, (6, 30, 3)).astype(np.float32) * (rng.random((6, 30, 1)) < 0.3)
    weights = rng.random(6).astype(np.float32)
    dense = np.einsum("e,evc->vc", weights, shapes)
    np.testing.assert_allclose(Blendshapes.from_dense(shapes).mix(weights), dense, atol=1e-5)


def test_the_head_turns_rigidly_and_the_shoulders_stay() -> None:
    rng = np.random.default_rng(0)
    vertices = rng.normal(0, 6, (50, 3)).astype(np.float32)
    pose = (0.5, -0.3, 0.2)
    head = turn(vertices, np.ones(50, np.float32), motion(pose))
    expected = (vertices - vertices[0]) @ rotation(*pose).T
    np.testing.assert_allclose(head - head[0], expected, atol=1e-4)
    np.testing.assert_allclose(turn(vertices, np.zeros(50, np.float32), motion(pose)), vertices, atol=1e-5)


def test_spread_keeps_a_constant_and_follows_the_nearest() -> None:
    anchors = np.array([[0, 0, 0], [20, 0, 0]], np.float32)
    places = np.array([[0.5, 0, 0], [19.5, 0, 0]], np.float32)
    same = spread(places, anchors, np.full((2, 3), 0.7, np.float32))
    np.testing.assert_allclose(same, 0.7, atol=1e-6)
    own = spread(places, anchors, np.array([[1, 0, 0], [0, 1, 0]], np.float32))
    np.testing.assert_allclose(own, [[1, 0, 0], [0, 1, 0]], atol=1e-3)
