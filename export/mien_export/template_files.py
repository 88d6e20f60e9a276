"""LivePortrait's motion templates (.pkl), read as data: arrays, numbers and lists come out, nothing in the file is run.

A pickle names the functions it wants called. The few names that NumPy's arrays are stored with stand here for code of
our own, which checks what it is given; every other name is refused before it is looked up.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import MotionError
from mien.reenact.liveportrait_motion import LivePortraitMotion
from mien.reenact.templates import Template, stacked

MOST_BYTES = 1 << 30
DTYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
SIDE = 256
"""The motion is that of a crop; the template's frame is this crop, 256 pixels a side, as the network saw it."""

BROKEN = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, LookupError, AssertionError,
    OverflowError, struct.error, MemoryError, RecursionError,
)  # fmt: skip
"""A broken stream fails in whatever way the broken place suggests."""


class Refused(pickle.UnpicklingError):
    """The file names something that has no place in a motion template."""


class Call:
    """A harmless function under a name that files call; the file cannot get hold of the function, or change it."""

    __slots__ = ("_function",)

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise Refused("it changes what its arrays are rebuilt with")


class StoredDtype:
    """What a file says of an array's numbers: kind, size and byte order."""

    def __init__(self, code: object, *_: object) -> None:
        if code not in DTYPES:
            raise Refused(f"it holds an array of {code!r}, where only numbers belong")
        self.dtype = np.dtype(str(code))

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] == ">":
            self.dtype = self.dtype.newbyteorder(">")


class StoredArray:
    """An array under way; its numbers come with the state that the file gives it."""

    array: NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise Refused("it gives an array a state that is none")
        _, shape, dtype, fortran, data = state
        self.array = from_bytes(data, dtype, shape, "F" if fortran else "C").array


def from_bytes(data: object, dtype: object, shape: object, order: object) -> StoredArray:
    """The array of these bytes. Raises Refused unless they are exactly as many as its shape needs."""
    if not (isinstance(dtype, StoredDtype) and isinstance(data, (bytes, bytearray)) and isinstance(shape, tuple)):
        raise Refused("it stores an array in a form that NumPy does not use")
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise Refused(f"it holds an array of the shape {shape}")
    if math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise Refused(f"it announces an array of the shape {shape} and holds {len(data)} bytes of it")
    stored = StoredArray()
    stored.array = np.frombuffer(bytes(data), dtype.dtype).reshape(shape, order="F" if order == "F" else "C")
    return stored


def _number(dtype: object, data: object) -> object:
    array = from_bytes(data, dtype, (), "C").array
    return None if array is None else array.item()


