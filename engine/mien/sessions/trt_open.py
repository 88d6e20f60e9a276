"""From an ONNX model to a TensorRT session on this machine's GPU: the engine is built on first use, and kept.

Not executed yet, but for what comes before the first GPU is asked for.
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from os import PathLike
from typing import Any

from mien.errors import DeviceError
from mien.hub import cache_folder
from mien.sessions.cuda import Cuda
from mien.sessions.engine_cache import EngineCache, EngineKey
from mien.sessions.ort import model_specs, read_model, split_device
from mien.sessions.own_folder import OwnFolder
from mien.sessions.timing_cache import read_timings, write_timings
from mien.sessions.trt import Graphs, TrtSession
from mien.sessions.trt_build import BuildOptions, Network, Target, batch_ranges, build_plan
from mien.sessions.trt_flavour import FlavourName, load_flavour
from mien.sessions.trt_progress import BuildProgress

MOST_BATCH = 8
"""The largest batch that an engine is built for, unless told otherwise."""


def open_trt(
    model: bytes | str | PathLike[str],
    flavour: FlavourName,
    device: str = "cuda",
    *,
    most_batch: int = MOST_BATCH,
    options: BuildOptions | None = None,
    cache: EngineCache | None = None,
    progress: BuildProgress | None = None,
) -> TrtSession:
    """A session from an ONNX model, on "cuda" or "cuda:N": the engine is built on first use, and kept.

    ``most_batch`` bounds the batch where the model leaves it free. Raises DeviceError without a fitting GPU or driver,
    MissingDependency without TensorRT or PyCUDA, EngineBuildError for a network that cannot be built, OutputError and
    DiskFull for a cache folder that cannot be used.
    """
    kind, ordinal = split_device(device)
    if kind != "cuda":
        raise DeviceError(f"Requested device was: {device!r}, but TensorRT runs on: cuda, cuda:N.")
    loaded = load_flavour(flavour)
    cuda = Cuda.open(ordinal)
    data = read_model(model)
    network = Network(data, *model_specs(data))
    settings = options or BuildOptions()
    shapes = batch_ranges(network.inputs, most_batch)
    capability = cuda.compute_capability
    target = Target(flavour, capability if capability in loaded.capabilities else None)
    store = cache or EngineCache(cache_folder() / "engines")
    key = EngineKey(
        model=hashlib.sha256(data).hexdigest(),
        flavour=flavour,
        version=loaded.version,
        gpu=cuda.name,
        compute_capability=capability,
        driver=cuda.driver,
        precision="as in the network",
        shapes=shapes,
        options=settings.named,
    )

    def make() -> bytes:
        with OwnFolder(store.folder) as folder, cuda.current():
            timings = read_timings(folder, loaded.version)
            plan = build_plan(network, shapes, target, settings, progress, timings)
            write_timings(folder, loaded.version, timings)
            return plan

    return TrtSession(store.build(key, make), network.inputs, network.outputs, loaded, cuda, graphs=cuda_graphs())


def cuda_graphs() -> Graphs | None:
    """mien's own extension, where it was built with CUDA."""
    try:
        module: Any = import_module("mien._cuda")
    except ImportError:
        return None
    return module if hasattr(module, "begin_capture") else None
