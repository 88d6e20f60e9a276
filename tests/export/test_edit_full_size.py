"""The public sizes from checkpoint to edited photograph through the command line: StyleGAN2-1024, pSp, all the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mien.image import load_image, save_image
from mien_export.networks import encoders
from mien_export.networks.bisenet import BiSeNet
from mien_export.networks.deghosting import Deghosting
from mien_export.networks.difference import Bottleneck, DifferenceNetwork
from mien_export.networks.stylegan2 import Generator
from tests.export.small_edit import stirred

pytestmark = pytest.mark.slow


def mien(*arguments: object) -> str:
    """What the command prints."""
    done = subprocess.run([sys.executable, "-m", "mien.cli", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def difference() -> DifferenceNetwork:
    """Random, and tame: 101 layers of untrained residuals would overflow what float32 can tell apart."""
    network = DifferenceNetwork()
    for block in network.modules():
        if isinstance(block, Bottleneck):
            nn.init.constant_(block.bn3.weight, 0.2)
    return network


def write_checkpoints(folder: Path) -> list[str]:
    """Random checkpoints of all networks, laid out as published; what `mien export edit` takes for them."""
    torch.manual_seed(0)
    generator, encoder = Generator(1024), stirred(encoders.GradualStyleEncoder())
    state = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    state |= {f"decoder.{key}": value for key, value in generator.state_dict().items()}
    opts = {"encoder_type": "GradualStyleEncoder", "start_from_latent_avg": True}
    torch.save({"state_dict": state, "latent_avg": torch.randn(18, 512) * 0.1, "opts": opts}, folder / "psp.pt")
    del generator, encoder, state
    for name, network in (("parsing", BiSeNet()), ("difference", difference()), ("deghost", Deghosting())):
        torch.save(network.state_dict(), folder / f"{name}.pt")
        del network
    np.save(folder / "Smiling.npy", np.random.default_rng(0).normal(size=(18, 512)))
    parts = [f"--{name}={folder / name}.pt" for name in ("parsing", "difference", "deghost")]
    return ["--encoder", str(folder / "psp.pt"), "--directions", str(folder / "Smiling.npy"), *parts]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported by the command."""
    folder = tmp_path_factory.mktemp("full")
    mien("export", "edit", *write_checkpoints(folder), "-o", folder / "b")
    return folder / "b"


def test_a_photograph_is_edited(bundle: Path, tmp_path: Path) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (1024, 1024, 3), np.uint8)
    save_image(tmp_path / "photo.png", photo)
    said = json.loads(
        mien(
            "edit",
            tmp_path / "photo.png",
            "-o",
            tmp_path / "out.png",
            "--mask-out",
            tmp_path / "mask.png",
            "--json",
            "--bundle",
            bundle,
            "--set",
            "smiling=1",
            "--aligned",
            "--method",
            "tta+pca",
        )  # fmt: skip
    )
    edited, mask = load_image(tmp_path / "out.png"), load_image(tmp_path / "mask.png")[..., 0]
    assert said["synthetic"] and edited.shape == photo.shape
    assert 0 < (mask > 0).mean() < 1
    assert np.array_equal(edited[mask == 0], photo[mask == 0])
    assert (edited[mask > 128] != photo[mask > 128]).mean() > 0.9


def test_the_ablation_runs(bundle: Path, tmp_path: Path) -> None:
    photo = np.random.default_rng(2).integers(0, 256, (1024, 1024, 3), np.uint8)
    save_image(tmp_path / "photo.png", photo)
    for method in ("none", "parsing", "diffcam", "diffcam++"):
        mien(
            "edit", tmp_path / "photo.png", "--bundle", bundle, "--set", "smiling=1", "--aligned", "--method", method,
            "-o", tmp_path / f"{method}.png", "--no-deghost",
        )  # fmt: skip
