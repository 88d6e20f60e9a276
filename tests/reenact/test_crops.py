"""Crops from landmarks and pasting back, held against what the public code does with OpenCV."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import InputError
from mien.geometry import Similarity
from mien.image import to_tensor
from mien.reenact import crops
from mien.reenact.crops import ANCHORS, DRIVING, SOURCE, Framing
from mien.runners import HOST
from tests.tiny_liveportrait import tracked_face

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
COUNTS = sorted(ANCHORS)


def pasted(picture: Image, patch: Image, place: Similarity) -> Image:
    """As a network's crop."""
    shown: Image = crops.paste(HOST, picture, to_tensor(patch), place)
    return shown


def face_of(count: int, eyes: tuple[float, float] = (0, -30), mouth: tuple[float, float] = (0, 40)) -> Floats:
    """Landmarks whose eyes and mouth have their middles there; the others are about them."""
    points = np.random.default_rng(count).uniform(-80, 80, (count, 2))
    if count > 5:
        points[-2:] = (-90, -70), (90, 85)
    for anchors, middle in zip(ANCHORS[count], (eyes, mouth), strict=True):
        off = np.linspace(-1, 1, len(anchors))
        points[list(anchors)] = np.stack([25 * off, 3 * off], 1) + middle
    return points


def smooth_picture(height: int, width: int, seed: int = 0) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def turned(angle: float, scale: float, shift: tuple[float, float]) -> Similarity:
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    return Similarity(np.array([[a, -b, shift[0]], [b, a, shift[1]]]))


moves = st.builds(
    turned, st.floats(-3, 3), st.floats(0.1, 20), st.tuples(st.floats(-1000, 1000), st.floats(-1000, 1000))
)


@given(st.sampled_from(COUNTS), moves)
def test_the_crop_goes_with_the_face(count: int, move: Similarity) -> None:
    points = face_of(count)
    before, after = crops.crop_of(points, SOURCE, 512), crops.crop_of(move.apply(points), SOURCE, 512)
    np.testing.assert_allclose((after @ move).matrix, before.matrix, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("count", COUNTS)
def test_eyes_lie_level_above_the_mouth_in_the_crop(count: int) -> None:
    points = turned(0.7, 2, (300, 200)).apply(face_of(count))
    eyes, mouth = (
        crops.crop_of(points, SOURCE, 512).apply(points[list(anchors)].mean(0)) for anchors in ANCHORS[count]
    )
    assert eyes[0] == pytest.approx(mouth[0], abs=1e-6) and eyes[1] < mouth[1]


@pytest.mark.parametrize("count", COUNTS)
def test_the_crop_is_so_many_times_the_box_and_lies_above_its_middle(count: int) -> None:
    points = face_of(count)
    low, high = points.min(0), points.max(0)
    box = crops.box_of(points, Framing(2.0, 0.25))
    side = 2 * (high - low).max()
    assert box.side == pytest.approx(side) and box.angle == pytest.approx(0)
    np.testing.assert_allclose(box.centre, (low + high) / 2 - (0, 0.25 * side), atol=1e-9)


def test_an_upright_crop_does_not_turn_but_lies_along_the_face() -> None:
    points = turned(0.5, 1, (0, 0)).apply(face_of(68))
    upright, along = crops.crop_of(points, DRIVING, 512), crops.box_of(points, DRIVING)
    assert upright.angle == pytest.approx(0) and along.angle == pytest.approx(0.5)
    np.testing.assert_allclose(upright.apply(along.centre), [256, 256], atol=1e-9)


def test_a_face_upside_down_is_turned_over() -> None:
    assert abs(crops.box_of(-face_of(68), SOURCE).angle) == pytest.approx(np.pi)


def test_eyes_in_the_mouth_leave_the_crop_upright() -> None:
    points = face_of(68, eyes=(0, 10), mouth=(0, 10))
    assert crops.crop_of(points, SOURCE, 512).angle == pytest.approx(0)


@pytest.mark.parametrize("shape", [(67, 2), (0, 2), (478, 2), (68, 3), (68,)])
def test_landmarks_that_no_rule_knows_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="203, 106, 101, 68, 5"):
        crops.crop_of(np.zeros(shape), SOURCE, 512)


def test_landmarks_without_extent_or_sense_are_refused() -> None:
    with pytest.raises(InputError, match="one point"):
        crops.crop_of(np.ones((68, 2)), SOURCE, 512)
    with pytest.raises(InputError, match="finite"):
        crops.crop_of(np.full((68, 2), np.nan), SOURCE, 512)


def test_the_driving_box_is_the_mean_over_the_clip() -> None:
    one = face_of(203)
    box = crops.mean_driving_box(np.stack([one, one + (20, -10)]))
    alone = crops.mean_driving_box(one[None])
    np.testing.assert_allclose(box - alone, [10, -5, 10, -5], atol=1e-9)
    assert alone[2] - alone[0] == pytest.approx(alone[3] - alone[1])


@settings(deadline=None, max_examples=25)
@given(st.floats(-0.6, 0.6), st.floats(0.5, 1.0), st.floats(0, 320), st.floats(0, 240))
def test_the_crop_is_the_public_codes_crop(angle: float, scale: float, x: float, y: float) -> None:
    """It counts from pixel centres, and what lies outside of the picture is black."""
    picture = smooth_picture(240, 320)
    points = turned(angle, scale, (x, y)).apply(face_of(68))
    theirs = crops.crop_of(points - 0.5, SOURCE, 256).matrix
    expected = cv2.warpAffine(picture, theirs, (256, 256), flags=cv2.INTER_LINEAR)
    ours = crops.cut(picture, crops.portrait_crop(points, 256), 256)
    difference = np.abs(ours.astype(int) - expected)
    assert difference.max() <= 5 and difference.mean() < 0.5  # OpenCV rounds places to 1/32 of a pixel


