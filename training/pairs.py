"""Pairs of frames of one rendered person as samples for the generator."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.reenact.motion import Motion, PointModel, draw_openings
from training.data import Floats, Labels, Picture, Samples, Shard, Shards, any_of, recolour

EYES_AND_MOUTH = (range(36, 42), range(42, 48), range(48, 60))


def near_map(landmarks: Floats, size: int) -> NDArray[np.uint8]:
    """255 around eyes and mouth, where a pixel of error is seen first."""
    drawn = np.zeros((size, size), np.uint8)
    pixels = np.round((landmarks + 1) * (size / 2) - 0.5).astype(np.int32)
    for part in EYES_AND_MOUTH:
        cv2.fillConvexPoly(drawn, cv2.convexHull(pixels[list(part)]), 255)
    return np.asarray(cv2.dilate(drawn, np.ones((7, 7), np.uint8)), np.uint8)


def as_motion(labels: Labels) -> Motion:
    """The truth in the form that the runtime's networks give."""
    return Motion(labels.pose, labels.place, labels.expression, labels.landmarks)


class PairSamples(Samples):
    """Pairs (source, driving) with the point model's points, as the runtime makes them, and the truth."""

    def __init__(
        self, shards: Shards, model: PointModel, order: NDArray[np.int64], batch: int, seed: int, plain: bool = False
    ) -> None:
        super().__init__(shards, batch, seed, plain)
        self.model, self.order = model, order

    def choose(self, shard: Shard, rng: np.random.Generator) -> tuple[int, int, int]:
        """A scene and two of its frames, the better of two draws by how much mouth and eyes change."""
        best, most = (0, 0, 1), -1.0
        for _ in range(1 if self.plain else 2):
            scene = int(rng.integers(len(shard)))
            source, driving = (int(v) for v in rng.permutation(3)[:2])
            offsets = np.asarray(shard["offsets"][scene], np.float32)
            change = float(np.abs(offsets[source, :68] - offsets[driving, :68]).mean())
            if change > most:
                best, most = (scene, source, driving), change
        return best

    def sample(self, shards: list[Shard], rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """One pair: pictures (3, 256, 256) uint8, points (K, 3), openings, and the truth at 128 px."""
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
            pictures = self.disturb_both(pictures, rng)
        here, there = as_motion(labels[0]), as_motion(labels[1])
        if not self.plain:
            here, there = self.shaken(here, rng, 0.3), self.shaken(there, rng, 0.5)
        shape = self.model.shape_of(here)
        driven = self.model.project(there, shape)
        union = cv2.dilate(np.maximum(alphas[0], alphas[1]), np.ones((5, 5), np.uint8))
        return {
            "source": np.ascontiguousarray(pictures[0].transpose(2, 0, 1)),
            "driving": np.ascontiguousarray(pictures[1].transpose(2, 0, 1)),
            "source_points": self.model.project(here, shape),
            "driving_points": driven,
            "openings": draw_openings(driven),
            "flow": np.ascontiguousarray(flow.transpose(2, 0, 1)),
            "visible": np.ascontiguousarray(visible)[None],
            "head": cv2.resize(alphas[1], (128, 128), interpolation=cv2.INTER_AREA)[None],
            "mask": np.asarray(union, np.uint8)[None],
            "near": near_map(labels[1].landmarks, 128)[None],
        }

    @staticmethod
    def disturb_both(pictures: list[Picture], rng: np.random.Generator) -> list[Picture]:
        """The same change of colour, and sometimes the same painterly smoothing, for both pictures of a pair."""
        seed = int(rng.integers(1 << 31))
        pictures = [recolour(p, np.random.default_rng(seed)) for p in pictures]
        if rng.random() < 0.15:
            size = int(rng.integers(1, 3)) * 2 + 1
            pictures = [np.asarray(cv2.medianBlur(p, size), np.uint8) for p in pictures]
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