def _latin(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused("it encodes a text")
    return text.encode("latin1")


def _no_bytes(*arguments: object) -> bytes:
    if arguments:
        raise Refused("it makes bytes of something")
    return b""


def _not_called(*_: object) -> object:
    raise Refused("it makes an array in a way that NumPy does not")


NAMES = {
    "_reconstruct": Call(lambda *_: StoredArray()),
    "_frombuffer": Call(from_bytes),
    "scalar": Call(_number),
    "dtype": Call(StoredDtype),
    "ndarray": Call(_not_called),
}
MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")


class Unpickler(pickle._Unpickler):
    """Knows how arrays are stored and refuses the rest. Python's own: the one in C takes the memory a file asks for."""

    def find_class(self, module: str, name: str) -> Any:
        """What the file gets for a name. Raises Refused."""
        if module in MODULES and name in NAMES:
            return NAMES[name]
        if (module, name) == ("_codecs", "encode"):
            return Call(_latin)
        if module in ("builtins", "__builtin__") and name == "bytes":
            return Call(_no_bytes)
        raise Refused(f"it would call {module}.{name}, which no motion template needs")


def read_pickle(path: Path) -> object:
    """What a pickle of arrays and plain Python values holds; arrays as `StoredArray`.

    Raises MotionError, naming what is refused.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise MotionError(f"{path} has more than {MOST_BYTES} bytes; no motion template has.")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise MotionError(f"There is no file {path}.") from error
    except (OSError, ValueError) as error:
        raise MotionError(f"Cannot read {path}: {error}.") from error
    try:
        value: object = Unpickler(io.BytesIO(data)).load()
    except BROKEN as error:
        said = str(error).rstrip(".") or type(error).__name__
        raise MotionError(f"{path} cannot be read as a motion template: {said}.") from error
    return value


def read_liveportrait_template(path: Path) -> Template:
    """LivePortrait's template as mien's, for bundles of the family ``liveportrait``.

    Raises MotionError for what is no such template, or has numbers that no face could move by.
    """
    try:
        return _template(_mapping(read_pickle(path)))
    except MotionError as error:
        message = str(error)
        raise error if str(path) in message else MotionError(f"{path}: {message}") from error


def _template(stored: Mapping[str, object]) -> Template:
    frames = _list(stored, "motion")
    eyes = _list(stored, "c_eyes_lst", "c_d_eyes_lst")
    lips = _list(stored, "c_lip_lst", "c_d_lip_lst")
    if not frames or not len(frames) == len(eyes) == len(lips):
        raise MotionError(f"It has {len(frames)} frames, openings of eyes for {len(eyes)} and of lips for {len(lips)}.")
    rows = zip(frames, eyes, lips, strict=True)
    motions = [_motion(_mapping(frame), eye, lip) for frame, eye, lip in rows]
    rate = _rate(stored.get("output_fps"))
    count = len(motions)
    pts, seen = np.arange(count, dtype=np.int64), np.ones(count, np.bool_)
    return Template("liveportrait", (SIDE, SIDE), rate, 1 / rate, pts, seen, stacked(motions))


def _motion(frame: Mapping[str, object], eyes: object, lips: object) -> LivePortraitMotion:
    half = SIDE / 2
    rotation = _numbers(frame.get("R", frame.get("R_d")), "R", (3, 3))
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 0.01 or np.linalg.det(rotation) < 0:
        raise MotionError("A frame's R is no rotation.")
    return LivePortraitMotion(
        rotation=rotation,
        expression=_numbers(frame.get("exp"), "exp", (21, 3)),
        scale=_numbers(frame.get("scale"), "scale", (1,)) * half,
        translation=_numbers(frame.get("t"), "t", (3,))[:2] * half + half,
        eyes=_numbers(eyes, "eyes", (2,)),
        lips=_numbers(lips, "lips", (1,)),
        crop=np.full(3, half),
        extent=np.array([SIDE / 4]),
    )


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise MotionError("It is no motion template of LivePortrait's: a dictionary by names is missing.")
    return value


def _list(stored: Mapping[str, object], *names: str) -> list[object]:
    """The list under the first of these names that is there; older files have others."""
    value = next((stored[name] for name in names if name in stored), None)
    if isinstance(value, StoredArray) and value.array is not None and value.array.ndim:
        return list(value.array)
    if not isinstance(value, list):
        raise MotionError(f"It is no motion template of LivePortrait's: the list {names[0]!r} is missing.")
    return value


def _numbers(value: object, what: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = value.array if isinstance(value, StoredArray) else value
    if not isinstance(array, (np.ndarray, float, int, list)):
        raise MotionError(f"A frame has no numbers {what!r}.")
    try:
        numbers = np.asarray(array, np.float64)
    except (TypeError, ValueError) as error:
        raise MotionError(f"A frame's {what!r} is not made of numbers.") from error
    if numbers.size != math.prod(shape) or not np.isfinite(numbers).all():
        raise MotionError(
            f"A frame's {what!r} has {numbers.size} numbers, {math.prod(shape)} finite ones are asked for."
        )
    return numbers.reshape(shape)


def _rate(value: object) -> Fraction:
    if isinstance(value, StoredArray) and value.array is not None and value.array.size == 1:
        value = value.array.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.1 <= value <= 1000:
        raise MotionError(f"Its frame rate, output_fps, is {value!r}.")
    return Fraction(value).limit_denominator(1001)
