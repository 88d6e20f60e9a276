"""What a bundle's manifest says of a network that is exported, and what is needed to export it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mien.bundle import NetworkSpec, Parity, TensorInfo
from mien_export.onnx_export import OPSET, TOLERANCE, Exported, export

GENERATOR_TOLERANCE = 5e-4
"""Of generators whose instance norms and steep masks enlarge float32's own rounding; it is some 66 dB below a picture's
range at its worst pixel, and over 110 dB on the whole.
"""


@dataclass(frozen=True)
class Traced:
    """A network as it will be exported: the module to trace, example inputs, and what its tensors mean."""

    module: nn.Module
    example: dict[str, Tensor]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    batch: str | Mapping[str, str] | None = None
    """As `mien_export.onnx_export.export` takes it."""
    tolerance: float = TOLERANCE
    """The largest difference to torch that is rounding in a network of this depth, as a share of the largest value."""

    def export(self) -> Exported:
        """Raises ParityError."""
        return export(self.module, self.example, [info.name for info in self.outputs], self.batch, self.tolerance)


def picture(name: str, size: int, batch: int | str = 1) -> TensorInfo:
    """An RGB picture (N, 3, size, size) in [0, 1]."""
    return TensorInfo(name, "float32", (batch, 3, size, size), "NCHW", "RGB", (0.0, 1.0))


def plain(
    name: str, *shape: int | str, layout: str | None = None, span: tuple[float, float] | None = None
) -> TensorInfo:
    """A float tensor that is no picture."""
    return TensorInfo(name, "float32", shape, layout, None, span)


def described(role: str, one: Traced, exported: Exported) -> NetworkSpec:
    """What the manifest says of a network."""
    parity = Parity(f"torch {torch.__version__}", exported.largest, one.tolerance)
    return NetworkSpec(role, f"{role}.onnx", "fp32", OPSET, one.inputs, one.outputs, parity)
