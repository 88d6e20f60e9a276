"""The reenactor on the bundle that ships: what comes out, what stands in for a lost face, and what never comes out."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import mien
from mien.errors import ImageError, InputError, NoFace
from mien.image import load_image
from mien.reenact.reenactor import HOLD_SECONDS, Reenactor
from mien.reenact.transfer import Transfer
from mien.stream.sources import open_source

DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"
MARKER = np.full((240, 320, 3), (255, 0, 255), np.uint8)
Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def portrait() -> Image:
    return load_image(DEMO / "source.jpg")


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    with open_source(str(DEMO / "driving.mp4")) as clip:
        return [frame.image for frame, _ in zip(clip, range(40), strict=False)]


@pytest.fixture(scope="module")
def shared(portrait: Image) -> Reenactor:
    made = Reenactor("studio", smooth=False)
    made.set_source(portrait)
    return made


@pytest.fixture
def reenactor(shared: Reenactor, portrait: Image) -> Reenactor:
    shared.set_source(portrait)
    return shared


def decibel(one: Image, other: Image) -> float:
    error = np.square(one.astype(np.float64) - other).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def marked(image: Image) -> bool:
    return bool((image.astype(int) == MARKER[0, 0]).all(-1).any())


def test_a_frame_comes_out_at_the_sources_size_and_says_it_is_synthetic(
    reenactor: Reenactor, portrait: Image, frames: list[Image]
) -> None:
    out = reenactor.step(frames[0])
    assert out.image.shape == portrait.shape and out.image.dtype == np.uint8
    assert out.status == "tracked" and out.synthetic is True and out.motion is not None


def test_the_first_frame_is_the_portrait_and_later_ones_move(
    reenactor: Reenactor, portrait: Image, frames: list[Image]
) -> None:
    first = reenactor.step(frames[0]).image
    last = reenactor.step(frames[-1]).image
    assert decibel(first, portrait) > 30
    assert decibel(last, portrait) < decibel(first, portrait) - 3


def test_outside_the_crop_nothing_changes(reenactor: Reenactor, frames: list[Image], portrait: Image) -> None:
    wide = np.pad(portrait, ((300, 300), (300, 300), (0, 0)), mode="edge")
    reenactor.set_source(wide)
    reenactor.step(frames[0])
    out = reenactor.step(frames[-1]).image
    np.testing.assert_array_equal(out[:150], wide[:150])
    np.testing.assert_array_equal(out[:, :150], wide[:, :150])


def test_the_same_frames_give_the_same_pictures(reenactor: Reenactor, frames: list[Image]) -> None:
    once = [reenactor.step(f).image for f in frames[:3]]
    reenactor.reset()
    for before, frame in zip(once, frames, strict=False):
        np.testing.assert_array_equal(reenactor.step(frame).image, before)


def test_before_a_source_there_is_an_error_of_our_own(frames: list[Image]) -> None:
    with pytest.raises(InputError, match="set_source"):
        Reenactor("studio").step(frames[0])


@pytest.mark.parametrize("kind", ["flat", "noise"])
def test_a_source_without_a_face_is_refused_and_the_old_one_stays(
    reenactor: Reenactor, frames: list[Image], kind: str
) -> None:
    rng = np.random.default_rng(0)
    picture = MARKER if kind == "flat" else rng.integers(0, 256, (200, 300, 3), np.uint8)
    with pytest.raises(NoFace, match="no face was found"):
        reenactor.set_source(picture)
    assert reenactor.step(frames[0]).status == "tracked"


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.full((64, 64, 3), np.nan),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
    ],
    ids=["grey", "alpha", "nan", "one pixel", "empty"],
)
def test_arrays_that_are_no_pictures_are_refused(reenactor: Reenactor, frames: list[Image], bad: Image) -> None:
    with pytest.raises(ImageError):
        reenactor.step(bad)
    with pytest.raises(ImageError):
        reenactor.set_source(bad)
    assert reenactor.step(frames[0]).status == "tracked"


def test_a_lost_face_holds_the_last_picture_then_black_then_returns(reenactor: Reenactor, frames: list[Image]) -> None:
    last = reenactor.step(frames[20], 0.0).image
    held = reenactor.step(MARKER, 0.1)
    assert held.status == "held"
    np.testing.assert_array_equal(held.image, last)
    blank = reenactor.step(MARKER, HOLD_SECONDS + 0.2)
    assert blank.status == "blank" and not blank.image.any()
    again = [reenactor.step(frames[21], HOLD_SECONDS + 0.3 + 0.04 * k).status for k in range(12)]
    assert again[-1] == "tracked"


def test_calibrating_takes_the_next_frame_for_the_portrait_as_it_is(
    reenactor: Reenactor, portrait: Image, frames: list[Image]
) -> None:
    first = reenactor.step(frames[39]).image
    reenactor.step(frames[0])
    reenactor.calibrate()
    np.testing.assert_array_equal(reenactor.step(frames[39]).image, first)
    moved = reenactor.step(frames[20]).image
    reenactor.calibrate()
    assert reenactor.step(MARKER).status == "held"
    recalibrated = reenactor.step(frames[20]).image
    assert decibel(recalibrated, portrait) > decibel(moved, portrait) + 3


def test_the_transfer_may_change_at_any_time(shared: Reenactor, portrait: Image, frames: list[Image]) -> None:
    reenactor = Reenactor(shared.family, smooth=False)
    reenactor.set_source(portrait)
    reenactor.step(frames[0])
    full = reenactor.step(frames[39]).image
    errors = []
    for multiplier in (0.0, 0.5, 1.0):
        reenactor.transfer = Transfer(multiplier=multiplier)
        errors.append(np.abs(reenactor.step(frames[39]).image.astype(int) - full).mean())
    assert errors[0] > errors[1] > errors[2] == 0
    reenactor.transfer = Transfer(relative=False)
    assert np.abs(reenactor.step(frames[39]).image.astype(int) - full).mean() > 1


def test_of_a_single_picture_only_the_expression_is_taken(
    shared: Reenactor, portrait: Image, frames: list[Image]
) -> None:
    """The same expression, turned and moved or not, gives nearly the same; as a first frame it would give nothing."""
    plain, single = Reenactor(shared.family, smooth=False), Reenactor(shared.family, smooth=False, neutral=True)
    for reenactor in (plain, single):
        reenactor.set_source(portrait)
    smiling = single.step(frames[39]).image
    shifted = single.step(np.roll(frames[39], (20, -30), (0, 1))).image
    assert decibel(smiling, portrait) < decibel(plain.step(frames[39]).image, portrait) - 3
    assert decibel(smiling, shifted) > decibel(smiling, portrait) + 3


def test_a_portrait_that_is_a_film_itself_moves_on_and_holds_where_its_face_is_lost(
    shared: Reenactor, frames: list[Image]
) -> None:
    reenactor = Reenactor(shared.family, smooth=False)
    with pytest.raises(InputError, match="set_source"):
        reenactor.next_source(frames[0])
    reenactor.set_source(frames[0])
    reenactor.step(frames[0])
    reenactor.next_source(frames[39])
    own = reenactor.step(frames[0]).image
    assert decibel(own, frames[39]) > 30 > decibel(own, frames[0])
    reenactor.next_source(np.full_like(frames[0], 90))
    np.testing.assert_array_equal(reenactor.step(frames[0]).image, own)
    with pytest.raises(ImageError, match="film began with"):
        reenactor.next_source(frames[0][:-10])


def test_two_sources_of_different_size_one_after_the_other(
    reenactor: Reenactor, portrait: Image, frames: list[Image]
) -> None:
    for side in (0, 33):
        wider = np.pad(portrait, ((0, 0), (0, side), (0, 0)), mode="edge")
        reenactor.set_source(wider)
        assert reenactor.step(MARKER).image.shape == wider.shape
        assert reenactor.step(frames[0]).image.shape == wider.shape


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 1.5)), min_size=1, max_size=10))
def test_no_driving_frame_ever_comes_out(
    reenactor: Reenactor, frames: list[Image], steps: list[tuple[bool, float]]
) -> None:
    reenactor.reset()
    now = 0.0
    for index, (face, pause) in enumerate(steps):
        now += pause
        frame = frames[index].copy() if face else MARKER.copy()
        frame[:20] = MARKER[0, 0]
        assert not marked(reenactor.step(frame, now).image)
