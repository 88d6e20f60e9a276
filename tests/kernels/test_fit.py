"""fit: the CUDA kernel's arithmetic on the CPU, against OpenCV."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.cases import floats

pytestmark = pytest.mark.usefixtures("native")


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 3), st.integers(0, 3), st.integers(1, 2))
def test_planes_are_averaged_by_area_and_their_edge_is_repeated(
    size: int, side: int, below: int, right: int, count: int
) -> None:
    import mien._emulator

    side = min(side, size)
    planes = floats(count, 3, size, size, seed=size)
    out = np.full((count, 3, side + below, side + right), np.nan, np.float32)
    mien._emulator.fit(out, planes, side, side)
    for made, plane in zip(out.reshape(-1, *out.shape[2:]), planes.reshape(-1, size, size), strict=True):
        fitted = cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA).reshape(side, side)
        wanted = np.pad(fitted, ((0, below), (0, right)), mode="edge")
        np.testing.assert_allclose(made, wanted, atol=2e-5)
        if side == size:
            np.testing.assert_array_equal(made, wanted)


def test_what_is_not_a_number_stays_where_it_is() -> None:
    import mien._emulator

    planes, out = np.zeros((1, 3, 8, 8), np.float32), np.zeros((1, 3, 4, 4), np.float32)
    planes[0, 1, 2, 5] = np.nan
    mien._emulator.fit(out, planes, 4, 4)
    assert np.argwhere(np.isnan(out)).tolist() == [[0, 1, 1, 2]]
