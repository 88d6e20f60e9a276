"""Faces of still pictures, found with the networks that mien brings."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from mien.errors import BundleInvalid, ImageError, InputError, NoFace
from mien.faces import Face, PortraitFinder, aligned_crop, ffhq
from mien.faces.portrait import choose
from mien.image import Image, load_image
from tests.tiny import tiny_bundle

DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"


@pytest.fixture(scope="module")
def finder() -> PortraitFinder:
    return PortraitFinder(threads=1)


@pytest.fixture(scope="module")
def portrait() -> Image:
    return load_image(DEMO / "source.jpg")


def scaled(image: Image, by: float) -> Image:
    return np.asarray(cv2.resize(image, None, fx=by, fy=by, interpolation=cv2.INTER_AREA), np.uint8)


def test_a_face_is_found_with_its_landmarks(finder: PortraitFinder, portrait: Image) -> None:
    (found,) = finder(portrait)
    points = found.landmarks
    assert points.shape == (68, 2) and np.isfinite(points).all()
    jaw, nose, lips = points[:17], points[27:36], points[48:68]
    one_eye, other_eye = points[36:42].mean(0), points[42:48].mean(0)
    assert one_eye[0] < other_eye[0] and one_eye[1] < nose[:, 1].max() < lips[:, 1].mean() < jaw[:, 1].max()
    assert np.abs(points.mean(0) - found.face.centre).max() < 0.3 * found.face.size


def test_its_aligned_crop_has_level_eyes_in_the_usual_place(finder: PortraitFinder, portrait: Image) -> None:
    (found,) = finder(portrait)
    place = ffhq(found.landmarks, 256)
    again = finder(aligned_crop(portrait, place, 256))[0].landmarks
    one_eye, other_eye = again[36:42].mean(0), again[42:48].mean(0)
    np.testing.assert_allclose((one_eye + other_eye) / 2, (128, 122), atol=8)
    assert abs(one_eye[1] - other_eye[1]) < 5


@pytest.mark.parametrize(("by", "shift"), [(1.0, (120, 40)), (0.5, (300, 200))])
def test_landmarks_go_with_the_face(finder: PortraitFinder, portrait: Image, by: float, shift: tuple[int, int]) -> None:
    (found,) = finder(portrait)
    small = scaled(portrait, by)
    wide = np.full((small.shape[0] + 400, small.shape[1] + 500, 3), 90, np.uint8)
    wide[shift[1] : shift[1] + small.shape[0], shift[0] : shift[0] + small.shape[1]] = small
    moved = finder(wide)[0]
    expected = by * found.landmarks + shift
    assert np.abs(moved.landmarks - expected).mean() < 0.02 * moved.face.size


def test_of_several_faces_the_most_prominent_is_first(finder: PortraitFinder, portrait: Image) -> None:
    small = scaled(portrait, 0.6)
    both = np.full((portrait.shape[0], portrait.shape[1] + small.shape[1], 3), 90, np.uint8)
    both[: small.shape[0], : small.shape[1]] = small
    both[:, small.shape[1] :] = portrait
    found = finder(both)
    assert len(found) == 2 and found[0].face.size > found[1].face.size
    assert found[0].landmarks[:, 0].min() > small.shape[1]
    assert choose(found, "largest", both) is choose(found, 0, both) is found[0]
    assert choose(found, 1, both) is found[1]
    for wrong in (2, -1, "smallest"):
        with pytest.raises(InputError, match="has 2, numbered from 0"):
            choose(found, wrong, both)


def test_where_there_is_no_face_none_is_found(finder: PortraitFinder) -> None:
    empty = np.full((300, 400, 3), 127, np.uint8)
    assert finder(empty) == []
    with pytest.raises(NoFace, match="400 x 300.*aligned"):
        choose([], "largest", empty)


def test_what_a_detector_takes_for_a_face_has_to_look_like_one(portrait: Image) -> None:
    eager = PortraitFinder(detect=lambda image: [Face((30.0, 30.0), 40.0, 0.9)], threads=1)
    assert eager(np.full((300, 400, 3), 127, np.uint8)) == []
    twice = PortraitFinder(threads=1)
    face = twice(portrait)[0].face
    doubled = PortraitFinder(detect=lambda image: [face, Face(face.centre, 1.1 * face.size, 0.8)], threads=1)
    assert len(doubled(portrait)) == 1


@pytest.mark.parametrize("wrong", [np.zeros((1, 1, 3), np.uint8), np.zeros((9, 9, 3), np.float32), None])
def test_what_is_no_picture_is_an_image_error(finder: PortraitFinder, wrong: Image) -> None:
    with pytest.raises(ImageError):
        finder(wrong)


def test_another_bundle_has_to_give_landmarks(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match="68 landmarks"):
        PortraitFinder(tiny_bundle(tmp_path / "b"), detect=lambda image: [])
