"""Arrays in one .safetensors file: eight bytes of header length, a JSON header, then the raw numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.bundle.strict import Fields, parse_json, wrong
from mien.errors import BundleInvalid

Array = NDArray[Any]

MOST_HEADER = 1 << 24
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}
NAMES = {np.dtype(form): name for name, form in DTYPES.items()}


def read_arrays(data: bytes) -> dict[str, Array]:
    """The arrays by name, read-only, sharing memory with ``data``. Raises BundleInvalid for a broken file."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(MOST_HEADER, len(data) - 8):
        raise BundleInvalid(f"The arrays file has {len(data)} bytes and claims a header of {size}: it is broken.")
    header = parse_json(data[8 : 8 + size], "The header of the arrays file")
    if not isinstance(header, dict):
        raise wrong("The header of the arrays file", "an object", header)
    header.pop("__metadata__", None)
    body = memoryview(data)[8 + size :]
    return {name: _array(entry, f"The array {name!r}", body) for name, entry in header.items()}


def _array(entry: object, where: str, body: memoryview) -> Array:
    fields = Fields(entry, where, ("dtype", "shape", "data_offsets"))
    dtype = np.dtype(DTYPES[fields.text("dtype", DTYPES)])
    shape = fields.items("shape", _count)
    offsets = fields.items("data_offsets", _count)
    expected = math.prod(shape) * dtype.itemsize
    if len(offsets) != 2 or offsets[1] > len(body) or offsets[1] - offsets[0] != expected:
        raise wrong(f"{where}.data_offsets", f"{expected} bytes within {len(body)}", list(offsets))
    return np.frombuffer(body[offsets[0] : offsets[1]], dtype).reshape(shape)


def _count(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise wrong(where, "a whole number, at least 0", value)
    return value


def write_arrays(arrays: Mapping[str, Array]) -> bytes:
    """The file's contents. Raises BundleInvalid for a type that the format does not have."""
    header: dict[str, object] = {}
    pieces: list[bytes] = []
    place = 0
    for name, array in arrays.items():
        if array.dtype not in NAMES:
            raise BundleInvalid(f"The array {name!r} is {array.dtype}; arrays are one of {', '.join(DTYPES)}.")
        piece = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [place, place + len(piece)],
        }
        pieces.append(piece)
        place += len(piece)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of their size
    return b"".join([len(text).to_bytes(8, "little"), text, *pieces])
