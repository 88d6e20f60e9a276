"""`mien export ...`: joins mien's command line through an entry point."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Turn trained networks into bundles.")


@app.callback()
def root() -> None:
    """Turn trained networks into bundles."""


@app.command()
def studio(
    runs: Annotated[Path, typer.Argument(help="Folder of the training recipe: points.npz and the checkpoints.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder or .zip to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Export the studio family, with the differences to torch measured and written into the manifest."""
    from rich.console import Console
    from rich.table import Table

    from mien_export.networks.studio import EXPRESSIONS
    from mien_export.pack.studio import pack_studio

    bundle, exported = pack_studio(runs, output, EXPRESSIONS, overwrite)
    table = Table("network", "output", "largest difference", "ours", "torch")
    for role, one in exported.items():
        for row in one.comparisons:
            values = (" ".join(f"{v:.5f}" for v in side) for side in (row.ours, row.torchs))
            table.add_row(role, row.name, f"{row.largest:.1e}", *values)
    console = Console()
    console.print(table)
    total = sum(spec.bytes for spec in bundle.manifest.networks.values()) / 1e6
    console.print(f"{output}: {total:.1f} MB in {len(exported)} networks")
