"""Trains the motion network on disturbed crops of rendered heads: `python -m training.train_motion DATA RUNS`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from mien_export.networks.studio import StudioSizes
from mien_export.networks.studio_motion import MOTION_SIZE, Motion
from training.data import CHECK_SEED, Shards
from training.loop import Run, begin, channels_last
from training.motion_checks import validate
from training.motion_losses import motion_losses
from training.motion_samples import MotionSamples
from training.points import NAMES, PointArrays, mirror_landmarks

NEW = frozenset({"eye", "mouth", "gate", "doubt"})
"""Parts of the network that the bundle's first version did not have."""


def main(
    data: Annotated[Path, typer.Argument(help="folder of shards from training.make_data")],
    runs: Annotated[Path, typer.Argument(help="folder for checkpoints; holds points.npz")],
    warm: Annotated[Path | None, typer.Option(help="begin with motion.pt of this folder where none is in RUNS")] = None,
    held_out: Annotated[Path | None, typer.Option(help="more shards to check on, never trained on")] = None,
    minutes: float = 45.0,
    steps: int = 5000,
    batch: int = 64,
    rate: float = 1.8e-3,
    threads: int = 1,
    workers: int = 1,
    seed: int = 1,
    compiled: Annotated[bool, typer.Option("--compiled", help="torch.compile: minutes to begin, then faster")] = False,
) -> None:
    """Train, or go on training, the motion network."""
    begin(threads, seed)
    arrays = PointArrays.load(runs / "points.npz")
    sizes = StudioSizes(arrays.spread.shape[1], len(arrays.points), len(NAMES))
    order = mirror_landmarks(arrays.points[: sizes.landmarks])
    network = channels_last(Motion(sizes))
    if compiled:
        network.compile()
    start = None if warm is None else warm / "motion.pt"
    settled = frozenset(dict(network.named_children())) - NEW if warm else frozenset[str]()
    run = Run(runs / "motion.pt", {"motion": network}, rate, steps, start=start, settled=settled)
    shards = Shards(data)
    checked = {"here": shards} | ({"held out": Shards(held_out, held_out=None)} if held_out else {})
    checks = {name: MotionSamples(some, order, MOTION_SIZE, batch, CHECK_SEED, plain=True).first()
              for name, some in checked.items()}  # fmt: skip
    deviation = torch.from_numpy(arrays.deviation).clamp(min=0.02)
    batches = MotionSamples(shards, order, MOTION_SIZE, batch, seed + run.step).load(workers)

    def losses(one: dict[str, Tensor]) -> dict[str, Tensor]:
        network.train()
        image = one["image"].float().div(255).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            out = network(image)
        return motion_losses(out, one, deviation)

    def check() -> str:
        mean = run.mean_of(network)
        return "\n  ".join(f"{name}: {validate(mean, some, deviation)}" for name, some in checks.items())

    run.train(batches, losses, minutes, check)


if __name__ == "__main__":
    typer.run(main)
