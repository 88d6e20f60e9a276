"""Shards: named only when complete, laid out scene first, the same for the same seed."""

import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from training.make_data import SHARD, write_shard
from training.render.sample import Scene, Studio


class Dice:
    """Draws scenes without a head; `fails_at` makes one of them raise."""

    def __init__(self, fails_at: int = -1) -> None:
        self.fails_at = fails_at
        self.drawn = 0

    def draw(self, rng: np.random.Generator) -> Scene:
        self.drawn += 1
        if self.drawn == self.fails_at:
            raise KeyboardInterrupt
        return Scene({"pose": rng.random((3, 3), np.float32)}, {"hair": "bald"})


def test_a_shard_is_complete_and_reproducible(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_shard(cast(Studio, Dice()), tmp_path / folder, 5, seed=1)
    pose = np.load(tmp_path / "one" / "shard-00005" / "pose.npy", mmap_mode="r")
    assert pose.shape == (SHARD, 3, 3)
    assert len(np.unique(pose)) > SHARD
    np.testing.assert_array_equal(pose, np.load(tmp_path / "two" / "shard-00005" / "pose.npy"))
    attributes = json.loads((tmp_path / "one" / "shard-00005" / "attributes.json").read_text())
    assert attributes == [{"hair": "bald"}] * SHARD


def test_an_interrupted_shard_never_gets_its_name(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_shard(cast(Studio, Dice(fails_at=9)), tmp_path, 0, seed=1)
    assert not list(tmp_path.glob("shard-*"))
    write_shard(cast(Studio, Dice()), tmp_path, 0, seed=1)
    assert [p.name for p in tmp_path.iterdir()] == ["shard-00000"]
