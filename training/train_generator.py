"""Trains appearance and generator on rendered pairs: `python -m training.train_generator DATA RUNS`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn

from mien_export.networks.studio import (
    Appearance,
    AppearanceOutput,
    Generator,
    GeneratorOutput,
    Still,
    compose,
    enlarged,
    warp,
)
from training.data import CHECK_SEED, Shards
from training.discriminator import Discriminator, deceived, judged, matched
from training.loop import Run, begin, channels_last
from training.pairs import PairSamples
from training.points import PointArrays, mirror_landmarks


class Losses(NamedTuple):
    """What a batch gave: the losses by name, and what an opponent looks at: maps, source and driving at full size."""

    found: dict[str, Tensor]
    out: GeneratorOutput
    source: Tensor
    driving: Tensor


def pictures(batch: dict[str, Tensor], key: str) -> Tensor:
    """uint8 to float in [0, 1], channels last."""
    return batch[key].float().div(255).contiguous(memory_format=torch.channels_last)


class Chain(nn.Module):
    """Appearance and generator one after the other; of one piece, so that torch may compile it."""

    def __init__(self, appearance: Appearance, generator: Generator) -> None:
        super().__init__()
        self.appearance, self.generator = appearance, generator

    def forward(
        self, source: Tensor, source_openings: Tensor, prior: Tensor, density: Tensor, openings: Tensor
    ) -> tuple[GeneratorOutput, AppearanceOutput]:
        """See `Generator.correct`."""
        seen = self.appearance(source, source_openings)
        still = Still.of(source, seen.cover)
        return self.generator.correct(seen.features, seen.identity, still, prior, density, openings), seen


def generate(chain: Chain, batch: dict[str, Tensor]) -> tuple[GeneratorOutput, AppearanceOutput]:
    """The generator's maps and what it was told of the source; convolutions in bfloat16, geometry in float32."""
    source = pictures(batch, "source")
    with torch.no_grad():
        prior, density = chain.generator.prior(batch["source_points"], batch["driving_points"])
    with torch.autocast("cpu", torch.bfloat16):
        out, seen = chain(source, batch["source_openings"], prior, density, batch["openings"])
    return out, seen


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


def losses(chain: Chain, batch: dict[str, Tensor]) -> Losses:
    """Truth for flow, visibility, light, masks, background; L1 for the picture, its gradients, and the paint in holes.

    Two batches in three compare pictures of half the size: most of what is to be learned shows there, at half the time.
    """
    out, seen = generate(chain, batch)
    source, driving = pictures(batch, "source"), pictures(batch, "driving")
    mask = batch["mask"].float().div(255)
    near = batch["near"].float().div(255)
    visible = batch["visible"].float().div(255)
    head = batch["head"].float().div(255)
    rim = F.interpolate(batch["rim"].float().div(255), size=mask.shape[-1])
    whole = out, source, driving
    if torch.rand(()) < 2 / 3:
        source, driving, mask, rim = (F.avg_pool2d(x, 2) for x in (source, driving, mask, rim))
        smaller = {key: F.avg_pool2d(getattr(out, key), 2) for key in ("visible", "paint", "behind", "mask")}
        out = out._replace(**smaller)
    size = source.shape[-1]
    full = F.interpolate(near, size=size)
    apart = (out.flow - batch["flow"]).square().sum(1, keepdim=True).add(1e-12).sqrt()
    weight = visible * (0.15 + head + 14 * near * head + 0.6 * batch["rim"].float().div(255))
    hole = F.interpolate(1 - visible, size=size) * (1 + 20 * full)
    empty = F.interpolate(1 - head, size=size)
    doubted = F.binary_cross_entropy_with_logits(out.behind, empty, reduction="none")
    result = compose(source, out)
    error = (result - driving).abs()
    sharp = sum((a - b).abs().mean() for a, b in zip(gradients(result), gradients(driving), strict=True))
    shown = F.adaptive_avg_pool2d(out.visible, visible.shape[-1])
    lit = F.adaptive_avg_pool2d(visible * head, 64) + 0.02
    gain = (torch.log(out.shade) - batch["light"]).abs()
    found = {
        "flow": 20 * (apart * weight).sum() / weight.sum(),
        "picture": 2 * (error * (1 + 9 * full)).mean(),
        "sharp": torch.as_tensor(sharp),
        "visible": 0.6 * F.binary_cross_entropy_with_logits(shown, visible, 1 + 18 * near * head),
        "mask": 0.1 * F.binary_cross_entropy_with_logits(out.mask, mask, 1 + 4 * rim),
        "paint": ((out.paint - driving).abs() * (hole + 0.02)).sum() / (hole + 0.02).sum(),
        "behind": 0.1 * (doubted * (hole + 0.02)).sum() / (hole + 0.02).sum(),
        "cover": 0.1 * F.binary_cross_entropy_with_logits(seen.cover, batch["cover"].float().div(255)),
        "light": 0.3 * (gain * lit).sum() / (3 * lit.sum()),
        "fold": folds(out.flow),
    }
    if torch.rand(()) < 0.1:
        with torch.autocast("cpu", torch.bfloat16):
            other = chain.appearance(whole[2], batch["openings"])
        alike = seen.identity @ other.identity.T * 10
        found["identity"] = 0.25 * F.cross_entropy(alike, torch.arange(len(alike)))
    return Losses(found, *whole)


