"""The difference network: the public keys, what is subtracted from what, folding, augmented rows, both runtimes."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mien.sessions import open_session
from mien_export.graphs.difference import NORMALISED, DifferenceGraph, augmented
from mien_export.graphs.fusing import fused
from mien_export.networks.difference import DifferenceNetwork
from mien_export.onnx_export import export

GOLDEN = Path(__file__).parents[1] / "goldens" / "eogi_diff.json"
ROWS = {"flip": "batch", "brightness": "batch"}


def small_network() -> DifferenceNetwork:
    """The same architecture with a block or two a stage, and statistics that folding can go wrong on."""
    torch.manual_seed(7)
    network = DifferenceNetwork(num_class=5, blocks=(1, 2, 3, 2), split=1, width=4)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.uniform_(-0.3, 0.3)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.2, 0.2)
    return network.eval()


def pictures(side: int = 64) -> tuple[Tensor, Tensor]:
    """Inverted and edited, in [0, 1]; they differ in the left half."""
    torch.manual_seed(8)
    inverted = torch.rand(1, 3, side, side)
    edited = inverted.clone()
    edited[..., : side // 2] = torch.rand(1, 3, side, side // 2)
    return inverted, edited


def test_the_keys_and_shapes_are_those_of_the_public_checkpoint() -> None:
    wanted = {key: entry["shape"] for key, entry in json.loads(GOLDEN.read_text("utf-8"))["tensors"].items()}
    with torch.device("meta"):
        ours = DifferenceNetwork().state_dict()
    assert {key: list(tensor.shape) for key, tensor in ours.items()} == wanted


def apart(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference, as a share of the largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


@torch.no_grad()
def test_the_inverted_picture_is_subtracted_from_the_edited_one() -> None:
    network, (inverted, edited) = small_network(), pictures()
    features = network(inverted, edited)
    assert apart(features.delta, network.shared(edited) - network.shared(inverted)) < 1e-5
    assert apart(network(edited, inverted).delta, -features.delta) < 1e-5
    assert apart(network(edited, inverted).scores, features.scores) > 0.01
    assert features.activation.min() >= 0


@torch.no_grad()
def test_folding_changes_no_output() -> None:
    network, (inverted, edited) = small_network(), pictures()
    folded = fused(network, NORMALISED)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    ours, theirs = folded(inverted, edited), network(inverted, edited)
    assert apart(ours.activation, theirs.activation) < 1e-5
    assert apart(ours.scores, theirs.scores) < 1e-5


@torch.no_grad()
def test_each_row_is_the_network_on_its_own_augmented_pictures() -> None:
    network, (inverted, edited) = small_network(), pictures()
    rows = torch.tensor([False, True, True]), torch.tensor([1.0, 1.1, 0.9])
    activation, scores = DifferenceGraph(network)(inverted, edited, *rows)
    for row, (flip, brightness) in enumerate(zip(*rows, strict=True)):
        before, after = ((p.flip(-1) if flip else p).mul(2).sub(1) * brightness for p in (inverted, edited))
        alone = network(before, after)
        assert apart(activation[row], alone.activation[0]) < 1e-5
        assert apart(scores[row], alone.scores[0]) < 1e-5
    assert apart(activation[1], activation[2]) > 0.01


def test_brightness_leaves_grey_and_cuts_nothing() -> None:
    picture = torch.tensor([0.0, 1.0, -0.95]).view(1, 1, 1, 3)
    rows = augmented(picture, torch.tensor([False, True]), torch.tensor([1.5, 2.0]))
    assert torch.equal(rows.flatten(1), torch.tensor([[0.0, 1.5, -1.425], [-1.9, 2.0, 0.0]]))


@pytest.mark.parametrize("backend", ["ort", "openvino"])
def test_the_exported_graph_takes_any_number_of_rows(backend: str) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    graph, (inverted, edited) = DifferenceGraph(small_network()), pictures()
    inputs = {"inverted": inverted, "edited": edited, "flip": torch.tensor([True, False]), "brightness": torch.ones(2)}
    exported = export(graph, inputs, ("activation", "scores"), ROWS)
    session = open_session(exported.model, backend, threads=1)
    for count in (1, 6):
        rows = {"flip": torch.arange(count) % 2 == 1, "brightness": torch.linspace(0.9, 1.1, count)}
        found = session.run({name: tensor.numpy() for name, tensor in {**inputs, **rows}.items()})
        with torch.no_grad():
            activation, scores = graph(**{**inputs, **rows})
        assert apart(torch.from_numpy(found["activation"]), activation) < 1e-5
        assert apart(torch.from_numpy(found["scores"]), scores) < 1e-5
