"""Motion templates as files: an .npz of arrays, with a JSON text that says what they are; no pickle."""

from pathlib import Path

from mien.archive import ABOUT, read_about, read_arrays, write_arrays
from mien.errors import MotionError, OutputError
from mien.reenact.templates import KIND, Template

SUFFIX = ".npz"
PICKLED = (".pkl", ".pickle")
"""How LivePortrait's templates are called."""


def read_template(path: Path) -> Template:
    """The motion template in a file. Raises MotionError or another InputError for anything else."""
    refuse_pickle(path)
    arrays = read_arrays(path)
    about = read_about(arrays, KIND, path)
    try:
        return Template.read(about, {name: array for name, array in arrays.items() if name != ABOUT})
    except MotionError as error:
        raise MotionError(f"{path} cannot be used: {error}") from error


def write_template(path: Path, template: Template) -> None:
    """Writes it whole or not at all. Raises OutputError for another suffix than .npz or an unwritable place."""
    check_name(path)
    write_arrays(path, template.about(), template.arrays())


def check_name(path: Path) -> None:
    """Raises OutputError for another suffix than .npz, before any work is done for it."""
    if path.suffix.lower() != SUFFIX:
        raise OutputError(f"Cannot write {path}: motion templates are written as {SUFFIX}.")


def refuse_pickle(path: Path) -> None:
    """Raises MotionError for LivePortrait's own templates: a pickle is a program, which only the exporter reads."""
    if path.suffix.lower() in PICKLED:
        target = path.with_suffix(SUFFIX).name
        raise MotionError(
            f"{path} is a pickle, which is never opened here. Convert it once: mien convert-template {path} -o {target}"
        )
