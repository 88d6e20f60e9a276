"""warp_blend: what it does, and that C++ and NumPy do the same."""

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

Maps = dict[str, NDArray[np.float32]]


def maps(n: int, flow: float = 0.0, visible: float = 1.0, paint: float = 0.0, mask: float = 1.0) -> Maps:
    """Constant maps for an n x n crop, with a flow of half that size."""
    half = max(n // 2, 1)
    constant = {"flow": ((2, half, half), flow), "visible": ((n, n), visible)}
    constant |= {"paint": ((3, n, n), paint), "mask": ((n, n), mask)}
    return {name: np.full(shape, value, np.float32) for name, (shape, value) in constant.items()}


def random_maps(n: int, flow_size: int, seed: int) -> Maps:
    """Smooth in nothing; `visible` and `mask` are often exactly 0 or 1; every other seed has a shade."""
    steps = np.array([0.0, 0.3, 1.0], np.float32)
    generator = np.random.default_rng(seed)
    shade = {"shade": floats(3, flow_size + 2, flow_size, seed=seed + 5, low=0.4, high=1.6)} if seed % 2 else {}
    return {
        "flow": floats(2, flow_size, flow_size, seed=seed, low=-1.0),
        "visible": generator.choice(steps, (n, n)),
        "paint": floats(3, n, n, seed=seed + 3),
        "mask": generator.choice(steps, (n, n)),
    } | shade


def expected(source: NDArray[np.uint8], given: Maps, matrix: Matrix) -> NDArray[np.uint8]:
    out = np.empty_like(source)
    to_source, to_crop = checks.matrix("matrix", matrix)
    reference.warp_blend(out, source, **given, to_crop=to_crop, to_source=to_source)
    return out


@pytest.mark.usefixtures("native")
@settings(max_examples=120)
@given(sizes, sizes, st.integers(1, 40), st.integers(1, 20), transforms, seeds)
def test_native_equals_reference(height: int, width: int, n: int, flow_size: int, matrix: Matrix, seed: int) -> None:
    source = picture(height, width, seed) // 8 + 100  # a gentle picture: single precision moves the warp a little
    given = random_maps(n, flow_size, seed)
    result = kernels.warp_blend(source, **given, similarity=matrix)
    difference = np.abs(result.astype(int) - expected(source, given, matrix)).max(2)
    assert difference[~near_edge(source.shape, matrix, n, n)].max(initial=0) <= 1


@pytest.mark.usefixtures("native")
@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 20), transforms, seeds)
def test_native_equals_reference_with_broken_maps(n: int, flow_size: int, matrix: Matrix, seed: int) -> None:
    source = picture(90, 110, seed) // 8 + 100
    given = {name: spoiled(values, seed) for name, values in random_maps(n, flow_size, seed).items()}
    difference = kernels.warp_blend(source, **given, similarity=matrix).astype(int) - expected(source, given, matrix)
    undecided = near_edge(source.shape, matrix, n, n) | near_tie(source.shape, matrix)
    undecided |= near_tie(source.shape, matrix, flow_size / n)
    undecided |= near_tie(source.shape, matrix, (flow_size + 2) / n)
    assert np.abs(difference)[~undecided].max(initial=0) <= 1


@pytest.mark.usefixtures("native")
@settings(max_examples=80)
@given(sizes, sizes, st.integers(1, 40), st.integers(1, 20), transforms, seeds, st.booleans())
def test_the_arithmetic_of_the_cuda_kernel_equals_reference(
    height: int, width: int, n: int, flow_size: int, matrix: Matrix, seed: int, broken: bool
) -> None:
    import mien._emulator

    source = picture(height, width, seed) // 8 + 100
    given = random_maps(n, flow_size, seed)
    if broken:
        given = {name: spoiled(values, seed) for name, values in given.items()}
    to_source, to_crop = checks.matrix("matrix", matrix)
    result = np.empty_like(source)
    mien._emulator.warp_blend(result, source, **given, to_crop=to_crop, to_source=to_source)
    difference = np.abs(result.astype(int) - expected(source, given, matrix)).max(2)
    undecided = near_edge(source.shape, matrix, n, n)
    if broken:
        undecided |= near_tie(source.shape, matrix) | near_tie(source.shape, matrix, flow_size / n)
        undecided |= near_tie(source.shape, matrix, (flow_size + 2) / n)
    assert difference[~undecided].max(initial=0) <= 1


