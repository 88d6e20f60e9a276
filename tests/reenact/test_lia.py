"""The LIA family on a tiny bundle: magnitudes read, moved, and drawn into the portrait."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

import mien
from mien.errors import ImageError, MotionError, NoFace
from mien.faces import CROP_CM, Tracked
from mien.geometry import Similarity
from mien.image import load_image
from mien.reenact import Reenactor, Transfer, open_family
from mien.reenact.crops import HEAD_CM
from mien.reenact.lia import WIDE, Lia, LiaMotion, LiaSource
from mien.stream.sources import open_source
from tests.tiny_lia import DIRECTIONS, colour_bundle

Image = NDArray[np.uint8]
DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"
GREY = (120, 128, 140)


def flat(colour: ArrayLike = GREY, height: int = 240, width: int = 320) -> Image:
    return np.full((height, width, 3), colour, np.uint8)


def face(x: float = 160, y: float = 120, side: float = 90) -> Tracked:
    """A face in a crop of the tracker's, ``side`` wide."""
    return Tracked(Similarity.from_crop((x, y), side, 144), {}, 1.0, 144)


def read(colour: ArrayLike) -> NDArray[np.float64]:
    """What the tiny network says of a crop of one colour."""
    magnitudes: NDArray[np.float64] = 6 * (np.asarray(colour) / 255 - 0.5)
    return magnitudes


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Lia:
    opened = open_family(colour_bundle(tmp_path_factory.mktemp("lia") / "tiny"), threads=1)
    assert isinstance(opened, Lia)
    return opened


@pytest.fixture(scope="module")
def source(family: Lia) -> LiaSource:
    return family.source(flat(), face())


def middle(image: Image) -> NDArray[np.float64]:
    """The colour in the middle of the portrait's face, in shares of 255."""
    colour: NDArray[np.float64] = image[110:130, 150:170].mean((0, 1)) / 255
    return colour


def brighter(source: LiaSource, way: ArrayLike) -> NDArray[np.float64]:
    """The colour there after a way of its magnitudes."""
    colour: NDArray[np.float64] = np.clip(middle(source.image) + 0.1 * np.asarray(way), 0, 1)
    return colour


def test_a_portrait_is_read_in_a_square_around_its_head(source: LiaSource) -> None:
    np.testing.assert_allclose(source.magnitudes, read(GREY), atol=1e-4)
    assert set(source.tensors) == {"latent", "feature_64"}, "all that the generator takes of it, and no more"
    assert source.crop.scale * 64 == pytest.approx(90 * HEAD_CM / CROP_CM)
    np.testing.assert_allclose(source.crop.apply((32, 32)), (160, 120))


def test_the_portrait_is_a_copy(family: Lia) -> None:
    picture = flat()
    source = family.source(picture, face())
    picture[:] = 0
    assert (source.image == GREY).all()


def test_a_drivers_motion_is_read_in_the_tracked_square(family: Lia) -> None:
    frame = flat((0, 0, 0), 600, 800)
    frame[100:400, 200:500] = (255, 128, 0)
    motion = family.motion(frame, face(350, 250, 100))
    np.testing.assert_allclose(motion.magnitudes, read((255, 128, 0)), atol=1e-4)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=20))
def test_a_motion_is_its_values(magnitudes: list[float]) -> None:
    motion = LiaMotion(np.array(magnitudes))
    np.testing.assert_allclose(motion.values() * WIDE, magnitudes, atol=1e-12)
    np.testing.assert_allclose(motion.with_values(motion.values()).magnitudes, magnitudes, atol=1e-12)
    assert LiaMotion(np.float32(magnitudes)).values().dtype == np.float64


def motion(*magnitudes: float) -> LiaMotion:
    return LiaMotion(np.array(magnitudes))


HERE, THERE = motion(1.0, 0.0, -1.0), motion(1.5, -1.0, 0.0)


@pytest.mark.parametrize("multiplier", [1.0, 0.5, 0.0, 2.0])
def test_relative_motion_is_the_drivers_change(family: Lia, source: LiaSource, multiplier: float) -> None:
    drawn = family.render(source, THERE, HERE, Transfer(multiplier=multiplier))
    change = multiplier * (THERE.magnitudes - HERE.magnitudes)
    np.testing.assert_allclose(middle(drawn), brighter(source, change), atol=1 / 255)


