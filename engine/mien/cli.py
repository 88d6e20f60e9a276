"""The command line, `mien`: reads arguments, hands them to mien.commands, and turns errors into exit codes."""

import json
import logging
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mien.commands import cache as cache_commands
from mien.commands import directions as directions_commands
from mien.commands.build import build
from mien.commands.generate import generate
from mien.commands.info import info
from mien.commands.joining import join
from mien.commands.options import (
    AlignedOption,
    BackendOption,
    DeghostOption,
    DeviceOption,
    DirectionsOption,
    EditBundleOption,
    FaceOption,
    JsonOption,
    MethodOption,
    SetOption,
    ThreadsOption,
    face_number,
    frame_rate,
    strengths,
)
from mien.commands.reenact_command import finish, reenact, template
from mien.errors import InputError, MienError

# What a command needs is imported inside of it (and of what is imported here), so that `mien --help` stays quick.

app = typer.Typer(
    name="mien",
    help="Edits and reenacts faces in real time. Everything it writes is marked as synthetic.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(directions_commands.app, name="directions")
app.add_typer(cache_commands.app, name="cache")


def main() -> None:
    """The program. Exit codes: 0, those of mien.errors, 2 for wrong usage, 130 for Ctrl-C, 143 for being terminated."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as with Ctrl-C, what was made so far becomes playable
    join(app, sys.argv[1:])
    try:
        app()
    except MienError as error:
        if os.environ.get("MIEN_DEBUG"):
            raise
        print(f"mien: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _version(asked: bool) -> None:
    if asked:
        from mien.provenance import software

        print(software())
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", envvar="MIEN_DEBUG", help="Show tracebacks and details.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Edits and reenacts faces in real time. Everything it writes is marked as synthetic."""
    if debug:
        os.environ["MIEN_DEBUG"] = "1"
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="mien: %(message)s")


app.command()(reenact)
app.command()(template)


