"""Shell: a sheet grown over the scalp from a pole to an edge, which may hang down past it: hair, hats, scarves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.render.part import Part
from training.render.scalp import CENTRE, Scalp

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

COLUMNS: Final = 57
TURN: Final = np.linspace(-np.pi, np.pi, COLUMNS).astype(np.float32)


@dataclass(frozen=True)
class Shell:
    """Shape of a sheet over the scalp, by azimuth column (COLUMNS,) and row.

    edge (COLUMNS,): pole angle where it leaves the scalp. lift (rows, COLUMNS): cm above the skin, from the pole to
    the edge. hang (COLUMNS,): cm it falls below the edge; fall: rows of the falling part, 0 for none; flare: cm it
    widens on its way down; start: pole angle of the first row as a share of the edge's (0 closes the pole).
    """

    edge: Floats
    lift: Floats
    hang: Floats
    fall: int = 0
    flare: float = 0.0
    start: float = 0.0


def grid_triangles(rows: int, columns: int) -> Ints:
    """Two triangles (T, 3) per cell of a row-major grid; counter-clockwise from outside for rows that run down."""
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])


def ball(centre: Floats, radius: Floats | float, rows: int = 9, columns: int = 17) -> Floats:
    """A closed grid of points (rows, columns, 3) around `centre`; radius: one, or one along each axis (3,)."""
    down, turn = np.meshgrid(np.linspace(0, np.pi, rows), np.linspace(-np.pi, np.pi, columns), indexing="ij")
    ray = np.stack([np.sin(down) * np.sin(turn), np.cos(down), np.sin(down) * np.cos(turn)], -1)
    return np.asarray(centre + ray * radius, np.float32)


def outward(points: Floats) -> Floats:
    """Horizontal unit vectors (..., 3) away from the head's axis."""
    flat = points * np.array([1, 0, 1], np.float32)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-3), np.float32)


def shell_points(scalp: Scalp, shell: Shell) -> Floats:
    """Grid of points (rows + fall, COLUMNS, 3), head frame, cm."""
    rows = len(shell.lift)
    share = np.linspace(shell.start, 1, rows, dtype=np.float32)[:, None]
    down = share * shell.edge[None]
    turn = np.broadcast_to(TURN, down.shape).astype(np.float32)
    points = scalp.points(np.ascontiguousarray(turn), np.ascontiguousarray(down), shell.lift)
    if shell.start == 0:
        points[0] = points[0].mean(axis=0)
    if shell.fall == 0:
        return points
    return np.concatenate([points, _fall(points[-1], shell)])


def _fall(edge: Floats, shell: Shell) -> Floats:
    """Rows that fall straight down from the edge (COLUMNS, 3), around jaw and neck and outside the shoulders."""
    steps = np.linspace(0, 1, shell.fall + 1, dtype=np.float32)[1:, None]
    drop = steps * shell.hang[None]
    y = edge[None, :, 1] - drop
    rows = [edge]
    axis = np.array([0.0, -2.0], np.float32)
    flat = edge[:, [0, 2]] - axis
    length = np.linalg.norm(flat, axis=1)
    ray = flat / length[:, None]
    for k in range(shell.fall):
        # clear of what is there at this height: ears and jaw, neck, then the slope of the shoulders
        clear = np.interp(y[k], [-19, -14.5, -12, -9.5, -5, -1, 4], [15.0, 13.2, 10.2, 8.2, 8.2, 8.9, 8.9])
        depth = 1 - 0.12 * np.abs(ray[:, 1]) * (y[k] > -10)
        want = np.maximum(clear * depth, length + shell.flare * steps[k])
        ease = np.clip(drop[k] / 3.0, 0, 1)
        grown = length + ease * (want - length)
        row = np.stack([axis[0] + ray[:, 0] * grown, y[k], axis[1] + ray[:, 1] * grown], 1)
        rows.append(np.where(drop[k][:, None] > 1e-3, row, rows[-1]).astype(np.float32))
    return np.stack(rows[1:])


def head_share(y: Floats) -> Floats:
    """How much hanging things turn with the head, by height: 1 at the jaw, 0 on the shoulders."""
    t = np.clip((y + 15.5) / 9.0, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def fold(position: Floats) -> Floats:
    """A coordinate that runs to and fro between 0 and 1, so that a texture repeats without a seam."""
    return np.asarray(1 - np.abs(np.mod(position, 2.0) - 1), np.float32)


def shell_part(
    name: str, points: Floats, uv: Floats, texture: NDArray[np.uint8], label: int, gloss: float,
) -> Part:
    """A grid of points (rows, columns, 3) and uv (rows, columns, 2) as a two-sided part."""
    rows, columns = points.shape[:2]
    vertices = np.ascontiguousarray(points.reshape(-1, 3), np.float32)
    return Part(
        name, vertices, grid_triangles(rows, columns), np.clip(uv.reshape(-1, 2), 0, 1).astype(np.float32), texture,
        label, head_share(vertices[:, 1]), gloss, True,
    )  # fmt: skip


__all__ = ["CENTRE", "COLUMNS", "TURN", "Shell", "fold", "grid_triangles", "head_share", "shell_part", "shell_points"]
