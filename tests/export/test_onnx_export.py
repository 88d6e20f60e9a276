"""What the export must not change: constants too small for the optimiser's eyes, axes that stay free, labels."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mien.sessions import OrtSession
from mien_export.onnx_export import ParityError, compare, export


class Root(nn.Module):
    """0 / sqrt(0 + epsilon) is 0, and without the epsilon it is not a number."""

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, z: Tensor) -> Tensor:
        return z * torch.rsqrt(z.square().mean(-1, keepdim=True) + self.epsilon)


@pytest.mark.parametrize("epsilon", [1e-6, 1e-8, 1e-9, 1e-12])
def test_small_constants_stay(epsilon: float) -> None:
    model = export(Root(epsilon), {"z": torch.randn(2, 8)}, ["out"], "batch").model
    found = OrtSession(model).run({"z": np.zeros((3, 8), np.float32)})["out"]
    assert np.array_equal(found, np.zeros((3, 8), np.float32))


class Labels(nn.Module):
    """The larger of two channels."""

    def forward(self, image: Tensor, bias: Tensor) -> Tensor:
        return (image + bias).argmax(1).to(torch.uint8)


def test_axes_are_free_where_asked_and_labels_are_compared_as_such() -> None:
    inputs = {"image": torch.rand(2, 2, 4, 4), "bias": torch.rand(1, 2, 1, 1)}
    made = export(Labels(), inputs, ["labels"], {"image": "n"})
    image, bias = OrtSession(made.model).inputs
    assert image.shape == ("n", 2, 4, 4) and bias.shape == (1, 2, 1, 1)
    assert made.largest == 0.0


def test_a_difference_to_torch_is_an_error_with_the_first_values() -> None:
    z = torch.randn(2, 8)
    model = export(Root(1e-6), {"z": z}, ["out"]).model
    with pytest.raises(ParityError, match="First values"):
        compare(model, {"z": z}, {"out": Root(1e-2)(z)})
