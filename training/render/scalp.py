"""Scalp: the skull without ears as a radius over directions, on which hair, hats and scarves are built as shells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from training.render.atlas import hair_gap

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

CENTRE: Final = np.array([0.0, 4.5, -0.5], np.float32)
_AROUND: Final = 72  # azimuth steps of the table
_DOWN: Final = 64  # steps of the angle from the pole
_REACH: Final = np.pi * 0.92


@dataclass(frozen=True)
class Scalp:
    """Distance from CENTRE to the skin in polar directions about a tilted pole.

    tilt: radians the pole leans back from straight up; radius (72, 64) float32, cm: azimuth -180 to 180 degrees
    (0 in front, both ends the same), pole angle 0 to 0.92 pi; gap (72, 64): `hair_gap` of those points.
    """

    tilt: float
    radius: Floats
    gap: Floats

    @classmethod
    def cast(cls, vertices: Floats, triangles: Ints, tilt: float) -> Scalp:
        """Shoot rays at the skin (V, 3), (T, 3) in the head frame; ears are passed over."""
        middle = vertices[triangles].mean(axis=1)
        ear = (np.abs(middle[:, 0]) > 6.9) & (np.abs(middle[:, 2]) < 4.6) & (middle[:, 1] > -3) & (middle[:, 1] < 7.2)
        turn, down = np.meshgrid(np.linspace(-np.pi, np.pi, _AROUND), np.linspace(0, _REACH, _DOWN), indexing="ij")
        rays = directions(tilt, turn, down)
        corners = np.ascontiguousarray(vertices[triangles[~ear]] - CENTRE, np.float32)
        radius = first_hits(rays.reshape(-1, 3).astype(np.float32), corners).reshape(turn.shape)
        radius = _mend(radius)
        points = CENTRE + rays * radius[..., None]
        return cls(tilt, radius, hair_gap(points.astype(np.float32)))

    def points(self, turn: Floats, down: Floats, lift: Floats) -> Floats:
        """Points (..., 3) at azimuth `turn` and pole angle `down` (radians), `lift` cm above the skin."""
        x = ((turn / np.pi + 1) * 0.5 * (_AROUND - 1)).astype(np.float32)
        y = (np.clip(down, 0, _REACH) / _REACH * (_DOWN - 1)).astype(np.float32)
        radius = cv2.remap(self.radius, y, x, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        reach = np.asarray(radius, np.float32) + lift
        return np.asarray(CENTRE + directions(self.tilt, turn, down) * reach[..., None], np.float32)

    def edge(self, turn: Floats, above: float) -> Floats:
        """Pole angle (N,) at which the hairline, moved up by `above` cm, is crossed at azimuths `turn` (N,)."""
        inside = self.gap > above
        first = np.where(inside.all(axis=1), _DOWN - 1, np.argmin(inside, axis=1))
        before = np.maximum(first - 1, 0)
        row = np.arange(_AROUND)
        high, low = self.gap[row, before] - above, self.gap[row, first] - above
        share = np.clip(high / np.maximum(high - low, 1e-3), 0, 1)
        angle = (before + share) * (_REACH / (_DOWN - 1))
        wide = np.tile(angle, 3)[None].astype(np.float32)
        smooth = np.asarray(cv2.blur(wide, (3, 1)), np.float32)[0, _AROUND : 2 * _AROUND]
        return _around(turn, smooth)

    def level(self, turn: Floats, front: float, side: float, back: float) -> Floats:
        """Pole angle (N,) at which a tilted plane is crossed: its height (cm) in front, at the sides, behind."""
        grid_turn, grid_down = np.meshgrid(
            np.linspace(-np.pi, np.pi, _AROUND), np.linspace(0, _REACH, _DOWN), indexing="ij"
        )
        p = CENTRE + directions(self.tilt, grid_turn, grid_down) * self.radius[..., None]
        depth = np.clip(p[..., 2] / 9.0, -1, 1)
        plane = side + np.where(depth > 0, (front - side) * depth, (side - back) * depth)
        below = p[..., 1] < plane
        first = np.where(below.any(axis=1), np.argmax(below, axis=1), _DOWN - 1).astype(np.float32)
        smooth = cv2.GaussianBlur(np.tile(first, 3)[None], (0, 0), 1.2)[0, _AROUND : 2 * _AROUND]
        return _around(turn, np.asarray(smooth, np.float32) * (_REACH / (_DOWN - 1)))


def _around(turn: Floats, values: NDArray[np.floating]) -> Floats:
    """Values given at the table's azimuths, read at `turn`."""
    return np.asarray(np.interp(turn, np.linspace(-np.pi, np.pi, _AROUND), values), np.float32)