@pytest.mark.parametrize("transfer, reference", [(Transfer(relative=False), HERE), (Transfer(), None)])
@pytest.mark.parametrize("multiplier", [1.0, 0.5])
def test_absolute_motion_is_the_drivers_own(
    family: Lia, source: LiaSource, transfer: Transfer, reference: LiaMotion | None, multiplier: float
) -> None:
    drawn = family.render(source, THERE, reference, Transfer(relative=transfer.relative, multiplier=multiplier))
    way = multiplier * (THERE.magnitudes - source.magnitudes)
    np.testing.assert_allclose(middle(drawn), brighter(source, way), atol=1 / 255)


def test_one_direction_alone(family: Lia, source: LiaSource) -> None:
    for direction in range(DIRECTIONS):
        drawn = family.shifted(source, direction, -2.0)
        np.testing.assert_allclose(middle(drawn), brighter(source, -2 * np.eye(3)[direction]), atol=1 / 255)


@pytest.mark.parametrize("direction, amount", [(DIRECTIONS, 1.0), (-1, 1.0), (0, float("nan")), (0, float("inf"))])
def test_a_direction_that_there_is_not(family: Lia, source: LiaSource, direction: int, amount: float) -> None:
    with pytest.raises(MotionError, match="directions 0 to 2"):
        family.shifted(source, direction, amount)


def test_the_picture_around_the_head_keeps_every_byte_and_no_edge_is_seen(family: Lia) -> None:
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(60, 190, (24, 32, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    source = family.source(picture, face())
    drawn = family.render(source, motion(1, 1, 1), motion(0, 0, 0), Transfer()).astype(int)
    (left, top), (right, bottom) = source.crop.apply([(0, 0), (64, 64)])
    outside = np.ones(picture.shape[:2], bool)
    outside[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = False
    assert outside.any() and (drawn[outside] == picture[outside]).all()
    smooth = family.render(family.source(flat(), face()), motion(1, 1, 1), motion(0, 0, 0), Transfer()).astype(int)
    steps = max(np.abs(np.diff(smooth, axis=axis)).max() for axis in (0, 1))
    assert smooth.max() - smooth.min() > 20 and steps <= 4, "the rim rises over many pixels"


@pytest.mark.parametrize(
    "transfer, lacking",
    [
        (Transfer(region="lips"), "regions"),
        (Transfer(eyes=0.5), "retargeting"),
        (Transfer(normalise_lips=True), "lip normalisation"),
    ],
)
def test_what_the_family_lacks_is_said(family: Lia, source: LiaSource, transfer: Transfer, lacking: str) -> None:
    with pytest.raises(MotionError, match=f"{lacking}.*'lia'.*has.*relative and absolute motion"):
        family.render(source, THERE, HERE, transfer)


def test_no_face_and_no_picture(family: Lia) -> None:
    with pytest.raises(NoFace, match="320 x 240"):
        family.source(flat())
    with pytest.raises(ImageError):
        family.source(flat().astype(np.float32))  # type: ignore[arg-type]


def test_eight_threads_share_one_family(family: Lia, source: LiaSource) -> None:
    motions = [motion(0.2 * i, -0.1 * i, 0.3) for i in range(8)]
    alone = [family.render(source, one, HERE, Transfer()) for one in motions]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: family.render(source, one, HERE, Transfer()), motions * 4))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 4, together, strict=True))


def test_a_real_face_is_found_and_drives(family: Lia) -> None:
    reenactor = Reenactor(family, smooth=False)
    portrait = load_image(DEMO / "source.jpg")
    reenactor.set_source(portrait)
    with open_source(str(DEMO / "driving.mp4")) as clip:
        frames = [frame.image for frame, _ in zip(clip, range(10), strict=False)]
    first, *_, last = (reenactor.step(frame) for frame in frames)
    assert first.status == last.status == "tracked" and last.image.shape == portrait.shape
    still = motion(0, 0, 0)
    np.testing.assert_array_equal(first.image, family.render(family.source(portrait), still, still, Transfer()))
