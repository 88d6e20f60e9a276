"""Pictures and videos of the results: the right frames, in the right places."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.judge import read_clip
from benchmarks.sheets import TIMES, ContactSheet, SideBySide, close_up, scaled
from mien.image import load_image


def grey(value: int, height: int = 60, width: int = 41) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width, 3), value, np.uint8)


def test_the_sheet_shows_eight_times_of_driver_above_result(tmp_path: Path) -> None:
    sheet = ContactSheet(71)
    for index in range(71):
        sheet.add(index, grey(index * 2), grey(100 + index * 2, height=80, width=40))
    sheet.save(tmp_path / "sheet.png")
    picture = load_image(tmp_path / "sheet.png")
    height, width = picture.shape[0] // 2, picture.shape[1] // TIMES
    middles = picture[[height // 2, height + height // 2]][:, [i * width + width // 2 for i in range(TIMES)], 0]
    np.testing.assert_array_equal(middles[0], np.linspace(0, 140, TIMES))
    np.testing.assert_array_equal(middles[1], 100 + np.linspace(0, 140, TIMES))


def test_the_sheet_of_a_short_clip(tmp_path: Path) -> None:
    sheet = ContactSheet(1)
    sheet.add(0, grey(1), grey(2))
    sheet.save(tmp_path / "sheet.png")
    assert load_image(tmp_path / "sheet.png").shape[0] == 512


def test_the_video_has_every_frame_at_its_rate(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with SideBySide(path, Fraction(30000, 1001)) as video:
        for index in range(5):
            video.add(grey(40 * index), grey(200, height=100))
    frames = list(read_clip(path))
    assert len(frames) == 5
    middle = frames[3].shape[0] // 2
    assert abs(int(frames[3][middle, 20, 0]) - 120) < 6
    assert abs(int(frames[3][middle, -20, 0]) - 200) < 6
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)


def test_pictures_are_scaled_to_an_even_width() -> None:
    assert scaled(grey(0, 61, 41), 100).shape == (100, 68, 3)
    assert scaled(grey(0, 1000, 3), 100).shape == (100, 2, 3)


def test_the_close_up_stays_inside_the_picture() -> None:
    picture = grey(0, 100, 200)
    assert close_up(None, picture) == (slice(0, 100), slice(0, 200))
    assert close_up(np.array([90.0, 40, 20, 20, 1]), picture) == (slice(30, 70), slice(80, 120))
    assert close_up(np.array([0.0, 0, 20, 90, 1]), picture) == (slice(0, 100), slice(0, 100))
