"""Motion of a head: what the motion network says, how it is transferred, and the points that it moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.geometry import rotation
from mien.reenact.trust import landmark_trust, value_trust

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

RIGHT_EYE = (36, 68, 37, 69, 38, 70, 39, 71, 40, 72, 41, 73)
LEFT_EYE = (42, 74, 43, 75, 44, 76, 45, 77, 46, 78, 47, 79)
INNER_MOUTH = (60, 80, 61, 81, 62, 82, 63, 83, 64, 84, 65, 85, 66, 86, 67, 87)
"""Rings of landmarks around the openings of a face; right is the subject's right."""

EYES = (RIGHT_EYE, LEFT_EYE)
UPPER_LIDS, LOWER_LIDS = (np.array([ring[part] for ring in EYES]) for part in (slice(1, 6), slice(11, 6, -1)))
CORNERS = np.array([(ring[0], ring[6]) for ring in EYES])
"""Landmarks of the lids of both eyes (2, 5), the lower ones beneath the upper ones, and of the corners (2, 2)."""

SHUT = 0.06
"""Gap of a closed eye's lids over its width: in five clips, rendered and real, it comes down to 0.05 to 0.06."""

UPPER_SHARE = 0.85
"""Of an eye's closing, what its upper lid does."""

LEAST_OPEN = 0.1
"""What a driver's eye is taken to be open above SHUT at least: one that begins shut does not blink at a tremble."""

IRISES = (100, 101)
IRIS = 0.04
"""Radius of an iris in a source crop, normalised: 0.6 cm of 30."""

EYE_CM = 150.0
"""How far the camera is taken to be from the head's origin, cm: what is nearer moves further. One picture does not tell
the distance; heads rendered from 40 to 150 cm away are met best so, as their near parts follow their own landmarks."""

MOST_TURN, FURTHER = 0.75, 0.1
"""Radians beyond which the networks have seen little, and how much further a source goes that is beyond already."""


@dataclass(frozen=True)
class Motion:
    """One head at one time, relative to a crop.

    ``pose``: (3,) yaw, pitch, roll in radians. ``place``: (3,) x, y of the head's origin in normalised crop coordinates
    and the log of the scale in crop units per cm. ``expression``: (E,) the values named by the bundle, cm (gaze:
    radians), 0 is neutral. ``landmarks``: (L, 2) in normalised crop coordinates. ``uncertainty``: (E + 5,) of each
    value in units of its deviation in training, then of each group of landmarks (`mien.reenact.trust`) in half
    centimetres; empty from networks that do not say it, which are believed wholly.
    """

    pose: Floats
    place: Floats
    expression: Floats
    landmarks: Floats
    uncertainty: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    @classmethod
    def of(cls, outputs: Mapping[str, NDArray[np.floating]]) -> Motion:
        """What a motion network says of one face, by its outputs' names; place and landmarks in any coordinates."""
        parts = ("pose", "place", "expression", "landmarks", "uncertainty")
        return cls(**{name: np.asarray(outputs[name], np.float32) for name in parts if name in outputs})

    @property
    def scale(self) -> float:
        """Crop units per cm."""
        return float(np.exp(self.place[2]))

    def values(self) -> NDArray[np.float64]:
        """All numbers as one row for smoothing; place and landmarks in decimetres on the head, which suits them all."""
        size = self.scale * 10
        parts = [self.pose, self.place[:2] / size, self.place[2:], self.expression, self.landmarks.ravel() / size]
        return np.concatenate([*parts, self.uncertainty]).astype(np.float64)

    def with_values(self, values: NDArray[np.float64]) -> Motion:
        """The motion whose `values` these are; place and landmarks go by the scale among them."""
        ends = np.cumsum([3, 2, 1, self.expression.size, self.landmarks.size])
        pose, middle, scale, expression, landmarks, uncertainty = np.split(values.astype(np.float32), ends)
        size = np.exp(scale) * 10
        place = np.concatenate([middle * size, scale])
        return Motion(pose, place, expression, landmarks.reshape(-1, 2) * size, uncertainty)

    @property
    def trust(self) -> Floats:
        """(E,) from 0 to 1: how far each expression value is to be believed."""
        return value_trust(self.uncertainty, self.expression.size)


