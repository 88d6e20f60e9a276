"""sample_volume and place_keypoints: the CUDA kernels' arithmetic on the CPU, against NumPy, torch and the engine."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.reenact import keypoints
from tests.kernels.cases import floats

Floats = NDArray[np.float32]

pytestmark = pytest.mark.usefixtures("native")


def sampled(volume: Floats, grid: Floats) -> Floats:
    """GridSample of rank 5, linear, zeros outside, corners not aligned: written out with eight neighbours."""
    batch, channels, *sides = volume.shape
    out = np.zeros((batch, channels, *grid.shape[1:4]))
    finite = np.isfinite(grid).all(-1)
    places = np.clip(np.where(np.isfinite(grid), grid, 9.0).astype(np.float64), -9, 9)
    at = [((places[..., 2 - axis] + 1) * side - 1) / 2 for axis, side in enumerate(sides)]  # z, y, x
    low = [np.floor(values).astype(int) for values in at]
    for n in range(batch):
        for corner in np.ndindex(2, 2, 2):
            index = [values[n] + step for values, step in zip(low, corner, strict=True)]
            pairs = list(zip(index, at, strict=True))
            weight = np.prod([np.maximum(0, 1 - np.abs(values[n] - i)) for i, values in pairs], axis=0)
            valid = np.logical_and.reduce([(i >= 0) & (i < side) for i, side in zip(index, sides, strict=True)])
            i, j, k = (np.clip(i, 0, side - 1) for i, side in zip(index, sides, strict=True))
            used = valid & finite[n] & (weight > 0)
            out[n] += np.where(used, weight * volume[n][:, i, j, k], 0)
    return out.astype(np.float32)


def emulated(volume: Floats, grid: Floats) -> Floats:
    import mien._emulator

    out = np.full((*volume.shape[:2], *grid.shape[1:4]), np.nan, np.float32)
    mien._emulator.sample_volume(out, volume, grid)
    return out


@pytest.mark.parametrize(
    "shape, size",
    [
        ((1, 32, 16, 8, 8), (16, 8, 8)),
        ((2, 5, 3, 4, 7), (2, 6, 5)),
        ((1, 9, 1, 1, 1), (2, 2, 2)),
        ((3, 1, 2, 1, 5), (1, 1, 1)),
    ],
)
def test_sampling_equals_numpy(shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    volume = floats(*shape, low=-1)
    grid = floats(shape[0], *size, 3, seed=1, low=-1.6, high=1.6)
    assert np.abs(emulated(volume, grid) - sampled(volume, grid)).max() <= 2e-5


def test_the_faces_and_corners_and_what_lies_beyond() -> None:
    volume = floats(1, 3, 4, 5, 6, low=-1)
    marks = np.array([-1e30, -2, -1.3, -1.2, -1, -0.999, -0.6, 0, 0.6, 0.999, 1, 1.2, 1.3, 2, 1e30], np.float32)
    grid = np.stack(np.meshgrid(marks, marks, marks, indexing="ij"), -1)[None]
    assert np.abs(emulated(volume, grid) - sampled(volume, grid)).max() <= 2e-6


def test_what_is_not_finite_does_not_spread() -> None:
    volume, grid = floats(1, 2, 4, 4, 4), floats(1, 4, 4, 4, 3, low=-1)
    grid[0, 0, 0, 0] = (np.nan, 0, 0)
    grid[0, 0, 0, 1] = (0, np.inf, 0)
    grid[0, 0, 0, 2] = (0, 0, -np.inf)
    grid[0, 1, 1, 1] = (-0.75, -0.75, -0.75)  # the centre of the first voxel: its neighbours have no weight
    volume[0, 0, 1, 1, 1] = np.nan
    given = emulated(volume, grid)
    assert (given[0, :, 0, 0, :3] == 0).all()
    assert given[0, 0, 1, 1, 1] == volume[0, 0, 0, 0, 0]


def test_sampling_equals_torch() -> None:
    torch = pytest.importorskip("torch")
    volume, grid = floats(2, 8, 6, 7, 9, low=-1), floats(2, 3, 5, 4, 3, seed=1, low=-1.3, high=1.3)
    wanted = torch.nn.functional.grid_sample(
        torch.from_numpy(volume), torch.from_numpy(grid), mode="bilinear", padding_mode="zeros", align_corners=False
    )
    assert np.abs(emulated(volume, grid) - wanted.numpy()).max() <= 2e-5


def test_sizes_that_differ_are_refused() -> None:
    import mien._emulator

    out = np.empty((1, 2, 3, 3, 3), np.float32)
    with pytest.raises(ValueError, match="differ in size"):
        mien._emulator.sample_volume(out, floats(1, 2, 4, 4, 4), floats(1, 3, 3, 4, 3))


def test_keypoints_are_placed_as_the_engine_places_them() -> None:
    import mien._emulator

    canonical, expression = floats(3, 21, 3, low=-1), floats(3, 21, 3, seed=1, low=-0.1, high=0.1)
    angles, scale = floats(3, 3, seed=2, low=-60, high=60), floats(3, seed=3, low=0.5, high=2)
    translation = floats(3, 3, seed=4, low=-0.5, high=0.5)
    out = np.full_like(canonical, np.nan)
    mien._emulator.place_keypoints(out, canonical, angles, expression, scale, translation)
    for n in range(3):
        rotation = keypoints.rotation_of(angles[n])
        head = keypoints.Head(rotation, expression[n].astype(float), float(scale[n]), translation[n, :2].astype(float))
        assert np.abs(out[n] - keypoints.placed(canonical[n], head)).max() <= 2e-6
