"""TPSMM exported: the rewritten graphs give what the networks give, and a checkpoint becomes a bundle that runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import mien
from mien.image import load_image
from mien.reenact import Reenactor, Transfer
from mien.reenact.splines import carried, splines
from mien.sessions import OrtSession
from mien_export.calibration import reenacting
from mien_export.checkpoints import CheckpointError
from mien_export.graphs import tpsmm as graphs
from mien_export.lower import lower
from mien_export.networks.motion_blocks import Hourglass, ResBlock2d, SameBlock2d, UpBlock2d, coordinate_grid
from mien_export.networks.tpsmm import (
    DenseMotionNetwork,
    InpaintingNetwork,
    bent,
    instance_norm,
    solved_splines,
    warped,
)
from mien_export.onnx_export import export
from mien_export.pack.tpsmm import pack_tpsmm
from tests.export.parity_cases.reenact_tpsmm import CASES
from tests.export.rtx_build import faults
from tests.export.small_tpsmm import (
    GROUPS,
    POINTS,
    SMALL,
    settled,
    small_checkpoint,
    small_detector,
    small_inpainting,
    small_motion,
)

GOLDENS = Path(__file__).parents[1] / "goldens"
DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def feeds(seed: int = 0, groups: int = GROUPS) -> dict[str, Tensor]:
    """Both faces' keypoints, some apart, and the splines between them."""
    source = rand(1, 5 * groups, 2, seed=seed) * 1.8 - 0.9
    driving = source + 0.3 * rand(1, 5 * groups, 2, seed=seed + 1) - 0.15
    return {"source_points": source, "driving_points": driving, "splines": solved_splines(driving, source)}


def picture(seed: int = 0) -> Tensor:
    return F.interpolate(rand(1, 3, 20, 20, seed=seed), (256, 256), mode="bilinear")


def whole(
    motion: DenseMotionNetwork, inpainting: InpaintingNetwork, image: Tensor, points: dict[str, Tensor]
) -> Tensor:
    """The picture as the public code computes it."""
    dense = motion(image, points["driving_points"], points["source_points"])
    out: Tensor = inpainting(image, dense.deformation, dense.occlusions).prediction
    return out


@pytest.mark.parametrize("name", CASES)
def test_the_public_size_has_the_public_keys(name: str) -> None:
    case = json.loads((GOLDENS / f"{name}.json").read_text("utf-8"))
    with torch.device("meta"):
        network = CASES[name].build(case["constructor"])
    assert network is not None
    ours = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert ours == {key: entry["shape"] for key, entry in case["tensors"].items()}


@torch.no_grad()
def test_a_single_mask_serves_every_size() -> None:
    """The public code's other configuration, which its vox weights do not use."""
    motion, inpainting = settled(small_motion(False), 1), settled(small_inpainting(False), 2)
    assert not motion.up and len(motion.occlusion) == 1
    points = feeds()
    dense = motion(picture(), points["driving_points"], points["source_points"])
    assert [tuple(one.shape) for one in dense.occlusions] == [(1, 1, 64, 64)]
    out = inpainting(picture(), dense.deformation, dense.occlusions)
    shown = F.interpolate(dense.occlusions[0], (256, 256), mode="bilinear", align_corners=True)
    assert torch.allclose(inpainting(picture(), dense.deformation, [shown]).deformed, out.deformed)
    painted = (out.prediction - out.deformed * shown) / (1 - shown)
    assert out.prediction.shape == (1, 3, 256, 256) and painted.min() >= 0 and painted.max() <= 1


@torch.no_grad()
def test_sampling_is_from_middle_to_middle_of_the_outermost_pixels() -> None:
    maps = rand(1, 2, 8, 8)
    still = coordinate_grid(4, 4, maps)[None]  # any size of it
    assert torch.allclose(warped(maps, still), maps, atol=1e-5)
    assert torch.allclose(graphs.warped(maps, still.permute(0, 3, 1, 2)), maps, atol=1e-5)
    beyond = warped(torch.ones_like(maps), torch.full((1, 8, 8, 2), 1 + 2 * 2 / 7))
    assert not beyond.any()  # zeros outside


@pytest.mark.parametrize("kernel", [3, 7])
@torch.no_grad()
def test_a_bias_before_the_normalisation_is_nothing(kernel: int) -> None:
    block = settled(SameBlock2d(3, 5, kernel, instance_norm), 1)
    nn.init.uniform_(block.conv.bias, -3, 3)
    assert torch.allclose(graphs.Same(block)(rand(1, 3, 12, 10)), block(rand(1, 3, 12, 10)), atol=2e-5)


