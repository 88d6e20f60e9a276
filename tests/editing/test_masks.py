"""Masks from label maps and heats made by hand."""

import numpy as np
import pytest

from mien.editing.masks import PARTS, components, whole
from mien.editing.methods import METHODS, find_method
from mien.errors import EditError

# Which labels each kind of edit may touch, as the source paper lists them.
PAPER = {
    "eyebrows": {1, 2, 3, 10},
    "beard": {1, 2, 3, 10, 14},
    "age": {1, 2, 3, 10, 11, 12, 13, 14},
    "others": {1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14},
}


@pytest.mark.parametrize("parts", PAPER)
def test_the_parts_are_those_of_the_paper(parts: str) -> None:
    assert set(PARTS[parts]) == PAPER[parts]
    for label in range(19):
        everywhere = np.full((512, 512), label, np.uint8)
        assert components([parts], everywhere, everywhere, 64).mean() == (label in PAPER[parts])


def test_a_place_counts_when_it_belongs_before_and_after() -> None:
    before, after = np.zeros((2, 512, 512), np.uint8)
    before[:, :256] = 1  # skin on the left
    after[:256] = 14  # neck at the top
    mask = components(["age"], before, after, 128)
    assert mask[20, 20] == 1 and not mask[20, 100:].any() and not mask[100:, 20].any() and not mask[100, 100]
    assert not components(["eyebrows"], before, after, 128).any()
    assert components(["eyebrows", "beard"], before, after, 128)[20, 20] == 1  # any part of any edit


@pytest.mark.parametrize("side", [64, 256, 512, 1024])
def test_edges_are_soft_and_beyond_them_it_is_nought(side: int) -> None:
    labels = np.zeros((512, 512), np.uint8)
    labels[128:384, 128:384] = 1
    mask = components(["others"], labels, labels, side)
    reach = max(side // 128, 1) + side // 512 + 1
    low, high = side // 4, 3 * side // 4
    assert mask.shape == (side, side) and mask.dtype == np.float32 and mask.min() >= 0 and mask.max() <= 1
    np.testing.assert_allclose(mask[low + reach : high - reach, low + reach : high - reach], 1, atol=1e-6)
    assert not mask[: low - reach].any() and not mask[:, high + reach :].any()
    assert np.abs(np.diff(mask[side // 2])).max() < 0.7


def test_the_whole_crop_fades_at_its_rim() -> None:
    mask = whole(64)
    np.testing.assert_array_equal(mask[[0, -1]], 0)
    np.testing.assert_array_equal(mask[:, [0, -1]], 0)
    np.testing.assert_array_equal(mask[4:-4, 4:-4], 1)
    np.testing.assert_array_equal(mask, mask.T)
    np.testing.assert_array_equal(mask, mask[::-1, ::-1])


def test_the_methods_are_the_steps_of_the_ablation() -> None:
    flags = {m.name: (m.difference, m.plusplus, m.tta, m.eigen, m.parsing, m.epsilon) for m in METHODS.values()}
    assert flags == {
        "none": (False, False, False, False, False, 0.0),
        "parsing": (False, False, False, False, True, 0.0),
        "diffcam": (True, False, False, False, False, 0.0),
        "gradcam++": (True, True, False, False, False, 0.0),
        "gradcam++-library": (True, True, False, False, False, 1e-6),
        "tta": (True, True, True, False, False, 0.0),
        "pca": (True, True, False, True, False, 0.0),
        "tta+pca": (True, True, True, True, False, 0.0),
        "diffcam++": (True, True, True, True, True, 0.0),
    }
    assert find_method("diffcam++").roles == ("difference", "heat", "parsing")
    assert find_method("none").roles == ()
    with pytest.raises(EditError, match="diffcam"):
        find_method("")
