"""Hair: turns a look's kind of hair into shells with strand textures, cut ragged at their ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.render.looks import Look
from training.render.part import LABELS, Part
from training.render.scalp import Scalp
from training.render.shell import COLUMNS, TURN, Shell, ball, fold, outward, shell_part, shell_points
from training.render.strands import CURLED, STRAIGHT, WAVY, hair_texture

Floats = NDArray[np.float32]

_ROWS: Final = 12
_HAIR: Final = LABELS.index("hair")


@dataclass(frozen=True)
class _Cut:
    """What tells one kind of hair from another; lengths in cm, `hang` and `fringe` as (least, most).

    tilt: which scalp table (0 crown, 1 back of the head); top, side: thickness above and at the sides; end: thickness
    at the edge; fringe: over the forehead; lumps: unevenness; style: of the strands; folds: repeats of the texture
    around the head; sweep: how far strands lean sideways; layers: sheets, the outer ones sparser; ragged:
    unevenness of the edge, radians.
    """

    tilt: int = 0
    top: tuple[float, float] = (0.6, 1.6)
    side: tuple[float, float] = (0.3, 0.9)
    end: float = 0.12
    hang: tuple[float, float] = (0.0, 0.0)
    fringe: tuple[float, float] = (0.0, 0.4)
    lumps: float = 0.12
    style: int = STRAIGHT
    folds: int = 6
    sweep: float = 0.0
    layers: int = 3
    raise_line: float = 0.0
    ragged: float = 0.05


_CUTS: Final = {
    "buzz": _Cut(top=(0.12, 0.25), side=(0.08, 0.15), end=0.05, lumps=0.0, layers=1, ragged=0.015),
    "receding": _Cut(tilt=1, top=(0.3, 0.8), side=(0.3, 0.7), raise_line=1.5, layers=2),
    "short": _Cut(top=(0.6, 1.8), side=(0.25, 0.7), fringe=(0.0, 0.8), lumps=0.2),
    "side": _Cut(top=(0.9, 2.0), side=(0.3, 0.7), sweep=0.8, fringe=(0.0, 0.5)),
    "fringe": _Cut(top=(1.0, 1.8), side=(0.7, 1.3), end=0.5, fringe=(1.2, 4.0), hang=(0.0, 2.0), ragged=0.08),
    "curly": _Cut(top=(1.4, 2.8), side=(1.0, 2.0), end=0.6, lumps=0.5, style=CURLED, fringe=(0.2, 1.4), folds=8),
    "afro": _Cut(top=(3.0, 6.0), side=(2.5, 5.0), end=1.6, lumps=0.4, style=CURLED, folds=10),
    "bob": _Cut(top=(0.9, 1.7), side=(1.2, 2.0), end=0.9, hang=(6.0, 11.0), fringe=(0.0, 3.5)),
    "long": _Cut(top=(0.7, 1.5), side=(0.9, 1.6), end=0.7, hang=(14.0, 22.0), fringe=(0.0, 1.0)),
    "wavy": _Cut(top=(1.0, 2.0), side=(1.2, 2.4), end=0.9, hang=(9.0, 22.0), lumps=0.35, style=WAVY),
    "bun": _Cut(tilt=1, top=(0.4, 1.0), side=(0.3, 0.6), end=0.1),
    "ponytail": _Cut(tilt=1, top=(0.4, 0.9), side=(0.3, 0.5), end=0.1),
}


def make_hair(rng: Generator, look: Look, scalps: tuple[Scalp, Scalp], covered: Floats | None = None) -> list[Part]:
    """Hair of one look as parts on the mean head; empty for a bald head.

    scalps: about a pole at the crown and one at the back of the head. covered (COLUMNS,): pole angle (crown scalp) of
    a hat's rim, under which hair lies flat; None without a hat.
    """
    if look.hair == "bald":
        return []
    cut = _CUTS[look.hair]
    if covered is not None and cut.tilt == 1:
        cut = _Cut(top=(0.2, 0.3), side=(0.2, 0.4), raise_line=cut.raise_line, layers=2)
    scalp = scalps[cut.tilt]
    shell = _shape(rng, look, cut, scalp, covered)
    parts = []
    for layer in range(cut.layers if covered is None else min(cut.layers, 2)):
        outer = layer / max(cut.layers - 1, 1)
        spread = Shell(shell.edge * (1 + 0.012 * layer), shell.lift * (0.7 + 0.3 * outer) + 0.12 * layer, shell.hang,
                       shell.fall, shell.flare + 0.3 * layer)  # fmt: skip
        parts.append(_sheet(rng, look, cut, scalp, spread, layer))
    if look.hair == "bun" and covered is None:
        parts.append(_bun(rng, look))
    if look.hair == "ponytail":
        parts.append(_tail(rng, look))
    return parts


def _between(span: tuple[float, float], share: float) -> float:
    return span[0] + share * (span[1] - span[0])


def _shape(rng: Generator, look: Look, cut: _Cut, scalp: Scalp, covered: Floats | None) -> Shell:
    """The sheet's edge, thickness and fall."""
    away = np.abs(TURN)
    edge = scalp.edge(TURN, look.hairline + cut.raise_line)
    if cut.tilt == 0:
        over = _between(cut.fringe, look.fringe) / 10.0
        front = np.exp(-((TURN / 0.75) ** 4)) * (1 + 0.25 * np.sin(3 * TURN + look.parting * 3))
        edge = edge + over * front
    edge = edge + cut.ragged * (0.6 * _locks(rng) + 0.4 * _lumps(rng, 1)[0])
    share = np.linspace(0, 1, _ROWS, dtype=np.float32)[:, None]
    top, side = _between(cut.top, look.hair_volume), _between(cut.side, look.hair_volume)
    lift = top + (side - top) * np.clip(share * 1.25, 0, 1) ** 1.5
    last = cut.end + (0.35 if cut.fringe[1] > 1 and look.fringe > 0.4 else 0.0) * np.exp(-((TURN / 0.7) ** 4))
    hangs = cut.hang[1] > 0
    taper = np.clip((1 - share) / 0.28, 0, 1) ** 0.5
    tail = np.maximum(last, 0.85 * side * _hang_share(away)) if hangs else last
    lift = tail + (lift - tail) * taper
    if look.hair in ("side", "bob", "long", "wavy", "short") and cut.tilt == 0:
        furrow = np.exp(-(((TURN - 0.5 * look.parting) / 0.11) ** 2)) * np.clip(share * 3 - 0.3, 0, 1)
        lift = lift * (1 - (0.75 if look.hair != "short" else 0.3) * furrow)
    if look.hair == "side":
        lift = lift * (1 + 0.35 * np.sin(TURN - 0.5 * look.parting) * np.sign(-look.parting) * (away < 1.6))
    noise = _lumps(rng, _ROWS)
    lift = np.maximum(lift * (1 + cut.lumps * noise), 0.04)
    if covered is not None:
        under = np.clip((covered[None] - share * edge[None] + 0.12) / 0.12, 0, 1)
        lift = lift + under * (np.minimum(lift, 0.25) - lift)
    hang = np.zeros(COLUMNS, np.float32)
    if hangs:
        hang = (_hang_share(away) * _between(cut.hang, look.hair_length)).astype(np.float32)
        hang = hang * (1 + 0.05 * _lumps(rng, 1)[0])
    return Shell(edge.astype(np.float32), lift.astype(np.float32), hang, 9 if hangs else 0, 0.5)


