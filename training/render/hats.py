"""Hats: caps, beanies, berets, brimmed hats, head scarves and veils as shells over the scalp."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.render.clothes import cloth_texture
from training.render.looks import Look
from training.render.part import LABELS, Part
from training.render.scalp import Scalp
from training.render.shell import COLUMNS, TURN, Shell, fold, head_share, outward, shell_part, shell_points

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def hat_rim(look: Look, scalp: Scalp) -> Floats | None:
    """Pole angle (COLUMNS,) of the rim of the look's hat on the crown scalp; None without a hat."""
    if look.hat == "none":
        return None
    heights = {"cap": (9.4, 7.0, 3.0), "beanie": (8.8, 6.0, 1.5), "beret": (10.0, 8.0, 5.0), "brim": (9.6, 7.2, 4.0),
               "scarf": (10.0, 4.5, 0.0), "veil": (11.6, 6.5, 2.0)}[look.hat]  # fmt: skip
    return scalp.level(TURN, *heights)


def make_hat(rng: Generator, look: Look, scalp: Scalp) -> list[Part]:
    """The look's hat, label hat; empty when it has none."""
    rim = hat_rim(look, scalp)
    if rim is None:
        return []
    texture = cloth_texture(rng, look.hat_colour, look.cloth_second, "knit" if look.hat == "beanie" else "plain")
    share = np.linspace(0, 1, 10, dtype=np.float32)[:, None]
    if look.hat in ("scarf", "veil"):
        return [_drape(rng, look, scalp, rim, texture)]
    lift = {
        "cap": 0.6 + 1.2 * np.sin(np.pi * share**1.5),
        "beanie": 0.8 + 1.6 * (1 - share) ** 2,
        "beret": 0.5 + 3.4 * np.sin(np.pi * share**1.6) * (1 + 0.5 * np.sin(TURN + look.parting)),
        "brim": 0.7 + 3.8 * np.clip(np.sin(np.pi * np.clip(share * 0.85 + 0.15, 0, 1)), 0, 1) ** 0.7,
    }[look.hat]
    lift = np.broadcast_to(lift, (10, COLUMNS)).astype(np.float32)
    dome = shell_points(scalp, Shell(rim, lift, np.zeros(COLUMNS, np.float32)))
    parts = [_cloth("hat", dome, texture)]
    edge = dome[-1]
    if look.hat == "cap":
        parts.append(_cloth("visor", _brim(edge, float(rng.uniform(5, 7)), 0.95, 1.3), texture))
    if look.hat == "brim":
        width, droop = float(rng.uniform(3, 8)), float(rng.uniform(-0.5, 1.5))
        parts.append(_cloth("brim", _brim(edge, width, np.pi, droop), texture))
    if look.hat == "beanie":
        turns = ((0.0, -0.3), (0.4, -0.2), (0.45, 2.2), (0.0, 2.4))
        cuff = np.stack([edge + out * outward(edge) + np.array([0, up, 0]) for out, up in turns]).astype(np.float32)
        parts.append(_cloth("cuff", cuff[::-1], texture))
    return parts


def _cloth(name: str, points: Floats, texture: Bytes) -> Part:
    rows, columns = points.shape[:2]
    u = fold(np.broadcast_to(TURN[:columns] / (2 * np.pi) * 8, (rows, columns)).astype(np.float32))
    v = np.broadcast_to(np.linspace(0, 1, rows, dtype=np.float32)[:, None], (rows, columns))
    part = shell_part(name, points, np.stack([u, v], -1), texture, LABELS.index("hat"), 0.03)
    part.head_weight = head_share(part.vertices[:, 1])
    return part


def _brim(edge: Floats, width: float, reach: float, droop: float) -> Floats:
    """A flat rim of `width` cm in front (within `reach` radians of it) around the hat's edge, drooping by `droop`."""
    share = np.clip((reach - np.abs(TURN)) / 0.35, 0, 1)[:, None] if reach < 3 else np.ones((COLUMNS, 1))
    rows = [edge + np.array([0, 0.2, 0]) - 0.3 * outward(edge)]
    for step in (0.35, 0.7, 1.0):
        rows.append(edge + share * (width * step * outward(edge) - np.array([0, droop * step**2, 0])))
    rows.append(rows[-1] - np.array([0, 0.25, 0]))
    return np.stack(rows).astype(np.float32)


def _drape(rng: Generator, look: Look, scalp: Scalp, rim: Floats, texture: Bytes) -> Part:
    """A scarf or veil: over the head, down past the cheeks and neck onto the shoulders."""
    share = np.linspace(0, 1, 10, dtype=np.float32)[:, None]
    lift = np.broadcast_to(0.7 + 0.5 * (1 - share) + 0.5 * look.hair_volume, (10, COLUMNS)).astype(np.float32)
    away = np.abs(TURN)
    t = np.clip((away - 0.85) / 0.3, 0, 1)
    length = float(rng.uniform(14, 20))
    hang = (t * t * (3 - 2 * t) * length).astype(np.float32)
    return _cloth(look.hat, shell_points(scalp, Shell(rim, lift, hang, 9, 1.0)), texture)
