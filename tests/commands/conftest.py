"""What the tests of the commands share: the program, a tiny edit bundle, and faces for it."""

from pathlib import Path

import numpy as np
import pytest

import mien as package
from mien.image import Image, load_image
from tests.commands.program import Program
from tests.tiny_edit import tiny_edit_bundle


@pytest.fixture
def mien(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(monkeypatch, capsys)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "tiny"
    tiny_edit_bundle(path)
    return path


@pytest.fixture(scope="session")
def portrait() -> Image:
    """A face in a wide picture of odd sides, with noise all over, so that every pixel that is touched shows it."""
    face = load_image(Path(package.__file__).parent / "bundles" / "studio" / "demo" / "source.jpg")
    wide = np.pad(face, ((37, 60), (91, 34), (0, 0)), mode="edge")
    noise = np.random.default_rng(7).integers(-3, 4, wide.shape)
    return np.asarray(np.clip(wide + noise, 0, 255), np.uint8)
