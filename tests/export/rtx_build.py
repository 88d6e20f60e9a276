"""Real builds without a GPU: TensorRT for RTX parses, checks operators, types and shapes, and plans; no plan is run."""

from __future__ import annotations

from collections.abc import Mapping

import tensorrt_rtx as trt

from mien.bundle import Bundle, NetworkSpec
from mien.sessions.trt_build import EngineBuildError, Network, Target, batch_ranges, build_plan
from mien_export.precision import to_half

ADA = Target("rtx", 89)


def built_size(model: bytes) -> int:
    """Bytes of the engine for an RTX 40 card, free dimensions being 1. Fails with the parser's or builder's words."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse(model)
    assert parsed, [parser.get_error(index).desc() for index in range(parser.num_errors)]
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    profile = builder.create_optimization_profile()
    for tensor in (network.get_input(index) for index in range(network.num_inputs)):
        if -1 in tensor.shape:
            shape = tuple(1 if size == -1 else size for size in tensor.shape)
            profile.set_shape(tensor.name, shape, shape, shape)
            config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    assert engine is not None
    return int(engine.nbytes)


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
        for precision in ("fp32", "fp16"):
            model = bundle.model(role)
            try:
                sizes = plans(spec, model if precision == "fp32" else to_half(model), batches)
                assert all(sizes)
            except EngineBuildError as error:
                found[f"{role} {precision}"] = str(error)
    return found
