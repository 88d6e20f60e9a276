"""What one Reenactor asks of every family, tested on each: hand-made tiny networks, and the ones that ship."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import mien
from mien.bundle import Bundle
from mien.errors import SessionError
from mien.faces import Tracked
from mien.geometry import Similarity
from mien.image import load_image
from mien.reenact import Family, FamilyMotion, Reenactor, Transfer, open_family
from mien.reenact.family import HOMES
from mien.reenact.templates import Recorder, Template, parts_of
from mien.sessions import FunctionSession
from mien.stream.sources import open_source
from tests import tiny_fomm, tiny_tpsmm
from tests.tiny_lia import colour_bundle
from tests.tiny_liveportrait import tiny_liveportrait_bundle

DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"
Image = NDArray[np.uint8]


BUNDLES: dict[str, Callable[[Path], Bundle]] = {
    "studio": lambda path: Bundle.open("studio"),
    "liveportrait": tiny_liveportrait_bundle,
    "fomm": tiny_fomm.blob_bundle,
    "lia": colour_bundle,
    "tpsmm": tiny_tpsmm.blob_bundle,
}


@pytest.fixture(scope="module", params=list(BUNDLES))
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family[Any, Any]:
    bundle = BUNDLES[request.param](tmp_path_factory.mktemp(request.param) / "bundle")
    assert bundle.manifest.family == request.param in HOMES
    return open_family(bundle, threads=1)


@pytest.fixture(scope="module")
def portrait() -> Image:
    return np.ascontiguousarray(load_image(DEMO / "source.jpg")[::2, ::2])


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    with open_source(str(DEMO / "driving.mp4")) as clip:
        return [frame.image for frame, _ in zip(clip, range(40), strict=False)][::8]


def motion_in(family: Family[Any, Any], image: Image) -> FamilyMotion:
    tracked = family.tracker().step(image)
    assert tracked is not None
    motion: FamilyMotion = family.motion(image, tracked)
    return motion


def test_it_is_a_family(family: Family[Any, Any], frames: list[Image]) -> None:
    assert isinstance(motion_in(family, frames[0]), family.motion_type)
    assert family.sessions and all(session.info.threads == 1 for session in family.sessions.values())


def test_a_motion_is_its_values(family: Family[Any, Any], frames: list[Image]) -> None:
    motion, other = motion_in(family, frames[0]), motion_in(family, frames[-1])
    values = motion.values()
    assert values.ndim == 1 and values.dtype == np.float64 and np.isfinite(values).all()
    np.testing.assert_allclose(motion.with_values(values).values(), values, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(motion.with_values(other.values()).values(), other.values(), rtol=1e-5, atol=1e-5)


def test_a_motion_is_made_of_float_arrays_by_name(family: Family[Any, Any], frames: list[Image]) -> None:
    motion = motion_in(family, frames[0])
    parts = parts_of(motion)
    assert all(part.dtype.kind == "f" for part in parts.values())
    np.testing.assert_array_equal(family.motion_type(**parts).values(), motion.values())


def test_of_an_unmoved_driver_the_portrait_stays(
    family: Family[Any, Any], portrait: Image, frames: list[Image]
) -> None:
    """Relative motion of nothing, of whatever strength, is one and the same picture."""
    source, still = family.source(portrait), motion_in(family, frames[0])
    one, other = (family.render(source, still, still, Transfer(multiplier=m, stitching=False)) for m in (1.0, 0.3))
    assert one.shape == portrait.shape and one.dtype == np.uint8
    assert np.abs(one.astype(int) - other).max() <= 1
    assert not np.may_share_memory(one, source.image)
    np.testing.assert_array_equal(source.image, portrait)


def test_where_the_face_is_in_the_drivers_frame_does_not_matter(
    family: Family[Any, Any], portrait: Image, frames: list[Image]
) -> None:
    """Relative motion of two frames, and of the same two with a border around them, are one and the same."""
    source, first = family.source(portrait), motion_in(family, frames[0])
    tracked = family.tracker().step(frames[-1])
    assert tracked is not None
    plain = family.render(source, family.motion(frames[-1], tracked), first, Transfer())
    border = 40
    shift = Similarity(np.array([[1.0, 0, border], [0, 1, border]]))
    around = ((border, border), (border, border), (0, 0))
    later, earlier = (
        family.motion(np.pad(frame, around, mode="edge"), replace(seen, crop=shift @ seen.crop))
        for frame in (frames[-1], frames[0])
        if (seen := family.tracker().step(frame)) is not None
    )
    assert np.abs(family.render(source, later, earlier, Transfer()).astype(int) - plain).max() <= 1


@pytest.mark.parametrize("relative", [True, False])
def test_statuses_sizes_and_calibration(
    family: Family[Any, Any], portrait: Image, frames: list[Image], relative: bool
) -> None:
    reenactor = Reenactor(family, transfer=Transfer(relative=relative), smooth=False)
    reenactor.set_source(portrait)
    first = reenactor.step(frames[-1])
    assert first.status == "tracked" and first.image.shape == portrait.shape
    reenactor.step(frames[0])
    lost = reenactor.step(np.zeros_like(frames[0]))
    assert lost.status == "held"
    while reenactor.step(frames[-1]).status != "tracked":
        pass
    reenactor.calibrate()
    again = reenactor.step(frames[-1]).image
    assert np.abs(again.astype(int) - first.image).mean() < 2


def test_a_frame_of_which_a_network_makes_no_numbers_is_held(
    family: Family[Any, Any], portrait: Image, frames: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    reenactor, recorder = Reenactor(family), Recorder(family)
    reenactor.set_source(portrait)
    shown = [reenactor.step(frame) for frame in frames[:2]]
    read = family.motion

    def spoilt(frame: Image, tracked: Tracked) -> FamilyMotion:
        motion: FamilyMotion = read(frame, tracked)
        return replace(motion, **{name: part * np.nan for name, part in parts_of(motion).items()})

    with monkeypatch.context() as broken:
        broken.setattr(family, "motion", spoilt)
        held = reenactor.step(frames[2])
        assert not recorder.add(frames[2], 0)
    assert held.status == "held" and held.motion is None
    np.testing.assert_array_equal(held.image, shown[-1].image)
    assert reenactor.step(frames[3]).status == "tracked" and recorder.add(frames[3], 1)
    template = recorder.finish(Fraction(25), Fraction(1, 25))
    assert template.seen.tolist() == [False, True]


def test_a_portrait_of_which_a_network_makes_no_numbers_is_refused(
    family: Family[Any, Any], portrait: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    if family.name == "studio":
        pytest.skip("its motion network is the tracker's, to which that is no face: see tests/faces")
    role = "keypoints" if "keypoints" in family.sessions else "appearance"
    sound = family.sessions[role]

    def spoilt(feeds: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        return {name: value * np.float32(np.nan) for name, value in sound.run(feeds).items()}

    bad = FunctionSession(spoilt, sound.inputs, sound.outputs)
    monkeypatch.setattr(family, "sessions", {**family.sessions, role: bad})
    with pytest.raises(SessionError, match=f"{role}' gave values that are no numbers"):
        family.source(portrait)


def test_a_driver_that_turns_away_and_comes_back(
    family: Family[Any, Any], portrait: Image, frames: list[Image]
) -> None:
    """Turned away there is no face; a frame comes out for each that goes in, and the motion goes on from its start."""
    back = cv2.GaussianBlur(np.ascontiguousarray(frames[0][::-1]), (0, 0), 25)
    reenactor = Reenactor(family, smooth=False)
    reenactor.set_source(portrait)
    first = reenactor.step(frames[0]).image
    away = [reenactor.step(back) for _ in range(60)]
    assert away[0].status == "held" and away[-1].status == "blank" and not away[-1].image.any()
    np.testing.assert_array_equal(away[0].image, first)
    assert all(one.image.shape == portrait.shape for one in away)
    returned = [reenactor.step(frames[0]) for _ in range(20)][-1]
    assert returned.status == "tracked"
    assert np.abs(returned.image.astype(int) - first).mean() < 2


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_portrait_at_the_pictures_edge(
    family: Family[Any, Any], portrait: Image, frames: list[Image], side: str
) -> None:
    """A part of the head, or what is around it, lies outside: it moves inside, in a picture of its own size."""
    tracked = family.tracker().step(portrait)
    assert tracked is not None
    (x, y), half = tracked.face.centre, 0.42 * tracked.face.size
    left, right, top, bottom = (round(at) for at in (x - half, x + half, y - half, y + half))
    cuts = {
        "left": np.s_[:, left:], "right": np.s_[:, :right], "top": np.s_[top:], "bottom": np.s_[:bottom]
    }  # fmt: skip
    cut = np.ascontiguousarray(portrait[cuts[side]])
    reenactor = Reenactor(family, transfer=Transfer(relative=False), smooth=False)
    reenactor.set_source(cut)
    out = reenactor.step(frames[-1])
    assert out.status == "tracked" and out.image.shape == cut.shape
    assert (out.image != cut).any() and out.image.mean() > cut.mean() / 2


def test_a_single_picture_drives(family: Family[Any, Any], portrait: Image, frames: list[Image]) -> None:
    reenactor = Reenactor(family, neutral=True)
    reenactor.set_source(portrait)
    assert reenactor.step(frames[-1]).image.shape == portrait.shape


def test_a_template_drives_as_its_clip_does_and_can_be_smoothed(
    family: Family[Any, Any], portrait: Image, frames: list[Image]
) -> None:
    recorder = Recorder(family)
    for index, frame in enumerate(frames):
        recorder.add(frame, index)
    recorded = recorder.finish(Fraction(25), Fraction(1, 25))
    template = Template.read(recorded.about(), recorded.arrays())
    template.check(family, motion_in(family, portrait))
    live, replayed = Reenactor(family), Reenactor(family)
    live.set_source(portrait)
    replayed.set_source(portrait)
    for frame, motion in zip(frames, template.motions(family.motion_type), strict=True):
        np.testing.assert_array_equal(live.step(frame).image, replayed.move(motion).image)
    smooth = list(template.smoothed(family.motion_type).motions(family.motion_type))
    for motion, steady in zip(template.motions(family.motion_type), smooth, strict=True):
        assert 0 < np.abs(motion.values() - steady.values()).max() < 1


def test_both_faces_of_a_picture_move_each_of_its_own_size(
    family: Family[Any, Any], portrait: Image, frames: list[Image]
) -> None:
    grey = np.full_like(portrait, 128)
    small = cv2.resize(portrait, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    other = grey.copy()
    other[-len(small) :, -len(small) :] = small
    pair = np.concatenate([portrait, grey, other], 1)
    reenactor = Reenactor(family, transfer=Transfer(relative=False))
    results = {}
    for face in (0, 1, "all"):
        reenactor.set_source(pair, face)
        results[face] = reenactor.step(frames[-1]).image
        assert results[face].shape == pair.shape
    width = portrait.shape[1]
    for half in (slice(None, width), slice(-width, None)):
        moved = [np.array_equal(results[face][:, half], results["all"][:, half]) for face in (0, 1)]
        still = [np.array_equal(results[face][:, half], pair[:, half]) for face in (0, 1)]
        assert sorted(moved) == sorted(still) == [False, True] and moved != still


def test_eight_threads_over_one_family_do_as_each_does_alone(
    family: Family[Any, Any], portrait: Image, frames: list[Image]
) -> None:
    def pictures(index: int) -> list[Image]:
        source = np.pad(portrait, ((0, 6 * index), (0, 4 * index), (0, 0)), mode="edge")
        reenactor = Reenactor(family, transfer=Transfer(relative=index % 2 == 0, multiplier=1 + index / 8))
        reenactor.set_source(source)
        return [reenactor.step(frame).image for frame in frames[index % 2 :: 2]]

    alone = [pictures(index) for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(pictures, range(8)))
    for before, after in zip(alone, together, strict=True):
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)