@pytest.mark.usefixtures("native")
def test_native_equals_reference_where_threads_share_the_rows() -> None:
    source, given = picture(512, 512) // 4, random_maps(256, 128, 3)
    given["flow"] *= 0.1
    matrix = similarity(0.05, 1.8, 30.0, 20.0)
    difference = kernels.warp_blend(source, **given, similarity=matrix).astype(int) - expected(source, given, matrix)
    assert np.abs(difference)[~near_edge(source.shape, matrix, 256, 256)].max() <= 1


def test_no_flow_and_all_visible_is_the_source() -> None:
    source = picture(90, 70)
    assert np.array_equal(kernels.warp_blend(source, **maps(32), similarity=similarity(0.2, 1.5, 9, 12)), source)


def test_no_mask_is_the_source_whatever_the_rest() -> None:
    source, given = picture(90, 70), random_maps(32, 16, 0)
    given["mask"][:] = 0.0
    assert np.array_equal(kernels.warp_blend(source, **given, similarity=similarity(0.2, 1.5, 9, 12)), source)


def test_flow_is_where_to_look_in_half_crops() -> None:
    source, given = picture(64, 64), maps(32)
    given["flow"][0] = 4 / 16  # of half a crop: 4 crop pixels, 8 source pixels to the right
    result = kernels.warp_blend(source, **given, similarity=similarity(0.0, 2.0))
    assert np.array_equal(result[:, :56], source[:, 8:])
    assert (result[:, 56:] == source[:, -1:]).all(), "beyond the border are the border's pixels"


def test_flow_turns_with_the_crop() -> None:
    source, given = picture(64, 64), maps(32)
    given["flow"][0] = 4 / 16
    result = kernels.warp_blend(source, **given, similarity=similarity(np.pi / 2, 1.0, 48, 16))
    assert np.array_equal(result[16:44, 16:48], source[20:48, 16:48]), "the crop's x is the source's y"


def test_paint_fills_what_is_not_visible() -> None:
    source, given = picture(40, 40), maps(20, visible=0.0, paint=0.6)
    given["visible"][:, 10:] = 1.0
    result = kernels.warp_blend(source, **given, similarity=similarity(x=5, y=5))
    assert (result[5:25, 5:14] == 153).all()
    assert np.array_equal(result[5:25, 16:], source[5:25, 16:])


@pytest.mark.parametrize("beyond, clamped", [(-0.4, 0.0), (1.4, 1.0)])
@pytest.mark.parametrize("name", ["visible", "mask"])
def test_values_beyond_0_and_1_count_as_0_and_1(name: str, beyond: float, clamped: float) -> None:
    source, matrix = picture(40, 40), similarity(x=5, y=5)
    given = maps(20, flow=0.3, visible=0.5, paint=0.6, mask=0.5)
    over = given | {name: np.full((20, 20), beyond, np.float32)}
    exact = given | {name: np.full((20, 20), clamped, np.float32)}
    result = kernels.warp_blend(source, **over, similarity=matrix)
    assert np.array_equal(result, kernels.warp_blend(source, **exact, similarity=matrix))


def test_outside_the_crop_keeps_its_bytes() -> None:
    source, given = picture(40, 40), maps(20, visible=0.0, paint=1.0)
    result = kernels.warp_blend(source, **given, similarity=similarity(x=5, y=5))
    inside = np.zeros((40, 40), bool)
    inside[5:25, 5:25] = True
    assert np.array_equal(result[~inside], source[~inside])
    assert (result[inside] == 255).all()


