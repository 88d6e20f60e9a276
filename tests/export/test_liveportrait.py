"""LivePortrait's graphs: each rewrite is exactly what it replaces, on small variants of the public networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien_export.graphs import liveportrait_warp, minimal
from mien_export.graphs.enlarging import EnlargedConv
from mien_export.graphs.liveportrait import (
    AppearanceGraph,
    GeneratorGraph,
    MotionGraph,
    RetargetGraph,
    Stitching,
)
from mien_export.graphs.liveportrait_decoder import Decoder
from mien_export.graphs.liveportrait_warp import Still, Warp, heat_maps, warped
from mien_export.graphs.slices import SlicedConv, SummedConv
from mien_export.networks.liveportrait import (
    AppearanceFeatureExtractor,
    MotionExtractor,
    SPADEDecoder,
    StitchingRetargetingNetwork,
    WarpingNetwork,
)
from mien_export.networks.liveportrait.motion import BackboneSizes
from mien_export.networks.liveportrait.spade import SpectralConv2d
from mien_export.networks.liveportrait.warp import heat, identity_grid, sampled
from mien_export.onnx_export import export
from tests.export.parity_cases.reenact_liveportrait import CASES

GOLDENS = Path(__file__).parents[1] / "goldens"
POINTS, CHANNELS, DEPTH, SIDE = 3, 4, 4, 16
SPACE = DEPTH, SIDE, SIDE

Network = TypeVar("Network", bound=nn.Module)


@pytest.fixture(autouse=True)
def steady() -> None:
    torch.manual_seed(11)


def stirred(network: Network) -> Network:
    """With statistics, biases and spectral vectors that a wrong fold would show."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            layer.running_mean.uniform_(-0.3, 0.3)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.2, 0.2)
        if isinstance(layer, SpectralConv2d):
            layer.weight_orig.data += 0.05
            layer.weight_u.mul_(1.3)
        if isinstance(layer, nn.Conv2d | nn.Conv3d | SpectralConv2d) and layer.bias is not None:
            nn.init.uniform_(layer.bias, -0.3, 0.3)
    return network.eval()


def appearance() -> AppearanceFeatureExtractor:
    return stirred(AppearanceFeatureExtractor(3, 8, 1, CHANNELS * DEPTH, CHANNELS, DEPTH, 2))


def warping(occlusion: bool = True, num_kp: int = POINTS) -> WarpingNetwork:
    dense = {"block_expansion": 8, "max_features": 24, "num_blocks": 2, "reshape_depth": DEPTH, "compress": 2}
    return stirred(WarpingNetwork(num_kp, 8, CHANNELS * DEPTH, 1, CHANNELS, occlusion, dense))


def decoder(upscale: int = 2) -> SPADEDecoder:
    return stirred(SPADEDecoder(upscale, 8, 64, 1, out_channels=8, hidden=8))


def stitching() -> StitchingRetargetingNetwork:
    return StitchingRetargetingNetwork(6 * POINTS, (16, 8), 3 * POINTS + 2).eval()


def points(count: int = POINTS) -> Tensor:
    """Some of them outside the volume, as extreme poses are."""
    return torch.rand(1, count, 3) * 2.2 - 1.1


def apart(ours: Tensor, truth: Tensor) -> float:
    """Largest difference as a share of the largest value; broadcasting would hide a wrong shape."""
    assert ours.shape == truth.shape
    return float((ours - truth).detach().abs().max() / truth.abs().max())