@torch.no_grad()
def test_phases_are_normalised_together() -> None:
    block = settled(UpBlock2d(3, 5, norm=instance_norm), 1)
    assert torch.allclose(graphs.Up(block)(rand(1, 3, 7, 6)), block(rand(1, 3, 7, 6)), atol=2e-5)


@pytest.mark.parametrize("minimal", [True, False])
@torch.no_grad()
def test_a_residual_block_is_the_network_s(minimal: bool) -> None:
    block, x = settled(ResBlock2d(128, instance_norm), 5), rand(1, 128, 8, 12)  # enough channels for minimal filtering
    assert torch.allclose(graphs.Residual(block, minimal).eval()(x), block(x), atol=5e-5)


@pytest.mark.parametrize("blocks", [2, 4])
@torch.no_grad()
def test_the_hourglass_reads_its_channels_in_any_order(blocks: int) -> None:
    network, x = settled(Hourglass(4, 6, blocks, 16, instance_norm), 1), rand(1, 6, 32, 32)
    order = [3, 0, 5, 1, 4]
    x[:, 2] = 0
    seen = F.pad(x[:, order], (0, 0, 0, 0, 0, 11))
    before, out = graphs.FastHourglass(network, order)(seen)
    assert torch.allclose(out[:, :4], network(x)[:, :4], atol=5e-5) and torch.equal(out[:, 4:], seen)
    assert before.shape[-1] == 16


