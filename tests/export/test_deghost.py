"""Artefact suppression as it is traced: what the network gives, from any generator's size, with constant weights."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mien.errors import InputError
from mien.sessions import OrtSession
from mien_export.graphs.deghost import DeghostGraph
from mien_export.networks.deghosting import Deghosting
from mien_export.onnx_export import Exported, export


def small(in_size: int = 16, out_size: int = 64) -> Deghosting:
    """Narrow, with noise strengths, biases and styles that are not those of a fresh one."""
    torch.manual_seed(7)
    network = Deghosting(
        in_size, out_size, style_channels=24, rrdb_channels=8, num_rrdbs=2, growth_channels=4, widest=32
    )
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.2 * weight.std(correction=0) * torch.randn_like(weight) + 0.05 * torch.randn_like(weight)
    return network.eval()


@pytest.fixture(scope="module")
def network() -> Deghosting:
    return small()


def picture(side: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(side))


def redrawn(network: Deghosting, image: Tensor) -> Tensor:
    """The published steps: area resize, network, and back to [0, 1]."""
    side = network.sizes.in_size
    small = F.interpolate(image, (side, side), mode="area") * 2 - 1
    return ((network(small).image + 1) / 2).clamp(0, 1)


@pytest.mark.parametrize("sizes", [(16, 64), (16, 32), (8, 64), (16, 16)])
@torch.no_grad()
def test_constant_weights_change_nothing(sizes: tuple[int, int]) -> None:
    network, image = small(*sizes), picture(sizes[1], batch=2)
    clean, truth = DeghostGraph(network, sizes[1]).eval()(image), redrawn(network, image)
    assert clean.shape == (2, 3, sizes[1], sizes[1])
    assert truth.std() > 0.1 and ((truth > 0) & (truth < 1)).float().mean() > 0.3, "A picture to be wrong about."
    assert (clean - truth).abs().max() < 1e-4


@torch.no_grad()
def test_other_resolutions_are_means_or_enlargements(network: Deghosting) -> None:
    for side in (8, 32):
        truth = F.interpolate(redrawn(network, picture(side)), (side, side), mode="area")
        assert (DeghostGraph(network, side)(picture(side)) - truth).abs().max() < 1e-4
    truth = F.interpolate(redrawn(network, picture(128)), (128, 128), mode="bilinear", align_corners=False)
    assert (DeghostGraph(network, 128)(picture(128)) - truth).abs().max() < 1e-4


@pytest.mark.parametrize("side", [0, 24, 100])
def test_sizes_that_do_not_fit_are_refused(network: Deghosting, side: int) -> None:
    with pytest.raises(InputError, match=f"takes pictures of 16 .* gives 64; {side} is neither"):
        DeghostGraph(network, side)


@torch.no_grad()
def test_what_is_left_out_never_reaches_the_picture(network: Deghosting) -> None:
    """And what is kept does: the noise, for one."""
    image, changed = picture(64), small()
    before = redrawn(network, image)
    for name, weight in changed.named_parameters():
        if "to_rgb" in name or "fusion_skip" in name or "style_mapping" in name:
            weight.normal_()
    assert torch.equal(redrawn(changed, image), before)
    changed.generator.convs[3].noise_injector.weight += 1
    assert not torch.equal(redrawn(changed, image), before)
    kept, whole = (sum(w.numel() for w in net.parameters()) for net in (DeghostGraph(network, 64), network))
    assert kept < whole


@torch.no_grad()
def test_the_network_itself_is_not_changed() -> None:
    network, fresh = small(), small()
    DeghostGraph(network, 64)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), fresh.parameters(), strict=True))


@torch.no_grad()
def test_the_generators_own_picture_is_modulated_per_row(network: Deghosting) -> None:
    """Rows of a batch have codes of their own; together or alone, they give the same."""
    pair = picture(16, batch=2) * 2 - 1
    together, alone = network(pair), network(pair[1:])
    for name in ("image", "preview"):
        assert (getattr(together, name)[1:] - getattr(alone, name)).abs().max() < 1e-4
    assert not torch.allclose(together.preview[0], together.preview[1], atol=1e-2)


@pytest.fixture(scope="module")
def exported(network: Deghosting) -> Exported:
    with torch.no_grad():
        return export(DeghostGraph(network, 64), {"fused": picture(64, 2)}, ["clean"], batch="batch")


@torch.no_grad()
def test_exported_with_any_batch(network: Deghosting, exported: Exported) -> None:
    assert exported.largest < 1e-4
    image = picture(64, 3)
    session = OrtSession(exported.model)
    clean = session.run({"fused": image.numpy()})["clean"]
    session.close()
    assert clean.dtype == np.float32 and clean.shape == (3, 3, 64, 64)
    assert np.abs(clean - redrawn(network, image).numpy()).max() < 1e-4


def test_every_convolutions_weights_are_constants(exported: Exported) -> None:
    model = onnx.load_from_string(exported.model)
    made = {tensor.name for tensor in model.graph.initializer}
    made |= {name for node in model.graph.node if node.op_type in ("Cast", "Constant") for name in node.output}
    convolutions = [node for node in model.graph.node if node.op_type.startswith("Conv")]
    assert len(convolutions) > 30 and all(node.input[1] in made for node in convolutions)
