"""All networks of a bundle built into a folder: a plan for each role, and plans.json, which says what they are for."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from mien.bundle import Bundle, NetworkSpec
from mien.errors import OutputError
from mien.files import output_error, write_atomic
from mien.hub import cache_folder
from mien.sessions.engine_cache import ShapeRange
from mien.sessions.own_folder import OwnFolder, make_folder
from mien.sessions.timing_cache import read_timings, write_timings
from mien.sessions.trt_build import (
    BuildOptions,
    EngineBuildError,
    Network,
    Target,
    Timings,
    batch_ranges,
    build_plan,
)
from mien.sessions.trt_flavour import FlavourName, load_flavour

MANIFEST = "plans.json"

Progress = Callable[[int, int], None]
Tell = Callable[[float], None]


@dataclass(frozen=True)
class PlansJob:
    """What `mien build` was asked to do."""

    bundle: str
    target: Target
    max_batch: int
    output: Path | None
    """None: a folder in the current one, named after the bundle and the target."""
    reason: str = ""
    """Why these are not engines for a GPU of this machine, where nobody asked for plans."""
    options: BuildOptions = BuildOptions()


@dataclass(frozen=True)
class Plan:
    """A built network: what it was built from and for, as far as that is known without the GPU that will run it."""

    file: str
    bytes: int
    sha256: str
    model: str
    """The sha256 of the ONNX file."""
    precision: str
    shapes: tuple[ShapeRange, ...]


@dataclass(frozen=True)
class Plans:
    """What plans.json says. ``compute_capability`` None: see `Target`."""

    bundle: str
    flavour: FlavourName
    version: str
    compute_capability: int | None
    options: tuple[tuple[str, bool | int | str], ...]
    networks: dict[str, Plan]


@dataclass(frozen=True)
class PlansReport:
    """What came of it."""

    output: str
    plans: Plans
    seconds: float
    reason: str
    """See `PlansJob`."""


def build_plans(job: PlansJob, progress: Progress | None = None) -> PlansReport:
    """Builds every network; ``progress`` is told thousandths.

    The plans are for a GPU that need not be here: mien does not load them from the folder. Raises BundleError,
    OutputError, DiskFull, and what `build_plan` raises, with the network's role.
    """
    start = time.perf_counter()
    bundle = Bundle.open(job.bundle)
    flavour = load_flavour(job.target.flavour)
    folder = _folder(job.output or Path(_name(bundle, job.target)))
    plans: dict[str, Plan] = {}
    with _timings(job.target, flavour.version) as timings:
        for spec, tell in one_by_one(bundle, progress):
            plan, shapes = _built(bundle, spec, job, tell, timings)
            file = _file(spec)
            write_atomic(folder / file, plan)
            sha256 = hashlib.sha256(plan).hexdigest()
            plans[spec.role] = Plan(file, len(plan), sha256, spec.sha256, spec.precision, shapes)
    made = Plans(
        bundle.manifest.name,
        job.target.flavour,
        flavour.version,
        job.target.compute_capability,
        job.options.named,
        plans,
    )
    write_atomic(folder / MANIFEST, (json.dumps({"schema_version": 1, **asdict(made)}, indent=2) + "\n").encode())
    return PlansReport(str(folder), made, time.perf_counter() - start, job.reason)


def one_by_one(bundle: Bundle, progress: Progress | None) -> Iterator[tuple[NetworkSpec, Tell]]:
    """Every network, and what to tell of its own share that is done; its bytes are the measure of the work."""
    networks = bundle.manifest.networks.values()
    whole = sum(spec.bytes for spec in networks)
    before = 0
    for spec in networks:
        tell = _part(progress, before / whole, spec.bytes / whole)
        yield spec, tell
        tell(1.0)
        before += spec.bytes


@contextmanager
def named(bundle: Bundle, spec: NetworkSpec) -> Iterator[None]:
    """An EngineBuildError in it is told with the network's role."""
    try:
        yield
    except EngineBuildError as error:
        told = f"The network {spec.role!r} of the bundle {bundle.place!r} was not built. {error}"
        raise EngineBuildError(told, error.faults) from error


def _built(
    bundle: Bundle, spec: NetworkSpec, job: PlansJob, tell: Tell, timings: Timings | None
) -> tuple[bytes, tuple[ShapeRange, ...]]:
    inputs, outputs = (tuple(info.spec for info in infos) for infos in (spec.inputs, spec.outputs))
    with named(bundle, spec):
        shapes = batch_ranges(inputs, job.max_batch)
        network = Network(bundle.model(spec.role), inputs, outputs)
        plan = build_plan(network, shapes, job.target, job.options, lambda step: tell(step.share), timings)
    return plan, shapes


def _part(progress: Progress | None, start: float, size: float) -> Tell:
    """From the share of one network to thousandths of all."""

    def tell(share: float) -> None:
        if progress is not None:
            progress(round(1000 * (start + share * size)), 1000)

    return tell


@contextmanager
def _timings(target: Target, version: str) -> Iterator[Timings | None]:
    """TensorRT's measurements, kept beside the cached engines, also where a later network fails."""
    if target.flavour == "rtx":
        yield None
        return
    place = cache_folder() / "engines"
    make_folder(place)
    with OwnFolder(place) as own:
        timings = read_timings(own, version)
        try:
            yield timings
        finally:
            with own.locked():
                write_timings(own, version, timings)


def _file(spec: NetworkSpec) -> str:
    """Named after the role, unless that is no plain word: a manifest may come from anybody."""
    return f"{spec.role if re.fullmatch(r'[a-z_0-9]+', spec.role) else spec.sha256}.plan"


def _name(bundle: Bundle, target: Target) -> str:
    suffix = "" if target.compute_capability is None else f"-sm{target.compute_capability}"
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', bundle.manifest.name)}-{target.flavour}{suffix}"


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / MANIFEST).unlink(missing_ok=True)  # while plans are replaced it would say what is not so
    except FileExistsError as error:
        raise OutputError(f"The plans go to a folder, and {path} is a file. Name another with -o.") from error
    except OSError as error:
        raise output_error(path, error) from error
    return path