@torch.no_grad()
def test_splines_bend_as_the_network_s() -> None:
    points, grid = feeds(), coordinate_grid(16, 24, torch.zeros(1))
    driving, splines = points["driving_points"], points["splines"]
    found = graphs.bent(graphs.squares(driving, grid), grid, splines)
    truth = bent(grid.reshape(-1, 2), driving, splines)[0].reshape(-1, 16, 24, 2)
    assert torch.allclose(found.permute(0, 2, 3, 1), truth, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("seed", range(20))
def test_splines_solved_outside_are_the_networks_own(seed: int) -> None:
    random = np.random.default_rng(seed)
    driving, source, places = (random.uniform(-1, 1, (count, 2)) for count in (POINTS, POINTS, 2 * GROUPS))
    ours = splines(driving, source)
    tensors = [torch.from_numpy(one)[None] for one in (driving, source)]
    theirs = solved_splines(*tensors)
    assert np.allclose(ours, theirs[0].numpy(), rtol=1e-6, atol=1e-8)
    moved = bent(torch.from_numpy(places), tensors[0], theirs)
    assert np.allclose(carried(places, driving, ours), moved[0].numpy(), rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_a_pixel_on_a_keypoint_is_a_number_after_the_export() -> None:
    """There the curve is 0 log 0: what keeps the logarithm finite must outlive the exporter's simplifications."""
    grid = coordinate_grid(16, 16, torch.zeros(1))
    points = feeds(groups=1)
    points["driving_points"] = torch.stack([grid[0, 0], grid[3, 5], grid[3, 5], grid[15, 15], grid[9, 2]])[None].clone()
    splines = solved_splines(points["driving_points"].double(), points["source_points"].double()).float()

    class Bend(nn.Module):
        def forward(self, driving_points: Tensor, splines: Tensor) -> Tensor:
            return graphs.bent(graphs.squares(driving_points, grid), grid, splines)

    inputs = {"driving_points": points["driving_points"], "splines": splines}
    model = export(Bend(), inputs, ["looks"]).model
    session = OrtSession(model)
    looks = session.run({name: value.numpy() for name, value in inputs.items()})["looks"]
    session.close()
    assert np.isfinite(looks).all()
    truth = bent(grid.reshape(-1, 2).double(), points["driving_points"].double(), splines.double())
    assert np.abs(looks - truth[0].mT.reshape(1, 2, 16, 16).numpy()).max() < 2e-5


@torch.no_grad()
def test_appearance_and_generator_are_the_whole() -> None:
    motion, inpainting = settled(small_motion(), 1), settled(small_inpainting(), 2)
    image = picture()
    kept = graphs.AppearanceGraph(motion, inpainting).eval()(image)
    generator = graphs.GeneratorGraph(motion, inpainting).eval()
    pictures = []
    for seed in (0, 50):
        points = feeds(seed)
        truth = whole(motion, inpainting, image, points)
        assert torch.allclose(generator(*kept, **points), truth, atol=5e-5)
        pictures.append(truth)
    assert (pictures[0] - pictures[1]).abs().max() > 0.01  # the keypoints do matter


@pytest.mark.parametrize("avd", [True, False])
def test_a_checkpoint_becomes_a_bundle_that_reenacts_and_that_tensorrt_builds(tmp_path: Path, avd: bool) -> None:
    small_checkpoint(tmp_path / "vox.pth.tar", avd)
    bundle, exported = pack_tpsmm(tmp_path / "vox.pth.tar", tmp_path / "bundle", networks=SMALL)
    assert max(one.largest for one in exported.values()) < 1e-4
    roles = {"keypoints", "appearance", "generator"} | ({"avd"} if avd else set())
    assert bundle.manifest.family == "tpsmm" and set(bundle.manifest.networks) == set(exported) == roles
    assert not faults(bundle)

    portrait = load_image(DEMO / "source.jpg")
    reenactor = Reenactor(bundle, threads=1, transfer=Transfer(relative=True), smooth=False)
    reenactor.set_source(portrait)
    first, second = reenactor.step(portrait), reenactor.step(np.roll(portrait, 9, axis=1))
    assert first.status == second.status == "tracked"
    assert first.image.shape == portrait.shape and not np.array_equal(first.image, portrait)
    truth = drawn_by_torch(tmp_path / "vox.pth.tar", reenactor)
    place = reenactor._sources[0].crop
    seen = mien.image.crop(first.image, place, 256)[64:192, 64:192].astype(float)
    assert np.abs(seen - truth[64:192, 64:192]).mean() < 3  # through the portrait's pixels and back

    absolute = Reenactor(bundle, threads=1, transfer=Transfer(relative=False), smooth=False)
    absolute.set_source(portrait)
    assert (absolute.step(portrait).image != first.image).any() == avd  # which changes even the portrait's own points


@torch.no_grad()
def drawn_by_torch(checkpoint: Path, reenactor: Reenactor) -> NDArray[np.float64]:
    """The first frame of relative motion: driven by its own keypoints, the portrait's are what they were."""
    stored = torch.load(checkpoint, weights_only=True)
    motion, inpainting, detector = small_motion().eval(), small_inpainting().eval(), small_detector().eval()
    networks = {"dense_motion_network": motion, "inpainting_network": inpainting, "kp_detector": detector}
    for name, network in networks.items():
        network.load_state_dict(stored[name])
    source = reenactor._sources[0]
    image = torch.from_numpy(mien.image.to_tensor(mien.image.crop(source.image, source.crop, 256)))
    points = detector(image)
    assert points.shape == (1, POINTS, 2)
    out = whole(motion, inpainting, image, {"driving_points": points, "source_points": points})
    return out[0].permute(1, 2, 0).double().numpy() * 255


def test_in_float16_the_bundle_runs(tmp_path: Path) -> None:
    small_checkpoint(tmp_path / "vox.pth.tar", avd=False)
    full, _ = pack_tpsmm(tmp_path / "vox.pth.tar", tmp_path / "full", minimal=False, networks=SMALL)
    bundle, _ = lower(full, tmp_path / "bundle", "fp16", reenacting())
    for spec in bundle.manifest.networks.values():
        assert spec.precision == "fp16" and spec.parity.max_abs_error <= spec.parity.tolerance
    reenactor = Reenactor(bundle, threads=1)
    reenactor.set_source(DEMO / "source.jpg")
    assert reenactor.step(load_image(DEMO / "source.jpg")).status == "tracked"
    assert not list(tmp_path.glob(".mien-*"))


def test_other_files_are_refused(tmp_path: Path) -> None:
    parts = small_checkpoint(tmp_path / "whole.pth.tar")
    path = tmp_path / "other.pth.tar"

    torch.save({"kp_detector": parts["kp_detector"]}, path)
    with pytest.raises(CheckpointError, match="no weights under 'dense_motion_network.'.*TPSMM's keypoint detector"):
        pack_tpsmm(path, tmp_path / "bundle", networks=SMALL)

    mixed = {"dense_motion_network": parts["inpainting_network"], "inpainting_network": parts["dense_motion_network"]}
    torch.save(parts | mixed, path)
    with pytest.raises(CheckpointError, match="look like TPSMM's inpainting network"):
        pack_tpsmm(path, tmp_path / "bundle", networks=SMALL)

    torch.save({"generator": {"dense_motion_network.mask.weight": torch.zeros(1)}}, path)
    with pytest.raises(CheckpointError, match="no weights under 'kp_detector.'"):
        pack_tpsmm(path, tmp_path / "bundle", networks=SMALL)

    with pytest.raises(CheckpointError, match="another shape"):
        pack_tpsmm(tmp_path / "whole.pth.tar", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
