"""Pictures: reading, writing, checking, cropping, and the way into and out of a network.

A picture in mien is uint8 (H, W, 3), RGB, values 0 to 255. OpenCV's BGR order exists inside this file only.
"""

from __future__ import annotations

import logging
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ImageError, OutputError
from mien.files import write_atomic
from mien.geometry import Similarity
from mien.picture_header import READ_FORMATS, PictureHeader, read_header
from mien.provenance import mark_jpeg, mark_png

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

MOST_PIXELS = 120_000_000
"""Larger pictures are refused by their header, before they are decoded: this many take 360 MB."""
MOST_BYTES = 1 << 29
"""Larger picture files are refused before they are read."""
LEAST_SIDE = 2
"""A picture of one pixel is a placeholder and not a picture."""
JPEG_QUALITY = 95

_log = logging.getLogger(__name__)


def load_image(path: str | PathLike[str]) -> Image:
    """The picture in a PNG, JPEG, WebP, BMP or TIFF file (known by its contents, not by its name), as uint8 RGB.

    It stands upright (EXIF orientation applied), transparent places are white, grey becomes RGB, 16 bits become 8, CMYK
    becomes RGB. Raises ImageError: no such file, not a picture, cut off, too large, one pixel.
    """
    path = Path(path)
    data = _read(path)
    header = read_header(data)
    if header is None:
        raise ImageError(f"{path} is not a picture that mien reads, or it is cut off. It reads {READ_FORMATS}.")
    _check_size(path, header)
    # Only JPEG has no alpha to lose in a colour decode, which also turns the picture upright.
    flags = cv2.IMREAD_COLOR if header.kind == "jpeg" else cv2.IMREAD_UNCHANGED
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"{path} cannot be decoded as {header.kind.upper()}: {error}") from error
    if decoded is None:
        raise ImageError(f"{path} is a damaged or cut-off {header.kind.upper()} file: it cannot be decoded.")
    return _upright(_to_rgb(path, decoded), header.orientation)


def save_image(path: str | PathLike[str], image: Image, provenance: bool = True) -> None:
    """Writes uint8 (H, W, 3) RGB as .png or .jpg (quality 95, full colour resolution), whole or not at all.

    The file says in its metadata that the picture is synthetic; ``provenance=False`` leaves that out and is logged.
    Raises ImageError for an unfit array, OutputError for another suffix or an unwritable place, DiskFull.
    """
    path = Path(path)
    check_image(image)
    suffix = path.suffix.lower()
    if suffix not in (".png", ".jpg", ".jpeg"):
        raise OutputError(f"Cannot write {path}: pictures are written as .png or .jpg, not as {suffix or 'nothing'!r}.")
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if suffix == ".png":
        options = [cv2.IMWRITE_PNG_COMPRESSION, 4]
    else:
        full_colour = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full_colour]
    done, pixels = cv2.imencode(suffix, bgr, options)
    if not done:  # JPEG ends at 65,500 pixels a side
        raise OutputError(f"Cannot write {path}: a picture of {_sides(image)} pixels does not fit {suffix}.")
    encoded = pixels.tobytes()
    if provenance:
        encoded = mark_png(encoded) if suffix == ".png" else mark_jpeg(encoded)
    else:
        _log.warning("%s is written without the mark that says it is synthetic, as asked", path)
    write_atomic(path, encoded)


def check_image(image: object) -> None:
    """Raises ImageError unless this is a picture: NumPy uint8 (H, W, 3), both sides at least 2."""
    if not isinstance(image, np.ndarray):
        raise ImageError(f"A picture is a NumPy array, uint8 (H, W, 3) RGB; got {type(image).__name__}.")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"A picture is (H, W, 3), RGB; got shape {image.shape}.")
    if image.dtype != np.uint8:
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            raise ImageError(f"The picture has values that are not finite (NaN), and is {image.dtype}, not uint8.")
        raise ImageError(f"A picture is uint8, 0 to 255; got {image.dtype}. to_image() converts floats in [0, 1].")
    if min(image.shape[:2]) < LEAST_SIDE:
        raise ImageError(f"A picture has at least {LEAST_SIDE} pixels a side; this one is {_sides(image)}.")


def to_tensor(image: Image) -> Floats:
    """uint8 (H, W, 3) to float32 (1, 3, H, W) in [0, 1], same channel order."""
    tensor = np.empty((1, 3, *image.shape[:2]), np.float32)
    np.multiply(image.transpose(2, 0, 1), np.float32(1 / 255), out=tensor[0])
    return tensor


def to_image(tensor: NDArray[np.floating]) -> Image:
    """Floats (3, H, W) or (1, 3, H, W), [0, 1], to uint8 (H, W, 3), rounded; values outside are clipped.

    Raises ImageError for another shape or NaN.
    """
    planes = tensor[0] if tensor.ndim == 4 and len(tensor) == 1 else tensor
    if planes.ndim != 3 or len(planes) != 3:
        raise ImageError(f"A picture as a tensor is (3, H, W) or (1, 3, H, W); got shape {tensor.shape}.")
    if np.isnan(planes.sum()):
        raise ImageError("The tensor has values that are not a number (NaN); it is no picture.")
    merged = cv2.merge([np.asarray(plane, np.float32) for plane in planes])
    return _uint8(cv2.convertScaleAbs(np.maximum(merged, 0), alpha=255))