@dataclass
class Opponent:
    """The discriminator and its own run; from a step on it judges every other batch, and learns from it first."""

    run: Run
    network: Discriminator
    begins: int

    def wanted(self, step: int) -> bool:
        """In this step?"""
        return step >= self.begins and step % 2 == 0

    def losses(self, batch: dict[str, Tensor], seen: Losses, strength: float) -> dict[str, Tensor]:
        """What the generator is to make smaller; the discriminator has then made its own step."""
        result = compose(seen.source, seen.out)
        with torch.autocast("cpu", torch.bfloat16):
            real = self.network(seen.driving, batch["openings"], batch["middles"])
            fake = self.network(result.detach(), batch["openings"], batch["middles"])
        self.run.update(judged(real, fake))
        self.network.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                real = self.network(seen.driving, batch["openings"], batch["middles"])
            fake = self.network(result, batch["openings"], batch["middles"])
        self.network.requires_grad_(True)
        return {"fooled": strength * deceived(fake), "matched": 10 * strength * matched(real, fake)}


def decibel(error: Tensor, weight: Tensor) -> Tensor:
    """PSNR of each sample from squared errors (N, 3, H, W) under a weight (N, 1, H, W)."""
    mean = (error * weight).flatten(1).sum(1) / (3 * weight.flatten(1).sum(1)).clamp(min=1)
    return -10 * torch.log10(mean.clamp(min=1e-7))


@torch.no_grad()
def validate(chain: Chain, batches: list[dict[str, Tensor]]) -> str:
    """Held-out pairs: PSNR of head and of eyes and mouth above copying the source, flow error in px of 128."""
    chain.eval()
    rows = []
    for batch in batches:
        out, _ = generate(chain, batch)
        source, driving = pictures(batch, "source"), pictures(batch, "driving")
        head = F.interpolate(batch["head"].float().div(255), scale_factor=2.0)
        near = F.interpolate(batch["near"].float().div(255), scale_factor=2.0)
        wide = enlarged(out.prior, 4.0)
        for name, picture in (("copy", source), ("prior", warp(source, wide)), ("result", compose(source, out))):
            error = (picture - driving).square()
            rows.append((name, decibel(error, head).mean(), decibel(error, near).mean()))
        weight = batch["visible"].float().div(255) * (batch["head"] > 128)
        base = enlarged(out.prior, 2.0)
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
    warm: Annotated[Path | None, typer.Option(help="folder whose generator.pt to begin with")] = None,
    adversarial_from: Annotated[int | None, typer.Option(help="step from which a discriminator judges as well")] = None,
    strength: Annotated[float, typer.Option(help="weight of the discriminator's verdict")] = 0.02,
    compiled: Annotated[bool, typer.Option("--compiled", help="torch.compile: minutes to begin, then faster")] = False,
) -> None:
    """Train, or go on training, appearance and generator together."""
    begin(threads, seed)
    arrays = PointArrays.load(runs / "points.npz")
    model = arrays.model()
    order = mirror_landmarks(arrays.points[: arrays.spread.shape[1]])
    appearance, generator = channels_last(Appearance()), channels_last(Generator())
    chain = Chain(appearance, generator)
    if compiled:
        chain.compile()
    both: dict[str, nn.Module] = {"appearance": appearance, "generator": generator}
    run = Run(runs / "generator.pt", both, rate, steps, start=warm / "generator.pt" if warm else None)
    opponent = None if adversarial_from is None else open_opponent(runs, rate, steps, adversarial_from)
    shards = Shards(data)
    checks = PairSamples(shards, model, order, batch, CHECK_SEED, plain=True).first()
    batches = PairSamples(shards, model, order, batch, seed + run.step).load(workers)

    def check() -> str:
        return validate(Chain(run.mean_of(appearance), run.mean_of(generator)), checks)

    def step(samples: dict[str, Tensor]) -> dict[str, Tensor]:
        seen = losses(chain, samples)
        if opponent is None or not opponent.wanted(run.step):
            return seen.found
        return seen.found | opponent.losses(samples, seen, strength)

    run.console.print(f"before: {check()}", soft_wrap=True)
    run.train(batches, step, minutes, check, beside=[opponent.run] if opponent else [])


def open_opponent(runs: Path, rate: float, steps: int, begins: int) -> Opponent:
    """A fresh discriminator, or the one whose checkpoint lies in the folder."""
    network = channels_last(Discriminator())
    return Opponent(Run(runs / "discriminator.pt", {"discriminator": network}, rate / 4, steps), network, begins)


if __name__ == "__main__":
    typer.run(main)
