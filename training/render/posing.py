"""Moves a person: expression, eyeballs, tongue, the head on its neck; and sees it in perspective."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.geometry import rotation
from training.render import head as kit
from training.render.blend import Blendshapes
from training.render.compiled import compiled
from training.render.head import Head
from training.render.motion import Motion
from training.render.person import Person

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]

_PIVOT = np.array([0, -10, -2], np.float32)  # of the head's rotation, in the neck
CENTRE = np.array([0, 1, 4], np.float32)  # the head point the camera looks at
SHRINK = 0.975  # of the eyeballs, so that they stay behind the lids
_LIDS = (("eyeBlink_L", (43, 44), (47, 46)), ("eyeBlink_R", (37, 38), (41, 40)))  # Multi-PIE points above, below
_OVERLAP = 0.04  # cm by which shut lids pass each other
HALF_SPAN = 15.0  # cm from the picture's centre to its edge at that point


@dataclass(frozen=True)
class Viewpoint:
    """Perspective camera on the z axis. distance: cm to `CENTRE`; zoom 1 = 2 x HALF_SPAN across; centre (2,) crop."""

    distance: float
    zoom: float
    centre: Floats

    @property
    def eye(self) -> Floats:
        """The camera's place (3,), cm."""
        return np.array([CENTRE[0], CENTRE[1], CENTRE[2] + self.distance], np.float32)

    def project(self, view: Floats) -> Floats:
        """View positions (..., 3) to normalised crop coordinates (..., 2) and 1 / depth, together (..., 3)."""
        relative = self.eye - view
        near = 1 / relative[..., 2]
        scale = near * (self.distance * self.zoom / HALF_SPAN)
        x, y = -relative[..., 0] * scale + self.centre[0], relative[..., 1] * scale + self.centre[1]
        return np.stack([x, y, near], -1).astype(np.float32)


def express(head: Head, shapes: Blendshapes, person: Person, motion: Motion) -> Floats:
    """Expression offsets (V, 3) of every vertex, cm: blendshapes, turned eyeballs, the moved tongue."""
    offsets = shapes.mix(motion.weights)
    _meet_lids(offsets[: len(head.neutral)], head, person, motion)
    _move_tongue(offsets, head, person, motion)
    centres, turned = eye_centres(head, person, motion), look(motion.gaze)
    for side, span in enumerate((kit.EYE_LEFT, kit.EYE_RIGHT)):
        where = head.span(span)
        ball = person.shape[where] - person.eyes[side]
        offsets[where] = SHRINK * ball @ turned.T + centres[side] - person.shape[where]
    everywhere = offsets[person.follow]
    everywhere[person.follow < 0] = 0
    return everywhere


def _meet_lids(offsets: Floats, head: Head, person: Person, motion: Motion) -> None:
    """Add to the offsets (V, 3) what a full blink lacks to shut these lids: of some identities it leaves a slit."""
    for name, above, below in _LIDS:
        shape = head.expression_names.index(name)
        blink = float(motion.weights[shape]) ** 4
        if blink < 0.05:
            continue
        upper, lower = head.landmarks[list(above)], head.landmarks[list(below)]
        gap = (person.shape[upper] + offsets[upper] - person.shape[lower] - offsets[lower])[:, 1]
        travel = (head.expression[shape, lower] - head.expression[shape, upper])[:, 1]
        lack = float(np.clip(((gap + _OVERLAP) / np.maximum(travel, 0.1)).max(), 0, 0.6))
        offsets += blink * lack * head.expression[shape]


def _move_tongue(offsets: Floats, head: Head, person: Person, motion: Motion) -> None:
    """Add the tongue's own movement to the offsets (V, 3): it lies low, lifts its tip to the gums or comes out."""
    where = head.span(kit.TONGUE)
    shape = person.shape[where]
    tip, root = head.neutral[where, 2].max(), head.neutral[where, 2].min()
    share = np.clip((head.neutral[where, 2] - root) / (tip - root), 0, 1)
    front = (share * share * (3 - 2 * share))[:, None]
    out, up, side = (float(v) for v in motion.tongue)
    opening = motion.weights[head.expression_names.index("jawOpen")]
    offsets[where, 1] -= person.tongue_drop * opening * (1 - max(out, up))
    foremost = head.neutral[where, 2].argmax()
    here = shape[foremost] + offsets[where][foremost]
    lip, gum = (person.shape[head.landmarks[k]] + offsets[head.landmarks[k]] for k in (66, 62))
    ahead = lip + np.array([0.8 * side, 0.15, 0.9], np.float32) - here
    above = 0.8 * (gum + np.array([0.6 * side, 0.1, -1.6], np.float32) - here)
    offsets[where] += front * (out * ahead + (1 - out) * up * above)


