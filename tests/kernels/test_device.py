"""The kernels' border to the GPU: what is checked before an address is used, and what is then asked of mien._cuda."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mien.errors import DeviceError, ImageError
from mien.kernels import device
from tests.kernels.cases import similarity


@dataclass
class Array:
    """An array that is said to be on the GPU."""

    address: int
    shape: tuple[int, ...]
    type: str = "|u1"
    strides: tuple[int, ...] | None = None
    read_only: bool = False

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        data = (self.address, self.read_only)
        return {"shape": self.shape, "typestr": self.type, "data": data, "strides": self.strides, "version": 3}


PLACE = similarity()[None]
FRAME = Array(1 << 20, (40, 60, 3))
PATCHES = Array(2 << 20, (1, 20, 20, 3))
PLANES = [Array(2 << 20, (1, 3, 20, 20), "<f4"), Array(2 << 20, (1, 3, 20, 20), "<f2")]
MASK = Array(3 << 20, (20, 20), "<f4")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    """What mien._cuda would have been asked, by name."""
    made: dict[str, tuple[Any, ...]] = {}

    def noting(name: str) -> Any:
        return lambda *arguments: made.__setitem__(name, arguments)

    names = ("crop", "fit", "blend_faces", "warp_blend", "sample_volume", "place_keypoints")
    monkeypatch.setattr(device, "_cuda", lambda: SimpleNamespace(**{name: noting(name) for name in names}))
    return made


def test_crop_is_asked_for(calls: dict[str, tuple[Any, ...]]) -> None:
    device.crop(Array(4 << 20, (1, 3, 8, 9), "<f2"), Array(1 << 20, (60, 40)), PLACE, stream=7, layout="nv12")
    *plain, numbers, matrices, black, stream = calls["crop"]
    assert plain == [4 << 20, "<f2", (8, 9), 1 << 20, 4, (40, 40)]
    assert numbers.dtype == np.float32
    assert np.array_equal(matrices, PLACE)
    assert (black, stream) == (False, 7)


def test_fit_is_asked_for(calls: dict[str, tuple[Any, ...]]) -> None:
    planes, out = Array(2 << 20, (2, 3, 20, 20), "<f4"), Array(4 << 20, (2, 3, 11, 12), "<f4")
    device.fit(out, planes, 10, stream=7)
    assert calls["fit"] == (4 << 20, (11, 12), 2 << 20, (20, 20), (10, 10), 6, 7)
    for side in (0, 12, 21):
        with pytest.raises(ImageError, match="side has to be from 1"):
            device.fit(out, planes, side, stream=7)


@pytest.mark.parametrize("patches", [PATCHES, *PLANES])
def test_blend_faces_is_asked_for(calls: dict[str, tuple[Any, ...]], patches: Array) -> None:
    device.blend_faces(FRAME, FRAME, patches, MASK, PLACE, stream=7, layout="rgb")
    asked = calls["blend_faces"]
    assert asked[:4] == (1 << 20, 1 << 20, 0, (40, 60))
    assert asked[5:11] == (2 << 20, patches.type, 3 << 20, "<f4", True, (20, 20))
    assert asked[12:] == (0.0, 7)


def test_the_others_are_asked_for(calls: dict[str, tuple[Any, ...]]) -> None:
    maps = (Array(5 << 20, (2, 10, 10), "<f4"), MASK, Array(6 << 20, (3, 20, 20), "<f4"), MASK)
    device.warp_blend(Array(4 << 20, (40, 60, 3)), FRAME, *maps, similarity(), stream=7)
    assert calls["warp_blend"][:9] == (
        4 << 20,
        1 << 20,
        (40, 60),
        5 << 20,
        (10, 10),
        3 << 20,
        6 << 20,
        3 << 20,
        (20, 20),
    )
    assert len(calls["warp_blend"]) == 12
    shade = Array(7 << 20, (3, 4, 5), "<f4")
    device.warp_blend(Array(4 << 20, (40, 60, 3)), FRAME, *maps, similarity(), stream=7, shade=shade)
    assert calls["warp_blend"][11:] == (7, 7 << 20, (4, 5))
    volume, grid = Array(1 << 20, (1, 32, 16, 8, 8), "<f2"), Array(2 << 20, (1, 16, 4, 4, 3), "<f4")
    device.sample_volume(Array(3 << 20, (1, 32, 16, 4, 4), "<f2"), volume, grid, stream=7)
    assert calls["sample_volume"] == (3 << 20, 1 << 20, "<f2", 2 << 20, 1, 32, (16, 8, 8), (16, 4, 4), 7)
    shapes = [(2, 21, 3), (2, 3), (2, 21, 3), (2, 1), (2, 3)]
    arrays = [Array((2 + i) << 20, shape, "<f4") for i, shape in enumerate(shapes)]
    device.place_keypoints(Array(1 << 20, (2, 21, 3), "<f4"), *arrays, stream=7)
    assert calls["place_keypoints"] == (1 << 20, 2 << 20, 3 << 20, 4 << 20, 5 << 20, 6 << 20, 2, 21, 7)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"frame": np.zeros((4, 4, 3), np.uint8)}, "array on the GPU, but it is a ndarray"),
        ({"frame": Array(1 << 20, (40, 60, 4))}, r"uint8 \(any, any, 3\), but it is uint8 \(40, 60, 4\)"),
        ({"frame": Array(1 << 20, (40, 60, 3), "<f8")}, r"but it is <f8 \(40, 60, 3\)"),
        ({"frame": Array(1 << 20, (40, 60, 3), strides=(360, 6, 2))}, "C-contiguous"),
        ({"frame": Array(0, (40, 60, 3))}, "not at address 0"),
        ({"frame": Array(1 << 20, (40, 60)), "layout": "nv12"}, "H and W even"),
        ({"out": Array(4 << 20, (40, 60, 3), read_only=True)}, "read-only"),
        ({"out": Array(4 << 20, (40, 61, 3))}, r"out has to be uint8 \(40, 60, 3\)"),
        ({"out": Array((1 << 20) + 60, (40, 60, 3))}, "shares memory"),
        ({"out": Array(2 << 20, (40, 60, 3))}, "shares memory"),
        ({"patches": Array(2 << 20, (2, 20, 20, 3))}, r"\(1, any, any, 3\)"),
        ({"patches": Array(2 << 20, (1, 20, 20, 3), "<f4")}, r"\(1, 3, any, any\)"),
        ({"masks": Array(3 << 20, (20, 21), "<f4")}, r"masks has to be uint8 or float32 \(20, 20\)"),
        ({"masks": Array(3 << 20, (20, 20), "<f2")}, "but it is float16"),
        ({"similarities": np.zeros((1, 2, 3))}, "finite and invertible"),
        ({"similarities": np.zeros((0, 2, 3))}, "no similarities"),
        ({"feather": np.nan}, "0 or more"),
        ({"layout": "grey"}, "layout has to be one of"),
    ],
)
def test_what_does_not_fit_is_named(calls: dict[str, tuple[Any, ...]], wrong: dict[str, Any], message: str) -> None:
    given = {"out": FRAME, "frame": FRAME, "patches": PATCHES, "masks": MASK, "similarities": PLACE, "stream": 7}
    with pytest.raises(ImageError, match=message):
        device.blend_faces(**(given | wrong))
    assert not calls


def test_dense_strides_are_fine(calls: dict[str, tuple[Any, ...]]) -> None:
    frame = Array(1 << 20, (40, 60, 3), strides=(180, 3, 1))
    device.blend_faces(frame, frame, PATCHES, MASK, PLACE, stream=7)
    assert "blend_faces" in calls


def test_without_the_cuda_module_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    device._cuda.cache_clear()
    monkeypatch.setattr(device, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match="MIEN_CUDA=ON"):
        device.blend_faces(FRAME, FRAME, PATCHES, MASK, PLACE, stream=7)


@pytest.mark.parametrize("raised, wanted", [(RuntimeError, DeviceError), (ValueError, ImageError)])
def test_what_cuda_refuses_is_mien_s_own_error(
    monkeypatch: pytest.MonkeyPatch, raised: type[Exception], wanted: type[Exception]
) -> None:
    def refuse(*arguments: object) -> None:
        raise raised("no room")

    monkeypatch.setattr(device, "_cuda", lambda: SimpleNamespace(blend_faces=refuse))
    with pytest.raises(wanted, match="no room"):
        device.blend_faces(FRAME, FRAME, PATCHES, MASK, PLACE, stream=7)
