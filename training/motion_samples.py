"""Disturbed crops of rendered heads as samples for the motion network, many of them in pairs of one person."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_export.networks.studio_motion import LEFT_EYE, LIDS, MOUTH, RIGHT_EYE
from training.data import (
    FRAME_CM,
    MOTION_CM,
    Floats,
    Labels,
    Picture,
    Sample,
    Samples,
    Shard,
    Shards,
    any_of,
    cut,
    film,
    style,
)

PAIRED = 3 / 8
"""Share of a batch whose partners, as many again, are its last samples."""
COVERED = (RIGHT_EYE[:LIDS], LEFT_EYE[:LIDS], MOUTH)
"""Parts that a hand may hide, by their landmarks."""


@dataclass(frozen=True)
class Take:
    """One crop of one rendered frame, before anything is drawn."""

    shard: Shard
    scene: int
    frame: int
    mirrored: bool
    present: bool
    centre: Floats
    zoom: float
    angle: float
    seed: int
    """Of what all frames of a clip have in common."""


class MotionSamples(Samples):
    """Crops of 24 cm with their labels; every eighth holds no face in its place.

    The last ``3/8`` of a batch are partners of its first, in their order: in turn the same frame, or another of the
    same person, in a crop that is a little different, with other noise, as two frames of a clip.
    """

    def __init__(
        self, shards: Shards, order: NDArray[np.int64], size: int, batch: int, seed: int, plain: bool = False
    ) -> None:
        super().__init__(shards, batch, seed, plain)
        self.order, self.size = order, size

    def draw(self, shards: list[Shard], rng: np.random.Generator) -> list[Sample]:
        """One batch; ``plain`` ones hold no pairs."""
        count = 0 if self.plain else pairs_in(self.batch)
        takes = [self.take(shards, rng) for _ in range(self.batch - count)]
        takes += [partner(take, index % 2 == 1, rng) for index, take in enumerate(takes[:count])]
        return [self.make(take, rng) for take in takes]

    def take(self, shards: list[Shard], rng: np.random.Generator) -> Take:
        """Any frame in a crop as the tracker makes it, those of interest more often unless ``plain``."""
        shard = any_of(shards, rng)
        scene, frame = shard.draw(rng)
        if self.plain:
            scene, frame = int(rng.integers(len(shard))), int(rng.integers(shard.frames))
        present = self.plain or rng.random() > 0.12
        angle = float(rng.normal(0, 0.13))
        zoom = FRAME_CM / MOTION_CM * float(np.exp(rng.normal(0, 0.09)))
        centre = rng.normal(0, 0.07, 2).astype(np.float32)
        if not present:
            zoom, centre, angle = miss(rng)
        mirrored = bool(rng.random() < 0.5)
        return Take(shard, scene, frame, mirrored, present, centre, zoom, angle, int(rng.integers(1 << 31)))

    def make(self, take: Take, rng: np.random.Generator) -> Sample:
        """``image`` (3, s, s) uint8, labels, ``present`` 1 or 0."""
        picture = np.asarray(take.shard["rgb"][take.scene, take.frame], np.uint8)
        labels = Labels.of(take.shard, take.scene, take.frame)
        if take.mirrored:
            picture, labels = np.ascontiguousarray(picture[:, ::-1]), labels.mirrored(self.order)
        picture = cut(picture, take.centre, take.zoom, take.angle, self.size, cv2.BORDER_REFLECT_101)
        labels = labels.cropped(take.centre, take.zoom, take.angle)
        if not self.plain:
            shared = np.random.default_rng(take.seed)
            picture = film(cover(style(picture, shared), labels.landmarks, shared), rng)
        return {
            "image": np.ascontiguousarray(picture.transpose(2, 0, 1)),
            "pose": labels.pose,
            "place": labels.place,
            "expression": labels.expression,
            "landmarks": labels.landmarks,
            "present": np.asarray(take.present, np.float32),
        }


def pairs_in(batch: int) -> int:
    """How many pairs a batch holds."""
    return int(batch * PAIRED)


def partner(take: Take, same: bool, rng: np.random.Generator) -> Take:
    """The same frame, or another of its scene, as a camera that shakes a little sees it."""
    frame = take.frame
    if not same and take.shard.frames > 1:
        frame = (frame + int(rng.integers(1, take.shard.frames))) % take.shard.frames
    return replace(
        take,
        frame=frame,
        centre=(take.centre + rng.normal(0, 0.015, 2)).astype(np.float32),
        zoom=take.zoom * float(np.exp(rng.normal(0, 0.015))),
        angle=take.angle + float(rng.normal(0, 0.02)),
    )


def cover(picture: Picture, landmarks: Floats, rng: np.random.Generator) -> Picture:
    """Now and then an eye or the mouth behind something: what cannot be seen is to be said so."""
    if rng.random() > 0.07:
        return picture
    pixels = (landmarks[list(COVERED[int(rng.integers(len(COVERED)))])] + 1) * (picture.shape[0] / 2)
    middle, half = pixels.mean(0), np.ptp(pixels, axis=0) / 2 + picture.shape[0] * rng.uniform(0.03, 0.08)
    if not np.isfinite(half).all() or half.max() > picture.shape[0]:
        return picture
    out = picture.copy()
    colour = tuple(int(v) for v in rng.integers(0, 256, 3))
    axes = tuple(int(v) for v in half + 1)
    cv2.ellipse(out, tuple(int(v) for v in middle), axes, float(rng.uniform(-30, 30)), 0, 360, colour, -1)
    return out


def miss(rng: np.random.Generator) -> tuple[float, Floats, float]:
    """Zoom, centre and angle of a crop beside the face, much too close, or upside down."""
    kind = rng.integers(3)
    if kind == 0:
        direction = rng.normal(size=2)
        return 3.0, (direction / np.linalg.norm(direction) * 0.8).astype(np.float32), 0.0
    if kind == 1:
        return float(rng.uniform(5, 9)), rng.uniform(-0.5, 0.5, 2).astype(np.float32), 0.0
    return 1.25, rng.normal(0, 0.1, 2).astype(np.float32), float(np.pi + rng.normal(0, 0.5))
