"""The editor's chain on a GPU whose memory is the host's: the host's pictures, and nothing allocated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.bundle import Bundle
from mien.editing.editor import Editor
from mien.editing.methods import METHODS
from mien.runners import HOST, Runner, open_runner
from tests.runners.gpu import DEVICE, Gpu, install
from tests.tiny_edit import SIDE, tiny_edit_bundle

pytestmark = pytest.mark.usefixtures("native")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return install(monkeypatch)


@pytest.fixture(scope="module", params=[0, 2], ids=["psp", "restyle"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path: Path = tmp_path_factory.mktemp("edit") / "bundle"
    return tiny_edit_bundle(path, stepped=request.param, noise=True)


@pytest.fixture(scope="module")
def face() -> NDArray[np.uint8]:
    """A flat colour with some noise."""
    noise = np.random.default_rng(0).integers(-9, 9, (2 * SIDE, 2 * SIDE, 3))
    return (np.array([100, 140, 90]) + noise).astype(np.uint8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("edits", [{"smile": 1.0}, {"old": 1.0, "smile": -0.5}], ids=["late", "early"])
def test_edits_are_the_hosts(
    gpu: Gpu, bundle: Bundle, face: NDArray[np.uint8], method: str, edits: dict[str, float]
) -> None:
    host, there = Editor(bundle, threads=1), Editor(bundle, device=DEVICE, threads=1)
    wanted = host.apply(face, edits, method=method, aligned=True)
    for _ in range(2):  # in memory that is used again
        made = there.apply(face, edits, method=method, aligned=True)
        for name in ("image", "mask", "inverted", "edited", "aligned"):
            assert np.abs(getattr(made, name).astype(int) - getattr(wanted, name)).max() <= 1, name
        np.testing.assert_allclose(made.latent.codes, wanted.latent.codes, atol=1e-5)


def test_a_film_of_strengths_allocates_nothing(gpu: Gpu, bundle: Bundle, face: NDArray[np.uint8]) -> None:
    host, there = Editor(bundle, threads=1), Editor(bundle, device=DEVICE, threads=1)
    subjects = [editor.prepare(face, aligned=True) for editor in (host, there)]
    for number, strength in enumerate((0.3, 0.6, 0.9, 1.2)):
        start = len(gpu.calls)
        wanted, made = (e.alter(s, {"smile": strength}) for e, s in zip((host, there), subjects, strict=True))
        assert np.abs(made.image.astype(int) - wanted.image).max() <= 1
        if number > 1:
            assert not gpu.since(start, "alloc") + gpu.since(start, "pinned")


def test_sampling_and_rendering_are_the_hosts(gpu: Gpu, bundle: Bundle) -> None:
    host, there = Editor(bundle, threads=1), Editor(bundle, device=DEVICE, threads=1)
    latents = [editor.sample(3) for editor in (host, there)]
    np.testing.assert_allclose(latents[0].codes, latents[1].codes, atol=1e-6)
    assert np.abs(host.render(latents[0]).astype(int) - there.render(latents[1])).max() <= 1


@pytest.mark.parametrize("device", ["cpu", DEVICE])
def test_tensors_are_taken_apart_joined_and_shown(gpu: Gpu, device: str) -> None:
    runner: Runner = open_runner(device)
    pictures = np.random.default_rng(1).uniform(-0.2, 1.2, (2, 3, 5, 7)).astype(np.float32)
    there = runner.keep(pictures)
    parts = runner.split(there)
    assert [part.shape for part in parts] == [(1, 3, 5, 7)] * 2
    assert np.array_equal(runner.host(runner.join([parts[1], there])), pictures[[1, 0, 1]])
    for part, picture in zip(parts, pictures, strict=True):
        assert np.array_equal(runner.host(part), picture[None])
        assert np.abs(runner.image(part).astype(int) - HOST.image(picture)).max() <= 1


def test_an_editor_and_others_share_a_runner(gpu: Gpu, bundle: Bundle, face: NDArray[np.uint8]) -> None:
    runner = open_runner(DEVICE, threads=1)
    one, two = Editor(bundle, device=runner), Editor(bundle, device=runner)
    assert gpu.streams == 1
    seen = [editor.apply(face, {"smile": 1.0}, aligned=True).image for editor in (one, two)]
    assert np.array_equal(*seen)
