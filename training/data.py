"""Rendered shards as training samples: mapping, cropping and disturbing pictures together with their labels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from mien.geometry import euler, rotation
from training.points import LEFT_RIGHT, MIRROR_SIGN, measure

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]

FRAME_CM = 30.0
MOTION_CM = 24.0
ARRAYS = ("rgb", "alpha", "labels", "flow", "visible", "pose", "place", "gaze", "landmarks", "points", "offsets")


@dataclass(frozen=True)
class Shard:
    """The arrays of one folder written by `make_data.py`, mapped, not read."""

    arrays: dict[str, NDArray[np.generic]]

    @classmethod
    def open(cls, folder: Path) -> Shard:
        """Map every array of the shard; raises OSError when one is missing."""
        return cls({name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS})

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        return self.arrays[name]

    def __len__(self) -> int:
        return len(self.arrays["rgb"])


class Shards:
    """A growing folder of shards; the first ones are held out for validation."""

    def __init__(self, folder: Path, held_out: int = 2) -> None:
        self.folder = folder
        self.held_out = held_out
        self.opened: dict[Path, Shard] = {}

    def refresh(self, validation: bool = False) -> list[Shard]:
        """The shards there are now."""
        folders = sorted(p for p in self.folder.glob("shard-*") if p.is_dir() and p.name[6:].isdigit())
        chosen = folders[: self.held_out] if validation else folders[self.held_out :]
        for path in chosen:
            if path not in self.opened:
                self.opened[path] = Shard.open(path)
        return [self.opened[path] for path in chosen]


@dataclass(frozen=True)
class Labels:
    """The truth of one picture in its own normalised coordinates."""

    pose: Floats
    place: Floats
    expression: Floats
    landmarks: Floats

    @classmethod
    def of(cls, shard: Shard, scene: int, frame: int) -> Labels:
        """Of one rendered frame."""
        names = ("pose", "place", "gaze", "landmarks", "offsets")
        read = {name: np.array(shard[name][scene, frame], np.float32) for name in names}
        expression = measure(read["offsets"], read["gaze"])
        return cls(read["pose"], read["place"], expression, read["landmarks"])

    def mirrored(self, order: NDArray[np.int64]) -> Labels:
        """Of the picture flipped left to right."""
        return Labels(
            self.pose * np.array([-1, 1, -1], np.float32),
            self.place * np.array([-1, 1, 1], np.float32),
            self.expression[list(LEFT_RIGHT)] * MIRROR_SIGN,
            (self.landmarks * np.array([-1, 1], np.float32))[order],
        )

    def cropped(self, centre: Floats, zoom: float, angle: float) -> Labels:
        """Of a crop of half side ``1/zoom`` around ``centre``, the content turned by ``angle`` (picture clockwise)."""
        turn = turn_matrix(angle)
        pose = euler(rotation(0.0, 0.0, -angle) @ rotation(*self.pose))
        place = np.array([*(turn @ (self.place[:2] - centre) * zoom), self.place[2] + np.log(zoom)], np.float32)
        landmarks = ((self.landmarks - centre) @ turn.T * zoom).astype(np.float32)
        return Labels(np.asarray(pose, np.float32), place, self.expression, landmarks)


def turn_matrix(angle: float) -> Floats:
    """A turn by ``angle`` radians, clockwise as seen (y points down)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]], np.float32)


def cut(picture: Picture, centre: Floats, zoom: float, angle: float, size: int, border: int) -> Picture:
    """The pixels of `Labels.cropped`: a (size, size, 3) picture, bilinear: it shrinks by less than two."""
    side = picture.shape[0]
    linear = turn_matrix(angle) * zoom * (size / side)
    middle = (centre + 1) * side / 2
    matrix = np.concatenate([linear, (size / 2 - linear @ middle)[:, None]], 1)
    matrix[:, 2] += linear @ (0.5, 0.5) - 0.5
    crop = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(crop, np.uint8)


def disturb(picture: Picture, rng: np.random.Generator) -> Picture:
    """What cameras, codecs, painters and hands do to a picture: colour, blur, noise, JPEG, brush, occlusion."""
    out = picture
    if rng.random() < 0.12:
        size = int(rng.integers(1, 3)) * 2 + 1
        out = cv2.medianBlur(out, size) if rng.random() < 0.6 else cv2.bilateralFilter(out, 7, 40, 5)
    if rng.random() < 0.2:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 1.6)))
    if rng.random() < 0.15:
        small = float(rng.uniform(0.35, 0.8))
        shrunk = cv2.resize(out, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
        out = cv2.resize(shrunk, out.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    out = recolour(out, rng)
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(2, 14), (*out.shape[:2], 3 if rng.random() < 0.5 else 1))
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.12:
        out = cv2.imdecode(cv2.imencode(".jpg", out, (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))))[1], 1)
    if rng.random() < 0.15:
        out = occlude(out, rng)
    return np.asarray(out, np.uint8)


