"""Albedo: paints skin, eyes, mouth and teeth of one look into textures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.render.atlas import NOISE, SIZE, SkinAtlas, smoothstep
from training.render.looks import Look
from training.render.strands import strand_tiles
from training.render.texels import grow_scalp, speckle, tint, to_rgba

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
EYE_SIZE = 128


def paint_face(look: Look, rng: Generator, atlas: SkinAtlas) -> dict[str, Bytes]:
    """Textures (h, w, 4) uint8 sRGB RGBA of every head surface, by the names of `Head.surfaces`."""
    eye = eye_texture(look, rng)
    return {
        "skin": skin_texture(look, rng, atlas),
        "mouth": _inside(atlas.insides["mouth"], (128, 52, 50), rng),
        "gums": _inside(atlas.insides["gums"], (186, 92, 92), rng),
        "teeth": _teeth(atlas.insides["teeth"], look),
        "eye_left": eye,
        "eye_right": np.ascontiguousarray(eye[:, ::-1]),
        "lashes": _lashes(look),
    }


def skin_texture(look: Look, rng: Generator, atlas: SkinAtlas) -> Bytes:
    """The skin, (SIZE, 2 * SIZE, 4) uint8 RGBA.

    Noise and regions multiply the skin's colour (their gains add in log space); what has a sharp shape of its own
    (stubble, scalp hair, brows, moles) is laid on afterwards.
    """
    gains = _gains(look, rng)
    noise = [n for n in atlas.names if n in gains and n.startswith(NOISE)]
    rows = np.array([atlas.names.index(n) for n in noise], np.int64)
    weight = np.stack([gains[n] for n in noise]).astype(np.float32)
    picture = speckle(np.asarray(np.asarray(look.skin) / 255, np.float32), atlas.fields, rows, weight)
    for name, gain in gains.items():
        if name not in noise:
            index = atlas.names.index(name)
            tint(picture, atlas.fields[index], atlas.boxes[index], np.asarray(gain, np.float32))
    _stubble(picture, look, rng, atlas)
    _scalp(picture, look, rng, atlas)
    _brows(picture, look, rng, atlas)
    _moles(picture, look, rng)
    if look.style == "grey":
        picture = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    return to_rgba(picture)


def _gains(look: Look, rng: Generator) -> dict[str, Floats]:
    """Log gain of each colour channel for every atlas field that this look uses."""
    red = np.array([0.10, -0.22, -0.16], np.float32) * (1 - 0.5 * look.melanin)
    dark = np.array([-0.5, -0.75, -0.8], np.float32)
    skin = np.asarray(look.skin, np.float32)
    lips = np.log(np.asarray(look.lips, np.float32) / skin)
    shadow = np.log(np.asarray(look.eye_shadow, np.float32) / skin)
    lines, old = look.wrinkles, max(0.0, look.wrinkles - 0.25)
    gains: dict[str, Floats] = {
        "lips": lips, "mouth_line": 0.8 * dark, "eye_line": dark * (0.25 + 1.1 * look.eye_liner),
        "cheeks": red * (look.blush + 0.6 * look.redness), "nose_tip": red * look.redness * 1.3,
        "nostrils": np.array([-1.0, -1.5, -1.5], np.float32), "ears": red * (0.3 + look.redness),
        "under_eye": np.array([-0.22, -0.26, -0.2], np.float32) * look.under_eye,
        "inner_eye": 0.18 * dark * (0.5 + look.under_eye),
        "crease": dark * (0.12 + 0.45 * look.lid_crease),
        "socket": 0.35 * dark * min(1.0, look.eye_depth / 0.4),
        "lid": shadow * look.eye_shadow_strength + 0.1 * dark,
        "folds": dark * 0.34 * lines, "wrinkles": dark * 0.4 * old, "crow": dark * 0.26 * old,
        "frown": dark * 0.2 * lines, "throat": np.array([-0.10, -0.14, -0.15], np.float32),
    }  # fmt: skip
    for name, strength, kinds in (("slow", 0.14, 3), ("middle", 0.07, 3), ("pores", 0.04, 2)):
        amount = strength * (look.pores if name == "pores" else look.blotches)
        warm = rng.normal(0, amount) * np.array([0.5, 1.0, 1.0]) + rng.normal(0, 0.2 * amount, 3)
        gains[f"{name}{int(rng.integers(kinds))}"] = warm.astype(np.float32)
    if look.freckles > 0:
        gains[f"freckles{int(rng.integers(2))}"] = np.array([-0.14, -0.27, -0.36], np.float32) * look.freckles
    return gains


def _blend(picture: Floats, colour: Floats, mask: Floats) -> None:
    """Lay `colour` (3,) over picture (h, w, 3) in place by mask (h, w)."""
    picture += mask[..., None] * (colour - picture)


def _stubble(picture: Floats, look: Look, rng: Generator, atlas: SkinAtlas) -> None:
    """Shaved or short hair of the lower face; longer beards are shells of their own over this ground."""
    names = {"stubble": ("beard", "moustache"), "full": ("beard", "moustache"), "moustache": ("moustache",),
             "goatee": ("moustache", "chin")}.get(look.beard)  # fmt: skip
    if names is None:
        return
    rows = slice(SIZE // 3, SIZE)
    region = np.max([atlas.fields[atlas.names.index(n)][rows, :SIZE] for n in names], axis=0)
    grain = atlas.fields[atlas.names.index("stubble")][rows, :SIZE]
    strength = look.beard_strength * {"stubble": 0.5, "full": 0.95, "moustache": 0.9, "goatee": 0.9}[look.beard]
    mask = region * np.clip(strength * (0.55 + 0.9 * grain), 0, 0.95)
    _blend(picture[rows, :SIZE], _hair_tone(look, 0.8), mask)


def _scalp(picture: Floats, look: Look, rng: Generator, atlas: SkinAtlas) -> None:
    """Hair on the skull itself, so that no skin shows between the strands of the shells."""
    if look.hair == "bald":
        return
    strength = 0.75 if look.hair == "buzz" else 0.9
    above = look.hairline + (1.5 if look.hair == "receding" else 0.0)
    grain = atlas.fields[atlas.names.index("stubble")]
    middle = atlas.fields[atlas.names.index("middle0")]
    grow_scalp(picture, atlas.hair_gap, grain, middle, above, strength, _hair_tone(look, 0.75))


def _brows(picture: Floats, look: Look, rng: Generator, atlas: SkinAtlas) -> None:
    """Brow hairs: a strand pattern inside a tapering band along the brow's curve."""
    rows = slice(int(0.12 * SIZE), int(0.30 * SIZE))
    s, t = atlas.brow_s[rows, :SIZE], atlas.brow_t[rows, :SIZE]
    height = t - np.float32(look.brow_arch) * np.sin(np.pi * np.clip(s, 0, 1)) - np.float32(look.brow_tilt) * (s - 0.3)
    half = 0.5 * look.brow_thickness * (0.75 + 0.5 * np.exp(-(((s - 0.25) / 0.3) ** 2))) * smoothstep(1.12, 0.55, s)
    band = smoothstep(1.25, 0.55, np.abs(height) / (half + 0.03)) * smoothstep(-0.06, 0.1, s) * smoothstep(1.06, 0.9, s)
    tile = strand_tiles()[int(rng.integers(4))]
    lean = s * 4.2 + height * (1.0 - 1.8 * smoothstep(0.1, 0.6, s))
    strand = cv2.remap(
        tile, np.mod(lean * 60, tile.shape[1] - 1).astype(np.float32),
        np.mod(height * 60 + 128 + 40 * s, tile.shape[0] - 1).astype(np.float32), cv2.INTER_LINEAR,
    )  # fmt: skip
    mask = np.clip(band * look.brow_strength * (0.35 + 0.95 * np.asarray(strand, np.float32)), 0, 0.96)
    _blend(picture[rows, :SIZE], np.asarray(np.asarray(look.brow) / 255, np.float32), np.asarray(mask, np.float32))


