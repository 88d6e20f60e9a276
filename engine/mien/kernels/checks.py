"""Checks the kernels' arguments: each error says what was expected and what was given."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.errors import ImageError
from mien.kernels.layouts import Layout
from mien.kernels.protocol import Bytes, Matrix

Scalar = TypeVar("Scalar", bound=np.generic)


def array(what: str, value: NDArray[Scalar], shape: Sequence[int | None], *dtypes: type[np.generic]) -> NDArray[Scalar]:
    """The value as a C-contiguous array; None in the shape is any size above 0."""
    wanted = " or ".join(np.dtype(dtype).name for dtype in dtypes)
    wanted += " (" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
    if not isinstance(value, np.ndarray):
        raise ImageError(f"{what} has to be a NumPy array, {wanted}, but it is a {type(value).__name__}.")
    fits = len(value.shape) == len(shape) and all(
        given > 0 and size in (None, given) for given, size in zip(value.shape, shape, strict=True)
    )
    if not fits or value.dtype not in [np.dtype(dtype) for dtype in dtypes]:
        raise ImageError(f"{what} has to be {wanted}, but it is {value.dtype.name} {value.shape}.")
    return np.ascontiguousarray(value)


def matrix(what: str, value: ArrayLike) -> tuple[Matrix, Matrix]:
    """A 2x3 transform in float64, and its inverse."""
    try:
        forward = np.ascontiguousarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ImageError(f"{what} has to be a 2x3 matrix of numbers, but it is {value!r}.") from error
    if forward.shape != (2, 3):
        raise ImageError(f"{what} has to be a 2x3 matrix, but its shape is {forward.shape}.")
    a, b, c, d = forward[:, :2].flat
    with np.errstate(all="ignore"):
        linear = np.array([[d, -b], [-c, a]]) / (a * d - b * c)
        backward = np.column_stack([linear, -linear @ forward[:, 2]])
    if not (np.isfinite(forward).all() and np.isfinite(backward).all()):
        raise ImageError(f"{what} has to be finite and invertible, but it is {forward.tolist()}.")
    return forward, backward


def matrices(what: str, value: ArrayLike) -> tuple[Matrix, Matrix]:
    """Transforms (N, 2, 3), or one (2, 3), in float64 (N, 2, 3), and their inverses."""
    try:
        given = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise ImageError(f"{what} has to be 2x3 matrices of numbers, but it is {value!r}.") from error
    if given.ndim == 2:
        given = given[None]
    if given.ndim != 3 or given.shape[1:] != (2, 3):
        raise ImageError(f"{what} has to be a 2x3 matrix or (N, 2, 3) of them, but its shape is {given.shape}.")
    forward, backward = np.empty_like(given), np.empty_like(given)
    for i, each in enumerate(given):
        forward[i], backward[i] = matrix(f"{what} {i}", each)
    return forward, backward


def frame(what: str, value: Bytes, layout: Layout) -> Bytes:
    """The frame as a C-contiguous array of its layout's shape."""
    if layout != "nv12":
        return array(what, value, (None, None, len(layout)), np.uint8)
    result = array(what, value, (None, None), np.uint8)
    rows, width = result.shape
    if rows % 3 or width % 2:
        raise ImageError(f"{what} has to be NV12, (1.5 H, W) with H and W even, but it is {result.shape}.")
    return result


def output(what: str, value: Bytes | None, shape: tuple[int, ...], inputs: Sequence[NDArray[np.generic]]) -> Bytes:
    """The array to write into: a new one where none is given. It may not share memory with any of the inputs."""
    if value is None:
        return np.empty(shape, np.uint8)
    array(what, value, shape, np.uint8)
    if not value.flags.writeable:
        raise ImageError(f"{what} is read-only; hand in a writable array, or none.")
    if any(np.may_share_memory(value, other) for other in inputs):
        raise ImageError(f"{what} shares memory with an input, which would be overwritten while it is read.")
    return value
