"""Expression values, mirror tables, and the fit of the point model."""

import numpy as np

from training.points import LEFT_RIGHT, MIRROR_SIGN, MULTI_PIE_MIRROR, NAMES, fit_basis, fit_spread, measure


def test_mirroring_twice_is_nothing() -> None:
    assert [LEFT_RIGHT[i] for i in LEFT_RIGHT] == list(range(len(NAMES)))
    assert [MULTI_PIE_MIRROR[i] for i in MULTI_PIE_MIRROR] == list(range(68))


def test_measures_of_mirrored_offsets_are_the_mirrored_measures() -> None:
    rng = np.random.default_rng(0)
    offsets = rng.normal(size=(5, 68, 3)).astype(np.float32)
    gaze = rng.normal(size=(5, 2)).astype(np.float32)
    flipped = offsets[:, list(MULTI_PIE_MIRROR)] * np.array([-1, 1, 1], np.float32)
    expected = measure(offsets, gaze)[:, list(LEFT_RIGHT)] * MIRROR_SIGN
    np.testing.assert_allclose(measure(flipped, gaze * (-1, 1)), expected, atol=1e-6)


def test_a_closing_lid_is_a_negative_gap() -> None:
    offsets = np.zeros((1, 68, 3), np.float32)
    offsets[0, [37, 38], 1] = -0.8
    values = dict(zip(NAMES, measure(offsets, np.zeros((1, 2), np.float32))[0], strict=True))
    assert abs(values["lid_gap_right"] + 0.8) < 1e-6 and values["lid_gap_left"] == 0


def test_the_basis_gives_back_linear_offsets() -> None:
    rng = np.random.default_rng(1)
    basis = rng.normal(size=(10, 3, 4))
    values = rng.normal(size=(200, 4)).astype(np.float32)
    offsets = np.einsum("kce,ne->nkc", basis, values).astype(np.float32)
    np.testing.assert_allclose(fit_basis(offsets, values), basis, atol=0.02)


def test_landmarks_keep_their_own_offset_and_others_take_their_neighbours() -> None:
    points = np.array([[0, 0, 0], [5, 0, 0], [0.1, 0, 0], [60, 0, 0]], np.float32)
    spread = fit_spread(points, 2)
    np.testing.assert_allclose(spread[:2], np.eye(2))
    assert spread[2, 0] > 0.8 and spread[2].sum() <= 1 and spread[3].sum() < 1e-3
