"""One traced module to one ONNX file, checked, run, and compared with torch before anybody sees it."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from mien.errors import MienError
from mien.sessions import OrtSession

OPSET = 20
TOLERANCE = 1e-4
"""Largest difference to torch, as a share of the largest value of an output."""

SMALLEST_SCALE = 0.01
"""An output whose largest value is below this (a probability of nothing, say) is measured against this instead."""


OPTIMISERS_ZERO = 1e-8
"""What the exporter's optimiser takes for 0."""


class ParityError(MienError):
    """The exported network does not compute what torch computes."""


@dataclass(frozen=True)
class Comparison:
    """One output of the ONNX file beside torch's."""

    name: str
    largest: float
    """Largest absolute difference over the largest absolute value (at least `SMALLEST_SCALE`); of whole numbers
    (labels), the share that differs."""
    ours: tuple[float, ...]
    torchs: tuple[float, ...]


@dataclass(frozen=True)
class Exported:
    """An ONNX model in memory and how far it is from torch."""

    model: bytes
    comparisons: tuple[Comparison, ...]

    @property
    def largest(self) -> float:
        """Over all outputs."""
        return max(c.largest for c in self.comparisons)


def export(
    module: nn.Module,
    inputs: dict[str, Tensor],
    outputs: Sequence[str],
    batch: str | Mapping[str, str] | None = None,
    tolerance: float = TOLERANCE,
) -> Exported:
    """Trace, check and compare ``module``.

    ``inputs``: example tensors by name, as the module's ``forward`` names them. ``batch``: the name of a dynamic first
    axis of every input, or such names for some of the inputs. Raises ParityError beyond ``tolerance``.
    """
    module.eval()
    axes = dict.fromkeys(inputs, batch) if isinstance(batch, str) else batch or {}
    dynamic = {name: {0: axes[name]} if name in axes else None for name in inputs} if axes else None
    with without_asides():
        program = torch.onnx.export(
            module,
            kwargs=dict(inputs),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=dynamic,
            optimize=False,
            verbose=False,
        )
    assert program is not None
    shield_small_constants(program.model)
    program.optimize()
    buffer = io.BytesIO()
    proto = program.model_proto
    del proto.metadata_props[:]
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    store_half(proto)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, buffer)
    model = buffer.getvalue()
    with torch.no_grad():
        truth = module(**inputs)
    truth = (truth,) if isinstance(truth, Tensor) else truth
    return Exported(model, compare(model, inputs, dict(zip(outputs, truth, strict=True)), tolerance))


@contextmanager
def without_asides() -> Iterator[None]:
    """Keeps back what the exporter says of itself for every network, which nobody can act on: that torchvision's
    operators are not there, that torch uses what torch deprecates, that axes share a name.
    """
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
            warnings.filterwarnings("ignore", "# The axis name", UserWarning)
            yield
    finally:
        log.setLevel(level)


def shield_small_constants(model: ir.Model) -> None:
    """Make scalars that count as 0 to the optimiser vectors of one, which it does not look at.

    It would drop ``+ 1e-8`` below a root or in a logarithm, and what is there to keep a result finite would be gone.
    """
    for node in model.graph:
        if node.op_type != "Constant" or "value" not in node.attributes:
            continue
        value = node.attributes["value"].as_tensor().numpy()
        if value.ndim == 0 and value.dtype.kind == "f" and 0 < abs(float(value)) <= OPTIMISERS_ZERO:
            node.attributes["value"] = ir.AttrTensor("value", ir.tensor(value.reshape(1)))


def store_half(proto: onnx.ModelProto) -> None:
    """Keep weights that are exact in float16 as such, with a cast behind them that every runtime folds at load."""
    casts = []
    for weight in proto.graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != onnx.TensorProto.FLOAT or values.ndim < 2:
            continue
        half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def compare(
    model: bytes, inputs: dict[str, Tensor], truth: dict[str, Tensor], tolerance: float = TOLERANCE
) -> tuple[Comparison, ...]:
    """Run the ONNX bytes and set every output beside torch's."""
    session = OrtSession(model)
    found = session.run({name: tensor.numpy() for name, tensor in inputs.items()})
    session.close()
    rows = tuple(_beside(name, found[name], tensor.numpy()) for name, tensor in truth.items())
    for row in rows:
        if not row.largest <= tolerance:
            raise ParityError(
                f"The exported output {row.name!r} differs from torch by {row.largest:.2e} of its largest value; "
                f"{tolerance:.0e} is allowed. First values: {row.ours} against {row.torchs}."
            )
    return rows


def _beside(name: str, ours: NDArray[Any], truth: NDArray[Any]) -> Comparison:
    if truth.dtype.kind == "f":
        largest = float(np.abs(ours - truth).max() / max(SMALLEST_SCALE, float(np.abs(truth).max())))
    else:
        largest = float(np.mean(ours != truth))
    first = tuple(float(v) for v in ours.ravel()[:4]), tuple(float(v) for v in truth.ravel()[:4])
    return Comparison(name, largest, *first)
