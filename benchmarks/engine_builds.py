"""How long do a bundle's networks take to become TensorRT-RTX plans, and how big are these? Needs no GPU.

    python -m benchmarks.engine_builds BUNDLE [--roles ROLE ...] [--precision fp32 fp16] [--batch N ...]

Each network in float32 and, converted here, in float16; static, and where its batch is free with a profile for each of
the given batches. A build is a process of its own, so that its memory is its own too; one follows the other. A plan
says nothing of how fast it runs: that takes a GPU.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measure import RESULTS, show, write_json
from mien.bundle import Bundle
from mien.errors import MienError
from mien.sessions.trt_build import Network, Target, batch_ranges, build_plan
from mien_export.precision import to_half

ADA = Target("rtx", 89)
PRECISIONS = ("fp32", "fp16")


@dataclass(frozen=True)
class Job:
    """One plan. ``batch``: the most that it is for, or None for a network whose batch is fixed."""

    bundle: str
    role: str
    precision: str
    batch: int | None


@dataclass(frozen=True)
class Built:
    """What came of it. ``seconds`` are the builder's alone, ``memory`` the most bytes that the process held."""

    role: str
    precision: str
    batch: int | None
    seconds: float = 0.0
    bytes: int = 0
    memory: int = 0
    fault: str = ""


def jobs(bundle: str, roles: list[str], precisions: list[str], batches: list[int]) -> Iterator[Job]:
    """Every plan of a bundle, the roles in its own order."""
    for role, spec in Bundle.open(bundle).manifest.networks.items():
        if roles and role not in roles:
            continue
        free = any(isinstance(size, str) for info in spec.inputs for size in info.shape[:1])
        for precision in precisions:
            yield from (Job(bundle, role, precision, batch) for batch in (batches if free else [None]))


def build(job: Job) -> Built:
    """Builds in this process. A network that TensorRT refuses is a result, with its own words."""
    bundle = Bundle.open(job.bundle)
    spec, model = bundle.network(job.role), bundle.model(job.role)
    inputs, outputs = (tuple(info.spec for info in infos) for infos in (spec.inputs, spec.outputs))
    asked = job.role, job.precision, job.batch
    start = time.perf_counter()
    try:
        network = Network(model if job.precision == "fp32" else to_half(model), inputs, outputs)
        del model
        start = time.perf_counter()
        plan = build_plan(network, batch_ranges(inputs, job.batch or 1), ADA)
    except MienError as error:
        return Built(*asked, time.perf_counter() - start, fault=f"{type(error).__name__}: {error}")
    taken = time.perf_counter() - start
    return Built(*asked, taken, len(plan), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def apart(job: Job) -> Built:
    """Builds in a process of its own, which may also be killed for its memory."""
    asked = [sys.executable, "-m", "benchmarks.engine_builds", job.bundle, "--only", json.dumps(asdict(job))]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    try:
        return Built(**json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        return Built(job.role, job.precision, job.batch, fault=f"exit code {done.returncode}: {said}")


def row(built: Built) -> tuple[object, ...]:
    """The line of the table."""
    batch = "fixed" if built.batch is None else f"1 to {built.batch}"
    if built.fault:
        return built.role, built.precision, batch, "-", "-", "-", built.fault
    return built.role, built.precision, batch, built.seconds, built.bytes / 1e6, built.memory / 1e9, ""


def main() -> None:
    """Runs the benchmark of the command line; exit code 1 where something does not build."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--roles", nargs="*", default=[])
    parser.add_argument("--precision", nargs="*", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--batch", nargs="*", type=int, default=[1, 4])
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(asdict(build(Job(**json.loads(options.only))))))
        return
    found = []
    for job in jobs(options.bundle, options.roles, options.precision, options.batch):
        found.append(apart(job))
        print(*row(found[-1]), flush=True)
    manifest = Bundle.open(options.bundle).manifest
    show(
        f"Plans of {manifest.name}", ("network", "precision", "batch", "s", "MB", "memory GB", "fault"), map(row, found)
    )
    name = f"engine_builds_{manifest.name}"
    print(write_json(name, {"bundle": manifest.name, "plans": [asdict(built) for built in found]}, options.output))
    sys.exit(any(built.fault for built in found))


if __name__ == "__main__":
    main()
