"""Every kind of driving material gives its frames, upright and in time, or one clear error."""

import gc
import itertools
import struct
import weakref
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.errors import VideoError
from mien.stream import decoding
from mien.stream.sources import CameraSource, FolderSource, VideoSource, open_source
from tests.media import marker, markers, read_marker, truncated, write_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty marker frames at 25 frames a second with sound; the index lies at the front."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_video(path, markers(30), audio="aac", container={"movflags": "faststart"})


def test_a_video_gives_every_frame_in_order_with_its_time(clip: Path) -> None:
    with open_source(clip) as source:
        assert source.size == (128, 96)
        assert source.rate == 25
        assert source.frame_count == 30
        frames = list(source)
    assert [read_marker(f.image) for f in frames] == list(range(30))
    assert [f.index for f in frames] == list(range(30))
    assert [f.time for f in frames] == pytest.approx([i / 25 for i in range(30)])
    assert [f.pts * f.time_base for f in frames if f.pts is not None] == [Fraction(i, 25) for i in range(30)]
    assert frames[0].image.dtype == np.uint8 and frames[0].image.flags.c_contiguous


def test_a_broken_rate_is_exact(tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    with open_source(write_video(tmp_path / "a.mp4", markers(7), rate=rate)) as source:
        assert source.rate == rate
        assert [f.pts * f.time_base for f in source if f.pts is not None] == [i / rate for i in range(7)]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_rotation_and_mirroring_in_the_metadata_are_applied(tmp_path: Path, rotation: int, mirrored: bool) -> None:
    # Undo beforehand what the metadata asks for: the display matrix turns the stored picture anticlockwise, then flips.
    upright = marker(5, 96, 128)
    stored = np.rot90(upright[:, ::-1] if mirrored else upright, -rotation // 90)
    path = write_video(tmp_path / "a.mp4", [np.ascontiguousarray(stored)] * 3, rotation=rotation, mirrored=mirrored)
    with open_source(path) as source:
        assert source.size == (96, 128)
        assert [read_marker(f.image) for f in source] == [5, 5, 5]


def test_variable_frame_rate_keeps_its_timestamps(tmp_path: Path) -> None:
    pts = [0, 10, 15, 90, 91, 200]
    path = write_video(tmp_path / "a.mp4", markers(6), time_base=Fraction(1, 1000), pts=pts)
    with open_source(path) as source:
        assert [f.time for f in source] == pytest.approx([p / 1000 for p in pts])


@pytest.mark.parametrize(
    ("codec", "pixels", "suffix"),
    [("libx264", "yuv420p10le", ".mp4"), ("libx265", "yuv420p10le", ".mp4"), ("libx264", "yuv444p", ".mkv"),
     ("ffv1", "gray", ".mkv"), ("ffv1", "gray16le", ".mkv"), ("mjpeg", "yuvj422p", ".avi"), ("png", "rgb48be", ".mov"),
     ("libx264", "gray", ".mp4"), ("qtrle", "rgb24", ".mov"), ("libx264rgb", "rgb24", ".mkv")],
)  # fmt: skip
def test_deep_grey_and_full_range_pixels_come_as_plain_rgb(
    tmp_path: Path, codec: str, pixels: str, suffix: str
) -> None:
    path = write_video(tmp_path / f"a{suffix}", markers(4), codec=codec, pixels=pixels)
    with open_source(path) as source:
        images = [f.image for f in source]
    assert len(images) == 4
    for index, image in enumerate(images):
        assert image.shape == (96, 128, 3) and image.dtype == np.uint8
        expected = marker(index).astype(float)
        if "gray" in pixels:
            expected[:] = cv2.cvtColor(marker(index), cv2.COLOR_RGB2GRAY)[..., None]
        assert np.abs(image[60:90, 2:11] - expected[60:90, 2:11]).mean() < 4  # a bar
        assert np.abs(image[4:20, 4:28] - expected[4:20, 4:28]).mean() < 8  # the corner


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    image = np.zeros((16, 16, 4), np.uint8)
    image[..., 0] = 200
    image[:8, :, 3] = 255
    image[8:, :8, 3] = 128
    with open_source(write_video(tmp_path / "a.mov", [image], codec="qtrle", pixels="argb")) as source:
        (frame,) = source
    assert frame.image[4, 4].tolist() == [200, 0, 0]
    assert frame.image[12, 12].tolist() == [255, 255, 255]
    assert frame.image[12, 4].tolist() == pytest.approx([227, 127, 127], abs=1)


@pytest.mark.parametrize("size", [(33, 17), (127, 95), (1, 1), (16, 2)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    image = np.full((height, width, 3), (10, 200, 90), np.uint8)
    with open_source(write_video(tmp_path / "a.mkv", [image] * 2, codec="ffv1", pixels="bgr0")) as source:
        assert source.size == size
        assert [f.image.shape for f in source] == [(height, width, 3)] * 2


def test_pixels_are_made_square(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", markers(2, 72, 96), pixel_aspect=Fraction(16, 9))
    with open_source(path) as source:
        assert source.size == (128, 96)
        assert [read_marker(f.image) for f in source] == [0, 1]


def test_an_arbitrary_origin_of_the_clock_is_taken_off(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", markers(5), container={"output_ts_offset": "3600"})
    with open_source(path) as source:
        assert [f.time for f in source] == pytest.approx([i / 25 for i in range(5)], abs=1e-4)


def test_a_picture_codec_as_a_video_and_a_gif(tmp_path: Path) -> None:
    images = [np.full((20, 30, 3), level, np.uint8) for level in (0, 90, 255)]
    path = write_video(tmp_path / "a.gif", images, codec="gif", pixels="rgb8", rate=Fraction(10))
    with open_source(path) as source:
        assert [int(f.image.mean() / 60) for f in source] == [0, 1, 4]


def test_frames_before_the_truncation_come_before_the_error(clip: Path, tmp_path: Path) -> None:
    cut = truncated(clip, tmp_path / "cut.mp4", 0.7)
    good: list[int] = []
    with (
        open_source(cut) as source,
        pytest.raises(VideoError, match=r"cut\.mp4.*truncated at frame \d+ \(0\.\d+ s\)") as e,
    ):
        good.extend(read_marker(f.image) for f in source)
    assert good == list(range(len(good))) and 5 < len(good) < 30
    assert f"frame {len(good)} " in str(e.value)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_no_truncation_goes_unnoticed(tmp_path: Path, suffix: str) -> None:
    codec = "mjpeg" if suffix == ".avi" else "libx264"
    pixels = "yuvj420p" if suffix == ".avi" else "yuv420p"
    container = {"movflags": "faststart"} if suffix == ".mp4" else {}
    whole = write_video(
        tmp_path / f"a{suffix}", markers(50), codec=codec, pixels=pixels, audio="aac", container=container
    )
    for share in np.linspace(0.5, 0.8, 7):
        cut = truncated(whole, tmp_path / f"cut{suffix}", float(share))
        seen: list[int] = []
        with pytest.raises(VideoError), open_source(cut) as source:
            seen.extend(read_marker(f.image) for f in source)
        assert seen == list(range(len(seen)))


def test_a_truncated_file_without_index_says_so(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", markers(20))
    with pytest.raises(VideoError, match="index"):
        open_source(truncated(whole, tmp_path / "cut.mp4", 0.6))


def test_a_text_file_named_mp4(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("This is not a video.\n" * 40)
    with pytest.raises(VideoError, match=r"notes\.mp4 .*cannot be read as a video"):
        open_source(path)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    with pytest.raises(VideoError, match="0 bytes"):
        open_source(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"missing\.mp4 does not exist"):
        open_source(tmp_path / "missing.mp4")


def test_a_video_without_frames(clip: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(_without_samples(clip.read_bytes()))
    with pytest.raises(VideoError, match="no frame"):
        open_source(empty)


def _without_samples(data: bytes) -> bytes:
    """Sets the sample count of each track's size table to 0: a valid header, and not one frame."""
    out = bytearray(data)
    place = data.find(b"stsz")
    while place >= 0:
        struct.pack_into(">I", out, place + 12, 0)
        place = data.find(b"stsz", place + 1)
    return bytes(out)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import av

    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 44100
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    with pytest.raises(VideoError, match="has no video in it; it holds: audio"):
        open_source(path)


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    import av
    from av.stream import Disposition

    path = tmp_path / "song.mp4"
    write_video(tmp_path / "cover.mp4", markers(1), codec="mjpeg", pixels="yuvj420p")
    with av.open(str(tmp_path / "cover.mp4")) as source, av.open(str(path), "w") as output:
        cover = output.add_stream_from_template(source.streams.video[0], opaque=True)
        cover.disposition = Disposition.attached_pic
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = cover
                output.mux(packet)
    with pytest.raises(VideoError, match="cover picture"):
        open_source(path)


def test_a_monstrous_size_is_refused_before_decoding(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_PIXELS", 128 * 96 - 1)
    with pytest.raises(VideoError, match="is 128x96; at most 12,287 pixels"):
        open_source(clip)


def test_pictures_of_a_folder_come_in_natural_order(tmp_path: Path) -> None:
    for index in (10, 2, 1, 33):
        cv2.imwrite(str(tmp_path / f"shot {index}.png"), marker(index)[..., ::-1])
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_text("not a picture either")
    with open_source(tmp_path) as source:
        assert isinstance(source, FolderSource)
        assert (source.size, source.frame_count, source.rate) == ((128, 96), 4, 25)
        frames = list(source)
    assert [read_marker(f.image) for f in frames] == [1, 2, 10, 33]
    assert [f.time for f in frames] == [0.0, 0.04, 0.08, 0.12]


def test_one_picture_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.PNG"), marker(7)[..., ::-1])
    with open_source(tmp_path / "a.PNG") as source:
        assert [read_marker(f.image) for f in source] == [7]


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a picture")
    with pytest.raises(VideoError, match="no pictures"):
        open_source(tmp_path)


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(VideoError, match="camera 97"):
        open_source("97")


def test_a_camera_gives_frames_until_it_is_unplugged(clip: Path) -> None:
    # OpenCV reads a file like a camera; its end is an unplugged camera.
    with CameraSource(str(clip)) as source:
        assert source.size == (128, 96)
        frames = list(itertools.islice(source, 10))
        assert [read_marker(f.image) for f in frames] == list(range(10))
        times = [f.time for f in frames]
        assert times == sorted(times) and times[0] < 0.5
        with pytest.raises(VideoError, match="stopped after 30 frames"):
            list(source)


def test_no_frame_is_kept_once_it_was_given_out(clip: Path) -> None:
    given: list[weakref.ref[np.ndarray]] = []
    with VideoSource(clip) as source:
        for frame in source:
            given.append(weakref.ref(frame.image))
            assert sum(ref() is not None for ref in given) <= 2
    assert len(given) == 30


def test_no_frame_waits_for_the_garbage_collector(clip: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        with VideoSource(clip) as source:
            count = sum(1 for _ in source)
        assert gc.collect() < count
    finally:
        gc.enable()


def test_leaving_early_closes_the_file(clip: Path) -> None:
    with open_source(clip) as source:
        assert read_marker(next(iter(source)).image) == 0
