"""SkinAtlas: where every texel of the skin textures lies on the mean head, and soft masks of the face's regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from training.render.head import Head, Surface

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

SIZE: Final = 384  # rows of the skin texture; it is twice as wide (face | skull, neck)
NOISE: Final = ("slow", "middle", "pores", "freckles")  # fields that multiply the whole skin
_LATTICE: Final = 64


@dataclass(frozen=True)
class SkinAtlas:
    """Maps of the skin texture (SIZE, 2 * SIZE), face on the left, skull and neck on the right.

    place (SIZE, 2 * SIZE, 3): canonical position, cm. fields (N, SIZE, 2 * SIZE) float32, about 0..1: the masks and
    noise fields called `names`; boxes (N, 4): top, bottom, left, right of what is not 0 in each.
    brow_s, brow_t: place along (0 inner to 1 outer) and cm above the brow's curve; hair_gap: cm above the usual
    hairline (negative is face).
    insides: canonical position maps (64, 64, 3) of "mouth", "gums" and "teeth".
    """

    place: Floats
    names: tuple[str, ...]
    fields: Floats
    boxes: NDArray[np.int32]
    brow_s: Floats
    brow_t: Floats
    hair_gap: Floats
    insides: dict[str, Floats]

    @classmethod
    def from_head(cls, head: Head) -> SkinAtlas:
        """Rasterise the mean head into texture space once (about a second)."""
        place = position_map(head.surfaces["skin"], head.neutral, SIZE, 2 * SIZE)
        points = head.neutral[head.landmarks[:68]]
        skin = head.surfaces["skin"]
        uv = _landmark_uv(skin, head.landmarks[:68])
        brow_s, brow_t = brow_frame(place, points)
        masks = region_masks(place, points, uv)
        noise = noise_fields(place)
        fields = {**masks, **noise}
        stack = np.ascontiguousarray(np.stack(list(fields.values())), np.float32)
        insides = {n: position_map(head.surfaces[n], head.neutral, 64, 64) for n in ("mouth", "gums", "teeth")}
        return cls(place, tuple(fields), stack, field_boxes(stack), brow_s, brow_t, hair_gap(place), insides)


def position_map(surface: Surface, vertices: Floats, height: int, width: int) -> Floats:
    """Canonical position of each texel, (height, width, 3) float32; holes are filled from their neighbours."""
    scale = np.array([width, height], np.float32)
    corners = surface.uv[surface.uv_triangles] * scale
    place = np.zeros((height, width, 3), np.float32)
    covered = np.zeros((height, width), np.uint8)
    _rasterise(corners.astype(np.float32), vertices[surface.triangles].astype(np.float32), place, covered)
    while not covered.all():
        weight = cv2.blur(covered.astype(np.float32), (5, 5), borderType=cv2.BORDER_REPLICATE)
        spread = cv2.blur(place * covered[..., None], (5, 5), borderType=cv2.BORDER_REPLICATE)
        grown = (weight > 1e-4) & (covered == 0)
        place[grown] = spread[grown] / weight[grown, None]
        covered[grown] = 1
    return place


@numba.njit(cache=True)
def _rasterise(corners: Floats, values: Floats, place: Floats, covered: NDArray[np.uint8]) -> None:
    height, width = covered.shape
    for t in range(len(corners)):
        ax, ay = corners[t, 0]
        bx, by = corners[t, 1]
        cx, cy = corners[t, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        for row in range(max(0, int(min(ay, by, cy)) - 1), min(height, int(max(ay, by, cy)) + 2)):
            for column in range(max(0, int(min(ax, bx, cx)) - 1), min(width, int(max(ax, bx, cx)) + 2)):
                x, y = column + 0.5, row + 0.5
                wa = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                wb = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                wc = 1 - wa - wb
                if wa >= -1e-4 and wb >= -1e-4 and wc >= -1e-4:
                    place[row, column] = wa * values[t, 0] + wb * values[t, 1] + wc * values[t, 2]
                    covered[row, column] = 1


def _landmark_uv(skin: Surface, landmarks: Ints) -> Floats:
    """Texture place (68, 2) of the landmarks, in texels of the (SIZE, 2 * SIZE) map."""
    order = np.zeros(int(skin.triangles.max()) + 1, np.int32)
    order[skin.triangles] = skin.uv_triangles
    return np.asarray(skin.uv[order[landmarks]] * np.array([2 * SIZE, SIZE]), np.float32)


def field_boxes(fields: Floats) -> Ints:
    """Top, bottom, left, right (N, 4) of what exceeds 0.01 in each of the fields (N, h, w)."""
    boxes = np.zeros((len(fields), 4), np.int32)
    for index, field in enumerate(fields):
        seen = np.abs(field) > 0.01
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        if len(rows):
            boxes[index] = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return boxes


def smoothstep(low: float, high: float, value: Floats) -> Floats:
    """Hermite step from 0 at low to 1 at high (low may be above high)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def hair_gap(place: Floats) -> Floats:
    """How many cm a canonical position (..., 3) lies above the usual hairline; negative is bare skin."""
    x, y, z = np.moveaxis(place, -1, 0)
    turn = np.abs(np.degrees(np.arctan2(x, z - 1.0)))
    at = [0, 20, 38, 50, 60, 68, 80, 95, 108, 130, 180]
    line = [10.6, 10.5, 9.9, 8.4, 6.6, 4.4, 3.8, 4.2, 2.0, -1.0, -2.4]
    return np.asarray(y - np.interp(turn, at, line), np.float32)


