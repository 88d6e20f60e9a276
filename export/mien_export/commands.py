"""`mien export ...`: joins mien's command line through an entry point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.status import Status

    from mien import Bundle
    from mien_export.lower import Lowered, Use
    from mien_export.onnx_export import Exported

    Packed = tuple[Bundle, Mapping[str, Exported]]

app = typer.Typer(no_args_is_help=True, help="Turn trained networks into bundles.")

Output = Annotated[Path, typer.Option("-o", "--output", help="Folder or .zip to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
PrecisionName = Literal["fp32", "fp16", "bf16", "int8"]
PrecisionOption = Annotated[
    PrecisionName, typer.Option("--precision", help="Of weights and activations; bf16 is for GPUs from 8.0 on.")
]
Calibration = Annotated[
    Path | None,
    typer.Option(help="Folder of aligned faces that a lower precision is tuned to; else faces the generator draws."),
]
CheckpointFile = Annotated[Path, typer.Argument(help="The public checkpoint, as it was downloaded.")]
Checkpoint = Annotated[Path | None, typer.Option(help="Its public checkpoint.", show_default=False)]


@app.callback()
def root() -> None:
    """Turn trained networks into bundles."""


@app.command()
def studio(
    runs: Annotated[Path, typer.Argument(help="Folder of the training recipe: points.npz and the checkpoints.")],
    output: Output,
    precision: PrecisionOption = "fp32",
    overwrite: Overwrite = False,
) -> None:
    """Export the studio family, with the differences to torch measured and written into the manifest."""
    from mien_export.networks.studio import EXPRESSIONS
    from mien_export.pack.studio import pack_studio

    _reenacting(output, precision, overwrite, partial(pack_studio, runs, expressions=EXPRESSIONS))


@app.command()
def edit(
    encoder: Annotated[Path, typer.Option(help="Checkpoint of pSp, e4e or ReStyle.")],
    output: Output,
    generator: Annotated[
        Path | None, typer.Option(help="Checkpoint of StyleGAN2; without it, the decoder in the encoder's file.")
    ] = None,
    parsing: Checkpoint = None,
    difference: Checkpoint = None,
    deghost: Checkpoint = None,
    identity: Checkpoint = None,
    directions: Annotated[
        list[str] | None,
        typer.Option(help="[NAME=]FILE (.npz, .npy, .pt; GANSpace: FILE:COMPONENT:FIRST:END). Repeatable."),
    ] = None,
    encoder_kind: Annotated[
        str | None, typer.Option(help="psp, e4e, psp-w, restyle-psp or restyle-e4e, where the file does not say.")
    ] = None,
    noise: Annotated[
        Literal["constant", "input"], typer.Option(help="The generator's own, or drawn anew from the Editor's seed.")
    ] = "constant",
    precision: PrecisionOption = "fp32",
    calibration: Calibration = None,
    overwrite: Overwrite = False,
) -> None:
    """Export public checkpoints for editing: encoder and StyleGAN2, and what draws and cleans the mask of an edit."""
    from rich.console import Console

    from mien_export.calibration import editing
    from mien_export.pack.edit import EditFiles, pack_edit
    from mien_export.pack.edit_traced import OptionalFiles

    if calibration is not None and precision == "fp32":
        raise typer.BadParameter("is for --precision fp16, bf16 and int8", param_hint="--calibration")
    optional = OptionalFiles(parsing, difference, deghost, identity)
    files = EditFiles(encoder, generator, optional, tuple(directions or ()), encoder_kind)
    with _whole(output, precision, editing(calibration), overwrite) as place:
        with Console(stderr=True).status("reading checkpoints") as status:
            told = partial(_tell, status)
            bundle, exported = pack_edit(files, place, overwrite=overwrite, noise=noise, progress=told)
        _show_parity(exported)
    if precision == "fp32":
        _show_size(output, bundle)


@app.command()
def liveportrait(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="The folder pretrained_weights/liveportrait, or the five .pth files in it.")
    ],
    output: Output,
    precision: PrecisionOption = "fp32",
    overwrite: Overwrite = False,
) -> None:
    """Export LivePortrait's public checkpoints for reenactment, retargeting of eyes and lips included."""
    from mien_export.pack.liveportrait import pack_liveportrait

    pack = partial(pack_liveportrait, checkpoints, minimal=precision == "fp32")
    _reenacting(output, precision, overwrite, pack)


