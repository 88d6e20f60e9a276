"""The benchmark of the families compares chains that draw the same picture, and counts every contender."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import rivals
from benchmarks.networks import PEAK
from benchmarks.reenact_families import KINDS, Measured, measure, psnr
from mien_export.networks.lia import Generator
from mien_export.pack.liveportrait import Weighted
from tests.export import small_fomm, small_liveportrait, small_tpsmm
from tests.export.small_liveportrait import NETWORKS, stirred


def picture(side: int = 256) -> torch.Tensor:
    small = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    return torch.nn.functional.interpolate(small, (side, side), mode="bilinear")


def fomm() -> rivals.Chain:
    torch.manual_seed(1)
    given = {"source_image": picture()}
    for who in ("source", "driving"):
        given[f"kp_{who}_value"] = torch.rand(1, small_fomm.POINTS, 2) - 0.5
        given[f"kp_{who}_jacobian"] = torch.eye(2) + 0.2 * torch.rand(1, small_fomm.POINTS, 2, 2)
    detector, generator = small_fomm.small_detector(), small_fomm.small_generator()
    small_fomm.settled(detector, 1), small_fomm.settled(generator, 2)
    return rivals.fomm_chain(detector, generator, given)


def lia() -> rivals.Chain:
    torch.manual_seed(2)
    pictures = {name: picture(32) * 2 - 1 for name in ("source", "driving")}
    return rivals.lia_chain(Generator(32, 16, 4, widest=8), pictures)


def liveportrait() -> rivals.Chain:
    torch.manual_seed(3)
    made = (
        NETWORKS.appearance, NETWORKS.motion, NETWORKS.warp, NETWORKS.decoder, NETWORKS.stitching, NETWORKS.eye,
        NETWORKS.lip,
    )  # fmt: skip
    points = {f"kp_{who}": 0.3 * torch.randn(1, 21, 3) for who in ("source", "driving")}
    side = small_liveportrait.SIDE
    return rivals.liveportrait_chain(Weighted(*(stirred(make()) for make in made)), picture(side), points, side)


def tpsmm() -> rivals.Chain:
    torch.manual_seed(4)
    source = torch.rand(1, 50, 2) * 1.6 - 0.8
    given = {"source_image": picture(), "kp_source": source, "kp_driving": source + 0.1 * torch.randn(1, 50, 2)}
    made = small_tpsmm.small_detector(), small_tpsmm.small_motion(), small_tpsmm.small_inpainting()
    detector, dense, paint = made
    for seed, network in enumerate(made):
        small_tpsmm.settled(network, seed)
    return rivals.tpsmm_chain(detector, dense, paint, given)


@pytest.mark.parametrize("make", [fomm, lia, liveportrait, tpsmm])
def test_a_small_family_is_measured_and_draws_the_same_picture(make: object) -> None:
    assert callable(make)
    measured = measure(make(), rounds=1, threads=1)
    check(measured)
    assert measured.psnr > 80 and measured.contrast > 0.001


def check(measured: Measured) -> None:
    roles = list(measured.chain.rivals)
    assert set(measured.timings) == {PEAK} | {f"{role}, {kind}" for role in roles for kind in KINDS}
    assert all(cost > 0 for cost in measured.gflop.values())
    frame = sum(measured.timings[f"{role}, as is"].median_ms for role in measured.chain.each_frame)
    assert measured.milliseconds("as is") == pytest.approx(frame)
    again = sum(measured.timings[f"{role}, as is"].median_ms for role in measured.chain.again)
    assert measured.milliseconds("as is", published=True) == pytest.approx(frame + again)
    assert [str(row[0]).split(" (")[0] for row in measured.rows()][: len(roles)] == roles
    stored = json.loads(json.dumps(measured.report()))
    assert stored["ours_over_as_is"] == pytest.approx(measured.milliseconds("ours") / frame)


def test_psnr_is_of_pictures_from_0_to_1() -> None:
    truth = torch.zeros(1, 3, 4, 4).numpy()
    assert psnr(truth + 0.1, truth) == pytest.approx(20)
    assert psnr(truth, truth) == float("inf")


@pytest.mark.parametrize("family", sorted(rivals.FAMILIES))
def test_the_parity_cases_are_there(family: str) -> None:
    assert list(rivals.GOLDENS.glob(f"{family}_*.json"))
