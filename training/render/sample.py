"""Draws one scene by chance: a person in several frames, with everything that is known about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.render import raster, scene, shade, truth
from training.render.head import EYE_RADIUS, Head
from training.render.motion import Motion, sample_motions
from training.render.part import Part
from training.render.regions import position_map, skin_labels

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

SIZE = 256
FLOW_SIZE = 128
FRAMES = 3


@dataclass(frozen=True)
class Scene:
    """F frames of one person; shapes without the frame axis: rgb (256, 256, 3), alpha, labels (256, 256) uint8,
    flow (F, F, 128, 128, 2) float16 and visible (F, F, 128, 128) uint8 by [driving, source], pose, place (F, 3),
    weights (F, E), gaze (F, 2), landmarks (F, L, 2), points (F, K, 2), offsets (F, K, 3), identity (100,).
    """

    arrays: dict[str, NDArray[Any]]
    attributes: dict[str, Any]


class Studio:
    """Everything that is the same for all scenes: the head and its tables."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.label_map = skin_labels(head)
        self.where, _ = position_map(head, "skin", 512, 1024)
        self.still = np.flatnonzero(scene.head_weights(head)[head.scatter] > 0.99)
        self.mean_points = points_of(head, head.neutral, np.zeros(2, np.float32))

    def draw(self, rng: Generator) -> Scene:
        """One scene of FRAMES frames."""
        head = self.head
        identity = np.clip(rng.normal(0, 1, 100), -2, 2) * rng.uniform(0.4, 1.1)
        skin, props, attributes = _look(rng, head, (self.where, self.label_map))
        tongue = float(rng.uniform(0.5, 1.5)) if rng.random() < 0.5 else 0.2
        person = scene.build_person(head, identity.astype(np.float32), skin, props, tongue)
        motions = sample_motions(rng, head.expression_names, FRAMES)
        distance = float(np.exp(rng.uniform(np.log(40), np.log(150))))
        light, ambient = _lights(rng)
        background = _background(rng)
        views = [self._view(person, m, distance) for m in motions]
        pictures = [self._picture(person, v, light, ambient, background) for v in views]
        arrays: dict[str, NDArray[Any]] = {
            key: np.stack([p[key] for p in pictures]) for key in ("rgb", "alpha", "labels")
        }
        known = [self._known(person, m, v) for m, v in zip(motions, views, strict=True)]
        arrays |= {key: np.stack([k[key] for k in known]) for key in known[0]}
        arrays["flow"], arrays["visible"] = _flows(person, views)
        arrays["identity"] = identity.astype(np.float32)
        return Scene(arrays, attributes)

    def _view(self, person: scene.Person, motion: Motion, distance: float) -> View:
        posed = person.shape + scene.express(self.head, person, motion)
        shine = scene.mouth_light(self.head, posed, len(posed))
        view = scene.turn(posed, person.head_weight, motion.pose, motion.body, motion.shift, scene.PIVOT)
        middle = scene.turn(scene.CENTRE[None], np.ones(1, np.float32), motion.pose, motion.body, motion.shift,
                            scene.PIVOT)[0]
        away = (scene.CENTRE - middle)[:2] * np.array([1, -1], np.float32)
        camera = scene.Camera(distance, motion.zoom, motion.centre + 0.85 * away / scene.HALF_SPAN)
        screen = camera.project(view)
        samples = screen.copy()
        samples[:, :2] = (screen[:, :2] + 1) * SIZE
        nearness, ids = raster.rasterise(
            samples, person.triangles, person.part_of, person.one_sided, person.uv, person.uv_triangles, person.cutout,
            person.textures.texels, 2 * SIZE,
        )  # fmt: skip
        return View(camera, view, samples, shine, nearness, ids)

    def _picture(self, person: scene.Person, view: View, light: Floats, ambient: Floats,
                 background: Bytes) -> dict[str, Bytes]:
        normals = shade.vertex_normals(view.positions, person.triangles)
        sky = shade.occlusion(view.nearness, 4, 40.0)
        sky = cv2.blur(sky, (3, 3))
        rgb, alpha, labels = shade.shade(
            view.ids, view.nearness, sky, view.samples, view.positions, normals, view.shine, person.triangles,
            person.part_of, person.uv, person.uv_triangles, person.material, person.textures.texels,
            person.textures.layout, shade.linear_table(), person.label_of, self.label_map, light, ambient,
            view.camera.eye,
        )  # fmt: skip
        behind = shade.linear_table()[background]
        rgb += behind * (1 - alpha.astype(np.float32) / 255)[..., None]
        return {"rgb": shade.to_bytes(rgb), "alpha": alpha, "labels": labels}

    def _known(self, person: scene.Person, motion: Motion, view: View) -> dict[str, Floats]:
        head = self.head
        offsets = scene.express(head, person, motion)[: len(head.neutral)]
        rest = points_of(head, person.shape, np.zeros(2, np.float32))
        here = points_of(head, person.shape + np.pad(offsets, ((0, len(person.shape) - len(offsets)), (0, 0))),
                         motion.gaze)
        weight = np.concatenate([person.head_weight[head.landmarks], np.ones(2, np.float32),
                                 person.head_weight[head.scatter]])
        arguments = (motion.pose, motion.body, motion.shift, scene.PIVOT)
        points = view.camera.project(scene.turn(here, weight, *arguments))[:, :2]
        count = len(head.landmarks) + 2
        rigid = np.concatenate([np.arange(count), count + self.still])
        still = view.camera.project(scene.turn(rest[rigid], np.ones(len(rigid), np.float32), *arguments))[:, :2]
        middle = scene.turn(scene.CENTRE[None], np.ones(1, np.float32), *arguments)[0]
        matrix = truth.seen_rotation(truth.rotation(motion.pose), middle - view.camera.eye)
        return {
            "pose": truth.angles(matrix).astype(np.float32),
            "place": truth.fit_place(self.mean_points[rigid], still, matrix).astype(np.float32),
            "weights": motion.weights,
            "gaze": motion.gaze,
            "landmarks": points[:count],
            "points": points,
            "offsets": here - rest,
        }


