"""blend_faces: what it does, and that C++, the CUDA kernel's arithmetic and NumPy do the same."""

from types import ModuleType

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien import kernels
from mien.errors import ImageError
from mien.kernels import checks, layouts, reference
from tests.kernels.cases import (
    Matrix,
    feathers,
    floats,
    frame,
    near_edge,
    near_tie,
    picture,
    pixels,
    seeds,
    similarity,
    sizes,
    spoiled,
    transforms,
    views,
)

YUV = layouts.numbers("test", "bt601")
Patches = NDArray[np.uint8] | NDArray[np.float32]


def laid(
    where: object, shown: NDArray[np.uint8], layout: str, patches: Patches, masks: Patches, places: Matrix,
    feather: float,
) -> NDArray[np.uint8]:  # fmt: skip
    out = np.empty_like(shown)
    to_patch = checks.matrices("places", places)[1]
    code = layouts.LAYOUTS.index(layout)
    where.blend_faces(out, shown, code, YUV, patches, masks, to_patch, feather)  # type: ignore[attr-defined]
    return out


def apart(a: NDArray[np.uint8], b: NDArray[np.uint8], layout: str, unclear: NDArray[np.bool_]) -> int:
    """The largest difference at pixels that are not unclear; of NV12, at pairs of which no pixel is."""
    difference = np.abs(a.astype(int) - b)
    if layout != "nv12":
        return int(difference[~unclear].max(initial=0))
    height, width = unclear.shape
    pairs = unclear.reshape(height // 2, 2, width // 2, 2).any((1, 3))
    chroma = difference[height:].reshape(height // 2, width // 2, 2)
    return int(max(difference[:height][~unclear].max(initial=0), chroma[~pairs].max(initial=0)))


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes, sizes, st.integers(1, 60), st.integers(1, 60), transforms, transforms, feathers, seeds,
    st.sampled_from(layouts.LAYOUTS), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
def test_compiled_equals_reference(
    compiled: ModuleType, height: int, width: int, rows: int, columns: int, one: Matrix, other: Matrix, feather: float,
    seed: int, layout: str, byte_mask: bool, byte_patch: bool, own_masks: bool,
) -> None:  # fmt: skip
    shown = frame(layout, height, width, seed)
    patches: Patches = np.stack([picture(rows, columns, seed + i) for i in (1, 2)])
    if not byte_patch:
        patches = np.ascontiguousarray(patches.transpose(0, 3, 1, 2) / np.float32(255), np.float32)
    values = floats(2 if own_masks else 1, rows, columns, seed=seed)
    masks: Patches = (255 * values).astype(np.uint8) if byte_mask else values
    places, size = np.stack([one, other]), pixels(layout, shown)
    results = [laid(where, shown, layout, patches, masks, places, feather) for where in (compiled, reference)]
    unclear = near_edge(size, one, columns, rows) | near_edge(size, other, columns, rows)
    # Bytes are rounded after each patch: what is one off under the second may be two off where they overlap.
    assert apart(*results, layout, unclear) <= 2


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 60), st.integers(1, 60), transforms, seeds, st.sampled_from(layouts.LAYOUTS))
def test_compiled_equals_reference_with_broken_values(
    compiled: ModuleType, rows: int, columns: int, matrix: Matrix, seed: int, layout: str
) -> None:
    shown = frame(layout, 90, 110, seed)
    patches = spoiled(floats(1, 3, rows, columns, seed=seed), seed)
    masks = spoiled(floats(1, rows, columns, seed=seed), seed + 1)
    results = [laid(where, shown, layout, patches, masks, matrix[None], 0.0) for where in (compiled, reference)]
    size = pixels(layout, shown)
    assert apart(*results, layout, near_edge(size, matrix, columns, rows) | near_tie(size, matrix)) <= 1


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_threads_share_the_rows(layout: str) -> None:
    import mien._cpu

    shown, patches, masks = frame(layout, 700, 900), picture(512, 512, 1)[None], floats(1, 512, 512)
    places = similarity(0.2, 1.1, 250.0, 41.0)[None]
    results = [laid(where, shown, layout, patches, masks, places, 3.0) for where in (mien._cpu, reference)]
    assert apart(*results, layout, near_edge(pixels(layout, shown), places[0], 512, 512)) <= 1


def test_one_after_the_other() -> None:
    shown, patches, masks = picture(80, 90), np.stack([picture(40, 40, i) for i in range(3)]), floats(3, 40, 40)
    places = np.stack([similarity(0.2 * i, 1.0, 20 + 9 * i, 10 + 5 * i) for i in range(3)])
    single = shown
    for patch, mask, place in zip(patches, masks, places, strict=True):
        single = kernels.blend(single, patch, mask, place, feather=4.0)
    assert np.array_equal(kernels.blend_faces(shown, patches, masks, places, feather=4.0), single)


