"""What a bundle's manifest says of a network that is exported, and what is needed to export it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mien.bundle import NetworkSpec, Parity, TensorInfo
from mien_export.onnx_export import OPSET, TOLERANCE, Exported


@dataclass(frozen=True)
class Traced:
    """A network as it will be exported: the module to trace, example inputs, and what its tensors mean."""

    module: nn.Module
    example: dict[str, Tensor]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    batch: str | Mapping[str, str] | None = None
    """As `mien_export.onnx_export.export` takes it."""


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
    parity = Parity(f"torch {torch.__version__}", exported.largest, TOLERANCE)
    return NetworkSpec(role, f"{role}.onnx", "fp32", OPSET, one.inputs, one.outputs, parity)
