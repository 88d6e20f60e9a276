"""Held-out rendered pairs, two frames of one head: what mien makes of the one for the other, and the right answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mien import kernels
from mien.geometry import Similarity
from mien.image import to_tensor
from mien.reenact.motion import Motion
from mien.reenact.studio import Studio, StudioSource

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

SIDE = 256
NOT_HEAD = (0, 14, 15, 16)
"""Labels of CelebAMask-HQ that do not turn with the head: background, neck, necklace, clothes."""
HAIR = (17, 18)
"""Hair and hats, of which the motion network says nothing."""
OPENINGS = (range(36, 42), range(42, 48), range(48, 60))
"""Landmarks around each eye and the mouth."""


@dataclass(frozen=True)
class Score:
    """How near one result comes to the right answer; PSNR in dB, flow in pixels of 128 x 128."""

    head: float
    head_of_copy: float
    head_of_true_flow: float
    """The source warped by the right flow, nothing painted: light that stays while the head turns, and what the source
    does not show, are left as errors."""
    features: float
    """Eyes and mouth."""
    features_of_copy: float
    features_of_true_flow: float
    flow: float
    """Mean error on the head where the driving frame's point is seen in the source."""
    still: float
    """The same for no flow at all: how far things move."""
    flow_of_face: float
    flow_of_hair: float
    """``flow`` without hair and hats, and of these alone; NaN where there are none."""


@dataclass(frozen=True)
class Pair:
    """One rendered pair as mien does it: two frames of a scene and what it makes of the one for the other."""

    scene: dict[str, npt.NDArray[np.generic]]
    here: int
    there: int
    picture: Image
    """Frame ``here``, the source."""
    answer: Image
    """Frame ``there``, the right answer."""
    result: Image
    maps: dict[str, npt.NDArray[np.float32]]
    """The generator's."""


