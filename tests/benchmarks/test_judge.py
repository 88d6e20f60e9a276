"""The outside judges: where they look, what they derive from landmarks, and when a comparison counts."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import judge
from tests.benchmarks.fake_judges import SIDE, write_face_mesh, write_yunet

CELL, LOG_SIZE = (3, 2), (np.log(2), np.log(4))  # a box of 16 x 32 pixels centred on (16, 24)
ANSWER = np.random.default_rng(1).uniform(0, 192, (468, 3)).astype(np.float32)


@pytest.fixture
def fake(tmp_path: Path) -> judge.Judge:
    yunet = write_yunet(tmp_path / "yunet.onnx", (0, 0, *LOG_SIZE), CELL)
    return judge.Judge(yunet, write_face_mesh(tmp_path / "face_mesh.onnx", ANSWER))


def picture(red: int, green: int, blue: int) -> npt.NDArray[np.uint8]:
    return np.full((SIDE, SIDE, 3), (red, green, blue), np.uint8)


def head(seed: int = 0) -> npt.NDArray[np.float64]:
    """468 points of a made-up head, in the judge's frame: y down, z away from the viewer."""
    points = np.random.default_rng(seed).normal(size=(468, 3)) * 50
    points[[33, 263]] = (-40, 0, 0), (40, 0, 0)
    points[[10, 152]] = (0, -90, 0), (0, 90, 0)
    points[[13, 14]] = (0, 45, -10), (0, 63, -10)
    points[[386, 374]] = (25, -4, 0), (25, 4, 0)
    points[[159, 145]] = (-25, -2, 0), (-25, 2, 0)
    points[[61, 291]] = (-20, 50, 0), (20, 50, 0)
    points[np.concatenate([judge.BROW_LEFT, judge.BROW_RIGHT])] = (0, -16, 0)
    return points


def turned(points: npt.NDArray[np.float64], yaw: float, pitch: float, roll: float) -> npt.NDArray[np.float64]:
    """The points after Ry(yaw) Rx(pitch) Rz(roll) in the head frame (y up, z to the viewer), degrees."""
    y, p, r = np.radians([yaw, pitch, roll])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rx = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    rz = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    flip = np.array([1, -1, -1])
    return ((points * flip) @ (ry @ rx @ rz).T) * flip


def test_detect_finds_the_box_in_pixels_and_reads_the_right_colour_order(fake: judge.Judge) -> None:
    box = fake.detect(picture(0, 0, 255))
    assert box is not None
    np.testing.assert_allclose(box, [8, 8, 16, 32, 1], atol=0.01)
    assert fake.detect(picture(255, 255, 0)) is None


def test_landmarks_come_back_in_pixels_of_the_frame(fake: judge.Judge) -> None:
    # The crop: 48 pixels square around (16, 24), so it begins at (-8, 0), outside the picture.
    points = fake.landmarks(picture(255, 0, 0), np.array([8.0, 8, 16, 32, 1]))
    np.testing.assert_allclose(points, (ANSWER + (0, 0, 1)) * 48 / 192 - (8, 0, 0), atol=1e-3)  # the mean red is in z


def test_measure_marks_frames_without_a_face(fake: judge.Judge, tmp_path: Path) -> None:
    measures = fake.measure([picture(0, 0, 255), picture(0, 0, 0), picture(0, 0, 255)])
    assert measures.found.tolist() == [True, False, True]
    assert np.isnan(measures.landmarks[1]).all()
    assert np.isnan(measures.quantities()["yaw"]).tolist() == [False, True, False]
    measures.save(tmp_path / "clip.npz")
    stored = judge.Measures.load(tmp_path / "clip.npz")
    np.testing.assert_allclose(stored.landmarks, measures.landmarks, rtol=1e-6)
    np.testing.assert_allclose(stored.boxes, measures.boxes, rtol=1e-6)


def test_an_empty_clip_has_no_measures(fake: judge.Judge) -> None:
    measures = fake.measure([])
    assert measures.landmarks.shape == (0, 468, 3)
    assert measures.quantities()["pitch"].shape == (0,)