def _ring_mask(ring: Floats, soft: float) -> Floats:
    """A filled smooth closed curve through texels `ring`, (SIZE, 2 * SIZE), edge blurred by `soft` texels."""
    count = len(ring)
    t = np.linspace(0, count, 16 * count, endpoint=False)
    k, f = t.astype(int), (t % 1)[:, None]
    p0, p1, p2, p3 = (ring[(k + d) % count] for d in (-1, 0, 1, 2))
    curve = 0.5 * (2 * p1 + (p2 - p0) * f + (2 * p0 - 5 * p1 + 4 * p2 - p3) * f**2 + (3 * p1 - p0 - 3 * p2 + p3) * f**3)
    mask = np.zeros((SIZE, 2 * SIZE), np.float32)
    cv2.fillPoly(mask, [np.rint((curve - 0.5) * 16).astype(np.int32)], (1.0,), cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), soft), np.float32)


def _blob(place: Floats, centre: tuple[float, float, float], radius: tuple[float, float, float]) -> Floats:
    """A Gaussian about (±x, y, z), cm; both sides."""
    folded = np.abs(place[..., 0]) - centre[0]
    d = (folded / radius[0]) ** 2 + ((place[..., 1] - centre[1]) / radius[1]) ** 2
    return np.asarray(np.exp(-d - ((place[..., 2] - centre[2]) / radius[2]) ** 2), np.float32)


def _stroke(place: Floats, line: list[tuple[float, float]], width: float) -> Floats:
    """Soft lines along a polyline in (|x|, y), on the front of the face."""
    best = np.full(place.shape[:2], 1e9, np.float32)
    p = np.stack([np.abs(place[..., 0]), place[..., 1]], -1)
    for start, stop in zip(line, line[1:], strict=False):
        a, d = np.array(start, np.float32), np.array(stop, np.float32) - np.array(start, np.float32)
        t = np.clip(((p - a) @ d) / (d @ d), 0, 1)
        best = np.minimum(best, np.linalg.norm(p - a - t[..., None] * d, axis=-1))
    return np.asarray(np.exp(-((best / width) ** 2)) * (place[..., 2] > 4), np.float32)


