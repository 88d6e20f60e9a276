"""Painterly: makes pictures look painted, drawn, engraved or filmed long ago, alike for all frames of one scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.render.compiled import compiled

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

MEDIA: Final = ("oil", "varnish", "pastel", "film", "engraving", "pencil")
_ODDS: Final = (0.44, 0.1, 0.1, 0.2, 0.08, 0.08)


@dataclass(frozen=True)
class Medium:
    """One way to make a picture; amounts of 0 leave a step out.

    kind: of MEDIA; radius, passes: of the Kuwahara filter, pixels; contrast about middle grey, lift: added to black,
    tint (3,): multiplies white, all of it in 0..1 linear to the bytes; grey: 1 without colour; weave: depth of the
    canvas and its pitch, pixels; crack: depth of the craquelure and its cells' size, pixels; hatch: pitch of the
    lines, pixels, and their angle, radians; grain: deviation, 0..1, and size, pixels; halation: light around light;
    seed: of every pattern, so that pictures of one medium share them.
    """

    kind: str
    radius: int
    passes: int
    contrast: float
    lift: float
    tint: tuple[float, float, float]
    grey: float
    weave: tuple[float, float]
    crack: tuple[float, float]
    hatch: tuple[float, float]
    grain: tuple[float, float]
    halation: float
    seed: int


def paint(pictures: Bytes, rng: Generator) -> Bytes:
    """Pictures (F, h, w, 3) uint8 RGB in one medium by chance, the same for all; new, of the same shape and type."""
    medium = sample_medium(rng)
    return np.stack([render(medium, picture) for picture in pictures])


def sample_medium(rng: Generator) -> Medium:
    """Draw a medium; the same generator state gives the same one."""
    kind = str(rng.choice(MEDIA, p=_ODDS))
    oil, film = kind == "oil", kind == "film"
    old = rng.random() < {"oil": 0.5, "varnish": 1.0, "film": 0.6}.get(kind, 0.3)
    age = float(rng.uniform(0.3, 1)) if old else 0.0
    yellow = (1 - 0.04 * age, 1 - 0.12 * age, 1 - rng.uniform(0.2, 0.42) * age)
    stroke = int(rng.choice((1, 2, 3), p=(0.35, 0.45, 0.2)))
    radius = {"oil": stroke, "pastel": 1, "varnish": stroke // 2}.get(kind, 0)
    canvas = (oil or kind == "varnish") and rng.random() < 0.6
    return Medium(
        kind=kind, radius=radius, passes=1 + int(oil and rng.random() < 0.25),
        contrast=float(rng.uniform(1.1, 1.6) if film else rng.uniform(1.0, 1.25) * (1 - 0.4 * age)),
        lift=float(0.16 * age * rng.random()), tint=yellow,
        grey=1.0 if film or kind == "pencil" else float(rng.random() < 0.04) + 0.3 * age * float(rng.random()),
        weave=(float(rng.uniform(0.02, 0.1)) if canvas else 0.0, float(rng.uniform(2.2, 4.5))),
        crack=(float(rng.uniform(0.06, 0.22)) if (oil or kind == "varnish") and rng.random() < 0.3 else 0.0,
               float(rng.uniform(9, 26))),
        hatch=(float(rng.uniform(2.2, 3.6)) if kind == "engraving" else 0.0, float(rng.uniform(0, np.pi))),
        grain=(float(rng.uniform(0.01, 0.05) if film else rng.uniform(0.02, 0.06) if kind == "pastel" else 0.0),
               float(rng.uniform(0.5, 1.1))),
        halation=float(rng.uniform(0.1, 0.5)) if film else 0.0, seed=int(rng.integers(2**31)),
    )  # fmt: skip


def render(medium: Medium, picture: Bytes) -> Bytes:
    """One picture (h, w, 3) uint8 RGB in this medium."""
    for _ in range(medium.passes if medium.radius else 0):
        picture = kuwahara(picture, medium.radius)
    if medium.kind == "pencil":
        picture = _pencil(picture)
    image = picture.astype(np.float32) * np.float32(1 / 255)
    if medium.grey > 0:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
        image = image + np.float32(min(medium.grey, 1.0)) * (grey - image)
    if medium.halation > 0:
        glow = cv2.GaussianBlur(np.maximum(image - 0.6, 0), (0, 0), 5.0)
        image = image + np.float32(medium.halation) * np.asarray(glow, np.float32)
    if medium.hatch[0] > 0:
        image = _hatched(image, *medium.hatch)
    image = (image - 0.5) * np.float32(medium.contrast) + 0.5
    image = (medium.lift + (1 - medium.lift) * image) * np.asarray(medium.tint, np.float32)
    relief = _relief(medium, picture.shape[0], picture.shape[1])
    if relief is not None:
        image = image * relief[..., None]
    return np.asarray(cv2.convertScaleAbs(np.maximum(image, 0), alpha=255.0), np.uint8)


def kuwahara(picture: Bytes, radius: int) -> Bytes:
    """Each pixel takes the mean of that quarter of its neighbourhood that varies least: flat strokes, sharp edges."""
    picture = np.ascontiguousarray(picture)
    size = (radius + 1, radius + 1)
    border = cv2.BORDER_REFLECT
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    means = cv2.boxFilter(picture, -1, size, anchor=(0, 0), borderType=border)
    mean = cv2.boxFilter(grey, -1, size, anchor=(0, 0), borderType=border)
    square = cv2.boxFilter(grey * grey, -1, size, anchor=(0, 0), borderType=border)
    return _quietest(np.asarray(means, np.uint8), np.asarray(square - mean * mean, np.float32), radius)


@compiled
def _quietest(means: Bytes, variance: Floats, radius: int) -> Bytes:
    """means (h, w, 3), variance (h, w): of the square whose first corner is each pixel."""
    height, width = variance.shape
    out = np.empty_like(means)
    for y in range(height):
        for x in range(width):
            top, left = max(y - radius, 0), max(x - radius, 0)
            row, column, least = y, x, variance[y, x]
            if variance[top, x] < least:
                row, column, least = top, x, variance[top, x]
            if variance[y, left] < least:
                row, column, least = y, left, variance[y, left]
            if variance[top, left] < least:
                row, column = top, left
            for c in range(3):
                out[y, x, c] = means[row, column, c]
    return out


def _pencil(picture: Bytes) -> Bytes:
    """Dark lines where brightness changes, light shading elsewhere (h, w, 3)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    soft = cv2.GaussianBlur(grey, (0, 0), 3.0)
    lines = np.asarray(cv2.divide(grey, soft, scale=235), np.float32)
    drawn = np.clip(0.75 * lines + 0.25 * grey.astype(np.float32), 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(drawn, cv2.COLOR_GRAY2RGB), np.uint8)


