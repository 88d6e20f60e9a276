"""Whole chains on a GPU whose memory is the host's: the host's pictures, one up and one down, nothing allocated."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mien
from mien.bundle import Bundle
from mien.errors import DeviceError, ImageError
from mien.image import load_image
from mien.reenact import Reenactor
from mien.reenact.family import open_family
from mien.stream.sources import open_source
from tests import tiny_fomm, tiny_tpsmm
from tests.runners.gpu import DEVICE, Gpu, install, on_device, read
from tests.tiny_lia import colour_bundle
from tests.tiny_liveportrait import tiny_liveportrait_bundle

pytestmark = pytest.mark.usefixtures("native")

Image = NDArray[np.uint8]
DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"

BUNDLES: dict[str, Callable[[Path], Bundle]] = {
    "studio": lambda path: Bundle.open("studio"),
    "liveportrait": tiny_liveportrait_bundle,
    "fomm": tiny_fomm.blob_bundle,
    "lia": colour_bundle,
    "tpsmm": tiny_tpsmm.blob_bundle,
}
SMALL = 210_000
"""Bytes: more than all numbers and maps of points that pass in a frame, less than a picture."""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return install(monkeypatch)


@pytest.fixture(scope="module", params=list(BUNDLES))
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return BUNDLES[request.param](tmp_path_factory.mktemp(request.param) / "bundle")


@pytest.fixture(scope="module")
def portrait() -> Image:
    return load_image(DEMO / "source.jpg")


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    with open_source(str(DEMO / "driving.mp4")) as clip:
        return [frame.image for frame, _ in zip(clip, range(24), strict=False)][::4]


@pytest.fixture(scope="module")
def wanted(bundle: Bundle, portrait: Image, frames: list[Image]) -> list[Image]:
    """The host's pictures."""
    reenactor = Reenactor(bundle, threads=1)
    reenactor.set_source(portrait)
    return [reenactor.step(frame).image for frame in frames]


def chain(bundle: Bundle, portrait: Any) -> Reenactor:
    reenactor = Reenactor(bundle, device=DEVICE, threads=1)
    assert reenactor.family.runner.device == DEVICE
    reenactor.set_source(portrait)
    return reenactor


def test_a_frame_goes_up_once_and_comes_down_once(
    gpu: Gpu, bundle: Bundle, portrait: Image, frames: list[Image], wanted: list[Image]
) -> None:
    reenactor = chain(bundle, portrait)
    for number, (frame, picture) in enumerate(zip(frames, wanted, strict=True)):
        start = len(gpu.calls)
        shown = reenactor.step(frame)
        assert shown.status == "tracked"
        assert np.abs(shown.image.astype(int) - picture).max() <= 1
        if number:  # the face of the first is looked for
            assert [size for size in gpu.since(start, "up") if size >= SMALL] == [frame.nbytes]
            assert [size for size in gpu.since(start, "down") if size >= SMALL] == [picture.nbytes]
            assert not gpu.since(start, "copy")
        if number > 1:
            assert not gpu.since(start, "alloc") + gpu.since(start, "pinned")


def test_a_frame_that_is_there_gives_a_picture_that_stays_there(
    gpu: Gpu, bundle: Bundle, portrait: Image, frames: list[Image], wanted: list[Image]
) -> None:
    reenactor = chain(bundle, on_device(portrait))
    shown = [reenactor.step(on_device(frame)) for frame in frames[:2]]
    start = len(gpu.calls)
    shown += [reenactor.step(on_device(frame)) for frame in frames[2:]]
    assert max(gpu.since(start, "up") + gpu.since(start, "down")) < SMALL
    assert not gpu.queue, "what is given is finished"
    for one, picture in zip(shown, wanted, strict=True):  # all of them are held, and none was drawn over
        assert one.status == "tracked" and one.synthetic is True and one.image.device == DEVICE
        assert one.image.shape == portrait.shape and one.image.dtype == "uint8"
        assert np.abs(read(one.image).astype(int) - picture).max() <= 1


def test_every_network_meets_the_same_addresses_in_every_frame(
    gpu: Gpu, bundle: Bundle, portrait: Image, frames: list[Image]
) -> None:
    """What a captured CUDA graph needs."""
    reenactor = chain(bundle, portrait)
    for frame in frames[:3]:
        reenactor.step(frame)
    gpu.bound.clear()
    for frame in frames[3:]:
        reenactor.step(frame)
    assert gpu.bound
    for bound in gpu.bound.values():
        assert len(set(bound)) == len({name for name, _ in bound})