def region_masks(place: Floats, points: Floats, uv: Floats) -> dict[str, Floats]:
    """Soft masks of the face's regions, each (SIZE, 2 * SIZE) in 0..1; points (68, 3) and uv (68, 2) landmarks."""
    x, y, z = np.moveaxis(place, -1, 0)
    side = np.abs(x)
    face = np.zeros(place.shape[:2], np.float32)
    face[:, :SIZE] = 1
    lips = _ring_mask(uv[48:60], 1.2)
    mouth_line = _ring_mask(uv[60:68], 2.0) * lips
    eyes = np.maximum(_ring_mask(uv[36:42], 1.0), _ring_mask(uv[42:48], 1.0))
    rims = np.maximum(_ring_mask(uv[36:42], 2.2), _ring_mask(uv[42:48], 2.2))
    column = np.linspace(0, 2, 2 * SIZE, endpoint=False, dtype=np.float32)[None].repeat(SIZE, 0)
    row = np.linspace(0, 1, SIZE, endpoint=False, dtype=np.float32)[:, None].repeat(2 * SIZE, 1)
    ears = smoothstep(0.115, 0.085, np.minimum(column, 1 - column)) * smoothstep(0.29, 0.33, row)
    ears = ears * smoothstep(0.58, 0.53, row) * face
    jaw = smoothstep(-9.5, -7.2, y - 0.25 * (z - 6)) * smoothstep(-0.2, -2.2, y - 0.5 * smoothstep(3.5, 7.0, side) * 6)
    beard = face * jaw * smoothstep(-1.5, 3.0, z) * (1 - lips)
    moustache = face * _blob(place, (1.1, -1.9, 11.2), (1.7, 0.55, 2.5)) * (1 - lips)
    moustache = np.clip(1.6 * moustache, 0, 1)
    chin = face * np.clip(1.5 * _blob(place, (0.0, -6.4, 10.5), (1.9, 1.7, 3.0)), 0, 1) * (1 - lips)
    lines = sum((_blob_line(place, level) for level in (7.3, 8.2, 9.1)), np.zeros_like(x))
    feet = [[(5.1, 3.7), (6.2, 4.5)], [(5.2, 3.3), (6.5, 3.4)], [(5.0, 2.9), (6.2, 2.2)]]
    crow = np.max([_stroke(place, foot, 0.16) for foot in feet], axis=0)
    crease = lid_crease(place, points)
    under = _stroke(place, [(1.9, 2.6), (2.9, 2.1), (4.1, 2.3)], 0.15)
    return {
        "lips": lips, "mouth_line": mouth_line, "eye_line": np.clip(rims * 1.6, 0, 1) * (1 - 0.3 * eyes),
        "cheeks": face * _blob(place, (4.4, -0.2, 8.5), (1.9, 1.6, 3.0)),
        "nose_tip": face * _blob(place, (0.0, 0.2, 12.0), (1.7, 1.4, 2.2)),
        "nostrils": face * np.clip(1.6 * _blob(place, (0.62, -0.95, 11.0), (0.36, 0.3, 0.8)), 0, 1),
        "ears": ears,
        "under_eye": face * _blob(place, (2.9, 2.2, 9.3), (1.4, 0.55, 2.0)),
        "inner_eye": face * _blob(place, (1.7, 3.5, 9.3), (0.8, 0.8, 1.5)),
        "crease": crease,
        "socket": face * _blob(place, (2.2, 4.55, 9.0), (1.5, 0.6, 2.2)),
        "lid": face * _blob(place, (3.3, 4.25, 9.3), (1.7, 0.62, 2.0)),
        "beard": beard, "moustache": moustache, "chin": chin,
        "folds": np.maximum(_stroke(place, [(1.75, -0.2), (2.3, -1.6), (3.1, -3.6)], 0.17), under),
        "wrinkles": np.clip(lines, 0, 1), "crow": crow,
        "frown": _stroke(place, [(0.4, 4.9), (0.6, 6.2)], 0.2) + _stroke(place, [(0.0, -5.1), (1.3, -5.4)], 0.22),
        "throat": smoothstep(-6.8, -9.0, y + 0.15 * z) * smoothstep(9.5, 6.5, z - 0.2 * y - 1),
    }  # fmt: skip


