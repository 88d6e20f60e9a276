"""Trains the head detector on rendered people over backgrounds: `python -m training.train_detector DATA RUNS`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import typer
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from mien_export.networks.studio import DETECTOR_SIZE, Detector
from training.data import MOTION_CM, Floats, Labels, Picture, Samples, Shard, Shards, any_of, disturb
from training.loop import Run, restore
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
            crops = [c for c in crops if self.letterbox(canvas, c, bar)]
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
        scene, frame = int(rng.integers(len(shard))), int(rng.integers(3))
        labels = Labels.of(shard, scene, frame)
        unit = float(np.exp(labels.place[2]))
        head = labels.place[:2] + unit * HEAD_POINT[:2] * (1, -1)
        side = unit * MOTION_CM / 2
        want = float(np.exp(rng.uniform(np.log(0.14), np.log(1.15))))
        zoom = want / side
        margin = max(0.0, 0.42 * want)
        low, high = (margin, 1 - margin) if margin < 0.5 else (0.4, 0.6)
        middle = rng.uniform(low, high, 2)
        crop = np.array([*middle, want], np.float32)
        if any(np.abs(crop[:2] - o[:2]).max() < 0.5 * (crop[2] + o[2]) for o in others):
            return []
        flip = -1.0 if rng.random() < 0.5 else 1.0
        turn = float(rng.normal(0, 0.1))
        step = zoom * DETECTOR_SIZE / 256
        linear = step * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([flip, 1.0])
        start = (head + 1) * 128
        shift = middle * DETECTOR_SIZE - linear @ start
        matrix = np.concatenate([linear, shift[:, None]], 1)
        rgb = np.asarray(shard["rgb"][scene, frame], np.uint8)
        alpha = np.asarray(shard["alpha"][scene, frame], np.uint8).copy()
        fade = np.clip((255 - np.arange(256)) / 12, 0, 1)[:, None]
        layer = np.dstack([rgb, (alpha * fade).astype(np.uint8)])
        if step < 0.7:
            shrink = step / 0.9
            layer = cv2.resize(layer, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
            matrix[:, :2] /= layer.shape[0] / 256
        drawn = cv2.warpAffine(layer, matrix, (DETECTOR_SIZE, DETECTOR_SIZE), flags=cv2.INTER_LINEAR)
        cover = drawn[..., 3:].astype(np.float32) / 255
        if rng.random() < 0.25:
            inside = cv2.warpAffine(np.full(layer.shape[:2], 255, np.uint8), matrix, (DETECTOR_SIZE, DETECTOR_SIZE))
            cover = inside[..., None].astype(np.float32) / 255
        canvas[:] = (canvas * (1 - cover) + drawn[..., :3] * cover).astype(np.uint8)
        return [crop]

    @staticmethod
    def letterbox(canvas: Picture, crop: Floats, bar: int) -> bool:
        """Blacken both sides as for a wide or a tall frame; False where that hides the head."""
        canvas[:bar], canvas[-bar:] = 0, 0
        share = bar / DETECTOR_SIZE
        return bool(share + 0.15 * crop[2] < crop[1] < 1 - share - 0.15 * crop[2])

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
) -> None:
    """Train, or go on training, the detector."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    network = Detector()
    torch.nn.init.constant_(network.head.bias, -2.0)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(runs / "detector.pt", {"detector": network}, rate, steps)
    shards = Shards(data)
    held_out = iter(DetectorSamples(shards, batch, 7, plain=True))
    checks = [next(held_out) for _ in range(6)]
    loader = DataLoader(DetectorSamples(shards, batch, seed + run.step), batch_size=None, num_workers=workers)

    def check() -> str:
        judged = copy.deepcopy(network)
        restore({"detector": judged}, run.averaged)
        return validate(judged, checks)

    run.train(iter(loader), lambda b: losses(network, b), minutes, check)


if __name__ == "__main__":
    typer.run(main)
