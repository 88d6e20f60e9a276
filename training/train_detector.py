"""Trains the head detector on rendered people over backgrounds: `python -m training.train_detector DATA RUNS`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import typer
from numpy.typing import NDArray
from torch import Tensor

from mien_export.networks.studio import DETECTOR_SIZE, Detector
from training.data import CHECK_SEED, MOTION_CM, Floats, Labels, Picture, Samples, Shard, Shards, any_of, disturb
from training.loop import Run, begin, channels_last
from training.render.backgrounds import make_background

CELLS = 24
HEAD_POINT = np.array([0.0, 1.0, 0.0], np.float32)


class DetectorSamples(Samples):
    """Frames with no, one or several people, near and far, and the crop of each."""

    def sample(self, shards: list[Shard], rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """``image`` (3, 192, 192) uint8, ``target`` (4, 24, 24): peak, offset x, offset y, log side."""
        canvas = self.scenery(shards, rng)
        crops: list[Floats] = []
        for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.12, 0.66, 0.15, 0.07]))):
            shard = any_of(shards, rng)
            crops += self.paste(canvas, shard, crops, rng)
        if rng.random() < 0.3:
            bar = int(rng.uniform(0.02, 0.22) * DETECTOR_SIZE)
            canvas[:bar], canvas[-bar:] = 0, 0
            crops = [crop for crop in crops if shown(crop, bar / DETECTOR_SIZE)]
        return {
            "image": np.ascontiguousarray((canvas if self.plain else disturb(canvas, rng)).transpose(2, 0, 1)),
            "target": self.target(crops),
        }

    @staticmethod
    def scenery(shards: list[Shard], rng: np.random.Generator) -> Picture:
        """Something to stand before: a rendered background, or shuffled pieces of other frames."""
        if rng.random() < 0.6:
            return np.ascontiguousarray(make_background(rng, DETECTOR_SIZE))
        shard = any_of(shards, rng)
        picture = np.asarray(shard["rgb"][int(rng.integers(len(shard))), 0], np.uint8)
        half = DETECTOR_SIZE // 2
        tiles = []
        for _ in range(4):
            x, y = (int(v) for v in rng.integers(0, 256 - half // 2, 2))
            piece = picture[y : y + half // 2, x : x + half // 2]
            tiles.append(np.rot90(cv2.resize(piece, (half, half)), int(rng.integers(1, 4))))
        return np.ascontiguousarray(np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])]))

    @staticmethod
    def paste(canvas: Picture, shard: Shard, others: list[Floats], rng: np.random.Generator) -> list[Floats]:
        """Draw one person into the canvas, unless it would cover another; gives its crop (x, y, side)."""
        scene, frame = int(rng.integers(len(shard))), int(rng.integers(shard.frames))
        crop, matrix = placement(Labels.of(shard, scene, frame), rng)
        if any(np.abs(crop[:2] - o[:2]).max() < 0.5 * (crop[2] + o[2]) for o in others):
            return []
        rgb, alpha = (np.asarray(shard[name][scene, frame], np.uint8) for name in ("rgb", "alpha"))
        fade = np.clip((255 - np.arange(256)) / 12, 0, 1)[:, None]
        layer = np.dstack([rgb, (alpha * fade).astype(np.uint8)])
        step = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        if step < 0.7:
            shrink = step / 0.9
            layer = np.asarray(cv2.resize(layer, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8)
            matrix[:, :2] /= layer.shape[0] / 256
        matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV counts from the middle of the first pixel
        if rng.random() < 0.25:  # with its own background, a picture in the picture
            layer[..., 3] = 255
        drawn = cv2.warpAffine(layer, matrix, (DETECTOR_SIZE, DETECTOR_SIZE), flags=cv2.INTER_LINEAR)
        cover = drawn[..., 3:].astype(np.float32) / 255
        canvas[:] = (canvas * (1 - cover) + drawn[..., :3] * cover).astype(np.uint8)
        return [crop]

    @staticmethod
    def target(crops: list[Floats]) -> Floats:
        """The map that the network should give, with a small Gaussian around each peak."""
        made = np.zeros((4, CELLS, CELLS), np.float32)
        axis = np.arange(CELLS) + 0.5
        for x, y, side in crops:
            column, row = (min(CELLS - 1, int(v * CELLS)) for v in (x, y))
            sigma = 0.35 + 0.06 * side * CELLS
            apart = np.square(axis[None] - (column + 0.5)) + np.square(axis[:, None] - (row + 0.5))
            peak = np.exp(-apart / (2 * sigma**2)).astype(np.float32)
            near = peak > np.maximum(made[0], 0.3)
            made[0] = np.maximum(made[0], peak)
            made[1] = np.where(near, x * CELLS - axis[None], made[1])
            made[2] = np.where(near, y * CELLS - axis[:, None], made[2])
            made[3] = np.where(near, np.log(side), made[3])
        return made


def placement(labels: Labels, rng: np.random.Generator) -> tuple[Floats, NDArray[np.float64]]:
    """Where a person of these labels is to stand by chance: its crop (x, y, side) as shares of the canvas, and the
    matrix (2, 3) from pixels of its picture to those of the canvas."""
    unit = float(np.exp(labels.place[2]))
    head = labels.place[:2] + unit * HEAD_POINT[:2] * (1, -1)
    want = float(np.exp(rng.uniform(np.log(0.14), np.log(1.15))))
    margin = 0.42 * want
    low, high = (margin, 1 - margin) if margin < 0.5 else (0.4, 0.6)
    middle = rng.uniform(low, high, 2)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    turn = float(rng.normal(0, 0.1))
    step = want / (unit * MOTION_CM / 2) * DETECTOR_SIZE / 256
    linear = step * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([flip, 1.0])
    shift = middle * DETECTOR_SIZE - linear @ ((head + 1) * 128)
    return np.array([*middle, want], np.float32), np.concatenate([linear, shift[:, None]], 1)


def shown(crop: Floats, bar: float) -> bool:
    """Whether black bars above and below, shares of the canvas, leave enough of a head to be found."""
    return bool(bar + 0.15 * crop[2] < crop[1] < 1 - bar - 0.15 * crop[2])


def losses(network: Detector, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Penalty-reduced focal loss (CornerNet) on the peaks, L1 on place and size where there is a head."""
    image = batch["image"].float().div(255).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        out = network(image)
    out, target = out.float(), batch["target"]
    score, truth = torch.sigmoid(out[:, 0]).clamp(1e-5, 1 - 1e-5), target[:, 0]
    centre = (truth > 0.999).float()
    focal = -centre * (1 - score) ** 2 * score.log() - (1 - centre) * (1 - truth) ** 4 * score**2 * (1 - score).log()
    near = (truth > 0.3).float()
    apart = (out[:, 1:] - target[:, 1:]).abs().sum(1) * near
    return {"peaks": focal.sum() / centre.sum().clamp(min=1), "crops": apart.sum() / near.sum().clamp(min=1)}


