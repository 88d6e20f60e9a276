"""The benchmark of the difference maps compares ways that really lead to the same maps."""

import pytest
import torch
from torch import Tensor

from benchmarks import diffcam
from mien_export.networks.difference import DifferenceNetwork

Pair = tuple[DifferenceNetwork, Tensor, Tensor]


@pytest.fixture(scope="module")
def pair() -> Pair:
    torch.manual_seed(3)
    network = diffcam.untrained(DifferenceNetwork(num_class=17, blocks=(1, 1, 2, 1), split=1, width=4))
    inverted = torch.rand(1, 3, 256, 256)
    edited = inverted.clone()
    edited[..., 100:220, 40:90] = torch.rand(1, 3, 120, 50)
    return network, inverted, edited


@pytest.fixture(scope="module")
def ours(pair: Pair) -> diffcam.Ours:
    return diffcam.exported(*pair, threads=1)


def test_from_an_activation_every_way_gives_the_same_maps(pair: Pair, ours: diffcam.Ours) -> None:
    for contest in diffcam.of_activation(pair[0], ours, *pair[1:]):
        assert contest.apart
        assert max(contest.apart.values()) < diffcam.APART


def test_from_pictures_every_way_gives_the_same_map(pair: Pair, ours: diffcam.Ours) -> None:
    maps = ours.whole(pair[1], pair[2], [6, 15])
    assert maps.shape == (2, 256, 256)
    assert maps.max() > 0.5
    assert diffcam.apart(maps, diffcam.lean(*pair, [6, 15])) < diffcam.APART
    assert diffcam.apart(maps, [diffcam.library(*pair, attribute) for attribute in (6, 15)]) < diffcam.APART


def test_a_contender_that_does_one_map_of_many_is_counted_as_often() -> None:
    contest = diffcam.Contest("many", {"ours": list, "theirs": list}, {"theirs": 0.0}, {"theirs": 7})
    result = contest.run(rounds=3)
    slower, timings = result["times_ours"], result["timings"]
    assert isinstance(slower, dict) and isinstance(timings, dict)
    assert slower["ours"] == 1
    assert slower["theirs"] == pytest.approx(7 / timings["theirs"]["speedup"])
