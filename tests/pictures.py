"""Picture files made byte by byte: the kinds that OpenCV reads but does not write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

Colour = tuple[int, ...]


def png_chunk(name: bytes, body: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, colour_type: int, depth: int, row: bytes, *chunks: bytes) -> bytes:
    """A PNG file whose rows are all the same; ``chunks`` stand before the pixels."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress((b"\0" + row) * height)
    parts = [png_chunk(b"IHDR", head), *chunks, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def exif(orientation: int, order: str = ">") -> bytes:
    """EXIF data that says nothing but the orientation, without the "Exif" in front."""
    head = b"MM\0*" if order == ">" else b"II*\0"
    return head + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def jpeg_with(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """The JPEG file with one more segment at its head."""
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def tiff(
    width: int, height: int, samples: Sequence[float], bits: int = 8, photometric: int = 2, form: int = 1
) -> bytes:
    """A TIFF file of one colour; ``form`` 1 is unsigned numbers, 3 floats."""
    code = {8: "B", 16: "H", 32: "f"}[bits]
    data = struct.pack(f"<{len(samples)}{code}", *samples) * (width * height)
    count = len(samples)
    tags = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, photometric),
        (273, 8),
        (277, count),
        (278, height),
        (279, len(data)),
        (339, form),
    ]
    if photometric == 5:
        tags.insert(-1, (332, 1))
    # One value stands for all samples: readers of this file take it so.
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


def cmyk_jpeg(left: Colour, right: Colour) -> bytes:
    """A baseline JPEG of 16 x 8 pixels with four components, as Adobe writes it: 255 is no ink.

    Each half is one flat 8 x 8 block for each component, so all coefficients but the first are zero.
    """
    bits = ""
    before: Colour = (0, 0, 0, 0)
    for colour in (left, right):
        levels = tuple(8 * (value - 128) for value in colour)
        for level, last in zip(levels, before, strict=True):
            bits += _coefficient(level - last) + "0"  # and the end of the block
        before = levels
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    components = b"".join(bytes([i, 0x11, 0]) for i in (1, 2, 3, 4))
    segments = [
        (0xEE, b"Adobe\0\x64\0\0\0\0\0"),
        (0xDB, b"\0" + b"\1" * 64),
        (0xC0, struct.pack(">BHHB", 8, 8, 16, 4) + components),
        (0xC4, b"\0" + bytes([0, 0, 0, 12]) + bytes(12) + bytes(range(12))),  # twelve codes of four bits
        (0xC4, b"\x10" + bytes([1]) + bytes(15) + b"\0"),  # one code, "0": the end of a block
        (0xDA, b"\4" + b"".join(bytes([i, 0]) for i in (1, 2, 3, 4)) + b"\0\x3f\0"),
    ]
    head = b"".join(bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments)
    return b"\xff\xd8" + head + scan + b"\xff\xd9"


def _coefficient(value: int) -> str:
    size = abs(value).bit_length()
    low = value if value >= 0 else value + (1 << size) - 1
    return f"{size:04b}" + (f"{low:0{size}b}" if size else "")
