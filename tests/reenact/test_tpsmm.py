"""The TPSMM family on a bundle whose results can be foreseen: keypoints in the frame, every motion, the paste."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from mien.errors import ImageError, MotionError, NoFace
from mien.reenact.family import open_family
from mien.reenact.splines import splines
from mien.reenact.tpsmm import Tpsmm, TpsmmMotion, TpsmmSource, relative
from mien.reenact.transfer import Transfer
from mien.sessions import FunctionSession, Session
from tests.tiny_liveportrait import tracked_face
from tests.tiny_tpsmm import AVD_SHIFT, blob_bundle

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
Feeds = Mapping[str, NDArray[Any]]

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


def places(middle: ArrayLike, cm: float) -> Floats:
    """The five keypoints of that head, in pixels."""
    red, green, blue = np.asarray(middle) + BLOBS * cm / 4
    return np.stack([red, green, blue, (red + green) / 2, (green + blue) / 2])


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Tpsmm:
    opened = open_family(blob_bundle(tmp_path_factory.mktemp("tpsmm") / "blobs"), threads=1)
    assert isinstance(opened, Tpsmm)
    return opened


@pytest.fixture(scope="module")
def with_avd(tmp_path_factory: pytest.TempPathFactory) -> Tpsmm:
    return Tpsmm(blob_bundle(tmp_path_factory.mktemp("tpsmm") / "avd", avd=True), threads=1)


@pytest.fixture(scope="module")
def source(family: Tpsmm) -> TpsmmSource:
    return family.source(head(), tracked_face((100.0, 90.0), 4.0))


def driver(family: Tpsmm, middle: ArrayLike, cm: float, crop_at: ArrayLike | None = None) -> TpsmmMotion:
    """A head in a larger frame, seen in a crop about it."""
    return family.motion(head(middle, cm, (600, 800)), tracked_face(middle if crop_at is None else crop_at, cm))


def fed(
    family: Tpsmm, source: TpsmmSource, now: TpsmmMotion, then: TpsmmMotion | None, transfer: Transfer
) -> dict[str, Floats]:
    """What the generator gets."""
    runs: list[Feeds] = []
    generator = family.sessions["generator"]

    def record(feeds: Feeds) -> Feeds:
        runs.append(feeds)
        return generator.run(feeds)

    recording: Session = FunctionSession(record, generator.inputs, generator.outputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(family, "sessions", {**family.sessions, "generator": recording})
        family.render(source, now, then, transfer)
    (feeds,) = runs
    return {name: value[0].astype(np.float64) for name, value in feeds.items()}


def driving(
    family: Tpsmm, source: TpsmmSource, now: TpsmmMotion, then: TpsmmMotion | None, transfer: Transfer
) -> Floats:
    return fed(family, source, now, then, transfer)["driving_points"]


def random_points(seed: int) -> Floats:
    return np.random.default_rng(seed).uniform(-1, 1, (50, 2))


def test_the_portrait_s_points_are_in_its_crop(source: TpsmmSource) -> None:
    assert source.crop.scale == pytest.approx(32 * 4 / 256)
    assert np.abs(source.crop.apply((source.points + 1) * 128) - places((100, 90), 4)).max() < 0.3


def test_points_in_the_frame_do_not_jump_with_the_crop(family: Tpsmm) -> None:
    here = driver(family, (400, 300), 6.0)
    there = family.motion(head((400, 300), 6.0, (600, 800)), tracked_face((413, 290), 6.6))
    assert np.abs(here.points - places((400, 300), 6)).max() < 0.5
    assert np.abs(there.points - here.points).max() < 0.5
    assert not np.allclose(here.crop, there.crop, atol=5)


def test_values_are_of_the_size_of_one_and_come_back(family: Tpsmm) -> None:
    one = driver(family, (400, 300), 6.0)
    values = one.values()
    assert values.shape == (10,) and np.abs(values).max() < 10
    assert np.allclose(one.with_values(values).points, one.points)
    assert np.allclose(one.with_values(values + 0.5).points - one.points, 0.5 * one.crop[2])
    assert TpsmmMotion(one.points.astype(np.float32), one.crop).points.dtype == np.float64


def test_the_generator_gets_splines_from_the_driver_to_the_portrait(family: Tpsmm, source: TpsmmSource) -> None:
    now, rest = driver(family, (410, 295), 6.0, crop_at=(400, 300)), driver(family, (400, 300), 6.0)
    feeds = fed(family, source, now, rest, Transfer())
    assert set(feeds) == {"features_256", "small", "source_points", "driving_points", "splines"}
    assert np.allclose(feeds["source_points"], source.points, atol=1e-6)
    assert not np.allclose(feeds["driving_points"], source.points, atol=0.02)
    assert np.allclose(feeds["splines"], splines(feeds["driving_points"], feeds["source_points"]), atol=1e-4)


def test_a_driver_at_rest_leaves_the_portrait_as_it_is(family: Tpsmm, source: TpsmmSource) -> None:
    rest = driver(family, (400, 300), 6.0)
    picture = family.render(source, rest, rest, Transfer())
    assert picture is not source.image and picture.shape == source.image.shape
    assert np.abs(picture.astype(int) - source.image).mean() < 0.6  # resampled once each way: blobs have hard rims


@pytest.mark.parametrize("cm", [3.0, 6.0, 9.0])
def test_the_way_is_measured_in_heads(family: Tpsmm, source: TpsmmSource, cm: float) -> None:
    """Whatever the driver's distance, a way of 4 cm to the right is one."""
    reference = driver(family, (400, 300), cm)
    now = driver(family, (400 + 4 * cm, 300), cm, crop_at=(400, 300))
    found = driving(family, source, now, reference, Transfer())
    assert np.allclose(found - source.points, (4 / 16, 0), atol=0.01)
    picture = family.render(source, now, reference, Transfer())
    middle = picture[60:120, 70:130].astype(float) - source.image[60:120, 70:130]
    assert np.median(middle) == pytest.approx(255 * 4 / 16, abs=4)


