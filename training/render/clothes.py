"""Clothes: garments around neck and shoulders as rings from a collar line down, with woven textures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.render.looks import Colour, Look
from training.render.part import LABELS, Part
from training.render.scalp import first_hits
from training.render.shell import COLUMNS, TURN, fold, grid_triangles

Floats = NDArray[np.float32]
Reals = NDArray[np.floating]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]

_CLOTH: Final = LABELS.index("cloth")
_LEVELS: Final = np.arange(-20, -5, dtype=np.float32)
_SHOULDER: Final = -12.0  # below this height cloth falls straight
_AXIS: Final = np.float32(-1.5)  # z of the vertical axis of the rings
# height, half width, depth in front, depth behind of the rings below a collar
_TORSO: Final = np.array(
    [(-12.4, 10.0, 6.6, 7.6), (-13.3, 13.4, 7.0, 8.4), (-14.6, 16.6, 7.6, 9.0), (-17.2, 19.4, 8.6, 9.4),
     (-22.0, 21.0, 10.0, 9.8), (-34.0, 21.5, 11.0, 10.0)], np.float32,
)  # fmt: skip


@dataclass(frozen=True)
class Bust:
    """Distance (levels, COLUMNS), cm, from the neck's vertical axis to the skin at heights -20 to -6."""

    radius: Floats

    @classmethod
    def measure(cls, vertices: Floats, triangles: Ints) -> Bust:
        """Shoot horizontal rays at the mean head's neck and shoulders; 0 where there is no skin."""
        low = vertices[triangles][:, :, 1].min(axis=1) < -5
        corners = vertices[triangles[low]]
        rays = np.stack([np.sin(TURN), np.zeros(COLUMNS), np.cos(TURN)], -1).astype(np.float32)
        rows = [first_hits(rays, corners - np.array([0, y, _AXIS], np.float32)) for y in _LEVELS]
        radius = np.stack(rows).astype(np.float32)
        for row in range(int(_SHOULDER - _LEVELS[0]), -1, -1):  # the model ends here: hang from its widest place
            radius[row] = np.maximum(radius[row], radius[row + 1])
        return cls(radius)

    def at(self, y: Reals) -> Floats:
        """Radius (..., COLUMNS) at heights y (..., COLUMNS)."""
        row = np.clip(y - _LEVELS[0], 0, len(_LEVELS) - 1).astype(np.float32)
        column = np.broadcast_to(np.arange(COLUMNS, dtype=np.float32), row.shape)
        return np.asarray(cv2.remap(self.radius, np.ascontiguousarray(column), row, cv2.INTER_LINEAR), np.float32)


def make_clothes(rng: Generator, bust: Bust, look: Look) -> list[Part]:
    """The garments of one look; empty for bare shoulders."""
    cloth = cloth_texture(rng, look.cloth, look.cloth_second, look.cloth_pattern)
    second = cloth_texture(rng, look.cloth_second, look.cloth, "plain")
    away = np.abs(TURN)
    ahead, behind = np.clip(np.cos(TURN), 0, 1), np.clip(-np.cos(TURN), 0, 1)
    crew = -11.0 - float(rng.uniform(1.0, 2.6)) * ahead + 1.2 * behind
    vee = -11.0 - float(rng.uniform(4.5, 8.0)) * np.clip(1 - away / 0.75, 0, 1) + 1.2 * behind
    if look.clothes == "bare":
        return []
    if look.clothes == "crew":
        return [_garment("shirt", bust, crew, 0.35, cloth)]
    if look.clothes == "vneck":
        top = _garment("top", bust, vee, 0.6, cloth)
        return [_garment("shirt", bust, crew, 0.3, second), top] if rng.random() < 0.4 else [top]
    if look.clothes == "turtleneck":
        return [_garment("top", bust, -8.4 - 1.6 * ahead + 1.0 * behind, 0.45, cloth)]
    if look.clothes == "shirt":
        return [_garment("shirt", bust, crew - 0.8 * ahead, 0.35, cloth), _collar(bust, cloth, 0.30)]
    if look.clothes == "jacket":
        inner = _garment("shirt", bust, crew, 0.3, second)
        return [inner, _collar(bust, second, 0.25), _garment("jacket", bust, vee - 1.0, 0.9, cloth)]
    if look.clothes == "ruff":
        return [_garment("robe", bust, crew, 0.4, cloth), _ruff(rng, bust)]
    wide = -12.6 - float(rng.uniform(1.5, 3.0)) * ahead + 0.8 * behind
    return [_garment("robe", bust, wide, 0.45, cloth)]


