"""Labels of faces: reading a table of attributes, and bringing its rows into the order of the codes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mien.editing.codes import Codes
from mien.errors import InputError

UNKNOWN = ("", "nan")
MOST_WORDS = 64
"""A column of more different words is no category."""
NO_AND_YES = (("no", "yes"), ("false", "true"), ("n", "y"), ("f", "t"))

Kind = Literal["binary", "number", "words"]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Labels:
    """A table as text. ``names``: the first column. ``columns``: the others by their headings, a text for each row."""

    names: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Column:
    """One attribute of N faces. ``values``: (N,) float64, NaN where it is not known.

    ``kind``: "number"; "binary", two values, 0 for the first of ``words`` and 1 for the second; "words", a category,
    the place in ``words``, which are in alphabetical order.
    """

    name: str
    kind: Kind
    values: Doubles
    words: tuple[str, ...] = ()


def read_labels(path: Path) -> Labels:
    """A table: a heading, then a row for each face, its first cell the picture's name or the code's number, from 0.

    Cells are parted by commas, semicolons or tabs; or it is CelebA's list_attr_celeba.txt: a count, the headings, rows
    parted by spaces. Raises InputError.
    """
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"There is no table {path}.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"The table {path} cannot be read as UTF-8 text: {error}.") from error
    heading, rows = _cells(text, path)
    if len(heading) < 2 or not rows:
        raise InputError(f"The table {path} needs a heading of two columns or more, and rows; it has {len(rows)} rows.")
    for column in heading[1:]:
        if not column or heading[1:].count(column) > 1:
            raise InputError(f"The table {path} has a heading {column!r} that is empty or there twice.")
    for number, row in rows:
        if len(row) != len(heading):
            raise InputError(f"Line {number} of {path} has {len(row)} cells; the heading has {len(heading)}.")
    names = tuple(row[0] for _, row in rows)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"The table {path} has two rows for {twice!r}.")
    return Labels(names, {column: tuple(row[i] for _, row in rows) for i, column in enumerate(heading) if i})


def columns_for(codes: Codes, labels: Labels, attributes: Sequence[str]) -> tuple[Column, ...]:
    """These attributes of the codes, in the codes' order; a face without a row in the table is unknown.

    Rows are found by the picture's name; where no name is the same, by the name without its suffix; codes without names
    by their number. Raises InputError for an attribute that is not there, a table that fits no code.
    """
    rows = _rows(codes, labels)
    found = []
    for attribute in attributes:
        if attribute not in labels.columns:
            there = ", ".join(labels.columns)
            raise InputError(f"The attribute {attribute!r} was asked for; the table has: {there}.")
        texts = labels.columns[attribute]
        found.append(make_column(attribute, ["" if row is None else texts[row] for row in rows]))
    return tuple(found)


def make_column(name: str, texts: Sequence[str]) -> Column:
    """What an attribute's cells mean. Raises InputError for numbers that are not finite and for too many words."""
    known = sorted({text for text in texts if text.lower() not in UNKNOWN})
    if not known:
        raise InputError(f"The attribute {name!r} is unknown for every one of the {len(texts)} codes.")
    numbers = {text: number for text in known if (number := _number(text)) is not None}
    if len(numbers) == len(known):
        if not all(map(math.isfinite, numbers.values())):
            raise InputError(f"The attribute {name!r} has numbers that are not finite.")
        different = sorted(set(numbers.values()))
        if len(different) == 2:
            places = {text: float(different.index(number)) for text, number in numbers.items()}
            return Column(name, "binary", _values(texts, places), tuple(f"{number:g}" for number in different))
        return Column(name, "number", _values(texts, numbers))
    if len(known) > MOST_WORDS:
        odd = next(text for text in known if text not in numbers)
        raise InputError(
            f"The attribute {name!r} has {len(known)} different values, of which {odd!r} is no number; a category has "
            f"at most {MOST_WORDS} words. Correct the cell or leave it empty."
        )
    words = tuple(known)
    for pair in NO_AND_YES:
        if tuple(sorted(word.lower() for word in words)) == pair:
            words = tuple(sorted(words, key=lambda word: pair.index(word.lower())))
    places = {word: float(place) for place, word in enumerate(words)}
    return Column(name, "binary" if len(words) == 2 else "words", _values(texts, places), words)


def _values(texts: Sequence[str], numbers: Mapping[str, float]) -> Doubles:
    return np.array([numbers.get(text, math.nan) for text in texts], np.float64)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _rows(codes: Codes, labels: Labels) -> list[int | None]:
    """For each code the number of its row in the table."""
    if not codes.names:
        by_number = {name: row for row, name in enumerate(labels.names)}
        rows = [by_number.get(str(i)) for i in range(len(codes))]
        wanted = f"numbers from 0 to {len(codes) - 1}, as the codes have no names"
    else:
        rows = _by_name(codes.names, labels.names)
        wanted = f"names like {codes.names[0]!r}"
    if all(row is None for row in rows):
        raise InputError(
            f"No row of the table fits a code: its first column should have {wanted}; it begins with "
            f"{labels.names[0]!r}."
        )
    return rows


def _by_name(names: Sequence[str], labelled: Sequence[str]) -> list[int | None]:
    exact = {name: row for row, name in enumerate(labelled)}
    if any(name in exact for name in names):
        return [exact.get(name) for name in names]
    bare = [_bare(name) for name in labelled]
    of_codes = [_bare(name) for name in names]
    if len(set(bare)) < len(bare) or len(set(of_codes)) < len(of_codes):
        return [None] * len(names)  # a guess between two pictures would label one of them wrongly
    by_stem = {name: row for row, name in enumerate(bare)}
    return [by_stem.get(name) for name in of_codes]


def _bare(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix() if PurePosixPath(name).name else name


def _cells(text: str, path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The heading, and the rows with their line numbers."""
    lines = text.splitlines()
    if len(lines) > 1 and lines[0].strip().isdigit():  # CelebA: a count, and no heading over the first column
        rows = [(number, line.split()) for number, line in enumerate(lines[2:], 3) if line.strip()]
        if int(lines[0]) != len(rows):
            raise InputError(f"The table {path} announces {lines[0].strip()} rows and has {len(rows)}: it is cut off.")
        return ["", *lines[1].split()], rows
    first = lines[0] if lines else ""
    delimiter = max(",;\t", key=first.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        table = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError(f"The table {path} is no table of cells: {error}.") from error
    return (table[0][1], table[1:]) if table else ([], [])
