"""Renders training data: make_data.py FACEKIT OUT --scenes N. Shards of 64 scenes as plain .npy files, resumable."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from training.render.head import Head
from training.render.part import LABELS
from training.render.sample import FRAMES, Studio

SHARD = 64  # scenes

_studio: list[Studio] = []  # one per worker process, filled by its initialiser


def write_meta(studio: Studio, out: Path) -> None:
    """meta.npz and meta.json: the same for every shard.

    points (K, 3): mean neutral motion points, cm; basis (E, K, 3): their offsets at weight 1; landmark_vertices (100,)
    and scatter_vertices (98,): FaceKit indices. The points are the landmarks (100 vertices, then the left and the
    right iris centre, which gaze moves and the basis does not), then the scatter.
    """
    head = studio.head
    basis = np.zeros((len(head.expression), len(studio.mean_points), 3), np.float32)
    count = len(head.landmarks)
    basis[:, :count] = head.expression[:, head.landmarks]
    basis[:, count + 2 :] = head.expression[:, head.scatter]
    np.savez(
        out / "meta.npz",
        points=studio.mean_points,
        basis=basis,
        landmark_vertices=head.vertex_ids[head.landmarks],
        scatter_vertices=head.vertex_ids[head.scatter],
    )
    names = {
        "expressions": head.expression_names,
        "labels": LABELS,
        "landmarks": count + 2,
        "points": len(studio.mean_points),
    }
    (out / "meta.json").write_text(json.dumps(names, indent=1))


def write_shard(studio: Studio, out: Path, index: int, seed: int) -> None:
    """Render one shard and give it its name only when it is complete; arrays as in `Scene`, scene axis first."""
    unfinished = out / f".shard-{index:05d}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    drawn = [studio.draw(np.random.default_rng([seed, index * SHARD + k])) for k in range(SHARD)]
    for name in drawn[0].arrays:
        np.save(unfinished / f"{name}.npy", np.stack([s.arrays[name] for s in drawn]))
    (unfinished / "attributes.json").write_text(json.dumps([s.attributes for s in drawn]))
    unfinished.rename(out / f"shard-{index:05d}")


def _start_worker(facekit: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _studio.append(Studio(Head.load(facekit)))


def _work(task: tuple[Path, int, int]) -> None:
    write_shard(_studio[0], *task)


def make_data(facekit: Path, out: Path, scenes: int, workers: int, seed: int) -> float:
    """Render what is missing of `scenes` scenes (rounded up to whole shards) into `out`, in `workers` processes.

    Returns pictures per second, by the wall, start of the workers included; 0 if none was missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_meta(Studio(Head.load(facekit)), out)
    start = time.perf_counter()
    shards = -(-scenes // SHARD)
    tasks = [(out, k, seed) for k in range(shards) if not (out / f"shard-{k:05d}").exists()]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns) as progress,
        multiprocessing.get_context("spawn").Pool(workers, _start_worker, (facekit,)) as pool,
    ):
        bar = progress.add_task("scenes", total=shards * SHARD, completed=(shards - len(tasks)) * SHARD)
        for _ in pool.imap_unordered(_work, tasks):
            progress.advance(bar, SHARD)
    return len(tasks) * SHARD * FRAMES / (time.perf_counter() - start)


def main() -> int:
    """Command line; Ctrl-C leaves complete shards only and exits with 130."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("facekit", type=Path, help="facekit.npz")
    parser.add_argument("out", type=Path, help="folder for the shards")
    parser.add_argument("--scenes", type=int, required=True, help=f"rounded up to whole shards of {SHARD}")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        rate = make_data(arguments.facekit, arguments.out, arguments.scenes, arguments.workers, arguments.seed)
    except KeyboardInterrupt:
        for unfinished in arguments.out.glob(".shard-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        print("Interrupted. Complete shards are kept; the same command goes on where this one stopped.")
        return 130
    print(f"{rate:.1f} pictures a second, start of the workers included." if rate else "Nothing was missing.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
