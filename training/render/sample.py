"""Photographs people: one by chance with everything that is known about them, or a given one in given motions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mien.geometry import euler, rotation
from training.render import head as kit
from training.render import posing, raster, shade, truth
from training.render.albedo import paint_face
from training.render.atlas import SkinAtlas
from training.render.backgrounds import make_background
from training.render.blend import Blendshapes
from training.render.camera import Camera, develop, sample_camera
from training.render.head import Head
from training.render.lights import Lights, sample_lights
from training.render.looks import Look, sample_look
from training.render.motion import Motion, sample_motions
from training.render.orbit import sunk
from training.render.person import Person, build_person, head_weights
from training.render.props import Wardrobe, make_props
from training.render.regions import skin_labels
from training.render.shadow import NO_SHADOW, cast_shadow

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]

SIZE = 256
FLOW_SIZE = 128
FRAMES = 4
FOLLOW = 0.85


@dataclass(frozen=True)
class Scene:
    """F frames of one person.

    arrays: rgb (F, 256, 256, 3), alpha, labels (F, 256, 256) uint8; flow (F, F, 128, 128, 2) float16 and visible
    (F, F, 128, 128) uint8 by [driving, source]; float32: pose, place (F, 3), weights (F, E), gaze (F, 2), landmarks
    (F, L, 2), points (F, K, 2), offsets (F, K, 3), identity (100,). attributes: the person's looks, names and numbers.
    """

    arrays: dict[str, NDArray[Any]]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """What stays the same while a person is photographed.

    distance: cm from the camera to the head; background (size, size, 3) uint8; follow: share of the head's movement
    that the crop follows (0: the camera stands still). The default leaves what a tracker's error leaves.
    """

    distance: float
    lights: Lights
    background: Bytes
    camera: Camera
    follow: float = FOLLOW


@dataclass(frozen=True)
class View:
    """One frame's geometry.

    offsets (V, 3): expression, cm; positions (V, 3): posed, cm; samples (V, 3): place in samples and 1 / depth;
    shine (V,): light that reaches the mouth; nearness, ids (2 size, 2 size): what is seen.
    """

    motion: Motion
    viewpoint: posing.Viewpoint
    offsets: Floats
    positions: Floats
    samples: Floats
    shine: Floats
    nearness: Floats
    ids: Ints


class Studio:
    """Photographs people of one head model, size x size pixels; holds what is the same for all of them."""

    def __init__(self, head: Head, size: int = SIZE) -> None:
        self.head = head
        self.size = size
        self.shapes = Blendshapes.from_dense(head.expression)
        self.atlas = SkinAtlas.from_head(head)
        self.label_map = skin_labels(head, self.atlas)
        self.wardrobe = Wardrobe.from_head(head, self.atlas)
        self.mean_points = posing.points_of(head, head.neutral, kit.EYE_CENTRES, np.zeros(2, np.float32))
        weights = head_weights(head)
        self.point_weights = np.concatenate([weights[head.landmarks], np.ones(2, np.float32), weights[head.scatter]])
        self.rigid = np.flatnonzero(self.point_weights > 0.99)

    def draw(self, rng: Generator) -> Scene:
        """One scene of FRAMES frames; the same generator state gives the same scene."""
        look = sample_look(rng)
        person, identity = self.cast(rng, look)
        distance = float(np.exp(rng.uniform(np.log(40), np.log(150))))
        motions = sample_motions(rng, self.head.expression_names, FRAMES)
        stage = Stage(distance, sample_lights(rng), make_background(rng, self.size), sample_camera(rng))
        views = [self._view(person, motion, stage) for motion in motions]
        frames: list[dict[str, NDArray[Any]]] = []
        for view in views:
            rgb, alpha, labels = self._picture(person, view, stage)
            known = self._known(person, view)
            frames.append({"rgb": develop(stage.camera, rgb, rng), "alpha": alpha, "labels": labels, **known})
        arrays: dict[str, NDArray[Any]] = {name: np.stack([f[name] for f in frames]) for name in frames[0]}
        arrays["flow"], arrays["visible"] = _flows(person, views)
        arrays["identity"] = identity
        return Scene(arrays, look.attributes() | {"light": stage.lights.kind})

    def cast(self, rng: Generator, look: Look) -> tuple[Person, Floats]:
        """A person of this look, and the identity (100,), standard deviations, that was drawn for them."""
        identity = (np.clip(rng.normal(0, 1, 100), -2, 2) * rng.uniform(0.4, 1.1)).astype(np.float32)
        textures = paint_face(look, rng, self.atlas)
        if not look.lashes:
            del textures["lashes"]
        tongue = float(rng.uniform(0.5, 1.5)) if rng.random() < 0.5 else 0.2
        props = make_props(rng, self.wardrobe, look)
        person = build_person(self.head, identity, textures, look.skin_gloss, props, tongue)
        return sunk(person, self.head, look), identity

    def film(self, rng: Generator, person: Person, motions: Iterable[Motion], stage: Stage) -> Iterator[Bytes]:
        """One developed picture, (size, size, 3) uint8 RGB, for each motion; `rng` draws the camera's noise."""
        for motion in motions:
            rgb, _, _ = self._picture(person, self._view(person, motion, stage), stage)
            yield develop(stage.camera, rgb, rng)

    def _view(self, person: Person, motion: Motion, stage: Stage) -> View:
        offsets = posing.express(self.head, self.shapes, person, motion)
        posed = person.shape + offsets
        positions = posing.turn(posed, person.head_weight, motion)
        away = (posing.CENTRE - _centre(motion))[:2] * np.array([1, -1], np.float32)
        centre = motion.centre + stage.follow * away / posing.HALF_SPAN
        viewpoint = posing.Viewpoint(stage.distance, motion.zoom, centre)
        samples = viewpoint.project(positions)
        samples[:, :2] = (samples[:, :2] + 1) * self.size
        nearness, ids = raster.rasterise(
            samples, person.triangles, person.part_of, person.one_sided, person.uv, person.uv_triangles, person.cutout,
            person.textures.texels, 2 * self.size,
        )  # fmt: skip
        shine = posing.hidden_light(self.head, posed, motion)
        return View(motion, viewpoint, offsets, positions, samples, shine, nearness, ids)

    def _picture(self, person: Person, view: View, stage: Stage) -> tuple[Bytes, Bytes, Bytes]:
        surfaces = shade.surface(view.positions, view.shine, person.triangles)
        openness = shade.occlusion(view.nearness, 4, 40 * self.size / SIZE)
        sky = np.asarray(cv2.blur(openness, (3, 3)), np.float32)
        lights = stage.lights
        # flat light comes from everywhere
        shadow = NO_SHADOW if lights.kind == "flat" else cast_shadow(person, view.positions, lights.directions[0])
        return shade.shade(
            view.ids, view.nearness, sky, view.samples, surfaces, person.triangles, person.part_of, person.uv,
            person.uv_triangles, _finish(person, lights), person.textures.texels, person.textures.layout,
            shade.linear_table(), shade.tone_table(), person.label_of, self.label_map,
            np.concatenate([lights.directions, lights.colours], axis=1), np.stack([lights.sky, lights.ground]),
            shadow.nearness, shadow.aim, view.viewpoint.eye, stage.background,
        )  # fmt: skip

    def _known(self, person: Person, view: View) -> dict[str, Floats]:
        head, motion = self.head, view.motion
        rest = posing.points_of(head, person.shape, person.eyes, np.zeros(2, np.float32))
        eyes = posing.eye_centres(head, person, motion)
        here = posing.points_of(head, person.shape + view.offsets, eyes, motion.gaze)
        points = view.viewpoint.project(posing.turn(here, self.point_weights, motion))[:, :2]
        still = posing.turn(rest[self.rigid], np.ones(len(self.rigid), np.float32), motion)
        matrix = truth.seen_rotation(rotation(*motion.pose), _centre(motion) - view.viewpoint.eye)
        place = truth.fit_place(self.mean_points[self.rigid], view.viewpoint.project(still)[:, :2], matrix)
        return {
            "pose": euler(matrix).astype(np.float32),
            "place": place.astype(np.float32),
            "weights": motion.weights,
            "gaze": motion.gaze,
            "landmarks": points[: len(head.landmarks) + 2],
            "points": points,
            "offsets": here - rest,
        }


def _finish(person: Person, lights: Lights) -> Floats:
    """The surfaces' finish under these lights, (P, 5) as in `shade`: eyes keep their catch-light in any light."""
    gloss, soft, two_sided, eye = person.material.T
    strength = np.where(eye > 0, 1.0, gloss * lights.specular)
    exponent = np.where(eye > 0, 150.0, lights.sharpness * (0.5 + 3 * gloss))
    return np.stack([strength, exponent, soft, two_sided, eye], axis=1).astype(np.float32)


def _centre(motion: Motion) -> Floats:
    """Where the head point `posing.CENTRE` has moved."""
    return np.asarray(posing.turn(posing.CENTRE[None], np.ones(1, np.float32), motion)[0], np.float32)


def _flows(person: Person, views: list[View]) -> tuple[NDArray[np.float16], Bytes]:
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
