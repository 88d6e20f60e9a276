"""LIA exported: the rewritten graphs give what the network gives, and a checkpoint becomes a bundle that runs."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import mien
from mien.image import crop as cut
from mien.image import load_image, to_tensor
from mien.reenact import Reenactor, Transfer, open_family
from mien.reenact.lia import Lia
from mien_export.checkpoints import CheckpointError
from mien_export.graphs import lia as graphs
from mien_export.networks.lia import NUDGE, Generator, sides
from mien_export.onnx_export import export
from mien_export.pack.lia import pack_lia
from tests.export import filling
from tests.export.rtx_build import faults

GOLDENS = Path(__file__).parents[1] / "goldens"
DEMO = Path(mien.__file__).parent / "bundles" / "studio" / "demo"
SIZE, STYLE, MOTION = 64, 24, 5


def small_generator(seed: int = 1, size: int = SIZE) -> Generator:
    """Every weight random, buffers as built; strong motion."""
    generator = Generator(size, STYLE, MOTION, widest=8)
    random = torch.Generator().manual_seed(seed)
    for name, weight in generator.named_parameters():
        spread = 0.1 if "bias" in name else 2.0 if "fc." in name else 0.3 if "to_flows" in name else 1.0
        weight.data = spread * torch.randn(weight.shape, generator=random) + float(name.endswith("modulation.bias"))
    return generator.eval().requires_grad_(False)


def pictures(count: int, size: int = SIZE, seed: int = 0) -> Tensor:
    """In [0, 1]; smooth, because a warp multiplies what is lost by the steepness of what it moves."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (size, size), mode="bilinear")


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def generator() -> Generator:
    return small_generator()


def nearly(ours: Tensor, truth: Tensor, tolerance: float = 2e-5) -> bool:
    """Against the largest value."""
    return ours.shape == truth.shape and bool((ours - truth).abs().max() <= tolerance * truth.abs().max())


def whole(generator: Generator, portrait: Tensor, driving: Tensor, first: Tensor | None) -> Tensor:
    """As the public code computes it, in [0, 1]."""
    seen = [None if one is None else 2 * one - 1 for one in (portrait, driving, first)]
    assert seen[0] is not None and seen[1] is not None
    return ((generator(seen[0], seen[1], seen[2]) + 1) / 2).clamp(0, 1)


def chain(generator: Generator, portrait: Tensor, driving: Tensor, first: Tensor | None) -> Tensor:
    """As the three graphs do."""
    latent, own, *features = graphs.AppearanceGraph(generator)(portrait)
    motion = graphs.MotionGraph(generator)
    magnitudes = motion(driving) if first is None else motion(driving) - motion(first) + own
    named = {f"feature_{one.shape[-1]}": one for one in features}
    image: Tensor = graphs.GeneratorGraph(generator)(latent, magnitudes, **named)
    return image


@pytest.mark.parametrize("size", [8, 32, SIZE])
@pytest.mark.parametrize("relative", [True, False])
def test_the_three_graphs_are_the_network(size: int, relative: bool) -> None:
    generator = small_generator(size=size)
    portrait, driving, first = pictures(3, size).split(1)
    start = first if relative else None
    truth = whole(generator, portrait, driving, start)
    assert nearly(chain(generator, portrait, driving, start), truth)
    assert truth.std() > 0.03 and not nearly(whole(generator, portrait, first, start), truth, 0.02), "a test that tells"


def test_what_a_portrait_gives(generator: Generator) -> None:
    portrait = pictures(1)
    truth = generator.enc(2 * portrait - 1)
    latent, own, *features = graphs.AppearanceGraph(generator)(portrait)
    assert nearly(latent, truth.latent) and nearly(own, generator.enc.motion(truth.latent))
    assert [one.shape[-1] for one in features] == list(sides(SIZE)) == [8, 16, 32, 64]
    assert all(nearly(ours, theirs) for ours, theirs in zip(features[:-1], truth.features[:-1], strict=True))
    assert features[-1].shape == (1, 3, SIZE, SIZE), "the largest as the three channels that it is seen by"


