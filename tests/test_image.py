"""Every kind of picture comes in as upright RGB, or as one clear error; what goes out is whole and marked."""

import logging
import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.errors import ImageError, OutputError
from mien.geometry import Similarity
from mien.image import check_image, crop, load_image, save_image, to_image, to_tensor
from mien.picture_header import read_header
from mien.provenance import read_mark
from tests import pictures

RED, BLUE = (255, 0, 0), (0, 0, 255)
FORMATS = [".png", ".jpg", ".webp", ".bmp", ".tiff"]


def halves(height: int = 32, width: int = 48) -> np.ndarray:
    """Red on the left, blue on the right."""
    image = np.full((height, width, 3), RED, np.uint8)
    image[:, width // 2 :] = BLUE
    return image


def encoded(suffix: str, image: np.ndarray) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, 100] if suffix == ".jpg" else []
    return bytes(cv2.imencode(suffix, image[..., ::-1], options)[1].tobytes())


def loaded(folder: Path, data: bytes, name: str = "picture.bin") -> np.ndarray:
    (folder / name).write_bytes(data)
    image = load_image(folder / name)
    check_image(image)
    assert image.flags.c_contiguous
    return image


@pytest.mark.parametrize("suffix", FORMATS)
def test_formats_are_known_by_their_contents(tmp_path: Path, suffix: str) -> None:
    image = loaded(tmp_path, encoded(suffix, halves()))
    assert image.shape == (32, 48, 3)
    assert image[16, 4].astype(int) == pytest.approx(RED, abs=3)
    assert image[16, 44].astype(int) == pytest.approx(BLUE, abs=3)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_header_gives_the_size_before_anything_is_decoded(suffix: str) -> None:
    header = read_header(encoded(suffix, halves()))
    assert header is not None
    assert (header.width, header.height) == (48, 32)


def test_lossy_webp_has_its_size_in_the_header_too() -> None:
    data = cv2.imencode(".webp", halves(), [cv2.IMWRITE_WEBP_QUALITY, 50])[1].tobytes()
    header = read_header(data)
    assert header is not None
    assert (header.kind, header.width, header.height) == ("webp", 48, 32)


