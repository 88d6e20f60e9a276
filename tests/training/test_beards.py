"""Beards grow out of the skin they follow, where the look has one, and stay buried where nothing grows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.render.beards import BeardGround, make_beard
from training.render.looks import BEARDS, sample_look
from training.render.shell import grid_triangles


@pytest.fixture(scope="module")
def ground() -> BeardGround:
    """A patch of a cylinder: moustache in its upper rows, beard below, chin in the middle, bare at its rim."""
    turn, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, -8, 8))
    normals = np.stack([np.sin(turn), 0 * y, np.cos(turn)], -1).reshape(-1, 3).astype(np.float32)
    places = (9 * normals + np.stack([0 * y, y, 0 * y], -1).reshape(-1, 3)).astype(np.float32)
    weights = np.zeros((8, 9, 3), np.float32)
    weights[3:7, 1:8, 0], weights[1:3, 3:6, 1], weights[5:7, 3:6, 2] = 1, 1, 1
    follow = np.arange(100, 172, dtype=np.int32)
    return BeardGround(places, normals, weights.reshape(-1, 3), follow, grid_triangles(8, 9), np.ones(72, np.float32))


@pytest.mark.parametrize("kind", BEARDS)
def test_beards_lie_on_the_skin_where_they_grow_and_under_it_elsewhere(kind: str, ground: BeardGround) -> None:
    look = replace(sample_look(np.random.default_rng(3)), beard=kind)
    parts = make_beard(np.random.default_rng(4), look, ground)
    assert bool(parts) == (kind in ("moustache", "goatee", "full"))
    regions = {"full": [0, 1], "goatee": [1, 2], "moustache": [1]}.get(kind, [])
    grows = ground.weights[:, regions].max(axis=1, initial=0) > 0
    for part in parts:
        out = ((part.vertices - ground.places) * ground.normals).sum(axis=1)
        assert (out[grows] > 0).all()
        assert (out[~grows] < 0).all()
        np.testing.assert_array_equal(part.follow, ground.follow)
        assert part.uv.min() >= 0 and part.uv.max() <= 1
        assert 0.1 < (part.texture[..., 3] >= 128).mean() <= 1


def test_no_ground_no_beard() -> None:
    look = replace(sample_look(np.random.default_rng(3)), beard="full")
    assert make_beard(np.random.default_rng(0), look, None) == []
