"""A real TensorRT build without a GPU: TensorRT for RTX parses, checks types and plans for a chosen target."""

from __future__ import annotations

import tensorrt_rtx as trt


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
