"""Strengths over time, for the film of an edit: there and back, there, or drawn freely in a table."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from mien.errors import EditError, InputError

Strengths = tuple[float, ...]
"""One for each attribute, in the order of the curve's names."""

LEAST_FRAMES = 3
MOST_FRAMES = 100_000


def eased(count: int) -> list[float]:
    """``count`` shares from 0 to 1, both exactly, along half a cosine: the film starts and stops softly."""
    return [(1 - math.cos(math.pi * i / (count - 1))) / 2 for i in range(count)]


def there(edits: Mapping[str, float], seconds: float, rate: Fraction) -> list[Strengths]:
    """From 0 to all of the edit. Raises InputError for a length that makes no film."""
    return _scaled(edits, eased(frame_count(seconds, rate)))


def there_and_back(edits: Mapping[str, float], seconds: float, rate: Fraction) -> list[Strengths]:
    """From 0 to all of the edit and back along the very same strengths, so that it can be shown again and again."""
    count = frame_count(seconds, rate)
    up = eased((count + 1) // 2)
    return _scaled(edits, up + up[::-1][count % 2 :])


def frame_count(seconds: float, rate: Fraction) -> int:
    """How many pictures a film of that length has. Raises InputError for too few, too many, or no number."""
    count = round(seconds * rate) if math.isfinite(seconds) else 0
    if not LEAST_FRAMES <= count <= MOST_FRAMES:
        raise InputError(
            f"A film of {seconds:g} s at {float(rate):g} pictures a second was asked for; it needs {LEAST_FRAMES} to "
            f"{MOST_FRAMES:,} pictures."
        )
    return count


def read_curve(path: Path, rate: Fraction) -> tuple[tuple[str, ...], list[Strengths]]:
    """A table of strengths (CSV) as attributes and one row of strengths a picture, from time 0 to the last row's time.

    The header is `time` (seconds) and attributes, for example `time,smile,age`; between rows strengths follow straight
    lines, before the first row they are the first row's. Raises InputError with the line that is wrong.
    """
    names, rows = _table(path)
    times = [row[0] for row in rows]
    for line, (before, after) in enumerate(zip(times, times[1:], strict=False), 3):
        if after <= before:
            raise InputError(f"{path}, line {line}: the time {after:g} does not come after {before:g}.")
    if times[0] < 0:
        raise InputError(f"{path}, line 2: the time {times[0]:g} is before 0.")
    count = frame_count(times[-1], rate) + 1
    moments = np.arange(count) / float(rate)
    columns = [np.interp(moments, times, column).tolist() for column in zip(*(row[1:] for row in rows), strict=True)]
    return names, list(zip(*columns, strict=True))


def strongest(names: Sequence[str], curve: Sequence[Strengths]) -> dict[str, float]:
    """Each attribute's strength where it is furthest from 0. Raises EditError where all of them are 0 throughout."""
    most = {name: max(column, key=abs) for name, column in zip(names, zip(*curve, strict=True), strict=True)}
    if not any(most.values()):
        raise EditError("All strengths are 0 from the first picture to the last: there is no edit to film.")
    return most


def _scaled(edits: Mapping[str, float], shares: Sequence[float]) -> list[Strengths]:
    return [tuple(share * strength for strength in edits.values()) for share in shares]


def _table(path: Path) -> tuple[tuple[str, ...], list[tuple[float, ...]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *lines = [line for line in csv.reader(file) if any(cell.strip() for cell in line)] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The curve {path} cannot be read: {error}.") from error
    names = tuple(cell.strip() for cell in header)
    if names[:1] != ("time",) or len(names) < 2 or len(set(names)) < len(names) or not all(names):
        raise InputError(f"{path} should start with a line like 'time,smile,age', each name once; it has {header}.")
    if len(lines) < 2:
        raise InputError(f"{path} has {len(lines)} rows of strengths; a film needs at least two.")
    return names[1:], [_numbers(path, number, line, len(names)) for number, line in enumerate(lines, 2)]


def _numbers(path: Path, number: int, line: Sequence[str], width: int) -> tuple[float, ...]:
    try:
        row = tuple(float(cell) for cell in line)
    except ValueError as error:
        raise InputError(f"{path}, line {number}: {error}.") from error
    if len(row) != width or not all(map(math.isfinite, row)):
        raise InputError(f"{path}, line {number}: {width} finite numbers are needed; it has {line}.")
    return row