@app.command()
def fomm(
    checkpoint: CheckpointFile, output: Output, precision: PrecisionOption = "fp32", overwrite: Overwrite = False
) -> None:
    """Export the First Order Motion Model's public checkpoint (vox-cpk.pth.tar) for reenactment."""
    from mien_export.pack.fomm import pack_fomm

    _reenacting(output, precision, overwrite, partial(pack_fomm, checkpoint, minimal=precision == "fp32"))


@app.command()
def lia(
    checkpoint: CheckpointFile, output: Output, precision: PrecisionOption = "fp32", overwrite: Overwrite = False
) -> None:
    """Export the Latent Image Animator's public checkpoint (vox.pt) for reenactment."""
    from mien_export.pack.lia import pack_lia

    _reenacting(output, precision, overwrite, partial(pack_lia, checkpoint))


@app.command()
def tpsmm(
    checkpoint: CheckpointFile, output: Output, precision: PrecisionOption = "fp32", overwrite: Overwrite = False
) -> None:
    """Export the Thin-Plate-Spline Motion Model's public checkpoint (vox.pth.tar) for reenactment."""
    from mien_export.pack.tpsmm import pack_tpsmm

    _reenacting(output, precision, overwrite, partial(pack_tpsmm, checkpoint, minimal=precision == "fp32"))


def _reenacting(output: Path, precision: PrecisionName, overwrite: bool, pack: Callable[..., Packed]) -> None:
    """A family's bundle in the asked precision, tuned to the demo that comes with mien."""
    from rich.console import Console

    from mien_export.calibration import reenacting

    with _whole(output, precision, reenacting(), overwrite) as place:
        with Console(stderr=True).status("exporting"):
            bundle, exported = pack(out=place, overwrite=overwrite)
        _show_parity(exported)
    if precision == "fp32":
        _show_size(output, bundle)


@contextmanager
def _whole(output: Path, precision: PrecisionName, use: Use, overwrite: bool) -> Iterator[Path]:
    """Where to write the float32 bundle: ``output``, or a place beside it from which the lower precision is made.

    Raises OutputError, before anything is computed, where nothing can be written.
    """
    _check_place(output, overwrite)
    if precision == "fp32":
        yield output
        return
    from mien import Bundle
    from mien_export.lower import lower

    with TemporaryDirectory(prefix=".mien-", dir=output.absolute().parent) as folder:
        place = Path(folder) / output.name
        yield place
        bundle, rows = lower(Bundle.open(place), output, precision, use, overwrite)
    _show_lowered(output, bundle, rows)


def _check_place(output: Path, overwrite: bool) -> None:
    from mien.errors import OutputError

    if output.exists() and not overwrite:
        raise OutputError(f"There is something at {output} already. Remove it, or give --overwrite.")
    if not output.absolute().parent.is_dir():
        raise OutputError(f"Cannot write {output}: the folder {output.parent} does not exist. Make it first.")


def _tell(status: Status, role: str) -> None:
    status.update(f"exporting {role}")


def _show_lowered(output: Path, bundle: Bundle, rows: Sequence[Lowered]) -> None:
    """Every network beside its float32 form; what stayed float32 and why, and what became slower, in sentences."""
    from rich.console import Console
    from rich.table import Table

    table = Table("network", "output", "PSNR to fp32", "times as fast as fp32")
    for row in rows:
        speeds = ", ".join(f"{name} {ratio:.2f}" for name, ratio in (row.speed or {}).items())
        for output_ in row.outputs:
            table.add_row(row.role, output_.name, f"{output_.psnr:.1f} dB", speeds)
    console = Console()
    console.print(table)
    for row in rows:
        if row.why:
            console.print(f"{row.role} stays fp32: {row.why.rstrip('.')}.", style="yellow")
        if row.restored:
            console.print(f"{row.role}: {row.restored:.0%} of its work stays fp32, so that the rest is near enough.")
        if row.slower:
            console.print(f"Slower than fp32 on this machine: {row.role} with {', '.join(row.slower)}.", style="yellow")
    _show_size(output, bundle)


def _show_parity(exported: Mapping[str, Exported]) -> None:
    """Every network's outputs beside torch's."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column("network", no_wrap=True), "output", "largest difference", "ours", "torch")
    for role, one in exported.items():
        for row in one.comparisons:
            values = (" ".join(f"{v:.5f}" for v in side) for side in (row.ours, row.torchs))
            table.add_row(role, row.name, f"{row.largest:.1e}", *values)
    Console().print(table)


def _show_size(output: Path, bundle: Bundle) -> None:
    sizes = [spec.bytes for spec in bundle.manifest.networks.values()]
    print(f"{output}: {sum(sizes) / 1e6:.1f} MB in {len(sizes)} networks")
