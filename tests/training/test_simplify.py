"""Simplification: fewer triangles on the same surface, kept vertices kept, borders, seams and folds respected."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.render.simplify import simplify

SIDE = 21


def grid() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    y, x = np.mgrid[:SIDE, :SIDE]
    places = np.stack([x, -y, 0 * x], -1).reshape(-1, 3).astype(np.float32)
    index = np.arange(SIDE * SIDE, dtype=np.int32).reshape(SIDE, SIDE)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    triangles = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    return places, triangles


def areas(places: NDArray[np.float32], triangles: NDArray[np.int32]) -> NDArray[np.float64]:
    flat = places[triangles][..., :2].astype(np.float64)
    (ux, uy), (vx, vy) = (flat[:, 1] - flat[:, 0]).T, (flat[:, 2] - flat[:, 0]).T
    return np.asarray(0.5 * (ux * vy - uy * vx))


def test_a_flat_sheet_keeps_its_area_border_and_kept_vertices() -> None:
    places, triangles = grid()
    weight = np.ones(len(places), np.float32)
    kept = [SIDE * 5 + 7, SIDE * 12 + 3]
    weight[kept] = np.inf
    left, left_uv = simplify(triangles, triangles, places[:, :2], places[None], weight, 150)
    assert len(left) <= 150
    np.testing.assert_array_equal(left, left_uv)
    area = areas(places, left)
    assert area.min() > 0
    assert area.sum() == pytest.approx((SIDE - 1) ** 2)
    border = np.flatnonzero((places[:, 0] % (SIDE - 1) == 0) | (places[:, 1] % (SIDE - 1) == 0))
    assert np.isin(border, left).all() and np.isin(kept, left).all()


def test_what_folds_in_one_pose_is_kept_there() -> None:
    places, triangles = grid()
    folded = places.copy()
    folded[:, 2] = np.abs(places[:, 0] - 14) * 0.8
    weight = np.ones(len(places), np.float32)
    plain, _ = simplify(triangles, triangles, places[:, :2], np.stack([places]), weight, 130)
    creased, _ = simplify(triangles, triangles, places[:, :2], np.stack([places, folded]), weight, 130)

    def error(left: NDArray[np.int32]) -> float:
        middles = folded[left].mean(axis=1)
        return float(np.abs(middles[:, 2] - np.abs(middles[:, 0] - 14) * 0.8).max())

    assert error(creased) < 0.02 < error(plain)


def test_a_texture_seam_stays_closed() -> None:
    places, triangles = grid()
    seam = np.arange(SIDE) * SIDE + 10
    right = places[triangles].mean(axis=1)[:, 0] > 10
    uv = np.concatenate([places[:, :2], places[seam, :2] + [100, 0]])
    twin = np.arange(len(places), dtype=np.int32)
    twin[seam] = len(places) + np.arange(SIDE)
    uv[: len(places)][places[:, 0] > 10, 0] += 100
    uv_triangles = np.where(right[:, None], twin[triangles], triangles)
    left, left_uv = simplify(triangles, uv_triangles, uv, places[None], np.ones(len(places), np.float32), 150)
    assert len(left) <= 160
    assert np.isin(left[:, :], seam).any()
    offset = uv[left_uv][..., 0] - places[left][..., 0]
    np.testing.assert_allclose(offset, offset[:, :1].repeat(3, axis=1), atol=1e-4)
    inside = (places[left][..., 0] <= 10).all(axis=1) | (places[left][..., 0] >= 10).all(axis=1)
    assert inside.all()
