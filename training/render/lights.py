"""Lights: random plausible illumination of a portrait (key, fill, rim, sky and ground)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lights:
    """Illumination in the viewer's frame: x to the right of the picture, y up, z towards the viewer.

    directions (L, 3) float32, unit vectors towards each light; colours (L, 3) float32, linear RGB; L is 1 to 3.
    sky, ground (3,) float32: linear ambient light on normals that point up and down; mix by 0.5 + 0.5 * n_y.
    specular: strength of the highlights of a surface of gloss 1; sharpness: their Phong exponent.
    A white surface that faces the key light comes out near 1.
    """

    kind: str
    directions: NDArray[np.float32]
    colours: NDArray[np.float32]
    sky: NDArray[np.float32]
    ground: NDArray[np.float32]
    specular: float
    sharpness: float


def sample_lights(rng: np.random.Generator) -> Lights:
    """Draw an illumination: soft studio, flat, window (side), harsh, from above, or backlit with a rim."""
    kind = str(rng.choice(("studio", "flat", "window", "harsh", "above", "rim"), p=(0.34, 0.2, 0.2, 0.1, 0.08, 0.08)))
    side = 1.0 if rng.random() < 0.5 else -1.0
    azimuth, height, key, ambient = {
        "studio": (rng.uniform(15, 50), rng.uniform(10, 45), rng.uniform(0.45, 0.75), rng.uniform(0.25, 0.45)),
        "flat": (rng.uniform(0, 20), rng.uniform(0, 30), rng.uniform(0.2, 0.45), rng.uniform(0.5, 0.75)),
        "window": (rng.uniform(50, 85), rng.uniform(0, 35), rng.uniform(0.75, 1.05), rng.uniform(0.26, 0.4)),
        "harsh": (rng.uniform(20, 80), rng.uniform(-10, 60), rng.uniform(0.85, 1.15), rng.uniform(0.16, 0.26)),
        "above": (rng.uniform(0, 40), rng.uniform(50, 75), rng.uniform(0.7, 1.0), rng.uniform(0.26, 0.42)),
        "rim": (rng.uniform(10, 45), rng.uniform(5, 35), rng.uniform(0.4, 0.6), rng.uniform(0.3, 0.45)),
    }[kind]
    directions = [_direction(side * azimuth, height)]
    colours = [key * _tint(rng)]
    if kind != "flat" and rng.random() < 0.65:
        directions.append(_direction(-side * rng.uniform(20, 80), rng.uniform(-10, 40)))
        colours.append(key * rng.uniform(0.1, 0.45) * _tint(rng))
    if kind == "rim" or rng.random() < 0.15:
        directions.append(_direction(-side * rng.uniform(110, 155), rng.uniform(10, 50)))
        colours.append(rng.uniform(0.4, 1.1) * _tint(rng))
    sky = ambient * _tint(rng)
    ground = ambient * rng.uniform(0.45, 0.9) * _tint(rng)
    return Lights(
        kind=kind,
        directions=np.asarray(directions, np.float32),
        colours=np.asarray(colours, np.float32),
        sky=sky.astype(np.float32),
        ground=ground.astype(np.float32),
        specular=float(rng.uniform(0.05, 0.5)),
        sharpness=float(rng.uniform(8, 40)),
    )


def _direction(azimuth: float, height: float) -> NDArray[np.float64]:
    """A unit vector; azimuth from the viewer's direction towards +x, height above the horizon, degrees."""
    a, h = np.deg2rad(azimuth), np.deg2rad(height)
    return np.array([np.sin(a) * np.cos(h), np.sin(h), np.cos(a) * np.cos(h)])


def _tint(rng: np.random.Generator) -> NDArray[np.float64]:
    """White, warmer or cooler, rarely coloured; mean 1."""
    warmth = rng.normal(0, 0.09)
    tint = np.array([1 + warmth, 1.0, 1 - 1.2 * warmth])
    if rng.random() < 0.06:
        tint = tint * rng.uniform(0.6, 1.4, 3)
    tint = np.clip(tint, 0.4, 1.7)
    return np.asarray(tint / tint.mean())
