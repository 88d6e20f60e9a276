"""Pairs of frames of one rendered person as samples for the generator."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.reenact.motion import Motion, PointModel, draw_openings
from mien_export.networks.studio import MOST_SHADE
from training.data import Floats, Labels, Picture, Samples, Shard, Shards, any_of, recolour
from training.liner import LINED_SHARE, lined
from training.points import NAMES
from training.render.painterly import paint

EYES_AND_MOUTH = (range(36, 42), range(42, 48), range(48, 60))

SEEN_FIRST = {NAMES.index(name): scale for name, scale in (
    ("lid_gap_right", 0.7), ("lid_gap_left", 0.7), ("lip_gap", 1.0), ("mouth_width", 0.8), ("gaze_yaw", 0.5),
    ("gaze_pitch", 0.4), ("corner_right", 0.6),
)}  # fmt: skip
"""Values that pairs are drawn by, and the change (cm, radians) that counts in full."""

TURNED, TURNED_SHARE = 0.436, 0.3
"""Yaw of a source, radians, from which it is turned away, and how often such a source is asked for."""

PAINTED_SHARE = 0.25

STILL_SHARE = 0.06
"""Pairs of a frame with itself, the same points on both sides: a driver who does not move leaves the portrait alone."""


NEAR = (255, 255, 160)
"""Weights of eyes and mouth in `near_map`: an eye is smaller, and an error in it is seen no less."""


def near_map(landmarks: Floats, size: int) -> NDArray[np.uint8]:
    """Up to 255 around eyes and mouth, where a pixel of error is seen first."""
    drawn = np.zeros((size, size), np.uint8)
    pixels = np.round((landmarks + 1) * (size / 2) - 0.5).astype(np.int32)
    for part, weight in zip(EYES_AND_MOUTH, NEAR, strict=True):
        cv2.fillConvexPoly(drawn, cv2.convexHull(pixels[list(part)]), weight)
    return np.asarray(cv2.dilate(drawn, np.ones((7, 7), np.uint8)), np.uint8)


def middles(landmarks: Floats) -> Floats:
    """(3, 2): where the right eye, the left eye and the mouth are, normalised crop coordinates."""
    return np.stack([landmarks[list(part)].mean(0) for part in EYES_AND_MOUTH]).astype(np.float32)


def light(source: Picture, driving: Picture, flow: Floats) -> Floats:
    """(3, 64, 64): logarithm of how much brighter the driving picture is than the source moved by the true flow."""
    size = flow.shape[0]
    places = np.indices((size, size), np.float32).transpose(1, 2, 0)[..., ::-1] + flow * np.float32(size / 2)
    small = cv2.resize(source, (size, size), interpolation=cv2.INTER_AREA)
    moved = cv2.remap(small, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    here, there = (cv2.resize(p, (64, 64), interpolation=cv2.INTER_AREA) for p in (moved, driving))
    gain = np.log((there.astype(np.float32) + 5) / (here.astype(np.float32) + 5))
    return np.asarray(np.clip(gain, -MOST_SHADE, MOST_SHADE).transpose(2, 0, 1), np.float32)


def as_motion(labels: Labels) -> Motion:
    """The truth in the form that the runtime's networks give."""
    return Motion(labels.pose, labels.place, labels.expression, labels.landmarks)


@dataclass(frozen=True)
class Choice:
    """All pairs of frames (P, 3): scene, source, driving of one shard; how likely each is drawn (P,); and how likely
    among those whose source is turned away (P,), all 0 where no source is."""

    pairs: NDArray[np.int64]
    odds: NDArray[np.float64]
    turned: NDArray[np.float64]

    @classmethod
    def of(cls, shard: Shard) -> Choice:
        """Pairs whose eyes, mouth or gaze change much are drawn up to four times as often as others."""
        grid = np.indices((len(shard), shard.frames, shard.frames)).reshape(3, -1).T
        pairs = grid[grid[:, 1] != grid[:, 2]]
        change = shard.values[pairs[:, 0], pairs[:, 1]] - shard.values[pairs[:, 0], pairs[:, 2]]
        odds = 1 + np.clip(np.abs(change[:, list(SEEN_FIRST)]) / np.array(list(SEEN_FIRST.values())), 0, 1).sum(1)
        yaw = np.abs(np.asarray(shard["pose"])[..., 0])[pairs[:, 0], pairs[:, 1]]
        turned = odds * (yaw > TURNED)
        return cls(pairs, odds / odds.sum(), turned / max(turned.sum(), 1e-9))

    def draw(self, rng: np.random.Generator, turned: bool) -> tuple[int, int, int]:
        """Scene, source, driving."""
        odds = self.turned if turned and self.turned.any() else self.odds
        scene, source, driving = self.pairs[rng.choice(len(odds), p=odds)]
        return int(scene), int(source), int(driving)


