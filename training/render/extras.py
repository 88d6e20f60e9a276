"""Extras: glasses, earrings, necklaces; small rigid parts on the mean head."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.render.clothes import Bust, neck_share
from training.render.looks import Colour, Look
from training.render.part import LABELS, Part
from training.render.shell import COLUMNS, TURN, ball, grid_triangles

Floats = NDArray[np.float32]

_LOBE: Final = np.array([7.75, -1.75, 0.9], np.float32)


def _flat(colour: Colour) -> NDArray[np.uint8]:
    texture = np.full((4, 4, 4), 255, np.uint8)
    texture[..., :3] = np.asarray(colour).astype(np.uint8)
    return texture


def _part(name: str, points: Floats, colour: Colour, label: str, gloss: float, weight: Floats | None = None) -> Part:
    rows, columns = points.shape[:2]
    vertices = np.ascontiguousarray(points.reshape(-1, 3), np.float32)
    share = np.ones(len(vertices), np.float32) if weight is None else weight
    uv = np.full((len(vertices), 2), 0.5, np.float32)
    triangles, texture = grid_triangles(rows, columns), _flat(colour)
    return Part(name, vertices, triangles, uv, texture, LABELS.index(label), share, gloss, True)


def _tube(path: Floats, radius: float, sides: int = 4) -> Floats:
    """A tube of `sides` faces around a path (N, 3): points (N, sides + 1, 3)."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    helper = np.where(np.abs(along[:, 2:3]) < 0.8, [[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]])
    one = np.cross(along, helper)
    one /= np.linalg.norm(one, axis=1, keepdims=True) + 1e-9
    two = np.cross(along, one)
    angle = np.linspace(0, 2 * np.pi, sides + 1)[None, :, None]
    ring = np.cos(angle) * one[:, None] + np.sin(angle) * two[:, None]
    return np.asarray(path[:, None] + radius * ring, np.float32)


def make_glasses(rng: Generator, look: Look) -> list[Part]:
    """Frames (and dark lenses) before the eyes, with arms to the ears; empty when the look has none."""
    if look.glasses == "none":
        return []
    width, height, power = {
        "round": (2.1, 2.0, 2.0), "oval": (2.5, 1.6, 2.2), "square": (2.5, 1.8, 4.0), "cat": (2.6, 1.6, 2.6),
        "dark": (2.7, 2.1, 3.0),
    }[look.glasses]  # fmt: skip
    angle = np.linspace(0, 2 * np.pi, 25)
    c, s = np.cos(angle), np.sin(angle)
    x = width * np.sign(c) * np.abs(c) ** (2 / power)
    y = height * np.sign(s) * np.abs(s) ** (2 / power)
    y = y + (0.35 * x if look.glasses == "cat" else 0.0)
    slip = float(rng.uniform(-0.5, 0.1))
    thick = float(rng.uniform(0.07, 0.22))
    parts = []
    for side in (-1.0, 1.0):
        rim = _before_face(side * (3.2 + x), 3.2 + slip + y)
        parts.append(_part("rim", _tube(rim, thick), look.frame, "eye_g", 0.35))
        start = _before_face(np.array([side * (3.2 + width)]), np.array([3.9 + slip]))[0]
        arm = np.stack([start, np.array([side * 7.9, 4.3, 5.0]), np.array([side * 8.1, 4.4, 0.5])])
        parts.append(_part("arm", _tube(arm, max(thick, 0.1)), look.frame, "eye_g", 0.35))
        if look.glasses == "dark":
            lens = np.stack([rim, np.broadcast_to(rim.mean(axis=0), rim.shape)])
            parts.append(_part("lens", lens.astype(np.float32), (24, 22, 26), "eye_g", 0.6))
    bridge = _before_face(np.linspace(-3.25 + width, 3.25 - width, 5), np.full(5, 3.75 + slip))
    parts.append(_part("bridge", _tube(bridge, thick), look.frame, "eye_g", 0.35))
    return parts


def _before_face(x: NDArray[np.floating], y: NDArray[np.floating]) -> Floats:
    """Places (N, 3) of a spectacle plane that bends around the face."""
    return np.stack([x, y, 11.35 - 0.035 * x * x], -1).astype(np.float32)


def make_earrings(rng: Generator, look: Look) -> list[Part]:
    """Studs, drops or hoops at both lobes."""
    if look.earrings == "none":
        return []
    parts = []
    size = float(rng.uniform(0.7, 1.3))
    for side in (-1.0, 1.0):
        lobe = _LOBE * np.array([side, 1, 1], np.float32) + np.array([0.25 * side, 0.15, 0.2], np.float32)
        parts.append(_part("stud", ball(lobe, 0.28 * size, 6, 9), look.metal, "ear_r", 0.6))
        if look.earrings == "drop":
            low = lobe - np.array([0, 1.5 * size, 0], np.float32)
            wire = _tube(np.stack([lobe, 0.5 * (lobe + low), low]), 0.07)
            parts.append(_part("wire", wire, look.metal, "ear_r", 0.6))
            parts.append(_part("drop", ball(low, 0.42 * size, 6, 9), look.metal, "ear_r", 0.6))
        if look.earrings == "hoop":
            turn = np.linspace(0, 2 * np.pi, 19)
            radius = 1.1 * size
            ring = lobe + radius * np.stack([0.3 * side * np.sin(turn), np.cos(turn) - 1, np.sin(turn)], -1)
            parts.append(_part("hoop", _tube(ring.astype(np.float32), 0.11), look.metal, "ear_r", 0.6))
    return parts


def make_necklace(rng: Generator, bust: Bust, look: Look) -> list[Part]:
    """A chain or a string of beads on the neck's skin."""
    if look.necklace == "none":
        return []
    depth = float(rng.uniform(0.5, 3.0))
    y = (-10.6 - depth * np.clip(np.cos(TURN), 0, 1) ** 2 + 0.8 * np.clip(-np.cos(TURN), 0, 1)).astype(np.float32)
    thick = 0.1 if look.necklace == "chain" else 0.33
    radius = bust.at(y[None])[0] + thick
    path = np.stack([radius * np.sin(TURN), y, -1.5 + radius * np.cos(TURN)], -1).astype(np.float32)
    tube = _tube(path, thick)
    if look.necklace == "beads":
        pinch = (0.55 + 0.45 * (np.arange(COLUMNS) % 2))[:, None, None]
        tube = (path[:, None] + pinch * (tube - path[:, None])).astype(np.float32)
    weight = neck_share(tube.reshape(-1, 3))
    return [_part("necklace", tube, look.metal, "neck_l", 0.5, weight)]
