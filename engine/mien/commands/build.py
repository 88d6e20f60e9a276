"""`mien build`: the networks of a bundle as TensorRT plans, also for a GPU that this machine does not have."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mien.commands.options import JsonOption

if TYPE_CHECKING:
    from mien.commands.plans import PlansReport


def build(
    bundle: Annotated[str, typer.Argument(help="A bundle that mien brings, a folder, or a .zip.")] = "studio",
    target: Annotated[
        Literal["rtx", "tensorrt"],
        typer.Option("--target", help="TensorRT for RTX, which needs no GPU to build, or TensorRT 11."),
    ] = "rtx",
    compute_capability: Annotated[
        int | None,
        typer.Option(
            "--compute-capability",
            metavar="N",
            help="89 for 8.9. Without it: rtx fits all GPUs from 8.0 on, tensorrt the one in this machine.",
        ),
    ] = None,
    max_batch: Annotated[
        int, typer.Option("--max-batch", min=1, help="The largest batch, where a network takes one.")
    ] = 8,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Where the plans go.  [default: BUNDLE-TARGET]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Builds TensorRT plans of all networks of a bundle, with a file that says what they are for."""
    from mien.commands.plans import PlansJob, build_plans
    from mien.commands.show import working
    from mien.sessions.trt_build import Target

    job = PlansJob(bundle, Target(target, compute_capability), max_batch, output)
    with working("building", shown=not as_json) as progress:
        report = build_plans(job, progress)
    print(json.dumps(asdict(report), indent=2) if as_json else _summary(report))


def _summary(report: "PlansReport") -> str:
    made = report.plans
    sizes = ", ".join(f"{role} {plan.bytes / 1e6:.1f} MB" for role, plan in made.networks.items())
    asked = made.compute_capability
    fits = f" for compute capability {asked // 10}.{asked % 10}" if asked else ""
    return f"{report.output}: {sizes} by {made.flavour} {made.version}{fits} in {report.seconds:.1f} s"
