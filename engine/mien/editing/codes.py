"""Codes of many faces: one latent for each, and the names of the pictures that they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mien.archive import ABOUT, Array, read_about, read_arrays, write_arrays
from mien.errors import InputError

Floats = NDArray[np.float32]
Space = Literal["w", "w+"]

KIND = "mien codes"
WIDTH = 512


@dataclass(frozen=True, eq=False)
class Codes:
    """``values``: (N, L, 512) float32 W+, or (N, 1, 512) W. ``names``: of the N pictures; empty where not known.

    Raises InputError for another shape, numbers that are not finite, names that are too few or not different.
    """

    values: Floats
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        values = np.asarray(self.values, np.float32)
        values = values[:, None] if values.ndim == 2 else values
        if values.ndim != 3 or not values.size or values.shape[2] != WIDTH:
            raise InputError(f"Codes are (N, {WIDTH}) or (N, layers, {WIDTH}); got shape {np.shape(self.values)}.")
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values).all((1, 2)))[0])
            raise InputError(f"The code of row {bad} has numbers that are not finite. Encode its picture again.")
        if self.names and len(self.names) != len(values):
            raise InputError(f"There are {len(values)} codes and {len(self.names)} names; one for each is needed.")
        if len(set(self.names)) != len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise InputError(f"Two codes have the name {twice!r}; labels could not tell them apart.")
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return len(self.values)

    def points(self, space: Space) -> Floats:
        """(N, 1, 512): the mean of each face's rows ("w"); or (N, L, 512) as they are ("w+"). Raises InputError."""
        if space == "w":
            return np.asarray(self.values.mean(1, keepdims=True), np.float32)
        if self.values.shape[1] == 1:
            raise InputError("The space w+ was asked for, but these codes have one row each: they are of w.")
        return self.values


def read_codes(path: Path) -> Codes:
    """Codes of an .npy, of an .npz that `mien directions encode` wrote, or of an .npz with `codes` and maybe `names`.

    Raises InputError.
    """
    arrays = read_arrays(path)
    if ABOUT in arrays:
        names = read_about(arrays, KIND, path).get("names")
        if not isinstance(names, list):
            raise InputError(f"{path} says that it holds codes, but not of which pictures.")
        return _codes(path, arrays.get("codes"), tuple(map(str, names)))
    listed = arrays.get("names", arrays.get("files"))
    names = () if listed is None else tuple(map(str, listed.reshape(-1)))
    return _codes(path, arrays.get("", arrays.get("codes")), names)


def write_codes(path: Path, codes: Codes) -> None:
    """Writes an .npz that `read_codes` reads. Raises OutputError, DiskFull."""
    write_arrays(path, {"kind": KIND, "names": list(codes.names)}, {"codes": codes.values})


def _codes(path: Path, array: Array | None, names: tuple[str, ...]) -> Codes:
    if array is None:
        raise InputError(f"{path} has no array `codes`, ({WIDTH} numbers for each face).")
    if array.dtype.kind != "f":
        raise InputError(f"The codes of {path} are {array.dtype}; floating-point numbers are asked for.")
    return Codes(np.asarray(array, np.float32), names)
