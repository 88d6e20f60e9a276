"""Rendered shards as training samples: mapping, cropping and disturbing pictures together with their labels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mien.geometry import euler, rotation
from training.points import LEFT_RIGHT, MIRROR_SIGN, NAMES, measure
from training.render.painterly import paint

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]
Sample = dict[str, NDArray[np.generic]]

FRAME_CM = 30.0
MOTION_CM = 24.0
LIDS, GAZE = ("lid_gap_right", "lid_gap_left"), ("gaze_yaw", "gaze_pitch")
CHECKED, CHECK_SEED = 6, 7
"""How many batches a network is checked on, and the seed that draws them: the same ones each time."""
PAINTED = 0.18
"""Share of pictures that are made to look painted."""
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

    @property
    def frames(self) -> int:
        """Pictures of each scene."""
        return int(self.arrays["rgb"].shape[1])

    @cached_property
    def values(self) -> Floats:
        """(scenes, frames, E) expression values."""
        return measure(np.asarray(self["offsets"], np.float32), np.asarray(self["gaze"], np.float32))

    @cached_property
    def interest(self) -> NDArray[np.float64]:
        """(scenes * frames,) how often a frame should be drawn beside others: the cumulated sum of 1 to 3.4."""
        return np.cumsum(interest(self.values.reshape(-1, self.values.shape[-1])), dtype=np.float64)

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """A scene and a frame, those of interest more often."""
        place = int(np.searchsorted(self.interest, rng.uniform(0, self.interest[-1]), "right"))
        scene, frame = divmod(min(place, len(self.interest) - 1), self.frames)
        return scene, frame


class Shards:
    """A growing folder of shards; the first ``held_out`` (None: all) are for validation and never trained on."""

    def __init__(self, folder: Path, held_out: int | None = 2) -> None:
        self.folder = folder
        self.held_out = held_out
        self.opened: dict[Path, Shard] = {}

    def folders(self) -> list[Path]:
        """Of the complete shards."""
        return sorted(p for p in self.folder.glob("shard-*") if p.is_dir() and p.name[6:].isdigit())

    def lacking(self, validation: bool) -> str:
        """What to say where `refresh` finds none."""
        asked = "to check on" if validation else f"to train on, beside the first {self.held_out}, which are held out"
        found = len(self.folders())
        return f"No shards {asked}: {self.folder} holds {found}. Render more with training.make_data."

    def refresh(self, validation: bool = False) -> list[Shard]:
        """The shards there are now."""
        folders = self.folders()
        count = len(folders) if self.held_out is None else self.held_out
        chosen = folders[:count] if validation else folders[count:]
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
        pose, place, marks = (np.array(shard[n][scene, frame], np.float32) for n in ("pose", "place", "landmarks"))
        return cls(pose, place, shard.values[scene, frame], marks)

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


def interest(values: Floats) -> Floats:
    """Of expression values (n, E): 1, and 0.8 more for each of shut eyes, a clear glance, an open mouth."""
    lids, gaze = (values[:, [NAMES.index(n) for n in pair]] for pair in (LIDS, GAZE))
    shut = np.clip(-lids.mean(1) / 0.8, 0, 1)
    glance = np.clip(np.linalg.norm(gaze, axis=1) / 0.35, 0, 1)
    gape = np.clip(values[:, NAMES.index("lip_gap")] / 1.5, 0, 1)
    return np.asarray(1 + 0.8 * (shut + glance + gape), np.float32)


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
    """What painters, hands, cameras and codecs do to a picture: `style`, then `film`."""
    return film(style(picture, rng), rng)


def style(picture: Picture, rng: np.random.Generator) -> Picture:
    """What all frames of a clip have in common: brush and canvas, colour, something in front."""
    out, chance = picture, rng.random()
    if chance < PAINTED:
        out = np.asarray(paint(out[None], rng)[0], np.uint8)
    elif chance < PAINTED + 0.06:
        out = np.asarray(cv2.medianBlur(out, int(rng.integers(1, 3)) * 2 + 1), np.uint8)
    out = recolour(out, rng)
    return occlude(out, rng) if rng.random() < 0.15 else out


def film(picture: Picture, rng: np.random.Generator) -> Picture:
    """What each frame has for itself: blur, loss of resolution, noise, JPEG."""
    out, finest = picture, picture.shape[0] / 144
    if rng.random() < 0.2:
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 1.6)) * finest), np.uint8)
    if rng.random() < 0.15:
        small = float(rng.uniform(0.35, 0.8)) / finest
        shrunk = cv2.resize(out, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
        out = np.asarray(cv2.resize(shrunk, out.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
    if rng.random() < 0.3:
        noise = rng.standard_normal((*out.shape[:2], 3 if rng.random() < 0.5 else 1), np.float32)
        out = np.clip(out + noise * np.float32(rng.uniform(2, 14)), 0, 255).astype(np.uint8)
    if rng.random() < 0.12:
        coded = cv2.imencode(".jpg", out, (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))))[1]
        out = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return out


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
            if not shards:
                raise FileNotFoundError(self.shards.lacking(self.plain))
            samples = self.draw(shards, rng)
            yield {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}

    def load(self, workers: int) -> Iterator[dict[str, torch.Tensor]]:
        """The batches, made in so many processes beside this one."""
        return iter(DataLoader(self, batch_size=None, num_workers=workers))

    def first(self, count: int = CHECKED) -> list[dict[str, torch.Tensor]]:
        """So many batches, the same ones each time."""
        return list(itertools.islice(self, count))

    def draw(self, shards: list[Shard], rng: np.random.Generator) -> list[Sample]:
        """The samples of one batch."""
        return [self.sample(shards, rng) for _ in range(self.batch)]

    def sample(self, shards: list[Shard], rng: np.random.Generator) -> Sample:
        """One sample, arrays by name."""
        raise NotImplementedError


def any_of(shards: list[Shard], rng: np.random.Generator) -> Shard:
    """One of them, a large one more often: every picture has the same chance."""
    sizes = np.cumsum([len(shard) * shard.frames for shard in shards])
    return shards[int(np.searchsorted(sizes, rng.integers(sizes[-1]), "right"))]
