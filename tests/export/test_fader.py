"""The Fader autoencoder: its three ways up, skips, the codes of attributes, and the exported graph."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from mien.errors import InputError
from mien_export.graphs.fader import FaderGraph
from mien_export.networks.fader import AutoEncoder, FaderSizes, interpolate, one_hot
from mien_export.onnx_export import export

SMALL = FaderSizes(init_fm=4, max_fm=16, n_layers=4, n_attr=2)
VARIANTS = {
    "convtranspose": SMALL,
    "upsampling": replace(SMALL, deconv_method="upsampling", instance_norm=True, n_skip=2),
    "pixelshuffle": replace(SMALL, deconv_method="pixelshuffle", n_skip=1),
}


@pytest.fixture(autouse=True)
def steady() -> None:
    torch.manual_seed(3)


def stirred(network: AutoEncoder) -> AutoEncoder:
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.3, 0.3)
            layer.running_var.uniform_(0.5, 1.5)
        if isinstance(layer, nn.BatchNorm2d | nn.InstanceNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.2, 0.2)
    return network.eval()


@pytest.mark.parametrize("name", VARIANTS)
def test_the_graph_is_the_network_with_pictures_from_0_to_1(name: str) -> None:
    network = stirred(AutoEncoder(VARIANTS[name]))
    image, attributes = torch.rand(2, 3, 32, 32), interpolate(-1.5, 2.0, 2)
    graph = FaderGraph(network)
    with torch.no_grad():
        said, expected = graph(image, attributes), (network(image * 2 - 1, attributes) + 1) / 2
    assert (said - expected).abs().max() < 1e-5
    assert expected.std() > 0.01
    inputs = {"image": image, "attributes": attributes}
    assert export(graph, inputs, ("picture",), "batch").largest < 1e-4


def test_the_attributes_reach_every_layer_and_skips_only_the_first_ones() -> None:
    network = stirred(AutoEncoder(VARIANTS["pixelshuffle"]))
    inputs = [layer[0].in_channels for layer in network.dec_layers]
    assert inputs == [16 + 2, 16 + 2 + 16, 8 + 2, 4 + 2]
    with torch.no_grad():
        encoded = network.encode(torch.rand(1, 3, 64, 64))
        off, on = (network.decode(encoded, interpolate(a, a, 1)) for a in (0.0, 1.0))
    assert torch.equal(off[0], on[0])
    assert all(not torch.equal(a, b) for a, b in zip(off[1:], on[1:], strict=True))


def test_dropout_moves_the_keys_of_nothing_but_itself() -> None:
    """It sits behind the normalisation, before an activation without weights, in the three deepest layers."""
    dropping = AutoEncoder(replace(SMALL, dec_dropout=0.3))
    assert dropping.state_dict().keys() == AutoEncoder(SMALL).state_dict().keys()
    drops = [any(isinstance(part, nn.Dropout) for part in layer) for layer in dropping.dec_layers]
    assert drops == [True, True, True, False]


def test_codes_of_attributes() -> None:
    assert torch.equal(interpolate(0.0, 2.0, 3), torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 2.0]]))
    assert torch.equal(one_hot([2, 3], [1, 0]), torch.tensor([[0.0, 1.0, 1.0, 0.0, 0.0]]))


def test_an_unknown_deconvolution_is_refused() -> None:
    with pytest.raises(InputError, match="'bicubic', but there are: convtranspose, upsampling, pixelshuffle"):
        AutoEncoder(replace(SMALL, deconv_method="bicubic"))  # type: ignore[arg-type]
