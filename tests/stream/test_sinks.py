"""What is written has the frames, the times and the sound it was given, and no failure costs finished work."""

import logging
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DiskFull, OutputError
from mien.image import load_image
from mien.provenance import SOURCE_TYPE, read_mark
from mien.stream.sinks import VideoSink, open_sink
from mien.stream.sources import open_source
from tests.media import audio_packets, marker, markers, read_marker, read_video, truncated, write_video

SIZE = (128, 96)


def copy(source_path: Path, out: Path) -> Path:
    """Sends a video through source and sink, unchanged."""
    with (
        open_source(source_path) as source,
        open_sink(out, source.size, source.rate, source.time_base, audio_from=source_path) as sink,
    ):
        for frame in source:
            sink.write(frame.image, frame.pts, frame.duration)
    assert sink.result == out
    return out


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".m4v"])
def test_frames_and_times_survive(tmp_path: Path, suffix: str) -> None:
    with open_sink(tmp_path / f"a{suffix}", SIZE, Fraction(25)) as sink:
        for image in markers(30):
            sink.write(image)
    clip = read_video(tmp_path / f"a{suffix}")
    assert [read_marker(image) for image in clip.images] == list(range(30))
    assert clip.times == [Fraction(i, 25) for i in range(30)]
    assert (clip.rate, clip.codec, clip.pixels) == (25, "h264", "yuv420p")
    assert sorted(os.listdir(tmp_path)) == [f"a{suffix}"]


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25), Fraction(15, 2)])
def test_the_rational_rate_survives(tmp_path: Path, rate: Fraction) -> None:
    out = copy(write_video(tmp_path / "a.mp4", markers(20), rate=rate), tmp_path / "b.mp4")
    before, after = read_video(tmp_path / "a.mp4"), read_video(out)
    assert after.rate == before.rate == rate
    assert (after.times, after.duration) == (before.times, before.duration)


def test_a_variable_rate_survives_with_all_durations(tmp_path: Path) -> None:
    pts = [0, 10, 15, 90, 91, 200, 260]
    write_video(tmp_path / "a.mp4", markers(7), time_base=Fraction(1, 1000), pts=pts, options={"bf": "0"})
    before, after = read_video(tmp_path / "a.mp4"), read_video(copy(tmp_path / "a.mp4", tmp_path / "b.mp4"))
    assert after.times == before.times == [Fraction(p, 1000) for p in pts]
    assert (after.rate, after.duration) == (before.rate, before.duration)
    assert [read_marker(image) for image in after.images] == list(range(7))


def test_a_late_first_frame_stays_late(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", markers(4), pts=[10, 11, 12, 13], audio="aac")
    clip = read_video(copy(tmp_path / "a.mp4", tmp_path / "b.mp4"))
    assert clip.times == [Fraction(i, 25) for i in (10, 11, 12, 13)]


def test_times_that_do_not_increase_are_moved_and_no_frame_is_lost(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "a.mp4", SIZE, Fraction(25), Fraction(1, 100)) as sink:
        for image, pts in zip(markers(5), [0, 4, 4, 3, 12], strict=True):
            sink.write(image, pts)
    clip = read_video(tmp_path / "a.mp4")
    assert [read_marker(image) for image in clip.images] == [0, 1, 2, 3, 4]
    assert [t * 100 for t in clip.times] == [0, 4, 5, 6, 12]


@pytest.mark.parametrize(("size", "written"), [((127, 95), (128, 96)), ((128, 95), (128, 96)), ((33, 64), (34, 64))])
def test_odd_sizes_grow_by_one_repeated_line(tmp_path: Path, size: tuple[int, int], written: tuple[int, int]) -> None:
    with VideoSink(tmp_path / "a.mp4", size, Fraction(25)) as sink:
        sink.write(np.full((size[1], size[0], 3), (180, 90, 40), np.uint8))
    images = read_video(tmp_path / "a.mp4").images
    assert images[0].shape == (written[1], written[0], 3)
    assert np.abs(images[0][-1, -1].astype(int) - (180, 90, 40)).max() <= 6


@pytest.mark.parametrize("height", [96, 720])
def test_colours_survive(tmp_path: Path, height: int) -> None:
    image = np.zeros((height, 128, 3), np.uint8)
    for place, colour in enumerate([(220, 30, 30), (30, 220, 30), (30, 30, 220), (128, 128, 128)]):
        image[:, place * 32 : place * 32 + 32] = colour
    with VideoSink(tmp_path / "a.mp4", (128, height), Fraction(25)) as sink:
        sink.write(image)
    with open_source(tmp_path / "a.mp4") as source:
        (frame,) = source
    inner = np.abs(frame.image.astype(int) - image)[:, np.arange(128) % 32 // 4 % 7 > 0]
    assert inner.mean() < 3 and inner.max() < 12


def test_the_sound_is_copied_packet_by_packet(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", markers(40), audio="aac")
    out = copy(source, tmp_path / "b.mp4")
    assert len(audio_packets(source)) > 50
    assert audio_packets(out) == audio_packets(source)


def test_sound_and_pictures_of_a_transport_stream_stay_together(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.ts", markers(20), audio="aac", container={"output_ts_offset": "1000"})
    out = copy(source, tmp_path / "b.mp4")
    before, after = read_video(source), read_video(out)
    gap = audio_packets(source)[0][1] - float(before.times[0])
    assert audio_packets(out)[0][1] - float(after.times[0]) == pytest.approx(gap, abs=0.002)
    assert 0 <= after.times[0] < 0.1


def test_sound_that_mp4_cannot_hold_becomes_aac_and_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_video(tmp_path / "a.avi", markers(25), codec="mjpeg", pixels="yuvj420p", audio="adpcm_ms")
    with caplog.at_level(logging.WARNING):
        out = copy(source, tmp_path / "b.mp4")
    assert "becomes AAC" in caplog.text
    packets = audio_packets(out)
    assert packets[-1][1] == pytest.approx(1.0, abs=0.06)


def test_a_driver_without_sound_gives_a_video_without(tmp_path: Path) -> None:
    import av

    with av.open(str(copy(write_video(tmp_path / "a.mp4", markers(3)), tmp_path / "b.mp4"))) as container:
        assert len(container.streams) == 1


def test_the_file_says_that_it_is_synthetic(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "a.mp4", SIZE, Fraction(25)) as sink:
        sink.write(marker(0))
    mark = read_mark(tmp_path / "a.mp4")
    assert mark is not None and mark.source_type == SOURCE_TYPE


def test_the_index_lies_at_the_front(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "a.mp4", SIZE, Fraction(25)) as sink:
        sink.write(marker(0))
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


class Stop(Exception):
    """What goes wrong in the middle of a job."""


@pytest.mark.parametrize("kind", [Stop, KeyboardInterrupt])
def test_an_error_half_way_leaves_a_playable_file(tmp_path: Path, kind: type[BaseException]) -> None:
    source = write_video(tmp_path / "a.mp4", markers(50), audio="aac")
    out = tmp_path / "b.mp4"
    with pytest.raises(kind), VideoSink(out, SIZE, Fraction(25), audio_from=source) as sink:
        for image in markers(20):
            sink.write(image)
        raise kind
    assert sink.result == out
    assert [read_marker(image) for image in read_video(out).images] == list(range(20))
    assert audio_packets(out)[-1][1] < 0.8
    assert sorted(os.listdir(tmp_path)) == ["a.mp4", "b.mp4"]


def test_an_error_never_replaces_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    out.write_bytes(b"an older video")
    with pytest.raises(Stop), VideoSink(out, SIZE, Fraction(25)) as sink:
        sink.write(marker(3))
        raise Stop
    assert out.read_bytes() == b"an older video"
    assert sink.result == tmp_path / "a.part.mp4"
    assert [read_marker(image) for image in read_video(sink.result).images] == [3]


def test_success_replaces_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    out.write_bytes(b"an older video")
    with VideoSink(out, SIZE, Fraction(25)) as sink:
        sink.write(marker(3))
        assert out.read_bytes() == b"an older video"
    assert len(read_video(out).images) == 1


def test_an_error_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Stop), VideoSink(tmp_path / "a.mp4", SIZE, Fraction(25)) as sink:
        raise Stop
    assert sink.result is None and os.listdir(tmp_path) == []


def test_no_frame_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No picture"), VideoSink(tmp_path / "a.mp4", SIZE, Fraction(25)):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere/a.mp4", "nowhere does not exist"), ("a.xyz", r"'\.xyz'; write a video"), ("folder.mp4", "a folder")],
)
def test_places_that_cannot_be_written(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match=message):
        # A folder keeps its meaning whatever its name ends in; only VideoSink itself is asked for a file there.
        (VideoSink if name == "folder.mp4" else open_sink)(tmp_path / name, SIZE, Fraction(25))
    assert os.listdir(tmp_path) == ["folder.mp4"]


