"""crop: what it does, and that C++, the CUDA kernel's arithmetic and NumPy do the same."""

from types import ModuleType

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien import image, kernels
from mien.errors import ImageError
from mien.geometry import Similarity
from mien.kernels import layouts, reference
from tests.kernels.cases import Matrix, frame, picture, seeds, similarity, sizes, transforms, views

YUV = layouts.numbers("test", "bt709")
NEAR = 0.75 / 255
"""A place in single precision is off by some 1e-4 pixels, in a picture of noise that is this much."""


def cut(where: object, given: NDArray[np.uint8], layout: str, matrices: Matrix, size: int) -> NDArray[np.float32]:
    out = np.full((len(matrices), 3, size, size), np.nan, np.float32)
    where.crop(out, given, layouts.LAYOUTS.index(layout), YUV, np.ascontiguousarray(matrices))  # type: ignore[attr-defined]
    return out


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes, sizes, st.integers(1, 90), transforms, seeds, st.sampled_from(layouts.LAYOUTS))
def test_compiled_equals_reference(
    compiled: ModuleType, height: int, width: int, size: int, matrix: Matrix, seed: int, layout: str
) -> None:
    shown = frame(layout, height, width, seed)
    matrices = np.stack([matrix, similarity(0.1, 1.0, 3.0, 2.0)])
    difference = cut(compiled, shown, layout, matrices, size) - cut(reference, shown, layout, matrices, size)
    assert np.abs(difference).max() <= NEAR


@pytest.mark.parametrize("shrink", [1, 2, 3, 4, 5, 9.7, 40])
def test_every_shrink(compiled: ModuleType, shrink: float) -> None:
    shown = picture(331, 420)
    matrices = similarity(0.2, shrink, 11.0, -7.0)[None]
    difference = cut(compiled, shown, "rgb", matrices, 65) - cut(reference, shown, "rgb", matrices, 65)
    assert np.abs(difference).max() <= NEAR


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("layout", ["rgb", "nv12"])
def test_threads_share_the_rows(layout: str) -> None:
    import mien._cpu

    shown, matrices = frame(layout, 1400, 1600), similarity(0.2, 2.2, 300.0, 20.0)[None]
    difference = cut(mien._cpu, shown, layout, matrices, 512) - cut(reference, shown, layout, matrices, 512)
    assert np.abs(difference).max() <= NEAR


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.9, 2.0, 3.3, 6.0])
@pytest.mark.parametrize("x, y", [(300, 250), (20, 240), (590, 470)])
def test_same_as_the_chain_of_cropping_and_converting(scale: float, x: float, y: float) -> None:
    shown = cv2.GaussianBlur(picture(480, 640), (0, 0), 1.5).astype(np.uint8)
    place = Similarity.from_crop((x, y), 96 * scale, 96, 0.3)
    chain = image.to_tensor(image.crop(shown, place, 96))
    difference = np.abs(kernels.crop(shown, place.matrix, 96) - chain) * 255
    # Half a step of its rounding, one of a mean that ends in a half, and its places are 1/32 pixel apart.
    assert difference.max() <= 1.6
    assert difference.mean() <= 0.3


@pytest.mark.parametrize("layout", ["bgr", "rgba", "bgra"])
def test_colours_come_out_in_one_order(layout: str) -> None:
    shown, matrix = picture(60, 70), similarity(0.3, 1.4, 20, 5)
    other = shown[..., ::-1] if layout.startswith("b") else shown
    if len(layout) == 4:
        other = np.dstack([other, np.full((60, 70), 77, np.uint8)])
    given = kernels.crop(np.ascontiguousarray(other), matrix, 32, layout=layout)  # type: ignore[arg-type]
    assert np.allclose(given, kernels.crop(shown, matrix, 32), atol=1e-5)


