"""Going on from a bundle: the networks compute what the bundle's do, and their normalisations can learn again."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mien.bundle import Bundle
from mien_export.graphs.folding import folded
from mien_export.networks.studio import Appearance, Conv, Detector, Generator, Residual
from training.from_bundle import initialisers, joined, save, take_over
from training.loop import warm_start


def trained(network: nn.Module) -> nn.Module:
    """With normalisations that have seen something."""
    torch.manual_seed(2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias):
                assert tensor is not None
                nn.init.normal_(tensor, 0, 0.3)
            for tensor in (module.running_var, module.weight):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.5, 1.5)
    return network.eval()


def weights(network: nn.Module) -> dict[str, Tensor]:
    """As they stand in a bundle."""
    return dict(folded(network).state_dict())


@torch.no_grad()
def test_it_computes_what_the_bundle_s_network_did_and_its_statistics_are_of_the_samples(tmp_path: Path) -> None:
    old, picture = trained(nn.Sequential(Conv(3, 8, 2), Residual(8), nn.Conv2d(8, 2, 1))), torch.rand(4, 3, 16, 16)
    new = nn.Sequential(Conv(3, 8, 2), Residual(8), nn.Conv2d(8, 2, 1))
    known = take_over(new, weights(old), lambda: new(picture))
    torch.testing.assert_close(new(picture), old(picture), rtol=1e-4, atol=1e-5)
    first = new[0][1]
    seen = new[0][0](picture)
    torch.testing.assert_close(first.running_mean, seen.mean((0, 2, 3)))
    torch.testing.assert_close(first.running_var, seen.var((0, 2, 3)))
    new.train()
    torch.testing.assert_close(new(picture), old(picture), rtol=0.05, atol=0.05)  # statistics of the batch itself

    save(tmp_path / "earlier.pt", {"line": known})
    again = nn.Sequential(Conv(3, 8, 2), Residual(8), nn.Conv2d(8, 2, 1))
    assert warm_start(tmp_path / "earlier.pt", {"line": again}) == []
    torch.testing.assert_close(again.eval()(picture), old(picture), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_parts_that_the_bundle_lacks_are_left_out_and_new_inputs_weigh_nothing() -> None:
    old, new = trained(Appearance()), Appearance()
    stored = {name: value for name, value in weights(old).items() if not name.startswith("identity")}
    stored["features.weight"] = stored["features.weight"][:, :96]
    picture, openings = torch.rand(2, 3, 256, 256), torch.rand(2, 3, 128, 128)
    known = take_over(new, stored, lambda: new(picture, openings))
    assert "identity.weight" not in known and "stem.0.1.running_mean" in known
    one, other = (new(picture, maps)[0] for maps in (openings, torch.zeros_like(openings)))
    torch.testing.assert_close(one, other)


@torch.no_grad()
def test_the_first_convolution_is_put_together_from_both_files() -> None:
    network = trained(Generator())
    assert isinstance(network, Generator)
    whole = weights(network)
    first, channels = whole["enter.0.weight"], network.features
    moving = torch.cat([first[:, :channels], first[:, 2 * channels :], torch.zeros(48, 1, 3, 3)], 1)
    parts = {name: value for name, value in whole.items() if not name.startswith("enter")} | {"weight": moving}
    found = joined(parts, {"weight": first[:, channels : 2 * channels], "bias": whole["enter.0.bias"]}, network)
    torch.testing.assert_close(found["enter.0.weight"], first)
    torch.testing.assert_close(found["enter.0.bias"], whole["enter.0.bias"])


@torch.no_grad()
def test_the_detector_that_ships_is_taken_over_whole() -> None:
    network, picture = Detector(), torch.rand(2, 3, 192, 192)
    bundle = Bundle.open("studio")
    known = take_over(network, initialisers(bundle, "detector"), lambda: network(picture))
    missing = [key for key in network.state_dict() if key not in known]
    assert missing == []
    ours = torch.sigmoid(network(picture[:1])[:, 0]).flatten()
    theirs = bundle.session("detector").run({"image": picture[:1].numpy()})["scores"][0]
    peaks = torch.from_numpy(theirs) > 0
    assert peaks.any()
    assert ours[peaks].numpy() == pytest.approx(theirs[peaks.numpy()], abs=1e-4)
