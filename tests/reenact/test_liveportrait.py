"""The LivePortrait family on a tiny bundle: what it reads, what it feeds the generator, what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

import mien
from mien.bundle import Bundle, write_bundle
from mien.errors import BundleInvalid, ImageError, InputError, MienError, MotionError, NoFace, SessionError
from mien.image import load_image
from mien.reenact import keypoints
from mien.reenact.crops import portrait_crop
from mien.reenact.family import open_family
from mien.reenact.keypoints import EYES, LIPS
from mien.reenact.liveportrait import LivePortrait, LivePortraitSource
from mien.reenact.liveportrait_motion import LivePortraitMotion
from mien.reenact.reenactor import Reenactor
from mien.reenact.transfer import REGIONS, Region, Transfer
from mien.sessions import FunctionSession, Session
from mien.stream.sources import open_source
from tests.tiny_liveportrait import CANONICAL, CROP, NEUTRAL, ROLES, head_of, tiny_liveportrait_bundle, tracked_face

Image = NDArray[np.uint8]
Feeds = Mapping[str, NDArray[Any]]
DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"
GREY = (128, 120, 140)


def flat(colour: ArrayLike = GREY, height: int = 240, width: int = 320) -> Image:
    return np.full((height, width, 3), colour, np.uint8)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_liveportrait_bundle(tmp_path_factory.mktemp("liveportrait") / "tiny")


@pytest.fixture(scope="module")
def family(bundle: Bundle) -> LivePortrait:
    opened = open_family(bundle, threads=1)
    assert isinstance(opened, LivePortrait)
    return opened


@pytest.fixture(scope="module")
def source(family: LivePortrait) -> LivePortraitSource:
    return family.source(flat(), tracked_face())


@pytest.fixture
def fed(family: LivePortrait, monkeypatch: pytest.MonkeyPatch) -> list[Feeds]:
    """What the generator is fed, run by run."""
    runs: list[Feeds] = []
    generator = family.sessions["generator"]

    def record(feeds: Feeds) -> Feeds:
        runs.append(dict(feeds))
        return generator.run(feeds)

    with_record: Session = FunctionSession(record, generator.inputs, generator.outputs)
    monkeypatch.setattr(family, "sessions", {**family.sessions, "generator": with_record})
    return runs


def driver(family: LivePortrait, colour: ArrayLike, **face: Any) -> LivePortraitMotion:
    return family.motion(flat(colour, 600, 800), tracked_face(**{"middle": (400, 300), "cm": 8.0, **face}))


def test_a_portrait_is_read_in_its_own_crop(source: LivePortraitSource) -> None:
    head = head_of(np.array(GREY) / 255)
    np.testing.assert_allclose(source.points, keypoints.placed(CANONICAL, head), atol=1e-5)
    np.testing.assert_allclose(source.canonical, CANONICAL, atol=1e-6)
    assert source.openings is not None
    np.testing.assert_allclose(source.openings.eyes, 0.3, atol=1e-5)
    assert source.openings.lips == pytest.approx(0.2, abs=1e-5)
    assert set(source.appearance) == {"volume", "compressed", "context"}, "only what the generator takes"
    np.testing.assert_allclose(source.appearance["context"][0], source.points, atol=1e-6)


def test_a_drivers_motion_is_in_pixels_of_its_frame(family: LivePortrait) -> None:
    colour, tracked = (128, 200, 178), tracked_face((400, 300), cm=8)
    motion = family.motion(flat(colour, 600, 800), tracked)
    half, head = motion.crop[2], head_of(np.array(colour) / 255)
    np.testing.assert_allclose(motion.translation, motion.crop[:2] + half * head.translation, atol=0.1)
    np.testing.assert_allclose(motion.scale, half * head.scale, rtol=1e-3)
    np.testing.assert_allclose(motion.expression, head.expression, atol=1e-3)
    np.testing.assert_allclose(motion.eyes, 0.3, atol=1e-5)
    assert half == pytest.approx(31 * 8 / 2) and motion.crop[0] == pytest.approx(400)


@given(st.integers(0, 999))
def test_a_motions_values_make_it_again_and_any_values_make_a_rotation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    motion = LivePortraitMotion(
        rotation=keypoints.rotation_of(rng.uniform(-60, 60, 3)),
        expression=rng.normal(0, 0.03, (21, 3)),
        scale=rng.uniform(50, 300, 1),
        translation=rng.uniform(0, 2000, 2),
        eyes=rng.uniform(0, 0.5, 2),
        lips=rng.uniform(0, 0.5, 1),
        crop=rng.uniform(0, 500, 3),
        extent=np.array([480.0]),
    )
    again = motion.with_values(motion.values())
    for name in vars(motion):
        np.testing.assert_allclose(getattr(again, name), getattr(motion, name), atol=1e-9, err_msg=name)
    bent = motion.with_values(motion.values() + rng.normal(0, 0.1, 78))
    np.testing.assert_allclose(bent.rotation @ bent.rotation.T, np.eye(3), atol=1e-12)


def test_values_are_about_1_for_a_wide_movement(family: LivePortrait) -> None:
    still, wide = driver(family, GREY), driver(family, (255, 140, 140))
    assert 0.2 < np.abs(wide.values() - still.values()).max() < 3


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("adapt", [True, False])
def test_an_unmoved_driver_leaves_the_portrait(
    family: LivePortrait, source: LivePortraitSource, region: Region, adapt: bool
) -> None:
    motion = driver(family, (200, 30, 99))
    wish = Transfer(region=region, adapt_scale=adapt, stitching=False)
    np.testing.assert_allclose(family.drive(source, motion, motion, wish), source.points, atol=1e-9)
    assert np.abs(family.render(source, motion, motion, wish).astype(int) - source.image).max() <= 1


@pytest.mark.parametrize("region", REGIONS)
def test_relative_motion_in_units_of_the_crop_is_the_public_arithmetic(
    family: LivePortrait, source: LivePortraitSource, region: Region, fed: list[Feeds]
) -> None:
    colours = (200, 90, 180), (99, 150, 120)
    heads = [head_of(np.array(colour) / 255) for colour in colours]
    motions = [driver(family, colour) for colour in colours]
    wish = Transfer(region=region, adapt_scale=False)
    family.render(source, motions[0], motions[1], wish)
    expected = keypoints.placed(CANONICAL, keypoints.relative(source.head, *heads, region))
    np.testing.assert_allclose(fed[0]["driving_points"][0], expected, atol=1e-3)
    np.testing.assert_allclose(fed[0]["source_points"][0], source.points, atol=1e-6)


def test_adapted_to_the_scale_a_driver_near_or_far_moves_a_portrait_alike(
    family: LivePortrait, source: LivePortraitSource
) -> None:
    first = driver(family, GREY)
    near = replace(first, translation=first.translation + (30, -12), scale=first.scale * 1.1)
    away = [replace(m, translation=m.translation / 4 + 1000, scale=m.scale / 4) for m in (near, first)]
    wish = Transfer()
    one, other = family.drive(source, near, first, wish), family.drive(source, away[0], away[1], wish)
    np.testing.assert_allclose(one, other, atol=1e-9)
    middle = (one - source.points)[:, 0].mean()
    assert middle == pytest.approx(30 * source.head.scale / first.scale[0] + 0.1 * source.points[:, 0].mean(), abs=0.01)
    unadapted = replace(wish, adapt_scale=False)
    assert np.abs(family.drive(source, away[0], away[1], unadapted) - one).max() > 0.05


def test_a_moving_crop_makes_no_jump(family: LivePortrait, source: LivePortraitSource) -> None:
    """The same place in the frame, seen from another crop, is the same motion."""
    first = driver(family, GREY)
    moved = replace(driver(family, (220, 90, 128)), crop=first.crop + (20, -9, 14))
    still = replace(moved, crop=first.crop)
    for wish in (Transfer(), Transfer(adapt_scale=False)):
        np.testing.assert_array_equal(
            family.drive(source, moved, first, wish), family.drive(source, still, first, wish)
        )


def test_absolute_motion_takes_the_driver_as_it_stands_in_its_crop(
    family: LivePortrait, source: LivePortraitSource
) -> None:
    colour = (220, 200, 90)
    points = family.drive(source, driver(family, colour), None, Transfer(relative=False))
    head = keypoints.absolute(source.head, head_of(np.array(colour) / 255), "all")
    np.testing.assert_allclose(points, keypoints.placed(CANONICAL, head), atol=1e-3)


@pytest.mark.parametrize("region", REGIONS)
def test_a_single_picture_drives_by_its_expression_from_neutral_lips(
    family: LivePortrait, source: LivePortraitSource, region: Region
) -> None:
    colour = (220, 200, 90)
    points = family.drive(source, driver(family, colour), None, Transfer(region=region))
    given_expression = head_of(np.array(colour) / 255).expression - (0 if region == "eyes" else NEUTRAL)
    rows = list(keypoints.CHANGEABLE[region])
    expression = source.head.expression.copy()
    expression[rows] += given_expression[rows]
    expected = keypoints.placed(CANONICAL, replace(source.head, expression=expression))
    np.testing.assert_allclose(points, expected, atol=1e-3)


def test_stitching_and_multiplier_are_the_generators(
    family: LivePortrait, source: LivePortraitSource, fed: list[Feeds]
) -> None:
    first, then = driver(family, GREY), driver(family, (128, 120, 230))
    pictures = [
        family.render(source, then, first, Transfer(stitching=stitching, multiplier=multiplier))
        for stitching, multiplier in ((True, 1.0), (False, 1.0), (False, 0.5), (False, 0.0))
    ]
    assert [(float(f["stitching"][0]), float(f["multiplier"][0])) for f in fed] == [(1, 1), (0, 1), (0, 0.5), (0, 0)]
    rows, columns = (int(v) for v in source.crop.apply((32, 32))[::-1])
    light = [int(picture[rows, columns, 0]) for picture in pictures]
    assert light[3] == GREY[0] and light[1] > light[2] > light[3] and light[1] - light[0] == pytest.approx(13, abs=1)


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize(
    ("wish", "rows", "target", "own"),
    [
        ({"retarget_eyes": True}, EYES, 0.1, 0.3),
        ({"eyes": 0.5}, EYES, 0.5, 0.3),
        ({"eyes": 0.0, "retarget_eyes": True}, EYES, 0.0, 0.3),
        ({"retarget_lips": True}, LIPS, 0.6, 0.2),
        ({"lips": 0.0}, LIPS, 0.0, 0.2),
    ],
)
def test_retargeting_replaces_the_drivers_expression_there_by_an_opening_of_its_own(
    family: LivePortrait,
    source: LivePortraitSource,
    wish: dict[str, Any],
    rows: tuple[int, ...],
    target: float,
    own: float,
    relative: bool,
) -> None:
    first, then = driver(family, GREY), driver(family, (200, 220, 128), eyes=0.1, lips=0.6)
    first = replace(first, expression=first.expression + 0.02)
    plain, asked = Transfer(relative=relative), Transfer(relative=relative, **wish)
    without = family.drive(source, then, first, plain)
    points = family.drive(source, then, first, asked)
    others = [i for i in range(21) if i not in rows]
    np.testing.assert_allclose(points[others], without[others], atol=1e-9)
    if relative:
        driven = source.head.scale * then.scale / first.scale * (then.expression - first.expression)
    else:
        driven = source.head.scale * (then.expression - source.head.expression)
    retargeted = points - without + driven
    np.testing.assert_allclose(retargeted[list(rows)], np.tile([0, target - own, 0], (len(rows), 1)), atol=1e-5)


def test_the_mouth_is_closed_once_where_it_stands_open(
    family: LivePortrait, source: LivePortraitSource, fed: list[Feeds]
) -> None:
    motion = driver(family, GREY, lips=0.5)
    wishes = [
        Transfer(),
        Transfer(normalise_lips=True),
        Transfer(normalise_lips=True, relative=False),
        Transfer(normalise_lips=True, retarget_lips=True),
    ]
    for wish in wishes:
        family.render(source, motion, motion, wish)
    assert [bool(feeds["offsets"].any()) for feeds in fed] == [False, True, False, False]
    np.testing.assert_allclose(fed[1]["offsets"][0][list(LIPS)], np.tile([0, -0.2, 0], (6, 1)), atol=1e-5)
    closed = family.source(flat(), tracked_face(lips=0.029))
    assert not closed.closing.any()


@pytest.mark.parametrize("count", [203, 106, 101, 68, 5])
def test_landmarks_of_ones_own_stand_in_for_the_tracker(family: LivePortrait, count: int) -> None:
    points = np.random.default_rng(count).uniform(60, 180, (count, 2))
    source, motion = family.source(flat(), landmarks=points), driver(family, GREY)
    np.testing.assert_array_equal(source.crop.matrix, portrait_crop(points, CROP).matrix)
    assert family.render(source, motion, motion, Transfer()).shape == source.image.shape
    for wish in (Transfer(eyes=0.2), Transfer(normalise_lips=True)):
        if count in (203, 68):
            family.render(source, motion, motion, wish)
        else:
            with pytest.raises(MotionError, match="203 or 68"):
                family.render(source, motion, motion, wish)


def test_other_landmarks_are_refused(family: LivePortrait) -> None:
    with pytest.raises(InputError, match="203, 106, 101, 68, 5"):
        family.source(flat(), landmarks=np.ones((7, 2)))


def test_a_bundle_without_retargeting_does_everything_else(
    tmp_path: Path, source: LivePortraitSource, family: LivePortrait
) -> None:
    bare = LivePortrait(tiny_liveportrait_bundle(tmp_path / "bare", ROLES[:3]), threads=1)
    portrait, motion = bare.source(flat(), tracked_face()), driver(bare, GREY)
    assert not portrait.closing.any()
    np.testing.assert_array_equal(
        bare.render(portrait, motion, motion, Transfer(region="lips")),
        family.render(source, motion, motion, Transfer(region="lips")),
    )
    for wish in (Transfer(eyes=0.2), Transfer(retarget_lips=True), Transfer(normalise_lips=True)):
        with pytest.raises(MotionError, match="liveportrait"):
            bare.render(portrait, motion, motion, wish)


@pytest.mark.parametrize("side", [0, 1, True, 512.0, "512"])
def test_a_bundle_without_a_sensible_crop_is_refused(tmp_path: Path, side: object) -> None:
    with pytest.raises(BundleInvalid, match="extra.crop"):
        LivePortrait(tiny_liveportrait_bundle(tmp_path / "bundle", crop=side), threads=1)


def test_a_bundle_that_lacks_a_part_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(BundleInvalid, match="generator"):
        LivePortrait(tiny_liveportrait_bundle(tmp_path / "two", ROLES[:2]), threads=1)
    whole = {role: (Path(bundle.place) / spec.file).read_bytes() for role, spec in bundle.manifest.networks.items()}
    for arrays in ({}, {"lip_neutral": NEUTRAL[:5]}):
        lacking = write_bundle(tmp_path / f"lips{len(arrays)}", replace(bundle.manifest, arrays=None), whole, arrays)
        with pytest.raises(MienError, match="lip_neutral"):
            LivePortrait(lacking, threads=1)


def test_networks_that_give_no_numbers_are_an_error_of_our_own(
    family: LivePortrait, monkeypatch: pytest.MonkeyPatch
) -> None:
    motion = family.sessions["motion"]

    def spoilt(feeds: Feeds) -> Feeds:
        return {name: value * np.float32(np.nan) for name, value in motion.run(feeds).items()}

    bad: Session = FunctionSession(spoilt, motion.inputs, motion.outputs)
    monkeypatch.setattr(family, "sessions", {**family.sessions, "motion": bad})
    with pytest.raises(SessionError, match="no numbers"):
        family.source(flat(), tracked_face())
    assert not np.isfinite(family.motion(flat(), tracked_face()).values()).all()  # no face to the reenactor


def test_what_is_no_portrait_is_refused(family: LivePortrait) -> None:
    with pytest.raises(NoFace, match="no face was found"):
        family.source(flat())
    with pytest.raises(ImageError):
        family.source(np.zeros((64, 64), np.uint8))


@pytest.mark.parametrize("middle", [(0, 0), (320, 0), (10, 230), (320, 240)])
def test_a_portrait_at_the_edge_is_read_with_black_around_and_pasted_inside(
    family: LivePortrait, middle: tuple[int, int]
) -> None:
    source = family.source(flat((255, 255, 255)), tracked_face(middle))
    assert source.appearance["compressed"].mean() < 0.8, "part of the crop is black"
    dark = replace(source, appearance={**source.appearance, "volume": source.appearance["volume"] * 0})
    motion = driver(family, GREY)
    out = family.render(dark, motion, motion, Transfer(stitching=False))
    assert out.shape == source.image.shape
    inside = source.crop.apply([(32, 32), (20, 20), (44, 20), (20, 44), (44, 44)])
    shown = [(x, y) for x, y in inside if 0 <= x < 320 and 0 <= y < 240]
    assert shown and all(not out[int(y), int(x)].any() for x, y in shown)


def test_the_portrait_is_its_own_copy_and_nothing_outside_its_crop_changes(family: LivePortrait) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (500, 700, 3), np.uint8)
    source = family.source(picture, tracked_face((350, 250), cm=3.0))
    before = picture.copy()
    picture[:] = 0
    first, then = driver(family, GREY), driver(family, (128, 120, 250))
    out = family.render(source, then, first, Transfer())
    np.testing.assert_array_equal(source.image, before)
    corners = source.crop.apply([(-1, -1), (65, 65)])
    (left, top), (right, bottom) = np.floor(corners[0]).astype(int), np.ceil(corners[1]).astype(int)
    outside = np.ones(before.shape[:2], bool)
    outside[top:bottom, left:right] = False
    np.testing.assert_array_equal(out[outside], before[outside])
    assert (out != before).any()


def test_a_face_that_turns_away_is_followed_as_far_as_it_goes(family: LivePortrait, source: LivePortraitSource) -> None:
    first = driver(family, GREY)
    turns = [replace(first, rotation=first.rotation @ keypoints.rotation_of([0, yaw, 0])) for yaw in (30, 60, 95)]
    noses = [family.drive(source, turn, first, Transfer()) for turn in turns]
    assert all(np.isfinite(points).all() for points in noses)
    assert np.abs(noses[2] - noses[1]).max() > 0.1


def test_eight_threads_over_one_family_give_the_pictures_of_one(family: LivePortrait) -> None:
    def picture(number: int) -> Image:
        portrait = family.source(flat((20 * number, 128, 255 - 20 * number)), tracked_face((120 + number, 100)))
        first, then = driver(family, GREY), driver(family, (128 + 10 * number, 128, 140 + 5 * number))
        return family.render(portrait, then, first, Transfer(eyes=0.1 * (number % 5), normalise_lips=True))

    alone = [picture(number) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(picture, list(range(8)) * 4))
    for number, one in enumerate(together):
        np.testing.assert_array_equal(one, alone[number % 8])


def test_the_reenactor_runs_it_on_a_clip_and_holds_where_the_face_is_lost(family: LivePortrait) -> None:
    reenactor = Reenactor(family)
    portrait = load_image(DEMO / "source.jpg")
    reenactor.set_source(portrait)
    with open_source(str(DEMO / "driving.mp4")) as clip:
        frames = [frame.image for frame, _ in zip(clip, range(6), strict=False)]
    seen = [reenactor.step(frame) for frame in frames]
    assert [one.status for one in seen] == ["tracked"] * 6
    assert seen[0].image.shape == portrait.shape and (seen[0].image != portrait).any()
    held = reenactor.step(flat((255, 0, 255)))
    assert held.status == "held"
    np.testing.assert_array_equal(held.image, seen[-1].image)
    assert isinstance(seen[0].motion, LivePortraitMotion)


def test_it_says_what_it_is(family: LivePortrait) -> None:
    assert family.name == "liveportrait" and family.motion_type is LivePortraitMotion
    assert family.features == {"lip normalisation", "regions", "retargeting"}