def test_pictures_that_nobody_holds_are_drawn_over(
    gpu: Gpu, bundle: Bundle, portrait: Image, frames: list[Image]
) -> None:
    reenactor = chain(bundle, portrait)
    places = {reenactor.step(on_device(frame)).image.pointer for frame in frames}
    assert len(places) <= 2


def test_without_a_face_the_picture_is_held_and_then_black(
    gpu: Gpu, bundle: Bundle, portrait: Image, frames: list[Image], wanted: list[Image]
) -> None:
    reenactor, nobody = chain(bundle, portrait), np.zeros_like(frames[0])
    first = reenactor.step(nobody, 0.0)
    assert first.status == "held" and np.array_equal(first.image, portrait)
    reenactor.reset()
    reenactor.step(frames[0], 0.0)
    held = reenactor.step(on_device(nobody), 0.5)
    assert held.status == "held" and np.abs(read(held.image).astype(int) - wanted[0]).max() <= 1
    blank = reenactor.step(on_device(nobody), 9.0)
    assert blank.status == "blank" and not read(blank.image).any()


def test_all_faces_of_a_portrait_are_drawn_there(gpu: Gpu, portrait: Image, frames: list[Image]) -> None:
    both = np.concatenate([portrait, portrait[:, ::-1]], axis=1)
    host, there = Reenactor("studio", threads=1), Reenactor("studio", device=DEVICE, threads=1)
    for reenactor in (host, there):
        reenactor.set_source(both, "all")
    for frame in frames[:3]:
        assert np.abs(host.step(frame).image.astype(int) - there.step(frame).image).max() <= 1


def test_reenactors_share_a_family_and_a_runner(gpu: Gpu, portrait: Image, frames: list[Image], tmp_path: Path) -> None:
    studio = open_family(Bundle.open("studio"), DEVICE, threads=1)
    other = open_family(tiny_liveportrait_bundle(tmp_path / "bundle"), studio.runner)
    assert gpu.streams == 1
    alone = Reenactor("studio", threads=1)
    one, two, three = Reenactor(studio), Reenactor(studio), Reenactor(other)
    for reenactor in (alone, one, two, three):
        reenactor.set_source(portrait)
    for frame in frames[:4]:
        picture = alone.step(frame).image
        three.step(frame)
        for reenactor in (one, two):
            assert np.abs(reenactor.step(frame).image.astype(int) - picture).max() <= 1


def test_threads_share_a_family(
    gpu: Gpu, bundle: Bundle, portrait: Image, frames: list[Image], wanted: list[Image]
) -> None:
    family = open_family(bundle, DEVICE, threads=1)

    def furthest(number: int) -> int:
        reenactor = Reenactor(family)
        reenactor.set_source(portrait)
        shown = [reenactor.step(on_device(frame) if number % 2 else frame).image for frame in frames]
        pictures = [read(image) if number % 2 else image for image in shown]
        return max(int(np.abs(one.astype(int) - other).max()) for one, other in zip(pictures, wanted, strict=True))

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(furthest, range(4))) <= 1


def test_a_picture_on_a_gpu_is_refused_where_the_chain_is_not(gpu: Gpu, portrait: Image) -> None:
    reenactor = Reenactor("studio", threads=1)
    with pytest.raises(DeviceError, match=r'on a GPU was given.*device="cuda"'):
        reenactor.set_source(on_device(portrait))
    reenactor.set_source(portrait)
    with pytest.raises(DeviceError, match="on a GPU was given"):
        reenactor.step(on_device(portrait))


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8), np.uint8),
        np.zeros((1, 8, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused_there_as_well(gpu: Gpu, portrait: Image, wrong: NDArray[Any]) -> None:
    reenactor = Reenactor("studio", device=DEVICE, threads=1)
    reenactor.set_source(portrait)
    for given in (wrong, on_device(wrong)):
        with pytest.raises(ImageError, match="A picture"):
            reenactor.step(given)
    with pytest.raises(ImageError, match="NumPy array"):
        reenactor.step([1, 2, 3])  # type: ignore[call-overload]
