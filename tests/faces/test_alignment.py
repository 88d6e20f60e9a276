"""FFHQ's alignment: the rule worked out by hand, and crops that leave the photograph."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien import kernels
from mien.errors import ImageError, InputError
from mien.faces import aligned_crop, ffhq
from mien.geometry import Similarity
from mien.image import Image, crop

Points = NDArray[np.float64]


def face(one_eye: tuple[float, float], other_eye: tuple[float, float], *mouth: tuple[float, float]) -> Points:
    """68 landmarks whose eyes and mouth corners lie here; the six of an eye lie around its middle."""
    points = np.full((68, 2), 1e4)  # no other landmark counts
    around = np.array([(-3, 0), (-1, -1), (1, -1), (3, 0), (1, 1), (-1, 1)])
    points[36:42], points[42:48] = one_eye + around, other_eye + around
    points[48], points[54] = mouth
    return points


def smooth(height: int, width: int, seed: int = 0) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 16 + 2, width // 16 + 2, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


# Eyes 40 apart, mouth 50 below: 1.8 x 50 is more than 2 x 40. Then a wide, a tilted and a lying face.
BY_HAND = [
    (face((100, 100), (140, 100), (110, 150), (130, 150)), (120, 105), 180, 0),
    (face((100, 100), (150, 100), (110, 140), (140, 140)), (125, 104), 200, 0),
    (face((100, 95), (130, 105), (115, 140), (125, 140)), (115.5, 104), 2 * 1.8 * np.hypot(5, 40), np.arctan2(5, 70)),
    (face((100, 100), (100, 140), (50, 110), (50, 130)), (95, 120), 180, np.pi / 2),
]


@pytest.mark.parametrize(("points", "centre", "side", "angle"), BY_HAND, ids=["tall", "wide", "tilted", "lying"])
def test_the_rule_by_hand(points: Points, centre: tuple[float, float], side: float, angle: float) -> None:
    place = ffhq(points, 256)
    np.testing.assert_allclose(place.apply((128, 128)), centre, atol=1e-9)
    assert place.scale * 256 == pytest.approx(side)
    assert place.angle == pytest.approx(angle)


@given(st.floats(-3, 3), st.floats(0.1, 9), st.tuples(st.floats(-500, 500), st.floats(-500, 500)))
def test_the_crop_goes_with_the_face(angle: float, scale: float, shift: tuple[float, float]) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = Similarity(np.column_stack([turn, shift]))
    points = BY_HAND[2][0]
    np.testing.assert_allclose(ffhq(moved.apply(points), 64).matrix, (moved @ ffhq(points, 64)).matrix, atol=1e-6)


@pytest.mark.parametrize("wrong", [np.zeros((5, 2)), np.full((68, 2), np.nan), np.zeros((68, 3)), np.ones((68, 2))])
def test_points_that_are_no_face_are_refused(wrong: Points) -> None:
    with pytest.raises(InputError, match="landmarks"):
        ffhq(wrong, 256)


def test_inside_the_photograph_it_is_a_plain_crop() -> None:
    photo, place = smooth(300, 400), Similarity.from_crop((200, 150), 150, 64, 0.3)
    np.testing.assert_array_equal(aligned_crop(photo, place, 64), crop(photo, place, 64))


def test_a_crop_of_whole_pixels_goes_back_as_it_came() -> None:
    photo, place = smooth(200, 200), Similarity.from_crop((90, 110), 64, 64)
    drawn = aligned_crop(photo, place, 64)
    np.testing.assert_array_equal(drawn, photo[78:142, 58:122])
    for mask in (0.0, 1.0):
        back = kernels.blend(photo, drawn, np.full((64, 64), mask, np.float32), place.matrix)
        np.testing.assert_array_equal(back, photo)


def test_beyond_the_border_it_is_what_the_data_set_does() -> None:
    """The data set's steps, one by one, for a crop of 100 pixels of which the left 30 are outside."""
    photo = smooth(200, 200)
    inside = photo[40:160, :80].astype(np.float32)  # the crop and a tenth of its side around it
    left, others = 40, 30  # 30 outside and 10 of border; 0.3 of the side at the least
    padded = np.pad(inside, ((others, others), (left, others), (0, 0)), mode="reflect")
    y, x = np.indices(padded.shape[:2])
    height, width = padded.shape[:2]
    across = 1 - np.minimum(x / left, (width - 1 - x) / others)
    down = 1 - np.minimum(y / others, (height - 1 - y) / others)
    depth = np.maximum(across, down)[..., None]
    padded += (cv2.GaussianBlur(padded, (0, 0), 2.0) - padded) * np.clip(3 * depth + 1, 0, 1)
    padded += (np.median(padded, axis=(0, 1)) - padded) * np.clip(depth, 0, 1)
    expected = padded[40:140, 10:110]
    drawn = aligned_crop(photo, Similarity.from_crop((20, 100), 100, 100), 100)
    off = np.abs(drawn - expected)
    # Ours blurs the crop alone, not with what was cut around it: that shows at its very edge.
    assert off.mean() < 1.5 and off.max() < 20 and off[8:-8, 8:].max() < 9
    np.testing.assert_allclose(drawn[:, 45:], photo[50:150, 15:70], atol=1)


@pytest.mark.parametrize("centre", [(0, 0), (200, 100), (100, 205), (-20, 40)])
@pytest.mark.parametrize("side", [50, 150, 900])
def test_a_face_at_the_border_keeps_what_there_is_of_it(centre: tuple[float, float], side: float) -> None:
    photo = smooth(200, 200)
    place = Similarity.from_crop(centre, side, 64, 0.1)
    drawn = aligned_crop(photo, place, 64)
    rows, columns = np.indices((64, 64)) + 0.5
    points = place.apply(np.stack([columns, rows], -1))
    deep = ((points > 0.34 * side) & (points < 200 - 0.34 * side)).all(-1)
    np.testing.assert_allclose(drawn[deep], crop(photo, place, 64)[deep], atol=4)  # averaged down on another grid
    assert drawn.shape == (64, 64, 3)


def test_far_outside_only_the_median_colour_is_left() -> None:
    photo = smooth(200, 200)
    drawn = aligned_crop(photo, Similarity.from_crop((100, 100), 2000, 100), 100).astype(int)
    assert np.abs(drawn[0] - np.median(drawn, axis=(0, 1))).max() < 35
    assert drawn[:5].std() < drawn[45:55, 45:55].std()


def test_a_crop_that_misses_the_photograph_is_an_error() -> None:
    with pytest.raises(ImageError, match="outside of its 200 x 100"):
        aligned_crop(smooth(100, 200), Similarity.from_crop((900, 50), 100, 64), 64)
    with pytest.raises(ImageError):
        aligned_crop(np.zeros((1, 1, 3), np.uint8), Similarity.from_crop((0, 0), 1, 64), 64)


@pytest.mark.parametrize("sides", [(2, 2), (2, 300), (64, 64)])
def test_tiny_photographs_are_mirrored_as_often_as_it_takes(sides: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*sides, 3), np.uint8)
    assert aligned_crop(photo, Similarity.from_crop((1, 1), 100, 64), 64).shape == (64, 64, 3)