@given(yaw=st.floats(-80, 80), pitch=st.floats(-80, 80), roll=st.floats(-170, 170), scale=st.floats(0.2, 5))
def test_angles_of_a_known_turn(yaw: float, pitch: float, roll: float, scale: float) -> None:
    moved = turned(head(), yaw, pitch, roll) * scale + (30, -20, 5)
    angles = np.degrees(judge.head_angles(np.stack([head(), moved])))
    np.testing.assert_allclose(angles, [[0, 0, 0], [yaw, pitch, roll]], atol=1e-6)


@pytest.mark.parametrize(
    ("turn", "point", "axis", "sign"),
    [
        ((10, 0, 0), (0, 0, -50), 0, 1),  # yaw: the nose moves to the right of the picture
        ((0, 10, 0), (0, 0, -50), 1, 1),  # pitch: the nose moves down
        ((0, 0, 10), (0, -50, 0), 0, -1),  # roll: the top of the head moves to the subject's right, picture left
    ],
)
def test_signs_as_seen_in_the_picture(
    turn: tuple[float, float, float], point: tuple[float, float, float], axis: int, sign: int
) -> None:
    start = np.array([point], np.float64)
    assert np.sign((turned(start, *turn) - start)[0, axis]) == sign


def test_angles_skip_frames_without_a_face() -> None:
    clip = np.stack([np.full((468, 3), np.nan), head(), turned(head(), 20, 0, 0)])
    angles = np.degrees(judge.head_angles(clip))
    assert np.isnan(angles[0]).all()
    np.testing.assert_allclose(angles[1:, 0], [0, 20], atol=1e-6)


def test_quantities_of_a_known_head() -> None:
    values = judge.quantities(head()[None])
    assert values["mouth"][0] == pytest.approx(18 / 180)
    assert values["eye_left"][0] == pytest.approx(8 / 80)
    assert values["eye_right"][0] == pytest.approx(4 / 80)
    assert values["smile"][0] == pytest.approx(40 / 80)
    assert values["brow"][0] == pytest.approx(16 / 80)


@given(roll=st.floats(-180, 180), scale=st.floats(0.2, 5))
def test_ratios_ignore_roll_scale_and_place(roll: float, scale: float) -> None:
    one, other = judge.quantities(head()[None]), judge.quantities(turned(head(), 0, 0, roll)[None] * scale + 7)
    for name in ("mouth", "eye_left", "eye_right", "smile", "brow"):
        np.testing.assert_allclose(one[name], other[name], atol=1e-9)


def test_compare_gives_correlation_gain_and_what_counts() -> None:
    wave = np.sin(np.linspace(0, 9, 100))
    driver = {"yaw": 10 * wave, "mouth": 0.01 * wave, "only_here": wave}
    rows = judge.compare(driver, {"yaw": 5 * wave + 3, "mouth": -wave})
    yaw, mouth = rows
    assert (yaw.quantity, yaw.counted) == ("yaw", True)
    assert (yaw.correlation, yaw.gain) == (pytest.approx(1), pytest.approx(0.5))
    assert (mouth.counted, mouth.correlation, mouth.gain) == (False, pytest.approx(-1), pytest.approx(-100))


def test_compare_leaves_out_frames_unknown_on_either_side() -> None:
    driver, result = np.arange(50.0), np.arange(50.0) * 0.8
    driver[3], result[7], result[8] = np.nan, np.nan, np.inf
    (row,) = judge.compare({"yaw": driver}, {"yaw": result})
    assert (row.correlation, row.gain) == (pytest.approx(1), pytest.approx(0.8))


def test_a_result_that_does_not_move_has_no_correlation() -> None:
    (row,) = judge.compare({"yaw": np.arange(50.0)}, {"yaw": np.zeros(50)})
    assert (row.correlation, row.gain) == (0, 0)
    (row,) = judge.compare({"yaw": np.arange(50.0)}, {"yaw": np.full(50, np.nan)})
    assert np.isnan(row.correlation)


def test_compare_refuses_clips_of_different_length() -> None:
    with pytest.raises(ValueError, match="50 frames, the result 49"):
        judge.compare({"yaw": np.zeros(50)}, {"yaw": np.zeros(49)})


def test_an_uncounted_quantity_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    rows = judge.compare({"roll": np.zeros(5), "yaw": np.arange(50.0)[:5] * 9}, {"roll": np.ones(5), "yaw": np.ones(5)})
    judge.show_agreement("title", {"clip": rows})
    assert "not counted" in capsys.readouterr().out
