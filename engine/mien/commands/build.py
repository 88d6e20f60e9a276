"""`mien build`: a bundle's engines into the cache, ready for the first run; or plans for a GPU that is not here."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mien.commands.options import JsonOption

if TYPE_CHECKING:
    from mien.commands.engines import EnginesReport
    from mien.commands.plans import PlansReport

OPENED_FOR = 8
"""The largest batch of the engines that mien's other commands open."""


def build(
    bundle: Annotated[str, typer.Argument(help="A bundle that mien brings, a folder, or a .zip.")] = "studio",
    target: Annotated[
        Literal["rtx", "tensorrt"],
        typer.Option("--target", help="TensorRT for RTX, which needs no GPU to build plans, or TensorRT 11."),
    ] = "rtx",
    compute_capability: Annotated[
        int | None,
        typer.Option(
            "--compute-capability",
            metavar="N",
            help="89 for 8.9: plans for such a GPU. Without it, and without a GPU: rtx fits all from 8.0 on.",
        ),
    ] = None,
    max_batch: Annotated[
        int, typer.Option("--max-batch", min=1, help="The largest batch, where a network takes one.")
    ] = OPENED_FOR,
    device: Annotated[
        str | None, typer.Option("--device", metavar="cuda[:N]", help="The GPU to build for.  [default: the first]")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Write plans there, also where there is a GPU."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Builds all networks of a bundle with TensorRT: into the cache for this GPU, or as plans for another."""
    from mien.commands.engines import EnginesJob, fill_cache, gpu_to_build_for
    from mien.commands.plans import PlansJob, build_plans
    from mien.commands.show import working
    from mien.sessions.trt_build import Target

    if output is not None and device is not None:
        raise typer.BadParameter("plans in a folder are for no GPU of this machine", param_hint="--device")
    gpu = gpu_to_build_for(device, compute_capability) if output is None else ""
    with working("building", shown=not as_json) as progress:
        if isinstance(gpu, str):
            job = PlansJob(bundle, Target(target, compute_capability), max_batch, output, gpu)
            plans = build_plans(job, progress)
        else:
            engines = fill_cache(EnginesJob(bundle, target, gpu, max_batch), progress)
    report = plans if isinstance(gpu, str) else engines
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    else:
        print(_plans_summary(plans) if isinstance(gpu, str) else _engines_summary(engines))


def _plans_summary(report: "PlansReport") -> str:
    made = report.plans
    sizes = ", ".join(f"{role} {plan.bytes / 1e6:.1f} MB" for role, plan in made.networks.items())
    asked = made.compute_capability
    fits = f" for compute capability {asked // 10}.{asked % 10}" if asked else ""
    said = f"{report.output}: {sizes} by {made.flavour} {made.version}{fits} in {report.seconds:.1f} s"
    if not report.reason:
        return said
    return f"Plans were written, and no engines into the cache of this machine: {report.reason}\n{said}"


def _engines_summary(report: "EnginesReport") -> str:
    lines = [
        f"{role}: {engine.bytes / 1e6:.1f} MB, {'built' if engine.built else 'there already'}, {engine.seconds:.1f} s"
        for role, engine in report.networks.items()
    ]
    if report.max_batch != OPENED_FOR:
        lines.append(
            f"These are for batches of up to {report.max_batch}; mien's commands open engines for {OPENED_FOR}, and "
            "build those when they are first used."
        )
    whose = f"{report.gpu}, driver {report.driver}, by {report.flavour} {report.version}"
    return "\n".join([*lines, f"{report.folder}: ready for {whose}"])