@dataclass(frozen=True)
class PointModel:
    """The points that carry the flow: canonical places, how each expression value moves them, and their spread.

    ``points``: (K, 3) cm in the head frame; the first L are the landmarks. ``basis``: (K, 3, E) cm for each unit of an
    expression value. ``spread``: (K, L) how a landmark's own offset reaches the points around it, rows sum to 1.
    ``rigid``: (K,) 1 for points that turn with the head, 0 for the shoulders, between on the neck. ``pivot``: (3,) cm,
    where the head turns on the neck. ``limits``: (2, E) smallest and largest expression values of the training data.
    """

    points: Floats
    basis: Floats
    spread: Floats
    rigid: Floats
    pivot: Floats
    limits: Floats

    def shape_of(self, motion: Motion) -> Floats:
        """(K, 3) cm: how this person's points differ from the mean head's, from where the landmarks really are."""
        count = self.spread.shape[1]
        seen, near, _ = self._seen(motion, np.zeros_like(self.points))
        offset = (motion.landmarks - seen[:count]) / (motion.scale * near[:count])
        flat = np.concatenate([offset * (1, -1), np.zeros((count, 1))], 1)
        return (self.spread @ (flat @ rotation(*motion.pose))).astype(np.float32)

    def project(self, motion: Motion, shape: Floats) -> Floats:
        """(K, 3): x, y in normalised crop coordinates and a weight, small for points at the back of the head."""
        seen, _, depth = self._seen(motion, shape)
        weight = 1 / (1 + np.exp(-(depth + 1.0) / 1.5))
        return np.concatenate([seen, weight], 1).astype(np.float32)

    def _seen(self, motion: Motion, shape: Floats) -> tuple[Doubles, Doubles, Doubles]:
        """Where the points are in the crop (K, 2), how much larger each is for being nearer, and its depth (K, 1)."""
        head = self.head(motion, shape)
        turn = rotation(*motion.pose)
        rigid = self.rigid[:, None]
        turned = rigid * (head @ turn.T) + (1 - rigid) * (head + turn @ self.pivot - self.pivot)
        depth = turned[:, 2:]
        near = EYE_CM / (EYE_CM - np.minimum(depth, EYE_CM / 2))
        return motion.scale * near * turned[:, :2] * (1, -1) + motion.place[:2], near, depth

    def transfer(self, source: Motion, driving: Motion, reference: Motion | None) -> Motion:
        """The source's head as the driver moves it.

        With a ``reference`` (the driver's first frame) only the change since then is taken over; without one the
        driver's pose and expression are taken as they are, and the source keeps its place. Either way a value of the
        driver that was not seen leaves the source's own, and one half believed moves it half.
        """
        if reference is None:
            change = driving.trust * (driving.expression - source.expression)
            return self._limited(replace(source, pose=driving.pose, expression=source.expression + change), source)
        ratio = source.scale / reference.scale
        change = driving.place - reference.place
        place = source.place + change * np.array([ratio, ratio, 1.0], np.float32)
        return self._limited(
            replace(
                source,
                pose=source.pose + driving.pose - reference.pose,
                expression=source.expression + driving.trust * (driving.expression - reference.expression),
                place=place.astype(np.float32),
            ),
            source,
        )

    def express(self, source: Motion, driving: Motion) -> Motion:
        """The source's head with the expression of a driver of whom nothing else is known; it keeps its bearing.

        0 is the neutral face, so the driver's values are its change.
        """
        moved = replace(source, expression=source.expression + driving.trust * driving.expression)
        return self._limited(moved, source)

    def rest_of(self, driving: Motion, reference: Motion) -> Floats:
        """(K, 3) cm: what the driver's landmarks did since the reference that pose and expression do not explain.

        Added to the source's shape it carries the landmarks' whole movement over, also where the expression values
        fall short of it or are not believed. Landmarks that were not seen carry nothing.
        """
        change = driving.trust * (driving.expression - reference.expression)
        explained = replace(driving, expression=reference.expression + change)
        rest = self.shape_of(explained) - self.shape_of(reference)
        trust = landmark_trust(driving.uncertainty, self.spread.shape[1])
        share = self.spread @ trust / np.maximum(self.spread.sum(1), np.float32(1e-6))
        return np.asarray(rest * share[:, None], np.float32)

    def lids_of(self, head: Floats, source: Floats, driving: Motion, reference: Motion) -> Floats:
        """(K, 3) cm to add to ``head``, the portrait's as it moves, for eyes that close by the share by which the
        driver's do.

        Eyes are of all sizes: a driver's lids that meet have moved by less, or by more, than the portrait's have to.
        ``source``: (K, 3) cm, the portrait's head as it is. Eyes that open wider are left to the values.
        """
        first, now, own, moving = (
            _openness(one) for one in (self._head_of(reference), self._head_of(driving), source, head)
        )
        share = (first - np.maximum(now, SHUT)) / np.maximum(first - SHUT, LEAST_OPEN)
        trust = landmark_trust(driving.uncertainty, self.spread.shape[1])[UPPER_LIDS].mean(1)
        closing = trust * np.clip(share, 0, 1)
        wanted = own - closing * np.maximum(own - SHUT, 0)
        excess = np.where(closing > 0, 1 - wanted / np.maximum(moving, 1e-3), 0)
        gap = (head[UPPER_LIDS] - head[LOWER_LIDS]) * excess[:, None, None]
        moved = np.zeros((self.spread.shape[1], 3), np.float32)
        moved[UPPER_LIDS] -= UPPER_SHARE * gap
        moved[LOWER_LIDS] += (1 - UPPER_SHARE) * gap
        return np.asarray(self.spread @ moved, np.float32)

    def head(self, motion: Motion, shape: Floats) -> Floats:
        """(K, 3) cm: a person's points with this expression, unturned."""
        return np.asarray(self.points + shape + self.basis @ motion.expression, np.float32)

    def _head_of(self, motion: Motion) -> Floats:
        return self.head(motion, self.shape_of(motion))

    def _limited(self, motion: Motion, source: Motion) -> Motion:
        """Within what the networks have seen, or beyond where the source is itself: who holds still stays so."""
        turn, (low, high) = source.pose, self.limits
        pose = np.clip(motion.pose, np.minimum(-MOST_TURN, turn - FURTHER), np.maximum(MOST_TURN, turn + FURTHER))
        own = source.expression
        expression = np.clip(motion.expression, np.minimum(low, own), np.maximum(high, own))
        return replace(motion, pose=pose.astype(np.float32), expression=expression.astype(np.float32))


