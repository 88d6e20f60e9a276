"""The encoders and ArcFace: public keys, what tells pSp from e4e, folding and joining, and the exported graphs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import InputError
from mien.sessions import OrtSession
from mien_export.graphs.encoders import EncoderGraph, ReStyleGraph, UnrolledReStyleGraph, joined
from mien_export.graphs.identity import IdentityGraph
from mien_export.networks import encoders
from mien_export.networks.encoders import StyleEncoder
from mien_export.networks.irse50 import ArcFace, Subsample, TrunkSizes, Unit
from mien_export.onnx_export import export
from tests.export.parity_cases.encoders import CASES

GOLDENS = Path(__file__).parents[1] / "goldens"
FILES = sorted(file for name in CASES for file in GOLDENS.glob(f"{name}*.json"))
SMALL = TrunkSizes(units=(1, 1, 1, 1), widths=(16, 16, 32, 48))
ROWS_OF_W, SIDE, WIDTH = 10, 64, 48

Network = TypeVar("Network", bound=nn.Module)
Build = Callable[[], StyleEncoder]
SINGLE: dict[str, Build] = {
    "psp": lambda: encoders.GradualStyleEncoder(3, ROWS_OF_W, SIDE, SMALL),
    "e4e": lambda: encoders.Encoder4Editing(3, ROWS_OF_W, SIDE, SMALL),
}
STEPPED: dict[str, Build] = {
    "restyle-psp": lambda: encoders.BackboneEncoder(6, ROWS_OF_W, SIDE, SMALL),
    "restyle-e4e": lambda: encoders.ProgressiveBackboneEncoder(6, ROWS_OF_W, SIDE, SMALL),
    "restyle-psp-pyramid": lambda: encoders.GradualStyleEncoder(6, ROWS_OF_W, SIDE, SMALL),
}


@pytest.fixture(autouse=True)
def steady() -> None:
    torch.manual_seed(7)


def stirred(network: Network) -> Network:
    """With statistics, slopes and biases that a wrong fold would show, and outputs that do not fade with depth."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            layer.running_mean.uniform_(-0.3, 0.3)
            layer.running_var.uniform_(0.5, 1.5)
            if layer.affine:
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.uniform_(layer.bias, -0.2, 0.2)
        if isinstance(layer, nn.PReLU):
            nn.init.uniform_(layer.weight, 0.1, 0.5)
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -0.3, 0.3)
    return network.eval()


def apart(ours: Tensor, truth: Tensor) -> float:
    """Largest difference as a share of the largest value; broadcasting would hide a wrong shape."""
    assert ours.shape == truth.shape
    return float((ours - truth).abs().max() / truth.abs().max())


def in_openvino(model: bytes, feeds: dict[str, np.ndarray], output: str) -> np.ndarray:
    pytest.importorskip("openvino")
    from mien.sessions.openvino import OpenVinoSession

    session = OpenVinoSession(model)
    found = session.run(feeds)[output]
    session.close()
    return found


def check_everywhere(graph: nn.Module, inputs: dict[str, Tensor], output: str) -> bytes:
    """Export from two rows (compared by the exporter), then one row in ONNX Runtime and OpenVINO against torch."""
    model = export(graph, inputs, (output,), "batch").model
    first = {name: tensor[:1] for name, tensor in inputs.items()}
    feeds = {name: tensor.numpy() for name, tensor in first.items()}
    with torch.no_grad():
        truth = graph(**first)
    session = OrtSession(model)
    for found in (session.run(feeds)[output], in_openvino(model, feeds, output)):
        assert apart(torch.from_numpy(found), truth) < 1e-4
    session.close()
    return model


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_public_size_has_the_public_keys(file: Path) -> None:
    case = json.loads(file.read_text("utf-8"))
    with torch.device("meta"):
        network = CASES[case["network"]].build(case["constructor"])
    assert network is not None
    ours = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert ours == {key: entry["shape"] for key, entry in case["tensors"].items()}


def test_a_unit_without_change_of_width_subsamples_as_a_max_pool_would() -> None:
    x = torch.rand(1, 4, 9, 8)
    assert torch.equal(Subsample(2)(x), F.max_pool2d(x, 1, 2))
    assert not list(Unit(16, 16, 2, squeeze=True).shortcut_layer.parameters())


@pytest.mark.parametrize(("plain", "progressive"), [
    (SINGLE["psp"], SINGLE["e4e"]), (STEPPED["restyle-psp"], STEPPED["restyle-e4e"])
])  # fmt: skip
def test_the_progressive_encoders_add_the_first_row_to_the_others(plain: Build, progressive: Build) -> None:
    one, other = stirred(plain()), progressive().eval()
    other.load_state_dict(one.state_dict(), strict=True)
    image = torch.rand(2, one.input_layer[0].in_channels, SIDE, SIDE)
    with torch.no_grad():
        rows, codes = one(image), other(image)
    assert torch.equal(codes[:, 0], rows[:, 0])
    assert apart(codes[:, 1:], rows[:, 1:] + rows[:, :1]) < 1e-6


def test_stacked_blocks_read_what_each_block_reads() -> None:
    blocks = [stirred(encoders.StyleBlock(16, 8)) for _ in range(3)]
    x = torch.randn(2, 16, 8, 8)
    with torch.no_grad():
        assert apart(joined(blocks)(x), torch.stack([block(x) for block in blocks], 1)) < 1e-5


