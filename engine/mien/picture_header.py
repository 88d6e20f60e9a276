"""What the head of a picture file says, read before any decoder sees the file: format, size, orientation."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

READ_FORMATS = "PNG, JPEG, WebP, BMP, TIFF"


@dataclass(frozen=True)
class PictureHeader:
    """``kind`` is one of "png", "jpeg", "webp", "bmp", "tiff"; width and height are in pixels as stored.

    ``orientation`` is the EXIF value 1..8 of a PNG or WebP file, whose decoder leaves it to us; 1 for the others.
    """

    kind: str
    width: int
    height: int
    orientation: int = 1


def read_header(data: bytes) -> PictureHeader | None:
    """The header of a picture file's contents, or None for a format that mien does not read or a cut-off file."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(data)
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:2] == b"BM":
            return _bmp(data)
        if data[:4] in (b"II*\0", b"MM\0*"):
            tags = _tiff_tags(data)
            return PictureHeader("tiff", tags[256], tags[257])
    except (struct.error, KeyError, IndexError):  # the file ends before its header does
        return None
    return None


def _png(data: bytes) -> PictureHeader:
    width, height = struct.unpack_from(">II", data, 16)
    exif = next((body for name, body in _png_chunks(data) if name == b"eXIf"), b"")
    return PictureHeader("png", width, height, _orientation(exif))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        yield name, data[place + 8 : place + 8 + size] if name == b"eXIf" else b""
        place += size + 12


def _jpeg(data: bytes) -> PictureHeader | None:
    place = 2
    while data[place] == 0xFF:
        marker = data[place + 1]
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD7:  # fill bytes and markers without a length
            place += 1 if marker == 0xFF else 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a frame header of any coding
            height, width = struct.unpack_from(">HH", data, place + 5)
            return PictureHeader("jpeg", width, height)
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    return None


def _webp(data: bytes) -> PictureHeader | None:
    name = data[12:16]
    if name == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        return PictureHeader("webp", width, height, _orientation(_webp_exif(data)))
    if name == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return PictureHeader("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if name == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return PictureHeader("webp", width & 0x3FFF, height & 0x3FFF)
    return None


def _webp_exif(data: bytes) -> bytes:
    place = 12
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        if name == b"EXIF":
            return data[place + 8 : place + 8 + size].removeprefix(b"Exif\0\0")
        place += 8 + size + size % 2
    return b""


def _bmp(data: bytes) -> PictureHeader:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # the header of OS/2
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return PictureHeader("bmp", abs(width), abs(height))  # a negative height: rows from the top


def _orientation(exif: bytes) -> int:
    try:
        value = _tiff_tags(exif)[0x0112]
    except (struct.error, KeyError):
        return 1
    return value if 1 <= value <= 8 else 1


def _tiff_tags(data: bytes) -> dict[int, int]:
    """The single integers of a TIFF file's first directory, by tag."""
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    place = struct.unpack_from(order + "I", data, 4)[0]
    tags = {}
    for entry in range(struct.unpack_from(order + "H", data, place)[0]):
        tag, kind, count = struct.unpack_from(order + "HHI", data, place + 2 + 12 * entry)
        form = {3: "H", 4: "I"}.get(kind)
        if form and count == 1:
            tags[tag] = struct.unpack_from(order + form, data, place + 10 + 12 * entry)[0]
    return tags
