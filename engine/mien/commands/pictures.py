"""The pictures that a folder or a list names, and the name of each one's result."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from mien.errors import InputError
from mien.stream.sources import PICTURE_SUFFIXES

LIST_SUFFIX = ".txt"
KEPT = (".jpeg", ".jpg", ".png")
"""Kinds that are written as they were read; everything else becomes PNG."""


@dataclass(frozen=True)
class Picture:
    """A picture to be worked on. ``name``: of its result, relative to the output folder."""

    source: Path
    name: str


@dataclass(frozen=True)
class Failure:
    """A picture that was not done, and why."""

    source: str
    error: str


@dataclass(frozen=True)
class Found:
    """What there is to do. ``ignored``: how many files are no pictures by their names."""

    pictures: tuple[Picture, ...]
    failed: tuple[Failure, ...]
    ignored: int


def names_several(source: Path) -> bool:
    """Whether that is a folder or a list, not one picture."""
    return source.is_dir() or source.suffix.lower() == LIST_SUFFIX


def find_pictures(source: Path, outputs: Sequence[Path]) -> Found:
    """All pictures of a folder and the folders in it, or of a list with one path a line, `#` starting a comment.

    Paths of a list are relative to the list's folder. Hidden files, and folders in ``outputs``, are left out. A result
    has the picture's name within the folder (that of the list), in a list from elsewhere only the file's name.
    Raises InputError where there is no picture, or no such folder or list.
    """
    if source.is_dir():
        files = list(_walk(source, [path.resolve() for path in outputs]))
        chosen = [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES]
        ignored, base = len(files) - len(chosen), source
    else:
        chosen, ignored, base = list(_lines(source)), 0, source.parent
    pictures, failed = _without_clashes(_named(path, base) for path in chosen)
    if not pictures:
        beside = f" ({ignored} other files)" if ignored else ""
        kinds = ", ".join(PICTURE_SUFFIXES)
        raise InputError(f"{source} names no picture{beside}. Pictures end in {kinds}; a list has one path a line.")
    return Found(pictures, failed, ignored)


def as_png(name: str) -> str:
    """The name with .png added unless it ends so: `a.jpg` and `a.png` stay two files."""
    return name if name.lower().endswith(".png") else f"{name}.png"


def _walk(folder: Path, left_out: Sequence[Path]) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"The folder {error.filename} cannot be read: {error.strerror}.") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        here = Path(place)
        folders[:] = sorted(n for n in folders if not n.startswith(".") and (here / n).resolve() not in left_out)
        yield from (here / name for name in sorted(files) if not name.startswith("."))


def _lines(path: Path) -> Iterator[Path]:
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"There is no list {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The list {path} cannot be read as UTF-8 text: {error}.") from error
    if "\0" in text:
        raise InputError(f"The list {path} is no text: it has NUL characters in it.")
    for line in map(str.strip, text.splitlines()):
        if line and not line.startswith("#"):
            yield path.parent / line


def _named(source: Path, base: Path) -> Picture:
    full, root = Path(os.path.abspath(source)), Path(os.path.abspath(base))
    inside = full.relative_to(root) if full.is_relative_to(root) else PurePath(full.name)
    name = inside.as_posix()
    return Picture(source, name if full.suffix.lower() in KEPT else as_png(name))


def _without_clashes(pictures: Iterable[Picture]) -> tuple[tuple[Picture, ...], tuple[Failure, ...]]:
    """One picture for each result; the same picture twice is one, another one is a failure."""
    first: dict[str, Picture] = {}
    failed = []
    for picture in pictures:
        other = first.setdefault(picture.name, picture).source
        if os.path.abspath(other) != os.path.abspath(picture.source):
            text = f"Its result would be {picture.name}, as that of {other}; give one of them another name."
            failed.append(Failure(str(picture.source), text))
    return tuple(first.values()), tuple(failed)
