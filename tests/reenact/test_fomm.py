"""The FOMM family on a bundle whose results can be foreseen: keypoints in the frame, relative motion, the paste."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from mien.errors import ImageError, MotionError, NoFace
from mien.reenact.family import open_family
from mien.reenact.fomm import Fomm, FommMotion, FommSource, Points, moved, relative
from mien.reenact.transfer import Transfer
from tests.tiny_fomm import blob_bundle
from tests.tiny_liveportrait import tracked_face

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

BLOBS = np.array([(-30.0, -25.0), (28.0, -12.0), (5.0, 33.0)])
"""Where red, green and blue are around the middle of a head whose cm are 4 pixels."""


def head(middle: ArrayLike = (100.0, 90.0), cm: float = 4.0, size: tuple[int, int] = (240, 320)) -> Image:
    """Round blobs on black, drawn with fractions of a pixel."""
    image = np.zeros((*size, 3), np.uint8)
    for channel, (x, y) in enumerate(np.asarray(middle) + BLOBS * cm / 4):
        plane = np.zeros(size, np.uint8)
        at = round((x - 0.5) * 16), round((y - 0.5) * 16)
        cv2.circle(plane, at, round(1.5 * cm * 16), 255, -1, cv2.LINE_AA, 4)
        image[..., channel] = plane
    return image


def blobs(middle: ArrayLike, cm: float) -> Floats:
    return np.asarray(middle) + BLOBS * cm / 4


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Fomm:
    opened = open_family(blob_bundle(tmp_path_factory.mktemp("fomm") / "blobs"), threads=1)
    assert isinstance(opened, Fomm)
    return opened


@pytest.fixture(scope="module")
def source(family: Fomm) -> FommSource:
    return family.source(head(), tracked_face((100.0, 90.0), 4.0))


def driver(family: Fomm, middle: ArrayLike, cm: float, crop_at: ArrayLike | None = None) -> FommMotion:
    """A head in a larger frame, seen in a crop about it."""
    return family.motion(head(middle, cm, (600, 800)), tracked_face(middle if crop_at is None else crop_at, cm))


def motion(value: ArrayLike, jacobian: ArrayLike | None = None, crop: ArrayLike = (400, 300, 128)) -> FommMotion:
    points = np.asarray(value, np.float64)
    maps = np.tile(np.eye(2), (len(points), 1, 1)) if jacobian is None else np.asarray(jacobian, np.float64)
    return FommMotion(points, maps * 128, np.asarray(crop, np.float64))


def random_points(seed: int) -> Points:
    rng = np.random.default_rng(seed)
    return Points(rng.uniform(-1, 1, (10, 2)), np.eye(2) + rng.uniform(-0.3, 0.3, (10, 2, 2)))


def test_the_portrait_s_points_are_in_its_crop(source: FommSource) -> None:
    assert source.crop.scale == pytest.approx(32 * 4 / 256)
    found = source.crop.apply((source.points.value + 1) * 128)
    assert np.abs(found - blobs((100, 90), 4)).max() < 0.3
    assert np.allclose(source.points.jacobian, 2 * np.eye(2))


def test_points_in_the_frame_do_not_jump_with_the_crop(family: Fomm) -> None:
    here = driver(family, (400, 300), 6.0)
    there = family.motion(head((400, 300), 6.0, (600, 800)), tracked_face((413, 290), 6.6))
    assert np.abs(here.value - blobs((400, 300), 6)).max() < 0.5
    assert np.abs(there.value - here.value).max() < 0.5
    assert not np.allclose(here.crop, there.crop, atol=5)
    assert np.allclose(here.jacobian, 2 * here.crop[2] * np.eye(2))


def test_values_are_of_the_size_of_one_and_come_back(family: Fomm) -> None:
    one = driver(family, (400, 300), 6.0)
    values = one.values()
    assert values.shape == (3 * 6,) and np.abs(values).max() < 10
    same = one.with_values(values)
    assert np.allclose(same.value, one.value) and np.allclose(same.jacobian, one.jacobian)
    further = one.with_values(values + 0.5)
    assert np.allclose(further.value - one.value, 0.5 * one.crop[2])
    assert FommMotion(one.value.astype(np.float32), one.jacobian, one.crop).value.dtype == np.float64


def test_a_driver_at_rest_leaves_the_portrait_as_it_is(family: Fomm, source: FommSource) -> None:
    rest = driver(family, (400, 300), 6.0)
    picture = family.render(source, rest, rest, Transfer())
    assert picture is not source.image and picture.shape == source.image.shape
    assert np.abs(picture.astype(int) - source.image).max() <= 60  # resampled once each way: blobs have hard rims
    assert np.abs(picture.astype(int) - source.image).mean() < 0.6


@pytest.mark.parametrize("cm", [3.0, 6.0, 9.0])
def test_the_way_is_measured_in_heads(family: Fomm, source: FommSource, cm: float) -> None:
    """Whatever the driver's distance, a way of 4 cm to the right is one."""
    reference = driver(family, (400, 300), cm)
    now = driver(family, (400 + 4 * cm, 300), cm, crop_at=(400, 300))
    found = moved(source.points, now, reference, Transfer())
    assert np.allclose(found.value - source.points.value, (4 / 16, 0), atol=0.01)
    picture = family.render(source, now, reference, Transfer())
    middle = picture[60:120, 70:130].astype(float) - source.image[60:120, 70:130]
    assert np.median(middle) == pytest.approx(255 * 4 / 16, abs=4)


