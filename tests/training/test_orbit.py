"""Eye depth and lid folds on a few vertices of a stand-in head."""

from __future__ import annotations

import numpy as np

from training.render import head as kit
from training.render.head import Head
from training.render.orbit import orbit_relief


def _head() -> Head:
    ids = np.array([0, 1, 2, kit.TEETH[0], kit.EYE_LEFT[0], kit.EYE_LEFT[0] + 1, kit.EYE_RIGHT[0]], np.int32)
    left, right = kit.EYE_CENTRES
    places = [left + [0, 0.4, 1.5], left + [0, 1.25, 1.6], [0, -5, 10], [0, -3, 10], left + [0, 0, 1.5], left, right]
    neutral = np.array(places, np.float32)
    none = np.zeros((0, len(ids), 3), np.float32)
    empty = np.zeros(0, np.int32)
    return Head(neutral, none, none, (), {}, np.zeros((0, 3), np.int32), ids, empty, empty)


def test_eyeball_and_lid_sink_together() -> None:
    relief = orbit_relief(_head(), depth=0.4, hood=0.0, ridge=0.0)
    np.testing.assert_allclose(relief[[0, 4, 5, 6], 2], -0.4, atol=1e-3)
    np.testing.assert_array_equal(relief[[2, 3]], 0)


def test_hood_moves_the_fold_and_not_the_eye() -> None:
    relief = orbit_relief(_head(), depth=0.0, hood=0.3, ridge=0.0)
    np.testing.assert_allclose(relief[1], [0, -0.15, 0.3], atol=1e-3)
    np.testing.assert_allclose(relief[4:], 0, atol=1e-6)
    assert abs(relief[0, 2]) < 0.02