def lid_crease(place: Floats, points: Floats) -> Floats:
    """The groove between the upper lid and the fold above it, 0..1; points (68, 3)."""
    rim = 0.5 * (points[42:46] + points[[39, 38, 37, 36]] * np.array([-1, 1, 1], np.float32))
    inner, left, right, outer = ((float(x), float(y)) for x, y in rim[:, :2])
    line = [
        (inner[0] + 0.1, inner[1] + 0.55), (left[0] - 0.2, left[1] + 0.45), (left[0] + 0.4, left[1] + 0.52),
        (right[0], right[1] + 0.53), (outer[0] + 0.1, outer[1] + 0.5), (outer[0] + 0.6, outer[1] + 0.1),
    ]  # fmt: skip
    return _stroke(place, line, 0.12)


def _blob_line(place: Floats, level: float) -> Floats:
    """One forehead line: a soft wavy horizontal groove."""
    x, y, z = np.moveaxis(place, -1, 0)
    wave = level + 0.12 * np.sin(1.3 * x + level * 5) - 0.012 * x * x
    return np.asarray(np.exp(-(((y - wave) / 0.1) ** 2)) * smoothstep(5.0, 3.2, np.abs(x)) * (z > 5), np.float32)


def brow_frame(place: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Each texel's place along the nearest brow (0 inner end, 1 outer) and its height above the brow's curve, cm."""
    curve = 0.5 * (points[22:27] + points[21:16:-1] * np.array([-1, 1, 1]))
    side, y, z = np.abs(place[..., 0]), place[..., 1], place[..., 2]
    inner, outer = float(curve[0, 0]) - 0.25, float(curve[-1, 0]) + 0.35
    # the brow runs around the head: measure along x plus the depth lost
    s = (side - inner) / (outer - inner)
    knots = np.concatenate([[inner], curve[:, 0], [outer]])
    height = np.concatenate([[curve[0, 1] - 0.05], curve[:, 1], [curve[-1, 1] - 0.3]])
    line = np.interp(side, knots, height)
    t = np.where(z > 3, y - line, -9.0)
    return np.asarray(s, np.float32), np.asarray(t, np.float32)


def noise_fields(place: Floats) -> dict[str, Floats]:
    """Seamless 3-D noise on the skin, zero mean: slow (5 cm), middle (1.3 cm), pores (0.16 cm), stubble, freckles."""
    rng = np.random.default_rng(17)
    out: dict[str, Floats] = {}
    for name, cell, count in (("slow", 4.0, 3), ("middle", 1.1, 3), ("pores", 0.22, 2)):
        for index in range(count):
            out[f"{name}{index}"] = _noise(place, cell, rng)
    for index in range(2):
        fine = _noise(place, 0.24, rng) + 0.35 * _noise(place, 1.5, rng)
        out[f"freckles{index}"] = smoothstep(0.45, 0.85, fine)
    stretched = place * np.array([1.0, 0.45, 0.7], np.float32)
    out["stubble"] = np.clip(0.5 + 1.1 * _noise(stretched, 0.085, rng) + 0.35 * _noise(place, 0.5, rng), 0, 1)
    return out


def _noise(place: Floats, cell: float, rng: np.random.Generator) -> Floats:
    lattice = rng.uniform(-1, 1, (_LATTICE, _LATTICE, _LATTICE)).astype(np.float32)
    return _trilinear(place.reshape(-1, 3) / cell + np.float32(rng.uniform(0, 9)), lattice).reshape(place.shape[:2])


@numba.njit(cache=True)
def _trilinear(points: Floats, lattice: Floats) -> Floats:
    n = lattice.shape[0]
    out = np.empty(len(points), np.float32)
    for i in range(len(points)):
        bx, by, bz = np.floor(points[i, 0]), np.floor(points[i, 1]), np.floor(points[i, 2])
        fx, fy, fz = points[i, 0] - bx, points[i, 1] - by, points[i, 2] - bz
        fx, fy, fz = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy), fz * fz * (3 - 2 * fz)
        total = 0.0
        for dx in range(2):
            for dy in range(2):
                for dz in range(2):
                    weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
                    total += weight * lattice[(int(bx) + dx) % n, (int(by) + dy) % n, (int(bz) + dz) % n]
        out[i] = total
    return out