def _openness(head: Floats) -> Doubles:
    """(2,) of both eyes the mean gap of the lids over the distance of the corners."""
    gap = np.linalg.norm(head[UPPER_LIDS] - head[LOWER_LIDS], axis=2).mean(1)
    width = np.linalg.norm(head[CORNERS[:, 0]] - head[CORNERS[:, 1]], axis=1)
    return np.asarray(gap / np.maximum(width, 1e-3), np.float64)


def draw_openings(points: Floats, size: int = 128, irises: bool = False) -> Floats:
    """The openings of mouth and eyes as filled polygons (2, size, size) in [0, 1], antialiased, from points (K, 2+).

    With ``irises`` a third map: what of the two irises' discs lies inside the eyes, which says where they look.
    """
    pixels = (points[:, :2] + 1) * (size / 2) - 0.5
    fixed = np.round(pixels * 16).astype(np.int32)
    maps = np.zeros((3 if irises else 2, size, size), np.uint8)
    cv2.fillPoly(maps[0], [fixed[list(INNER_MOUTH)]], 255, cv2.LINE_AA, 4)
    cv2.fillPoly(maps[1], [fixed[list(RIGHT_EYE)], fixed[list(LEFT_EYE)]], 255, cv2.LINE_AA, 4)
    if irises:
        radius = round(IRIS * size / 2 * 16)
        for x, y in fixed[list(IRISES)]:
            cv2.circle(maps[2], (int(x), int(y)), radius, 255, -1, cv2.LINE_AA, 4)
        np.minimum(maps[2], maps[1], out=maps[2])
    return maps.astype(np.float32) / np.float32(255)
