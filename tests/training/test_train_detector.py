"""Samples of the detector: people stand where their crops say, any of a scene's frames, and bars hide heads."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data import Shard, Shards
from training.train_detector import CELLS, DETECTOR_SIZE, DetectorSamples, shown

HEAD = np.array([0.1, -0.05])
UNIT = 1 / 15


def a_shard(frames: int = 2) -> Shard:
    """A green disc where the detector's crop has its middle; the last frame's is red."""
    y, x = np.mgrid[:256, :256] + 0.5
    disc = np.hypot(*(np.stack([x, y]) - ((HEAD + 1) * 128)[:, None, None])) < 20
    rgb = np.zeros((1, frames, 256, 256, 3), np.uint8)
    rgb[:, :-1, disc, 1] = 255
    rgb[:, -1, disc, 0] = 255
    several = (1, frames)
    arrays: dict[str, NDArray[np.generic]] = {
        "rgb": rgb,
        "alpha": np.tile(disc.astype(np.uint8) * 255, (*several, 1, 1)),
        "pose": np.zeros((*several, 3), np.float32),
        "place": np.tile(np.array([HEAD[0], HEAD[1] + UNIT, np.log(UNIT)], np.float32), (*several, 1)),
        "landmarks": np.zeros((*several, 102, 2), np.float32),
        "gaze": np.zeros((*several, 2), np.float32),
        "offsets": np.zeros((*several, 110, 3), np.float32),
    }
    return Shard(arrays)


def test_a_person_stands_where_its_crop_says_at_any_size_mirrored_or_not() -> None:
    off = []
    for seed in range(60):
        canvas = np.zeros((DETECTOR_SIZE, DETECTOR_SIZE, 3), np.uint8)
        (crop,) = DetectorSamples.paste(canvas, a_shard(), [], np.random.default_rng(seed))
        light = canvas.max(2).astype(np.float64)
        rows, columns = np.indices(light.shape) + 0.5
        middle = np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()
        off.append(middle - crop[:2] * DETECTOR_SIZE)
    assert np.abs(off).max() < 0.3 and np.abs(np.mean(off, 0)).max() < 0.06


@pytest.mark.parametrize("frames", [2, 5])
def test_every_frame_of_a_scene_is_used_and_no_other(frames: int) -> None:
    shard, colours = a_shard(frames), set()
    for seed in range(40):
        canvas = np.zeros((DETECTOR_SIZE, DETECTOR_SIZE, 3), np.uint8)
        DetectorSamples.paste(canvas, shard, [], np.random.default_rng(seed))
        colours.add(int(canvas.max((0, 1)).argmax()))
    assert colours == {0, 1}


def test_nobody_stands_before_another() -> None:
    canvas = np.zeros((DETECTOR_SIZE, DETECTOR_SIZE, 3), np.uint8)
    everywhere = [np.array([0.5, 0.5, 1.0], np.float32)]
    assert not DetectorSamples.paste(canvas, a_shard(), everywhere, np.random.default_rng(0)) and not canvas.any()


def test_bars_hide_heads_at_the_edge() -> None:
    assert shown(np.array([0.5, 0.5, 0.3], np.float32), 0.2)
    assert not shown(np.array([0.5, 0.1, 0.3], np.float32), 0.1)
    assert not shown(np.array([0.5, 0.95, 0.3], np.float32), 0.1)


def test_the_target_has_a_peak_a_head_and_says_where_in_its_cell_and_how_large() -> None:
    made = DetectorSamples.target([np.array([0.26, 0.51, 0.4], np.float32)])
    row, column = np.unravel_index(made[0].argmax(), made[0].shape)
    assert made[0, row, column] == 1
    assert (column + 0.5 + made[1, row, column]) / CELLS == pytest.approx(0.26)
    assert (row + 0.5 + made[2, row, column]) / CELLS == pytest.approx(0.51)
    assert np.exp(made[3, row, column]) == pytest.approx(0.4)


def test_a_sample_is_a_picture_and_a_target(tmp_path: Path) -> None:
    samples = DetectorSamples(Shards(tmp_path), batch=1, seed=0)
    one = samples.sample([a_shard()], np.random.default_rng(4))
    assert one["image"].shape == (3, DETECTOR_SIZE, DETECTOR_SIZE) and one["image"].dtype == np.uint8
    assert one["target"].shape == (4, CELLS, CELLS)
