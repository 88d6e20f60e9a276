"""Detection: the letterboxed frame, the way back to frame pixels, and which of several crops are kept."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import ImageError, SessionError
from mien.faces import CROP_CM, Face, NetworkDetector, YuNetDetector, detect_faces, letterbox
from mien.faces.detect import suppress
from mien.sessions import FunctionSession
from tests.benchmarks.fake_judges import SIDE, write_yunet
from tests.faces.blobs import CELLS, detector, scene

SIDES = st.integers(2, 700)


def fixed(scores: dict[int, float], crop: tuple[float, float, float]) -> FunctionSession:
    """A detector that always answers these scores, all with one crop (fractions of the square)."""
    given = np.zeros((1, CELLS), np.float32)
    for index, score in scores.items():
        given[0, index] = score
    crops = np.tile(np.array(crop, np.float32), (1, CELLS, 1))
    return FunctionSession(lambda feeds: {"scores": given, "crops": crops}, detector().inputs, detector().outputs)


@given(width=SIDES, height=SIDES)
def test_letterbox_maps_the_middle_and_the_corners_of_the_frame(width: int, height: int) -> None:
    boxed, to_frame = letterbox(np.full((height, width, 3), 255, np.uint8), 192)
    rows, columns = np.nonzero(boxed[..., 0])
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    middle = to_frame.apply(np.array([(left + right) / 2, (top + bottom) / 2]))
    np.testing.assert_allclose(middle, (width / 2, height / 2), atol=1e-6)
    corners = to_frame.inverse().apply(np.array([[0.0, 0.0], [width, height]]))
    np.testing.assert_allclose(corners, [(left, top), (right, bottom)], atol=0.51)  # whole pixels, at least one


@given(width=SIDES, height=SIDES, x=st.floats(-50, 250), y=st.floats(-50, 250))
def test_letterbox_round_trip(width: int, height: int, x: float, y: float) -> None:
    to_frame = letterbox(np.zeros((height, width, 3), np.uint8), 192)[1]
    back = to_frame.inverse().apply(to_frame.apply(np.array([x, y])))
    np.testing.assert_allclose(back, (x, y), atol=1e-6)


def test_letterbox_does_not_alias() -> None:
    stripes = np.zeros((1920, 1920, 3), np.uint8)
    stripes[:, ::2] = 255
    boxed = letterbox(stripes, 192)[0]
    np.testing.assert_allclose(boxed, 128, atol=1)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (480, 640), (1921, 1079), (100, 75)])
def test_a_face_comes_back_in_frame_pixels(width: int, height: int) -> None:
    x, y, side = 0.4 * width, 0.6 * height, 0.5 * min(width, height)
    (face,) = detect_faces(detector(), scene((x, y, side), width=width, height=height))
    np.testing.assert_allclose(face.centre, (x, y), atol=0.01 * max(width, height))
    assert face.size == pytest.approx(side, rel=0.03)
    assert face.score == pytest.approx(0.9)


def test_the_largest_face_comes_first() -> None:
    faces = NetworkDetector(detector())(scene((150, 200, 120), (450, 240, 300)))
    assert [round(face.centre[0], -1) for face in faces] == [450, 150]


def test_no_face() -> None:
    assert detect_faces(detector(), scene()) == []


def test_scores_below_the_threshold_do_not_count() -> None:
    session = fixed({3: 0.6}, (0.5, 0.5, 0.4))
    assert len(detect_faces(session, scene(), threshold=0.5)) == 1
    assert detect_faces(session, scene(), threshold=0.7) == []


def test_overlapping_crops_are_one_face() -> None:
    (face,) = detect_faces(fixed({3: 0.6, 4: 0.8}, (0.5, 0.5, 0.4)), scene())
    assert face.score == pytest.approx(0.8)


def test_neighbours_that_touch_are_two_faces() -> None:
    faces = [Face((100, 100), 100, 0.9), Face((160, 100), 100, 0.8), Face((100, 130), 100, 0.7)]
    assert suppress(faces) == faces[:2]


@pytest.mark.parametrize("crop", [(np.nan, 0.5, 0.4), (0.5, np.inf, 0.4), (0.5, 0.5, np.nan), (0.5, 0.5, -1.0)])
def test_a_crop_without_sense_is_no_face(crop: tuple[float, float, float]) -> None:
    assert detect_faces(fixed({3: 0.9}, crop), scene()) == []


def test_a_score_that_is_not_a_number_is_no_face() -> None:
    assert detect_faces(fixed({3: np.nan}, (0.5, 0.5, 0.4)), scene()) == []


@pytest.mark.parametrize(
    "image", [np.zeros((1, 1, 3), np.uint8), np.zeros((9, 9), np.uint8), np.full((9, 9, 3), np.nan, np.float32)]
)
def test_what_is_no_picture_is_an_error(image: NDArray[np.uint8], tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        detect_faces(detector(), image)
    yunet = YuNetDetector(write_yunet(tmp_path / "yunet.onnx", (0, 0, 1, 1), (1, 1)))
    with pytest.raises(ImageError):
        yunet(image)


def test_a_crop_maps_its_pixels_to_the_frame() -> None:
    to_frame = Face((100.0, 50.0), 72.0, 1.0).crop(144)
    np.testing.assert_allclose(to_frame.apply(np.array([[0.0, 0.0], [144, 144]])), [(64, 14), (136, 86)])


def test_yunet_box_becomes_the_motion_crop(tmp_path: Path) -> None:
    """The false YuNet sees a box of 16 x 32 pixels around (16, 24) in a blue picture, and nothing in a red one."""
    detect = YuNetDetector(write_yunet(tmp_path / "yunet.onnx", (0, 0, np.log(2), np.log(4)), (3, 2)))
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[..., 2] = 255
    (face,) = detect(picture)
    np.testing.assert_allclose(face.centre, (16, 24), atol=0.01)
    assert face.size == pytest.approx(32 * CROP_CM / 18.9, rel=1e-3)
    assert detect(picture[..., ::-1].copy()) == []


def test_yunet_shrinks_large_frames_and_maps_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.faces.detect.YUNET_SIDE", SIDE)
    detect = YuNetDetector(write_yunet(tmp_path / "yunet.onnx", (0, 0, np.log(2), np.log(4)), (3, 2)))
    picture = np.zeros((10 * SIDE, 10 * SIDE, 3), np.uint8)
    picture[..., 2] = 255
    (face,) = detect(picture)
    np.testing.assert_allclose(face.centre, (160, 240), atol=0.1)


def test_a_file_that_is_no_network_is_a_session_error(tmp_path: Path) -> None:
    path = tmp_path / "yunet.onnx"
    path.write_text("no network")
    with pytest.raises(SessionError, match=r"yunet\.onnx"):
        YuNetDetector(path)