def test_a_batch_of_driving_frames_is_each_alone(generator: Generator) -> None:
    frames, graph = pictures(3), graphs.MotionGraph(generator)
    truth = generator.enc.motion(generator.enc(2 * frames - 1).latent)
    assert nearly(graph(frames), truth)
    assert nearly(torch.cat([graph(one) for one in frames.split(1)]), truth)


def test_five_linears_are_one(generator: Generator) -> None:
    codes = torch.randn(4, STYLE, generator=torch.Generator().manual_seed(3))
    assert nearly(graphs.joined(generator.enc)(codes), generator.enc.motion(codes), 1e-6)


def test_the_directions_are_orthonormal_with_the_signs_of_lapack(generator: Generator) -> None:
    """A sign that is turned moves the portrait the other way; only these are the ones of the training."""
    weight = generator.dec.direction.weight.detach().numpy()
    q, r = np.linalg.qr(weight + np.float32(NUDGE))
    basis = generator.dec.direction.basis().numpy()
    np.testing.assert_allclose(basis, q, atol=1e-6)
    np.testing.assert_allclose(basis.T @ basis, np.eye(MOTION), atol=1e-6)
    assert (np.diag(r) < 0).any(), "normalised signs would be others"


def test_what_is_left_out_changes_nothing() -> None:
    generator, changed = small_generator(), small_generator()
    for name, weight in changed.named_parameters():
        if "noise" in name or "to_rgb1" in name:
            weight.data = weight.data + 5
    portrait, driving = pictures(2).split(1)
    assert torch.equal(whole(generator, portrait, driving, None), whole(changed, portrait, driving, None))
    assert torch.equal(chain(generator, portrait, driving, None), chain(changed, portrait, driving, None))


def checkpoint(path: Path, generator: Generator) -> Path:
    """As the public trainer writes it."""
    parts = {
        "gen": OrderedDict(generator.state_dict()),
        "dis": OrderedDict({"convs.0.0.weight": torch.zeros(4, 3, 1, 1)}),
        "g_optim": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 2e-3}]},
    }
    torch.save(parts, path)
    return path