@dataclass(frozen=True)
class View:
    """One frame's geometry: camera, view positions (V, 3), samples (V, 3), mouth light (V,), buffers (512, 512)."""

    camera: scene.Camera
    positions: Floats
    samples: Floats
    shine: Floats
    nearness: Floats
    ids: NDArray[np.int32]


def points_of(head: Head, vertices: Floats, gaze: Floats) -> Floats:
    """The K motion points (K, 3) of a head, not turned: landmarks, iris centres (left, right), scatter."""
    direction = scene.look(gaze) @ np.array([0, 0, 1.13 * EYE_RADIUS], np.float32)
    from training.render import head as kit

    eyes = np.stack([vertices[head.span(r)].mean(0) for r in (kit.EYE_LEFT, kit.EYE_RIGHT)])
    return np.concatenate([vertices[head.landmarks], eyes + direction, vertices[head.scatter]]).astype(np.float32)


def _flows(person: scene.Person, views: list[View]) -> tuple[NDArray[np.float16], Bytes]:
    count = len(views)
    flow = np.zeros((count, count, FLOW_SIZE, FLOW_SIZE, 2), np.float16)
    visible = np.full((count, count, FLOW_SIZE, FLOW_SIZE), 255, np.uint8)
    for d, driving in enumerate(views):
        for s, source in enumerate(views):
            if d != s:
                flow[d, s], visible[d, s] = truth.backward_flow(
                    driving.ids, driving.samples, source.samples, source.nearness, person.triangles, person.part_of,
                    person.one_sided, FLOW_SIZE, 0.3,
                )  # fmt: skip
    return flow, visible


def _look(rng: Generator, head: Head, maps: tuple[Floats, Bytes]) -> tuple[dict[str, Part], list[Part], dict[str, Any]]:
    tone = np.array([224, 172, 145]) * rng.uniform(0.35, 1.1) * rng.uniform(0.93, 1.07, 3)
    where, labels = maps
    skin = np.clip(tone + np.zeros((512, 1024, 3)), 0, 255)
    hair = rng.uniform(10, 90) * np.array([1, 0.8, 0.65])
    skin[(labels == 2) | (labels == 3)] = hair
    skin[(labels == 12) | (labels == 13)] = tone * np.array([0.85, 0.55, 0.55])
    scalp = (where[..., 1] > 9) | ((where[..., 2] < 1) & (where[..., 1] > -4))
    skin[scalp & (labels < 4)] = hair
    eye = np.zeros((128, 128, 3)) + 225
    yy, xx = np.mgrid[:128, :128] - 63.5
    angle = np.hypot(xx, yy) / 64 * 90
    eye[angle < 24] = rng.uniform(30, 140, 3)
    eye[angle < 10] = 8
    colours = {"mouth": (110, 50, 50), "gums": (170, 85, 85), "teeth": (230, 225, 210), "lashes": (25, 20, 18)}

    def part(name: str, texture: NDArray[np.floating], gloss: float) -> Part:
        rgba = np.dstack([np.clip(texture, 0, 255), np.full(texture.shape[:2], 255)]).astype(np.uint8)
        surface = head.surfaces[name]
        return Part(name, head.neutral, surface.triangles, surface.uv, rgba, scene.face_label(name),
                    np.ones(len(head.neutral), np.float32), gloss, False)

    parts = {"skin": part("skin", skin, 0.2), "eye_left": part("eye_left", eye, 0.9),
             "eye_right": part("eye_right", eye, 0.9)}
    for name, colour in colours.items():
        parts[name] = part(name, np.zeros((8, 8, 3)) + colour, 0.3 if name != "lashes" else 0.0)
    return parts, [], {}


def _lights(rng: Generator) -> tuple[Floats, Floats]:
    key = rng.normal(0, 1, 3) * [0.8, 0.4, 0] + [0, 0.5, 1]
    key /= np.linalg.norm(key)
    return np.array([[*key, 0.8, 0.77, 0.72]], np.float32), np.array([[0.3] * 3, [0.2] * 3], np.float32)


def _background(rng: Generator) -> Bytes:
    return np.full((SIZE, SIZE, 3), rng.integers(0, 256, 3), np.uint8)
