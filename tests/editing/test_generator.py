"""The generator's two halves: whichever way a latent goes through them, the picture is the same."""

from pathlib import Path

import numpy as np
import pytest

from mien.bundle import Bundle
from mien.editing.editor import Editor
from mien.editing.generator import Generator
from mien.editing.latent import Latent
from mien.editing.networks import Networks
from mien.editing.settings import read_settings
from mien.runners import HostRunner
from tests.editing.conftest import Runs
from tests.tiny_edit import LAYERS, MEAN, SIDE, SPLIT, WIDTH, picture, tiny_edit_bundle


def make(bundle: Bundle, seed: int = 0) -> Generator:
    networks = Networks(bundle, HostRunner(threads=1))
    return Generator(networks, read_settings(bundle), bundle.array("latent_mean"), seed)


@pytest.fixture(scope="module")
def generator(bundle: Bundle) -> Generator:
    return make(bundle)


def latent(smile: float = 0, old: float = 0) -> Latent:
    codes = np.zeros((LAYERS, WIDTH), np.float32)
    codes[:, :3] = MEAN
    codes[SPLIT:, 3] = smile
    codes[:SPLIT, 5] = old
    return Latent(codes)


@pytest.mark.parametrize("edited", [latent(smile=0.25), latent(old=0.25), latent(0.1, 0.2), latent()])
def test_together_apart_and_from_what_is_known_are_one_picture(generator: Generator, edited: Latent) -> None:
    before = generator.render(latent())
    alone = generator.render(edited)
    first, second = generator.pair(latent(), edited)
    varied = generator.vary(before, edited)
    np.testing.assert_allclose(first.image, before.image, atol=1e-6)
    for other in (second, varied):
        np.testing.assert_array_equal(other.latent.codes, edited.codes)
        for name in ("features", "rgb", "image", "small"):
            np.testing.assert_allclose(getattr(other, name), getattr(alone, name), atol=1e-6)


def test_the_picture_is_the_one_meant(generator: Generator) -> None:
    drawn = generator.render(latent(0.25, 0.125))
    expected = picture(MEAN, smile=0.25, old=0.125)
    np.testing.assert_allclose(drawn.image[0].transpose(1, 2, 0), expected, atol=1e-6)
    assert drawn.small.shape == (1, 3, SIDE, SIDE) and drawn.seen.shape == (1, 3, 256, 256)
    assert generator.render(latent(smile=2)).small.max() == 2.5  # what the other networks see is not clamped


@pytest.mark.parametrize(
    ("edited", "roles"),
    [
        (latent(), []),
        (latent(smile=1), ["synthesis_late"]),
        (latent(old=1), ["synthesis_early", "synthesis_late"]),
    ],
    ids=["nothing", "late", "all"],
)
def test_only_what_changed_is_run(generator: Generator, runs: Runs, edited: Latent, roles: list[str]) -> None:
    before = generator.render(latent())
    runs.clear()
    generator.vary(before, edited)
    assert [role for role, _ in runs] == roles


def test_a_bundle_that_leaves_the_noise_open_gets_it_from_the_seed(tmp_path: Path) -> None:
    noisy = tiny_edit_bundle(tmp_path / "b", noise=True)
    one, again, other = (make(noisy, seed).render(latent()).image for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)
    pair = make(noisy).pair(latent(), latent())
    np.testing.assert_array_equal(pair[0].image, pair[1].image)
    face = np.full((SIDE, SIDE, 3), 100, np.uint8)
    first, second = (Editor(noisy, noise_seed=3).apply(face, {"smile": 1.0}, aligned=True) for _ in range(2))
    np.testing.assert_array_equal(first.edited, second.edited)
