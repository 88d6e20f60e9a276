"""Crops and their labels move together; disturbed pictures stay pictures."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.geometry import rotation
from training.data import ARRAYS, Labels, Sample, Samples, Shard, Shards, cut, disturb


def labels(points: np.ndarray) -> Labels:
    pose = np.array([0.3, -0.2, 0.1], np.float32)
    place = np.array([0.05, -0.1, np.log(0.06)], np.float32)
    return Labels(pose, place, np.zeros(27, np.float32), points.astype(np.float32))


@pytest.mark.parametrize("angle", [0.0, 0.4, -0.7])
def test_a_landmark_stays_on_its_pixel(angle: float) -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    spot = np.array([0.2, -0.15])
    x, y = (spot + 1) * 128
    cv2.circle(picture, (round(float(x) - 0.5), round(float(y) - 0.5)), 3, (255, 255, 255), -1)
    centre = np.array([0.1, -0.05], np.float32)
    crop = cut(picture, centre, 1.3, angle, 144, cv2.BORDER_CONSTANT)
    moved = labels(spot[None]).cropped(centre, 1.3, angle).landmarks[0]
    rows, columns = np.nonzero(crop[..., 0] > 128)
    np.testing.assert_allclose((moved + 1) * 72, [columns.mean() + 0.5, rows.mean() + 0.5], atol=0.6)


def test_a_turned_crop_turns_the_projection_with_it() -> None:
    rng = np.random.default_rng(2)
    head = rng.normal(0, 5, (20, 3))

    def project(one: Labels) -> np.ndarray:
        flat = (head @ rotation(*one.pose).T)[:, :2] * (1, -1)
        return np.exp(one.place[2]) * flat + one.place[:2]

    before = labels(np.zeros((20, 2)))
    before = Labels(before.pose, before.place, before.expression, project(before).astype(np.float32))
    after = before.cropped(np.array([0.1, 0.2], np.float32), 1.25, 0.35)
    np.testing.assert_allclose(project(after), after.landmarks, atol=1e-5)


def test_a_mirrored_head_projects_to_the_mirrored_places() -> None:
    head = np.array([[3.0, 1, 2], [-3, 1, 2], [0, -4, 5]])
    order = np.array([1, 0, 2])
    one = labels(np.zeros((3, 2)))
    flat = (head @ rotation(*one.pose).T)[:, :2] * (1, -1) * np.exp(one.place[2]) + one.place[:2]
    mirrored = Labels(one.pose, one.place, one.expression, flat.astype(np.float32)).mirrored(order)
    again = (head @ rotation(*mirrored.pose).T)[:, :2] * (1, -1) * np.exp(mirrored.place[2]) + mirrored.place[:2]
    np.testing.assert_allclose(again, mirrored.landmarks, atol=1e-5)


def test_disturbing_keeps_size_and_type_and_repeats_with_its_seed() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for seed in range(40):
        once = disturb(picture, np.random.default_rng(seed))
        assert once.shape == picture.shape and once.dtype == np.uint8
        np.testing.assert_array_equal(once, disturb(picture, np.random.default_rng(seed)))


class Counted(Samples):
    """Each sample is a number by chance."""

    def sample(self, shards: list[Shard], rng: np.random.Generator) -> Sample:
        return {"value": rng.integers(1000, size=3)}


def folder_of(path: Path, shards: int) -> Path:
    for index in range(shards):
        (path / f"shard-{index:05d}").mkdir(parents=True)
        for name in ARRAYS:
            np.save(path / f"shard-{index:05d}" / f"{name}.npy", np.zeros((1, 2), np.float32))
    return path


def test_the_first_shards_are_held_out_and_new_ones_are_found(tmp_path: Path) -> None:
    shards = Shards(folder_of(tmp_path / "data", 3))
    assert [len(shards.refresh(validation)) for validation in (True, False)] == [2, 1]
    (tmp_path / "data" / ".shard-00004").mkdir()
    (tmp_path / "data" / "shard-00003").mkdir()
    for name in ARRAYS:
        np.save(tmp_path / "data" / "shard-00003" / f"{name}.npy", np.zeros((1, 2), np.float32))
    assert len(shards.refresh()) == 2
    every = Shards(tmp_path / "data", held_out=None)
    assert [len(every.refresh(validation)) for validation in (True, False)] == [4, 0]


def test_batches_to_check_on_are_the_same_each_time(tmp_path: Path) -> None:
    samples = Counted(Shards(folder_of(tmp_path, 3)), batch=4, seed=7, plain=True)
    once, again = samples.first(3), samples.first(3)
    assert len(once) == 3 and once[0]["value"].shape == (4, 3)
    assert all((a["value"] == b["value"]).all() for a, b in zip(once, again, strict=True))
    assert (next(samples.load(workers=0))["value"] == once[0]["value"]).all()


def test_where_there_are_too_few_shards_it_is_said(tmp_path: Path) -> None:
    shards = Shards(folder_of(tmp_path, 2))
    with pytest.raises(FileNotFoundError, match="the first 2, which are held out: .* holds 2"):
        Counted(shards, batch=1, seed=0).first()
    with pytest.raises(FileNotFoundError, match="to check on: .* holds 0"):
        Counted(Shards(tmp_path / "nowhere"), batch=1, seed=0, plain=True).first()
