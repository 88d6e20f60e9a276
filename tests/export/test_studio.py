"""The studio networks: folding and rounding, the flow prior against a plain sum, what is composed of their maps."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mien_export.graphs import folding
from mien_export.graphs import studio as graphs
from mien_export.networks import studio, studio_motion
from mien_export.onnx_export import ParityError, compare, export
from tests.export.stirring import stirred


@pytest.fixture(autouse=True)
def steady() -> None:
    torch.manual_seed(5)


def still_parts() -> studio.Still:
    return studio.Still(torch.rand(1, 3, 128, 128), torch.rand(1, 12, 128, 128))


def generator_inputs(points: int = 120) -> dict[str, Any]:
    spots = torch.rand(1, points, 3) * 1.6 - 0.8
    spots[..., 2] = torch.rand(1, points)
    moved = spots + torch.cat([torch.randn(1, points, 2) * 0.05, torch.zeros(1, points, 1)], -1)
    return {
        "features": torch.randn(1, 32, 64, 64),
        "identity": torch.nn.functional.normalize(torch.randn(1, 64), dim=1),
        "still": still_parts(),
        "source_points": spots,
        "driving_points": moved,
        "openings": torch.rand(1, 3, 128, 128),
    }


def source_inputs() -> dict[str, torch.Tensor]:
    """Of the appearance network."""
    return {"image": torch.rand(1, 3, 256, 256), "openings": torch.rand(1, 3, 128, 128)}


def test_folding_changes_no_output() -> None:
    network, inputs = stirred(studio.Appearance()), source_inputs()
    with torch.no_grad():
        for ours, theirs in zip(folding.folded(network)(**inputs), network(**inputs), strict=True):
            assert (ours - theirs).abs().max() < 1e-4
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folding.folded(network).modules())


@pytest.fixture(scope="module")
def small() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """A piece of the networks that exports in no time, folded, and its input."""
    torch.manual_seed(5)
    return folding.folded(stirred(studio.Residual(96))), {"x": torch.rand(1, 96, 8, 8)}


def test_rounded_weights_are_stored_in_half_the_space(small: tuple[nn.Module, dict[str, torch.Tensor]]) -> None:
    network, inputs = small
    whole = export(network, inputs, ("out",))
    half = export(folding.rounded(network), inputs, ("out",))
    assert len(half.model) < 0.55 * len(whole.model)
    assert half.largest < 1e-4


def test_the_graphs_together_compute_what_the_generator_computes() -> None:
    appearance, generator = stirred(studio.Appearance()), stirred(studio.Generator())
    nn.init.normal_(generator.finer.weight, std=0.02)  # begins at 0, where nothing of the fine stage would be seen
    nn.init.normal_(generator.shade.weight, std=0.02)
    source, inputs = source_inputs(), generator_inputs()
    places = {name: inputs[name] for name in ("source_points", "driving_points", "openings")}
    with torch.no_grad():
        features, identity, cover = folding.rounded(folding.folded(appearance))(**source)
        still = studio.Still.of(source["image"], cover)
        expected = folding.rounded(folding.folded(generator))(features, identity, still, **places)
        said = graphs.AppearanceGraph(appearance, generator)(**source)
        seen = dict(zip(("features", "context", "identity", "small", "plate"), said, strict=True))
        assert torch.equal(seen["small"], nn.functional.avg_pool2d(source["image"], 2))
        flow, visible, paint, mask, shade = graphs.GeneratorGraph(generator)(**seen, **places)
    assert mask[..., 0].max() < 0.05 and mask[..., -1, :].max() < 0.05
    assert (flow - expected.flow).abs().max() < 1e-5
    wanted = graphs.cleared(studio.sharpen(expected.visible), ((torch.sigmoid(expected.mask) - 0.05) / 0.9).clamp(0, 1))
    assert (visible - wanted[0]).abs().max() < 1e-4
    assert (mask - wanted[1] * studio.Generator.border(mask)).abs().max() < 1e-4
    assert (paint - expected.paint).abs().max() < 1e-5
    assert (shade - expected.shade).abs().max() < 1e-5
    assert shade.min() < 0.98 and shade.max() > 1.02


def test_a_fresh_generator_leaves_the_light_as_it_is() -> None:
    out = stirred(studio.Generator())(**generator_inputs())
    assert torch.equal(out.shade, torch.ones(1, 3, 64, 64))


def test_no_light_is_more_than_three_times_brighter_or_darker() -> None:
    generator = stirred(studio.Generator())
    nn.init.normal_(generator.shade.weight, std=50.0)
    shade = generator(**generator_inputs()).shade
    assert shade.min() >= 0.33 and shade.max() <= 3.01 and shade.max() > 2.9


def test_the_version_before_computes_the_same_in_this_one() -> None:
    """A first version has neither shade, tint, fine stage nor irises; its weights are what training begins with."""
    generator, inputs = stirred(studio.Generator()), generator_inputs()
    generator.enter[0].weight.data[:, -4:] = 0
    with torch.no_grad():
        out = generator(**inputs)
        others = {**inputs, "still": inputs["still"]._replace(small=torch.rand(1, 3, 128, 128))}
        others["openings"] = torch.cat([inputs["openings"][:, :2], torch.rand(1, 1, 128, 128)], 1)
        again = generator(**others)
    for one, other in zip(out, again, strict=True):
        assert (one - other).abs().max() < 1e-6


def test_the_plate_is_the_background_where_it_is_seen_and_a_blend_of_its_rim_behind_the_person() -> None:
    colours = torch.linspace(0.2, 0.6, 256).view(1, 1, 1, 256)
    background = torch.cat([colours.expand(1, 1, 256, 256), torch.full((1, 2, 256, 256), 0.4)], 1)
    cover = torch.full((1, 1, 64, 64), -20.0)
    cover[..., 16:48, 16:48] = 20.0
    picture = background.clone()
    picture[..., 64:192, 64:192] = 1.0
    found = studio.plate(picture, cover)
    assert (found - background)[..., :40, :].abs().max() < 0.01
    assert (found - background)[..., 64:192, 64:192].abs().max() < 0.06  # nothing of the person's white
    assert (found[:, 0, 128, 80] < found[:, 0, 128, 176]).all()


def test_a_plate_of_nothing_but_a_person_is_grey() -> None:
    found = studio.plate(torch.ones(1, 3, 256, 256), torch.full((1, 1, 64, 64), 20.0))
    assert (found - 0.5).abs().max() < 0.01


def test_paint_is_the_plate_where_the_background_comes_to_light() -> None:
    generator, inputs = stirred(studio.Generator()), generator_inputs()
    for sign, free in ((40.0, False), (-40.0, True)):
        assert generator.masks.bias is not None
        with torch.no_grad():
            generator.masks.bias[1] = sign
            one, other = (generator(**{**inputs, "still": still_parts()}).paint for _ in range(2))
        assert torch.equal(one, other) == free


def test_what_comes_to_light_at_the_masks_edge_is_cleared_a_little_beyond_it() -> None:
    mask, visible = torch.zeros(1, 1, 256, 256), torch.ones(1, 1, 256, 256)
    mask[..., 60:180] = 1
    assert all(torch.equal(*pair) for pair in zip(graphs.cleared(visible, mask), (visible, mask), strict=True))
    visible[..., 100:140, 160:180] = 0
    visible[..., 50:60, 100:120] = 0
    seen, wide = graphs.cleared(visible, mask)
    assert wide[..., 120, :184].sum() == 124 and wide[..., 120, 186:].sum() == 0 and wide[..., 20, :].sum() == 120
    assert seen[..., 120, 183] == 0 and seen[..., 20, 183] == 1 and torch.equal(seen[..., 60:180], visible[..., 60:180])


def test_warping_holds_the_edge_as_border_padding_does() -> None:
    picture, flow = torch.rand(1, 3, 20, 30), torch.randn(1, 2, 16, 16)
    axis = (torch.arange(16) + 0.5) / 8 - 1
    grid = flow.permute(0, 2, 3, 1) + torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    expected = nn.functional.grid_sample(picture, grid, padding_mode="border", align_corners=False)
    assert (studio.warp(picture, flow) - expected).abs().max() < 1e-5


def test_soft_argmax_finds_a_peak() -> None:
    maps = torch.zeros(1, 1, 36, 36)
    maps[0, 0, 9, 27] = 50
    np.testing.assert_allclose(studio_motion.soft_argmax(maps)[0, 0], [(27.5 / 18) - 1, (9.5 / 18) - 1], atol=1e-5)


def test_one_level_of_the_prior_is_the_plain_weighted_mean() -> None:
    prior = studio.FlowPrior(16, (0.2, 0.2, 0.2), (0.3, 1e30, 1e30))
    inputs = generator_inputs(20)
    source, driving = inputs["source_points"], inputs["driving_points"]
    flow, density = prior(source, driving)
    axis = (torch.arange(16) + 0.5) / 8 - 1
    cells = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    apart = (cells[:, :, None] - driving[0, :, :2]).square().sum(-1)
    weights = torch.exp(-apart / (2 * 0.2**2)) * driving[0, :, 2]
    expected = (weights[..., None] * (source - driving)[0, :, :2]).sum(2) / (weights.sum(2) + 0.3)[..., None]
    assert (flow[0].permute(1, 2, 0) - expected).abs().max() < 1e-5
    assert (density[0, 0] - weights.sum(2) / (weights.sum(2) + 0.3)).abs().max() < 1e-5


def test_the_prior_moves_points_where_they_came_from() -> None:
    inputs = generator_inputs(60)
    flow, _ = studio.FlowPrior()(inputs["source_points"], inputs["driving_points"])
    still, _ = studio.FlowPrior()(inputs["source_points"], inputs["source_points"])
    assert still.abs().max() == 0 and flow.abs().max() > 0.01


def test_the_crops_edge_never_moves() -> None:
    out = stirred(studio.Generator())(**generator_inputs())
    edge = torch.cat([out.flow[..., 0, :], out.flow[..., -1, :], out.flow[..., 0], out.flow[..., -1]], -1)
    assert edge.abs().max() < 0.1 * out.flow.abs().max()


def test_without_motion_the_composition_is_the_source() -> None:
    source = torch.rand(1, 3, 256, 256)
    zero = torch.zeros(1, 2, 128, 128)
    sure = torch.full((1, 1, 256, 256), 40.0)
    lit = torch.ones(1, 3, 64, 64)
    out = studio.GeneratorOutput(zero, sure, torch.zeros_like(source), sure, sure, zero[..., :64, :64], lit)
    assert (studio.compose(source, out) - source).abs().max() < 1e-5
    brighter = studio.compose(source, out._replace(shade=lit * 1.5))
    assert (brighter - source * 1.5).abs().max() < 1e-5


def test_a_wrong_network_is_refused_with_both_values_shown(small: tuple[nn.Module, dict[str, torch.Tensor]]) -> None:
    network, inputs = small
    exported = export(network, inputs, ("out",))
    with pytest.raises(ParityError, match="differs from torch"):
        compare(exported.model, inputs, {"out": torch.zeros(1, 96, 8, 8)})
