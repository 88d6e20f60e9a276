"""`mien directions`: from photos to codes, from labelled codes to directions and models, and what they are worth."""

import json
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mien.commands.options import (
    AlignedOption,
    BackendOption,
    DeviceOption,
    EditBundleOption,
    JsonOption,
    ThreadsOption,
)
from mien.errors import InputError

if TYPE_CHECKING:
    from mien.editing.codes import Codes
    from mien.editing.fitting import Classes
    from mien.editing.tables import Labels

# What a command needs is imported inside of it, so that `mien --help` stays quick.

app = typer.Typer(help="Finds directions to edit along, from labelled faces.", no_args_is_help=True)

CodesArgument = Annotated[Path, typer.Argument(metavar="CODES", help="Codes of faces, .npz or .npy.")]
LabelsArgument = Annotated[
    Path, typer.Argument(metavar="LABELS", help="A table: a row for each face, a column for each attribute.")
]
AttributeOption = Annotated[
    list[str], typer.Option("--attribute", help="A column, or column=word; may be given several times.")
]
SpaceOption = Annotated[
    Literal["w", "w+"], typer.Option("--space", help="One style for all layers, or one for each layer.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Of everything that is drawn.")]


@app.command()
def encode(
    folder: Annotated[Path, typer.Argument(help="A folder of photos, or a list of them (.txt).")],
    bundle: EditBundleOption,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the codes go (.npz).")],
    aligned: AlignedOption = False,
    device: DeviceOption = "cpu",
    backend: BackendOption = "ort",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turns faces into codes. Goes on where it was stopped; a photo that fails is listed and stops nothing."""
    from mien.commands.encode import EncodeJob
    from mien.commands.encode import encode as encode_all
    from mien.commands.show import working

    job = EncodeJob(folder, bundle, output, aligned, device, backend, threads)
    with working("photos", shown=not as_json) as progress:
        report = encode_all(job, progress)
    if as_json:
        _print_json(asdict(report))
    else:
        before = f", {report.skipped} done before" if report.skipped else ""
        print(f"{report.done} photos encoded{before}, {len(report.failed)} failed, in {report.seconds:.1f} s")
        for failure in report.failed:
            print(f"mien: {failure.source}: {failure.error}", file=sys.stderr)
        print(report.output)
    raise typer.Exit(InputError.exit_code if report.failed else 0)


@app.command()
def fit(
    codes: CodesArgument,
    labels: LabelsArgument,
    attribute: AttributeOption,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the directions go (.npz).")],
    given: Annotated[
        list[str] | None, typer.Option("--given", help="An attribute that is to stay; may be given several times.")
    ] = None,
    space: SpaceOption = "w",
    share: Annotated[
        float, typer.Option("--share", help="Of a number, take this share from each end; 0.5: part at the median.")
    ] = 0.3,
    number: Annotated[
        int, typer.Option("--class", min=-1, help="Its class in the difference network, -1 for none; Smiling is 15.")
    ] = -1,
    parts: Annotated[
        Literal["eyebrows", "beard", "age", "others"], typer.Option("--parts", help="What of a face it may change.")
    ] = "others",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Fits a direction for each attribute with a linear SVM (InterFaceGAN), and measures it on held-out faces."""
    from mien.commands.directions_report import report
    from mien.editing.codes import read_codes
    from mien.editing.directions import write_directions
    from mien.editing.fitting import fit_directions
    from mien.editing.tables import read_labels

    conditions = list(given or ())
    asked = [one for one in dict.fromkeys(attribute) if one not in conditions]
    if not asked:
        raise InputError("Every attribute is also a condition (--given); nothing is left to be fitted.")
    if number >= 0 and len(asked) > 1:
        raise InputError(f"One class (--class {number}) was given for {len(asked)} attributes; fit them one by one.")
    faces, table = read_codes(codes), read_labels(labels)
    classes = {_label(one): _classes(one, faces, table, share) for one in [*asked, *dict.fromkeys(conditions)]}
    names = tuple(dict.fromkeys(map(_label, conditions)))
    found = fit_directions(faces.points(space), classes, names, seed)
    records = [replace(one, direction=replace(one.direction, difference_class=number, parts=parts)) for one in found]
    write_directions(output, records)
    report(output, records, as_json)


@app.command()
def ridge(
    codes: CodesArgument,
    labels: LabelsArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the model goes (.npz).")],
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", help="A column; may be given several times.  [default: all]")
    ] = None,
    space: SpaceOption = "w",
    alpha: Annotated[float | None, typer.Option("--alpha", help="The penalty.  [default: chosen]")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Fits a model that makes faces from attributes (ridge regression), for `mien generate --model`."""
    from mien.editing.attribute_model import write_model
    from mien.editing.codes import read_codes
    from mien.editing.fitting import fit_model
    from mien.editing.tables import columns_for, read_labels

    faces, table = read_codes(codes), read_labels(labels)
    columns = columns_for(faces, table, list(dict.fromkeys(attribute or table.columns)))
    model = fit_model(faces.points(space), columns, alpha, seed)
    write_model(output, model)
    importance = {one.name: one.importance for one in model.attributes}
    if as_json:
        _print_json({"output": str(output), "alpha": model.alpha, "r2": model.r2, "importance": importance})
        return
    print(f"The attributes explain {model.r2:.1%} of the variance of held-out faces (alpha {model.alpha:.3g}). Of it:")
    for one in sorted(model.attributes, key=lambda one: -one.importance):
        takes = ", ".join(one.words) or f"a number, {one.means[0]:.3g} on average"
        print(f"  {one.name}: {one.importance:.2%} ({takes})")
    print(output)


@app.command("map")
def map_(
    codes: CodesArgument,
    labels: LabelsArgument,
    attribute: AttributeOption,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the picture goes (.png).")],
    most: Annotated[int, typer.Option("--most", min=5, help="Of more codes, so many are drawn by chance.")] = 5000,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Draws the codes as points (t-SNE), those alike close together, in a panel for each attribute."""
    import numpy as np

    from mien.editing.codes import Codes, read_codes
    from mien.editing.codes_map import draw_map, place_codes
    from mien.editing.tables import columns_for, read_labels
    from mien.errors import OutputError
    from mien.files import write_atomic

    if output.suffix.lower() != ".png":
        raise OutputError(f"A map was to go to {output}; it is a picture that ends in .png.")
    faces, table = read_codes(codes), read_labels(labels)
    if len(faces) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(faces), most, replace=False))
        names = faces.names or tuple(map(str, range(len(faces))))  # the rows of the table are found by them
        faces = Codes(faces.values[chosen], tuple(names[i] for i in chosen))
    columns = columns_for(faces, table, list(dict.fromkeys(attribute)))
    write_atomic(output, draw_map(place_codes(faces.values, seed), columns))
    if as_json:
        _print_json({"output": str(output), "codes": len(faces), "attributes": [column.name for column in columns]})
    else:
        print(output)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A file with directions.")],
    as_json: JsonOption = False,
) -> None:
    """Shows what is in a file of directions: how well each parts its faces, and which are entangled."""
    from mien.commands.directions_report import report
    from mien.editing.directions import read_records

    report(file, read_records(file), as_json)


def _classes(asked: str, codes: "Codes", labels: "Labels", share: float) -> "Classes":
    """The classes of a column, or of column=word."""
    from mien.editing.fitting import classes_of
    from mien.editing.tables import columns_for

    # A heading may have an equals sign in it.
    name, sign, word = (asked, "", "") if asked in labels.columns else asked.partition("=")
    (column,) = columns_for(codes, labels, [name.strip()])
    return classes_of(column, word.strip() if sign else None, share)


def _label(asked: str) -> str:
    """A direction's name: hair=blond becomes hair-blond, since --set parts at the equals sign."""
    return re.sub(r"[\s=,]+", "-", asked.strip())


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))
