"""What each part of the networks is worth: the same checkpoints with one part taken out, on held-out renders.

`python -m training.ablations HELDOUT RUNS` prints two tables in Markdown. The networks were trained with all of their
parts: one trained without might make up for some of what is missing, so these are upper bounds of a part's worth.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn

from mien_export.networks.studio import Appearance, Generator, GeneratorOutput, StudioSizes, compose, enlarged
from mien_export.networks.studio_motion import MOTION_SIZE, Motion
from training.data import CHECK_SEED, Shards
from training.loop import averaged
from training.motion_checks import WATCHED, gaze_error, read
from training.motion_samples import MotionSamples
from training.pairs import PairSamples
from training.points import NAMES, PointArrays, mirror_landmarks
from training.train_generator import Chain, decibel, generate, pictures

Change = Callable[[Chain], None]
Redo = Callable[[GeneratorOutput], GeneratorOutput]
ALWAYS = 20.0
"""A logit of certainty."""


def zeroed(*layers: nn.Module) -> None:
    """Layers that say nothing."""
    for layer in layers:
        for weight in layer.parameters():
            nn.init.zeros_(weight)


def only_prior(out: GeneratorOutput) -> GeneratorOutput:
    """The flow as it is computed from the points, uncorrected."""
    base = enlarged(out.prior, 2.0)
    return out._replace(flow=base * Generator.border(base))


def without_plate(chain: Chain) -> None:
    """Nothing is ever taken for background that comes to light."""
    bias = chain.generator.masks.bias
    assert bias is not None
    bias.data[1] = -ALWAYS


WITHOUT: Mapping[str, tuple[Change, Redo]] = {
    "all parts": (lambda chain: None, lambda out: out),
    "without the fine stage at 128 px": (lambda chain: zeroed(chain.generator.finer), lambda out: out),
    "without any correction of the flow": (lambda chain: None, only_prior),
    "without the change of light": (lambda chain: None, lambda out: out._replace(shade=torch.ones_like(out.shade))),
    "without paint, all of it warped": (
        lambda chain: None, lambda out: out._replace(visible=torch.full_like(out.visible, ALWAYS))
    ),
    "without the plate": (without_plate, lambda out: out),
    "without the identity code": (
        lambda chain: zeroed(chain.generator.film, chain.generator.tint), lambda out: out
    ),
}  # fmt: skip


@torch.no_grad()
def generator_row(chain: Chain, redo: Redo, batches: list[dict[str, Tensor]]) -> tuple[float, ...]:
    """Head, eyes and mouth, and what the head uncovers, in dB above a copy of the source; flow error in px of 128."""
    gained, apart = [], []
    for batch in batches:
        out = redo(generate(chain, batch)[0])
        source, driving = pictures(batch, "source"), pictures(batch, "driving")
        parts = {key: F.interpolate(batch[key].float().div(255), size=256) for key in ("head", "near", "cover")}
        weights = [parts["head"], parts["near"], F.relu(parts["cover"] - parts["head"])]
        errors = [(picture - driving).square() for picture in (compose(source, out), source)]
        gained.append([float((decibel(errors[0], w) - decibel(errors[1], w)).mean()) for w in weights])
        weight = batch["visible"].float().div(255) * (batch["head"] > 128)
        far = (out.flow - batch["flow"]).norm(dim=1, keepdim=True)
        apart.append(float(64 * (far * weight).sum() / weight.sum()))
    return *(float(gain) for gain in np.mean(gained, 0)), float(np.mean(apart))


def motion_row(network: Motion, batches: list[dict[str, Tensor]]) -> list[float]:
    """Landmark error of lids and of lips in px of 128, gaze in degrees, then the correlation of what is watched."""
    found, truth = read(network, batches)
    error = np.linalg.norm(found["landmarks"] - truth["landmarks"], axis=-1) * 64
    row = [error[:, 36:48].mean(), error[:, 48:68].mean()]
    row.append(np.median(gaze_error(found["expression"][:, -2:], truth["expression"][:, -2:])))
    for members in WATCHED.values():
        columns = [NAMES.index(member) for member in members]
        said, true = found["expression"][:, columns].ravel(), truth["expression"][:, columns].ravel()
        row.append(np.corrcoef(said, true)[0, 1])
    return [float(value) for value in row]


def without_patches(network: Motion) -> Motion:
    """What the trunk says alone."""
    alone = copy.deepcopy(network)
    zeroed(alone.eye.outputs, alone.mouth.outputs)
    nn.init.zeros_(alone.gate)
    return alone


def main(
    held_out: Annotated[Path, typer.Argument(help="folder of shards that nothing was trained on")],
    runs: Annotated[Path, typer.Argument(help="folder of generator.pt, motion.pt and points.npz")],
    count: Annotated[int, typer.Option(help="batches of 16 pairs, and of 64 crops")] = 12,
) -> None:
    """Take the parts out, one at a time."""
    arrays, shards = PointArrays.load(runs / "points.npz"), Shards(held_out, held_out=None)
    sizes = StudioSizes(arrays.spread.shape[1], len(arrays.points), len(NAMES))
    order = mirror_landmarks(arrays.points[: sizes.landmarks])
    chain = Chain(Appearance(), Generator())
    averaged(runs / "generator.pt", {"appearance": chain.appearance, "generator": chain.generator})
    chain.eval()
    pairs = PairSamples(shards, arrays.model(), order, 16, CHECK_SEED, plain=True).first(count)
    print("| generator | head, dB above a copy | eyes and mouth | uncovered | flow, px of 128 |\n|" + " --- |" * 5)
    for name, (change, redo) in WITHOUT.items():
        changed = copy.deepcopy(chain)
        change(changed)
        *gains, flow = generator_row(changed, redo, pairs)
        print(f"| {name} | {' | '.join(f'{gain:+.2f}' for gain in gains)} | {flow:.2f} |", flush=True)
    motion = Motion(sizes)
    averaged(runs / "motion.pt", {"motion": motion})
    crops = MotionSamples(shards, order, MOTION_SIZE, 64, CHECK_SEED, plain=True).first(count)
    print(f"\n| motion | lids, px of 128 | lips | gaze, degrees | {' | '.join(WATCHED)} |" + "\n|" + " --- |" * 11)
    for name, network in {"all parts": motion, "without the patches": without_patches(motion)}.items():
        lids, lips, gaze, *rest = motion_row(network, crops)
        print(f"| {name} | {lids:.2f} | {lips:.2f} | {gaze:.1f} | {' | '.join(f'{value:.2f}' for value in rest)} |")


if __name__ == "__main__":
    typer.run(main)
