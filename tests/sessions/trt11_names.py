"""What mien uses of TensorRT 11, each name found in the Python API of TensorRT 11.4.0.106.

A name that mien begins to use is added here after it has been looked up there.
"""

NAMES = frozenset(
    """
    Builder
    Builder.build_serialized_network
    Builder.create_builder_config
    Builder.create_network
    Builder.create_optimization_profile
    IBuilderConfig
    IBuilderConfig.add_optimization_profile
    IBuilderConfig.builder_optimization_level
    IBuilderConfig.create_timing_cache
    IBuilderConfig.get_timing_cache
    IBuilderConfig.progress_monitor
    IBuilderConfig.set_memory_pool_limit
    IBuilderConfig.set_timing_cache
    ILogger
    ILogger.Severity.ERROR
    ILogger.Severity.WARNING
    ILogger.log
    INetworkDefinition
    INetworkDefinition.get_input
    INetworkDefinition.get_output
    INetworkDefinition.num_inputs
    INetworkDefinition.num_outputs
    IOptimizationProfile
    IOptimizationProfile.set_shape
    IProgressMonitor
    IProgressMonitor.phase_finish
    IProgressMonitor.phase_start
    IProgressMonitor.step_complete
    ITensor
    ITensor.dtype
    ITensor.name
    ITensor.shape
    ITimingCache
    ITimingCache.serialize
    MemoryPoolType.WORKSPACE
    OnnxParser
    OnnxParser.get_error
    OnnxParser.num_errors
    OnnxParser.parse
    ParserError
    ParserError.code
    ParserError.desc
    ParserError.func
    ParserError.node_name
    ParserError.node_operator
    """.split()
)

RTX_ONLY = {
    "ComputeCapability": {"capabilities", "_aim"},
    "IBuilderConfig.num_compute_capabilities": {"_aim"},
    "IBuilderConfig.set_compute_capability": {"_aim"},
}
"""What TensorRT for RTX has alone, and the functions that may use it, having asked which flavour it is."""