@pytest.fixture(scope="module")
def packed(generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> mien.Bundle:
    folder = tmp_path_factory.mktemp("lia")
    bundle, exported = pack_lia(checkpoint(folder / "vox.pt", generator), folder / "bundle")
    assert set(exported) == {"motion", "appearance", "generator"}
    assert max(one.largest for one in exported.values()) < 2e-5
    return bundle


def test_a_bundle_says_what_it_is(packed: mien.Bundle) -> None:
    manifest = packed.manifest
    assert (manifest.task, manifest.family, manifest.name) == ("reenact", "lia", "bundle")
    assert manifest.licence.code == manifest.licence.weights == "CC-BY-NC-4.0"
    assert "vox.pt" in manifest.origin and "commercial" in manifest.origin
    tensors = {role: [info.name for info in (*spec.inputs, *spec.outputs)] for role, spec in manifest.networks.items()}
    features = [f"feature_{side}" for side in sides(SIZE)]
    assert tensors == {
        "motion": ["image", "motion"],
        "appearance": ["image", "latent", "motion", *features],
        "generator": ["latent", "motion", *features, "image"],
    }


def test_tensorrt_builds_every_network(packed: mien.Bundle) -> None:
    assert not faults(packed)


def test_a_packed_bundle_draws_what_the_network_draws(packed: mien.Bundle, generator: Generator) -> None:
    family = open_family(packed, threads=1)
    assert isinstance(family, Lia)
    picture = load_image(DEMO / "source.jpg")
    source = family.source(picture)
    tracked = family.tracker().step(picture)
    assert tracked is not None
    portrait = torch.from_numpy(to_tensor(cut(picture, source.crop, SIZE)))
    driving, first = pictures(2).split(1)
    moves = [graphs.MotionGraph(generator)(one)[0].numpy() for one in (driving, first)]
    now, then = (family.motion_type(move) for move in moves)
    for reference, transfer in ((then, Transfer()), (None, Transfer(relative=False))):
        feeds = {**source.tensors, "motion": now.magnitudes[None].astype(np.float32)}
        if reference is not None:
            feeds["motion"] += (source.magnitudes - reference.magnitudes).astype(np.float32)
        ours = family.sessions["generator"].run(feeds)["image"]
        truth = whole(generator, portrait, driving, first if reference is not None else None).numpy()
        assert decibel(ours, truth) >= 60
        assert family.render(source, now, reference, transfer).shape == picture.shape


def test_a_packed_bundle_reenacts(packed: mien.Bundle) -> None:
    reenactor = Reenactor(packed, threads=1)
    picture = load_image(DEMO / "source.jpg")
    reenactor.set_source(picture)
    assert reenactor.step(picture).status == "tracked"


def test_generators_without_the_rest_of_a_training_file(generator: Generator, tmp_path: Path) -> None:
    torch.save(dict(generator.state_dict()), tmp_path / "bare.pt")
    bundle, _ = pack_lia(tmp_path / "bare.pt", tmp_path / "bundle")
    assert bundle.manifest.family == "lia"


def test_files_that_are_not_lias(generator: Generator, tmp_path: Path) -> None:
    fomm = {"generator": {"final.weight": torch.zeros(3, 4, 7, 7)}, "kp_detector": {"kp.weight": torch.zeros(2)}}
    torch.save(fomm, tmp_path / "fomm.pt")
    with pytest.raises(CheckpointError, match="do not fit LIA's generator"):
        pack_lia(tmp_path / "fomm.pt", tmp_path / "out")
    torch.save({"dis": {"convs.0.0.weight": torch.zeros(4, 3, 1, 1)}}, tmp_path / "discriminator.pt")
    with pytest.raises(CheckpointError, match="are missing"):
        pack_lia(tmp_path / "discriminator.pt", tmp_path / "out")
    state = generator.state_dict()
    torch.save({"gen": {key: value for key, value in state.items() if "fc.4" not in key}}, tmp_path / "short.pt")
    with pytest.raises(CheckpointError, match=r"2 of \d+ tensors are missing \(enc\.fc\.4"):
        pack_lia(tmp_path / "short.pt", tmp_path / "out")
    encoder = {key: value for key, value in small_generator(2, 32).state_dict().items() if key.startswith("enc.")}
    decoder = {key: value for key, value in state.items() if key.startswith("dec.")}
    torch.save({"gen": {**encoder, **decoder}}, tmp_path / "mixed.pt")
    with pytest.raises(CheckpointError, match="do not fit"):
        pack_lia(tmp_path / "mixed.pt", tmp_path / "out")
    torch.save({"gen": {**state, "dec.direction.weight": torch.full((STYLE, MOTION), math.nan)}}, tmp_path / "nan.pt")
    with pytest.raises(CheckpointError, match="NaN"):
        pack_lia(tmp_path / "nan.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def decibel(ours: np.ndarray, truth: np.ndarray) -> float:
    """PSNR of pictures in [0, 1]."""
    return float(-10 * np.log10(max(float(np.square(ours - truth).mean()), 1e-20)))


@pytest.mark.slow
def test_the_public_size_is_the_networks_to_60_dB() -> None:
    """With the weights and pictures of the golden, through ONNX."""
    case = json.loads((GOLDENS / "lia_generator.json").read_text("utf-8"))
    generator = Generator(**case["constructor"])
    generator.load_state_dict(filling.weights(case))
    generator.eval().requires_grad_(False)
    portrait, driving, first = (
        (filling.inputs(case)[name] + 1) / 2 for name in ("source", "driving", "driving_first")
    )
    latent, own, *features = graphs.AppearanceGraph(generator)(portrait)
    motion = graphs.MotionGraph(generator)
    feeds = {"latent": latent, "motion": motion(driving) - motion(first) + own}
    feeds |= {f"feature_{one.shape[-1]}": one for one in features}
    exported = export(graphs.GeneratorGraph(generator), feeds, ["image"])
    assert exported.largest < 1e-4
    truth = whole(generator, portrait, driving, first)
    assert decibel(graphs.GeneratorGraph(generator)(**feeds).numpy(), truth.numpy()) >= 60
