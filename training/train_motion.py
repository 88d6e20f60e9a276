"""Trains the motion network on disturbed crops of rendered heads: `python -m training.train_motion DATA RUNS`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from mien_export.networks.studio import StudioSizes
from mien_export.networks.studio_motion import MOTION_SIZE, Motion
from training.data import Shards
from training.loop import Run, restore
from training.motion_checks import validate
from training.motion_losses import motion_losses
from training.motion_samples import MotionSamples
from training.points import NAMES, PointArrays, mirror_landmarks

NEW = frozenset({"eye", "mouth", "gate", "doubt"})
"""Parts of the network that the bundle's first version did not have."""
CHECKED = 6
"""Batches of each validation."""


def plain_batches(shards: Shards, order: NDArray[np.int64], batch: int) -> list[dict[str, Tensor]]:
    """The same undisturbed crops of held-out shards each time; none where there are no shards."""
    if not shards.refresh(validation=True):
        return []
    samples = iter(MotionSamples(shards, order, MOTION_SIZE, batch, 7, plain=True))
    return [next(samples) for _ in range(CHECKED)]


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
) -> None:
    """Train, or go on training, the motion network."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    arrays = PointArrays.load(runs / "points.npz")
    sizes = StudioSizes(arrays.spread.shape[1], len(arrays.points), len(NAMES))
    order = mirror_landmarks(arrays.points[: sizes.landmarks])
    network = Motion(sizes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    start = None if warm is None else warm / "motion.pt"
    settled = frozenset(dict(network.named_children())) - NEW if warm else frozenset[str]()
    run = Run(runs / "motion.pt", {"motion": network}, rate, steps, start=start, settled=settled)
    shards = Shards(data)
    checks = {"here": plain_batches(shards, order, batch)}
    if held_out is not None:
        checks["held out"] = plain_batches(Shards(held_out, held_out=1000), order, batch)
    deviation = torch.from_numpy(arrays.deviation).clamp(min=0.02)
    samples = MotionSamples(shards, order, MOTION_SIZE, batch, seed + run.step)
    loader = DataLoader(samples, batch_size=None, num_workers=workers)

    def losses(one: dict[str, Tensor]) -> dict[str, Tensor]:
        network.train()
        image = one["image"].float().div(255).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            out = network(image)
        return motion_losses(out, one, deviation)

    def check() -> str:
        judged = copy.deepcopy(network)
        restore({"motion": judged}, run.averaged)
        lines = [f"{name}: {validate(judged, batches, deviation)}" for name, batches in checks.items() if batches]
        return "\n  ".join(lines)

    run.train(iter(loader), losses, minutes, check)


if __name__ == "__main__":
    typer.run(main)