def neck_share(vertices: Floats) -> Floats:
    """How much things on the neck turn with the head: as the neck's own skin does."""
    t = np.clip((vertices[:, 1] + 0.3 * np.maximum(vertices[:, 2] - 4, 0) + 14.5) / 7.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _rings(bust: Bust, y: Reals, across: Reals, clear: float) -> Floats:
    """Points (rows, COLUMNS, 3) at heights y and at least `across` from the axis, `clear` cm outside the skin."""
    radius = np.maximum(across, bust.at(y.astype(np.float32)) + clear)
    x, z = radius * np.sin(TURN), _AXIS + radius * np.cos(TURN)
    return np.stack([x, y, z], -1).astype(np.float32)


def _garment(name: str, bust: Bust, collar: Reals, clear: float, texture: Bytes) -> Part:
    """Rings from the collar's height (COLUMNS,) down over the shoulders."""
    ahead, behind = np.clip(np.cos(TURN), 0, 1) ** 2, np.clip(-np.cos(TURN), 0, 1) ** 2
    rows, across = [collar, collar - 0.15, collar - 0.9], [np.zeros(COLUMNS)] * 3
    for height, width, front, back in _TORSO:
        depth = np.where(np.cos(TURN) > 0, front, back) + clear
        radius = 1 / np.sqrt((np.sin(TURN) / (width + clear)) ** 2 + (np.cos(TURN) / depth) ** 2)
        level = np.minimum(height - 1.5 * ahead - 0.5 * behind, rows[-1] - 0.6)
        rows.append(level)
        across.append(radius * np.clip((rows[2] - level) / 1.5, 0.5, 1))
    clears = np.full(len(rows), clear + 0.3)
    clears[1:3] = clear
    clears[0] = 0.05  # the collar's edge touches the skin: no gap to look into
    y = np.stack(rows).astype(np.float32)
    points = np.stack([
        _rings(bust, y[k : k + 1], np.asarray(across[k], np.float32)[None], float(clears[k]))[0]
        for k in range(len(rows))
    ])  # fmt: skip
    return _ring_part(name, points, texture, 8)


def _collar(bust: Bust, texture: Bytes, opening: float) -> Part:
    """A folded shirt collar: up along the neck and down outside, open in front."""
    gap = np.clip(1 - np.abs(TURN) / opening, 0, 1)
    behind = np.clip(-np.cos(TURN), 0, 1)
    top = -9.3 + 1.3 * behind - 3.2 * np.clip(np.cos(TURN), 0, 1) ** 2 - 2.0 * gap
    rows = [(top - 1.6, 0.3), (top, 0.35), (top - 0.1, 0.6), (top - 1.4, 1.0), (top - 2.6 - 0.8 * gap, 1.5)]
    points = np.stack([_rings(bust, y[None], np.zeros((1, COLUMNS), np.float32), c)[0] for y, c in rows])
    return _ring_part("collar", points, texture, 8)


def _ruff(rng: Generator, bust: Bust) -> Part:
    """A pleated disc around the neck, as in old portraits."""
    width = float(rng.uniform(3.0, 6.5))
    level = (-9.6 - 1.6 * np.clip(np.cos(TURN), 0, 1) + 1.2 * np.clip(-np.cos(TURN), 0, 1)).astype(np.float32)
    base = bust.at(level[None])[0]
    pleat = 0.45 * np.sin(np.arange(COLUMNS) * np.pi / 2)
    rows = []
    for out, lift in ((0.1, -1.2), (0.1, 0.0), (0.5, 0.5), (1.0, 0.0), (1.0, -0.7), (0.4, -1.0)):
        radius = base + 0.2 + out * width
        rows.append(np.stack([radius * np.sin(TURN), level + lift + pleat * out, _AXIS + radius * np.cos(TURN)], -1))
    white = cloth_texture(rng, (236, 232, 222), (236, 232, 222), "plain")
    return _ring_part("ruff", np.stack(rows).astype(np.float32), white, 8)


def _ring_part(name: str, points: Floats, texture: Bytes, folds: int) -> Part:
    rows, columns = points.shape[:2]
    vertices = np.ascontiguousarray(points.reshape(-1, 3), np.float32)
    steps = np.linalg.norm(np.diff(points[:, 0], axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(steps)])[:, None] / 12.0
    u = fold(np.broadcast_to(TURN[None] / (2 * np.pi) * folds, (rows, columns)).astype(np.float32))
    v = fold(np.broadcast_to(along, (rows, columns)).astype(np.float32))
    uv = np.stack([u, v], -1).reshape(-1, 2).astype(np.float32)
    return Part(name, vertices, grid_triangles(rows, columns), uv, texture, _CLOTH, neck_share(vertices), 0.02, True)


def cloth_texture(rng: Generator, colour: Colour, second: Colour, pattern: str) -> Bytes:
    """A fabric, (128, 128, 4) uint8 RGBA; patterns as in `Look.cloth_pattern`."""
    y, x = np.arange(128, dtype=np.float32)[:, None], np.arange(128, dtype=np.float32)[None]
    weave = 0.03 * np.sin(x * 1.6) * np.sin(y * 1.6)
    cloud = cv2.resize(rng.uniform(-1, 1, (6, 6)).astype(np.float32), (128, 128), interpolation=cv2.INTER_CUBIC)
    shade = 1 + weave + 0.08 * np.asarray(cloud, np.float32)
    period = float(rng.uniform(8, 40))
    mask = np.zeros((128, 128), np.float32)
    if pattern == "knit":
        shade = shade * (1 + 0.16 * np.sin(x * 0.8) * (1 + 0.4 * np.sin(y * 0.9 + np.sin(x * 0.8))))
    elif pattern == "stripes":
        bars = (np.mod(y if rng.random() < 0.5 else x, period) < period * rng.uniform(0.2, 0.6)).astype(np.float32)
        mask = np.ascontiguousarray(np.broadcast_to(bars, mask.shape))
    elif pattern == "checks":
        mask = 0.4 * (np.mod(x, period) < period / 2) + 0.4 * (np.mod(y, period) < period / 2)
    elif pattern == "print":
        blobs = cv2.resize(rng.uniform(0, 1, (14, 14)).astype(np.float32), (128, 128), interpolation=cv2.INTER_CUBIC)
        mask = (np.asarray(blobs) > 0.66).astype(np.float32)
    base, other = np.asarray(colour, np.float32), np.asarray(second, np.float32)
    ground = base + mask[..., None].astype(np.float32) * (other - base) if mask.any() else base
    picture = cv2.convertScaleAbs(np.asarray(ground * shade[..., None], np.float32))
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), np.uint8)
