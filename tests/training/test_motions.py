"""What frames are drawn by chance: plausible faces, broad poses and glances, nothing that gives another away."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.render.expressions import MOODS, SOUNDS, add, clipped, sample_expression
from training.render.motion import Motion, sample_motions

NAMES = (
    "jawOpen", "mouthClose", "eyeBlink_L", "eyeBlink_R", "mouthSmile_L", "mouthSmile_R", "cheekSquint_L", "browDown_L",
    "browInnerUp_L", "mouthPucker", "mouthUpperUp_L", "eyeLookUp_L", "eyeLookOut_L",
)  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> list[list[Motion]]:
    return [sample_motions(np.random.default_rng(seed), NAMES, 3) for seed in range(500)]


def _weights(drawn: list[list[Motion]], name: str, frames: slice = slice(None)) -> NDArray[np.float64]:
    return np.array([m.weights[NAMES.index(name)] for scene in drawn for m in scene[frames]])


def test_motions_are_reproducible_and_in_range(drawn: list[list[Motion]]) -> None:
    motions = [m for scene in drawn for m in scene]
    weights, tongue = np.stack([m.weights for m in motions]), np.stack([m.tongue for m in motions])
    assert weights.min() >= 0
    assert weights.max() <= 1
    assert np.abs(tongue).max() <= 1
    assert tongue[:, :2].min() >= 0
    again = sample_motions(np.random.default_rng(7), NAMES, 3)
    np.testing.assert_array_equal(again[2].pose, drawn[7][2].pose)
    np.testing.assert_array_equal(again[1].weights, drawn[7][1].weights)


def test_poses_reach_three_quarter_views_and_do_not_tell_the_jaw(drawn: list[list[Motion]]) -> None:
    poses = np.degrees(np.array([m.pose for scene in drawn for m in scene]))
    assert 0.25 < (np.abs(poses[:, 0]) > 25).mean() < 0.4
    assert 9 < poses[:, 1].std() < 13
    assert np.abs(poses).max() <= 50.001
    assert abs(np.corrcoef(_weights(drawn, "jawOpen"), poses[:, 1])[0, 1]) < 0.08


def test_gaze_is_broad_also_while_the_head_keeps_still(drawn: list[list[Motion]]) -> None:
    gaze = np.array([m.gaze for scene in drawn for m in scene])
    assert 0.25 < gaze[:, 0].std() < 0.36
    assert 0.14 < gaze[:, 1].std() < 0.22
    still = [s for s in drawn if np.ptp([np.degrees(m.pose) for m in s], axis=0).max() < 6]
    assert len(still) > 0.15 * len(drawn)
    assert np.mean([np.ptp([m.gaze[0] for m in s]) > 0.25 for s in still]) > 0.5


def test_lids_close_completely_and_together(drawn: list[list[Motion]]) -> None:
    left, right = _weights(drawn, "eyeBlink_L"), _weights(drawn, "eyeBlink_R")
    assert 0.06 < (left > 0.93).mean() < 0.25
    assert ((left > 0.1) & (left < 0.9)).mean() > 0.1
    assert np.corrcoef(left, right)[0, 1] > 0.8
    shut = left > 0.99
    assert _weights(drawn, "eyeLookUp_L")[shut].max() < 0.02


def test_smiles_lift_the_cheeks_and_sources_are_calm(drawn: list[list[Motion]]) -> None:
    smile = _weights(drawn, "mouthSmile_L")
    assert np.corrcoef(smile, _weights(drawn, "cheekSquint_L"))[0, 1] > 0.5
    assert np.corrcoef(smile, _weights(drawn, "mouthSmile_R"))[0, 1] > 0.7
    first, later = (_weights(drawn, "jawOpen", f) + _weights(drawn, "mouthSmile_L", f) for f in (slice(1), slice(1, 3)))
    assert (first < 0.1).mean() > (later < 0.1).mean()


def test_lips_close_no_further_than_the_jaw_opens() -> None:
    face = clipped({"mouthClose": 0.8, "jawOpen": 0.2, "mouthSmile_L": 1.4, "tongueSide": -3.0})
    assert face["mouthClose"] == pytest.approx(0.21)
    assert face["mouthSmile_L"] == 1
    assert face["tongueSide"] == -1


def test_shares_are_laid_on_both_sides_or_one() -> None:
    face: dict[str, float] = {}
    add(face, {"mouthSmile": 0.8, "jawOpen": 0.5}, 0.5, lean=-1.0)
    assert face == {"mouthSmile_L": 0.0, "mouthSmile_R": 0.4, "jawOpen": 0.25}


def test_every_named_movement_is_one_of_the_models() -> None:
    one_sided = {"jawOpen", "jawForward", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRollLower",
                 "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "tongueOut", "tongueUp"}  # fmt: skip
    for shares in (*MOODS.values(), *SOUNDS.values()):
        face: dict[str, float] = {}
        add(face, shares, 1.0)
        assert all(n in one_sided or n.endswith(("_L", "_R")) for n in face)
    drawn = [sample_expression(np.random.default_rng(k)) for k in range(50)]
    assert all(0 <= v <= 1 for face in drawn for n, v in face.items() if n != "tongueSide")
