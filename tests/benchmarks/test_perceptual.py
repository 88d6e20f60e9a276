"""LPIPS and FID: the distance itself, whose answers are known, and the packages with weights made up here.

What needs lpips and torch-fidelity is left out where the extra "quality" is not installed.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.perceptual import Inception, Lpips, frechet_distance

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]

RANDOM = np.random.default_rng(5)


def whitened(count: int, width: int) -> Floats:
    """(count, width) whose mean is exactly 0 and whose covariance is exactly 1."""
    sample = RANDOM.normal(size=(count, width))
    sample -= sample.mean(0)
    return np.linalg.qr(sample)[0] * np.sqrt(count - 1)


def noise(side: int = 64) -> Image:
    return RANDOM.integers(0, 256, (side, side, 3)).astype(np.uint8)


def test_fid_of_gaussians_along_the_axes() -> None:
    one = whitened(50, 3) * [1, 2, 3] + [5, 0, 0]
    other = whitened(40, 3) * [4, 2, 1] + [5, 3, -4]
    assert frechet_distance(one, other) == pytest.approx(3**2 + 4**2 + (1 - 4) ** 2 + 0 + (3 - 1) ** 2)
    assert frechet_distance(other, one) == pytest.approx(frechet_distance(one, other))


def test_fid_of_gaussians_that_lean_two_ways() -> None:
    turned, leaning = RANDOM.normal(size=(2, 6, 6))
    one, other = whitened(90, 6) @ turned, whitened(70, 6) @ leaning
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = np.sqrt(np.linalg.eigvals(first @ second).astype(complex)).real.sum()
    assert frechet_distance(one, other) == pytest.approx(np.trace(first) + np.trace(second) - 2 * root)


def test_fid_of_fewer_pictures_than_features_in_single_precision() -> None:
    features = RANDOM.normal(size=(7, 300)).astype(np.float32)
    assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + 1) == pytest.approx(300, rel=1e-5)
    assert frechet_distance(features, 3 * features - 2 * features.mean(0)) == pytest.approx(
        4 * features.var(0, ddof=1).sum(), rel=1e-5
    )


def test_fid_needs_two_pictures() -> None:
    with pytest.raises(ValueError, match="there are 1 and 5"):
        frechet_distance(np.zeros((1, 4)), np.zeros((5, 4)))


@pytest.mark.parametrize(("judge", "package"), [(Lpips, "lpips"), (Inception, "torch_fidelity.utils")])
def test_a_missing_extra_is_named(
    judge: type[Lpips] | type[Inception], package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(typer.BadParameter, match=r"mien\[quality\]"):
        judge(tmp_path / "weights.pth")


def saved(path: Path, state: Mapping[str, Tensor]) -> Path:
    torch.save(dict(state), path)
    return path


@pytest.fixture(scope="module")
def alexnet() -> dict[str, Tensor]:
    models = pytest.importorskip("torchvision.models")
    pytest.importorskip("lpips")
    torch.manual_seed(2)
    state: dict[str, Tensor] = models.alexnet(weights=None).state_dict()
    return state


def test_lpips_is_what_the_paper_says(alexnet: dict[str, Tensor], tmp_path: Path) -> None:
    """The squared difference of the five unit-length activations, weighted by channel, averaged over places."""
    one, other = noise(), noise()
    found = Lpips(saved(tmp_path / "alexnet.pth", alexnet))(one, other)
    assert found == pytest.approx(by_hand(alexnet, one, other), rel=1e-4)
    assert found > 0


def by_hand(alexnet: Mapping[str, Tensor], one: Image, other: Image) -> float:
    import lpips
    from torchvision import models

    network = models.alexnet(weights=None)
    network.load_state_dict(alexnet)
    heads = torch.load(Path(lpips.__file__).parent / "weights/v0.1/alex.pth", "cpu", weights_only=True)
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    layers, total = network.features.eval(), 0.0
    maps = []
    for image in (one, other):
        x = ((torch.from_numpy(image) / 127.5 - 1 - shift) / scale).permute(2, 0, 1)[None]
        maps.append([x := layer(x) for layer in layers])
    for head, place in enumerate((1, 4, 7, 9, 11)):  # behind each ReLU
        units = [maps[i][place] / maps[i][place].norm(dim=1, keepdim=True) for i in (0, 1)]
        weighted = (units[0] - units[1]) ** 2 * heads[f"lin{head}.model.1.weight"]
        total += float(weighted.sum(1).mean().detach())
    return total


def test_lpips_of_a_picture_and_itself_at_any_size(alexnet: dict[str, Tensor], tmp_path: Path) -> None:
    lpips = Lpips(saved(tmp_path / "alexnet.pth", alexnet))
    picture = noise(512)
    assert lpips(picture, picture) == 0
    blocks = np.kron(noise(256), np.ones((2, 2, 1), np.uint8))
    assert lpips(blocks, noise(512)) > 0
    assert lpips(blocks, np.ascontiguousarray(blocks[::2, ::2].repeat(2, 0).repeat(2, 1))) == 0


def test_lpips_refuses_other_weights(alexnet: dict[str, Tensor], tmp_path: Path) -> None:
    less = {key: value for key, value in alexnet.items() if key != "features.8.bias"}
    more = {**alexnet, "features.12.weight": torch.zeros(2)}
    for state, said in ((less, "missing"), (more, "left over"), ({"a": torch.zeros(2)}, "features")):
        with pytest.raises(typer.BadParameter, match=said):
            Lpips(saved(tmp_path / "other.pth", state))
    with pytest.raises(typer.BadParameter, match=r"nowhere\.pth"):
        Lpips(tmp_path / "nowhere.pth")


@pytest.fixture(scope="module")
def inception() -> dict[str, Tensor]:
    """Untrained weights; the network itself insists on reading some, so it is made without."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")

    class Untrained(module.FeatureExtractorInceptionV3):  # type: ignore[misc,name-defined]
        def load_state_dict(self, state: object) -> None:
            pass

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    torch.manual_seed(3)
    network = Untrained("untrained", ["2048"], feature_extractor_weights_path=nothing)
    state: dict[str, Tensor] = network.state_dict()
    return state


def test_inception_sees_what_changes(inception: dict[str, Tensor], tmp_path: Path) -> None:
    network = Inception(saved(tmp_path / "inception.pth", inception))
    picture = noise(80)
    features = network(picture)
    assert features.shape == (2048,) and features.dtype == np.float32 and np.isfinite(features).all()
    np.testing.assert_array_equal(network(picture), features)
    mirrored = network(np.ascontiguousarray(picture[:, ::-1]))
    assert np.abs(mirrored - features).max() > 1e-3 * np.abs(features).max()


def test_inception_refuses_other_weights(inception: dict[str, Tensor], tmp_path: Path) -> None:
    less = {key: value for key, value in inception.items() if key != "fc.bias"}
    with pytest.raises(typer.BadParameter, match="does not hold torch-fidelity's Inception"):
        Inception(saved(tmp_path / "other.pth", less))


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return open, (str(Path(self.place)),)

    def __init__(self, place: Path) -> None:
        self.place = place


def test_inception_runs_nothing_that_a_file_asks_for(inception: dict[str, Tensor], tmp_path: Path) -> None:
    """torch-fidelity itself would unpickle anything."""
    torch.save({**inception, "fc.bias": Bomb(tmp_path / "gone.txt")}, tmp_path / "bomb.pth")
    with pytest.raises(typer.BadParameter, match="would call"):
        Inception(tmp_path / "bomb.pth")
