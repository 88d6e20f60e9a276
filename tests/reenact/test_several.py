"""Pictures with several faces: found, chosen, and moved one by one or all by the one driver."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import mien
from mien.errors import InputError, NoFace
from mien.image import load_image
from mien.reenact import Reenactor
from mien.stream.sources import open_source

DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"
Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def pair() -> Image:
    """The larger face to the right, 512 pixels wide; the other half as large."""
    large = load_image(DEMO / "source.jpg")
    small = large[::2, ::2]
    picture = np.full((large.shape[0], large.shape[1] + small.shape[1] + 40, 3), 128, np.uint8)
    picture[100 : 100 + small.shape[0], : small.shape[1]] = small
    picture[:, -large.shape[1] :] = large
    return picture


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    with open_source(str(DEMO / "driving.mp4")) as clip:
        return [frame.image for frame, _ in zip(clip, range(40), strict=False)][::39]


@pytest.fixture(scope="module")
def reenactor() -> Reenactor:
    return Reenactor("studio", threads=1, smooth=False)


def moved(reenactor: Reenactor, picture: Image, face: object, frames: list[Image]) -> Image:
    reenactor.set_source(picture, face)
    return [reenactor.step(frame).image for frame in frames][-1]


def changed(picture: Image, result: Image) -> tuple[float, float]:
    """The share of changed pixels on the left, where the small face is, and on the right."""
    different = (picture != result).any(-1)
    edge = picture.shape[1] - 512
    return float(different[:, :edge].mean()), float(different[:, edge:].mean())


def test_all_faces_move_and_each_as_it_does_alone(reenactor: Reenactor, pair: Image, frames: list[Image]) -> None:
    first, second, both = (moved(reenactor, pair, face, frames) for face in (0, 1, "all"))
    left, right = changed(pair, first)
    assert left == 0 and right > 0.1
    left, right = changed(pair, second)
    assert left > 0.1 and right == 0
    edge = pair.shape[1] - 512
    np.testing.assert_array_equal(both[:, edge:], first[:, edge:])
    np.testing.assert_array_equal(both[:, :edge], second[:, :edge])


def test_the_largest_is_the_first(reenactor: Reenactor, pair: Image, frames: list[Image]) -> None:
    left, right = changed(pair, moved(reenactor, pair, "largest", frames))
    assert left == 0 and right > 0.1


@pytest.mark.parametrize("face", [2, -1, 99, "smallest"])
def test_a_face_that_is_not_there_is_refused_and_the_old_source_stays(
    reenactor: Reenactor, pair: Image, frames: list[Image], face: object
) -> None:
    reenactor.set_source(pair)
    with pytest.raises(InputError, match="the picture has 2, numbered from 0"):
        reenactor.set_source(pair, face)
    assert reenactor.step(frames[0]).image.shape == pair.shape


@pytest.mark.parametrize("face", ["all", 0])
def test_a_picture_without_faces_has_none_to_choose(reenactor: Reenactor, face: object) -> None:
    with pytest.raises(NoFace, match="none was found in the picture of 80 x 60"):
        reenactor.set_source(np.full((60, 80, 3), 90, np.uint8), face)
