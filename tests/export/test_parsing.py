"""Face parsing as it is traced: the same labels as the network after PIL's resize and ImageNet's normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import InputError
from mien.sessions import OrtSession
from mien_export.graphs.fusing import fused
from mien_export.graphs.parsing import PAIRS, SIDE, ParsingGraph, Shrink
from mien_export.networks.bisenet import DEVIATION, LABELS, MEAN, BiSeNet
from mien_export.onnx_export import export


@pytest.fixture(scope="module")
def network() -> BiSeNet:
    """Narrow, with statistics and weights that are not those of a fresh one."""
    torch.manual_seed(11)
    narrow = BiSeNet(width=8)
    for layer in narrow.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.3, 0.3)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.2, 0.2)
    return narrow.eval()


def picture(side: int, batch: int = 1) -> Tensor:
    """Blobs, so that labels have areas and borders."""
    coarse = torch.rand(batch, 3, 12, 12, generator=torch.Generator().manual_seed(side))
    return F.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)


def expected(network: BiSeNet, image: Tensor) -> Tensor:
    """The public test script's steps: resize, normalise, the first of three outputs."""
    fitting = F.interpolate(image, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    normal = (fitting - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(3, 1, 1)
    scores: Tensor = network(normal)[0]
    return scores


def agreement(labels: Tensor | np.ndarray, scores: Tensor, tie: float) -> None:
    """Labels are the largest score's wherever it leads by more than ``tie`` of the largest value."""
    best = scores.topk(2, 1).values
    clear = (best[:, 0] - best[:, 1]) > tie * scores.abs().max()
    assert clear.float().mean() > 0.99, "Too many ties to say anything."
    assert torch.equal(torch.as_tensor(labels).long()[clear], scores.argmax(1)[clear])
    assert len(scores.argmax(1).unique()) > 2


@pytest.mark.parametrize("side", [256, 512, 1024])
@torch.no_grad()
def test_scores_and_labels_are_the_networks(network: BiSeNet, side: int) -> None:
    graph, image = ParsingGraph(network, side).eval(), picture(side)
    truth = expected(network, image)
    assert (graph.scores(image) - truth).abs().max() < 1e-4 * truth.abs().max()
    labels = graph(image)
    assert labels.shape == (1, SIDE, SIDE) and labels.dtype == torch.uint8 and labels.max() < len(LABELS)
    agreement(labels, truth, 1e-4)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_shrinking_is_pils_border_included(factor: int) -> None:
    image = torch.rand(2, 3, 12 * factor, 12 * factor)
    truth = F.interpolate(image, (12, 12), mode="bilinear", antialias=True, align_corners=False)
    assert (Shrink(factor, 12 * factor)(image) - truth).abs().max() < 1e-6


def test_shrinking_is_what_pil_does_to_bytes() -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    small = np.asarray(image.fromarray(pixels).resize((16, 16), image.BILINEAR))
    ours = Shrink(2, 32)(torch.from_numpy(pixels).permute(2, 0, 1)[None].float())[0].permute(1, 2, 0)
    assert np.abs(ours.numpy() - small).max() < 1.01  # PIL rounds after each of its two passes


def test_no_normalisation_and_no_training_head_is_left(network: BiSeNet) -> None:
    names = [name for name, layer in ParsingGraph(network, SIDE).named_modules() if isinstance(layer, nn.BatchNorm2d)]
    assert names == []
    keys = ParsingGraph(network, SIDE).state_dict()
    assert not [key for key in keys if "conv_out16" in key or "conv_out32" in key]
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()), "The network itself was changed."


@torch.no_grad()
def test_fusing_folds_only_what_is_named(network: BiSeNet) -> None:
    block, x = network.cp.resnet.layer2[0], torch.randn(1, 8, 9, 9)
    whole, part = fused(block, PAIRS), fused(block, {"conv1": "bn1"})
    assert isinstance(part.bn2, nn.BatchNorm2d) and isinstance(part.bn1, nn.Identity)
    assert isinstance(whole.bn2, nn.Identity) and isinstance(whole.downsample[1], nn.Identity)
    for folded in (whole, part):
        assert (folded(x) - block(x)).abs().max() < 1e-5


@pytest.mark.parametrize("side", [0, 768, 1000])
def test_sizes_that_do_not_fit_are_refused(network: BiSeNet, side: int) -> None:
    with pytest.raises(InputError, match=f"512.*asked for {side}"):
        ParsingGraph(network, side)


@torch.no_grad()
def test_exported_at_1024_with_any_batch(network: BiSeNet) -> None:
    graph = ParsingGraph(network, 1024)
    exported = export(graph, {"image": picture(1024, 2)}, ["labels"], batch="batch")
    session, image = OrtSession(exported.model), picture(1024, 3)
    labels = session.run({"image": image.numpy()})["labels"]
    session.close()
    assert labels.dtype == np.uint8 and labels.shape == (3, SIDE, SIDE)
    agreement(labels, expected(network, image), 1e-4)