def _moles(picture: Floats, look: Look, rng: Generator) -> None:
    for _ in range(look.moles):
        x, y = int(rng.uniform(0.15, 0.85) * SIZE), int(rng.uniform(0.1, 0.8) * SIZE)
        radius = float(rng.uniform(0.5, 1.6))
        tone = np.asarray(np.asarray(look.skin) / 255 * np.array([0.45, 0.35, 0.3]), np.float32)
        patch = picture[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5]
        gy, gx = np.mgrid[: patch.shape[0], : patch.shape[1]].astype(np.float32) - np.float32(4)
        spot = np.exp(-((gx * gx + gy * gy) / (radius * radius)))
        _blend(patch, tone, np.asarray(0.8 * spot, np.float32))


def _hair_tone(look: Look, factor: float) -> Floats:
    return np.asarray(np.asarray(look.hair_colour) / 255 * factor, np.float32)


def eye_texture(look: Look, rng: Generator) -> Bytes:
    """An eyeball around its axis, (128, 128, 4): the pupil in the middle, 90 degrees at the edge's middle."""
    y, x = np.mgrid[:EYE_SIZE, :EYE_SIZE].astype(np.float32) - np.float32((EYE_SIZE - 1) / 2)
    angle = np.hypot(x, y) * np.float32(180 / EYE_SIZE)
    around = np.arctan2(y, x)
    fibres = cv2.resize(rng.uniform(-1, 1, (3, 48)).astype(np.float32), (256, 8), interpolation=cv2.INTER_CUBIC)
    column = (around / (2 * np.pi) + 0.5) * 255
    fibre = np.asarray(cv2.remap(fibres, column, angle / 24 * 7, cv2.INTER_LINEAR), np.float32)
    white = np.array([252, 246, 242], np.float32) * np.float32(look.sclera)
    veins = np.clip(fibre - 0.3, 0, 1) * smoothstep(30, 60, angle) * np.float32(0.35)
    eye = white * (1 - smoothstep(45, 90, angle)[..., None] * np.array([0.1, 0.3, 0.3], np.float32))
    eye = eye * (1 - veins[..., None] * np.array([0.1, 0.6, 0.6], np.float32))
    inner = smoothstep(look.iris_size * 0.75, look.pupil, angle)
    iris = np.asarray(look.iris, np.float32) * (1 + 0.35 * fibre + 0.35 * inner)[..., None]
    iris = iris * (1 - 0.6 * smoothstep(look.iris_size - 5, look.iris_size, angle)[..., None])
    edge = smoothstep(look.iris_size + 1.6, look.iris_size - 0.6, angle)[..., None]
    eye = eye + edge * (iris - eye)
    pupil = smoothstep(look.pupil + 1.0, look.pupil - 0.6, angle)[..., None]
    eye = eye + pupil * (np.array([8, 7, 8], np.float32) - eye)
    if look.style == "grey":
        eye = np.repeat(eye.mean(axis=2, keepdims=True), 3, axis=2)
    return _rgba(eye)


