"""Scores of rendered pairs: what is compared where, and in which units."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import pairs
from mien.faces import Tracked
from mien.geometry import Similarity


def test_decibel_of_a_known_error() -> None:
    answer = np.full((8, 8, 3), 100, np.uint8)
    result = answer.copy()
    result[:4] += 10
    assert pairs.decibel(result, answer) == pytest.approx(10 * np.log10(255**2 / 50))
    where = np.zeros((8, 8), np.bool_)
    where[:2] = True
    assert pairs.decibel(result, answer, where) == pytest.approx(10 * np.log10(255**2 / 100))
    assert pairs.decibel(result, answer, ~where) > pairs.decibel(result, answer, where)


def test_decibel_of_equal_pictures_and_of_nothing() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    assert pairs.decibel(picture, picture) == 99
    assert np.isnan(pairs.decibel(picture, picture, np.zeros((4, 4), np.bool_)))


def test_flow_error_is_in_pixels_of_the_flow() -> None:
    truth = np.zeros((2, 128, 128), np.float32)
    flow = truth.copy()
    flow[0] = 3 * 2 / 128
    flow[1] = 4 * 2 / 128
    seen = np.zeros((128, 128), np.bool_)
    seen[5, 5] = True
    flow[:, 9, 9] = 100
    assert pairs.flow_error(flow, truth, seen) == pytest.approx(5)
    assert np.isnan(pairs.flow_error(flow, truth, ~np.ones_like(seen)))


def test_around_openings_covers_eyes_and_mouth_and_little_else() -> None:
    landmarks = np.zeros((102, 2), np.float32)
    for part, x, y in zip(pairs.OPENINGS, (-0.4, 0.4, 0.0), (-0.2, -0.2, 0.5), strict=True):
        angle = np.linspace(0, 2 * np.pi, len(part), endpoint=False)
        landmarks[list(part)] = np.stack([x + 0.1 * np.cos(angle), y + 0.05 * np.sin(angle)], 1)
    mask = pairs.around_openings(landmarks)
    for x, y in ((-0.4, -0.2), (0.4, -0.2), (0.0, 0.5)):
        assert mask[int((y + 1) * 128), int((x + 1) * 128)]
    assert not mask[128, 128]
    assert 0.01 < mask.mean() < 0.1


def test_summary_gives_what_is_gained_above_a_copy() -> None:
    bald = float("nan")
    scores = [pairs.Score(25, 18, 23, 22, 15, 19, 2, 12, 1, 3), pairs.Score(27, 18, 23, 24, 15, 19, 4, 12, 3, bald)]
    table = pairs.summary(scores)
    assert table["mean"]["head, gained"] == pytest.approx(8)
    assert table["median"]["features, gained"] == pytest.approx(8)
    assert table["mean"]["head, gained by the true flow"] == pytest.approx(5)
    assert table["mean"]["flow"] == pytest.approx(3) == table["mean"]["flow_of_hair"]


def test_the_flow_of_hair_is_judged_apart_from_the_face() -> None:
    labels = np.zeros((2, 256, 256), np.uint8)
    labels[:, 60:100, 60:200], labels[:, 100:200, 60:200] = 17, 1
    maps = {"flow": np.zeros((1, 2, 128, 128), np.float32)}
    maps["flow"][0, 0, :50] = 4 / 64  # off by four pixels where the hair is
    scene = {
        "flow": np.zeros((2, 2, 128, 128, 2), np.float16), "labels": labels,
        "visible": np.full((2, 2, 128, 128), 255, np.uint8), "landmarks": np.zeros((2, 102, 2), np.float32),
    }  # fmt: skip
    picture = np.zeros((256, 256, 3), np.uint8)
    score = pairs.judge_pair(pairs.Pair(scene, 0, 1, picture, picture, picture, maps))
    assert (score.flow_of_face, score.flow_of_hair) == (0, pytest.approx(4))
    assert 0 < score.flow < 4


def test_warp_samples_along_the_flow() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[:, 200:] = 255
    flow = np.zeros((2, 128, 128), np.float32)
    flow[0] = 50 * 2 / 256  # each pixel takes what lies 50 pixels to its right
    assert pairs.warp(picture, flow)[100, 160].tolist() == [255] * 3
    assert pairs.warp(picture, flow)[100, 140].tolist() == [0] * 3


def test_what_the_network_is_unsure_of_reaches_the_pair() -> None:
    """The crop seen here is the right half of the picture; 0.5 across it is three quarters across the whole."""
    crop = Similarity.from_crop((192.0, 128.0), 128.0, 192)
    outputs = {
        "pose": np.zeros(3), "place": np.array([0.0, 0.0, -2.0]), "expression": np.zeros(4),
        "landmarks": np.array([[0.5, 0.0]]), "uncertainty": np.full(9, 0.5),
    }  # fmt: skip
    tracked = Tracked(crop, {name: value.astype(np.float32) for name, value in outputs.items()}, 1.0, 192)
    model = SimpleNamespace(tracker=lambda: SimpleNamespace(step=lambda picture: tracked))
    motion = pairs.read(model, np.zeros((256, 256, 3), np.uint8))
    assert motion is not None and motion.uncertainty.tolist() == [0.5] * 9
    np.testing.assert_allclose(motion.landmarks, [[0.75, 0.0]], atol=1e-6)
