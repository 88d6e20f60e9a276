"""blend: what it does, and that C++ and NumPy do the same."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien import kernels
from mien.errors import ImageError
from mien.kernels import checks, reference
from tests.kernels.cases import (
    Matrix,
    feathers,
    floats,
    near_edge,
    near_tie,
    picture,
    seeds,
    similarity,
    sizes,
    spoiled,
    transforms,
    views,
)

Mask = NDArray[np.uint8] | NDArray[np.float32]


def expected(
    frame: NDArray[np.uint8], patch: NDArray[np.uint8], mask: Mask, matrix: Matrix, feather: float = 0.0
) -> NDArray[np.uint8]:
    out = np.empty_like(frame)
    reference.blend(out, frame, patch, mask, checks.matrix("matrix", matrix)[1], feather)
    return out


@pytest.mark.usefixtures("native")
@settings(max_examples=120)
@given(sizes, sizes, sizes, sizes, transforms, feathers, seeds, st.booleans())
def test_native_equals_reference(
    height: int, width: int, rows: int, columns: int, matrix: Matrix, feather: float, seed: int, byte_mask: bool
) -> None:
    frame, patch = picture(height, width, seed), picture(rows, columns, seed + 1)
    values = floats(rows, columns, seed=seed)
    mask: Mask = (255 * values).astype(np.uint8) if byte_mask else values
    result = kernels.blend(frame, patch, mask, matrix, feather=feather)
    difference = np.abs(result.astype(int) - expected(frame, patch, mask, matrix, feather)).max(2)
    assert difference[~near_edge(frame.shape, matrix, columns, rows)].max(initial=0) <= 1


@pytest.mark.usefixtures("native")
@settings(max_examples=50)
@given(sizes, sizes, transforms, seeds)
def test_native_equals_reference_with_a_broken_mask(rows: int, columns: int, matrix: Matrix, seed: int) -> None:
    frame, patch = picture(90, 110, seed), picture(rows, columns, seed + 1)
    mask = spoiled(floats(rows, columns, seed=seed), seed)
    difference = kernels.blend(frame, patch, mask, matrix).astype(int) - expected(frame, patch, mask, matrix)
    undecided = near_edge(frame.shape, matrix, columns, rows) | near_tie(frame.shape, matrix)
    assert np.abs(difference)[~undecided].max(initial=0) <= 1


@pytest.mark.usefixtures("native")
def test_native_equals_reference_where_threads_share_the_rows() -> None:
    frame, patch, mask = picture(700, 900), picture(512, 512, 1), floats(512, 512)
    matrix = similarity(0.2, 1.1, 250.0, 40.0)
    difference = kernels.blend(frame, patch, mask, matrix).astype(int) - expected(frame, patch, mask, matrix)
    assert np.abs(difference)[~near_edge(frame.shape, matrix, 512, 512)].max() <= 1


def test_same_picture_as_the_opencv_chain() -> None:
    frame, mask = picture(180, 240), cv2.GaussianBlur(floats(90, 90), (0, 0), 5)
    patch = cv2.GaussianBlur(picture(90, 90, 1), (0, 0), 2)
    mask[[0, -1]] = mask[:, [0, -1]] = 0.0
    matrix = similarity(0.3, 1.2, 80.0, 20.0)
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV puts pixel centres at integers
    warped = cv2.warpAffine(patch, shifted, (240, 180)).astype(float)
    weight = cv2.warpAffine(mask, shifted, (240, 180))[..., None]
    chain = frame * (1.0 - weight) + warped * weight
    assert np.abs(kernels.blend(frame, patch, mask, matrix) - chain).max() <= 1.0


def test_full_mask_pastes_the_patch_exactly() -> None:
    frame, patch = picture(40, 50), picture(10, 12, 1)
    result = kernels.blend(frame, patch, np.full((10, 12), 255, np.uint8), similarity(x=7, y=5))
    assert np.array_equal(result[5:15, 7:19], patch)


def test_pixels_outside_the_patch_keep_their_bytes() -> None:
    frame = picture(60, 80)
    matrix = similarity(0.7, 1.0, 40.0, 10.0)
    result = kernels.blend(frame, 255 - picture(20, 20), np.ones((20, 20), np.float32), matrix)
    corners = np.array([[0, 0], [20, 0], [20, 20], [0, 20]]) @ matrix[:, :2].T + matrix[:, 2]
    rows, columns = np.indices((60, 80)) + 0.5
    outside = (columns < corners[:, 0].min()) | (columns > corners[:, 0].max())
    outside |= (rows < corners[:, 1].min()) | (rows > corners[:, 1].max())
    assert np.array_equal(result[outside], frame[outside])
    assert (result != frame).any()


@pytest.mark.parametrize("weight", [0.0, np.nan, np.inf, -np.inf, -1.0])
def test_no_weight_changes_nothing(weight: float) -> None:
    frame = picture(50, 50)
    result = kernels.blend(frame, picture(30, 30, 1), np.full((30, 30), weight, np.float32), similarity(x=5, y=5))
    assert np.array_equal(result, frame)


@pytest.mark.parametrize("x, y", [(1000, 0), (-1000, 0), (0, 1000), (0, -30), (1e9, -1e9)])
def test_patch_out_of_the_frame_changes_nothing(x: float, y: float) -> None:
    frame = picture(40, 40)
    result = kernels.blend(frame, picture(30, 30, 1), np.ones((30, 30), np.float32), similarity(0.1, x=x, y=y))
    assert np.array_equal(result, frame) or (x, y) == (0, -30)


def test_one_pixel_patch_fills_what_it_covers() -> None:
    patch = np.full((1, 1, 3), 200, np.uint8)
    result = kernels.blend(np.zeros((9, 9, 3), np.uint8), patch, np.ones((1, 1), np.float32), similarity(0, 4, 2, 3))
    assert (result[3:7, 2:6] == 200).all()
    assert result.sum() == 16 * 3 * 200


def test_feather_fades_towards_the_edge() -> None:
    frame, patch = np.zeros((20, 20, 3), np.uint8), np.full((20, 20, 3), 200, np.uint8)
    result = kernels.blend(frame, patch, np.ones((20, 20), np.float32), similarity(), feather=4.0)
    assert result[10, :5, 0].tolist() == [25, 75, 125, 175, 200]


def test_in_place_and_into_another_array() -> None:
    frame, patch, mask = picture(40, 40), picture(20, 20, 1), floats(20, 20)
    matrix = similarity(0.2, 1.0, 10.0, 8.0)
    fresh = kernels.blend(frame, patch, mask, matrix)
    assert fresh is not frame
    other = np.zeros_like(frame)
    assert kernels.blend(frame, patch, mask, matrix, out=other) is other
    in_place = frame.copy()
    assert kernels.blend(in_place, patch, mask, matrix, out=in_place) is in_place
    assert np.array_equal(fresh, other)
    assert np.array_equal(fresh, in_place)


@pytest.mark.parametrize("layout", ["strided", "mirrored", "fortran"])
def test_any_memory_layout(layout: str) -> None:
    frame, patch, mask = picture(40, 40), picture(20, 20, 1), floats(20, 20)
    matrix = similarity(0.2, 1.0, 10.0, 8.0)
    fresh = kernels.blend(frame, patch, mask, matrix)
    frame_, patch_, mask_ = (views(array)[layout] for array in (frame, patch, mask))
    assert np.array_equal(kernels.blend(frame_, patch_, mask_, matrix), fresh)
    assert np.array_equal(kernels.blend(frame_, patch_, mask_, matrix, out=frame_), fresh)
    assert np.array_equal(frame_, fresh)


def test_read_only_inputs_are_fine() -> None:
    frame = picture(40, 40)
    frame.flags.writeable = False
    kernels.blend(frame, picture(20, 20, 1), floats(20, 20), similarity())
    with pytest.raises(ImageError, match="read-only"):
        kernels.blend(frame, picture(20, 20, 1), floats(20, 20), similarity(), out=frame)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"frame": np.zeros((40, 40, 3), np.float32)}, r"frame has to be uint8 \(any, any, 3\), but it is float32"),
        ({"frame": np.zeros((40, 40), np.uint8)}, r"but it is uint8 \(40, 40\)"),
        ({"frame": np.zeros((0, 40, 3), np.uint8)}, r"but it is uint8 \(0, 40, 3\)"),
        ({"frame": [[1, 2, 3]]}, "NumPy array.*but it is a list"),
        ({"patch": np.zeros((20, 20, 4), np.uint8)}, r"but it is uint8 \(20, 20, 4\)"),
        ({"mask": np.zeros((20, 20))}, r"mask has to be uint8 or float32 \(20, 20\), but it is float64"),
        ({"mask": np.zeros((20, 19), np.uint8)}, r"but it is uint8 \(20, 19\)"),
        ({"similarity": np.eye(3)}, r"2x3 matrix, but its shape is \(3, 3\)"),
        ({"similarity": "left"}, "2x3 matrix of numbers"),
        ({"similarity": np.zeros((2, 3))}, "finite and invertible"),
        ({"similarity": np.full((2, 3), np.nan)}, "finite and invertible"),
        ({"feather": -1.0}, "0 or more"),
        ({"feather": np.nan}, "0 or more"),
        ({"out": np.zeros((40, 41, 3), np.uint8)}, r"out has to be uint8 \(40, 40, 3\)"),
    ],
)
def test_wrong_arguments_are_named(wrong: dict[str, object], message: str) -> None:
    given = {"frame": picture(40, 40), "patch": picture(20, 20), "mask": floats(20, 20), "similarity": similarity()}
    with pytest.raises(ImageError, match=message):
        kernels.blend(**(given | wrong))  # type: ignore[arg-type]


def test_output_may_not_overlap_an_input() -> None:
    both = np.zeros((60, 40, 3), np.uint8)
    with pytest.raises(ImageError, match="shares memory"):
        kernels.blend(both[:40], picture(20, 20), floats(20, 20), similarity(), out=both[20:])