def look(gaze: Floats) -> Floats:
    """Rotation (3, 3) of the eyeballs: Ry(yaw) Rx(pitch); gaze (2,), radians, signs as the head's."""
    return np.asarray(rotation(float(gaze[0]), float(gaze[1]), 0.0), np.float32)


def turn(vertices: Floats, head_weight: Floats, motion: Motion) -> Floats:
    """Turn the head on its neck and place the person: (V, 3) view positions, cm, of expressed vertices (V, 3).

    The angles blend from the shoulders' to the head's with head_weight (V,).
    """
    return _turn(vertices, head_weight, motion.pose, motion.body, motion.shift)


@compiled
def _turn(vertices: Floats, head_weight: Floats, pose: Floats, body: Floats, shift: Floats) -> Floats:
    result = np.empty_like(vertices)
    matrix = np.zeros((3, 3), np.float32)
    pivot = _PIVOT
    known = np.float32(-1)
    for i in range(len(vertices)):
        if head_weight[i] != known:
            known = head_weight[i]
            yaw, pitch, roll = body + known * (pose - body)
            cy, sy, cx, sx, cz, sz = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
            matrix[0] = cy * cz + sy * sx * sz, -cy * sz + sy * sx * cz, sy * cx
            matrix[1] = cx * sz, cx * cz, -sx
            matrix[2] = -sy * cz + cy * sx * sz, sy * sz + cy * sx * cz, cy * cx
        x, y, z = vertices[i, 0] - pivot[0], vertices[i, 1] - pivot[1], vertices[i, 2] - pivot[2]
        result[i, 0] = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + pivot[0] + shift[0]
        result[i, 1] = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + pivot[1] + shift[1]
        result[i, 2] = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + pivot[2]
    return result


def hidden_light(head: Head, posed: Floats, motion: Motion) -> Floats:
    """Share of light (V,) at each vertex: falls with the depth behind the lips inside the mouth and under closing lids.

    posed (V, 3): expressed, not yet turned.
    """
    shine = np.ones(len(posed), np.float32)
    lips = posed[head.landmarks[60:68]]
    middle, edge = lips.mean(0), lips[:, 2].min()
    teeth = slice(head.span(kit.GUMS).start, head.span(kit.TEETH).stop)
    for part, fall in ((head.span(kit.MOUTH_SOCKET), 0.6), (teeth, 0.5)):
        depth = np.maximum(0.5 * (middle[2] + edge) - posed[part, 2] + 0.2, 0) + 0.3 * np.abs(posed[part, 0])
        shine[part] = np.clip(np.exp(-fall * depth), 0.015, 0.9)
    for ball, name in ((kit.EYE_LEFT, "eyeBlink_L"), (kit.EYE_RIGHT, "eyeBlink_R")):
        shine[head.span(ball)] = 1 - 0.75 * motion.weights[head.expression_names.index(name)] ** 3
    return shine


def eye_centres(head: Head, person: Person, motion: Motion) -> Floats:
    """Eyeball centres (2, 3), left and right, cm: blinking pushes the balls back, or they would pierce the lids."""
    back = [0.06 + 0.12 * motion.weights[head.expression_names.index(n)] for n in ("eyeBlink_L", "eyeBlink_R")]
    centres = person.eyes.copy()
    centres[:, 2] -= back
    return centres


def points_of(head: Head, vertices: Floats, eyes: Floats, gaze: Floats) -> Floats:
    """The K motion points (K, 3) of a head that is not turned: landmarks, iris centres (left, right), scatter.

    vertices (V, 3), eyes (2, 3): `eye_centres`, gaze (2,).
    """
    ahead = look(gaze) @ np.array([0, 0, SHRINK * kit.CORNEA], np.float32)
    return np.concatenate([vertices[head.landmarks], eyes + ahead, vertices[head.scatter]]).astype(np.float32)