class PairSamples(Samples):
    """Pairs (source, driving) with the point model's points, as the runtime makes them, and the truth."""

    def __init__(
        self, shards: Shards, model: PointModel, order: NDArray[np.int64], batch: int, seed: int, plain: bool = False
    ) -> None:
        super().__init__(shards, batch, seed, plain)
        self.model, self.order = model, order
        self.choices: dict[int, Choice] = {}

    def choose(self, shard: Shard, rng: np.random.Generator) -> tuple[int, int, int]:
        """A scene and two of its frames; three in ten with a source turned away, more often such that change much.

        Now and then both are the same frame (STILL_SHARE).
        """
        if self.plain:
            source, driving = (int(v) for v in rng.permutation(shard.frames)[:2])
            return int(rng.integers(len(shard))), source, driving
        if rng.random() < STILL_SHARE:
            frame = int(rng.integers(shard.frames))
            return int(rng.integers(len(shard))), frame, frame
        if id(shard) not in self.choices:
            self.choices[id(shard)] = Choice.of(shard)
        return self.choices[id(shard)].draw(rng, rng.random() < TURNED_SHARE)

    def sample(self, shards: list[Shard], rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """One pair: pictures (3, 256, 256) uint8, points (K, 3), openings (3, 128, 128), the truth at 128 px, `light`,
        and the middles of both eyes and of the mouth (3, 2) in the driving picture."""
        shard = any_of(shards, rng)
        scene, source, driving = self.choose(shard, rng)
        pictures = [np.asarray(shard["rgb"][scene, f], np.uint8) for f in (source, driving)]
        labels = [Labels.of(shard, scene, f) for f in (source, driving)]
        alphas = [np.asarray(shard["alpha"][scene, f], np.uint8) for f in (source, driving)]
        flow = np.asarray(shard["flow"][scene, driving, source], np.float32)
        visible = np.asarray(shard["visible"][scene, driving, source], np.uint8)
        if rng.random() < 0.5:
            pictures = [np.ascontiguousarray(p[:, ::-1]) for p in pictures]
            labels = [one.mirrored(self.order) for one in labels]
            alphas = [np.ascontiguousarray(a[:, ::-1]) for a in alphas]
            flow = flow[:, ::-1] * np.array([-1, 1], np.float32)
            visible = visible[:, ::-1]
        if not self.plain:
            if rng.random() < LINED_SHARE:
                pictures, visible = lined(pictures, [one.landmarks for one in labels], flow, visible, rng)
            pictures = self.disturb_both(pictures, rng)
        here, there = as_motion(labels[0]), as_motion(labels[1])
        if not self.plain:
            here = self.shaken(here, rng, 0.3)
            there = here if source == driving else self.shaken(there, rng, 0.5)
        shape = self.model.shape_of(here)
        started, driven = self.model.project(here, shape), self.model.project(there, shape)
        head = np.asarray(cv2.resize(alphas[1], (128, 128), interpolation=cv2.INTER_AREA), np.uint8)
        union = cv2.dilate(np.maximum(alphas[0], alphas[1]), np.ones((3, 3), np.uint8))
        return {
            "source": np.ascontiguousarray(pictures[0].transpose(2, 0, 1)),
            "driving": np.ascontiguousarray(pictures[1].transpose(2, 0, 1)),
            "source_points": started,
            "driving_points": driven,
            "source_openings": draw_openings(started, irises=True),
            "openings": draw_openings(driven, irises=True),
            "middles": middles(labels[1].landmarks),
            "flow": np.ascontiguousarray(flow.transpose(2, 0, 1)),
            "visible": np.ascontiguousarray(visible)[None],
            "light": light(pictures[0], pictures[1], flow),
            "head": head[None],
            "cover": np.asarray(cv2.resize(alphas[0], (64, 64), interpolation=cv2.INTER_AREA), np.uint8)[None],
            "rim": (cv2.dilate(head, np.ones((11, 11), np.uint8)) - head)[None],
            "mask": np.asarray(union, np.uint8)[None],
            "near": near_map(labels[1].landmarks, 128)[None],
        }

    @staticmethod
    def disturb_both(pictures: list[Picture], rng: np.random.Generator) -> list[Picture]:
        """The same change of colour, and often the same painterly look, for both pictures of a pair."""
        seed = int(rng.integers(1 << 31))
        pictures = [recolour(p, np.random.default_rng(seed)) for p in pictures]
        if rng.random() < PAINTED_SHARE:
            return list(paint(np.stack(pictures), np.random.default_rng(seed)))
        return pictures

    def shaken(self, motion: Motion, rng: np.random.Generator, share: float) -> Motion:
        """With about as much error as the motion network makes."""
        unit = (self.model.limits[1] - self.model.limits[0]) / 6
        return replace(
            motion,
            pose=(motion.pose + rng.normal(0, 0.025 * share, 3)).astype(np.float32),
            place=(motion.place + rng.normal(0, 0.01 * share, 3)).astype(np.float32),
            expression=(motion.expression + rng.normal(0, 0.25 * share, len(unit)) * unit).astype(np.float32),
            landmarks=(motion.landmarks + rng.normal(0, 0.008, motion.landmarks.shape)
                       + rng.normal(0, 0.008, 2)).astype(np.float32),
        )  # fmt: skip