def test_a_crop_that_shrinks_does_not_alias() -> None:
    board = np.indices((600, 600)).sum(0) % 2 * 255
    picture = np.repeat(board[..., None], 3, 2).astype(np.uint8)
    seen = crops.cut(picture, Similarity.from_crop((300, 300), 500, 50), 50)
    assert np.abs(seen.astype(int) - 127).max() <= 10


def test_a_large_crop_beyond_the_edge_is_black_there_and_the_picture_elsewhere() -> None:
    picture = np.full((400, 400, 3), 200, np.uint8)
    seen = crops.cut(picture, Similarity.from_crop((400, 200), 400, 100), 100)
    assert (seen[:, :49] == 200).all() and (seen[:, 51:] == 0).all()


def test_the_mask_is_the_rounded_ramp() -> None:
    mask = crops.paste_mask(512)
    assert mask.shape == (512, 512) and not mask.flags.writeable
    assert not mask[0].any() and not mask[:, 0].any()
    assert (mask[16:497, 16:497] == 255).all()
    assert [int(v) for v in mask[256, :5]] == [0, 15, 31, 47, 63]
    assert mask[256, 511] == 15, "the last column is one pixel from the end"
    assert mask[8, 8] == int(255 * (16 - np.hypot(8, 8)) / 16) and mask[4, 4] == 0
    np.testing.assert_array_equal(mask, mask.T)


@settings(deadline=None, max_examples=25)
@given(st.floats(-3, 3), st.floats(0.6, 3), st.floats(-20, 340), st.floats(-20, 260))
def test_pasting_is_the_public_codes_within_two_levels(angle: float, scale: float, x: float, y: float) -> None:
    picture, patch = smooth_picture(240, 320, 1), smooth_picture(128, 128, 2)
    place = Similarity.from_crop((x, y), 128 * scale, 128, angle)
    half = Similarity(np.array([[1.0, 0, 0.5], [0, 1.0, 0.5]]))
    theirs, size = (half.inverse() @ place @ half).matrix, (320, 240)
    mask = cv2.warpAffine(np.repeat(crops.paste_mask(128)[..., None], 3, 2), theirs, size).astype(np.float64) / 255
    expected = mask * cv2.warpAffine(patch, theirs, size) + (1 - mask) * picture
    ours = pasted(picture, patch, place)
    difference = np.abs(ours - expected)
    assert difference.max() <= 6 and difference.mean() < 0.6  # OpenCV rounds places to 1/32 of a pixel, and truncates


@settings(deadline=None, max_examples=30)
@given(st.floats(-3, 3), st.floats(0.15, 4), st.floats(0, 640), st.floats(0, 480), st.integers(-100, 100))
def test_there_is_no_seam(angle: float, scale: float, x: float, y: float, offset: int) -> None:
    """A patch that is off by a constant enters over the ramp's 16 pixels, however the crop lies and is scaled."""
    assume(offset)
    picture = np.full((480, 640, 3), 128, np.uint8)
    place = Similarity.from_crop((x, y), 256 * scale, 256, angle)
    out = pasted(picture, np.full((256, 256, 3), 128 + offset, np.uint8), place)[..., 0].astype(int) - 128
    steepest = max(np.abs(np.diff(out, axis=axis)).max() for axis in (0, 1))
    assert steepest <= 1.1 * abs(offset) / (crops.RAMP * scale) + 2
    assert (out * np.sign(offset)).min() >= 0 and np.abs(out).max() <= abs(offset)


def test_away_from_the_patch_every_byte_stays() -> None:
    picture = smooth_picture(240, 320)
    place = Similarity.from_crop((160, 120), 100, 64)
    out = pasted(picture, np.zeros((64, 64, 3), np.uint8), place)
    outside = np.ones((240, 320), bool)
    outside[70:172, 110:212] = False  # a pixel of the patch is 1.6 of the picture's
    np.testing.assert_array_equal(out[outside], picture[outside])
    assert (out[100:140, 140:180] == 0).all() and picture.any()


@pytest.mark.parametrize(
    ("centre", "shown"), [((0, 0), True), ((320, 240), True), ((-500, 100), False), ((160, 5000), False)]
)
def test_a_patch_over_the_edge_stays_inside_the_picture(centre: tuple[float, float], shown: bool) -> None:
    picture = smooth_picture(240, 320)
    out = pasted(picture, np.zeros((64, 64, 3), np.uint8), Similarity.from_crop(centre, 128, 64))
    assert out.shape == picture.shape
    assert bool((out != picture).any()) is shown


def test_a_head_crop_holds_still_with_the_trackers_and_is_measured_in_cm() -> None:
    tracked = tracked_face((100, 90), cm=4)
    place = crops.head_crop(tracked, 256)
    np.testing.assert_allclose(place.apply((128, 128)), [100, 90])
    assert place.scale * 256 == pytest.approx(32 * 4) and place.angle == 0
    moved = replace(tracked, outputs={name: value + 0.1 for name, value in tracked.outputs.items()})
    np.testing.assert_array_equal(crops.head_crop(moved, 256).matrix, place.matrix)
    driving = crops.driving_crop(tracked, 256)
    np.testing.assert_allclose(driving.apply((128, 128)), [100, 90 - 4 * crops.DRIVING_UP_CM])
    assert driving.scale * 256 == pytest.approx(crops.DRIVING_CM * 4)
