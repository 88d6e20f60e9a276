"""A GIF has the pictures and times it was given, repeats for ever, stays still where nothing moves, and is marked."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mien.errors import OutputError
from mien.provenance import SOURCE_TYPE
from mien.stream.gif import GifSink
from mien.stream.sinks import open_sink
from tests.media import Picture, marker, markers, read_marker, read_video

SIZE = (128, 96)


def written(path: Path, images: Sequence[Picture], rate: Fraction = Fraction(25)) -> Path:
    height, width = images[0].shape[:2]
    with open_sink(path, (width, height), rate) as sink:
        for image in images:
            sink.write(image)
    assert sink.result == path and sink.frames == len(images)
    return path


def durations(path: Path) -> list[int]:
    """Hundredths of a second of every picture, from the graphic control extensions of the file."""
    controls = re.findall(rb"\x21\xf9\x04.(..).\x00\x2c", path.read_bytes(), re.DOTALL)
    return [int.from_bytes(control, "little") for control in controls]


def test_frames_and_times_survive(tmp_path: Path) -> None:
    clip = read_video(written(tmp_path / "a.gif", markers(30)))
    assert [read_marker(image) for image in clip.images] == list(range(30))
    assert clip.times == [Fraction(i, 25) for i in range(30)]
    assert clip.codec == "gif"
    assert os.listdir(tmp_path) == ["a.gif"]


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(30), Fraction(50), Fraction(15, 2)])
def test_no_rate_drifts(tmp_path: Path, rate: Fraction) -> None:
    path = written(tmp_path / "a.gif", markers(40), rate)
    times = read_video(path).times
    assert max(abs(time - i / rate) for i, time in enumerate(times)) <= Fraction(1, 100)
    assert min(durations(path)) >= 2
    assert sum(durations(path)) == pytest.approx(float(40 / rate) * 100, abs=1)


def test_given_times_and_the_last_duration_survive(tmp_path: Path) -> None:
    with GifSink(tmp_path / "a.gif", SIZE, Fraction(25), Fraction(1, 1000)) as sink:
        for image, pts in zip(markers(4), (0, 40, 41, 900), strict=True):
            sink.write(image, pts, 300)
    assert durations(tmp_path / "a.gif") == [4, 2, 84, 30]


def test_it_repeats_for_ever(tmp_path: Path) -> None:
    data = written(tmp_path / "a.gif", markers(3)).read_bytes()
    assert b"NETSCAPE2.0\x03\x01\x00\x00\x00" in data


def test_it_says_that_it_is_synthetic_and_still_ends_as_a_gif(tmp_path: Path) -> None:
    data = written(tmp_path / "a.gif", markers(3)).read_bytes()
    assert data.startswith(b"GIF89a") and data.endswith(b"\x00;")
    start = data.index(b"\x21\xff\x0bXMP DataXMP")
    assert SOURCE_TYPE.encode() in data[start:]
    # Whoever reads the packet as a chain of blocks, each led by its length, comes out at the trailer.
    place = start + 14
    while data[place]:
        place += 1 + data[place]
    assert data[place + 1 :] == b";"


@pytest.mark.parametrize("size", [(127, 95), (33, 64), (2, 2)])
def test_odd_sizes_stay_as_they_are(tmp_path: Path, size: tuple[int, int]) -> None:
    image = np.full((size[1], size[0], 3), (180, 90, 40), np.uint8)
    clip = read_video(written(tmp_path / "a.gif", [image, image // 2]))
    assert np.abs(clip.images[0].astype(int) - image).max() <= 8
    assert np.abs(clip.images[1].astype(int) - image // 2).max() <= 8


def soft(shift: float, side: int = 160) -> Picture:
    """Smooth colours with a patch in the middle that moves."""
    y, x = np.mgrid[:side, :side] / side
    image = np.stack([120 + 90 * np.sin(3 * x), 110 + 80 * np.cos(2 * y), 60 + 120 * x * y], axis=-1)
    inside = np.hypot(x - 0.5, y - 0.5) < 0.2
    image[inside] += 20 * np.sin(20 * (x + shift))[inside][:, None]
    return image.round().clip(0, 255).astype(np.uint8)


def test_colours_are_close_and_what_does_not_move_does_not_flicker(tmp_path: Path) -> None:
    given = [soft(i / 20) for i in range(20)]
    shown = read_video(written(tmp_path / "a.gif", given)).images
    error = np.mean([np.square(a.astype(float) - b).mean() for a, b in zip(given, shown, strict=True)])
    assert 10 * np.log10(255**2 / error) > 36
    still = (np.stack(given) == given[0]).all((0, 3))
    assert 0.7 < still.mean() < 0.95
    for image in shown[1:]:
        assert np.array_equal(image[still], shown[0][still])
    alone = written(tmp_path / "alone.gif", given[:1]).stat().st_size
    assert (tmp_path / "a.gif").stat().st_size < 8 * alone


def test_one_picture_is_a_gif(tmp_path: Path) -> None:
    assert read_marker(load_frame(written(tmp_path / "a.gif", [marker(5)]))) == 5


def load_frame(path: Path) -> Picture:
    return read_video(path).images[0]


@pytest.mark.parametrize("kind", [OutputError, KeyboardInterrupt])
def test_an_error_half_way_leaves_a_playable_file(tmp_path: Path, kind: type[BaseException]) -> None:
    with pytest.raises(kind), GifSink(tmp_path / "a.gif", SIZE, Fraction(25)) as sink:
        for image in markers(7):
            sink.write(image)
        raise kind
    assert sink.result == tmp_path / "a.gif"
    assert len(read_video(sink.result).images) == 7
    assert os.listdir(tmp_path) == ["a.gif"]


def test_an_error_never_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"an older film")
    with pytest.raises(KeyboardInterrupt), GifSink(tmp_path / "a.gif", SIZE, Fraction(25)) as sink:
        sink.write(marker(3))
        raise KeyboardInterrupt
    assert (tmp_path / "a.gif").read_bytes() == b"an older film"
    assert sink.result == tmp_path / "a.part.gif" and read_marker(load_frame(sink.result)) == 3
    assert sorted(os.listdir(tmp_path)) == ["a.gif", "a.part.gif"]


def test_no_frame_at_all_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No picture"), GifSink(tmp_path / "a.gif", SIZE, Fraction(25)):
        pass
    with pytest.raises(KeyboardInterrupt), GifSink(tmp_path / "a.gif", SIZE, Fraction(25)):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_what_it_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="at most 50 pictures a second, and 60"):
        open_sink(tmp_path / "a.gif", SIZE, Fraction(60))
    with pytest.raises(OutputError, match="does not exist"):
        open_sink(tmp_path / "nowhere/a.gif", SIZE, Fraction(25))
    with pytest.raises(OutputError, match="does not fit"), GifSink(tmp_path / "a.gif", SIZE, Fraction(25)) as sink:
        sink.write(marker(0, 64, 64))
    assert os.listdir(tmp_path) == []


def test_a_disk_that_is_full_all_at_once_is_our_error(tmp_path: Path) -> None:
    script = f"""
import resource
from fractions import Fraction
import numpy as np
from mien.errors import DiskFull
from mien.stream.gif import GifSink
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
try:
    with GifSink({str(tmp_path / "a.gif")!r}, {SIZE}, Fraction(25)) as sink:
        for _ in range(60):
            sink.write(np.roll(noise, _, 0))
except DiskFull as error:
    print("DiskFull", sink.result)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "DiskFull None\n", done.stderr
    assert os.listdir(tmp_path) == []


def test_other_readers_take_it(tmp_path: Path) -> None:
    import cv2

    capture = cv2.VideoCapture(str(written(tmp_path / "a.gif", markers(4))))
    seen = 0
    while capture.read()[0]:
        seen += 1
    assert seen == 4
