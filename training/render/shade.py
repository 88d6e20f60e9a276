"""Turns the identity buffer into colour, coverage and labels: one lighting computation per pixel and surface."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from training.render.raster import weights_at

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]

MIP_LEVELS = 4
_LINEAR = (np.linspace(0, 1, 256) ** 2.2).astype(np.float32)
_SAME_SURFACE = 0.6  # cm between two samples that may share one lighting computation


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


@numba.njit(cache=True, nogil=True, fastmath=True)
def vertex_normals(vertices: Floats, triangles: Ints) -> Floats:
    """Area-weighted unit normals (V, 3) of a mesh."""
    normals = np.zeros_like(vertices)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in (a, b, c):
            normals[k, 0] += nx
            normals[k, 1] += ny
            normals[k, 2] += nz
    for k in range(len(normals)):
        length = np.sqrt(normals[k, 0] ** 2 + normals[k, 1] ** 2 + normals[k, 2] ** 2) + 1e-12
        normals[k] /= length
    return normals


@numba.njit(cache=True, nogil=True, fastmath=True)
def occlusion(nearness: Floats, step: int, reach: float) -> Floats:
    """How open every place is to the front, (size / step, size / step) in 0 (buried) to 1, from the depth buffer.

    nearness as from `rasterise`; reach: radius in samples of the neighbourhood that can hide a place.
    """
    size = nearness.shape[0] // step
    result = np.ones((size, size), np.float32)
    for y in range(size):
        for x in range(size):
            here = nearness[y * step + step // 2, x * step + step // 2]
            if here <= 0:
                continue
            depth, hidden = 1.0 / here, 0.0
            for k in range(16):
                # golden-angle spiral: even cover of the disc with few samples
                radius = reach * np.sqrt((k + 0.5) / 16)
                angle = k * 2.39996 + (x * 7 + y * 13) % 4 * 0.6
                sx = int(x * step + step // 2 + radius * np.cos(angle))
                sy = int(y * step + step // 2 + radius * np.sin(angle))
                if sx < 0 or sy < 0 or sx >= nearness.shape[0] or sy >= nearness.shape[0]:
                    continue
                other = nearness[sy, sx]
                if other <= 0:
                    continue
                rise = depth - 1.0 / other
                if rise > 0.15:
                    hidden += min((rise - 0.15) / 1.5, 1.0) * (1.0 if rise < 5 else 5 / rise)
            result[y, x] = 1.0 - hidden / 16
    return result


@numba.njit(cache=True, nogil=True, fastmath=True, inline="always")
def _sample(texels: Bytes, layout: Ints, u: float, v: float, channel: int) -> float:
    height, width = layout[1], layout[2]
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max(v * height - 0.5, 0.0), height - 1.001)
    x = max(x, 0.0)
    y = max(y, 0.0)
    c, r = int(x), int(y)
    fx, fy = x - c, y - r
    c1, r1 = min(c + 1, width - 1), min(r + 1, height - 1)
    top = (1 - fx) * texels[layout[0] + (r * width + c) * 4 + channel]
    top += fx * texels[layout[0] + (r * width + c1) * 4 + channel]
    low = (1 - fx) * texels[layout[0] + (r1 * width + c) * 4 + channel]
    low += fx * texels[layout[0] + (r1 * width + c1) * 4 + channel]
    return float((1 - fy) * top + fy * low)


@numba.njit(cache=True, nogil=True, fastmath=True, inline="always")
def _area(a: Floats, b: Floats, c: Floats) -> float:
    return float(abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])))


@numba.njit(cache=True, nogil=True, fastmath=True)
def shade(
    ids: Ints,
    nearness: Floats,
    open_sky: Floats,
    screen: Floats,
    view: Floats,
    normals: Floats,
    shine: Floats,
    triangles: Ints,
    part_of: Ints,
    uv: Floats,
    uv_triangles: Ints,
    material: Floats,
    texels: Bytes,
    layout: Ints,
    linear: Floats,
    labels_of: Ints,
    label_map: Bytes,
    lights: Floats,
    ambient: Floats,
    camera: Floats,
) -> tuple[Floats, Bytes, Bytes]:
    """Light the samples of `rasterise` and gather them 2 x 2 into pixels.

    open_sky (n, n): `occlusion`; view (V, 3): positions, cm, z towards the viewer; shine (V,): share of the light that
    reaches a vertex (dark mouths). material (P, 5): gloss, highlight exponent, softness of the light's edge on red,
    two_sided, eyeball; labels_of (P,), -1: read it from label_map (h, w) at the texture coordinate.
    lights (n, 6): direction to the light, linear RGB; ambient (2, 3): from above, from below; camera (3,): eye point.
    Returns premultiplied linear RGB (n, n, 3) float32, alpha (n, n) uint8, labels (n, n) uint8.
    """
    size = ids.shape[0] // 2
    rgb = np.zeros((size, size, 3), np.float32)
    alpha = np.zeros((size, size), np.uint8)
    labels = np.zeros((size, size), np.uint8)
    done = np.zeros(4, np.bool_)
    votes = np.zeros(19, np.int32)
    colour = np.zeros(3, np.float32)
    ratio = open_sky.shape[0] / size
    for y in range(size):
        for x in range(size):
            covered = 0
            done[:] = False
            votes[:] = 0
            for k in range(4):
                t = ids[2 * y + k // 2, 2 * x + k % 2]
                if t < 0:
                    votes[0] += 1
                    continue
                if done[k]:
                    continue
                part = part_of[t]
                depth = 1.0 / nearness[2 * y + k // 2, 2 * x + k % 2]
                count, sx, sy = 0, 0.0, 0.0
                for j in range(k, 4):
                    other = ids[2 * y + j // 2, 2 * x + j % 2]
                    if other < 0 or done[j] or part_of[other] != part:
                        continue
                    if abs(1.0 / nearness[2 * y + j // 2, 2 * x + j % 2] - depth) > _SAME_SURFACE:
                        continue
                    done[j] = True
                    count += 1
                    sx += 2 * x + j % 2 + 0.5
                    sy += 2 * y + j // 2 + 0.5
                sx /= count
                sy /= count
                wa, wb, wc = weights_at(screen, triangles[t], sx, sy)
                a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
                ta, tb, tc = uv_triangles[t, 0], uv_triangles[t, 1], uv_triangles[t, 2]
                u = wa * uv[ta, 0] + wb * uv[tb, 0] + wc * uv[tc, 0]
                v = wa * uv[ta, 1] + wb * uv[tb, 1] + wc * uv[tc, 1]
                label = labels_of[part]
                if label < 0:
                    row = min(int(v * label_map.shape[0]), label_map.shape[0] - 1)
                    label = label_map[row, min(int(u * label_map.shape[1]), label_map.shape[1] - 1)]
                votes[label] += count
                # mip level from the ratio of texel to pixel area
                texel = layout[part, 0, 1] * layout[part, 0, 2] * _area(uv[ta], uv[tb], uv[tc])
                area = 0.25 * _area(screen[a], screen[b], screen[c]) + 1e-6
                level = 0
                density = texel / area
                while density > 2.0 and level < 3:
                    density /= 4
                    level += 1
                nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
                ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
                nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
                ex = camera[0] - (wa * view[a, 0] + wb * view[b, 0] + wc * view[c, 0])
                ey = camera[1] - (wa * view[a, 1] + wb * view[b, 1] + wc * view[c, 1])
                ez = camera[2] - (wa * view[a, 2] + wb * view[b, 2] + wc * view[c, 2])
                length = 1.0 / (np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
                reach = 1.0 / np.sqrt(ex * ex + ey * ey + ez * ez)
                nx, ny, nz, ex, ey, ez = nx * length, ny * length, nz * length, ex * reach, ey * reach, ez * reach
                if nx * ex + ny * ey + nz * ez < 0 and material[part, 3] > 0:
                    nx, ny, nz = -nx, -ny, -nz
                fog = wa * shine[a] + wb * shine[b] + wc * shine[c]
                sky = open_sky[int(y * ratio), int(x * ratio)]
                if material[part, 4] > 0:  # lids and lashes shade the top of the eyeball
                    fog *= 1.0 - 0.5 * min(max((ny - 0.05) / 0.5, 0.0), 1.0)
                up = 0.5 + 0.5 * ny
                gloss, exponent, soft = material[part, 0], material[part, 1], material[part, 2]
                for channel in range(3):
                    colour[channel] = (up * ambient[0, channel] + (1 - up) * ambient[1, channel]) * sky * sky
                highlight_r, highlight_g, highlight_b = 0.0, 0.0, 0.0
                shadow = 0.35 + 0.65 * sky
                for i in range(len(lights)):
                    facing = nx * lights[i, 0] + ny * lights[i, 1] + nz * lights[i, 2]
                    for channel in range(3):
                        wrap = soft / (1 << (2 * channel))
                        lit = max((facing + wrap) / (1 + wrap), 0.0)
                        colour[channel] += lit * lights[i, 3 + channel] * shadow
                    hx, hy, hz = ex + lights[i, 0], ey + lights[i, 1], ez + lights[i, 2]
                    half = (nx * hx + ny * hy + nz * hz) / (np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9)
                    if half > 0.5 and facing > 0:
                        spot = gloss * half**exponent * shadow * fog
                        highlight_r += spot * lights[i, 3]
                        highlight_g += spot * lights[i, 4]
                        highlight_b += spot * lights[i, 5]
                share = 0.25 * count
                for channel in range(3):
                    albedo = _sample(texels, layout[part, level], u, v, channel)
                    low = int(albedo)
                    high = min(low + 1, 255)
                    value = linear[low] + (linear[high] - linear[low]) * (albedo - low)
                    spot = highlight_r if channel == 0 else (highlight_g if channel == 1 else highlight_b)
                    rgb[y, x, channel] += share * (value * colour[channel] * fog + spot)
                covered += count
            alpha[y, x] = min(covered * 64, 255)
            labels[y, x] = np.argmax(votes)
    return rgb, alpha, labels


def linear_table() -> Floats:
    """sRGB byte to linear light, (256,) float32."""
    return _LINEAR


def to_bytes(linear: Floats) -> Bytes:
    """Linear light (h, w, 3) to sRGB bytes, with a soft shoulder above 0.8 instead of clipping."""
    bright = np.maximum(linear - 0.8, 0)
    tamed = np.minimum(linear, 0.8) + 0.2 * (bright / (bright + 0.4))
    return np.asarray(np.clip(tamed, 0, 1) ** np.float32(1 / 2.2) * 255 + 0.5, np.uint8)
