"""Pictures, maps and transforms that the kernel tests share."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def similarity(angle: float = 0.0, scale: float = 1.0, x: float = 0.0, y: float = 0.0) -> Matrix:
    """Turns, scales, shifts: (2, 3), points to points."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, x], [s, c, y]])


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def floats(*shape: int, seed: int = 0, low: float = 0.0, high: float = 1.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def points(size: tuple[int, ...], matrix: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the centres of a frame's pixels lie in the patch: x and y, each (H, W)."""
    rows, columns = np.indices(size[:2])
    at = (np.stack([columns + 0.5, rows + 0.5], -1) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    return at[..., 0], at[..., 1]


def near_tie(size: tuple[int, ...], matrix: Matrix, cells: float = 1.0) -> NDArray[np.bool_]:
    """Pixels that single precision may put between other neighbours of a map with so many cells to a patch pixel."""
    offsets = [np.abs(at * cells - 0.5 - np.round(at * cells - 0.5)) for at in points(size, matrix)]
    close: NDArray[np.bool_] = np.minimum(*offsets) < 1e-3
    return close


def near_edge(size: tuple[int, ...], matrix: Matrix, width: int, height: int) -> NDArray[np.bool_]:
    """Pixels so close to the patch's edge that the last bit decides whether they belong to it."""
    x, y = points(size, matrix)
    close: NDArray[np.bool_] = np.minimum(
        np.minimum(np.abs(x), np.abs(x - width)), np.minimum(np.abs(y), np.abs(y - height))
    ) < 1e-6 * (1 + np.abs(matrix).max() / abs(np.linalg.det(matrix[:, :2])))
    return close


sizes = st.integers(1, 150)
seeds = st.integers(0, 2**32 - 1)
transforms = st.one_of(
    st.builds(
        similarity, st.floats(-3.2, 3.2), st.floats(0.2, 8.0), st.floats(-100.0, 200.0), st.floats(-100.0, 200.0)
    ),
    st.builds(similarity, st.just(0.0), st.sampled_from([0.5, 1.0, 2.0]), st.integers(-9, 99), st.integers(-9, 99)),
)
feathers = st.sampled_from([0.0, 0.5, 7.0, 1000.0])


def spoiled(values: NDArray[np.float32], seed: int, share: float = 0.05) -> NDArray[np.float32]:
    """A copy where some values are NaN, infinite, or outside 0..1."""
    generator = np.random.default_rng(seed)
    bad = generator.choice(np.array([np.nan, np.inf, -np.inf, -3.0, 7.0, 0.0, 1.0], np.float32), values.shape)
    return np.where(generator.random(values.shape) < share, bad, values).astype(np.float32)


def views(array: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The same values with other memory layouts, none of them C-contiguous."""
    padded = np.zeros([2 * size + 1 for size in array.shape], array.dtype)
    strided = padded[tuple(slice(1, None, 2) for _ in array.shape)]
    strided[...] = array
    mirrored = np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    return {"strided": strided, "mirrored": mirrored, "fortran": np.asfortranarray(array)}


def frame(layout: str, height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Noise in a layout; of NV12 the sides are rounded up to even ones."""
    shape: tuple[int, ...] = (height, width, len(layout))
    if layout == "nv12":
        shape = ((height + 1) // 2 * 3, (width + 1) // 2 * 2)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def pixels(layout: str, values: NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width of a frame."""
    rows, width = values.shape[:2]
    return (rows // 3 * 2 if layout == "nv12" else rows), width