@app.command()
def edit(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO|FOLDER|LIST.txt", help="What to edit.")],
    bundle: EditBundleOption,
    output: Annotated[Path, typer.Option("-o", "--output", help="A picture (.png, .jpg); a folder for several.")],
    set_: SetOption = None,
    mask_output: Annotated[
        Path | None, typer.Option("--mask-out", help="Where the mask goes (.png); a folder for several.")
    ] = None,
    method: MethodOption = "diffcam++",
    deghost: DeghostOption = None,
    face: FaceOption = "largest",
    aligned: AlignedOption = False,
    directions: DirectionsOption = None,
    device: DeviceOption = "cpu",
    backend: BackendOption = "ort",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Changes a face and leaves all else as it is, to the last bit. Several pictures: goes on where it was stopped."""
    from mien.commands import batch
    from mien.commands.edit import EditJob, Wanted
    from mien.commands.edit import edit as edit_photo
    from mien.commands.pictures import names_several
    from mien.commands.show import working
    from mien.commands.summary import batch_summary, edit_summary

    chosen = _some(strengths(set_))
    added = tuple(directions or ())
    wanted = Wanted(bundle, chosen, method, deghost, face_number(face), aligned, added, device, backend, threads)
    if not names_several(photo):
        report = edit_photo(EditJob(photo, output, wanted, mask_output))
        _print_json(asdict(report)) if as_json else print(edit_summary(report))
        return
    with working("pictures", shown=not as_json) as progress:
        reports = batch.edit_all(batch.BatchJob(photo, output, wanted, mask_output), progress)
    _print_json(asdict(reports)) if as_json else print(batch_summary(reports))
    for failure in () if as_json else reports.failed:
        print(f"mien: {failure.source}: {failure.error}", file=sys.stderr)
    raise typer.Exit(InputError.exit_code if reports.failed else 0)


@app.command()
def animate(
    photo: Annotated[Path, typer.Argument(help="A picture.")],
    bundle: EditBundleOption,
    output: Annotated[Path, typer.Option("-o", "--output", help="A video (.mp4), a .gif, or a folder for PNG files.")],
    set_: SetOption = None,
    curve: Annotated[
        str, typer.Option("--curve", metavar="there-and-back|there|FILE.csv", help="How the strengths move.")
    ] = "there-and-back",
    seconds: Annotated[float | None, typer.Option("--seconds", help="Length of the film.  [default: 4]")] = None,
    rate: Annotated[str, typer.Option("--rate", help="Pictures a second, for example 25 or 30000/1001.")] = "25",
    method: MethodOption = "diffcam++",
    deghost: DeghostOption = None,
    face: FaceOption = "largest",
    aligned: AlignedOption = False,
    directions: DirectionsOption = None,
    device: DeviceOption = "cpu",
    backend: BackendOption = "ort",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Makes the film of an edit: from the photograph to the edited one, and back."""
    from mien.commands.animate import CURVES, FilmJob
    from mien.commands.animate import animate as make_film
    from mien.commands.edit import Wanted
    from mien.commands.show import working
    from mien.commands.summary import film_summary

    chosen = _some(strengths(set_)) if curve in CURVES else strengths(set_)
    added = tuple(directions or ())
    wanted = Wanted(bundle, chosen, method, deghost, face_number(face), aligned, added, device, backend, threads)
    with working("frames", shown=not as_json) as progress:
        report = make_film(FilmJob(photo, output, wanted, curve, seconds, frame_rate(rate)), progress)
    _print_json(asdict(report)) if as_json else print(film_summary(report))


app.command()(generate)
app.command()(build)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the video goes.")] = Path("mien-demo.mp4"),
    device: DeviceOption = "cpu",
    backend: BackendOption = "ort",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reenacts the portrait that mien brings with the clip that mien brings: synthetic people, both."""
    from dataclasses import replace

    from mien.commands.demo import demo_job

    finish(replace(demo_job(output), device=device, backend=backend, threads=threads), as_json)


@app.command()
def bench(
    bundle: Annotated[str, typer.Argument(help="A bundle that mien brings, a folder, or a .zip.")] = "studio",
    device: DeviceOption = "cpu",
    backend: BackendOption = "ort",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measures how fast this machine reenacts, from the clip that mien brings to a video that is thrown away."""
    import tempfile
    from dataclasses import replace

    from mien.commands.demo import demo_job

    with tempfile.TemporaryDirectory(prefix="mien-bench-") as folder:
        job = demo_job(Path(folder) / "bench.mp4")
        finish(replace(job, bundle=bundle, device=device, backend=backend, threads=threads), as_json, kept=False)


app.command()(info)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Says what this machine has and what of it really works; exit code 1 where something needed does not."""
    from mien.commands.show import show_facts
    from mien.doctor import diagnose

    diagnosis = diagnose()
    if as_json:
        _print_json({"healthy": diagnosis.healthy, "facts": [asdict(fact) for fact in diagnosis.facts]})
    else:
        show_facts(diagnosis)
    raise typer.Exit(0 if diagnosis.healthy else MienError.exit_code)


@app.command()
def pull(
    name: Annotated[str | None, typer.Argument(help="What to fetch; without it, what there is.")] = None,
    mirror: Annotated[str | None, typer.Option(envvar="MIEN_MIRROR", help="A folder or URL to take it from.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetches a public network into the cache, checked against its sha256, and shows its licence."""
    from mien import hub
    from mien.commands.show import pulling, show_entries

    if name is None:
        entries = list(hub.REGISTRY.values())
        _print_json([asdict(entry) for entry in entries]) if as_json else show_entries(entries)
        return
    entry = hub.find(name)
    print(f"{entry.what}. Licence: {entry.licence}. Origin: {entry.origin}.", file=sys.stderr)
    with pulling(entry.name, shown=not as_json) as progress:
        path = hub.pull(name, mirror, progress)
    _print_json({**asdict(entry), "path": str(path)}) if as_json else print(path)


def _some(edits: dict[str, float]) -> dict[str, float]:
    if not edits:
        raise typer.BadParameter("say what to change, for example --set smile=1.5", param_hint="--set")
    return edits


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


if __name__ == "__main__":
    main()