def test_progressive_jpeg(tmp_path: Path) -> None:
    data = cv2.imencode(".jpg", halves(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert loaded(tmp_path, data).shape == (32, 48, 3)


def test_transparent_places_are_white(tmp_path: Path) -> None:
    data = pictures.png(4, 4, 6, 8, bytes([0, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 128, 9, 9, 9, 255]))
    assert loaded(tmp_path, data)[0].tolist() == [[0, 0, 0], [255, 255, 255], [255, 127, 127], [9, 9, 9]]


def test_sixteen_bits_become_eight_rounded(tmp_path: Path) -> None:
    row = struct.pack(">12H", *[0, 128, 129, 257, 65535, 65406, 65407, 32768, 385, 386, 1, 2])
    assert loaded(tmp_path, pictures.png(4, 4, 2, 16, row))[0].ravel().tolist() == [
        round(v / 257) for v in (0, 128, 129, 257, 65535, 65406, 65407, 32768, 385, 386, 1, 2)
    ]


def test_sixteen_bits_with_alpha(tmp_path: Path) -> None:
    data = pictures.png(4, 4, 6, 16, struct.pack(">4H", 0, 0, 0, 0x8080) * 4)
    assert loaded(tmp_path, data)[0, 0].tolist() == [127, 127, 127]


@pytest.mark.parametrize(
    ("colour_type", "depth", "row", "chunks", "expected"),
    [
        (0, 8, b"\x20\x40\x60\x80", [], [32, 64]),
        (0, 16, b"\x20\x20\x40\x40" * 2, [], [32, 64]),
        (0, 1, b"\x50", [], [0, 255]),
        (4, 8, b"\x20\xff\x40\x00" * 2, [], [32, 255]),
    ],
    ids=["8 bits", "16 bits", "1 bit", "with alpha"],
)
def test_grey_becomes_rgb(
    tmp_path: Path, colour_type: int, depth: int, row: bytes, chunks: list[bytes], expected: list[int]
) -> None:
    image = loaded(tmp_path, pictures.png(4, 4, colour_type, depth, row, *chunks))
    assert image[0, :2].tolist() == [[value] * 3 for value in expected]


def test_a_palette_with_transparency(tmp_path: Path) -> None:
    palette = pictures.png_chunk(b"PLTE", bytes([1, 2, 3, 255, 0, 16]))
    alpha = pictures.png_chunk(b"tRNS", b"\xff\0")
    assert loaded(tmp_path, pictures.png(4, 4, 3, 8, b"\0\1\0\1", palette))[0, :2].tolist() == [[1, 2, 3], [255, 0, 16]]
    assert loaded(tmp_path, pictures.png(4, 4, 3, 8, b"\0\1\0\1", palette, alpha))[0, 1].tolist() == [255] * 3


def test_a_cmyk_jpeg_has_the_right_colours(tmp_path: Path) -> None:
    # Adobe stores the ink inverted: full magenta and yellow is red, full cyan and magenta is blue.
    image = loaded(tmp_path, pictures.cmyk_jpeg((255, 0, 0, 255), (0, 0, 255, 255)))
    assert image.shape == (8, 16, 3)
    assert image[4, 2].astype(int) == pytest.approx(RED, abs=2)
    assert image[4, 13].astype(int) == pytest.approx(BLUE, abs=2)


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """What EXIF says about each value, one by one."""
    return {
        1: image,
        2: np.fliplr(image),
        3: np.rot90(image, 2),
        4: np.flipud(image),
        5: image.transpose(1, 0, 2),
        6: np.rot90(image, -1),
        7: np.rot90(image, 2).transpose(1, 0, 2),
        8: np.rot90(image, 1),
    }[orientation]


def corners(height: int = 32, width: int = 48) -> np.ndarray:
    """A picture that differs from all its mirrored and turned forms."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (250, 120, 10)
    image[height // 2 :, : width // 4] = (20, 200, 240)
    return image


@pytest.mark.parametrize("order", "><")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int, order: str) -> None:
    data = pictures.exif(orientation, order)
    jpeg = pictures.jpeg_with(encoded(".jpg", corners()), 0xE1, b"Exif\0\0" + data)
    flat = encoded(".png", corners())
    png = flat[:33] + pictures.png_chunk(b"eXIf", data) + flat[33:]
    expected = upright(corners(), orientation)
    assert np.array_equal(loaded(tmp_path, png), expected)
    found = loaded(tmp_path, jpeg)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 4


def test_exif_orientation_of_webp(tmp_path: Path) -> None:
    flat = encoded(".webp", corners())
    data = pictures.exif(6)
    extended = b"VP8X" + struct.pack("<IB3x", 10, 8) + (47).to_bytes(3, "little") + (31).to_bytes(3, "little")
    body = b"WEBP" + extended + flat[12:] + b"EXIF" + struct.pack("<I", len(data)) + data
    webp = b"RIFF" + struct.pack("<I", len(body)) + body
    assert np.array_equal(loaded(tmp_path, webp), upright(loaded(tmp_path, flat), 6))


@pytest.mark.parametrize("damage", [b"", b"MM", b"MM\0*\0\0\xff\xff", b"junk" * 9], ids=["none", "2", "far", "junk"])
def test_broken_exif_is_no_orientation(tmp_path: Path, damage: bytes) -> None:
    flat = encoded(".png", corners())
    png = flat[:33] + pictures.png_chunk(b"eXIf", damage) + flat[33:]
    assert np.array_equal(loaded(tmp_path, png), corners())


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no file .*missing\.png"):
        load_image(tmp_path / "missing.png")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not a file"):
        load_image(tmp_path)


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(ImageError):
        load_image("a\0b.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(ImageError, match="Cannot read"):
        load_image(tmp_path / "a.png")


@pytest.mark.parametrize("data", [b"", b"hello", b"<html></html>", b"GIF89a" + bytes(40), bytes(5000)])
def test_what_is_no_picture(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "text.png").write_bytes(data)
    with pytest.raises(ImageError, match="reads PNG, JPEG, WebP, BMP, TIFF"):
        load_image(tmp_path / "text.png")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_truncated_picture(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 90, 3), np.uint8)
    data = encoded(suffix, noise)
    (tmp_path / "cut").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match="cut off|cut-off|decoded"):
        load_image(tmp_path / "cut")


def test_every_prefix_of_a_picture_is_refused_or_read(tmp_path: Path) -> None:
    for suffix in FORMATS:
        data = encoded(suffix, halves(8, 8))
        for size in range(min(len(data), 200)):
            assert read_header(data[:size]) is None or read_header(data[:size]).width == 8, suffix  # type: ignore[union-attr]


@pytest.mark.parametrize("side", [20_000, 2**31 - 1])
def test_a_huge_picture_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    data = pictures.png(4, 4, 2, 8, bytes(12))
    (tmp_path / "huge.png").write_bytes(data[:16] + struct.pack(">II", side, side) + data[24:])
    with pytest.raises(ImageError, match=f"{side} x {side} pixels"):
        load_image(tmp_path / "huge.png")


@pytest.mark.parametrize("suffix", FORMATS)
def test_one_pixel_is_no_picture(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "dot").write_bytes(encoded(suffix, np.zeros((1, 1, 3), np.uint8)))
    with pytest.raises(ImageError, match="1 x 1 pixels"):
        load_image(tmp_path / "dot")


def test_a_header_without_size(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(pictures.png(0, 5, 2, 8, b""))
    with pytest.raises(ImageError):
        load_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("samples", "bits", "photometric"),
    [([255, 0, 0], 8, 2), ([65535, 0, 0], 16, 2), ([0, 255, 255, 0], 8, 5)],
    ids=["8 bits", "16 bits", "CMYK"],
)
def test_kinds_of_tiff(tmp_path: Path, samples: list[float], bits: int, photometric: int) -> None:
    image = loaded(tmp_path, pictures.tiff(8, 6, samples, bits, photometric))
    assert np.array_equal(image, np.full((6, 8, 3), RED))


def test_a_float_tiff_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tiff").write_bytes(pictures.tiff(8, 8, [float("nan")], bits=32, photometric=1, form=3))
    with pytest.raises(ImageError, match="float32"):
        load_image(tmp_path / "a.tiff")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
def test_saved_pictures_come_back_and_are_marked(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    save_image(path, halves())
    assert np.abs(load_image(path).astype(int) - halves()).max() <= (0 if suffix == ".png" else 6)
    mark = read_mark(path)
    assert mark is not None
    assert mark.source_type.endswith("/compositeWithTrainedAlgorithmicMedia")
    assert os.listdir(tmp_path) == [path.name]


def test_leaving_the_mark_out_is_asked_for_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        save_image(tmp_path / "a.png", halves(), provenance=False)
    assert read_mark(tmp_path / "a.png") is None
    assert "without the mark" in caplog.text


@pytest.mark.parametrize("name", ["a.bmp", "a.gif", "a", "a.txt"])
def test_a_format_that_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"\.png or \.jpg"):
        save_image(tmp_path / name, halves())
    assert not os.listdir(tmp_path)


def test_an_unwritable_place(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        save_image(tmp_path / "no" / "a.png", halves())


def test_a_picture_too_wide_for_jpeg(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not fit"):
        save_image(tmp_path / "a.jpg", np.zeros((2, 70_000, 3), np.uint8))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (None, "NoneType"),
        ("picture.png", "str"),
        (np.zeros((4, 4), np.uint8), r"\(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\)"),
        (np.zeros((3, 4, 4), np.uint8), r"\(3, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "to_image"),
        (np.full((4, 4, 3), np.nan), "NaN"),
        (np.full((4, 4, 3), np.inf, np.float32), "not finite"),
        (np.zeros((4, 4, 3), np.uint16), "uint16"),
        (np.zeros((1, 1, 3), np.uint8), "1 x 1"),
        (np.zeros((0, 9, 3), np.uint8), "9 x 0"),
    ],
)
def test_what_is_not_a_picture_in_memory(array: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        check_image(array)


def test_tensors_and_pictures_are_each_other_s_inverse() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    tensor = to_tensor(image)
    assert tensor.shape == (1, 3, 40, 30)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    assert tensor[0].transpose(1, 2, 0) == pytest.approx(image / 255, abs=1e-6)
    assert np.array_equal(to_image(tensor), image)
    assert np.array_equal(to_image(tensor[0]), image)


def test_a_tensor_is_rounded_and_clipped() -> None:
    values = np.array([-1, 0.0019, 0.0020, 2], np.float32).reshape(1, 1, 2, 2)
    assert to_image(np.repeat(values, 3, 1))[..., 0].ravel().tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 4, 4), (4, 4), (1, 1, 3, 4, 4)])
def test_what_is_not_a_tensor_of_one_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="shape"):
        to_image(np.zeros(shape, np.float32))


def test_a_tensor_with_nan_is_no_picture() -> None:
    tensor = np.zeros((3, 4, 4), np.float32)
    tensor[1, 2, 3] = np.nan
    with pytest.raises(ImageError, match="NaN"):
        to_image(tensor)


def smooth(height: int, width: int) -> np.ndarray:
    """x / 4 in red, y / 4 in green: a place can be read off a colour."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack([x / 4, y / 4, np.zeros_like(x)], -1).round().astype(np.uint8)


def test_a_crop_at_scale_one_is_the_same_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    assert np.array_equal(crop(image, Similarity.from_crop((40, 30), 20, 20), 20), image[20:40, 30:50])


@pytest.mark.parametrize("angle", [0.0, 0.5, 2.5])
@pytest.mark.parametrize("scale", [0.4, 1.0, 1.7, 2.0, 3.3, 7.9])
def test_every_pixel_of_a_crop_is_from_its_place(scale: float, angle: float) -> None:
    size = 24
    s = Similarity.from_crop((431, 377), size * scale, size, angle)
    centres = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1) + 0.5
    found = crop(smooth(800, 900), s, size)[..., :2].astype(float)
    assert np.abs(found - s.apply(centres) / 4).max() < 1.1


@pytest.mark.parametrize("scale", [2.0, 3.0, 5.5, 16.0])
def test_shrinking_does_not_alias(scale: float) -> None:
    board = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    image = np.repeat(board[..., None], 3, -1)
    found = crop(image, Similarity.from_crop((255.3, 256.4), 16 * scale, 16), 16)
    assert np.abs(found.astype(int) - 128).max() <= 26


@pytest.mark.parametrize("scale", [1.0, 2.0, 5.0])
def test_outside_of_the_frame_its_edge_is_repeated(scale: float) -> None:
    size = 20
    image = np.full((50, 70, 3), (200, 10, 10), np.uint8)
    image[:, 0] = image[:, 1] = image[:, 2] = image[:, 3] = image[:, 4] = image[:, 5] = (10, 200, 10)
    beside = crop(image, Similarity.from_crop((-300, 25), size * scale, size), size)
    assert np.array_equal(np.unique(beside.reshape(-1, 3), axis=0), [(10, 200, 10)])
    over = crop(image, Similarity.from_crop((70, 50), size * scale, size), size)
    assert over[-1, -1].tolist() == [200, 10, 10]


def test_a_crop_larger_than_the_frame() -> None:
    image = np.full((9, 7, 3), 77, np.uint8)
    assert np.array_equal(crop(image, Similarity.from_crop((3, 4), 400, 32), 32), np.full((32, 32, 3), 77))


def test_a_crop_of_a_view_that_is_not_contiguous() -> None:
    image = smooth(300, 200)
    s = Similarity.from_crop((100, 150), 90, 30)
    assert np.array_equal(crop(np.asfortranarray(image), s, 30), crop(image, s, 30))