def crop(image: Image, similarity: Similarity, size: int) -> Image:
    """The (size, size, 3) crop whose pixels ``similarity`` maps to pixels of ``image``; both uint8 RGB.

    What shrinks by two or more is first averaged down, so it does not alias. Outside, the frame's edge is repeated.
    """
    shrink = max(int(similarity.scale), 1)
    origin = (0, 0)
    if shrink > 1:
        image, origin = _shrunk_around(image, similarity, size, shrink)
    # From corner-based to OpenCV's centre-based pixels, on both sides, and into the shrunken part of the frame.
    matrix = similarity.matrix.copy()
    matrix[:, 2] += matrix[:, :2].sum(1) / 2 - origin
    matrix /= shrink
    matrix[:, 2] -= 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return _uint8(cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE))


def shown(size: tuple[int, ...], similarity: Similarity, side: int) -> Floats | None:
    """(side, side), how much of each pixel of a crop shows a picture of ``size`` (H, W); None where all of it does.

    ``similarity`` as in `crop`, which repeats the picture's edge: a pixel half outside shows half of it.
    """
    ends = size[1], size[0]
    corners = similarity.apply([(0, 0), (side, 0), (0, side), (side, side)])
    if corners.min() >= 0 and (corners <= ends).all():
        return None
    inside = np.ones((side, side), np.float32)
    grid = np.arange(side, dtype=np.float32) + 0.5
    step = max(int(similarity.scale), 1)
    for (along, down, start), end in zip(similarity.matrix.astype(np.float32), ends, strict=True):
        at = along * grid + (down * grid + start)[:, None]
        inside *= np.clip(np.minimum(at, end - at) / step + 0.5, 0, 1)
    return inside


def _shrunk_around(image: Image, similarity: Similarity, size: int, shrink: int) -> tuple[Image, tuple[int, int]]:
    """The part of the frame under the crop, averaged down ``shrink`` times, and its origin (x, y) in the frame."""
    corners = similarity.apply([(0, 0), (size, 0), (0, size), (size, size)])
    sides = np.array(image.shape[1::-1])
    # Two shrunken pixels of margin, for the interpolation and for the repeated edge.
    low = np.clip(np.floor(corners.min(0)) - 2 * shrink, 0, sides - 1).astype(int)
    high = np.clip(np.ceil(corners.max(0)) + 2 * shrink, low + 1, sides).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    right, below = (low - high) % shrink
    if right or below:
        part = _uint8(cv2.copyMakeBorder(part, 0, int(below), 0, int(right), cv2.BORDER_REPLICATE))
    inner = part.shape[1] // shrink, part.shape[0] // shrink
    return _uint8(cv2.resize(part, inner, interpolation=cv2.INTER_AREA)), (int(low[0]), int(low[1]))


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ImageError(f"{path} is not a file; a picture is asked for.")
        if size > MOST_BYTES:
            raise ImageError(f"{path} has {size} bytes; picture files of more than {MOST_BYTES} are not read.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"There is no file {path}.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise ImageError(f"Cannot read {path}: {error}.") from error


def _check_size(path: Path, header: PictureHeader) -> None:
    if header.width * header.height > MOST_PIXELS:
        millions = MOST_PIXELS // 1_000_000
        raise ImageError(
            f"{path} is {header.width} x {header.height} pixels; mien reads up to {millions} million. Shrink it first."
        )
    if min(header.width, header.height) < LEAST_SIDE:
        sides = f"{header.width} x {header.height}"
        raise ImageError(f"{path} is {sides} pixels; a picture has at least {LEAST_SIDE} a side.")


def _to_rgb(path: Path, decoded: NDArray[np.integer | np.floating]) -> Image:
    """What OpenCV decoded (grey, BGR or BGRA of 8 or 16 bits) as RGB of 8 bits on white."""
    if decoded.dtype == np.uint16:
        decoded = ((decoded.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if decoded.dtype != np.uint8:
        raise ImageError(f"{path} has {decoded.dtype} values; mien reads pictures of 8 or 16 bits per channel.")
    if decoded.ndim == 2:
        return _uint8(cv2.cvtColor(decoded, cv2.COLOR_GRAY2RGB))
    if decoded.shape[2] == 3:
        return _uint8(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))
    rgba = cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGBA).astype(np.uint16)
    alpha = rgba[:, :, 3:]
    return ((rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _upright(image: Image, orientation: int) -> Image:
    """Undoes an EXIF orientation: 5 to 8 are transposed, then each value mirrors one or both axes."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


def _sides(image: Image) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"


def _uint8(array: object) -> Image:
    """OpenCV's types promise less than it gives."""
    return np.asarray(array, np.uint8)
