"""The table of `benchmarks.edit_quality`: means over the pictures, beside the source paper's; and its contact sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks import measure
from benchmarks.edit_scores import CELL, Score
from benchmarks.perceptual import frechet_distance
from mien.commands.pictures import Failure
from mien.image import Image

ORIGINAL = "original"
"""The row that every other one is held against; it is not shown."""
DASH = "–"

PAPER: dict[str, float | str] = {"MAE": 0.0457, "LPIPS": 0.304, "FID": "19.3 to 27.7"}
"""What the source paper quotes, of 1,000 pictures of CelebA-HQ."""
COLUMNS = ("MAE", "MAE outside", "changed outside", "mask", "LPIPS", "FID", "identity", "ms")

Row = dict[str, float | None]


@dataclass(frozen=True)
class Report:
    """The table and what it is of."""

    pictures: int
    failed: list[Failure]
    edits: Mapping[str, float]
    bundles: dict[str, str]
    """SHA-256 of the manifest by the row of the bundle's inversion."""
    rows: dict[str, Row]
    notes: list[str]

    @property
    def broken(self) -> list[str]:
        """Methods that changed pixels outside of their mask."""
        return [name for name, row in self.rows.items() if row["changed outside"]]

    def json(self) -> dict[str, object]:
        """What belongs into the file, pictures by their names alone."""
        failed = [{"picture": Path(failure.source).name, "error": failure.error} for failure in self.failed]
        return {
            "pictures": self.pictures, "failed": failed, "edits": dict(self.edits), "bundles": self.bundles,
            "rows": self.rows, "notes": self.notes, "paper": PAPER,
        }  # fmt: skip


def missing(lpips: Path | None, inception: Path | None, identity: object) -> list[str]:
    """What to supply for the columns that are empty."""
    said = {
        "LPIPS: give torchvision's alexnet-owt-7be5be79.pth with --lpips-weights.": lpips,
        "FID: give torch-fidelity's weights-inception-2015-12-05-6726825d.pth with --inception-weights.": inception,
        "Identity: give a bundle that has the role identity (ArcFace) with --identity-from.": identity,
    }
    return [line for line, given in said.items() if given is None]


def summary(scores: Sequence[Score], originals: Sequence[Score]) -> Row:
    """A line of the table; None for what was not measured."""
    features = [np.stack([score.features for score in some]) for some in (scores, originals)]
    fid = frechet_distance(*features) if features[0].size and len(scores) > 1 else math.nan
    named = ("mae", "mae_outside", "changed", "masked", "lpips", "identity")
    mae, outside, changed, masked, lpips, identity = (mean([getattr(s, name) for s in scores]) for name in named)
    taken = float(np.median([score.milliseconds for score in scores]))
    values = (mae, outside, changed, masked, lpips, fid, identity, taken)
    return {name: None if math.isnan(value) else value for name, value in zip(COLUMNS, values, strict=True)}


def mean(values: Sequence[float]) -> float:
    """Of those that are known; NaN where none is."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def sheet(pictures: Sequence[Sequence[Mapping[str, Score]]]) -> Image:
    """A row for each picture: original, inversions, methods, each above its mask; their names on top."""
    rows = []
    for chains in pictures:
        cells = {ORIGINAL: chains[0][ORIGINAL].cell}
        for scores in chains:
            cells |= {name: score.cell for name, score in scores.items() if name != ORIGINAL}
        rows.append(np.hstack(list(cells.values())))
    head = np.zeros((24, rows[0].shape[1], 3), np.uint8)
    for column, name in enumerate(cells):
        short = name.removeprefix("inversion, ")
        cv2.putText(head, short, (column * CELL + 4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1)
    return np.vstack([head, *rows])


def show(report: Report) -> None:
    """Print the table, and what is not in it."""
    lines = [[name, *(DASH if v is None else v for v in row.values())] for name, row in report.rows.items()]
    lines.append(["paper, its 1,000 pictures", *(PAPER.get(name, "") for name in COLUMNS)])
    edits = ", ".join(f"{name} {strength:g}" for name, strength in report.edits.items())
    measure.show(f"{report.pictures} pictures{f', {edits}' if edits else ''}", ("", *COLUMNS), lines)
    for line in report.notes:
        print(line)
    for failure in report.failed:
        print(f"left out: {Path(failure.source).name}: {failure.error}")
    if report.broken:
        print(f"WRONG: pixels outside the mask have changed: {', '.join(report.broken)}.")
