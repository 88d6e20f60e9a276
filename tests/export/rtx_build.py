"""Real builds without a GPU: TensorRT for RTX parses, checks operators, types and shapes, and plans; no plan is run."""

from __future__ import annotations

from collections.abc import Mapping

from mien.bundle import Bundle, NetworkSpec
from mien.sessions.ort import model_specs
from mien.sessions.trt_build import EngineBuildError, Network, Target, batch_ranges, build_plan
from mien_export.float32_rules import BFLOAT16, FLOAT16
from mien_export.precision import to_half

ADA = Target("rtx", 89)


def built_size(model: bytes) -> int:
    """Bytes of the plan of an ONNX model, a free batch being 1. Raises EngineBuildError with TensorRT's own words."""
    network = Network(model, *model_specs(model))
    return len(build_plan(network, batch_ranges(network.inputs, 1), ADA))


def plans(spec: NetworkSpec, model: bytes, batches: tuple[int, ...] = (1, 4)) -> list[int]:
    """Bytes of the plans for batches up to each of ``batches``, or of the one plan of a static network."""
    inputs, outputs = (tuple(info.spec for info in infos) for infos in (spec.inputs, spec.outputs))
    network = Network(model, inputs, outputs)
    shapes = dict.fromkeys(batch_ranges(inputs, most) for most in batches)
    return [len(build_plan(network, one, ADA)) for one in shapes]


def faults(bundle: Bundle, batches: tuple[int, ...] = (1, 4)) -> Mapping[str, str]:
    """What does not build, with TensorRT's own words."""
    found = {}
    for role, spec in bundle.manifest.networks.items():
        for precision, half in (("fp32", None), ("fp16", FLOAT16), ("bf16", BFLOAT16)):
            model = bundle.model(role)
            try:
                sizes = plans(spec, to_half(model, half=half) if half else model, batches)
                assert all(sizes)
            except EngineBuildError as error:
                found[f"{role} {precision}"] = str(error)
    return found
