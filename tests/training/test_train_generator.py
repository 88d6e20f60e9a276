"""Losses of the generator, and its opponent: close-ups are where they should be, and each side learns."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from mien_export.networks.studio import Appearance, Generator
from training.discriminator import CLOSE_UP, Discriminator, close_ups, deceived, judged, matched
from training.loop import Run
from training.train_generator import Chain, Opponent, folds, losses


def a_batch(count: int = 2) -> dict[str, Tensor]:
    torch.manual_seed(4)

    def whole(channels: int, side: int) -> Tensor:
        return torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8)

    points = torch.rand(count, 60, 3) * 1.2 - 0.6
    points[..., 2] = points[..., 2].abs() + 0.1
    return {
        "source": whole(3, 256), "driving": whole(3, 256), "source_points": points,
        "driving_points": points + torch.tensor([0.03, 0.0, 0.0]),
        "source_openings": torch.rand(count, 3, 128, 128), "openings": torch.rand(count, 3, 128, 128),
        "middles": torch.tensor([[[-0.2, -0.1], [0.2, -0.1], [0.0, 0.3]]]).repeat(count, 1, 1),
        "flow": torch.zeros(count, 2, 128, 128), "light": torch.zeros(count, 3, 64, 64),
        "visible": whole(1, 128), "head": whole(1, 128), "rim": whole(1, 128), "near": whole(1, 128),
        "mask": whole(1, 256), "cover": whole(1, 64),
    }  # fmt: skip


def test_every_head_of_the_network_gets_a_gradient() -> None:
    appearance, generator, batch = Appearance(), Generator(), a_batch()
    torch.stack(list(losses(Chain(appearance, generator), batch).found.values())).sum().backward()
    for name in ("flow", "masks", "paint", "shade", "finer", "tint", "film"):
        gradient = getattr(generator, name).weight.grad
        assert gradient is not None and torch.isfinite(gradient).all() and gradient.abs().max() > 0, name
    assert appearance.features.weight.grad is not None and appearance.cover.weight.grad is not None


def test_a_fold_costs_and_a_shift_does_not() -> None:
    axis = torch.linspace(-1, 1, 16)
    mirrored = torch.zeros(1, 2, 16, 16)
    mirrored[:, 0] = -2.5 * axis
    assert folds(torch.full((1, 2, 16, 16), 0.3)) == 0 and folds(mirrored) > 0.1


def test_close_ups_are_cut_where_eyes_and_mouth_are_and_never_beyond_the_edge() -> None:
    rows, columns = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    picture = torch.stack([columns, rows])[None].repeat(2, 1, 1, 1)
    middles = torch.tensor([[[-0.2, -0.1], [0.2, -0.1], [0.0, 0.3]], [[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]]])
    cuts = close_ups(picture, middles)
    assert cuts.shape == (6, 2, CLOSE_UP, CLOSE_UP)
    centre = cuts.mean((2, 3)) + 0.5
    expected = (middles.flatten(0, 1) + 1) * 128
    assert (centre - expected)[[0, 1, 2, 5]].abs().max() <= 0.51
    assert cuts[3, :, 0, 0].tolist() == [0, 0] and cuts[4, :, -1, -1].tolist() == [255, 255]


def test_the_discriminator_learns_to_tell_and_its_loss_says_so() -> None:
    torch.manual_seed(0)
    network = Discriminator()
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    openings, middles = torch.rand(2, 3, 128, 128), torch.zeros(2, 3, 2)
    real, fake = torch.rand(2, 3, 256, 256) * 0.2 + 0.7, torch.rand(2, 3, 256, 256) * 0.2
    seen = []
    for _ in range(6):
        loss = judged(network(real, openings, middles), network(fake, openings, middles))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(float(loss.detach()))
    assert seen[0] == pytest.approx(2, abs=0.3) and seen[-1] < 0.7 * seen[0]
    assert deceived(network(real, openings, middles)) < deceived(network(fake, openings, middles))


def test_features_of_the_same_picture_match() -> None:
    network, picture = Discriminator(), torch.rand(1, 3, 256, 256)
    one = network(picture, torch.zeros(1, 3, 128, 128), torch.zeros(1, 3, 2))
    other = network(1 - picture, torch.zeros(1, 3, 128, 128), torch.zeros(1, 3, 2))
    assert matched(one, one) == 0 and matched(one, other) > 0


def test_the_opponent_begins_when_asked_and_both_sides_step(tmp_path: Path) -> None:
    appearance, generator, batch = Appearance(), Generator(), a_batch(1)
    network = Discriminator()
    run = Run(tmp_path / "discriminator.pt", {"discriminator": network}, 1e-3, 10)
    opponent = Opponent(run, network, begins=10)
    assert [step for step in range(8, 15) if opponent.wanted(step)] == [10, 12, 14]
    before = network.whole.stages[0].parametrizations.weight.original.detach().clone()  # type: ignore[union-attr]
    found = opponent.losses(batch, losses(Chain(appearance, generator), batch), 0.02)
    assert run.step == 1
    after = network.whole.stages[0].parametrizations.weight.original  # type: ignore[union-attr]
    assert not torch.equal(after, before)
    torch.stack(list(found.values())).sum().backward()
    assert generator.paint.weight.grad is not None and generator.paint.weight.grad.abs().max() > 0
    assert all(p.requires_grad for p in network.parameters())