def test_without_adapting_the_scale_the_way_is_in_crops(family: Tpsmm, source: TpsmmSource) -> None:
    """A head that is drawn at half its size in its crop has half the way."""
    reference = TpsmmMotion(places((400, 300), 3.0), np.array([400.0, 300.0, 96.0]))
    now = TpsmmMotion(places((412, 300), 3.0), np.array([390.0, 310.0, 50.0]))  # the crop moved: no matter
    plain, adapted = (driving(family, source, now, reference, Transfer(adapt_scale=on)) for on in (False, True))
    assert np.allclose(plain - source.points, (12 / 96, 0), atol=1e-6)
    assert np.allclose(adapted - source.points, (24 / 96, 0), atol=0.005)


def test_absolute_motion_is_the_driver_s_own(family: Tpsmm, source: TpsmmSource) -> None:
    now, reference = driver(family, (430, 280), 6.0, crop_at=(400, 300)), driver(family, (400, 300), 6.0)
    own = (places((430, 280), 6) - (400, 300)) / 96
    for then, wish in ((None, Transfer(relative=False)), (None, Transfer()), (reference, Transfer(relative=False))):
        assert np.allclose(driving(family, source, now, then, wish), own, atol=0.01)
    half = driving(family, source, now, None, Transfer(relative=False, multiplier=0.5))
    assert np.allclose(half, (own + source.points) / 2, atol=0.01)


