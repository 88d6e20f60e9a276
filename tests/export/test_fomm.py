"""FOMM exported: the rewritten graphs give what the network gives, and a checkpoint becomes a bundle that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mien
from mien.image import load_image
from mien.reenact import Reenactor, Transfer
from mien_export.calibration import reenacting
from mien_export.checkpoints import CheckpointError
from mien_export.graphs import fomm as graphs
from mien_export.graphs.phases import Doubling, RowsThenSum, phased, woven
from mien_export.lower import lower
from mien_export.networks.fomm import Keypoints, KPDetector, OcclusionAwareGenerator, inverse_2x2
from mien_export.networks.motion_blocks import AntiAliasInterpolation2d, ResBlock2d
from mien_export.pack.fomm import pack_fomm
from tests.export import filling
from tests.export.rtx_build import faults
from tests.export.small_fomm import POINTS, SMALL, settled, small_checkpoint, small_detector, small_generator

GOLDENS = Path(__file__).parents[1] / "goldens"
DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def feeds(seed: int = 0) -> dict[str, torch.Tensor]:
    """Keypoints of both faces with affine maps that turn and shear."""
    found = {}
    for number, who in enumerate(("source", "driving")):
        found[f"{who}_value"] = rand(1, POINTS, 2, seed=seed + number) * 2 - 1
        found[f"{who}_jacobian"] = torch.eye(2) + rand(1, POINTS, 2, 2, seed=seed + number + 9) * 0.8 - 0.4
    return found


def whole(network: OcclusionAwareGenerator, image: torch.Tensor, points: dict[str, torch.Tensor]) -> torch.Tensor:
    """The picture as the public code computes it."""
    source, driving = (Keypoints(points[f"{who}_value"], points[f"{who}_jacobian"]) for who in ("source", "driving"))
    out: torch.Tensor = network(image, driving, source).prediction
    return out


def test_the_inverse_of_2x2() -> None:
    matrix = torch.eye(2) + rand(5, 3, 2, 2) * 0.6 - 0.3
    assert torch.allclose(inverse_2x2(matrix), torch.linalg.inv(matrix), atol=1e-6)


@pytest.mark.parametrize("network", ["fomm_generator", "fomm_kp_detector"])
def test_the_blur_that_old_files_lack_is_the_public_one(network: str) -> None:
    tensors = json.loads((GOLDENS / f"{network}.json").read_text("utf-8"))["tensors"]
    (entry,) = (entry for key, entry in tensors.items() if key.endswith("down.weight"))
    stored = filling.drawn("down.weight", entry, 0)
    assert torch.allclose(AntiAliasInterpolation2d(3, 0.25).weight, stored, atol=1e-8)


@pytest.mark.parametrize("scale", [0.25, 0.5])
def test_only_kept_pixels_are_blurred(scale: float) -> None:
    down, image = AntiAliasInterpolation2d(3, scale), rand(1, 3, 64, 64)
    assert torch.allclose(graphs.Shrink(down)(image), down(image), atol=1e-6)


def test_doubling_is_repeating_and_convolving() -> None:
    conv, x = nn.Conv2d(3, 5, 3, padding=1), rand(2, 3, 7, 6)
    truth = F.relu(conv(F.interpolate(x, scale_factor=2.0)))
    assert torch.allclose(woven(Doubling(conv)(x)), truth, atol=1e-6)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_a_convolution_reads_phases_as_they_are(size: int) -> None:
    conv, x = nn.Conv2d(3, 2, size, padding=size // 2), rand(1, 3, 12, 10)
    phases = [x[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    assert torch.equal(woven(phases), x)
    assert torch.allclose(F.pixel_shuffle(phased(conv)(torch.cat(phases, 1)), 2), conv(x), atol=1e-5)


@pytest.mark.parametrize("size", [3, 7])
def test_rows_then_sum_is_the_convolution(size: int) -> None:
    conv, x = nn.Conv2d(4, 3, size, padding=size // 2), rand(1, 4, 9, 11)
    assert torch.allclose(RowsThenSum(conv)(x), conv(x), atol=1e-5)


@torch.no_grad()
def test_the_keypoints_graph_is_the_detector() -> None:
    network = settled(small_detector(), 3)
    assert isinstance(network, KPDetector)
    images = rand(2, 3, 256, 256)
    truth = network(images)
    value, jacobian = graphs.KeypointsGraph(network).eval()(images)
    assert torch.allclose(value, truth.value, atol=1e-5) and torch.allclose(jacobian, truth.jacobian, atol=1e-5)


@pytest.mark.parametrize("minimal", [True, False])
@torch.no_grad()
def test_the_bottleneck_is_the_network_s(minimal: bool) -> None:
    block, x = settled(ResBlock2d(128), 5), rand(1, 128, 8, 12)  # as many channels as minimal filtering is worth
    assert torch.allclose(graphs.Residual(block, minimal).eval()(x), block(x), atol=1e-5)


@pytest.mark.parametrize("occlusion", [True, False])
@torch.no_grad()
def test_appearance_and_generator_are_the_whole(occlusion: bool) -> None:
    network = small_generator()
    if not occlusion:
        network.dense_motion_network.occlusion = None
    settled(network, 4)
    image = F.interpolate(rand(1, 3, 20, 20), (256, 256), mode="bilinear")
    kept = graphs.AppearanceGraph(network).eval()(image)
    generator = graphs.GeneratorGraph(network).eval()
    pictures = []
    for seed in (0, 50):
        points = feeds(seed)
        truth = whole(network, image, points)
        assert torch.allclose(generator(*kept, **points), truth, atol=2e-5)
        pictures.append(truth)
    assert (pictures[0] - pictures[1]).abs().max() > 0.01  # the keypoints do matter


def test_a_checkpoint_becomes_a_bundle_that_reenacts_and_that_tensorrt_builds(tmp_path: Path) -> None:
    parts = small_checkpoint(tmp_path / "vox-cpk.pth.tar")
    for key in [key for key in parts["generator"] if key.endswith("down.weight")]:
        del parts["generator"][key]  # as in older public files
    torch.save(parts, tmp_path / "vox-cpk.pth.tar")
    bundle, exported = pack_fomm(tmp_path / "vox-cpk.pth.tar", tmp_path / "bundle", networks=SMALL)
    assert max(one.largest for one in exported.values()) < 1e-4
    assert bundle.manifest.family == "fomm" and set(bundle.manifest.networks) == set(exported)
    assert not faults(bundle)

    portrait = load_image(DEMO / "source.jpg")
    reenactor = Reenactor(bundle, threads=1, transfer=Transfer(relative=True), smooth=False)
    reenactor.set_source(portrait)
    first, second = reenactor.step(portrait), reenactor.step(np.roll(portrait, 9, axis=1))
    assert first.status == second.status == "tracked"
    assert first.image.shape == portrait.shape and not np.array_equal(first.image, portrait)
    truth = drawn_by_torch(tmp_path / "vox-cpk.pth.tar", reenactor)
    place = reenactor._sources[0].crop
    seen = mien.image.crop(first.image, place, 256)[64:192, 64:192].astype(float)
    assert np.abs(seen - truth[64:192, 64:192]).mean() < 3  # through the portrait's pixels and back


def test_in_float16_the_bundle_is_half_as_large(tmp_path: Path) -> None:
    small_checkpoint(tmp_path / "vox-cpk.pth.tar")
    full, _ = pack_fomm(tmp_path / "vox-cpk.pth.tar", tmp_path / "full", minimal=False, networks=SMALL)
    bundle, _ = lower(full, tmp_path / "bundle", "fp16", reenacting())
    for spec in bundle.manifest.networks.values():
        assert spec.precision == "fp16" and spec.parity.max_abs_error <= spec.parity.tolerance
    reenactor = Reenactor(bundle, threads=1)
    reenactor.set_source(DEMO / "source.jpg")
    assert reenactor.step(load_image(DEMO / "source.jpg")).status == "tracked"
    assert not list(tmp_path.glob(".mien-*"))


@torch.no_grad()
def drawn_by_torch(checkpoint: Path, reenactor: Reenactor) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The first frame of relative motion: driven by its own keypoints, the portrait's are what they were."""
    stored = torch.load(checkpoint, weights_only=True)
    network = small_generator().eval()
    network.load_state_dict(stored["generator"], strict=False)
    source = reenactor._sources[0]
    image = torch.from_numpy(mien.image.to_tensor(mien.image.crop(source.image, source.crop, 256)))
    own = {name: torch.from_numpy(value[None]).float() for name, value in vars(source.points).items()}
    points = {f"{who}_{name}": value for who in ("source", "driving") for name, value in own.items()}
    return whole(network, image, points)[0].permute(1, 2, 0).double().numpy() * 255


def test_other_files_are_refused(tmp_path: Path) -> None:
    parts = small_checkpoint(tmp_path / "whole.pth.tar")
    path = tmp_path / "other.pth.tar"

    torch.save({"kp_detector": parts["kp_detector"]}, path)
    with pytest.raises(CheckpointError, match="no weights under 'generator.'.*FOMM's keypoint detector"):
        pack_fomm(path, tmp_path / "bundle", networks=SMALL)

    torch.save({"generator": parts["kp_detector"], "kp_detector": parts["generator"]}, path)
    with pytest.raises(CheckpointError, match="look like FOMM's generator"):
        pack_fomm(path, tmp_path / "bundle", networks=SMALL)

    torch.save({"fg_encoder.conv1.weight": torch.zeros(1), "fg_encoder.fc.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="TPSMM's keypoint detector"):
        pack_fomm(path, tmp_path / "bundle", networks=SMALL)

    with pytest.raises(CheckpointError, match="another shape"):
        pack_fomm(tmp_path / "whole.pth.tar", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
