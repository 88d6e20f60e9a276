"""From an ONNX model to a TensorRT session on this machine's GPU: the engine is built on first use, and kept.

Not executed yet, but for what comes before the first GPU is asked for.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from os import PathLike
from typing import Any

from mien.errors import DeviceError, MienError, SessionError
from mien.hub import cache_folder
from mien.sessions.base import NodePlace
from mien.sessions.cuda import Cuda, Stream
from mien.sessions.engine_cache import EngineCache, EngineKey, ShapeRange
from mien.sessions.ort import model_specs, read_model, split_device
from mien.sessions.own_folder import OwnFolder
from mien.sessions.timing_cache import read_timings, write_timings
from mien.sessions.trt import Compiled, Graphs, TrtSession
from mien.sessions.trt_build import BuildOptions, Network, Target, batch_ranges, build_plan
from mien.sessions.trt_flavour import Flavour, FlavourName, load_flavour
from mien.sessions.trt_layers import read_layers
from mien.sessions.trt_progress import BuildProgress

MOST_BATCH = 8
"""The largest batch that an engine is built for, unless told otherwise."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """What is built for a network on one GPU, and under which key the engine is kept."""

    network: Network
    shapes: tuple[ShapeRange, ...]
    target: Target
    options: BuildOptions
    key: EngineKey


@dataclass(frozen=True)
class KeptEngine:
    """A plan, and whether it was built just now."""

    plan: bytes
    built: bool


def engine_cache() -> EngineCache:
    """Where engines are kept, unless told otherwise."""
    return EngineCache(cache_folder() / "engines")


def engine_recipe(
    model: bytes, flavour: Flavour, cuda: Cuda, most_batch: int = MOST_BATCH, options: BuildOptions | None = None
) -> Recipe:
    """For an ONNX model's bytes. Raises SessionError where they cannot be read, EngineBuildError, InputError."""
    network = Network(model, *model_specs(model))
    settings = options or BuildOptions()
    shapes = batch_ranges(network.inputs, most_batch)
    capability = cuda.compute_capability
    target = Target(flavour.name, capability if capability in flavour.capabilities else None)
    key = EngineKey(
        model=hashlib.sha256(model).hexdigest(),
        flavour=flavour.name,
        version=flavour.version,
        gpu=cuda.name,
        compute_capability=capability,
        driver=cuda.driver,
        precision="as in the network",
        shapes=shapes,
        options=settings.named,
    )
    return Recipe(network, shapes, target, settings, key)


def kept_engine(recipe: Recipe, cuda: Cuda, store: EngineCache, progress: BuildProgress | None = None) -> KeptEngine:
    """Built first where the cache has none. Raises EngineBuildError, OutputError, DiskFull."""
    built = False

    def make() -> bytes:
        nonlocal built
        if progress is None:
            _log.warning("Building an engine for %s: once, and it can take minutes (`mien build`).", cuda.name)
        with OwnFolder(store.folder) as folder, cuda.current():
            timings = read_timings(folder, recipe.key.version)
            plan = build_plan(recipe.network, recipe.shapes, recipe.target, recipe.options, progress, timings)
            write_timings(folder, recipe.key.version, timings)
            built = True
            return plan

    plan = store.build(recipe.key, make)
    return KeptEngine(plan, built)


def open_engine(
    recipe: Recipe, plan: bytes, flavour: Flavour, cuda: Cuda, store: EngineCache, stream: Stream | None = None
) -> TrtSession:
    """The session of a plan. What the inspector tells of it and what it compiles are put beside the engine."""
    key, network = recipe.key, recipe.network
    compiled = Compiled(store.compiled(key), partial(store.keep_compiled, key))
    session = TrtSession(plan, network.inputs, network.outputs, flavour, cuda, stream, cuda_graphs(), compiled)
    try:
        if store.report(key) is None:
            store.keep_report(key, session.inspect())
    except MienError as error:  # the network runs without it
        _log.warning("No report of the engine's layers is kept: %s", error)
    return session


def open_trt(
    model: bytes | str | PathLike[str],
    flavour: FlavourName,
    device: str = "cuda",
    *,
    most_batch: int = MOST_BATCH,
    options: BuildOptions | None = None,
    cache: EngineCache | None = None,
    progress: BuildProgress | None = None,
    stream: Stream | None = None,
) -> TrtSession:
    """A session from an ONNX model, on "cuda" or "cuda:N": the engine is built on first use, and kept.

    ``most_batch`` bounds the batch where the model leaves it free. ``stream``: what all work is queued on, of that GPU.
    Raises DeviceError without a fitting GPU or driver, MissingDependency without TensorRT or PyCUDA, EngineBuildError
    for a network that cannot be built, OutputError and DiskFull for a cache folder that cannot be used.
    """
    number = gpu_number(device)
    loaded = load_flavour(flavour)
    cuda = stream.cuda if stream else Cuda.open(number)
    recipe = engine_recipe(read_model(model), loaded, cuda, most_batch, options)
    store = cache or engine_cache()
    return open_engine(recipe, kept_engine(recipe, cuda, store, progress).plan, loaded, cuda, store, stream)


def node_places(
    model: bytes | str | PathLike[str], flavour: FlavourName, device: str = "cuda", *, most_batch: int = MOST_BATCH
) -> tuple[NodePlace, ...]:
    """Every node with the layer of the engine that took it, from the inspector's report in the cache.

    Builds nothing: SessionError where this GPU has no engine of the network yet. Raises else as `open_trt` does.
    """
    number = gpu_number(device)
    loaded = load_flavour(flavour)
    cuda = Cuda.open(number)
    report = engine_cache().report(engine_recipe(read_model(model), loaded, cuda, most_batch).key)
    if report is None:
        raise SessionError(
            f"There is no engine of this network for {cuda.name} by {loaded.title} yet, or no report of its layers. "
            f"Build it: mien build BUNDLE --target {flavour}"
        )
    return read_layers(report, f"{loaded.title} on cuda:{number}")


def gpu_number(device: str) -> int:
    """1 of "cuda:1". Raises DeviceError for anything but a GPU."""
    kind, number = split_device(device)
    if kind != "cuda":
        raise DeviceError(f"Requested device was: {device!r}, but TensorRT runs on: cuda, cuda:N.")
    return number


def cuda_graphs() -> Graphs | None:
    """mien's own extension, where it was built with CUDA."""
    try:
        module: Any = import_module("mien._cuda")
    except ImportError:
        return None
    return module if hasattr(module, "begin_capture") else None
