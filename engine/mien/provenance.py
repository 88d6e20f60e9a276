"""The mark in every written file that says: this picture or video is synthetic.

It is the Digital Source Type of the IPTC Photo Metadata Standard, as XMP in pictures and as text in videos. The value
names what mien does: pixels of a picture or video composited with what trained networks painted.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path

from mien.errors import InputError

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_PNG_KEYWORD = b"XML:com.adobe.xmp"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MOST_BYTES = 1 << 22
"""No metadata that mien reads is longer."""


@dataclass(frozen=True)
class Mark:
    """What a file says about its origin: the IPTC Digital Source Type (an address) and the software that wrote it."""

    source_type: str
    software: str


def software() -> str:
    """This program's name and version, for example "mien 0.1.0"."""
    try:
        return f"mien {version('mien')}"
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "mien"


def xmp() -> bytes:
    """The XMP packet that marks a picture."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f' xmp:CreatorTool="{software()}" Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def mark_png(data: bytes) -> bytes:
    """The PNG file with the mark in place of any XMP it had."""
    body = _PNG_KEYWORD + b"\0\0\0\0\0" + xmp()
    chunk = struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
    kept = [piece for name, piece in _png_chunks(data) if not _is_png_xmp(name, piece)]
    return b"".join([_PNG_HEAD, kept[0], chunk, *kept[1:]])


def mark_jpeg(data: bytes) -> bytes:
    """The JPEG file with the mark in place of any XMP it had."""
    body = _JPEG_XMP + xmp()
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    kept = [piece for piece in _jpeg_segments(data) if not piece[4:].startswith(_JPEG_XMP)]
    first = 1 if kept and kept[0][:2] == b"\xff\xe0" else 0  # JFIF's own segment stays the first
    head = 2 + sum(len(piece) for piece in _jpeg_segments(data))
    return b"".join([data[:2], *kept[:first], segment, *kept[first:], data[head:]])


def video_metadata() -> dict[str, str]:
    """The mark as metadata of a container, for the muxer's metadata dictionary."""
    text = f"Synthetic media: a face in this video was changed by software. DigitalSourceType: {SOURCE_TYPE}"
    return {"comment": f"{text} Software: {software()}", "description": text}


def read_mark(path: str | PathLike[str]) -> Mark | None:
    """The mark of a PNG, JPEG, GIF or MP4 file, None where there is none. Raises InputError for an unreadable file."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(12)
        if head[4:8] == b"ftyp":
            return _parse_text(_mp4_comment(path))
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
    try:
        if data.startswith(_PNG_HEAD):
            return _parse_xmp(b"".join(piece for name, piece in _png_chunks(data) if _is_png_xmp(name, piece)))
        if data.startswith(b"\xff\xd8"):
            return _parse_xmp(b"".join(p for p in _jpeg_segments(data) if p[4:].startswith(_JPEG_XMP)))
        if data.startswith(b"GIF8"):
            return _parse_xmp(data)
    except struct.error as error:
        raise InputError(f"{path} is cut off: its metadata cannot be read.") from error
    return None


def _parse_xmp(packet: bytes) -> Mark | None:
    text = packet.decode("utf-8", "replace")
    # Either form of an RDF property: an attribute, or an element.
    kind = re.search(r'DigitalSourceType(?:="|>)([^"<]+)', text)
    tool = re.search(r'CreatorTool(?:="|>)([^"<]+)', text)
    return Mark(kind[1], tool[1] if tool else "") if kind else None


def _parse_text(text: str) -> Mark | None:
    kind = re.search(r"DigitalSourceType: (\S+)", text)
    tool = re.search(r"Software: (.+)$", text)
    return Mark(kind[1], tool[1] if tool else "") if kind else None


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and whole bytes of each chunk."""
    place = len(_PNG_HEAD)
    while place < len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        yield name, data[place : place + size + 12]
        place += size + 12


def _is_png_xmp(name: bytes, piece: bytes) -> bool:
    return name == b"iTXt" and piece[8:].startswith(_PNG_KEYWORD + b"\0")


def _jpeg_segments(data: bytes) -> Iterator[bytes]:
    """The application segments (APPn) at the head of a JPEG file, whole."""
    place = 2
    while data[place : place + 1] == b"\xff" and 0xE0 <= data[place + 1] <= 0xEF:
        size = struct.unpack_from(">H", data, place + 2)[0]
        yield data[place : place + 2 + size]
        place += 2 + size


def _mp4_comment(path: Path) -> str:
    """The text of the comment in an MP4 or MOV file: moov / udta / meta / ilst / (c)cmt / data."""
    with path.open("rb") as file:
        start, end = 0, path.stat().st_size
        for wanted in (b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data"):
            place = start
            while True:
                file.seek(place)
                head = file.read(16)
                if place >= end or len(head) < 8:
                    return ""
                size, name = struct.unpack_from(">I4s", head)
                skip = 8
                if size == 1 and len(head) == 16:  # the size is in the eight bytes that follow
                    size, skip = struct.unpack_from(">Q", head, 8)[0], 16
                size = size or end - place
                if size < skip or place + size > end:
                    return ""
                if name == wanted:
                    # Before its children meta has version and flags; data has those and a locale before its text.
                    start = place + skip + {b"meta": 4, b"data": 8}.get(name, 0)
                    end = place + size
                    break
                place += size
        file.seek(start)
        return file.read(min(max(end - start, 0), _MOST_BYTES)).decode("utf-8", "replace")
