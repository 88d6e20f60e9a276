"""Taking parts out: each changes what it should, and nothing when it had nothing to say."""

import torch

from mien_export.networks.studio import Appearance, Generator, StudioSizes
from mien_export.networks.studio_motion import MOTION_SIZE, Motion
from tests.training.test_train_generator import a_batch
from training.ablations import WITHOUT, generator_row, without_patches
from training.train_generator import Chain


def stirred(network: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(5)
    for weight in network.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.05)
    return network.eval()


def test_every_part_of_the_generator_that_is_taken_out_shows() -> None:
    appearance, generator = stirred(Appearance()), stirred(Generator())
    assert isinstance(appearance, Appearance) and isinstance(generator, Generator)
    rows = {}
    for name, (change, redo) in WITHOUT.items():
        chain = Chain(appearance, generator)
        kept = {key: value.clone() for key, value in chain.state_dict().items()}
        change(chain)
        rows[name] = generator_row(chain, redo, [a_batch()])
        chain.load_state_dict(kept)
    whole = rows.pop("all parts")
    assert len(rows) == 6 and all(row != whole for row in rows.values())


def test_without_patches_the_trunk_s_landmarks_are_the_landmarks() -> None:
    network = stirred(Motion(StudioSizes(102, 200, 27)))
    assert isinstance(network, Motion)
    image = torch.rand(1, 3, MOTION_SIZE, MOTION_SIZE)
    with torch.no_grad():
        whole, alone = network(image), without_patches(network)(image)
    assert not torch.equal(whole.landmarks, whole.coarse) and torch.equal(alone.landmarks, alone.coarse)
    assert not torch.equal(whole.expression, alone.expression)