def test_a_place_the_system_refuses() -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        open_sink("/proc/a.mp4", SIZE, Fraction(25))


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not fit"), VideoSink(tmp_path / "a.mp4", SIZE, Fraction(25)) as sink:
        sink.write(marker(0, 64, 64))


def test_the_disk_fills_up_and_the_video_so_far_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    with (
        pytest.raises(DiskFull, match="64 frames were written"),
        VideoSink(tmp_path / "a.mp4", SIZE, Fraction(25)) as sink,
    ):
        for index, image in enumerate(markers(200)):
            if index == 50:
                monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 99, 1 << 20))
            sink.write(image)
    assert sink.result == tmp_path / "a.mp4"
    assert len(read_video(sink.result).images) == 64


def test_a_disk_that_is_full_all_at_once_is_our_error(tmp_path: Path) -> None:
    script = f"""
import resource, signal
from fractions import Fraction
import numpy as np
from mien.errors import DiskFull
from mien.stream.sinks import VideoSink
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
try:
    with VideoSink({str(tmp_path / "a.mp4")!r}, {SIZE}, Fraction(25)) as sink:
        for _ in range(500):
            sink.write(np.roll(noise, _, 0))
except DiskFull as error:
    print("DiskFull", sink.result)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "DiskFull None\n"
    assert os.listdir(tmp_path) == []


def test_a_folder_gets_one_marked_png_for_each_frame(tmp_path: Path) -> None:
    with open_sink(tmp_path / "out", SIZE, Fraction(25)) as sink:
        for image in markers(3):
            sink.write(image)
    assert sink.result == tmp_path / "out" and sink.frames == 3
    assert sorted(os.listdir(tmp_path / "out")) == ["000000.png", "000001.png", "000002.png"]
    assert np.array_equal(load_image(tmp_path / "out/000002.png"), marker(2))
    assert read_mark(tmp_path / "out/000000.png") is not None


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match="not empty"):
        open_sink(tmp_path, SIZE, Fraction(25))
    assert os.listdir(tmp_path) == ["holiday.png"]


def test_truncated_sound_does_not_cost_the_pictures(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", markers(60), audio="aac", container={"movflags": "faststart"})
    cut = truncated(whole, tmp_path / "cut.mp4", 0.5)
    with VideoSink(tmp_path / "b.mp4", SIZE, Fraction(25), audio_from=cut) as sink:
        for image in markers(60):
            sink.write(image)
    assert len(read_video(tmp_path / "b.mp4").images) == 60
    assert 0 < len(audio_packets(tmp_path / "b.mp4")) < len(audio_packets(whole))
