"""The maps in closed form against autograd, SVD and the arithmetic of pytorch-grad-cam; never NaN, always in [0, 1]."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from mien.sessions import open_session
from mien_export.graphs.difference import DifferenceGraph
from mien_export.graphs.heat import (
    HeatGraph,
    first_component,
    normalised,
    plusplus_weights,
)
from mien_export.onnx_export import export
from tests.export.test_difference import pictures, small_network

ATTRIBUTES, CHANNELS, SIZE = 4, 7, 3
BATCHES = {"activation": "batch", "flip": "batch", "attributes": "attributes"}
Score = Callable[[Tensor], Tensor]


def head(seed: int, scale: float = 1.0) -> Tensor:
    """Weights of a linear layer, (attributes, channels), both signs."""
    return torch.randn(ATTRIBUTES, CHANNELS, generator=torch.Generator().manual_seed(seed)).double() * scale


def layer(seed: int, rows: int = 1, size: int = SIZE, channels: int = CHANNELS) -> Tensor:
    """(rows, channels, size, size) as after a ReLU: some zeros."""
    values = torch.randn(rows, channels, size, size, generator=torch.Generator().manual_seed(seed)).double()
    return F.relu(values + 0.5)


def options(**changed: Tensor) -> dict[str, Tensor]:
    """The graph's inputs beside the activation: one row as it is, all attributes, Grad-CAM."""
    usual = {
        "flip": torch.tensor([False]),
        "attributes": torch.arange(ATTRIBUTES),
        "plusplus": torch.tensor([False]),
        "eigen": torch.tensor([False]),
        "epsilon": torch.zeros(1),
    }
    return {**usual, **changed}


def gradient(score: Score, activation: Tensor) -> Tensor:
    """Of the score, by autograd, with the activation's shape."""
    leaf = activation.clone().requires_grad_()
    return torch.autograd.grad(score(leaf), leaf)[0]


def scores(weight: Tensor, attribute: int) -> Score:
    return lambda activation: (weight @ activation.mean((2, 3))[0])[attribute]


