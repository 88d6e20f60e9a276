"""Laying back: where the mask says 0, the photograph's bytes are its own, whatever the placement."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.editing.compose import fuse, paste, support
from mien.geometry import Similarity


def noise(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def random_mask(seed: int, side: int) -> NDArray[np.float32]:
    """Blobs, faint and strong values, and a good part that is exactly 0."""
    stream = np.random.default_rng(seed)
    coarse = stream.random((side, side), np.float32) ** int(stream.integers(1, 6))
    return np.where(stream.random((side, side)) < stream.random(), coarse, 0).astype(np.float32)


@settings(max_examples=60)
@given(
    sides=st.tuples(st.integers(64, 300), st.integers(64, 300)),
    side=st.sampled_from([16, 64, 256]),
    centre=st.tuples(st.floats(-0.3, 1.3), st.floats(-0.3, 1.3)),
    scale=st.floats(0.02, 3.0),
    angle=st.floats(-3.2, 3.2),
    seed=st.integers(0, 2**31),
)
def test_where_the_mask_is_nought_no_byte_changes(
    sides: tuple[int, int], side: int, centre: tuple[float, float], scale: float, angle: float, seed: int
) -> None:
    photo, patch = noise(seed, *sides, 3), noise(seed + 1, side, side, 3)
    before = photo.copy()
    middle = (centre[0] * sides[1], centre[1] * sides[0])
    place = Similarity.from_crop(middle, scale * min(sides), side, angle)
    image, mask = paste(photo, patch, random_mask(seed, side), place)
    assert image.shape == photo.shape and mask.shape == sides and mask.dtype == np.uint8
    np.testing.assert_array_equal(image[mask == 0], photo[mask == 0])
    np.testing.assert_array_equal(photo, before)


@given(value=st.floats(0, 1, width=32), seed=st.integers(0, 2**31))
def test_faint_masks_round_as_the_pixels_do(value: float, seed: int) -> None:
    extremes = np.where(noise(seed, 64, 64, 3) < 128, 0, 255).astype(np.uint8)
    place = Similarity(np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    mask = np.full((64, 64), value * 0.004, np.float32)
    image, changed = paste(extremes, 255 - extremes, mask, place)
    np.testing.assert_array_equal(image[changed == 0], extremes[changed == 0])


def test_a_full_mask_takes_the_patch_and_an_empty_one_nothing() -> None:
    photo, patch = noise(0, 100, 120, 3), noise(1, 40, 40, 3)
    place = Similarity.from_crop((60, 50), 40, 40)
    image, mask = paste(photo, patch, np.ones((40, 40), np.float32), place)
    np.testing.assert_array_equal(image[30:70, 40:80], patch)
    np.testing.assert_array_equal(mask[30:70, 40:80], 255)
    assert mask.sum() == 255 * 1600
    image, mask = paste(photo, patch, np.zeros((40, 40), np.float32), place)
    np.testing.assert_array_equal(image, photo)
    assert not mask.any()


@pytest.mark.parametrize("factor", [2, 5, 16])
def test_what_is_shown_small_is_averaged_and_does_not_alias(factor: int) -> None:
    photo = np.zeros((80, 80, 3), np.uint8)
    stripes = np.zeros((160, 160, 3), np.uint8)
    stripes[:, ::2] = 200
    size = 160 / factor
    image, mask = paste(photo, stripes, np.ones((160, 160), np.float32), Similarity.from_crop((40, 40), size, 160))
    inside = mask == 255
    assert inside.sum() == pytest.approx(size**2, rel=0.05)
    # An odd number of stripes does not average out entirely; not averaged at all they are 0 and 200.
    assert np.abs(image[inside].astype(int) - 100).max() <= 1 + 100 / factor * (factor % 2)


def test_a_patch_seen_smaller_than_a_pixel_does_no_harm() -> None:
    photo = noise(0, 64, 64, 3)
    image, mask = paste(
        photo, noise(1, 16, 16, 3), np.ones((16, 16), np.float32), Similarity.from_crop((9, 9), 0.3, 16)
    )
    np.testing.assert_array_equal(image[mask == 0], photo[mask == 0])


def test_fusing_is_the_formula() -> None:
    edited, original = np.full((2, 1, 3, 4, 4), [[[[[0.8]]]], [[[[0.2]]]]], np.float32)
    mask = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    np.testing.assert_allclose(fuse(edited, original, mask), 0.8 * mask + 0.2 * (1 - mask) + 0 * edited, atol=1e-6)


def test_the_support_is_where_the_mask_is() -> None:
    mask = np.array([[0, 1e-6, 0.05, 0.1, 1]], np.float32)
    np.testing.assert_allclose(support(mask), [[0, 1e-5, 0.5, 1, 1]], atol=1e-6)
    assert support(mask)[0, 0] == 0 and support(mask)[0, 1] > 0