@pytest.mark.parametrize("name", CASES)
def test_the_public_size_has_the_public_keys(name: str) -> None:
    case = json.loads((GOLDENS / f"{name}.json").read_text("utf-8"))
    with torch.device("meta"):
        network = CASES[name].build(case["constructor"])
    assert network is not None
    ours = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert ours == {key: entry["shape"] for key, entry in case["tensors"].items()}


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("kind", [SlicedConv, SummedConv])
def test_slices_are_a_volume(kind: type[SlicedConv] | type[SummedConv], kernel: int) -> None:
    weight, bias, volume = torch.randn(5, 3, kernel, kernel, kernel), torch.randn(5), torch.randn(1, 3, 4, 8, 8)
    truth = F.conv3d(volume, weight, bias, padding=kernel // 2)
    stack = F.pad(volume[0].transpose(0, 1), (0, 0, 0, 0, 0, 2))  # two spare channels
    assert apart(kind(weight, bias, 5)(stack), truth[0].transpose(0, 1)) < 1e-5


@pytest.mark.parametrize("depth", [4, 16])
@pytest.mark.parametrize("kernel", [3, 7])
def test_minimal_filtering_of_the_depth_is_a_convolution(kernel: int, depth: int) -> None:
    weight, bias, stack = torch.randn(5, 3, kernel, kernel, kernel), torch.randn(5), torch.randn(depth, 3, 8, 8)
    with torch.no_grad():
        found = minimal.DepthConv(weight, bias, depth, outputs=8)(stack)
        truth = SlicedConv(weight, bias, outputs=8)(stack)
    assert apart(found, truth) < 5e-5


def test_minimal_filtering_is_a_convolution() -> None:
    conv, x = nn.Conv2d(5, 7, 3, padding=1), torch.randn(1, 5, 12, 16)
    with torch.no_grad():
        assert apart(minimal.MinimalConv(conv)(minimal.Tiles()(x), 12), conv(x)) < 1e-5


def test_spare_outputs_are_zero() -> None:
    conv = SlicedConv(torch.randn(5, 3, 3, 3, 3), torch.randn(5), outputs=8)
    found = conv(torch.randn(4, 3, 8, 8))
    assert found.shape == (4, 8, 8, 8) and not found[:, 5:].any() and found[:, :5].all()


@pytest.mark.parametrize("factor", [2, 4])
def test_an_enlarged_picture_is_convolved_on_the_small_one_to_its_very_edge(factor: int) -> None:
    weight, bias, small = torch.randn(5, 3, 3, 3), torch.randn(5), torch.randn(2, 3, 6, 7)
    large = F.interpolate(small, scale_factor=float(factor), mode="nearest")
    truth = F.conv2d(large, weight, bias, padding=1)
    assert apart(EnlargedConv(weight, bias, factor)(small), truth) < 1e-5


def test_constant_shifts_are_matrix_products() -> None:
    volume, shift = torch.randn(1, 2, *SPACE), points()[0]
    grids = identity_grid(SPACE) + shift[:, None, None, None]
    truth = sampled(volume.expand(POINTS, -1, -1, -1, -1), grids)
    assert apart(warped(volume, shift).permute(1, 2, 0, 3, 4), truth) < 1e-5


def test_heat_maps_are_products_of_their_axes() -> None:
    where = points()
    assert apart(heat_maps(where, SPACE).transpose(0, 1)[None], heat(identity_grid(SPACE), where)) < 1e-5


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("light", [0, 2**17])
@pytest.mark.parametrize("occlusion", [True, False])
def test_the_warp_is_the_networks(occlusion: bool, light: int, quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveportrait_warp, "LIGHT", light)
    network, volume, source, driving = warping(occlusion), torch.randn(1, CHANNELS, *SPACE), points(), points()
    with torch.no_grad():
        still = Still(network.dense_motion_network)(volume, source)
        assert apart(Warp(network, quick)(volume, *still, source, driving), network(volume, driving, source)) < 1e-5


@pytest.mark.parametrize("worth", [4, 1000])
@pytest.mark.parametrize("upscale", [1, 2])
def test_the_decoder_is_the_networks(upscale: int, worth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minimal, "WORTH", worth)
    network, feature = decoder(upscale), torch.randn(1, 16, SIDE, SIDE)
    with torch.no_grad():
        assert apart(Decoder(network, minimal=True)(feature), network(feature)) < 1e-5


def test_no_heat_is_denormal() -> None:
    """Numbers below float32's normal range would make the convolutions behind them several times slower."""
    maps = heat_maps(points(), (16, 64, 64))
    assert not maps[maps < torch.finfo(torch.float32).tiny].any() and maps.max() > 0.5


def test_the_spectral_norm_is_the_stored_one() -> None:
    conv = SpectralConv2d(3, 5, 3)
    conv.weight_u.uniform_(0.1, 1)
    largest = torch.linalg.matrix_norm(conv.weight_orig.detach().flatten(1), 2)
    sigma = float(conv.weight_u @ conv.weight_orig.detach().flatten(1) @ conv.weight_v)
    assert torch.allclose(conv.effective_weight() * sigma, conv.weight_orig)
    assert abs(sigma - float(largest)) > 0.01


def test_appearance_and_what_depends_on_the_source_alone() -> None:
    network, warp, image, source = appearance(), warping(), torch.rand(1, 3, 32, 32), points()
    with torch.no_grad():
        volume, compressed, background, maps = AppearanceGraph(network, warp)(image, source)
        truth = network(image)
        thin = warp.dense_motion_network.compressed(truth)
        seen = sampled(thin, identity_grid(SPACE)[None])
    assert apart(volume, truth) < 1e-5 and apart(compressed, thin) < 1e-5
    assert apart(background, seen[0].transpose(0, 1)) < 1e-5
    assert apart(maps, heat(identity_grid(SPACE), source)[0].transpose(0, 1)) < 1e-5


def test_stitching_moves_every_point_and_then_all_of_them() -> None:
    network, source, driving, offsets = stitching(), points(), points(), points() / 10
    stitch, one, none = Stitching(network), torch.ones(1), torch.zeros(1)
    with torch.no_grad():
        found = network(torch.cat([source.flatten(1), driving.flatten(1)], 1))
        truth = driving + found[:, :-2].view(1, POINTS, 3) + offsets
        truth[..., :2] += found[:, None, -2:]
        assert torch.allclose(stitch(source, driving, one, offsets, one), truth, atol=1e-6)
        assert torch.allclose(stitch(source, driving, none, offsets, one), driving + offsets, atol=1e-6)
        assert torch.allclose(stitch(source, driving, one, offsets, none), source)
        half = stitch(source, driving, one, offsets, one / 2)
    assert torch.allclose(half, (source + truth) / 2, atol=1e-6)


def generator_inputs(appearance_graph: AppearanceGraph) -> dict[str, Tensor]:
    source = points()
    with torch.no_grad():
        found = appearance_graph(torch.rand(1, 3, 32, 32), source)
    context = dict(zip(("volume", "compressed", "context", "context_heat"), found, strict=True))
    return context | {
        "source_points": source, "driving_points": points(), "stitching": torch.ones(1),
        "offsets": points() / 10, "multiplier": torch.tensor([0.8]),
    }  # fmt: skip


def test_the_generator_runs_in_onnx_and_is_the_chain_of_the_public_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    network, warp, paint, mlp = appearance(), warping(), decoder(), stitching()
    inputs = generator_inputs(AppearanceGraph(network, warp))
    monkeypatch.setattr(minimal, "WORTH", 16)
    graph = GeneratorGraph(warp, paint, mlp)
    exported = export(graph, inputs, ("image", "points"))
    with torch.no_grad():
        image, used = graph(**inputs)
        truth = paint(warp(inputs["volume"], used, inputs["source_points"]))
    assert apart(image, truth) < 1e-5
    model = onnx.load_from_string(exported.model)
    nodes = [node.op_type for node in model.graph.node]
    assert nodes.count("GridSample") == 1 and [o.version for o in model.opset_import if not o.domain] == [20]
    ranks = {weight.name: len(weight.dims) for weight in model.graph.initializer}
    assert not [n for n in model.graph.node if n.op_type == "Conv" and ranks.get(n.input[1], 4) == 5]


def test_appearance_runs_in_onnx() -> None:
    graph = AppearanceGraph(appearance(), warping())
    inputs = {"image": torch.rand(1, 3, 32, 32), "source_points": points()}
    export(graph, inputs, ("volume", "compressed", "context", "context_heat"))


def test_motion_is_decoded_and_runs_in_onnx_for_any_number_of_faces() -> None:
    network = MotionExtractor(POINTS, sizes=BackboneSizes((1, 1, 2, 1), (8, 8, 16, 16))).eval()
    for name, value in network.named_parameters():
        if "grn" in name or name.endswith("bias"):
            nn.init.uniform_(value, -0.5, 0.5)
    graph, image = MotionGraph(network), torch.rand(2, 3, 64, 64)
    outputs = "angles", "translation", "expression", "scale", "keypoints"
    export(graph, {"image": image}, outputs, "batch")
    with torch.no_grad():
        angles, translation, expression, scale, keypoints = graph(image)
        raw = network(image)
        share = torch.softmax(raw.yaw, 1).numpy()
    assert np.allclose(angles[:, 1].numpy(), 3 * (share @ np.arange(66)) - 97.5, atol=1e-4)
    assert angles.shape == (2, 3) and scale.shape == (2, 1) and torch.equal(translation, raw.translation)
    assert torch.equal(expression[1, 2], raw.expression[1, 6:]) and torch.equal(keypoints[1, 0], raw.keypoints[1, :3])


def test_retargeting_runs_in_onnx_for_any_number() -> None:
    graph = RetargetGraph(StitchingRetargetingNetwork(3 * POINTS + 2, (8, 8), 3 * POINTS))
    found = export(graph, {"feature": torch.randn(2, 3 * POINTS + 2)}, ("delta",), "batch")
    assert found.largest < 1e-5
