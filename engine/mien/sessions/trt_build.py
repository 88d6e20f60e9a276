"""ONNX networks to TensorRT plans, by TensorRT 11 or TensorRT for RTX: one path for both.

Precision is in the ONNX graph alone, since networks are strongly typed. Executed: TensorRT-RTX 1.7.1 without a GPU. Not
executed yet: TensorRT 11, which needs a GPU to build, and with it the timing cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mien.errors import DeviceError, InputError, SessionError
from mien.sessions.base import TensorSpec
from mien.sessions.engine_cache import ShapeRange
from mien.sessions.trt_flavour import TITLES, Flavour, FlavourName, load_flavour
from mien.sessions.trt_progress import BuildProgress, Watch, monitor, signals_stop

DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT64": "int64",
    "INT32": "int32",
    "INT8": "int8",
    "UINT8": "uint8",
    "BOOL": "bool",
}

MOST_LEVEL = 5


@dataclass(frozen=True)
class NetworkFault:
    """What the parser says about a node. ``node`` and ``operator`` are empty where it is about the file."""

    node: str
    operator: str
    message: str

    def __str__(self) -> str:
        return f"node {self.node!r} ({self.operator}): {self.message}" if self.operator else self.message


class EngineBuildError(SessionError):
    """TensorRT cannot read a network, or cannot build it. ``faults`` is what its parser found, if it was the parser."""

    def __init__(self, message: str, faults: tuple[NetworkFault, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


@dataclass(frozen=True)
class Network:
    """An ONNX file's bytes, weights included, and what its inputs and outputs have to be."""

    model: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Target:
    """What a plan is for. ``compute_capability`` is 89 for 8.9.

    None: with TensorRT-RTX every GPU from 8.0 on, with TensorRT, which knows no other, the current GPU.
    """

    flavour: FlavourName
    compute_capability: int | None = None


@dataclass(frozen=True)
class BuildOptions:
    """``workspace``: the most bytes of GPU memory a layer may use as scratch, None for all there is. ``level``: from 0,
    quick to build, to 5, the longest search. Raises InputError for other values.
    """

    workspace: int | None = None
    level: int = 3

    def __post_init__(self) -> None:
        if not 0 <= self.level <= MOST_LEVEL:
            raise InputError(f"The builder's level goes from 0 to {MOST_LEVEL}; {self.level} was asked for.")
        if self.workspace is not None and self.workspace < 1:
            raise InputError(f"The builder's workspace is a number of bytes; {self.workspace} were asked for.")

    @property
    def named(self) -> tuple[tuple[str, bool | int | str], ...]:
        """By name, as an `EngineKey` has them."""
        workspace = "all" if self.workspace is None else self.workspace
        return ("layers", "detailed"), ("level", self.level), ("workspace", workspace)


@dataclass
class Timings:
    """What TensorRT measured in earlier builds, in its own form; `build_plan` reads and replaces ``data``.

    TensorRT-RTX measures nothing when it builds, and leaves it alone.
    """

    data: bytes = b""


def batch_ranges(inputs: Sequence[TensorSpec], most: int) -> tuple[ShapeRange, ...]:
    """The shapes of all inputs with a free first axis, the batch: least 1, tuned for 1, at most ``most``.

    Empty for a static network. Raises InputError below 1, EngineBuildError where another axis is free.
    """
    if most < 1:
        raise InputError(f"The largest batch is at least 1; {most} was asked for.")
    ranges = []
    for tensor in inputs:
        if any(isinstance(size, str) for size in tensor.shape[1:]):
            raise EngineBuildError(
                f"The input {tensor} has a free dimension that is not the first. mien builds engines for a free batch "
                "only: export the network with that size fixed."
            )
        if tensor.shape and isinstance(tensor.shape[0], str):
            rest = tuple(size for size in tensor.shape[1:] if isinstance(size, int))
            ranges.append(ShapeRange(tensor.name, (1, *rest), (1, *rest), (most, *rest)))
    return tuple(ranges)


def build_plan(
    network: Network,
    shapes: Sequence[ShapeRange],
    target: Target,
    options: BuildOptions | None = None,
    progress: BuildProgress | None = None,
    timings: Timings | None = None,
) -> bytes:
    """The serialized engine; ``shapes`` are those of the inputs that have free dimensions, and of no others.

    Runs in the calling thread, for its current GPU. Ctrl-C, and whatever ``progress`` raises, stop the build at its
    next step. Raises EngineBuildError with TensorRT's own words, or where inputs or outputs are not the promised ones;
    DeviceError where the flavour does not build for the target; MissingDependency.
    """
    flavour = load_flavour(target.flavour)
    _check_target(flavour, target)
    watch = Watch(progress)
    with flavour.complaints() as complaints, signals_stop(watch):
        builder = _builder(flavour)
        parsed = builder.create_network(0)
        parser = _parse(flavour, parsed, network)  # kept: it owns weights of the parsed network
        config = _config(flavour, builder, options or BuildOptions())
        _aim(flavour, config, target)
        _add_profile(builder, config, network, shapes)
        _use_timings(flavour, config, timings)
        config.progress_monitor = monitor(flavour.trt, watch)
        plan = builder.build_serialized_network(parsed, config)
        del parser
    if watch.error is not None:
        raise watch.error
    if plan is None:
        asked = target.compute_capability
        fits = "" if asked is None else f" for compute capability {asked}"
        raise EngineBuildError(f"{flavour.title} cannot build the network{fits}: {_joined(complaints)}")
    _keep_timings(flavour, config, timings)
    return bytes(plan)


