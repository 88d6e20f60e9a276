"""Lays out pictures of synthetic people in one PNG, to be looked at: contact_sheet.py FACEKIT OUT.png."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.render.head import Head
from training.render.sample import Studio


def contact_sheet(studio: Studio, seed: int, columns: int, rows: int) -> NDArray[np.uint8]:
    """One RGB picture (256 rows, 256 columns, 3) of the first frames of rows x columns scenes."""
    lines = []
    for row in range(rows):
        line = [
            studio.draw(np.random.default_rng([seed, row * columns + column])).arrays["rgb"][0]
            for column in range(columns)
        ]
        lines.append(np.concatenate(line, axis=1))
    return np.concatenate(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("facekit", type=Path, help="facekit.npz")
    parser.add_argument("out", type=Path, help="PNG to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--rows", type=int, default=8)
    arguments = parser.parse_args()
    sheet = contact_sheet(Studio(Head.load(arguments.facekit)), arguments.seed, arguments.columns, arguments.rows)
    cv2.imwrite(str(arguments.out), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
