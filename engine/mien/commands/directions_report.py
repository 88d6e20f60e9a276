"""What a file of directions holds, on a terminal or as JSON: how well each parts its faces, what is entangled."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mien.editing.directions import Floats, Record, correlations

ENTANGLED = 0.3
"""Cosines from here on, either way, are pointed out."""


def report(path: Path, records: Sequence[Record], as_json: bool) -> None:
    """Prints each direction, and the cosines between them."""
    cosines = correlations([record.direction for record in records])
    if as_json:
        listed = [_entry(record) for record in records]
        correlation = [[round(float(cosine), 4) for cosine in row] for row in cosines]
        print(json.dumps({"file": str(path), "directions": listed, "correlations": correlation}, indent=2))
        return
    console = Console(markup=False, highlight=False)
    console.print(_table(records))
    if len(records) > 1:
        console.print(_matrix(records, cosines))
    for line in _entangled(records, cosines):
        print(line)
    print(path)


def _table(records: Sequence[Record]) -> Table:
    table = Table("direction", "held-out accuracy", "faces with / without", "unit", "class", "parts", "rows", "given")
    for record in records:
        one = record.direction
        accuracy = "" if record.accuracy is None else f"{record.accuracy:.1%}"
        faces = f"{record.positive} / {record.negative}" if record.positive else ""
        number = str(one.difference_class) if one.difference_class >= 0 else ""
        given = ", ".join(record.given)
        table.add_row(one.name, accuracy, faces, f"{one.unit:.3g}", number, one.parts, str(len(one.vector)), given)
    return table


def _matrix(records: Sequence[Record], cosines: Floats) -> Table:
    names = [record.direction.name for record in records]
    table = Table("cosine", *names)
    for name, row in zip(names, cosines, strict=True):
        table.add_row(name, *(f"{cosine:+.2f}" for cosine in row))
    return table


def _entangled(records: Sequence[Record], cosines: Floats) -> list[str]:
    names = [record.direction.name for record in records]
    return [
        f"{names[j]} and {names[i]} are entangled (cosine {cosines[i, j]:+.2f}); fit one with --given the other"
        for i in range(len(names))
        for j in range(i)
        if abs(cosines[i, j]) >= ENTANGLED
    ]


def _entry(record: Record) -> dict[str, object]:
    one = record.direction
    return {
        "name": one.name,
        "rows": len(one.vector),
        "unit": one.unit,
        "difference_class": one.difference_class,
        "parts": one.parts,
        "accuracy": record.accuracy,
        "positive": record.positive,
        "negative": record.negative,
        "given": list(record.given),
    }
