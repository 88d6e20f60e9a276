"""The demonstration's motion begins and ends neutral, is smooth, and shows everything it is meant to show."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from training.demo_motion import SECONDS, motion_at, value_at
from training.make_demo import RATE, SIZE, backdrop, write_video
from training.render.motion import Motion

NAMES = (
    "browInnerUp_L", "browOuterUp_R", "eyeBlink_L", "eyeBlink_R", "jawOpen", "mouthPucker", "mouthSmile_L",
    "eyeLookOut_L", "eyeLookIn_L", "eyeLookDown_L", "eyeLookUp_L",
)  # fmt: skip


@pytest.fixture(scope="module")
def film() -> list[Motion]:
    centre = np.zeros(2, np.float32)
    return [motion_at(k / RATE, NAMES, 0.9, centre) for k in range(round(SECONDS * RATE))]


def weight(film: list[Motion], name: str) -> NDArray[np.float32]:
    return np.array([m.weights[NAMES.index(name)] for m in film], np.float32)


@pytest.mark.parametrize("index", [0, -1])
def test_it_begins_and_ends_neutral_and_frontal(film: list[Motion], index: int) -> None:
    motion = film[index]
    for part in (motion.weights, motion.gaze, motion.pose, motion.body, motion.shift):
        np.testing.assert_array_equal(part, 0)


def test_the_head_turns_both_ways_nods_and_tilts(film: list[Motion]) -> None:
    yaw, pitch, roll = np.degrees(np.stack([m.pose for m in film])).T
    assert (yaw.max(), yaw.min()) == pytest.approx((22, -22), abs=0.01)
    assert pitch.max() > 10 and pitch.min() < -5
    assert roll.max() > 8 and roll.min() < -6
    assert max(abs(pitch).max(), abs(roll).max()) < 15


def test_the_face_does_what_it_is_meant_to(film: list[Motion]) -> None:
    shut = weight(film, "eyeBlink_L") > 0.9
    assert np.count_nonzero(shut[1:] & ~shut[:-1]) == 3
    np.testing.assert_array_equal(weight(film, "eyeBlink_L"), weight(film, "eyeBlink_R"))
    assert 0.7 < weight(film, "jawOpen").max() <= 0.8 + 1e-6
    assert all(weight(film, n).max() > 0.6 for n in ("mouthPucker", "mouthSmile_L", "browInnerUp_L", "browOuterUp_R"))
    everything = np.stack([m.weights for m in film])
    assert everything.min() >= 0 and everything.max() <= 1


def test_it_is_smooth(film: list[Motion]) -> None:
    pose = np.degrees(np.stack([m.pose for m in film]))
    assert abs(np.diff(pose, axis=0)).max() < 4.0  # degrees a frame
    assert abs(np.diff(pose, 2, axis=0)).max() < 1.3
    gaze = np.degrees(np.stack([m.gaze for m in film]))
    assert abs(np.diff(gaze, axis=0)).max() < 6.0
    assert abs(np.diff(weight(film, "jawOpen"))).max() < 0.4


def test_the_camera_stands_still(film: list[Motion]) -> None:
    assert {m.zoom for m in film} == {0.9}
    assert all((m.centre == 0).all() for m in film)


def test_a_channel_meets_its_keys_and_stays_between_them() -> None:
    keys = ((1.0, 0.0), (2.0, 4.0), (3.0, 3.0))
    assert [value_at(keys, t) for t in (0.0, 1.0, 1.5, 2.0, 3.0, 9.0)] == [0, 0, 2, 4, 3, 3]
    inside = [value_at(keys, t) for t in np.linspace(1, 2, 50)]
    assert (np.diff(inside) >= 0).all() and max(inside) <= 4


def test_the_video_is_marked_and_the_same_each_time(tmp_path: Path) -> None:
    pictures = [backdrop((100 + 5 * k, 120, 140), SIZE) for k in range(3)]
    for name in ("one.mp4", "two.mp4"):
        write_video(tmp_path / name, pictures)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()
    with av.open(str(tmp_path / "one.mp4")) as video:
        assert video.streams.video[0].average_rate == RATE
        assert "Synthetic" in video.metadata["comment"]
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(shown) == 3
    for seen, drawn in zip(shown, pictures, strict=True):
        assert abs(seen.astype(int) - drawn).mean() < 4