def _hang_share(away: Floats) -> Floats:
    """Which azimuths fall freely: everything but the face."""
    t = np.clip((away - 0.95) / 0.22, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _locks(rng: Generator) -> Floats:
    """How far single locks reach past the edge, (COLUMNS,) in -1..1, periodic around the head."""
    reach = rng.uniform(-1, 1, COLUMNS).astype(np.float32)
    reach[-1] = reach[0]
    return reach


def _lumps(rng: Generator, rows: int) -> Floats:
    """Smooth noise (rows, COLUMNS) in about -1..1, periodic around the head."""
    field = rng.uniform(-1, 1, (5, 14)).astype(np.float32)
    field[:, -1] = field[:, 0]
    return np.asarray(cv2.resize(field, (COLUMNS, rows), interpolation=cv2.INTER_CUBIC), np.float32)


def _sheet(rng: Generator, look: Look, cut: _Cut, scalp: Scalp, shell: Shell, layer: int) -> Part:
    points = shell_points(scalp, shell)
    if shell.fall:
        points[_ROWS:] += _wave(rng, shell, cut)[..., None] * outward(points[_ROWS:])
    rows = len(points)
    along = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    around = TURN[None] / (2 * np.pi) * cut.folds + float(rng.uniform(0, 2)) + cut.sweep * along * np.sign(look.parting)
    curled = cut.style == CURLED
    # curls are as long as they are wide; straight strands run from root to tip once
    length = fold(along * 4 + float(rng.uniform(0, 2))) if curled else along
    uv = np.stack([fold(around), np.broadcast_to(length, around.shape)], -1)
    alpha, root = _alpha(256 if shell.fall else 128, layer, cut), 0.3 if layer == 0 and not curled else 0.0
    gloss = 0.0 if curled else min(1.0, 2.2 * look.hair_gloss)
    texture = hair_texture(rng, look.hair_colour, look.hair_contrast, cut.style, alpha, 192, root, gloss)
    return shell_part(f"hair{layer}", points, uv, texture, _HAIR, look.hair_gloss * 0.6)


def _alpha(height: int, layer: int, cut: _Cut) -> Floats:
    """Cover of a sheet: whole at the roots, ragged over the last part; the outer sheets are loose strands."""
    v = np.linspace(0, 1, height, dtype=np.float32)
    ragged = (0.22, 0.4, 0.7)[layer]
    cover = np.clip((1 - v) / ragged, 0, 1) * (1.0, 0.95, 0.5)[layer]
    if cut.style == CURLED:
        cover = np.full(height, (0.72, 0.56, 0.47)[layer], np.float32)
    return np.asarray(cover, np.float32)


def _wave(rng: Generator, shell: Shell, cut: _Cut) -> Floats:
    """How far the falling rows bulge, (fall, COLUMNS) cm."""
    rows = np.linspace(0, 1, shell.fall, dtype=np.float32)[:, None]
    size = 0.7 if cut.style == WAVY else 0.2
    phase = 2 * _lumps(rng, 1)[0]
    wave = np.sin(rows * rng.uniform(8, 16) + phase + TURN * 3) * np.clip(rows * 3, 0, 1)
    return np.asarray(size * wave * (shell.hang > 1), np.float32)


def _knot(rng: Generator, look: Look, points: Floats, name: str, ragged: bool) -> Part:
    rows, columns = points.shape[:2]
    v = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    u = np.linspace(0, 2, columns, dtype=np.float32)[None]
    uv = np.stack(np.broadcast_arrays(fold(u + 0.5 * v), v), -1)
    alpha = np.ones(128, np.float32)
    if ragged:
        alpha *= np.clip((1 - np.linspace(0, 1, 128, dtype=np.float32)) / 0.3, 0, 1)
    texture = hair_texture(rng, look.hair_colour, look.hair_contrast, STRAIGHT, alpha, 128, 0.0)
    return shell_part(name, points, uv, texture, _HAIR, look.hair_gloss * 0.6)


def _bun(rng: Generator, look: Look) -> Part:
    high = rng.uniform(0, 1)
    size = np.float32(_between((2.2, 3.6), look.hair_length))
    centre = np.array([0, 7 + 7.5 * high, -9.5 + 4.5 * high], np.float32)
    return _knot(rng, look, ball(centre, size * np.array([1.15, 0.9, 0.9], np.float32)), "bun", False)


def _tail(rng: Generator, look: Look) -> Part:
    """A tail from the back of the head, hanging behind the neck or over one shoulder."""
    length, side = _between((10, 20), look.hair_length), rng.uniform(-1, 1)
    v = np.linspace(0, 1, 10, dtype=np.float32)[:, None]
    turn = np.linspace(-np.pi, np.pi, 13)[None]
    thick = 0.9 + 1.6 * np.sin(np.pi * np.clip(v * 0.9 + 0.1, 0, 1))
    x = side * 7 * v**1.5 + thick * np.sin(turn)
    y = 8 + 1.2 * np.sin(v * 3) - length * v + 0 * turn
    z = -9.6 - 2.5 * np.sin(np.pi * np.clip(v * 1.1, 0, 1)) + thick * np.cos(turn)
    return _knot(rng, look, np.stack([x, y, z], -1).astype(np.float32), "tail", True)