def test_nv12_is_read_as_opencv_reads_it() -> None:
    shown = cv2.GaussianBlur(frame("nv12", 80, 100), (0, 0), 3).astype(np.uint8)
    rgb = cv2.cvtColor(shown, cv2.COLOR_YUV2RGB_NV12)
    matrix = similarity(0.3, 1.0, 30, 10)
    given = kernels.crop(shown, matrix, 40, layout="nv12", yuv="bt601")
    assert np.abs(given - kernels.crop(np.asarray(rgb, np.uint8), matrix, 40)).max() <= 1.5 / 255


@pytest.mark.parametrize("yuv", ["bt601", "bt601-full", "bt709", "bt709-full"])
def test_grey_white_and_black_of_nv12(yuv: str) -> None:
    black, white = (0, 255) if yuv.endswith("full") else (16, 235)
    for luma, wanted in ((black, 0.0), (white, 1.0)):
        shown = np.full((6, 4), 128, np.uint8)
        shown[:4] = luma
        given = kernels.crop(shown, similarity(), 4, layout="nv12", yuv=yuv)  # type: ignore[arg-type]
        assert (given == np.float32(wanted)).all()


def test_a_crop_in_place_is_the_picture() -> None:
    shown = picture(20, 20)
    assert np.array_equal(kernels.crop(shown, similarity(), 20), image.to_tensor(shown))


def test_outside_the_edge_is_repeated() -> None:
    shown = picture(1, 1)
    given = kernels.crop(shown, similarity(0.5, 7.0, -1000, 30), 9)
    assert np.allclose(given, shown.reshape(3, 1, 1) / 255, atol=1e-6)


def test_what_shrinks_does_not_alias() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    given = kernels.crop(stripes, similarity(scale=4.0), 100)
    assert np.abs(given - 0.5).max() < 0.01


@pytest.mark.parametrize("layout", ["strided", "mirrored", "fortran"])
def test_any_memory_layout(layout: str) -> None:
    shown, matrix = picture(50, 60), similarity(0.3, 2.5, 9, 3)
    assert np.array_equal(kernels.crop(views(shown)[layout], matrix, 16), kernels.crop(shown, matrix, 16))


def test_several_crops_and_none_and_an_array_of_ones_own() -> None:
    shown, matrices = picture(50, 60), np.stack([similarity(0.3, 2.5, 9, 3), similarity(x=4)])
    both = kernels.crop(shown, matrices, 16)
    assert np.array_equal(both[1:], kernels.crop(shown, matrices[1], 16))
    out = np.empty((2, 3, 16, 16), np.float32)
    assert kernels.crop(shown, matrices, 16, out=out) is out
    assert np.array_equal(out, both)
    assert kernels.crop(shown, np.empty((0, 2, 3)), 16).shape == (0, 3, 16, 16)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"frame": np.zeros((4, 4, 4), np.uint8)}, r"uint8 \(any, any, 3\), but it is uint8 \(4, 4, 4\)"),
        ({"frame": np.zeros((7, 4), np.uint8), "layout": "nv12"}, r"H and W even, but it is \(7, 4\)"),
        ({"frame": np.zeros((6, 3), np.uint8), "layout": "nv12"}, "H and W even"),
        ({"layout": "yuyv"}, "layout has to be one of rgb, bgr, rgba, bgra, nv12, but it is 'yuyv'"),
        ({"yuv": "bt2020"}, "yuv has to be one of bt601"),
        ({"similarities": np.zeros((2, 3, 3))}, r"shape is \(2, 3, 3\)"),
        ({"similarities": np.stack([similarity(), np.zeros((2, 3))])}, "similarities 1 has to be finite"),
        ({"size": 0}, "1 or more, but it is 0"),
        ({"out": np.zeros((1, 3, 9, 8), np.float32)}, r"out has to be float32 \(1, 3, 8, 8\)"),
        ({"out": np.zeros((1, 3, 8, 16), np.float32)[..., ::2]}, "C-contiguous"),
    ],
)
def test_wrong_arguments_are_named(wrong: dict[str, object], message: str) -> None:
    given = {"frame": picture(40, 40), "similarities": similarity(), "size": 8}
    with pytest.raises(ImageError, match=message):
        kernels.crop(**(given | wrong))  # type: ignore[arg-type]