def test_avd_keeps_the_portrait_s_shape_where_the_bundle_has_it(with_avd: Tpsmm, source: TpsmmSource) -> None:
    now, reference = driver(with_avd, (430, 280), 6.0, crop_at=(400, 300)), driver(with_avd, (400, 300), 6.0)
    found = driving(with_avd, source, now, None, Transfer(relative=False))
    assert np.allclose(found, source.points + (0, AVD_SHIFT), atol=1e-5)
    standard = driving(with_avd, source, now, None, Transfer(relative=False, adapt_scale=False))
    assert np.allclose(standard, now.seen, atol=1e-5)
    moved = driving(with_avd, source, now, reference, Transfer())
    assert np.allclose(moved - source.points, (30 / 96, -20 / 96), atol=0.01)  # relative motion needs none


@given(st.integers(0, 10_000), st.floats(0, 2))
def test_the_multiplier_goes_from_the_portrait_to_the_motion(seed: int, share: float) -> None:
    source, now, then = (random_points(seed + k) for k in range(3))
    full, part = (relative(source, now, then, multiplier=m) for m in (1.0, share))
    assert np.allclose(part, source + share * (full - source))


@given(st.integers(0, 10_000), st.floats(0.2, 5), st.floats(-300, 300))
def test_relative_motion_knows_no_place_and_no_size_of_the_driver(seed: int, size: float, shift: float) -> None:
    source, now, then = (random_points(seed + k) for k in range(3))
    assert np.allclose(
        relative(source, now, then), relative(source, now * size + shift, then * size + shift), atol=1e-3
    )


def test_points_on_a_line_have_no_size() -> None:
    source, now = random_points(1), random_points(2)
    line = np.repeat(np.linspace(-1, 1, 50)[:, None], 2, 1)
    for pair in ((source, line), (line, source), (source, np.full((50, 2), np.nan))):
        with pytest.raises(MotionError, match="one line"):
            relative(pair[0], now, pair[1])
    assert np.isfinite(relative(source, now, line, adapt_scale=False)).all()


def test_outside_the_head_no_byte_changes_and_the_rim_is_soft(family: Tpsmm, source: TpsmmSource) -> None:
    points = source.crop.apply((source.points + 1) * 128) + (40, 0)
    picture = family.render(source, TpsmmMotion(points, np.array([100, 90, 64])), None, Transfer(relative=False))
    changed = picture.astype(int) - source.image
    low, high = source.crop.apply([(0, 0), (256, 256)]).round().astype(int)
    outside = np.ones(changed.shape[:2], bool)
    outside[max(low[1], 0) : high[1], max(low[0], 0) : high[0]] = False
    assert not changed[outside].any() and changed[90, 100].min() > 100
    row = changed[90, :, 1]  # no blob is near: black brightens
    assert np.abs(np.diff(row[high[0] - 12 : high[0] + 3])).max() < 40


def test_what_it_lacks_is_named(family: Tpsmm, source: TpsmmSource) -> None:
    rest = driver(family, (400, 300), 6.0)
    for wish in (Transfer(region="lips"), Transfer(retarget_eyes=True), Transfer(normalise_lips=True)):
        with pytest.raises(MotionError, match="'tpsmm' cannot do that"):
            family.render(source, rest, rest, wish)
    black = family.motion(np.zeros((600, 800, 3), np.uint8), tracked_face((400, 300), 6.0))
    with pytest.raises(MotionError, match="not all finite"):
        family.render(source, black, None, Transfer(relative=False))


def test_no_face_and_no_picture(family: Tpsmm) -> None:
    with pytest.raises(NoFace, match="64 x 48"):
        family.source(np.full((48, 64, 3), 127, np.uint8))
    with pytest.raises(ImageError):
        family.source(np.zeros((48, 64), np.uint8))


def test_threads_share_the_family(family: Tpsmm, source: TpsmmSource) -> None:
    def draw(index: int) -> Image:
        now = driver(family, (400 + 3 * index, 300), 6.0, crop_at=(400, 300))
        return family.render(source, now, driver(family, (400, 300), 6.0), Transfer())

    alone = [draw(index) for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(draw, range(8)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert len({picture.tobytes() for picture in alone}) == 8