def directions(tilt: float, turn: NDArray[np.floating], down: NDArray[np.floating]) -> Floats:
    """Unit vectors (..., 3) at azimuth `turn` (0 in front, positive to +x) and angle `down` from the tilted pole."""
    pole = np.array([0, np.cos(tilt), -np.sin(tilt)])
    front = np.array([0, np.sin(tilt), np.cos(tilt)])
    flat = np.cos(turn)[..., None] * front + np.sin(turn)[..., None] * np.array([1.0, 0, 0])
    return np.asarray(np.cos(down)[..., None] * pole + np.sin(down)[..., None] * flat, np.float32)


@numba.njit(cache=True)
def first_hits(rays: Floats, corners: Floats) -> Floats:
    """Distance of the first triangle (T, 3, 3) along each ray (N, 3) from the origin; 0 where none is hit."""
    result = np.zeros(len(rays), np.float32)
    for i in range(len(rays)):
        dx, dy, dz = rays[i]
        best = 1e9
        for t in range(len(corners)):
            ax, ay, az = corners[t, 0]
            along = ax * dx + ay * dy + az * dz
            if along < 0 or along * along < 0.8 * (ax * ax + ay * ay + az * az):  # far off the ray
                continue
            ux, uy, uz = corners[t, 1, 0] - ax, corners[t, 1, 1] - ay, corners[t, 1, 2] - az
            vx, vy, vz = corners[t, 2, 0] - ax, corners[t, 2, 1] - ay, corners[t, 2, 2] - az
            px, py, pz = dy * vz - dz * vy, dz * vx - dx * vz, dx * vy - dy * vx
            det = ux * px + uy * py + uz * pz
            if abs(det) < 1e-12:
                continue
            a = -(ax * px + ay * py + az * pz) / det
            if a < -1e-4 or a > 1.0001:
                continue
            qx, qy, qz = uy * az - uz * ay, uz * ax - ux * az, ux * ay - uy * ax
            b = (dx * qx + dy * qy + dz * qz) / det
            if b < -1e-4 or a + b > 1.0001:
                continue
            distance = (vx * qx + vy * qy + vz * qz) / det
            if 2.0 < distance < best:
                best = distance
        if best < 1e8:
            result[i] = best
    return result


def _mend(radius: Floats) -> Floats:
    """Fill missed rays from their neighbours and smooth a little; the azimuth wraps around."""
    wide = np.tile(radius, (3, 1))
    known = (wide > 0).astype(np.float32)
    for _ in range(max(radius.shape)):
        weight = cv2.blur(known, (3, 3), borderType=cv2.BORDER_REPLICATE)
        spread = cv2.blur(wide * known, (3, 3), borderType=cv2.BORDER_REPLICATE)
        grown = (known == 0) & (weight > 0)
        wide[grown] = spread[grown] / weight[grown]
        known[grown] = 1
    smooth = np.asarray(cv2.GaussianBlur(wide, (3, 3), 0.8), np.float32)[len(radius) : 2 * len(radius)]
    smooth[:, 0] = smooth[:, 0].mean()
    smooth[-1] = smooth[0] = 0.5 * (smooth[0] + smooth[-1])
    return np.ascontiguousarray(smooth)
