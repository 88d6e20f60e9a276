"""What is measured of one result, and how it is remembered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.edit_report import summary
from benchmarks.edit_scores import Comparison, Judges, Memory, Shown
from tests.editing.flat import FLAT
from tests.tiny_edit import SIDE

Image = NDArray[np.uint8]

STEP = 1 / 255


def halves(left: int = 100, right: int = 150) -> Image:
    """Two greys, side by side."""
    return np.full((SIDE, SIDE, 3), np.repeat([left, right], SIDE // 2)[None, :, None], np.uint8)


def test_one_changed_pixel_outside_the_mask_is_seen() -> None:
    original, mask = halves(), np.zeros((SIDE, SIDE), np.uint8)
    mask[:16] = 1
    result = original.copy()
    result[:16] += 9
    whole = Comparison(Judges(), original).score(Shown(result, mask), drawn=False)
    assert (whole.changed, whole.mae_outside, whole.masked) == (0, 0, 0.25)
    assert whole.mae == pytest.approx(0.25 * 9 * STEP)
    result[40, 3, 2] += 1
    torn = Comparison(Judges(), original).score(Shown(result, mask), drawn=False)
    assert torn.changed == pytest.approx(1 / (48 * SIDE))
    assert torn.mae_outside == pytest.approx(STEP / (3 * 48 * SIDE))
    everywhere = Comparison(Judges(), original).score(Shown(result, mask + 1), drawn=False)
    assert np.isnan(everywhere.changed) and np.isnan(everywhere.mae_outside)


def test_lpips_and_fid_are_asked_about_the_right_pictures() -> None:
    def first(one: Image, other: Image) -> float:
        return float(one[0, 0, 0]) - float(other[0, 0, 0])

    def corners(image: Image) -> NDArray[np.float32]:
        return image[[0, 0], [0, -1], 0].astype(np.float32)

    judges = Judges(first, corners)
    pairs = [(halves(10, 20), halves(13, 24)), (halves(30, 60), halves(33, 64))]
    scores = [Comparison(judges, one).score(Shown(other), drawn=False) for one, other in pairs]
    originals = [Comparison(judges, one).score(Shown(one), drawn=False) for one, _ in pairs]
    row = summary(scores, originals)
    assert row["LPIPS"] == -3
    assert row["FID"] == pytest.approx(3**2 + 4**2)
    assert summary(scores[:1], originals[:1])["FID"] is None


def test_a_score_is_remembered_to_the_last_bit(tmp_path: Path) -> None:
    judges = Judges(inception=lambda image: image[0, :5, 0].astype(np.float32) / 7)
    score = Comparison(judges, FLAT).score(Shown(halves(), milliseconds=1 / 3), drawn=True)
    memory = Memory(tmp_path / "memory")
    memory.put({"a": 1}, score)
    found = memory.get({"a": 1})
    assert found is not None and memory.get({"a": 2}) is None
    assert found.mae == score.mae and found.milliseconds == score.milliseconds and np.isnan(found.changed)
    np.testing.assert_array_equal(found.features, score.features)
    np.testing.assert_array_equal(found.cell, score.cell)