@torch.no_grad()
def validate(network: Detector, batches: list[dict[str, Tensor]]) -> str:
    """Held-out: share of heads found, false peaks a frame, error of centre and side as shares of the side."""
    network.eval()
    found = heads = false = 0
    errors = []
    for batch in batches:
        out = network(batch["image"].float().div(255))
        score = torch.sigmoid(out[:, 0])
        peak = (score == F.max_pool2d(score, 3, 1, 1)) & (score > 0.5)
        centre = batch["target"][:, 0] > 0.999
        heads += int(centre.sum())
        close = F.max_pool2d(peak.float(), 3, 1, 1) > 0
        found += int((centre & close).sum())
        false += int((peak & (batch["target"][:, 0] < 0.1)).sum())
        side = batch["target"][:, 3].exp() * CELLS
        place = (out[:, 1:3] - batch["target"][:, 1:3]).norm(dim=1) / side
        errors.append(torch.stack([place[centre], (out[:, 3] - batch["target"][:, 3]).abs()[centre]], 1))
    error = torch.cat(errors).median(0).values
    frames = sum(len(b["image"]) for b in batches)
    return f"found {found / heads:.3f}, false {false / frames:.3f}/frame, centre {error[0]:.3f}, side {error[1]:.3f}"


def main(
    data: Annotated[Path, typer.Argument(help="folder of shards from training.make_data")],
    runs: Annotated[Path, typer.Argument(help="folder for checkpoints")],
    minutes: float = 15.0,
    steps: int = 4000,
    batch: int = 48,
    rate: float = 2e-3,
    threads: int = 1,
    workers: int = 1,
    seed: int = 1,
    warm: Annotated[Path | None, typer.Option(help="folder whose detector.pt to begin with")] = None,
) -> None:
    """Train, or go on training, the detector."""
    begin(threads, seed)
    network = channels_last(Detector())
    assert network.head.bias is not None
    torch.nn.init.constant_(network.head.bias, -2.0)
    start = warm / "detector.pt" if warm else None
    run = Run(runs / "detector.pt", {"detector": network}, rate, steps, start=start)
    shards = Shards(data)
    checks = DetectorSamples(shards, batch, CHECK_SEED, plain=True).first()
    batches = DetectorSamples(shards, batch, seed + run.step).load(workers)
    run.train(batches, lambda b: losses(network, b), minutes, lambda: validate(run.mean_of(network), checks))


if __name__ == "__main__":
    typer.run(main)
