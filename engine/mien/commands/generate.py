"""`mien generate`: faces of nobody, drawn at random or made from what is said about them."""

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.commands.options import BackendOption, DeviceOption, EditBundleOption, JsonOption, ThreadsOption
from mien.errors import InputError, OutputError

if TYPE_CHECKING:
    from mien.editing.attribute_model import AttributeModel
    from mien.editing.editor import Editor
    from mien.editing.latent import Latent

SUFFIXES = (".png", ".jpg", ".jpeg")


def generate(
    bundle: EditBundleOption,
    output: Annotated[Path, typer.Option("-o", "--output", help="A picture (.png, .jpg); a folder for several.")],
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of the first face; each next one has the next number.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="How many faces.")] = 1,
    truncation: Annotated[float, typer.Option("--truncation", help="How varied: 0 is the mean, 1 all.")] = 0.7,
    model: Annotated[Path | None, typer.Option("--model", help="Made by `mien directions ridge`.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="With --model: age=60, hair=blond.")
    ] = None,
    device: DeviceOption = "cpu",
    backend: BackendOption = "ort",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Makes faces of nobody: at random, or with --model as --set says, where --seed adds what was not said."""
    from mien.commands.show import working
    from mien.editing.attribute_model import read_model
    from mien.editing.editor import Editor
    from mien.image import save_image

    settings = _settings(set_ or ())
    if settings and model is None:
        raise typer.BadParameter("needs --model, made by `mien directions ridge`", param_hint="--set")
    paths_alone = count == 1 and output.suffix.lower() in SUFFIXES
    _check_output(output, count)
    ridge = None if model is None else read_model(model)
    if seed is None and (ridge is None or count > 1):
        seed = secrets.randbelow(1 << 31)
    seeds = [None] if seed is None else list(range(seed, seed + count))
    editor = Editor(bundle, device=device, backend=backend, threads=threads)
    faces = []
    with working("faces", shown=not as_json and count > 1) as progress:
        for number in seeds:
            latent = _latent(editor, ridge, settings, number, truncation)
            path = output if paths_alone else output / f"{'mean' if number is None else f'seed-{number}'}.png"
            save_image(path, editor.render(latent))
            faces.append({"output": str(path), "seed": number})
            if progress is not None:
                progress(len(faces), count)
    if as_json:
        print(json.dumps({"faces": faces, "settings": settings, "truncation": truncation, "synthetic": True}, indent=2))
        return
    for face in faces:
        print(face["output"] if face["seed"] is None else f"{face['output']} (seed {face['seed']})")


def _latent(
    editor: "Editor",
    model: "AttributeModel | None",
    settings: Mapping[str, float | str],
    seed: int | None,
    truncation: float,
) -> "Latent":
    """A random face, or one of these attributes."""
    import numpy as np

    from mien.editing.latent import Latent
    from mien.editing.settings import read_settings

    if model is None:
        return editor.sample(seed or 0, truncation)
    codes = model.codes(settings, seed, truncation)
    layers = read_settings(editor.bundle).layers
    if len(codes) not in (1, layers):
        raise InputError(
            f"The model makes latents of {len(codes)} rows; this bundle's generator has {layers}. Fit one to codes "
            "that were encoded with this bundle."
        )
    return Latent(np.broadcast_to(codes, (layers, codes.shape[1])))


def _settings(words: Sequence[str]) -> dict[str, float | str]:
    """Value by attribute. Raises typer.BadParameter."""
    settings: dict[str, float | str] = {}
    for word in words:
        name, sign, value = (part.strip() for part in word.partition("="))
        if not (sign and name and value):
            raise typer.BadParameter(f"{word!r} is not of the form NAME=VALUE, like age=60", param_hint="--set")
        if name in settings:
            raise typer.BadParameter(f"{name!r} is given twice", param_hint="--set")
        settings[name] = value
    return settings


def _check_output(output: Path, count: int) -> None:
    """Raises OutputError before any work is done; makes the folder for several."""
    from mien.files import output_error

    suffix = output.suffix.lower()
    if count > 1 and suffix in SUFFIXES:
        raise OutputError(f"{count} faces were asked for and {output} is one picture; name a folder.")
    if suffix in SUFFIXES:
        if not output.parent.is_dir():
            raise OutputError(f"Cannot write {output}: the folder {output.parent} does not exist. Make it first.")
        return
    if suffix and not output.is_dir():
        raise OutputError(f"A face was to go to {output}; pictures end in .png or .jpg, a folder has no suffix.")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(f"Several pictures go to a folder, and {output} is a file.") from error
    except OSError as error:
        raise output_error(output, error) from error
