"""Trains the motion network on disturbed crops of rendered heads: `python -m training.train_motion DATA RUNS`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor
from torch.utils.data import DataLoader

from mien_export.networks.studio import StudioSizes
from mien_export.networks.studio_motion import MOTION_SIZE, Motion
from training.data import MotionSamples, Shards
from training.loop import Run, restore
from training.points import NAMES, PointArrays, mirror_landmarks

LID_GAPS = ((37, 41), (38, 40), (43, 47), (44, 46))
LIP_GAPS = ((61, 67), (62, 66), (63, 65))


def landmark_weights(count: int) -> Tensor:
    """(L,): lids, irises and inner lips matter more than their few pixels, the contour less."""
    weights = torch.ones(count)
    weights[:17] = 0.5
    weights[36:48] = 3.0
    weights[60:68] = 2.0
    weights[68:80] = 2.5
    weights[80:88] = 1.5
    weights[-2:] = 2.0
    return weights / weights.mean()


def gaps(landmarks: Tensor) -> Tensor:
    """Heights of the eye and mouth openings (N, 7): what a blink or a word is, apart from where the face is."""
    first, second = zip(*(LID_GAPS + LIP_GAPS), strict=True)
    return (landmarks[:, list(first)] - landmarks[:, list(second)]).norm(dim=-1)


def motion_losses(network: Motion, batch: dict[str, Tensor], deviation: Tensor) -> dict[str, Tensor]:
    """Weighted L1 losses; crops without a face teach the confidence alone."""
    image = batch["image"].float().div(255).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        out = network(image)
    here = batch["present"]
    share = here / here.sum()
    weights = landmark_weights(out.landmarks.shape[1])

    def mean(error: Tensor) -> Tensor:
        return (error.flatten(1).mean(1) * share).sum()

    distance = (out.landmarks - batch["landmarks"]).norm(dim=-1)
    return {
        "landmarks": 20 * mean(distance * weights),
        "gaps": 20 * mean((gaps(out.landmarks) - gaps(batch["landmarks"])).abs()),
        "pose": 5 * mean((out.pose - batch["pose"]).abs()),
        "place": 5 * mean((out.place - batch["place"]).abs()),
        "expression": 0.7 * mean((out.expression - batch["expression"]).abs() / deviation),
        "confidence": 0.3 * torch.nn.functional.binary_cross_entropy_with_logits(out.confidence[:, 0], here),
    }


@torch.no_grad()
def validate(network: Motion, batches: list[dict[str, Tensor]]) -> str:
    """Held-out, undisturbed: landmark error in px of 128 and correlations."""
    network.eval()
    outs, errors = [], []
    for batch in batches:
        out = network(batch["image"].float().div(255))
        errors.append((out.landmarks - batch["landmarks"]).norm(dim=-1))
        outs.append(torch.cat([out.pose, out.place, out.expression], 1))
    found = torch.cat(outs).numpy()
    truth = np.concatenate([torch.cat([b["pose"], b["place"], b["expression"]], 1).numpy() for b in batches])
    names = ("yaw", "pitch", "roll", "x", "y", "scale", *NAMES)
    values = [f"{n} {np.corrcoef(found[:, i], truth[:, i])[0, 1]:.2f}" for i, n in enumerate(names)]
    error = torch.cat(errors)
    return f"landmarks {error.mean() * 64:.2f} px of 128, lids {error[:, 36:48].mean() * 64:.2f}; " + ", ".join(values)


def main(
    data: Annotated[Path, typer.Argument(help="folder of shards from training.make_data")],
    runs: Annotated[Path, typer.Argument(help="folder for checkpoints; holds points.npz")],
    minutes: float = 45.0,
    steps: int = 20000,
    batch: int = 64,
    rate: float = 1.5e-3,
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
    run = Run(runs / "motion.pt", {"motion": network}, rate, steps)
    shards = Shards(data)
    held_out = iter(MotionSamples(shards, order, MOTION_SIZE, batch, 7, plain=True))
    checks = [next(held_out) for _ in range(6)]
    deviation = torch.from_numpy(arrays.deviation).clamp(min=0.02)
    loader = DataLoader(
        MotionSamples(shards, order, MOTION_SIZE, batch, seed + run.step), batch_size=None, num_workers=workers
    )

    def check() -> str:
        judged = copy.deepcopy(network)
        restore({"motion": judged}, run.averaged)
        return validate(judged, checks)

    run.train(iter(loader), lambda b: motion_losses(network, b, deviation), minutes, check)


if __name__ == "__main__":
    typer.run(main)