def test_without_adapting_the_scale_the_way_is_in_crops(family: Fomm, source: FommSource) -> None:
    """Crops show 32 cm of a head; a head that is drawn at half its size in one has half the way."""
    crop = (400.0, 300.0, 16 * 6.0)
    reference = motion(blobs((400, 300), 3.0), crop=crop)
    now = motion(blobs((412, 300), 3.0), crop=(390.0, 310.0, 50.0))  # the crop moved: no matter
    plain, adapted = (moved(source.points, now, reference, Transfer(adapt_scale=on)) for on in (False, True))
    assert np.allclose(plain.value - source.points.value, (12 / 96, 0))
    assert np.allclose(adapted.value - source.points.value, (24 / 96, 0), atol=0.005)


def test_absolute_motion_is_the_driver_s_own(family: Fomm, source: FommSource) -> None:
    now = driver(family, (430, 280), 6.0, crop_at=(400, 300))
    reference = driver(family, (400, 300), 6.0)
    own = Points((blobs((430, 280), 6) - (400, 300)) / 96, now.seen.jacobian)
    for found in (
        moved(source.points, now, None, Transfer(relative=False)),
        moved(source.points, now, None, Transfer()),
        moved(source.points, now, reference, Transfer(relative=False)),
    ):
        assert np.allclose(found.value, own.value, atol=0.01) and np.allclose(found.jacobian, own.jacobian)


@given(st.integers(0, 10_000), st.floats(0, 2))
def test_the_multiplier_goes_from_the_portrait_to_the_motion(seed: int, share: float) -> None:
    source, now, then = (random_points(seed + k) for k in range(3))
    full, part = (relative(source, now, then, multiplier=m) for m in (1.0, share))
    assert np.allclose(part.value, source.value + share * (full.value - source.value))
    assert np.allclose(part.jacobian, source.jacobian + share * (full.jacobian - source.jacobian))
    seen = motion(now.value * 128 + (400, 300), now.jacobian)
    absolute = moved(source, seen, None, Transfer(relative=False, multiplier=share))
    assert np.allclose(absolute.value, source.value + share * (now.value - source.value))


@given(st.integers(0, 10_000), st.floats(0.2, 5), st.floats(-300, 300))
def test_relative_motion_knows_no_place_and_no_size_of_the_driver(seed: int, size: float, shift: float) -> None:
    source, now, then = (random_points(seed + k) for k in range(3))
    here = relative(source, now, then)
    far = [Points(one.value * size + shift, one.jacobian * size) for one in (now, then)]
    there = relative(source, *far)
    assert np.allclose(here.value, there.value, atol=1e-3) and np.allclose(here.jacobian, there.jacobian)


def test_a_reference_without_extent_is_said_to_be_one() -> None:
    source, now = random_points(1), random_points(2)
    line = np.linspace(-1, 1, 10)
    for slope in (1.0, 0.3):  # rounding leaves the second a little area
        with pytest.raises(MotionError, match="one line"):
            relative(source, now, Points(np.stack([line, slope * line], 1), now.jacobian))
    flat = Points(now.value, np.zeros((10, 2, 2)))
    with pytest.raises(MotionError, match="no extent"):
        relative(source, now, flat)
    assert np.isfinite(relative(source, now, replace(flat, jacobian=now.jacobian), adapt_scale=False).value).all()


def test_outside_the_head_no_byte_changes_and_the_rim_is_soft(family: Fomm, source: FommSource) -> None:
    now = motion(source.crop.apply((source.points.value + 1) * 128) + (40, 0), crop=(100, 90, 64))
    picture = family.render(source, now, None, Transfer(relative=False))
    changed = picture.astype(int) - source.image
    low, high = source.crop.apply([(0, 0), (256, 256)]).round().astype(int)
    outside = np.ones(changed.shape[:2], bool)
    outside[max(low[1], 0) : high[1], max(low[0], 0) : high[0]] = False
    assert not changed[outside].any() and changed[90, 100].min() > 100
    row = changed[90, :, 1]  # no blob is near: black brightens
    assert np.abs(np.diff(row[high[0] - 12 : high[0] + 3])).max() < 40


def test_what_it_lacks_is_named(family: Fomm, source: FommSource) -> None:
    rest = driver(family, (400, 300), 6.0)
    for wish in (Transfer(region="lips"), Transfer(retarget_eyes=True), Transfer(normalise_lips=True)):
        with pytest.raises(MotionError, match="'fomm' cannot do that"):
            family.render(source, rest, rest, wish)


def test_no_face_and_no_picture(family: Fomm) -> None:
    with pytest.raises(NoFace, match="64 x 48"):
        family.source(np.full((48, 64, 3), 127, np.uint8))
    with pytest.raises(ImageError):
        family.source(np.zeros((48, 64), np.uint8))


def test_threads_share_the_family(family: Fomm, source: FommSource) -> None:
    def draw(index: int) -> Image:
        now = driver(family, (400 + 3 * index, 300), 6.0, crop_at=(400, 300))
        return family.render(source, now, driver(family, (400, 300), 6.0), Transfer())

    alone = [draw(index) for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(draw, range(8)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert len({picture.tobytes() for picture in alone}) == 8