def _inside(place: Floats, colour: tuple[float, float, float], rng: Generator) -> Bytes:
    """Wet red tissue, darker with depth behind the lips; place (h, w, 3) canonical, cm."""
    depth = smoothstep(2.5, 10.5, place[..., 2])
    tone = np.asarray(colour, np.float32) * np.float32(rng.uniform(0.75, 1.1))
    return _rgba(tone * (0.25 + 0.75 * depth)[..., None])


def _lashes(look: Look) -> Bytes:
    """Separate dark hairs, (128, 128, 4): one per few columns, gaps between them cut out towards the tips."""
    tone = 0.5 * np.asarray(look.brow, np.float32) * (1 - 0.6 * np.float32(look.eye_liner)) + np.float32(6)
    columns = np.arange(128) * 1.1
    away = np.abs(np.mod(columns, 3.0) - 1.5) / 1.5
    texture = _rgba(np.broadcast_to(tone, (128, 128, 3)).astype(np.float32))
    texture[..., 3] = np.where(away < 0.55, 255, 0)[None]
    return texture


def _teeth(place: Floats, look: Look) -> Bytes:
    depth = smoothstep(4.0, 10.0, place[..., 2])
    return _rgba(np.asarray(look.teeth, np.float32) * (0.45 + 0.55 * depth)[..., None])


def _rgba(picture: Floats) -> Bytes:
    """0..255 floats (h, w, 3) as opaque uint8 RGBA."""
    return np.asarray(cv2.cvtColor(cv2.convertScaleAbs(np.clip(picture, 0, 255)), cv2.COLOR_RGB2RGBA), np.uint8)
