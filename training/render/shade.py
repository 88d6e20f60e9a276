"""Turns the identity buffer into a picture, coverage and labels: one lighting computation per pixel and surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from training.render.compiled import compiled, inlined
from training.render.raster import weights_at

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]

MIP_LEVELS = 4
_LINEAR = (np.linspace(0, 1, 256) ** 2.2).astype(np.float32)
_TONES = 4096  # entries of the table from linear light to bytes, even in the square root of the light
_BRIGHTEST = 2.0  # square root of the light at its end
_SAME_SURFACE = 0.6  # cm between two samples that may share one lighting computation
_BIAS = 0.35  # cm a surface may lie behind the shadow map's
_FIRM = 1.6  # of a full shadow for every cm beyond that


@dataclass(frozen=True)
class Textures:
    """All textures of a scene in one array.

    texels (N,) uint8 RGBA; layout (P, MIP_LEVELS, 3) int32: offset, height, width of each part's pictures,
    each half the last one's size.
    """

    texels: Bytes
    layout: Ints

    @classmethod
    def pack(cls, textures: list[Bytes]) -> Textures:
        """Lay (h, w, 4) uint8 RGBA pictures and their halvings into one array."""
        layout = np.zeros((len(textures), MIP_LEVELS, 3), np.int32)
        flat, offset = [], 0
        for part, texture in enumerate(textures):
            for level in range(MIP_LEVELS):
                layout[part, level] = offset, texture.shape[0], texture.shape[1]
                flat.append(np.ascontiguousarray(texture).reshape(-1))
                offset += texture.size
                half = (max(texture.shape[1] // 2, 1), max(texture.shape[0] // 2, 1))
                texture = np.asarray(cv2.resize(texture, half, interpolation=cv2.INTER_AREA), np.uint8)
        return cls(np.concatenate(flat), layout)


@compiled
def surface(positions: Floats, shine: Floats, triangles: Ints) -> Floats:
    """What is interpolated over a mesh, (V, 8): unit normal weighted by area, position, shine, nothing.

    positions (V, 3); shine (V,): share of the light that reaches a vertex.
    """
    result = np.zeros((len(positions), 8), np.float32)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        px, py, pz = positions[a, 0], positions[a, 1], positions[a, 2]
        ux, uy, uz = positions[b, 0] - px, positions[b, 1] - py, positions[b, 2] - pz
        vx, vy, vz = positions[c, 0] - px, positions[c, 1] - py, positions[c, 2] - pz
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in (a, b, c):
            result[k, 0] += nx
            result[k, 1] += ny
            result[k, 2] += nz
    for k in range(len(positions)):
        x, y, z = result[k, 0], result[k, 1], result[k, 2]
        length = np.float32(1) / (np.sqrt(x * x + y * y + z * z) + np.float32(1e-12))
        result[k, 0], result[k, 1], result[k, 2] = x * length, y * length, z * length
        result[k, 3], result[k, 4], result[k, 5] = positions[k, 0], positions[k, 1], positions[k, 2]
        result[k, 6] = shine[k]
    return result


@compiled
def vertex_normals(vertices: Floats, triangles: Ints) -> Floats:
    """Area-weighted unit normals (V, 3) of a mesh."""
    return surface(vertices, np.zeros(len(vertices), np.float32), triangles)[:, :3].copy()


@compiled
def occlusion(nearness: Floats, step: int, reach: float) -> Floats:
    """How open every place is to the front, (size / step, size / step) in 0 (buried) to 1, from the depth buffer.

    nearness as from `rasterise`; reach: radius in samples of the neighbourhood that can hide a place.
    """
    samples = nearness.shape[0]
    size = samples // step
    # golden-angle spirals, turned from place to place: even cover of the disc with few samples
    shift = np.empty((4, 16, 2), np.int64)
    for turn in range(4):
        for k in range(16):
            radius, angle = reach * np.sqrt((k + 0.5) / 16), k * 2.39996 + turn * 0.6
            shift[turn, k, 0], shift[turn, k, 1] = int(radius * np.cos(angle)), int(radius * np.sin(angle))
    result = np.ones((size, size), np.float32)
    for y in range(size):
        for x in range(size):
            cx, cy = x * step + step // 2, y * step + step // 2
            here = nearness[cy, cx]
            if here <= 0:
                continue
            depth, hidden, turn = 1.0 / here, 0.0, (x * 7 + y * 13) % 4
            for k in range(16):
                sx, sy = cx + shift[turn, k, 0], cy + shift[turn, k, 1]
                if sx < 0 or sy < 0 or sx >= samples or sy >= samples:
                    continue
                rise = depth * (nearness[sy, sx] * depth - 1.0)  # of depth - 1 / nearness, to first order
                if rise > 0.15:
                    hidden += min((rise - 0.15) / 1.5, 1.0) * (1.0 if rise < 5 else 5 / rise)
            result[y, x] = 1.0 - hidden / 16
    return result


@inlined
def _area(points: Floats, a: int, b: int, c: int) -> float:
    ux, uy = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
    return float(abs(ux * (points[c, 1] - points[a, 1]) - (points[c, 0] - points[a, 0]) * uy))


@inlined
def _mip(full: Ints, texel: float, pixel: float) -> int:
    """The level of a texture (height and width full[1:]) that has about a texel for a pixel."""
    density, level = full[1] * full[2] * texel / (0.25 * pixel + 1e-6), 0
    while density > 2.0 and level < MIP_LEVELS - 1:
        density *= 0.25
        level += 1
    return level


@inlined
def _albedo(texels: Bytes, layout: Ints, u: float, v: float, linear: Floats) -> tuple[float, float, float]:
    """Linear colour of a texture at (u, v), bilinear."""
    start, height, width = layout[0], layout[1], layout[2]
    x = max(min(max(u * width - 0.5, 0.0), width - 1.001), 0.0)
    y = max(min(max(v * height - 0.5, 0.0), height - 1.001), 0.0)
    column, row = int(x), int(y)
    fx, fy = x - column, y - row
    right = 4 if column + 1 < width else 0
    below = 4 * width if row + 1 < height else 0
    at = start + (row * width + column) * 4
    w00, w01, w10, w11 = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    r = w00 * texels[at] + w01 * texels[at + right] + w10 * texels[at + below] + w11 * texels[at + below + right]
    at += 1
    g = w00 * texels[at] + w01 * texels[at + right] + w10 * texels[at + below] + w11 * texels[at + below + right]
    at += 1
    b = w00 * texels[at] + w01 * texels[at + right] + w10 * texels[at + below] + w11 * texels[at + below + right]
    return linear[int(r + 0.5)], linear[int(g + 0.5)], linear[int(b + 0.5)]


@inlined
def _lit(shadow: Floats, aim: Floats, x: float, y: float, z: float) -> float:
    """Share of the main light that reaches a position, 0 to 1, soft: nine places of the shadow map compared."""
    across = aim[0, 0] * x + aim[0, 1] * y + aim[0, 2] * z + aim[0, 3]
    down = aim[1, 0] * x + aim[1, 1] * y + aim[1, 2] * z + aim[1, 3]
    near = aim[2, 0] * x + aim[2, 1] * y + aim[2, 2] * z + aim[2, 3]
    column, row = int(across), int(down)
    if column < 1 or row < 1 or column >= shadow.shape[0] - 2 or row >= shadow.shape[0] - 2:
        return 1.0
    fx, fy, total = across - column, down - row, 0.0
    for j in range(3):
        wy = 1 - fy if j == 0 else (fy if j == 2 else 1.0)
        for i in range(3):
            wx = 1 - fx if i == 0 else (fx if i == 2 else 1.0)
            rise = (shadow[row + j - 1, column + i - 1] - near - _BIAS) * _FIRM
            total += wx * wy * min(max(rise, 0.0), 1.0)
    return float(1.0 - 0.25 * total)


@compiled
def shade(
    ids: Ints,
    nearness: Floats,
    open_sky: Floats,
    screen: Floats,
    surfaces: Floats,
    triangles: Ints,
    part_of: Ints,
    uv: Floats,
    uv_triangles: Ints,
    material: Floats,
    texels: Bytes,
    layout: Ints,
    linear: Floats,
    tones: Bytes,
    labels_of: Ints,
    label_map: Bytes,
    lights: Floats,
    ambient: Floats,
    shadow: Floats,
    aim: Floats,
    camera: Floats,
    background: Bytes,
) -> tuple[Bytes, Bytes, Bytes]:
    """Light the samples of `rasterise` and gather them 2 x 2 into pixels over the background.

    open_sky (n, n): `occlusion`; surfaces (V, 8): `surface`, positions in cm with z towards the viewer.
    material (P, 5): gloss, highlight exponent, softness of the light's edge on red,
    two_sided, eyeball; labels_of (P,), -1: read it from label_map (h, w) at the texture coordinate.
    lights (n, 6): direction to the light, linear RGB, the first one casts shadows; ambient (2, 3): from above, from
    below; shadow (m, m), aim (3, 4): `cast_shadow`; camera (3,): eye point; background (n, n, 3) uint8 sRGB.
    linear, tones: `linear_table`, `tone_table`.
    Returns RGB (n, n, 3), alpha (n, n), labels (n, n), all uint8.
    """
    size = ids.shape[0] // 2
    rgb = np.empty((size, size, 3), np.uint8)
    alpha = np.zeros((size, size), np.uint8)
    labels = np.zeros((size, size), np.uint8)
    group, found = np.zeros(4, np.int64), np.zeros((4, 2), np.int64)
    scale = (len(tones) - 1) / _BRIGHTEST
    ratio = open_sky.shape[0] / size
    for y in range(size):
        for x in range(size):
            covered, groups = 0, 0
            red, green, blue = 0.0, 0.0, 0.0
            for k in range(4):
                group[k] = ids[2 * y + (k >> 1), 2 * x + (k & 1)]
            for k in range(4):
                t = group[k]
                if t < 0:
                    continue
                part, depth = part_of[t], 1.0 / nearness[2 * y + (k >> 1), 2 * x + (k & 1)]
                count, sx, sy = 1, 2 * x + (k & 1) + 0.5, 2 * y + (k >> 1) + 0.5
                for j in range(k + 1, 4):
                    other = group[j]
                    if other < 0 or (other != t and part_of[other] != part):
                        continue
                    if abs(nearness[2 * y + (j >> 1), 2 * x + (j & 1)] * depth - 1.0) * depth > _SAME_SURFACE:
                        continue
                    group[j] = -1
                    count += 1
                    sx += 2 * x + (j & 1) + 0.5
                    sy += 2 * y + (j >> 1) + 0.5
                share = 1.0 / count
                wa, wb, wc = weights_at(screen, triangles[t], sx * share, sy * share)
                a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
                ta, tb, tc = uv_triangles[t, 0], uv_triangles[t, 1], uv_triangles[t, 2]
                u = wa * uv[ta, 0] + wb * uv[tb, 0] + wc * uv[tc, 0]
                v = wa * uv[ta, 1] + wb * uv[tb, 1] + wc * uv[tc, 1]
                label = labels_of[part]
                if label < 0:
                    row = min(int(v * label_map.shape[0]), label_map.shape[0] - 1)
                    label = label_map[row, min(int(u * label_map.shape[1]), label_map.shape[1] - 1)]
                found[groups, 0], found[groups, 1] = label, count
                groups += 1
                level = _mip(layout[part, 0], _area(uv, ta, tb, tc), _area(screen, a, b, c))
                nx = wa * surfaces[a, 0] + wb * surfaces[b, 0] + wc * surfaces[c, 0]
                ny = wa * surfaces[a, 1] + wb * surfaces[b, 1] + wc * surfaces[c, 1]
                nz = wa * surfaces[a, 2] + wb * surfaces[b, 2] + wc * surfaces[c, 2]
                px = wa * surfaces[a, 3] + wb * surfaces[b, 3] + wc * surfaces[c, 3]
                py = wa * surfaces[a, 4] + wb * surfaces[b, 4] + wc * surfaces[c, 4]
                pz = wa * surfaces[a, 5] + wb * surfaces[b, 5] + wc * surfaces[c, 5]
                fog = wa * surfaces[a, 6] + wb * surfaces[b, 6] + wc * surfaces[c, 6]
                ex, ey, ez = camera[0] - px, camera[1] - py, camera[2] - pz
                length = 1.0 / (np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
                reach = 1.0 / np.sqrt(ex * ex + ey * ey + ez * ez)
                nx, ny, nz, ex, ey, ez = nx * length, ny * length, nz * length, ex * reach, ey * reach, ez * reach
                if nx * ex + ny * ey + nz * ez < 0 and material[part, 3] > 0:
                    nx, ny, nz = -nx, -ny, -nz
                sky = open_sky[int(y * ratio), int(x * ratio)]
                if material[part, 4] > 0:  # lids and lashes shade the top of the eyeball
                    fog *= 1.0 - 0.5 * min(max((ny - 0.05) / 0.5, 0.0), 1.0)
                up, open2 = 0.5 + 0.5 * ny, sky * sky
                light_r = (up * ambient[0, 0] + (1 - up) * ambient[1, 0]) * open2
                light_g = (up * ambient[0, 1] + (1 - up) * ambient[1, 1]) * open2
                light_b = (up * ambient[0, 2] + (1 - up) * ambient[1, 2]) * open2
                spot_r, spot_g, spot_b = 0.0, 0.0, 0.0
                gloss, exponent, soft = material[part, 0], material[part, 1], material[part, 2]
                wrap_g, wrap_b = 0.25 * soft, 0.0625 * soft
                full_r, full_g, full_b = 1 / (1 + soft), 1 / (1 + wrap_g), 1 / (1 + wrap_b)
                for i in range(len(lights)):
                    lx, ly, lz = lights[i, 0], lights[i, 1], lights[i, 2]
                    facing = nx * lx + ny * ly + nz * lz
                    if facing <= -soft:
                        continue
                    strength = 0.35 + 0.65 * sky
                    if i == 0 and len(shadow) > 0 and facing > -0.2:
                        strength *= _lit(shadow, aim, px, py, pz)
                    light_r += (facing + soft) * full_r * strength * lights[i, 3]
                    light_g += max(facing + wrap_g, 0.0) * full_g * strength * lights[i, 4]
                    light_b += max(facing + wrap_b, 0.0) * full_b * strength * lights[i, 5]
                    if facing <= 0 or gloss <= 0:
                        continue
                    hx, hy, hz = ex + lx, ey + ly, ez + lz
                    half = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
                    if half > 0.5 and exponent * (1 - half) < 7:  # beyond, a thousandth is left
                        spot = gloss * np.float32(half) ** np.float32(exponent) * strength * fog
                        spot_r += spot * lights[i, 3]
                        spot_g += spot * lights[i, 4]
                        spot_b += spot * lights[i, 5]
                r, g, b_ = _albedo(texels, layout[part, level], u, v, linear)
                red += count * (r * light_r * fog + spot_r)
                green += count * (g * light_g * fog + spot_g)
                blue += count * (b_ * light_b * fog + spot_b)
                covered += count
            if covered == 0:
                rgb[y, x, 0], rgb[y, x, 1], rgb[y, x, 2] = background[y, x, 0], background[y, x, 1], background[y, x, 2]
                continue
            alpha[y, x] = min(covered * 64, 255)
            labels[y, x] = _elected(found, groups, 4 - covered)
            bare = 4 - covered
            if bare > 0:
                red += bare * linear[background[y, x, 0]]
                green += bare * linear[background[y, x, 1]]
                blue += bare * linear[background[y, x, 2]]
            rgb[y, x, 0] = tones[int(min(np.sqrt(0.25 * red), _BRIGHTEST) * scale + 0.5)]
            rgb[y, x, 1] = tones[int(min(np.sqrt(0.25 * green), _BRIGHTEST) * scale + 0.5)]
            rgb[y, x, 2] = tones[int(min(np.sqrt(0.25 * blue), _BRIGHTEST) * scale + 0.5)]
    return rgb, alpha, labels


@inlined
def _elected(found: NDArray[np.int64], groups: int, bare: int) -> int:
    """The label with most samples, the first in order of equals; `bare` samples are background."""
    best, most = 0, bare
    for i in range(groups):
        votes = 0
        for j in range(groups):
            if found[j, 0] == found[i, 0]:
                votes += found[j, 1]
        if votes > most or (votes == most and found[i, 0] < best):
            best, most = found[i, 0], votes
    return int(best)


def linear_table() -> Floats:
    """sRGB byte to linear light, (256,) float32."""
    return _LINEAR


@cache
def tone_table() -> Bytes:
    """Linear light to sRGB bytes, by its square root, (4096,); a soft shoulder above 0.8 instead of clipping."""
    light = np.linspace(0, _BRIGHTEST, _TONES) ** 2
    bright = np.maximum(light - 0.8, 0)
    tamed = np.minimum(light, 0.8) + 0.2 * (bright / (bright + 0.4))
    return np.asarray(np.clip(tamed, 0, 1) ** (1 / 2.2) * 255 + 0.5, np.uint8)