def recolour(picture: Picture, rng: np.random.Generator) -> Picture:
    """Gain, offset and gamma for each channel; sometimes grey or sepia."""
    if rng.random() < 0.12:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        picture = np.repeat(grey[..., None], 3, 2)
    ramp = np.linspace(0, 1, 256)[:, None]
    gamma = np.exp(rng.normal(0, 0.25) + rng.normal(0, 0.06, 3))
    gain = np.exp(rng.normal(0, 0.18) + rng.normal(0, 0.08, 3))
    lift = rng.normal(0, 0.05) + rng.normal(0, 0.02, 3)
    table = np.clip(((ramp**gamma - 0.5) * gain + 0.5 + lift) * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(np.ascontiguousarray(picture), table[:, None, :]), np.uint8)


def occlude(picture: Picture, rng: np.random.Generator) -> Picture:
    """A hand's or a microphone's worth of something flat in front."""
    out = picture.copy()
    size = out.shape[0]
    colour = tuple(int(v) for v in rng.integers(0, 256, 3))
    middle = tuple(int(v) for v in rng.integers(0, size, 2))
    axes = tuple(int(v) for v in rng.uniform(0.04, 0.2, 2) * size + 1)
    cv2.ellipse(out, middle, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    return out


class Samples(IterableDataset[dict[str, torch.Tensor]]):
    """Endless batches of samples drawn by chance from the shards; ``plain`` ones, undisturbed, are for checking."""

    def __init__(self, shards: Shards, batch: int, seed: int, plain: bool = False) -> None:
        self.shards, self.batch, self.seed, self.plain = shards, batch, seed, plain

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = get_worker_info()
        rng = np.random.default_rng((self.seed, worker.id if worker else 0))
        cv2.setNumThreads(1)
        for count in itertools.count():
            if count % 50 == 0:
                shards = self.shards.refresh(self.plain)
            samples = [self.sample(shards, rng) for _ in range(self.batch)]
            yield {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}

    def sample(self, shards: list[Shard], rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """One sample, arrays by name."""
        raise NotImplementedError


def any_of(shards: list[Shard], rng: np.random.Generator) -> Shard:
    """One of them."""
    return shards[int(rng.integers(len(shards)))]


class MotionSamples(Samples):
    """Disturbed 144 px crops with their labels; every eighth holds no face in its place."""

    def __init__(
        self, shards: Shards, order: NDArray[np.int64], size: int, batch: int, seed: int, plain: bool = False
    ) -> None:
        super().__init__(shards, batch, seed, plain)
        self.order, self.size = order, size

    def sample(self, shards: list[Shard], rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """One crop: ``image`` (3, s, s) uint8, labels, ``present`` 1 or 0."""
        shard = any_of(shards, rng)
        scene, frame = int(rng.integers(len(shard))), int(rng.integers(3))
        picture = np.asarray(shard["rgb"][scene, frame], np.uint8)
        labels = Labels.of(shard, scene, frame)
        if rng.random() < 0.5:
            picture, labels = np.ascontiguousarray(picture[:, ::-1]), labels.mirrored(self.order)
        present = self.plain or rng.random() > 0.12
        angle = float(rng.normal(0, 0.13))
        zoom = FRAME_CM / MOTION_CM * float(np.exp(rng.normal(0, 0.09)))
        centre = rng.normal(0, 0.07, 2).astype(np.float32)
        if not present:
            zoom, centre, angle = self.miss(rng)
        picture = cut(picture, centre, zoom, angle, self.size, cv2.BORDER_REFLECT_101)
        labels = labels.cropped(centre, zoom, angle)
        if not self.plain:
            picture = disturb(picture, rng)
        return {
            "image": np.ascontiguousarray(picture.transpose(2, 0, 1)),
            "pose": labels.pose,
            "place": labels.place,
            "expression": labels.expression,
            "landmarks": labels.landmarks,
            "present": np.float32(present),
        }

    @staticmethod
    def miss(rng: np.random.Generator) -> tuple[float, Floats, float]:
        """A crop beside the face, much too close, or upside down."""
        kind = rng.integers(3)
        if kind == 0:
            direction = rng.normal(size=2)
            return 3.0, (direction / np.linalg.norm(direction) * 0.8).astype(np.float32), 0.0
        if kind == 1:
            return float(rng.uniform(5, 9)), rng.uniform(-0.5, 0.5, 2).astype(np.float32), 0.0
        return 1.25, rng.normal(0, 0.1, 2).astype(np.float32), float(np.pi + rng.normal(0, 0.5))