@compiled
def _hatched(image: Floats, pitch: float, angle: float) -> Floats:
    """Lines as wide as it is dark, a second set across them in the shadows; image (h, w, 3) in 0..1."""
    height, width = image.shape[:2]
    out = np.empty_like(image)
    cos, sin = np.cos(angle) * 2 * np.pi / pitch, np.sin(angle) * 2 * np.pi / pitch
    for y in range(height):
        for x in range(width):
            light = 0.3 * image[y, x, 0] + 0.59 * image[y, x, 1] + 0.11 * image[y, x, 2]
            first = 0.5 + 0.5 * np.cos(x * cos + y * sin)
            second = 0.5 + 0.5 * np.cos(x * sin - y * cos)
            ink = min(max((0.95 - light - first) * 4 + 0.5, 0.0), 1.0)
            ink = max(ink, min(max((0.42 - light - second) * 4 + 0.5, 0.0), 1.0))
            value = 0.95 - 0.75 * ink
            for c in range(3):
                out[y, x, c] = 0.5 * value + 0.5 * (0.25 * image[y, x, c] + 0.75 * light)
    return out


def _relief(medium: Medium, height: int, width: int) -> Floats | None:
    """What multiplies the picture (height, width): canvas, cracks, grain; None without any."""
    if medium.weave[0] == medium.crack[0] == medium.grain[0] == 0:
        return None
    rng = np.random.default_rng(medium.seed)
    relief = np.ones((height, width), np.float32)
    if medium.weave[0] > 0:
        wave = np.float32(2 * np.pi / medium.weave[1])
        rows = np.sin(wave * np.arange(height, dtype=np.float32) + rng.uniform(0, 6))
        columns = np.sin(wave * np.arange(width, dtype=np.float32) + rng.uniform(0, 6))
        uneven = cv2.resize(rng.uniform(0.3, 1.7, (height // 8, width // 8)).astype(np.float32), (width, height))
        relief += np.float32(medium.weave[0]) * (rows[:, None] * columns[None] * np.asarray(uneven, np.float32))
    if medium.crack[0] > 0:
        cells = int(max(height, width) / medium.crack[1]) + 3
        _crack(relief, rng.uniform(0, 1, (cells, cells, 2)).astype(np.float32), *medium.crack)
    if medium.grain[0] > 0:
        noise = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), medium.grain[1])
        relief += np.float32(medium.grain[0] * 3.5 * medium.grain[1]) * np.asarray(noise, np.float32)
    return relief


@compiled
def _crack(relief: Floats, seeds: Floats, depth: float, cell: float) -> None:
    """Darken relief (h, w), in place, on the borders between the cells of scattered points; seeds (n, n, 2) 0..1."""
    for y in range(relief.shape[0]):
        for x in range(relief.shape[1]):
            py, px = y / cell + 1, x / cell + 1
            row, column = int(py), int(px)
            first, second = 9.0, 9.0
            for r in range(row - 1, row + 2):
                for c in range(column - 1, column + 2):
                    dy, dx = r + seeds[r, c, 0] - py, c + seeds[r, c, 1] - px
                    distance = np.sqrt(dy * dy + dx * dx)
                    if distance < first:
                        first, second = distance, first
                    elif distance < second:
                        second = distance
            edge = (second - first) * cell
            if edge < 1.1:
                relief[y, x] *= 1 - depth * (1 - edge / 1.1)
