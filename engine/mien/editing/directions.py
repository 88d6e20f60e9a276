"""Directions in a generator's latent space: what they are, and the files they are read from and written to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.archive import Array, read_about, read_arrays, write_arrays
from mien.errors import InputError

Floats = NDArray[np.float32]

KIND = "mien directions"
WIDTH = 512
PARTS = ("eyebrows", "beard", "age", "others")
"""Which parts of the face an edit may touch: the component sets of the parsing masks."""
LEAST_NORM = 1e-12

NORMAL_UNIT = 3.0
"""Strength 1 for a unit vector: InterFaceGAN's pictures go to 3, e4e's to 5."""

EOGI_UNIT = 20.0
EOGI = {  # file stem: class of the difference network, parts of the face
    "Bushy_Eyebrows": (6, "eyebrows"),
    "Eyeglasses": (7, "others"),
    "Mouth_Open": (10, "others"),
    "Narrow_Eyes": (11, "others"),
    "Beard": (12, "beard"),
    "Smiling": (15, "others"),
    "Old": (16, "age"),
}
INTERFACEGAN = re.compile(r"(?:pggan_celebahq|stylegan_celebahq|stylegan_ffhq)_(\w+?)(?:_w)?_boundary")


@dataclass(frozen=True, eq=False)
class Direction:
    """What is added to a latent to change one attribute: strength x unit x vector.

    ``vector``: (L, 512) float32 for W+, or (1, 512), added to every row; read-only. ``unit``: what strength 1 is worth.
    ``difference_class``: its class in the difference network, -1 where it has none. ``parts``: one of `PARTS`.
    Raises InputError for another shape, zeros, numbers that are not finite, an unknown part, a name that cannot be set.
    """

    name: str
    vector: Floats
    unit: float = 1.0
    difference_class: int = -1
    parts: str = "others"

    def __post_init__(self) -> None:
        where = f"The direction {self.name!r}"
        if not self.name or re.search(r"[\s=,]", self.name):
            raise InputError(f"{where} cannot be named so: a name has letters and no space, comma or equals sign.")
        with np.errstate(over="ignore"):
            vector = np.array(self.vector, np.float32)
        if vector.ndim != 2 or not vector.size:
            raise InputError(f"{where} has shape {vector.shape}; (1, {WIDTH}) or (layers, {WIDTH}) is asked for.")
        if not np.isfinite(vector).all():
            raise InputError(f"{where} has numbers that are not finite. Fit or download it again.")
        if not np.linalg.norm(vector) > LEAST_NORM:
            raise InputError(f"{where} is zero everywhere: it would change nothing.")
        if not np.isfinite(self.unit) or self.unit == 0:
            raise InputError(f"{where} has the unit {self.unit}; a finite number other than 0 is asked for.")
        if self.difference_class < -1:
            raise InputError(f"{where} has the class {self.difference_class}; a class is 0 or more, or -1 for none.")
        if self.parts not in PARTS:
            raise InputError(f"{where} is of the parts {self.parts!r}; there are: {', '.join(PARTS)}.")
        vector.flags.writeable = False
        object.__setattr__(self, "vector", vector)


@dataclass(frozen=True, eq=False)
class Record:
    """A direction and how it was found. Directions of other people's files have nothing but the direction.

    ``accuracy``: share of held-out examples on the right side, mean of both classes. ``negative`` and ``positive``: how
    many examples there were of each, held-out ones included. ``given``: attributes that it is orthogonal to.
    """

    direction: Direction
    accuracy: float | None = None
    negative: int = 0
    positive: int = 0
    given: tuple[str, ...] = ()


def read_directions(path: Path, layers: int, width: int = WIDTH) -> tuple[Direction, ...]:
    """The directions of a file, for a generator of so many layers.

    Read are mien's own .npz; InterFaceGAN's .npy, (1, 512), a unit normal (Shen et al., 2020); EOGI's .npy, (18, 512),
    divided by its norm over all rows, of unit 20. The latter are known by their file names. Never runs pickled code.
    Raises InputError, also for a shape that does not fit.
    """
    directions = tuple(record.direction for record in read_records(path))
    for direction in directions:
        check_fit(direction, layers, width)
    return directions


def read_records(path: Path) -> tuple[Record, ...]:
    """The directions of a file, whatever generator they are for, and how each was found. Raises InputError."""
    path = Path(path)
    if path.suffix.lower() in (".pt", ".pth"):
        raise InputError(f"{path} needs torch to be read: `mien export edit --directions {path.name}` reads it.")
    arrays = read_arrays(path)
    if "" in arrays:
        return (Record(_foreign(path.stem, arrays[""])),)
    about = read_about(arrays, KIND, path)
    try:
        return tuple(_record(entry, arrays[f"vector_{i}"]) for i, entry in enumerate(about["directions"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path} says that it holds directions, but cannot be read: {error!r}.") from error


def write_directions(path: Path, records: Sequence[Record | Direction]) -> None:
    """Writes an .npz that `read_directions` reads: arrays and a JSON text. Raises InputError, OutputError, DiskFull."""
    full = [record if isinstance(record, Record) else Record(record) for record in records]
    if not full:
        raise InputError(f"No direction was given to be written to {path}.")
    entries = [
        {
            "name": record.direction.name,
            "unit": float(record.direction.unit),
            "difference_class": int(record.direction.difference_class),
            "parts": record.direction.parts,
            "accuracy": record.accuracy,
            "negative": record.negative,
            "positive": record.positive,
            "given": list(record.given),
        }
        for record in full
    ]
    vectors = {f"vector_{i}": record.direction.vector for i, record in enumerate(full)}
    write_arrays(Path(path), {"kind": KIND, "directions": entries}, vectors)


def check_fit(direction: Direction, layers: int, width: int = WIDTH) -> None:
    """Raises InputError unless the direction can be added to latents of this many layers and numbers each."""
    rows, columns = direction.vector.shape
    if columns != width or rows not in (1, layers):
        raise InputError(
            f"The direction {direction.name!r} has {rows} rows of {columns} numbers; the generator asks for 1 or "
            f"{layers} rows of {width}. Take one that was made for this generator."
        )


def correlations(directions: Sequence[Direction]) -> Floats:
    """(K, K): the cosines between directions. Far from 0, two attributes are entangled: one edit does the other too.

    A direction of one row counts as if it were repeated over the rows of the others.
    """
    rows = max((len(direction.vector) for direction in directions), default=1)
    flat = [np.broadcast_to(d.vector, (rows, d.vector.shape[1])).reshape(-1) for d in directions]
    unit = np.array([vector / np.linalg.norm(vector) for vector in flat])
    return np.asarray(unit @ unit.T, np.float32)


def _record(entry: dict[str, Any], vector: Array) -> Record:
    accuracy = entry["accuracy"]
    if not isinstance(entry["name"], str) or not isinstance(entry["parts"], str) or vector.dtype.kind != "f":
        raise TypeError(entry["name"])
    direction = Direction(
        entry["name"], vector, float(entry["unit"]), int(entry["difference_class"]), entry["parts"]
    )  # fmt: skip
    given = tuple(str(name) for name in entry["given"])
    examples = int(entry["negative"]), int(entry["positive"])
    return Record(direction, None if accuracy is None else float(accuracy), *examples, given)


def _foreign(stem: str, array: Array) -> Direction:
    """An array that comes without a word about itself, named after its file."""
    if array.dtype.kind != "f":
        raise InputError(f"The direction {stem!r} holds {array.dtype}; floating-point numbers are asked for.")
    vector = array.reshape(array.shape[1:]) if array.ndim == 3 and len(array) == 1 else np.atleast_2d(array)
    name = re.sub(r"[\s=,]+", "_", stem).lower()
    if stem in EOGI and vector.ndim == 2 and len(vector) > 1:
        number, parts = EOGI[stem]
        checked = Direction(name, vector)  # before the division, which zeros and NaN would spoil
        return Direction(name, checked.vector / np.linalg.norm(vector), EOGI_UNIT, number, parts)
    known = INTERFACEGAN.fullmatch(stem)
    return Direction(known[1].lower() if known else name, vector, NORMAL_UNIT)
