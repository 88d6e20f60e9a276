"""The public sizes from checkpoint to film through the command line, for all four families, with random weights.

The weights are those of the parity cases: no face model, but networks whose values stay in range.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import mien
from mien import Bundle
from mien.image import Image, load_image
from mien.stream.sources import open_source
from tests.export import filling
from tests.media import write_video

pytestmark = pytest.mark.slow

GOLDENS = Path(__file__).parents[1] / "goldens"
DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"
FRAMES = 3

LAYOUTS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "liveportrait": {
        "appearance_feature_extractor.pth": {"": "liveportrait_appearance"},
        "motion_extractor.pth": {"": "liveportrait_motion"},
        "warping_module.pth": {"": "liveportrait_warp"},
        "spade_generator.pth": {"": "liveportrait_spade"},
        "stitching_retargeting_module.pth": {
            "retarget_shoulder": "liveportrait_stitching",
            "retarget_mouth": "liveportrait_retarget_lip",
            "retarget_eye": "liveportrait_retarget_eye",
        },
    },
    "fomm": {"vox-cpk.pth.tar": {"generator": "fomm_generator", "kp_detector": "fomm_kp_detector"}},
    "lia": {"vox.pt": {"gen": "lia_generator"}},
    "tpsmm": {
        "vox.pth.tar": {
            "kp_detector": "tpsmm_kp_detector",
            "dense_motion_network": "tpsmm_dense_motion",
            "inpainting_network": "tpsmm_inpainting",
            "avd_network": "tpsmm_avd",
        }
    },
}
"""For each family its files, and in each the parity cases by the key that their weights lie under."""


def run(*arguments: object) -> str:
    """What the command prints."""
    done = subprocess.run([sys.executable, "-m", "mien.cli", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def weights(name: str) -> dict[str, Tensor]:
    return filling.weights(json.loads((GOLDENS / f"{name}.json").read_text("utf-8")))


def write_checkpoints(family: str, folder: Path) -> list[Path]:
    """As published."""
    for file, networks in LAYOUTS[family].items():
        whole = {key: weights(name) for key, name in networks.items()}
        torch.save(whole.get("", whole), folder / file)
    return [folder / file for file in LAYOUTS[family]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frames of the clip that comes with mien."""
    path = tmp_path_factory.mktemp("clip") / "driving.mp4"
    with open_source(DEMO / "driving.mp4") as frames:
        write_video(path, [frame.image for frame in islice(frames, FRAMES)])
    return path


def film(path: Path) -> list[Image]:
    with open_source(path) as frames:
        return [frame.image for frame in frames]


@pytest.mark.parametrize("family", LAYOUTS)
def test_a_public_checkpoint_becomes_a_film(family: str, clip: Path, tmp_path: Path) -> None:
    checkpoints = write_checkpoints(family, tmp_path)
    said = run("export", family, *checkpoints, "-o", tmp_path / "faces")
    for path in checkpoints:
        path.unlink()
    networks = Bundle.open(tmp_path / "faces").manifest.networks
    assert all(role in said and spec.parity.max_abs_error <= spec.parity.tolerance for role, spec in networks.items())

    portrait = DEMO / "source.jpg"
    report = json.loads(
        run("reenact", portrait, clip, "-o", tmp_path / "o.mp4", "--bundle", tmp_path / "faces", "--json")
    )
    assert report["frames"] == report["status"]["tracked"] == FRAMES
    pictures, source = film(tmp_path / "o.mp4"), load_image(portrait)
    assert [picture.shape for picture in pictures] == [source.shape] * FRAMES
    changed = np.abs(pictures[-1].astype(int) - source).max(-1) > 40
    assert 0.02 < changed.mean() < 0.98  # the head is drawn anew, what is around it is the portrait's
    shutil.rmtree(tmp_path / "faces")
