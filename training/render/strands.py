"""Strands: tileable pictures of hair (straight, wavy, curled) and their colouring into hair textures."""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.render.looks import Colour

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

TILE: Final = 256
STRAIGHT, WAVY, CURLED = range(3)


@cache
def strand_tiles(style: int = STRAIGHT) -> Floats:
    """Four (256, 256) pictures in 0..1, float32: strands run down the rows; bright where a strand catches light."""
    rng = np.random.default_rng(23 + style)
    return np.stack([_tile(rng, style) for _ in range(4)])


def _tile(rng: Generator, style: int) -> Floats:
    fine, locks = _fibres(rng, 1, 70), _fibres(rng, 5, 90)
    clumps = _fibres(rng, 14, 120)
    tile = 0.4 * fine + 0.35 * locks + 0.25 * clumps
    tile = (tile - tile.min()) / (tile.max() - tile.min())
    rows, columns = np.mgrid[:TILE, :TILE].astype(np.float32)
    if style == WAVY:
        shift = 7 * np.sin(rows * (2 * np.pi * 3 / TILE) + 1.5 * np.sin(columns * (2 * np.pi * 2 / TILE)))
        tile = _wrap(tile, columns + shift, rows)
    if style == CURLED:
        warp = [_smooth(rng.standard_normal((TILE, TILE)), 5.0) * 150 for _ in range(2)]
        tile = _wrap(tile, columns + warp[0], rows + warp[1])
    low, high = np.quantile(tile, (0.02, 0.98))
    return np.asarray(np.clip((tile - low) / (high - low), 0, 1), np.float32)


def _fibres(rng: Generator, width: float, length: float) -> Floats:
    """Noise drawn out along the rows, unit range, tileable."""
    noise = rng.standard_normal((TILE, TILE))
    spectrum = np.fft.rfft2(noise)
    fy, fx = np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None]
    spectrum = spectrum * np.exp(-2 * (np.pi * width * fx) ** 2 - 2 * (np.pi * length * fy / 2) ** 2)
    field = np.fft.irfft2(spectrum, s=(TILE, TILE))
    return np.asarray(field / np.abs(field).max(), np.float32)


def _smooth(noise: NDArray[np.float64], sigma: float) -> Floats:
    pad = int(4 * sigma)
    wide = np.pad(noise.astype(np.float32), pad, mode="wrap")
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), sigma)[pad:-pad, pad:-pad], np.float32)


def _wrap(tile: Floats, columns: Floats, rows: Floats) -> Floats:
    x, y = np.mod(columns, TILE).astype(np.float32), np.mod(rows, TILE).astype(np.float32)
    return np.asarray(cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32)


def _ring(picture: Bytes, shine: Floats, gloss: float, rng: Generator) -> None:
    """Brighten one band across the strands of picture (h, w, 3), in place, more where a strand catches light."""
    if gloss <= 0:
        return
    middle, width = rng.uniform(0.25, 0.5), rng.uniform(0.05, 0.12)
    rows = slice(max(int((middle - 2.2 * width) * len(picture)), 0), int((middle + 2.2 * width) * len(picture)))
    row = np.linspace(0, 1, len(picture), dtype=np.float32)[rows, None]
    strand, place = shine[rows], picture[rows]
    offset = np.float32(0.12) * (np.asarray(cv2.blur(strand, (9, 31)), np.float32) - np.float32(0.5))
    band = np.exp(-(((row - np.float32(middle) - offset) / np.float32(width)) ** 2))
    light = (np.float32(gloss) * (0.3 + 0.9 * strand) * band)[..., None] * (place * np.float32(0.7) + np.float32(35))
    place[:] = cv2.add(place, cv2.convertScaleAbs(light))


def hair_texture(
    rng: Generator,
    colour: Colour,
    contrast: float,
    style: int,
    alpha: Floats,
    width: int,
    root: float,
    gloss: float = 0.0,
) -> Bytes:
    """Colour a strand tile: (h, width, 4) uint8 RGBA, at most 256 each way.

    alpha (h,): where hair is (>= 0.5) from root to tip, before the strands' own thickness eats into it; root:
    darkening of the first rows, 0..1; gloss: of the ring of light around combed hair, 0..1.
    Shadows are deep and warm, as light goes through a strand before it comes back; fair hair shows less of them.
    """
    tile = strand_tiles(style)[int(rng.integers(4))]
    shine = np.roll(tile, (int(rng.integers(TILE)), int(rng.integers(TILE))), axis=(0, 1))[: len(alpha), :width]
    base = np.asarray(colour, np.float32)
    contrast = contrast * (1 - 0.45 * float(base.max()) / 255)
    level = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    dark, light = base * np.float32(1 - 0.62 * contrast), base * np.float32(1 + 0.35 * contrast) + np.float32(10)
    table = dark + (light - dark) * level ** np.array([1.0, 1.1, 1.25], np.float32)
    coded = cv2.convertScaleAbs(shine, alpha=255.0)
    tones = np.clip(table, 0, 255).astype(np.uint8)[None]
    picture = np.asarray(cv2.LUT(cv2.merge((coded, coded, coded)), tones), np.uint8)
    _ring(picture, shine, gloss, rng)
    shadow = int(len(alpha) * 0.2)
    if root > 0 and shadow > 0:
        fade = 1 - root * np.linspace(1, 0, shadow, dtype=np.float32)
        picture[:shadow] = (picture[:shadow] * fade[:, None, None]).astype(np.uint8)
    cover = alpha.astype(np.float32)[:, None]
    bite = np.clip(2.4 * (1 - cover), 0, 2)
    opaque = np.clip((cover - 0.5) * 3 + (shine - 0.5) * bite + 0.5, 0, 1)
    return np.dstack([picture, (opaque * 255).astype(np.uint8)])