@pytest.mark.parametrize("name", SINGLE)
def test_an_encoder_graph_is_the_encoder_and_the_average(name: str) -> None:
    network, average = stirred(SINGLE[name]()), torch.randn(ROWS_OF_W, WIDTH)
    graph, image = EncoderGraph(network, average, ROWS_OF_W), torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad():
        assert apart(graph(image) - average, network(image * 2 - 1)) < 1e-5


def test_an_encoder_runs_everywhere_and_keeps_only_the_normalisations_that_it_must() -> None:
    graph = EncoderGraph(stirred(SINGLE["psp"]()), torch.randn(WIDTH), ROWS_OF_W)
    model = check_everywhere(graph, {"image": torch.rand(2, 3, SIDE, SIDE)}, "latents")
    norms = [node for node in onnx.load_from_string(model).graph.node if node.op_type == "BatchNormalization"]
    assert len(norms) == sum(SMALL.units), "Only those before a unit's padded convolution stay."


@pytest.mark.parametrize("shape", [(WIDTH,), (1, WIDTH), (ROWS_OF_W, WIDTH)])
def test_every_row_of_a_w_encoder_is_its_code_and_the_average(shape: tuple[int, ...]) -> None:
    network, average = stirred(encoders.WEncoder(sizes=SMALL)), torch.randn(shape)
    graph, image = EncoderGraph(network, average, ROWS_OF_W), torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad():
        expected = network(image * 2 - 1)[:, None].expand(-1, ROWS_OF_W, -1) + average
        assert apart(graph(image), expected) < 1e-5


def test_a_w_encoder_runs_everywhere() -> None:
    graph = EncoderGraph(stirred(encoders.WEncoder(sizes=SMALL)), torch.randn(WIDTH), ROWS_OF_W)
    check_everywhere(graph, {"image": torch.rand(2, 3, SIDE, SIDE)}, "latents")


def test_an_average_or_a_count_of_rows_that_does_not_fit_is_refused() -> None:
    network = SINGLE["psp"]()
    with pytest.raises(InputError, match=r"\(7, 48\).*\(10, 512\) was expected"):
        EncoderGraph(network, torch.zeros(7, WIDTH), ROWS_OF_W)
    with pytest.raises(InputError, match="18 rows of W\\+ were asked for, but the encoder makes 10"):
        EncoderGraph(network, torch.zeros(WIDTH), 18)


def stepped_inputs(batch: int) -> dict[str, Tensor]:
    """The reconstruction leaves [0, 1] on both sides, as a generator's does."""
    return {
        "image": torch.rand(batch, 3, SIDE, SIDE),
        "current": torch.rand(batch, 3, SIDE, SIDE) * 1.4 - 0.2,
        "latents_in": torch.randn(batch, ROWS_OF_W, WIDTH),
    }


@pytest.mark.parametrize("name", STEPPED)
def test_a_round_of_restyle_adds_what_the_encoder_says(name: str) -> None:
    network, inputs = stirred(STEPPED[name]()), stepped_inputs(2)
    both = torch.cat([inputs["image"], inputs["current"]], 1) * 2 - 1
    with torch.no_grad():
        said = ReStyleGraph(network)(**inputs) - inputs["latents_in"]
        assert apart(said, network(both)) < 1e-5


def test_a_round_of_restyle_runs_everywhere() -> None:
    check_everywhere(ReStyleGraph(stirred(STEPPED["restyle-e4e"]())), stepped_inputs(2), "latents")


class Painter(nn.Module):
    """Stands for a generator: latents to a picture that depends on each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.paint = nn.Linear(ROWS_OF_W * WIDTH, 3 * 64)

    def forward(self, latents: Tensor) -> Tensor:
        coarse = self.paint(latents.flatten(1)).unflatten(1, (3, 8, 8))
        return F.interpolate(coarse, scale_factor=SIDE // 8, mode="nearest")


def unrolled_twice() -> UnrolledReStyleGraph:
    step, painter, average = ReStyleGraph(stirred(STEPPED["restyle-psp"]())), Painter().eval(), torch.randn(10, WIDTH)
    with torch.no_grad():
        return UnrolledReStyleGraph(step, painter, average, painter(average[None])[0], steps=2)


def test_unrolled_rounds_are_stepped_rounds() -> None:
    unrolled, image = unrolled_twice(), torch.rand(2, 3, SIDE, SIDE)
    latents, current = unrolled.latent_avg.expand(2, -1, -1), unrolled.average_image.expand(2, -1, -1, -1)
    with torch.no_grad():
        for _ in range(2):
            latents = unrolled.step(image, current, latents)
            current = unrolled.synthesis(latents)
        assert torch.equal(unrolled(image), latents)


@pytest.mark.slow
def test_unrolled_rounds_run_everywhere() -> None:
    check_everywhere(unrolled_twice(), {"image": torch.rand(2, 3, SIDE, SIDE)}, "latents")


@pytest.mark.parametrize("affine", [True, False])
def test_the_identity_graph_crops_pools_and_embeds(affine: bool) -> None:
    network, image = stirred(ArcFace(112, SMALL, affine, embedding=24)), torch.rand(2, 3, 256, 256)
    with torch.no_grad():
        pooled = F.adaptive_avg_pool2d(image[:, :, 35:223, 32:220], 112)
        expected, said = network(pooled * 2 - 1), IdentityGraph(network)(image)
    assert apart(said, expected) < 1e-5
    assert torch.allclose(said.norm(dim=1), torch.ones(2))


def test_the_identity_graph_runs_everywhere() -> None:
    graph = IdentityGraph(stirred(ArcFace(32, SMALL, embedding=24)), 32)
    check_everywhere(graph, {"image": torch.rand(2, 3, 256, 256)}, "embedding")
