"""Arrays in .npy and .npz files, read without ever running what a file says and written whole or not at all."""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.files import write_atomic

Array = NDArray[Any]

ABOUT = "about"
"""The member of an .npz that holds a JSON text: what the arrays are."""
MOST_BYTES = 1 << 34
"""Larger files, and archives that unpack to more, are refused before they are read."""
ZIP_HEAD, NPY_HEAD = b"PK", b"\x93NUMPY"


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an .npz by name, or that of an .npy as "", read-only; known by their contents, not by their name.

    Raises InputError: no such file, not of these kinds, cut off, too large, Python objects inside.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(f"{path} has {size} bytes; files of more than {MOST_BYTES} are not read.")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise InputError(f"Cannot read {path}: {error}.") from error
    if data.startswith(NPY_HEAD):
        return {"": _array(data, str(path))}
    if not data.startswith(ZIP_HEAD):
        raise InputError(f"{path} is neither an .npy nor an .npz file of NumPy.")
    return _members(data, path)


def read_about(arrays: Mapping[str, Array], kind: str, path: Path) -> dict[str, Any]:
    """The JSON object that says what the arrays are. Raises InputError unless it says that they are of this kind."""
    text = arrays.get(ABOUT)
    if text is None or text.shape != () or text.dtype.kind != "U":
        raise InputError(f"{path} is an .npz file but not one of {kind}: it has no text {ABOUT!r} that says so.")
    try:
        about = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: its text {ABOUT!r} is broken JSON.") from error
    if not isinstance(about, dict) or about.get("kind") != kind:
        found = about.get("kind") if isinstance(about, dict) else about
        raise InputError(f"{path} was asked for as {kind}; it says that it holds {found!r}.")
    return about


def write_arrays(path: Path, about: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Writes an .npz file; ``about`` has a "kind" and whatever else JSON can say. Raises OutputError, DiskFull."""
    file = io.BytesIO()
    members: dict[str, Any] = {**arrays, ABOUT: np.array(json.dumps(about, allow_nan=False))}
    np.savez(file, **members)
    write_atomic(path, file.getvalue())


def _members(data: bytes, path: Path) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
                raise InputError(f"{path} unpacks to more than {MOST_BYTES} bytes; such files are not read.")
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                arrays[name] = _array(archive.read(member), f"The member {member.filename!r} of {path}")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} is a damaged or cut-off .npz file: {error}") from error
    return arrays


def _array(data: bytes, where: str) -> Array:
    """An .npy file's array; its header is checked against what follows it before any number is read."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except (
        ValueError,
        TypeError,
        SyntaxError,
        TokenError,
        RecursionError,
        MemoryError,
    ) as error:
        raise InputError(f"{where} is not an .npy file that can be read: {error}") from error
    if dtype.kind not in "biufU":
        raise InputError(f"{where} holds {dtype}; only numbers and text are read, never Python objects.")
    body = memoryview(data)[file.tell() :]
    if any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != len(body):
        raise InputError(f"{where} is cut off: {shape} of {dtype} were announced and {len(body)} bytes follow.")
    if not len(body):
        return np.zeros(shape, dtype)
    return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C")
