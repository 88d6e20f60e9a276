"""The words of `mien reenact` and `mien template`; loads nothing heavy before one of them is asked for."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mien.commands.options import (
    BackendOption,
    BundleOption,
    DeviceOption,
    EyesOption,
    JsonOption,
    LipsOption,
    SmoothOption,
    SourceFaceOption,
    ThreadsOption,
    face_choice,
)

if TYPE_CHECKING:
    from mien.commands.reenact import Job


def reenact(
    source: Annotated[Path, typer.Argument(help="The portrait: a picture, or a film whose face moves already.")],
    driving: Annotated[
        str,
        typer.Argument(help="What moves it: a video, a picture or a folder of them, a camera (0), a template (.npz)."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A video (.mp4), a folder for PNG files; for one frame a picture.")
    ],
    relative: Annotated[
        bool, typer.Option("--relative/--absolute", help="Take over the driver's changes, or its pose as it is.")
    ] = True,
    region: Annotated[
        Literal["all", "expression", "pose", "lips", "eyes"], typer.Option("--region", help="Move only this.")
    ] = "all",
    multiplier: Annotated[float, typer.Option("--multiplier", help="How strongly; 1 is as the driver does.")] = 1.0,
    stitching: Annotated[
        bool, typer.Option("--stitching/--no-stitching", help="Fit the head to the shoulders, where the bundle can.")
    ] = True,
    eyes: EyesOption = None,
    lips: LipsOption = None,
    retarget_eyes: Annotated[
        bool, typer.Option("--retarget-eyes", help="Open the eyes just as the driver does.")
    ] = False,
    retarget_lips: Annotated[
        bool, typer.Option("--retarget-lips", help="Open the mouth just as the driver does.")
    ] = False,
    normalise_lips: Annotated[bool, typer.Option("--normalise-lips", help="Close the portrait's mouth first.")] = False,
    face: SourceFaceOption = "largest",
    smooth: SmoothOption = "live",
    bundle: BundleOption = "studio",
    device: DeviceOption = "cpu",
    backend: BackendOption = "ort",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Makes a portrait move as a driving face does. The output keeps the driver's frames, times and sound."""
    from mien.commands.reenact import Job
    from mien.reenact.transfer import Transfer

    transfer = Transfer(
        relative, region, multiplier, stitching, eyes, lips, retarget_eyes, retarget_lips, normalise_lips
    )
    chosen = face_choice(face)
    finish(Job(source, driving, output, transfer, bundle, device, backend, threads, chosen, smooth), as_json)


def finish(job: "Job", as_json: bool, kept: bool = True) -> None:
    """Does a job, with a bar on stderr where a person looks on, and reports it."""
    from mien.commands.reenact import reenact as drive
    from mien.commands.show import working
    from mien.commands.summary import reenact_summary

    with working("frames", shown=not as_json) as progress:
        report = drive(job, progress)
    print(json.dumps(asdict(report), indent=2) if as_json else reenact_summary(report, kept))


def template(
    driving: Annotated[str, typer.Argument(help="Whose motion: a video or a folder of pictures.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A motion template (.npz).")],
    bundle: BundleOption = "studio",
    device: DeviceOption = "cpu",
    backend: BackendOption = "ort",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Records a driving face's motion, to drive portraits with it later: mien reenact PORTRAIT TEMPLATE."""
    from mien.commands.show import working
    from mien.commands.summary import template_summary
    from mien.commands.template import TemplateJob, record_template

    with working("frames", shown=not as_json) as progress:
        report = record_template(TemplateJob(driving, output, bundle, device, backend, threads), progress)
    print(json.dumps(asdict(report), indent=2) if as_json else template_summary(report))
