"""The mark goes into a file once, is found again, and changes nothing else."""

import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mien.errors import InputError
from mien.provenance import SOURCE_TYPE, Mark, mark_jpeg, mark_png, read_mark, software, video_metadata
from tests import pictures

PIXELS = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
MARKERS = {".png": mark_png, ".jpg": mark_jpeg}
MARK = Mark(SOURCE_TYPE, software())


def encoded(suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, PIXELS)[1].tobytes())


def decoded(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


@pytest.mark.parametrize("suffix", MARKERS)
def test_a_marked_picture_is_the_same_picture(tmp_path: Path, suffix: str) -> None:
    marked = MARKERS[suffix](encoded(suffix))
    (tmp_path / "a").write_bytes(marked)
    assert read_mark(tmp_path / "a") == MARK
    assert np.array_equal(decoded(marked), decoded(encoded(suffix)))


@pytest.mark.parametrize("suffix", MARKERS)
def test_marking_twice_is_marking_once(suffix: str) -> None:
    once = MARKERS[suffix](encoded(suffix))
    assert MARKERS[suffix](once) == once


@pytest.mark.parametrize("suffix", MARKERS)
def test_without_a_mark_there_is_none(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "a").write_bytes(encoded(suffix))
    assert read_mark(tmp_path / "a") is None


def test_the_png_stays_valid_chunk_by_chunk() -> None:
    data = mark_png(encoded(".png"))
    place, names = 8, []
    while place < len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + size]
        assert data[place : place + size + 12] == pictures.png_chunk(name, body)  # length and checksum
        names.append(name)
        place += size + 12
    assert names[:2] == [b"IHDR", b"iTXt"]
    assert names[-1] == b"IEND"


def test_the_jpeg_keeps_jfif_first_and_its_other_segments() -> None:
    data = mark_jpeg(pictures.jpeg_with(encoded(".jpg"), 0xE1, b"Exif\0\0" + pictures.exif(6)))
    assert data[2:4] == b"\xff\xe1"  # EXIF was put before JFIF here, and stays there
    assert data.count(b"Exif\0\0") == data.count(b"JFIF\0") == data.count(b"adobe.com/xap/1.0/\0") == 1
    assert mark_jpeg(encoded(".jpg"))[2:4] == b"\xff\xe0"


def test_other_xmp_is_replaced() -> None:
    other = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>DigitalSourceType=&quot;digitalCapture</x:xmpmeta>"
    data = mark_jpeg(pictures.jpeg_with(encoded(".jpg"), 0xE1, other))
    assert b"digitalCapture" not in data
    assert data.count(b"http://ns.adobe.com/xap/1.0/\0") == 1


def test_the_mark_of_other_software_is_read(tmp_path: Path) -> None:
    xmp = b"<a:CreatorTool>Other 2</a:CreatorTool><b:DigitalSourceType>http://x/algorithmicMedia</b:DigitalSourceType>"
    data = pictures.jpeg_with(encoded(".jpg"), 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp)
    (tmp_path / "a.jpg").write_bytes(data)
    assert read_mark(tmp_path / "a.jpg") == Mark("http://x/algorithmicMedia", "Other 2")


def write_video(path: Path, metadata: dict[str, str], options: dict[str, str] | None = None) -> None:
    with av.open(str(path), "w", options=options or {}) as container:
        container.metadata.update(metadata)
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(PIXELS, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize("options", [{}, {"movflags": "faststart"}], ids=["plain", "faststart"])
def test_videos_carry_the_mark(tmp_path: Path, options: dict[str, str]) -> None:
    write_video(tmp_path / "a.mp4", video_metadata(), options)
    assert read_mark(tmp_path / "a.mp4") == MARK
    with av.open(str(tmp_path / "a.mp4")) as container:  # as any other player sees it
        assert SOURCE_TYPE in container.metadata["comment"]
        assert "Synthetic" in container.metadata["description"]


def test_videos_without_the_mark(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", {"comment": "a holiday"})
    write_video(tmp_path / "b.mp4", {})
    assert read_mark(tmp_path / "a.mp4") is None
    assert read_mark(tmp_path / "b.mp4") is None


def test_a_cut_off_video_has_no_mark_and_does_not_hang(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", video_metadata(), {"movflags": "faststart"})
    data = (tmp_path / "a.mp4").read_bytes()
    for size in range(8, data.index(b"mdat"), 97):
        (tmp_path / "b.mp4").write_bytes(data[:size])
        assert read_mark(tmp_path / "b.mp4") in (None, MARK)


def test_boxes_of_no_size_end_the_search(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(struct.pack(">I4sI", 8, b"ftyp", 0) + bytes(64))
    assert read_mark(tmp_path / "a.mp4") is None


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Cannot read"):
        read_mark(tmp_path / "missing.png")
    (tmp_path / "cut.png").write_bytes(encoded(".png")[:35])
    with pytest.raises(InputError, match="cut off"):
        read_mark(tmp_path / "cut.png")
    (tmp_path / "text.txt").write_text("hello")
    assert read_mark(tmp_path / "text.txt") is None
