"""Samples for the motion network: pairs of one person, any number of frames, shut eyes and glances more often."""

from pathlib import Path

import numpy as np
import pytest

from training.data import ARRAYS, Shards, any_of, interest, style
from training.motion_samples import MotionSamples, cover, pairs_in, partner
from training.points import NAMES

FRAMES, LANDMARKS, POINTS = 5, 102, 110


def write_shard(folder: Path, scenes: int, seed: int) -> None:
    """Pictures of noise; each frame's landmarks say which scene and frame it is."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    arrays = {name: np.zeros((scenes, FRAMES, 1), np.float32) for name in ARRAYS}
    arrays["rgb"] = rng.integers(0, 256, (scenes, FRAMES, 64, 64, 3), np.uint8)
    arrays["offsets"] = np.zeros((scenes, FRAMES, POINTS, 3), np.float32)
    arrays["pose"] = np.zeros((scenes, FRAMES, 3), np.float32)
    arrays["place"] = np.tile(np.array([0, 0, np.log(1 / 15)], np.float32), (scenes, FRAMES, 1))
    arrays["gaze"] = rng.normal(0, 0.2, (scenes, FRAMES, 2)).astype(np.float32)
    arrays["landmarks"] = rng.uniform(-0.5, 0.5, (scenes, FRAMES, LANDMARKS, 2)).astype(np.float32)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for index, scenes in enumerate((2, 2, 3, 9)):
        write_shard(folder / f"shard-{index:05d}", scenes, index)
    return folder


def samples(data: Path, batch: int = 32, plain: bool = False) -> MotionSamples:
    return MotionSamples(Shards(data), np.arange(LANDMARKS), 96, batch, 3, plain)


def test_a_batch_is_as_the_network_takes_it(data: Path) -> None:
    batch = next(iter(samples(data)))
    assert batch["image"].shape == (32, 3, 96, 96) and batch["landmarks"].shape == (32, LANDMARKS, 2)
    assert batch["expression"].shape == (32, len(NAMES)) and 0 < batch["present"].sum() < 32


def test_partners_show_the_same_person_as_the_first_of_their_batch(data: Path) -> None:
    made = samples(data)
    shards = made.shards.refresh()
    takes: list[object] = []
    original = made.make

    def kept(take, rng):  # type: ignore[no-untyped-def]
        takes.append(take)
        return original(take, rng)

    made.make = kept  # type: ignore[method-assign]
    made.draw(shards, np.random.default_rng(0))
    count = pairs_in(32)
    assert count == 12 and len(takes) == 32
    for index, (first, second) in enumerate(zip(takes[:count], takes[-count:], strict=True)):
        same = ("shard", "scene", "mirrored", "present", "seed")
        assert all(getattr(first, name) is getattr(second, name) or getattr(first, name) == getattr(second, name)
                   for name in same)  # fmt: skip
        assert (first.frame == second.frame) == (index % 2 == 1)


def test_a_partners_crop_is_nearly_the_same(data: Path) -> None:
    made, rng = samples(data), np.random.default_rng(1)
    take = made.take(made.shards.refresh(), rng)
    others = [partner(take, True, rng) for _ in range(50)]
    assert max(abs(np.log(o.zoom / take.zoom)) for o in others) < 0.08
    assert 0 < max(np.abs(o.centre - take.centre).max() for o in others) < 0.08


def test_held_out_shards_are_drawn_plainly_and_alone(data: Path) -> None:
    made = samples(data, plain=True)
    assert [len(shard) for shard in made.shards.refresh(validation=True)] == [2, 2]
    first, again = (next(iter(samples(data, plain=True))) for _ in range(2))
    assert (first["present"] == 1).all() and (first["image"] == again["image"]).all()


def test_every_picture_has_the_same_chance_in_shards_of_any_size(data: Path) -> None:
    shards, rng = Shards(data).refresh(), np.random.default_rng(0)
    drawn = np.mean([len(any_of(shards, rng)) == 9 for _ in range(2000)])
    assert abs(drawn - 9 / 12) < 0.04


def test_shut_eyes_glances_and_open_mouths_are_drawn_more_often() -> None:
    values = np.zeros((4, len(NAMES)), np.float32)
    values[1, :2] = -0.8
    values[2, -2] = 0.4
    values[3, NAMES.index("lip_gap")] = 3
    np.testing.assert_allclose(interest(values), [1, 1.8, 1.8, 1.8])


def test_frames_are_drawn_as_their_interest_says(data: Path) -> None:
    shard, rng = Shards(data).refresh()[1], np.random.default_rng(0)
    counts = np.zeros((9, FRAMES))
    for _ in range(6000):
        counts[shard.draw(rng)] += 1
    share = np.diff(shard.interest, prepend=0) / shard.interest[-1]
    np.testing.assert_allclose(counts.ravel() / 6000, share, atol=0.012)


def test_style_is_the_same_for_the_same_seed() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    for seed in range(12):
        one, other = (style(picture, np.random.default_rng(seed)) for _ in range(2))
        assert one.shape == picture.shape and np.array_equal(one, other)


def test_a_covered_part_is_hidden_and_the_rest_is_not() -> None:
    picture = np.zeros((96, 96, 3), np.uint8)
    landmarks = np.full((LANDMARKS, 2), 0.9, np.float32)
    landmarks[48:68] = landmarks[80:100] = np.stack([np.linspace(-0.3, 0.3, 20), np.linspace(0.2, 0.5, 20)], 1)
    hidden = [cover(picture, landmarks, np.random.default_rng(seed)) for seed in range(400)]
    changed = [one.any(2) for one in hidden if one.any()]
    assert 10 < len(changed) < 60
    assert any(one[64, 48] for one in changed) and not any(one[5, 5] for one in changed)
