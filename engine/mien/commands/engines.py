"""All networks of a bundle built for a GPU of this machine, into the cache from which sessions take their engines.

Tested with stand-ins for the driver and TensorRT; not executed on a GPU yet.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from mien.bundle import Bundle, NetworkSpec
from mien.commands.plans import Progress, Tell, named, one_by_one
from mien.errors import DeviceError, MissingDependency
from mien.sessions import trt_open
from mien.sessions.cuda import Cuda
from mien.sessions.engine_cache import EngineCache
from mien.sessions.nvidia import find_driver
from mien.sessions.trt_build import BuildOptions
from mien.sessions.trt_flavour import Flavour, FlavourName, load_flavour
from mien.sessions.trt_layers import read_layers


@dataclass(frozen=True)
class EnginesJob:
    """What `mien build` was asked to do, and the GPU to do it on."""

    bundle: str
    flavour: FlavourName
    cuda: Cuda
    max_batch: int = trt_open.MOST_BATCH
    options: BuildOptions = BuildOptions()


@dataclass(frozen=True)
class CachedEngine:
    """An engine in the cache. ``layers`` is how many nodes the inspector's report names, None where there is none."""

    file: str
    bytes: int
    built: bool
    """False where it was there already."""
    layers: int | None
    seconds: float


@dataclass(frozen=True)
class EnginesReport:
    """What came of it, and what the engines are for. ``compute_capability`` is 89 for 8.9."""

    folder: str
    bundle: str
    flavour: FlavourName
    version: str
    gpu: str
    compute_capability: int
    driver: str
    max_batch: int
    networks: dict[str, CachedEngine]
    seconds: float


def gpu_to_build_for(device: str | None, compute_capability: int | None) -> Cuda | str:
    """The GPU whose engines are wanted: that of ``device`` or, with None, the first. Where there is none, why not.

    Raises DeviceError where the one asked for is not there or has another compute capability, MissingDependency where
    there is a GPU and only PyCUDA is missing.
    """
    try:
        cuda = Cuda.open(trt_open.gpu_number(device or "cuda"))
    except DeviceError as error:
        if device is not None:
            raise
        return str(error)
    except MissingDependency:
        why = _no_gpu()
        if device is not None or not why:
            raise
        return why
    if compute_capability in (None, cuda.compute_capability):
        return cuda
    own, name = cuda.compute_capability, cuda.name
    cuda.close()
    if device is not None:
        raise DeviceError(
            f"Engines for compute capability {compute_capability} were asked for, but {device} ({name}) has {own}. "
            "Without --device, plans are built for a GPU that is not here."
        )
    return f"{name} has compute capability {own}, and plans for {compute_capability} were asked for."


def _no_gpu() -> str:
    """Why there is none, as far as the driver tells without PyCUDA; empty where there is one."""
    try:
        return "" if find_driver().gpus else "The NVIDIA driver finds no GPU."
    except DeviceError as error:
        return str(error)


def fill_cache(job: EnginesJob, progress: Progress | None = None) -> EnginesReport:
    """Builds what the cache lacks, and opens every engine once, so that a session finds it ready.

    The keys are those of `mien.sessions.open_session` where ``max_batch`` is its `MOST_BATCH`. ``progress`` is told
    thousandths. Raises BundleError, OutputError, DiskFull, EngineBuildError with the network's role, SessionError where
    the GPU refuses an engine, DeviceError where it has no room.
    """
    start = time.perf_counter()
    bundle, flavour, store = Bundle.open(job.bundle), load_flavour(job.flavour), trt_open.engine_cache()
    networks = {
        spec.role: _cached(bundle, spec, job, flavour, store, tell) for spec, tell in one_by_one(bundle, progress)
    }
    return EnginesReport(
        str(store.folder),
        bundle.manifest.name,
        job.flavour,
        flavour.version,
        job.cuda.name,
        job.cuda.compute_capability,
        job.cuda.driver,
        job.max_batch,
        networks,
        time.perf_counter() - start,
    )


def _cached(
    bundle: Bundle, spec: NetworkSpec, job: EnginesJob, flavour: Flavour, store: EngineCache, tell: Tell
) -> CachedEngine:
    start = time.perf_counter()
    with named(bundle, spec):
        recipe = trt_open.engine_recipe(bundle.model(spec.role), flavour, job.cuda, job.max_batch, job.options)
        kept = trt_open.kept_engine(recipe, job.cuda, store, lambda step: tell(step.share))
    trt_open.open_engine(recipe, kept.plan, flavour, job.cuda, store).close()
    report = store.report(recipe.key)
    layers = None if report is None else len(read_layers(report, flavour.title))
    return CachedEngine(recipe.key.file, len(kept.plan), kept.built, layers, time.perf_counter() - start)
