"""The CUDA kernels on a GPU: that they give what their arithmetic gives on the CPU. Not executed yet; needs CuPy."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.kernels import checks, device, layouts
from tests.kernels.cases import floats, frame, picture, similarity

pytestmark = [pytest.mark.usefixtures("native"), pytest.mark.gpu]
YUV = layouts.numbers("test", "bt709")


@pytest.fixture
def emulator() -> ModuleType:
    import mien._emulator

    return mien._emulator


@pytest.fixture
def stream() -> Any:
    cupy = pytest.importorskip("cupy")
    with cupy.cuda.Stream(non_blocking=True) as own:
        yield own


def up(values: NDArray[Any]) -> Any:
    return pytest.importorskip("cupy").asarray(values)


def down(values: Any) -> NDArray[Any]:
    """Waits for the stream that is current, the test's own."""
    return np.asarray(values.get())


def apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.abs(a.astype(np.float64) - b).max())


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
@pytest.mark.parametrize("patch_type", [np.uint8, np.float32, np.float16])
@pytest.mark.parametrize("in_place", [False, True])
def test_blend_faces(emulator: ModuleType, stream: Any, layout: Any, patch_type: Any, in_place: bool) -> None:
    shown, masks = frame(layout, 240, 320), floats(3, 90, 80)
    patches = np.stack([picture(90, 80, i) for i in range(3)])
    if patch_type != np.uint8:
        patches = np.ascontiguousarray(patches.transpose(0, 3, 1, 2) / 255).astype(patch_type)
    places = np.stack([similarity(0.3 * i, 1.3, 60 + 50 * i, 20 + 30 * i) for i in range(3)])
    wanted, same = np.empty_like(shown), patches if patch_type == np.uint8 else patches.astype(np.float32)
    code, to_patch = layouts.LAYOUTS.index(layout), checks.matrices("places", places)[1]
    emulator.blend_faces(wanted, shown, code, YUV, same, masks, to_patch, 5.0)
    given = up(shown)
    out = given if in_place else up(np.zeros_like(shown))
    device.blend_faces(out, given, up(patches), up(masks), places, stream=stream.ptr, feather=5.0, layout=layout)
    off = np.abs(down(out).astype(int) - wanted)
    assert off.max() <= 2 or (off > 2).mean() < 1e-4  # a place on the patch's edge is in or out by its last bit


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
@pytest.mark.parametrize("scale", [0.7, 2.5, 5.0])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_crop(emulator: ModuleType, stream: Any, layout: Any, scale: float, kind: Any) -> None:
    shown = frame(layout, 600, 700)
    places = np.stack([similarity(0.2, scale, 100, 10), similarity(-0.2, scale, -30, 200)])
    wanted = np.empty((2, 3, 100, 100), np.float32)
    emulator.crop(wanted, shown, layouts.LAYOUTS.index(layout), YUV, places)
    out = up(np.zeros(wanted.shape, kind))
    device.crop(out, up(shown), places, stream=stream.ptr, layout=layout)
    assert apart(down(out), wanted) <= (1 / 255 if kind == np.float32 else 1.3 / 255)


@pytest.mark.parametrize("scale", [0.7, 2.5])
def test_crop_is_black_outside(emulator: ModuleType, stream: Any, scale: float) -> None:
    shown, places = frame("rgb", 200, 300), similarity(0.2, scale, -30, 80)[None]
    wanted = np.empty((1, 3, 100, 100), np.float32)
    emulator.crop(wanted, shown, 0, YUV, places, True)
    out = up(np.zeros_like(wanted))
    device.crop(out, up(shown), places, stream=stream.ptr, black=True)
    assert apart(down(out), wanted) <= 1 / 255


@pytest.mark.parametrize("side", [1, 33, 64, 100])
def test_fit(emulator: ModuleType, stream: Any, side: int) -> None:
    planes, wanted = floats(2, 3, 100, 100), np.empty((2, 3, side + 1, side + 2), np.float32)
    emulator.fit(wanted, planes, side, side)
    out = up(np.zeros_like(wanted))
    device.fit(out, up(planes), side, stream=stream.ptr)
    assert apart(down(out), wanted) <= 1e-5


@pytest.mark.parametrize("shaded", [False, True])
def test_warp_blend(emulator: ModuleType, stream: Any, shaded: bool) -> None:
    source = picture(300, 280) // 8 + 100
    maps = [floats(2, 32, 32, low=-0.3, high=0.3), floats(64, 64), floats(3, 64, 64), floats(64, 64, seed=1)]
    to_source, to_crop = checks.matrix("place", similarity(0.3, 3.0, 60, 20))
    wanted = np.empty_like(source)
    shade = floats(3, 16, 16, seed=2, low=0.5, high=1.5) if shaded else None
    emulator.warp_blend(wanted, source, *maps, to_crop=to_crop, to_source=to_source, shade=shade)
    out, gains = up(np.zeros_like(source)), None if shade is None else up(shade)
    device.warp_blend(out, up(source), *(up(each) for each in maps), to_source, stream=stream.ptr, shade=gains)
    assert apart(down(out), wanted) <= 1


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_sample_volume(emulator: ModuleType, stream: Any, kind: Any) -> None:
    volume, grid = floats(1, 32, 16, 64, 64, low=-1), floats(1, 16, 64, 64, 3, seed=1, low=-1.2, high=1.2)
    volume = volume.astype(kind)
    wanted = np.empty(volume.shape, np.float32)
    emulator.sample_volume(wanted, volume.astype(np.float32), grid)
    out = up(np.zeros(volume.shape, kind))
    device.sample_volume(out, up(volume), up(grid), stream=stream.ptr)
    assert apart(down(out), wanted) <= (1e-4 if kind == np.float32 else 1e-3)


def test_place_keypoints(emulator: ModuleType, stream: Any) -> None:
    arrays = [floats(2, 21, 3), floats(2, 3, low=-60, high=60), floats(2, 21, 3), floats(2, 1), floats(2, 3)]
    wanted = np.empty((2, 21, 3), np.float32)
    canonical, angles, expression, scale, translation = arrays
    emulator.place_keypoints(wanted, canonical, angles, expression, scale[:, 0].copy(), translation)
    out = up(np.zeros_like(wanted))
    device.place_keypoints(out, *(up(each) for each in arrays), stream=stream.ptr)
    assert apart(down(out), wanted) <= 1e-5


def test_a_graph_runs_again_on_what_the_buffers_hold_then(stream: Any) -> None:
    from mien import _cuda

    shown, out = up(picture(64, 64)), up(np.zeros((1, 3, 64, 64), np.float32))
    stream.synchronize()
    _cuda.begin_capture(stream.ptr)
    device.crop(out, shown, similarity(), stream=stream.ptr)
    graph = _cuda.end_capture(stream.ptr)
    assert not down(out).any()
    for seed in (1, 2):
        shown.set(picture(64, 64, seed))
        graph.launch(stream.ptr)
        assert apart(down(out)[0], picture(64, 64, seed).transpose(2, 0, 1) / 255) <= 1e-5


def test_a_discarded_capture_leaves_the_stream_usable(stream: Any) -> None:
    from mien import _cuda

    shown, out = up(picture(64, 64)), up(np.zeros((1, 3, 64, 64), np.float32))
    stream.synchronize()
    _cuda.begin_capture(stream.ptr)
    _cuda.discard_capture(stream.ptr)
    device.crop(out, shown, similarity(), stream=stream.ptr)
    assert down(out).any()
