"""Trains appearance and generator on rendered pairs: `python -m training.train_generator DATA RUNS`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor
from torch.utils.data import DataLoader

from mien_export.networks.studio import Appearance, Generator, GeneratorOutput, compose, warp
from training.data import Shards
from training.loop import Run, restore
from training.pairs import PairSamples
from training.points import PointArrays, mirror_landmarks


def pictures(batch: dict[str, Tensor], key: str) -> Tensor:
    """uint8 to float in [0, 1], channels last."""
    return batch[key].float().div(255).contiguous(memory_format=torch.channels_last)


def generate(appearance: Appearance, generator: Generator, batch: dict[str, Tensor]) -> tuple[GeneratorOutput, Tensor]:
    """The generator's maps and the source's identity code; convolutions in bfloat16, geometry in float32."""
    with torch.no_grad():
        prior, density = generator.prior(batch["source_points"], batch["driving_points"])
    with torch.autocast("cpu", torch.bfloat16):
        features, identity = appearance(pictures(batch, "source"))
        out = generator.correct(features, identity, prior, density, batch["openings"])
    return out, identity


def gradients(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Differences to the right and to the lower neighbour."""
    return picture[..., 1:] - picture[..., :-1], picture[..., 1:, :] - picture[..., :-1, :]


def folds(flow: Tensor) -> Tensor:
    """How far the sampled grid turns over: the negative part of the Jacobian of place + flow."""
    cell = 2 / flow.shape[-1]
    right = (flow[:, :, :-1, 1:] - flow[:, :, :-1, :-1]) / cell
    down = (flow[:, :, 1:, :-1] - flow[:, :, :-1, :-1]) / cell
    jacobian = (1 + right[:, 0]) * (1 + down[:, 1]) - right[:, 1] * down[:, 0]
    return F.relu(-jacobian).mean()


def losses(appearance: Appearance, generator: Generator, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Truth for flow, visibility and mask; L1 for the picture, its gradients, and the paint in holes.

    Two batches in three compare pictures of half the size: most of what is to be learned shows there, at half the time.
    """
    out, identity = generate(appearance, generator, batch)
    source, driving = pictures(batch, "source"), pictures(batch, "driving")
    mask = batch["mask"].float().div(255)
    whole_driving = driving
    if torch.rand(()) < 2 / 3:
        source, driving, mask = F.avg_pool2d(source, 2), F.avg_pool2d(driving, 2), F.avg_pool2d(mask, 2)
        smaller = {key: F.avg_pool2d(getattr(out, key), 2) for key in ("visible", "paint", "mask")}
        out = out._replace(**smaller)
    size = source.shape[-1]
    near = batch["near"].float().div(255)
    visible = batch["visible"].float().div(255)
    head = batch["head"].float().div(255)
    full = F.interpolate(near, size=size)
    apart = (out.flow - batch["flow"]).norm(dim=1, keepdim=True)
    weight = visible * (0.15 + head + 8 * near * head)
    hole = F.interpolate(1 - visible, size=size) * (1 + 20 * full)
    result = compose(source, out)
    error = (result - driving).abs()
    sharp = sum((a - b).abs().mean() for a, b in zip(gradients(result), gradients(driving), strict=True))
    shown = F.adaptive_avg_pool2d(out.visible, visible.shape[-1])
    found = {
        "flow": 20 * (apart * weight).sum() / weight.sum(),
        "picture": 2 * (error * (1 + 6 * full)).mean(),
        "sharp": torch.as_tensor(sharp),
        "visible": 0.6 * F.binary_cross_entropy_with_logits(shown, visible, 1 + 12 * near * head),
        "mask": 0.1 * F.binary_cross_entropy_with_logits(out.mask, mask),
        "paint": ((out.paint - driving).abs() * (hole + 0.02)).sum() / (hole + 0.02).sum(),
        "fold": folds(out.flow),
    }
    if torch.rand(()) < 0.25:
        with torch.autocast("cpu", torch.bfloat16):
            _, other = appearance(whole_driving)
        alike = identity @ other.T * 10
        found["identity"] = 0.1 * F.cross_entropy(alike, torch.arange(len(alike)))
    return found


def decibel(error: Tensor, weight: Tensor) -> Tensor:
    """PSNR of each sample from squared errors (N, 3, H, W) under a weight (N, 1, H, W)."""
    mean = (error * weight).flatten(1).sum(1) / (3 * weight.flatten(1).sum(1)).clamp(min=1)
    return -10 * torch.log10(mean.clamp(min=1e-7))


@torch.no_grad()
def validate(appearance: Appearance, generator: Generator, batches: list[dict[str, Tensor]]) -> str:
    """Held-out pairs: PSNR of head and of eyes and mouth above copying the source, flow error in px of 128."""
    appearance.eval()
    generator.eval()
    rows = []
    for batch in batches:
        out, _ = generate(appearance, generator, batch)
        source, driving = pictures(batch, "source"), pictures(batch, "driving")
        head = F.interpolate(batch["head"].float().div(255), scale_factor=2.0)
        near = F.interpolate(batch["near"].float().div(255), scale_factor=2.0)
        wide = F.interpolate(out.prior, scale_factor=4.0, mode="bilinear", align_corners=False)
        for name, picture in (("copy", source), ("prior", warp(source, wide)), ("result", compose(source, out))):
            error = (picture - driving).square()
            rows.append((name, decibel(error, head).mean(), decibel(error, near).mean()))
        weight = batch["visible"].float().div(255) * (batch["head"] > 128)
        base = F.interpolate(out.prior, scale_factor=2.0, mode="bilinear", align_corners=False)
        for name, flow in (("prior flow", base), ("flow", out.flow)):
            apart = (flow - batch["flow"]).norm(dim=1, keepdim=True)
            rows.append((name, 64 * (apart * weight).sum() / weight.sum(), torch.zeros(())))
    names = dict.fromkeys(name for name, *_ in rows)
    means = {n: np.mean([[float(a), float(b)] for name, a, b in rows if name == n], 0) for n in names}
    return "; ".join(f"{n} {a:.2f}" + (f"/{b:.2f} dB" if b else " px") for n, (a, b) in means.items())


def main(
    data: Annotated[Path, typer.Argument(help="folder of shards from training.make_data")],
    runs: Annotated[Path, typer.Argument(help="folder for checkpoints; holds points.npz")],
    minutes: float = 60.0,
    steps: int = 12000,
    batch: int = 16,
    rate: float = 1e-3,
    threads: int = 1,
    workers: int = 1,
    seed: int = 1,
) -> None:
    """Train, or go on training, appearance and generator together."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    arrays = PointArrays.load(runs / "points.npz")
    model = arrays.model()
    order = mirror_landmarks(arrays.points[: arrays.spread.shape[1]])
    appearance, generator = Appearance(), Generator()
    for module in (appearance, generator):
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(runs / "generator.pt", {"appearance": appearance, "generator": generator}, rate, steps)
    shards = Shards(data)
    held_out = iter(PairSamples(shards, model, order, batch, 7, plain=True))
    checks = [next(held_out) for _ in range(6)]
    samples = PairSamples(shards, model, order, batch, seed + run.step)
    loader = DataLoader(samples, batch_size=None, num_workers=workers)

    def check() -> str:
        judged = {"appearance": copy.deepcopy(appearance), "generator": copy.deepcopy(generator)}
        restore(judged, run.averaged)
        return validate(judged["appearance"], judged["generator"], checks)

    run.train(iter(loader), lambda b: losses(appearance, generator, b), minutes, check)


if __name__ == "__main__":
    typer.run(main)