@pytest.mark.parametrize(
    "name, visible", [("flow", 1.0), ("visible", 1.0), ("paint", 0.0), ("mask", 0.5)], ids=lambda v: str(v)
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_broken_map_keeps_the_source(name: str, visible: float, bad: float) -> None:
    source, given = picture(40, 40), maps(20, visible=visible, paint=1.0)
    given[name][:] = bad
    result = kernels.warp_blend(source, **given, similarity=similarity(x=5, y=5))
    assert np.array_equal(result, source)


@pytest.mark.parametrize("name, visible", [("flow", 0.0), ("paint", 1.0)])
def test_a_broken_map_that_is_not_used_does_no_harm(name: str, visible: float) -> None:
    source, good = picture(40, 40), maps(20, visible=visible, paint=0.25)
    broken = good | {name: np.full_like(good[name], np.nan)}
    matrix = similarity(x=5, y=5)
    result = kernels.warp_blend(source, **broken, similarity=matrix)
    assert np.array_equal(result, kernels.warp_blend(source, **good, similarity=matrix))


def test_one_pixel_everything() -> None:
    source = np.full((1, 1, 3), 100, np.uint8)
    result = kernels.warp_blend(source, **maps(1, flow=5.0, visible=0.5, paint=1.0), similarity=similarity())
    assert result.tolist() == [[[178, 178, 178]]]


@pytest.mark.parametrize("layout", ["strided", "mirrored", "fortran"])
def test_any_memory_layout(layout: str) -> None:
    source, given, matrix = picture(50, 50), random_maps(20, 10, 1), similarity(0.3, 1.5, 15, 3)
    fresh = kernels.warp_blend(source, **given, similarity=matrix)
    out = views(np.zeros_like(source))[layout]
    other = {name: views(values)[layout] for name, values in given.items()}
    assert kernels.warp_blend(views(source)[layout], **other, similarity=matrix, out=out) is out
    assert np.array_equal(out, fresh)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"source": np.zeros((40, 40, 3))}, "source has to be uint8"),
        ({"flow": np.zeros((1, 2, 10, 10), np.float32)}, r"flow has to be float32 \(2, any, any\)"),
        ({"flow": np.zeros((2, 10, 10), np.float16)}, "but it is float16"),
        ({"visible": np.zeros((10, 10), np.float32)}, r"visible has to be float32 \(20, 20\)"),
        ({"paint": np.zeros((20, 20, 3), np.float32)}, r"paint has to be float32 \(3, 20, 20\)"),
        ({"mask": np.zeros((20, 20), np.uint8)}, "mask has to be float32"),
        ({"shade": np.zeros((4, 4, 3), np.float32)}, r"shade has to be float32 \(3, any, any\)"),
        ({"similarity": np.zeros((2, 3))}, "finite and invertible"),
        ({"out": np.zeros((4, 4, 3), np.uint8)}, "out has to be"),
    ],
)
def test_wrong_arguments_are_named(wrong: dict[str, object], message: str) -> None:
    given = {"source": picture(40, 40), "similarity": similarity()} | maps(20)
    with pytest.raises(ImageError, match=message):
        kernels.warp_blend(**(given | wrong))  # type: ignore[arg-type]


def test_a_shade_changes_the_light_of_what_is_warped_alone() -> None:
    source = np.full((64, 64, 3), 100, np.uint8)
    given = maps(64, paint=0.4)
    given["visible"][:, 32:] = 0
    given["shade"] = np.ones((3, 2, 2), np.float32)
    given["shade"][0], given["shade"][2] = 1.5, 0.5
    result = kernels.warp_blend(source, **given, similarity=similarity())
    assert (result[:, :32] == (150, 100, 50)).all()
    assert (result[:, 32:] == 102).all()


def test_a_shade_lies_over_the_crop_and_is_interpolated() -> None:
    source, given = np.full((8, 64, 3), 100, np.uint8), maps(64)
    given["shade"] = np.tile(np.array([1.0, 2.0], np.float32), (3, 1, 1))
    row = kernels.warp_blend(source, **given, similarity=similarity())[4, :, 1].astype(int)
    assert row[0] == 100 and row[-1] == 200 and row[32] == pytest.approx(152, abs=1)
    assert (np.diff(row) >= 0).all()


def test_a_shade_that_is_not_finite_keeps_the_source() -> None:
    source, given = picture(32, 32), maps(32, flow=0.3)
    broken = np.full((3, 4, 4), np.nan, np.float32)
    assert np.array_equal(kernels.warp_blend(source, **given, shade=broken, similarity=similarity()), source)


def test_output_may_not_be_the_source() -> None:
    source = picture(40, 40)
    with pytest.raises(ImageError, match="shares memory"):
        kernels.warp_blend(source, **maps(20), similarity=similarity(), out=source)
