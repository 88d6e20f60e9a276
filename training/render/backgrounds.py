"""Backgrounds: random still backdrops without faces (studio, bokeh, rooms, walls, foliage, brush strokes, noise)."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

KINDS: Final = ("plain", "gradient", "bokeh", "noise", "room", "wall", "foliage", "brush", "sky", "boxes")


def make_background(rng: np.random.Generator, size: int) -> Bytes:
    """A backdrop, (size, size, 3) uint8 RGB; drawn small and enlarged, as out of focus backgrounds are soft."""
    kind = str(rng.choice(KINDS, p=(0.16, 0.14, 0.1, 0.08, 0.13, 0.1, 0.09, 0.1, 0.04, 0.06)))
    picture = _MAKERS[kind](rng)
    blur = rng.uniform(0.0, 2.5)
    if blur > 0.4:
        picture = _floats(cv2.GaussianBlur(picture, (0, 0), blur))
    picture = _floats(cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC))
    return np.ascontiguousarray(cv2.convertScaleAbs(np.clip(picture, 0, 1), alpha=255.0), np.uint8)


_SIZE: Final = 128


def _floats(array: object) -> Floats:
    return np.asarray(array, np.float32)


def _colour(rng: np.random.Generator) -> Floats:
    """Mostly muted, any brightness; a green screen now and then."""
    if rng.random() < 0.04:
        return np.array([0.1, rng.uniform(0.5, 0.85), 0.2], np.float32)
    hue, saturation = rng.uniform(0, 2 * np.pi), rng.beta(1.0, 4.0)
    wave = 1 + saturation * np.cos(hue - np.array([0, 2.1, 4.2]))
    return np.clip(wave * rng.uniform(0.06, 0.85), 0.01, 0.99).astype(np.float32)


def _field(rng: np.random.Generator, cells: int, channels: int = 1) -> Floats:
    """Smooth noise in 0..1, (128, 128) or (128, 128, channels)."""
    small = rng.random((cells, cells, channels), dtype=np.float32)
    large = _floats(cv2.resize(small, (_SIZE, _SIZE), interpolation=cv2.INTER_CUBIC))
    return np.clip(large, 0, 1)


def _clouds(rng: np.random.Generator) -> Floats:
    return np.asarray(0.55 * _field(rng, 4) + 0.3 * _field(rng, 9) + 0.15 * _field(rng, 24), np.float32)


def _mix(low: Floats, high: Floats, amount: Floats) -> Floats:
    return np.asarray(low + amount[..., None] * (high - low), np.float32)


def _ramp(rng: np.random.Generator) -> Floats:
    y, x = np.mgrid[-1 : 1 : _SIZE * 1j, -1 : 1 : _SIZE * 1j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    straight = 0.5 + 0.5 * (np.cos(angle) * x + np.sin(angle) * y) / 1.3
    dx, dy = rng.uniform(-0.5, 0.5, 2)
    around = np.sqrt((x - dx) ** 2 + (y - dy) ** 2) / 1.5
    ramp = around if rng.random() < 0.5 else straight
    return _floats(np.clip(ramp, 0, 1))


def _plain(rng: np.random.Generator) -> Floats:
    colour = _colour(rng)
    return _mix(colour, colour * np.float32(rng.uniform(0.75, 1.0)), _ramp(rng))


def _gradient(rng: np.random.Generator) -> Floats:
    return _mix(_colour(rng), _colour(rng), _ramp(rng))


def _bokeh(rng: np.random.Generator) -> Floats:
    picture = _mix(_colour(rng) * 0.5, _colour(rng) * 0.7, _clouds(rng))
    for _ in range(int(rng.integers(6, 30))):
        x, y = (int(v) for v in rng.integers(0, _SIZE, 2))
        light = np.clip(_colour(rng) * rng.uniform(0.8, 2), 0, 1)
        disc = picture.copy()
        cv2.circle(disc, (x, y), int(rng.integers(3, 15)), light.tolist(), -1, cv2.LINE_AA)
        picture = _floats(cv2.addWeighted(picture, 0.55, disc, 0.45, 0))
    return picture


def _noise(rng: np.random.Generator) -> Floats:
    cells = int(rng.integers(3, 30))
    colour = _colour(rng)
    return np.asarray(colour + rng.uniform(0.1, 0.6) * (_field(rng, cells, 3) - 0.5), np.float32)


def _room(rng: np.random.Generator) -> Floats:
    """Walls that meet in a corner, with furniture, shelves, a window or a picture frame: large soft rectangles."""
    wall = _colour(rng)
    picture = _mix(wall, wall * 0.8, _ramp(rng))
    corner = int(rng.integers(10, _SIZE - 10))
    picture[:, corner:] *= np.float32(rng.uniform(0.65, 1.15))
    if rng.random() < 0.4:
        picture[int(rng.integers(80, 120)) :] = _colour(rng) * 0.7
    for _ in range(int(rng.integers(1, 7))):
        x, y = (int(v) for v in rng.integers(-20, _SIZE - 10, 2))
        w, h = (int(v) for v in rng.integers(10, 70, 2))
        colour = _colour(rng)
        cv2.rectangle(picture, (x, y), (x + w, y + h), colour.tolist(), -1)
        if rng.random() < 0.5:
            inner = np.clip(colour * rng.uniform(0.5, 2.2), 0, 1)
            cv2.rectangle(picture, (x + 3, y + 3), (x + w - 3, y + h - 3), inner.tolist(), -1)
        if rng.random() < 0.3:
            for step in range(4, w, int(rng.integers(4, 9))):
                cv2.line(picture, (x + step, y), (x + step, y + h), (colour * 0.5).tolist(), 1)
    return picture


def _wall(rng: np.random.Generator) -> Floats:
    """Plaster, bricks, or panels."""
    picture = _plain(rng) * (0.85 + 0.3 * _clouds(rng)[..., None])
    if rng.random() < 0.6:
        height, width = int(rng.integers(6, 16)), int(rng.integers(12, 40))
        joint = (picture.mean((0, 1)) * rng.uniform(0.6, 1.3)).tolist()
        for row, y in enumerate(range(0, _SIZE, height)):
            cv2.line(picture, (0, y), (_SIZE, y), joint, 1)
            for x in range((row % 2) * width // 2, _SIZE, width):
                cv2.line(picture, (x, y), (x, y + height), joint, 1)
    return np.asarray(picture, np.float32)


def _foliage(rng: np.random.Generator) -> Floats:
    green = np.array([rng.uniform(0.1, 0.4), rng.uniform(0.25, 0.5), rng.uniform(0.05, 0.2)], np.float32)
    picture = _mix(green * 0.25, green, _clouds(rng))
    points = rng.integers(0, _SIZE, (160, 2))
    for x, y in points.tolist():
        leaf = np.clip(green * rng.uniform(0.4, 2.4) + rng.uniform(-0.03, 0.06, 3), 0, 1)
        axes = (int(rng.integers(2, 8)), int(rng.integers(1, 4)))
        cv2.ellipse(picture, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, leaf.tolist(), -1)
    return picture


def _brush(rng: np.random.Generator) -> Floats:
    """A painter's backdrop: dark ground, strokes of related colours, sometimes canvas grain."""
    ground = _colour(rng) * np.float32(rng.uniform(0.3, 0.9))
    picture = _mix(ground, ground * 0.5, _ramp(rng))
    lean = rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(60, 180))):
        x, y = rng.uniform(0, _SIZE, 2)
        angle, length = lean + rng.normal(0, 0.5), rng.uniform(5, 24)
        tone = picture[int(y), int(x)] * rng.uniform(0.75, 1.35) + rng.uniform(-0.03, 0.03, 3)
        end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
        cv2.line(picture, (int(x), int(y)), end, np.clip(tone, 0, 1).tolist(), int(rng.integers(1, 6)))
    if rng.random() < 0.4:
        picture = picture + rng.normal(0, 0.02, (_SIZE, _SIZE, 1)).astype(np.float32)
    return np.asarray(picture, np.float32)


def _sky(rng: np.random.Generator) -> Floats:
    blue = np.array([0.45, 0.62, 0.86], np.float32) * np.float32(rng.uniform(0.5, 1.1))
    picture = _mix(blue, np.full(3, rng.uniform(0.6, 1), np.float32), _clouds(rng) ** 2)
    if rng.random() < 0.6:
        horizon = int(rng.integers(60, 120))
        picture[horizon:] = _mix(_colour(rng) * 0.5, _colour(rng), _clouds(rng))[horizon:]
    return picture


def _boxes(rng: np.random.Generator) -> Floats:
    picture = _gradient(rng)
    for _ in range(int(rng.integers(4, 25))):
        corner = rng.integers(-10, _SIZE, 2)
        points = (corner + rng.integers(-30, 50, (4, 2))).astype(np.int32)
        cv2.fillConvexPoly(picture, points, _colour(rng).tolist(), cv2.LINE_AA)
    return picture


_MAKERS: Final = {
    "plain": _plain, "gradient": _gradient, "bokeh": _bokeh, "noise": _noise, "room": _room, "wall": _wall,
    "foliage": _foliage, "brush": _brush, "sky": _sky, "boxes": _boxes,
}  # fmt: skip
