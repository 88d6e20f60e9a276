"""Pairs for the generator: any number of frames, those chosen that teach most, and their truth."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.reenact.motion import PointModel
from mien_export.networks.studio import EXPRESSIONS, MOST_SHADE
from training.data import Shard, Shards
from training.pairs import EYES_AND_MOUTH, TURNED, Choice, PairSamples, light, middles

SCENES, FRAMES, POINTS, LANDMARKS = 3, 4, 110, 102


def a_shard() -> Shard:
    """Noise for pictures, but a plausible truth; F is not 3, and one scene is turned away."""
    rng = np.random.default_rng(0)
    several = (SCENES, FRAMES)
    pose = np.zeros((*several, 3), np.float32)
    pose[1, :, 0] = 0.6
    arrays: dict[str, NDArray[np.generic]] = {
        "rgb": rng.integers(0, 256, (*several, 256, 256, 3), np.uint8),
        "alpha": np.zeros((*several, 256, 256), np.uint8),
        "flow": np.zeros((SCENES, FRAMES, FRAMES, 128, 128, 2), np.float16),
        "visible": np.full((SCENES, FRAMES, FRAMES, 128, 128), 255, np.uint8),
        "pose": pose,
        "place": np.tile(np.array([0, 0, np.log(1 / 15)], np.float32), (*several, 1)),
        "gaze": np.zeros((*several, 2), np.float32),
        "landmarks": rng.uniform(-0.6, 0.6, (*several, LANDMARKS, 2)).astype(np.float32),
        "offsets": np.zeros((*several, POINTS, 3), np.float32),
    }
    arrays["alpha"][..., 60:200, 60:200] = 255
    arrays["offsets"][2, 3, 8, 1] = -1.0  # one frame whose jaw alone has dropped
    arrays["offsets"][2, 3, 65:68, 1] = -1.0  # and with it the lower lip: the mouth is open
    return Shard(arrays)


def a_model() -> PointModel:
    rng = np.random.default_rng(1)
    values = len(EXPRESSIONS)
    return PointModel(
        points=rng.uniform(-8, 8, (POINTS, 3)).astype(np.float32),
        basis=np.zeros((POINTS, 3, values), np.float32),
        spread=np.eye(POINTS, LANDMARKS, dtype=np.float32),
        rigid=np.ones(POINTS, np.float32),
        pivot=np.zeros(3, np.float32),
        limits=np.array([[-1] * values, [1] * values], np.float32),
    )


@pytest.fixture
def samples(tmp_path: object) -> PairSamples:
    order = np.arange(LANDMARKS)
    return PairSamples(Shards(tmp_path), a_model(), order, batch=2, seed=1)  # type: ignore[arg-type]


def test_a_sample_has_all_that_the_losses_read(samples: PairSamples) -> None:
    rng = np.random.default_rng(3)
    for _ in range(6):
        one = samples.sample([a_shard()], rng)
    shapes = {name: value.shape for name, value in one.items()}
    assert shapes["source"] == shapes["driving"] == (3, 256, 256)
    assert shapes["openings"] == shapes["source_openings"] == (3, 128, 128)
    assert shapes["source_points"] == shapes["driving_points"] == (POINTS, 3)
    assert shapes["flow"] == (2, 128, 128) and shapes["light"] == (3, 64, 64) and shapes["middles"] == (3, 2)
    assert {shapes[name] for name in ("visible", "head", "rim", "near")} == {(1, 128, 128)}
    assert one["source"].dtype == one["mask"].dtype == np.uint8


def test_the_rim_lies_around_the_head_alone(samples: PairSamples) -> None:
    one = samples.sample([a_shard()], np.random.default_rng(0))
    head, rim = one["head"][0].astype(int), one["rim"][0].astype(int)
    assert (head + rim).max() == 255 and rim[64, 64] == 0 and rim[64, 5] == 0
    assert rim[64, 28] == 255 or rim[64, 101] == 255


def test_frames_of_which_the_mouth_changes_are_drawn_more_often() -> None:
    choice = Choice.of(a_shard())
    assert len(choice.pairs) == SCENES * FRAMES * (FRAMES - 1) and choice.odds.sum() == pytest.approx(1)
    changes = ((choice.pairs == (2, 0, 3)).all(1)).argmax(), ((choice.pairs == (2, 3, 0)).all(1)).argmax()
    still = ((choice.pairs == (2, 0, 1)).all(1)).argmax()
    assert all(choice.odds[c] == pytest.approx(2 * choice.odds[still]) for c in changes)


def test_now_and_then_nothing_moves_and_the_truth_says_so(
    samples: PairSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.pairs.STILL_SHARE", 1.0)
    one = samples.sample([a_shard()], np.random.default_rng(2))
    np.testing.assert_array_equal(one["source"], one["driving"])
    np.testing.assert_array_equal(one["source_points"], one["driving_points"])
    assert not one["flow"].any() and np.abs(one["light"]).max() < 0.02 and one["visible"].min() == 255
    monkeypatch.setattr("training.pairs.STILL_SHARE", 0.0)
    one = samples.sample([a_shard()], np.random.default_rng(2))
    assert (one["source_points"] != one["driving_points"]).any()


def test_turned_sources_are_found_where_there_are_any() -> None:
    shard, rng = a_shard(), np.random.default_rng(0)
    choice = Choice.of(shard)
    assert {choice.draw(rng, turned=True)[0] for _ in range(20)} == {1}
    assert len({choice.draw(rng, turned=False)[0] for _ in range(40)}) == SCENES
    shard["pose"][...] = TURNED / 2
    assert len({Choice.of(shard).draw(rng, turned=True)[0] for _ in range(40)}) == SCENES


def test_light_is_what_the_moved_source_lacks() -> None:
    ramp = np.tile(np.linspace(40, 120, 256), (256, 1))
    source = np.repeat(ramp[..., None], 3, 2).astype(np.uint8)
    flow = np.zeros((128, 128, 2), np.float32)
    flow[..., 0] = 16 / 128  # every place comes from 16 px further right
    moved = cv2.warpAffine(
        source, np.array([[1, 0, -16], [0, 1, 0]], float), (256, 256), borderMode=cv2.BORDER_REPLICATE
    )
    assert np.abs(light(source, moved, flow)[:, :, :56]).max() < 0.03
    brighter = np.clip(moved.astype(np.float32) * (1.5, 1, 0.1), 0, 255).astype(np.uint8)
    gains = light(source, brighter, flow)[:, :, :56].mean((1, 2))
    assert gains[0] == pytest.approx(np.log(1.5), abs=0.04) and abs(gains[1]) < 0.02
    assert gains[2] == pytest.approx(-MOST_SHADE, abs=0.15) and gains[2] > -MOST_SHADE - 1e-3


def test_middles_are_those_of_eyes_and_mouth() -> None:
    landmarks = np.zeros((LANDMARKS, 2), np.float32)
    for part, place in zip(EYES_AND_MOUTH, ((-0.2, -0.1), (0.2, -0.1), (0, 0.3)), strict=True):
        landmarks[list(part)] = place
    np.testing.assert_allclose(middles(landmarks), [(-0.2, -0.1), (0.2, -0.1), (0, 0.3)], atol=1e-6)


def test_both_pictures_of_a_pair_get_the_same_look(samples: PairSamples) -> None:
    picture = a_shard()["rgb"][0, 0]
    for seed in range(6):
        one, other = samples.disturb_both([picture, picture], np.random.default_rng(seed))
        np.testing.assert_array_equal(one, other)