def diagonal_derivatives(function: Score, activation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """First, second and third derivative by each single element, nothing assumed about the function."""
    leaf = activation.clone().requires_grad_()
    first = torch.autograd.grad(function(leaf), leaf, create_graph=True)[0]
    second, third = torch.zeros(leaf.numel()).double(), torch.zeros(leaf.numel()).double()
    for element in range(leaf.numel()):
        row = torch.autograd.grad(first.flatten()[element], leaf, create_graph=True)[0].flatten()
        second[element] = row[element].detach()
        third[element] = torch.autograd.grad(row[element], leaf, retain_graph=True)[0].flatten()[element]
    return first.detach(), second.view_as(leaf), third.view_as(leaf)


def test_grad_cam_is_the_gradients_mean_times_the_activation() -> None:
    weight, activation = head(0), layer(1)
    heat = HeatGraph(weight, side=16)(activation, **options())
    for attribute in range(ATTRIBUTES):
        weights = gradient(scores(weight, attribute), activation).mean((2, 3))
        plain = torch.einsum("nc,nchw->nhw", weights, activation)
        assert torch.allclose(heat[attribute], normalised(plain, (16, 16))[0], atol=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_exact_plusplus_weights_come_from_three_derivatives_of_exp_of_the_score(seed: int) -> None:
    weight, activation = head(seed), layer(seed + 10)
    ours = plusplus_weights(weight, activation.flatten(2), torch.zeros(1))[0]
    for attribute in range(ATTRIBUTES):
        score = scores(weight, attribute)
        first, second, third = diagonal_derivatives(lambda a, s=score: s(a).exp(), activation)  # type: ignore[misc]
        alpha = second / (2 * second + activation.sum((2, 3), keepdim=True) * third)
        theirs = (alpha * F.relu(first)).sum((2, 3))[0] / score(activation).exp()
        assert torch.allclose(ours[attribute], theirs, rtol=1e-9, atol=1e-12)


def library_weights(gradients: npt.NDArray[np.float64], activation: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What pytorch-grad-cam's GradCAMPlusPlus computes of the score's own gradient, (N, C, h, w) -> (N, C)."""
    square, sums = gradients**2, activation.sum((2, 3), keepdims=True)
    alpha = square / (2 * square + sums * gradients**3 + 1e-6)
    return (np.where(gradients != 0, alpha, 0) * np.maximum(gradients, 0)).sum((2, 3))


@pytest.mark.parametrize("scale", [1.0, 0.005])
def test_epsilon_gives_the_librarys_weights(scale: float) -> None:
    """At the small scale, that of a layer with 2048 channels, the constant changes the weights by far."""
    weight, activation = head(3, scale), layer(4)
    weight[1, 2] = 0.0
    ours = plusplus_weights(weight, activation.flatten(2), torch.tensor([1e-6]).double())[0]
    exact = plusplus_weights(weight, activation.flatten(2), torch.zeros(1))[0]
    for attribute in range(ATTRIBUTES):
        gradients = gradient(scores(weight, attribute), activation).numpy()
        np.testing.assert_allclose(ours[attribute], library_weights(gradients, activation.numpy())[0], rtol=1e-7)
    apart = float((ours - exact).abs().max() / exact.max())
    assert apart < 0.01 if scale == 1.0 else apart > 0.1


def by_svd(weights: Tensor, activation: Tensor, plain: Tensor) -> tuple[Tensor, float]:
    """One map's projection on the first right singular vector, of length 1, and the second singular value's share."""
    weighted = (weights[:, None] * activation.flatten(1)).T
    left, values, _ = torch.linalg.svd(weighted - weighted.mean(0), full_matrices=False)
    return left[:, 0] * torch.sign(left[:, 0] @ plain), float(values[1] / values[0])


@pytest.mark.parametrize("seed", range(6))
def test_the_first_component_is_that_of_the_svd(seed: int) -> None:
    activation = layer(seed, rows=2, size=8, channels=40).float()
    weights = torch.rand(2, 3, 40, generator=torch.Generator().manual_seed(seed)) * 0.01
    channels = activation.flatten(2)
    plain = weights @ channels
    ours = first_component(weights, channels, plain)
    for row in range(2):
        for attribute in range(3):
            pair = plain[row, attribute]
            theirs, gap = by_svd(weights[row, attribute].double(), activation[row].double(), pair.double())
            assert gap < 0.995, "a seed whose first two singular values are too close to compare vectors"
            assert (ours[row, attribute] - theirs).abs().max() < 1e-4


def test_a_repeated_singular_value_gives_a_vector_of_its_space_every_time_the_same() -> None:
    basis = torch.linalg.qr(torch.cat([torch.ones(16, 1), head(5).repeat(4, 1)[:, :3].float()], 1)).Q[:, 1:]
    # Two centred directions of one strength, a weaker third; lifted, so that nothing is negative.
    channels = (basis * torch.tensor([1.0, 1.0, 0.5])).T.unsqueeze(0) + 1
    weights = torch.ones(1, 1, 3)
    one, two = (first_component(weights, channels, weights @ channels)[0, 0] for _ in range(2))
    assert torch.equal(one, two)
    assert abs(float(one.norm()) - 1) < 1e-4
    inside = basis[:, :2] @ (basis[:, :2].T @ one)
    assert (inside - one).abs().max() < 1e-4


def test_where_nothing_differs_between_the_places_there_is_no_component() -> None:
    channels = torch.rand(1, 50, 1).expand(1, 50, 49).contiguous()
    weights = torch.rand(1, 2, 50)
    assert not first_component(weights, channels, weights @ channels).any()


@pytest.mark.parametrize("size", [(256, 256), (48, 65), (8, 8), (9, 100), (5, 3)])
def test_normalising_is_clamp_enlarge_shift_and_divide(size: tuple[int, int]) -> None:
    """The extremes are those of all the enlarged values, though only the outermost samples are looked at."""
    maps = torch.randn(20, 3, 8, 6, generator=torch.Generator().manual_seed(0)).double()
    large = F.interpolate(maps.clamp(min=0), size=size, mode="bilinear", align_corners=False)
    large = large - large.amin((2, 3), keepdim=True)
    assert torch.allclose(normalised(maps, size), large / large.amax((2, 3), keepdim=True), atol=1e-9)


@pytest.mark.parametrize("level", [-1.0, 0.0, 0.7, 1e-35])
def test_a_map_without_contrast_is_empty(level: float) -> None:
    assert not normalised(torch.full((1, 4, 4), level), (16, 16)).any()


def test_flipping_both_pictures_flips_a_heat_averaged_over_flips() -> None:
    network, (inverted, edited) = small_network(), pictures(160)
    difference, heat = DifferenceGraph(network), HeatGraph(network.fc.weight)
    rows = torch.tensor([False, True]), torch.ones(2)
    flags = options(flip=rows[0], plusplus=torch.tensor([True]), eigen=torch.tensor([True]))
    with torch.no_grad():
        straight = heat(difference(inverted, edited, *rows)[0], **flags)
        mirrored = heat(difference(inverted.flip(-1), edited.flip(-1), *rows)[0], **flags)
    assert straight.any()
    assert not torch.allclose(straight, straight.flip(-1), atol=0.1)
    assert torch.allclose(mirrored, straight.flip(-1), atol=1e-3)


def test_rows_are_finished_one_by_one_turned_back_and_averaged() -> None:
    """The whole chain as pytorch-grad-cam goes it: gradients, weights, SVD, clamp, enlarge, turn back, mean."""
    weight, activation = head(6), layer(7, rows=3, size=4)
    flip = torch.tensor([False, True, False])
    flags = options(flip=flip, plusplus=torch.tensor([True]), eigen=torch.tensor([True]), epsilon=torch.tensor([1e-6]))
    heat = HeatGraph(weight, side=32)(activation, **flags)
    for attribute in range(ATTRIBUTES):
        maps = []
        for row in range(3):
            one = activation[row : row + 1]
            gradients = gradient(scores(weight, attribute), one).numpy()
            weights = torch.from_numpy(library_weights(gradients, one.numpy()))[0]
            plain = weights @ one[0].flatten(1)
            finished = normalised(by_svd(weights, one[0], plain)[0].view(1, 4, 4), (32, 32))
            maps.append(finished.flip(-1) if flip[row] else finished)
        assert (heat[attribute] - torch.cat(maps).mean(0)).abs().max() < 1e-4


broken = st.floats(width=32) | st.sampled_from([0.0, 1.0, -1.0, 1e6, 1e-30, np.nan, np.inf, -np.inf])


@settings(max_examples=150)
@given(
    activation=st.integers(1, 3).flatmap(lambda rows: arrays.arrays(np.float32, (rows, 3, 2, 2), elements=broken)),
    weight=arrays.arrays(np.float32, (2, 3), elements=st.floats(-100, 100, width=32)),
    flags=st.tuples(st.booleans(), st.booleans()),
    epsilon=st.sampled_from([0.0, 1e-6, 1.0]),
)
@example(np.full((1, 3, 2, 2), np.nan, np.float32), np.ones((2, 3), np.float32), (True, True), 0.0)
@example(np.eye(12, dtype=np.float32)[:1].reshape(1, 3, 2, 2), np.full((2, 3), 1e-30, np.float32), (True, True), 0.0)
@example(np.full((2, 3, 2, 2), 3.0, np.float32), np.zeros((2, 3), np.float32), (True, True), 0.0)
def test_heat_is_always_in_range(
    activation: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], flags: tuple[bool, bool], epsilon: float
) -> None:
    graph = HeatGraph(torch.from_numpy(weight), side=8)
    heat = graph(
        torch.from_numpy(activation),
        torch.arange(len(activation)) % 2 == 1,
        torch.tensor([0, 1]),
        *(torch.tensor([flag]) for flag in flags),
        torch.tensor([epsilon], dtype=torch.float32),
    )
    assert torch.isfinite(heat).all()
    assert heat.min() >= 0 and heat.max() <= 1


@pytest.mark.parametrize("backend", ["ort", "openvino"])
def test_the_exported_graph_takes_any_rows_and_attributes_and_survives_broken_ones(backend: str) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    graph = HeatGraph(head(8).float())
    inputs = {"activation": layer(9, 2, 8).float(), **options(flip=torch.tensor([False, True]))}
    session = open_session(export(graph, inputs, ("heat",), BATCHES).model, backend, threads=1)
    for rows, count, flag, epsilon in ((1, 1, True, 0.0), (6, 3, True, 1e-6), (2, 4, False, 0.0)):
        activation = layer(rows, rows, 8).float()
        activation[0, 0, 0], activation[0, 1, 2:4], activation[-1, 2, 5] = float("nan"), float("inf"), -float("inf")
        feeds = {
            "activation": activation,
            "flip": torch.arange(rows) % 2 == 1,
            "attributes": torch.arange(count).flip(0),
            "plusplus": torch.tensor([flag]),
            "eigen": torch.tensor([flag]),
            "epsilon": torch.tensor([epsilon]),
        }
        found = session.run({name: tensor.numpy() for name, tensor in feeds.items()})["heat"]
        assert found.shape == (count, 256, 256)
        assert found.min() >= 0 and found.max() <= 1
        np.testing.assert_allclose(found, graph(**feeds), atol=1e-4)