def test_a_network_s_planes_are_what_their_bytes_are() -> None:
    shown, patches, places = picture(50, 60), picture(20, 30, 1)[None], similarity(0.4, 1.2, 20, 7)[None]
    planes = patches.transpose(0, 3, 1, 2) / np.float32(255)
    mask = floats(20, 30)
    given = kernels.blend_faces(shown, np.ascontiguousarray(planes, np.float32), mask, places)
    assert np.abs(given.astype(int) - kernels.blend_faces(shown, patches, mask, places)).max() <= 1


@pytest.mark.parametrize("layout", ["bgr", "rgba", "bgra"])
def test_layouts_show_the_same(layout: str) -> None:
    shown, patches, mask = picture(50, 60), picture(20, 30, 1)[None], floats(20, 30)
    places = similarity(0.4, 1.2, 20, 7)[None]
    wanted = kernels.blend_faces(shown, patches, mask, places)
    order = [2, 1, 0] if layout.startswith("b") else [0, 1, 2]
    other = shown[..., order]
    if len(layout) == 4:
        other = np.dstack([other, picture(50, 60, 3)[..., 0]])
    given = kernels.blend_faces(np.ascontiguousarray(other), patches, mask, places, layout=layout)  # type: ignore[arg-type]
    assert np.array_equal(given[..., order], wanted)
    assert np.array_equal(given[..., 3:], other[..., 3:])


def test_nv12_shows_what_rgb_shows() -> None:
    smooth = cv2.GaussianBlur(frame("nv12", 80, 100), (0, 0), 3).astype(np.uint8)
    rgb = np.asarray(cv2.cvtColor(smooth, cv2.COLOR_YUV2RGB_NV12), np.uint8)
    patch = np.clip(cv2.GaussianBlur(picture(60, 60, 1), (0, 0), 5), 60, 190).astype(np.uint8)
    mask = cv2.GaussianBlur(floats(60, 60), (0, 0), 5)
    places = similarity(0.3, 1.0, 30, 10)[None]
    given = kernels.blend_faces(smooth, patch[None], mask, places, layout="nv12", yuv="bt601")
    shown = cv2.cvtColor(given, cv2.COLOR_YUV2RGB_NV12).astype(int)
    difference = np.abs(shown - kernels.blend_faces(rgb, patch[None], mask, places))
    assert np.percentile(difference, 99) <= 4
    assert difference.mean() < 1


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
@pytest.mark.parametrize("weight", [0.0, np.nan, -1.0])
def test_no_weight_changes_no_byte(layout: str, weight: float) -> None:
    shown, patches = frame(layout, 50, 50), picture(30, 30, 1)[None]
    mask = np.full((30, 30), weight, np.float32)
    given = kernels.blend_faces(shown, patches, mask, similarity(0.1, x=5, y=5)[None], layout=layout)  # type: ignore[arg-type]
    assert np.array_equal(given, shown)


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_in_place_strided_and_without_faces(layout: str) -> None:
    shown, patches, mask = frame(layout, 50, 50), picture(30, 30, 1)[None], floats(30, 30)
    places = similarity(0.1, x=5, y=5)[None]
    fresh = kernels.blend_faces(shown, patches, mask, places, layout=layout)  # type: ignore[arg-type]
    strided = views(shown)["strided"]
    assert kernels.blend_faces(strided, patches, mask, places, layout=layout, out=strided) is strided  # type: ignore[arg-type]
    assert np.array_equal(strided, fresh)
    none = kernels.blend_faces(shown, patches[:0], mask, places[:0], layout=layout)  # type: ignore[arg-type]
    assert none is not shown
    assert np.array_equal(none, shown)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"frame": np.zeros((40, 40), np.uint8)}, r"frame has to be uint8 \(any, any, 3\)"),
        ({"layout": "nv12"}, r"frame has to be uint8 \(any, any\)"),
        ({"layout": "grey"}, "layout has to be one of"),
        ({"yuv": "grey"}, "yuv has to be one of"),
        ({"patches": picture(20, 20)}, r"patches has to be uint8 or float32 \(2, any, any, 3\)"),
        ({"patches": floats(2, 20, 20, 3)}, r"\(2, 3, any, any\), but it is float32 \(2, 20, 20, 3\)"),
        ({"patches": [1]}, "NumPy array"),
        ({"masks": floats(3, 20, 20)}, r"masks has to be uint8 or float32 \(2, 20, 20\)"),
        ({"masks": floats(20, 21)}, r"\(20, 20\), but it is float32 \(20, 21\)"),
        ({"similarities": similarity()[None]}, r"\(1, any, any, 3\)"),
        ({"similarities": np.zeros((2, 2, 3))}, "similarities 0 has to be finite and invertible"),
        ({"feather": np.inf}, "0 or more"),
        ({"out": np.zeros((40, 41, 3), np.uint8)}, r"out has to be uint8 \(40, 40, 3\)"),
    ],
)
def test_wrong_arguments_are_named(wrong: dict[str, object], message: str) -> None:
    given = {"frame": picture(40, 40), "patches": np.stack([picture(20, 20)] * 2), "masks": floats(20, 20)}
    given["similarities"] = np.stack([similarity()] * 2)  # type: ignore[assignment]
    with pytest.raises(ImageError, match=message):
        kernels.blend_faces(**(given | wrong))  # type: ignore[arg-type]
