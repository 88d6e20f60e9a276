"""`mien convert-template`: LivePortrait's motion template (.pkl) as mien's own (.npz), which the engine reads."""

import json
from pathlib import Path
from typing import Annotated

import typer


def convert_template(
    template: Annotated[Path, typer.Argument(help="LivePortrait's motion template (.pkl).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="mien's motion template (.npz).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Converts LivePortrait's motion template for `mien reenact`. Nothing that the file might want run is run."""
    from mien.reenact.template_files import check_name, write_template
    from mien_export.template_files import read_liveportrait_template

    check_name(output)
    converted = read_liveportrait_template(template)
    write_template(output, converted)
    report = {"output": str(output), "frames": len(converted.pts), "rate": str(converted.rate)}
    if as_json:
        print(json.dumps({**report, "family": converted.family}, indent=2))
    else:
        print(f"{report['frames']} frames at {report['rate']} a second\n{output}")