def drawn_pairs(model: Studio, shards: Sequence[Path], most: int) -> Iterator[Pair]:
    """Up to ``most`` pairs, evenly over the shards; pairs in which mien sees no face are left out."""
    share = -(-most // len(shards))
    for shard in shards:
        arrays = {p.stem: np.load(p, mmap_mode="r") for p in shard.glob("*.npy")}
        frames = arrays["rgb"].shape[1]
        for scene in range(min(share, len(arrays["rgb"]))):
            here = scene % frames
            there = (here + 1 + scene // frames % (frames - 1)) % frames
            pair = draw_pair(model, {name: array[scene] for name, array in arrays.items()}, here, there)
            if pair is not None:
                yield pair


def draw_pair(model: Studio, scene: dict[str, npt.NDArray[np.generic]], here: int, there: int) -> Pair | None:
    """One scene's frame ``here`` moved as ``there``; None where mien sees no face."""
    picture, answer = (np.ascontiguousarray(scene["rgb"][frame], np.uint8) for frame in (here, there))
    source, driving = read(model, picture), read(model, answer)
    if source is None or driving is None:
        return None
    portrait = prepare(model, picture, source)
    points = model.drive(portrait, driving, source)
    return Pair(scene, here, there, picture, answer, model.draw(portrait, points), maps_of(model, portrait, points))


def judge_pairs(model: Studio, shards: Sequence[Path], most: int) -> Iterator[Score]:
    """Scores of up to ``most`` pairs; see `drawn_pairs`."""
    return (judge_pair(pair) for pair in drawn_pairs(model, shards, most))


def judge_pair(pair: Pair) -> Score:
    """How near mien's picture comes to the right answer."""
    scene, here, there, flow = pair.scene, pair.here, pair.there, pair.maps["flow"][0]
    truth = np.asarray(scene["flow"][there, here], np.float32).transpose(2, 0, 1)
    head = ~np.isin(scene["labels"][there], NOT_HEAD)
    hair = np.isin(scene["labels"][there], HAIR)[::2, ::2]
    seen = (np.asarray(scene["visible"][there, here]) > 127) & head[::2, ::2]
    features = around_openings(np.asarray(scene["landmarks"][there], np.float32))
    warped = warp(pair.picture, truth)
    return Score(
        head=decibel(pair.result, pair.answer, head),
        head_of_copy=decibel(pair.picture, pair.answer, head),
        head_of_true_flow=decibel(warped, pair.answer, head),
        features=decibel(pair.result, pair.answer, features),
        features_of_copy=decibel(pair.picture, pair.answer, features),
        features_of_true_flow=decibel(warped, pair.answer, features),
        flow=flow_error(flow, truth, seen),
        still=flow_error(np.zeros_like(flow), truth, seen),
        flow_of_face=flow_error(flow, truth, seen & ~hair),
        flow_of_hair=flow_error(flow, truth, seen & hair),
    )


def warp(picture: Image, flow: npt.NDArray[np.float32]) -> Image:
    """A 256 x 256 picture sampled along a flow (2, h, w), normalised units, everywhere."""
    everywhere = np.ones((SIDE, SIDE), np.float32)
    nothing = np.zeros((3, SIDE, SIDE), np.float32)
    straight = np.eye(2, 3)
    return kernels.warp_blend(picture, np.ascontiguousarray(flow), everywhere, nothing, everywhere, straight)


def read(model: Studio, picture: Image) -> Motion | None:
    """What mien's own tracker and motion network say, in coordinates of the whole picture; None without a face."""
    tracked = model.tracker().step(picture)
    if tracked is None:
        return None
    return Motion.of(tracked.seen_from(Similarity.from_crop((SIDE / 2, SIDE / 2), SIDE, tracked.pixels)).outputs)


def prepare(model: Studio, picture: Image, motion: Motion) -> StudioSource:
    """The picture as a source whose crop is the whole of it (the renderer frames heads as mien crops them)."""
    shape = model.points.shape_of(motion)
    whole = Similarity.from_crop((SIDE / 2, SIDE / 2), SIDE, SIDE)
    points = model.points.project(motion, shape)
    return StudioSource(picture, whole, motion, shape, points, model.look(to_tensor(picture), points))


def maps_of(model: Studio, source: StudioSource, points: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """The generator's maps, as it gives them, to the moved points (K, 3); flow in normalised crop units."""
    return {name: np.asarray(out, np.float32) for name, out in model.maps(source, points).items()}


def flow_error(flow: npt.NDArray[np.float32], truth: npt.NDArray[np.float32], seen: Mask) -> float:
    """Mean length of the difference of two flows (2, h, w) under a mask, in pixels; NaN for an empty mask."""
    apart = np.linalg.norm(flow - truth, axis=0)[seen]
    return float(apart.mean() * flow.shape[-1] / 2) if apart.size else float("nan")


def around_openings(landmarks: npt.NDArray[np.float32]) -> Mask:
    """(256, 256): the hulls of eyes and mouth, 7 pixels wider, from (L, 2) landmarks in normalised coordinates."""
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    pixels = np.round((landmarks + 1) * (SIDE / 2) - 0.5).astype(np.int32)
    for part in OPENINGS:
        cv2.fillConvexPoly(drawn, cv2.convexHull(pixels[list(part)]), 1)
    return np.asarray(cv2.dilate(drawn, np.ones((15, 15), np.uint8)), np.bool_)


def decibel(result: Image, answer: Image, where: Mask | None = None) -> float:
    """PSNR of a picture, or of the pixels of it under a mask; 99 for equal ones, NaN for an empty mask."""
    apart = result.astype(np.float64) - answer
    apart = apart if where is None else apart[where]
    if not apart.size:
        return float("nan")
    mean = float(np.square(apart).mean())
    return min(99.0, 10 * float(np.log10(255**2 / mean))) if mean > 0 else 99.0


def summary(scores: Sequence[Score]) -> dict[str, dict[str, float]]:
    """Mean and median of every score, and of what is gained above copying the source."""
    columns = {f.name: np.array([getattr(score, f.name) for score in scores]) for f in fields(Score)}
    for part in ("head", "features"):
        copied = columns[f"{part}_of_copy"]
        columns[f"{part}, gained"] = columns[part] - copied
        columns[f"{part}, gained by the true flow"] = columns[f"{part}_of_true_flow"] - copied
    return {
        "mean": {name: float(np.nanmean(values)) for name, values in columns.items()},
        "median": {name: float(np.nanmedian(values)) for name, values in columns.items()},
    }