def _check_target(flavour: Flavour, target: Target) -> None:
    asked = target.compute_capability
    if asked is None or asked in flavour.capabilities:
        return
    if not flavour.capabilities:
        raise DeviceError(
            f"A plan for compute capability {asked} was asked for, but {TITLES[flavour.name]} builds for the GPU in "
            "this machine only. Ask for none, or build with TensorRT-RTX (--target rtx)."
        )
    there = ", ".join(map(str, flavour.capabilities))
    raise DeviceError(
        f"A plan for compute capability {asked} was asked for, but {flavour.title} builds for: {there}. "
        "Ask for one of these, or for none, which fits all from 80 on."
    )


def _builder(flavour: Flavour) -> Any:
    try:
        return flavour.trt.Builder(flavour.logger)
    except (TypeError, RuntimeError) as error:  # so its bindings tell that the library gave none
        raise DeviceError(
            f"{flavour.title} does not start: {error}. It needs an NVIDIA GPU and a driver for CUDA 13; "
            "`mien doctor` says what this machine has."
        ) from error


def _parse(flavour: Flavour, parsed: Any, network: Network) -> Any:
    """Reads the ONNX file into ``parsed``, and holds that against what was promised."""
    parser = flavour.trt.OnnxParser(parsed, flavour.logger)
    if not network.model:  # which its parser takes for a network of nothing
        raise EngineBuildError("The network is empty: the ONNX file has no bytes.")
    if not parser.parse(network.model):
        faults = tuple(_fault(parser.get_error(index)) for index in range(parser.num_errors))
        why = "; ".join(map(str, faults)) or "it does not say why"
        raise EngineBuildError(f"{flavour.title} cannot read the network: {why}.", faults)
    inputs = [_spec(parsed.get_input(index)) for index in range(parsed.num_inputs)]
    outputs = [_spec(parsed.get_output(index)) for index in range(parsed.num_outputs)]
    for kind, promised, real in (("inputs", network.inputs, inputs), ("outputs", network.outputs, outputs)):
        if {_outline(tensor) for tensor in promised} != {_outline(tensor) for tensor in real}:
            raise EngineBuildError(
                f"The network's {kind}, as {flavour.title} reads them, are {', '.join(map(str, real))}; they should "
                f"be {', '.join(map(str, promised))}."
            )
    return parser


def _fault(told: Any) -> NetworkFault:
    message = f"{told.code().name}: {told.desc()} (in {told.func()})"
    return NetworkFault(told.node_name(), told.node_operator(), message)


def _spec(border: Any) -> TensorSpec:
    sizes = tuple("?" if size < 0 else int(size) for size in border.shape)
    return TensorSpec(border.name, DTYPES.get(border.dtype.name, border.dtype.name), sizes)


def _outline(spec: TensorSpec) -> tuple[str, str, tuple[int | None, ...]]:
    """TensorRT does not tell the names of free dimensions."""
    return spec.name, spec.dtype, tuple(size if isinstance(size, int) else None for size in spec.shape)


def _config(flavour: Flavour, builder: Any, options: BuildOptions) -> Any:
    config = builder.create_builder_config()
    config.builder_optimization_level = options.level
    config.profiling_verbosity = flavour.trt.ProfilingVerbosity.DETAILED  # what the inspector tells, not how it runs
    if options.workspace is not None:
        config.set_memory_pool_limit(flavour.trt.MemoryPoolType.WORKSPACE, options.workspace)
    return config


def _aim(flavour: Flavour, config: Any, target: Target) -> None:
    if target.compute_capability is None:
        return
    capability = flavour.trt.ComputeCapability.__members__[f"SM{target.compute_capability}"]
    config.num_compute_capabilities = 1
    if not config.set_compute_capability(capability, 0):
        raise DeviceError(f"{flavour.title} does not build for compute capability {target.compute_capability} here.")


def _add_profile(builder: Any, config: Any, network: Network, shapes: Sequence[ShapeRange]) -> None:
    free = {tensor.name for tensor in network.inputs if not all(isinstance(size, int) for size in tensor.shape)}
    given = {shape.input for shape in shapes}
    if free != given:
        raise EngineBuildError(
            f"Shapes are needed for the inputs with free dimensions ({', '.join(sorted(free)) or 'none'}); they were "
            f"given for: {', '.join(sorted(given)) or 'none'}."
        )
    if not shapes:
        return
    profile = builder.create_optimization_profile()
    for shape in shapes:
        try:
            profile.set_shape(shape.input, shape.least, shape.best, shape.most)
        except ValueError as error:
            raise _unfit(shape.input, shape) from error
    if config.add_optimization_profile(profile) < 0:
        raise _unfit("the network", *shapes)


def _unfit(what: str, *shapes: ShapeRange) -> EngineBuildError:
    told = ", ".join(f"{shape.input} {shape.least} to {shape.most}, best {shape.best}" for shape in shapes)
    return EngineBuildError(f"These shapes do not fit {what}, or are not in order: {told}.")


def _use_timings(flavour: Flavour, config: Any, timings: Timings | None) -> None:
    """Timings of another GPU or version are refused by TensorRT, and it measures anew."""
    if timings is None or flavour.name == "rtx":
        return
    cache = config.create_timing_cache(timings.data)
    if cache is None or not config.set_timing_cache(cache, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _keep_timings(flavour: Flavour, config: Any, timings: Timings | None) -> None:
    if timings is None or flavour.name == "rtx":
        return
    cache = config.get_timing_cache()
    if cache is not None:
        timings.data = bytes(cache.serialize())


def _joined(complaints: Sequence[str]) -> str:
    return " ".join(dict.fromkeys(complaints)) or "it does not say why."
