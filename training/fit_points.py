"""Fits the point model to rendered shards and writes RUNS/points.npz: `python -m training.fit_points DATA RUNS`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from training.data import Shards
from training.points import NAMES, fit, measure


def main(
    data: Annotated[Path, typer.Argument(help="folder of shards from training.make_data")],
    runs: Annotated[Path, typer.Argument(help="folder for points.npz and the checkpoints")],
) -> None:
    """Prints how much of the points' movement the named expression values explain."""
    shards = Shards(data, held_out=0).refresh()[:24]
    moved = [np.asarray(s["offsets"], np.float32) for s in shards]
    offsets = np.concatenate([one.reshape(-1, *one.shape[2:]) for one in moved])
    gaze = np.concatenate([np.asarray(s["gaze"], np.float32).reshape(-1, 2) for s in shards])
    with np.load(data / "meta.npz") as meta:
        mean = meta["points"].astype(np.float32)
    landmarks = int(json.loads((data / "meta.json").read_text())["landmarks"])
    arrays = fit(mean, landmarks, offsets, gaze)
    runs.mkdir(parents=True, exist_ok=True)
    arrays.save(runs / "points.npz")
    rest = offsets - np.einsum("kce,ne->nkc", arrays.basis, measure(offsets, gaze))
    share = 1 - np.square(rest).sum() / np.square(offsets).sum()
    print(f"{len(NAMES)} values explain {share:.1%} of the movement of {len(mean)} points in {len(offsets)} frames")


if __name__ == "__main__":
    typer.run(main)
