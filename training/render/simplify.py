"""Simplifies a mesh by collapsing vertices into neighbours, so that everything kept is a vertex of the original."""

from __future__ import annotations

import heapq

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

_RING = 32  # triangles a vertex may have
_LENGTH = 2e-3  # share of an edge's squared length in its cost: spreads the vertices where the surface is flat
_TURNED = 0.35  # least cosine between a triangle's normal before and after a collapse


def simplify(
    triangles: Ints, uv_triangles: Ints, uv: Floats, poses: Floats, weight: Floats, target: int
) -> tuple[Ints, Ints]:
    """Collapse the vertices that matter least (quadric error, Garland and Heckbert 1997) until `target` triangles.

    triangles, uv_triangles (T, 3) index poses (K, V, 3), cm, and uv (U, 2); the error is summed over the K poses, so
    what is flat in one and folds in another is kept. weight (V,) multiplies a vertex's error; infinite: it stays.
    Borders stay; a vertex of a texture seam moves only along the seam, and no texture triangle is turned over.
    Returns the triangles that are left, (S, 3) each, of the same vertices and texture vertices; S may exceed `target`.
    """
    pairs = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    edges, uses = np.unique(pairs, axis=0, return_counts=True)
    free = np.isfinite(weight)
    free[edges[uses != 2]] = False
    left, left_uv = _collapse(
        triangles.astype(np.int64), uv_triangles.astype(np.int64), uv.astype(np.float64), poses.astype(np.float64),
        np.where(free, weight, -1.0).astype(np.float64), target,
    )  # fmt: skip
    return left.astype(np.int32), left_uv.astype(np.int32)


@numba.njit(cache=True)
def _collapse(
    triangles: Longs, uv_triangles: Longs, uv: Doubles, poses: Doubles, weight: Doubles, target: int
) -> tuple[Longs, Longs]:
    triangles, uv_triangles = triangles.copy(), uv_triangles.copy()
    count = poses.shape[1]
    ring, size = np.full((count, _RING), -1, np.int64), np.zeros(count, np.int64)
    for t in range(len(triangles)):
        for v in triangles[t]:
            if size[v] == _RING:
                raise ValueError("A vertex of the mesh has more triangles than the simplification can hold.")
            ring[v, size[v]] = t
            size[v] += 1
    quadrics = _quadrics(triangles, poses)
    version = np.zeros(count, np.int64)
    queue = [(0.0, 0, 0) for _ in range(0)]
    for v in range(count):
        if weight[v] >= 0 and size[v] > 0:
            cost, _ = _best(v, triangles, uv_triangles, uv, poses, weight, ring, size, quadrics)
            if cost < np.inf:
                heapq.heappush(queue, (cost, v, 0))
    left = len(triangles)
    alive = np.ones(len(triangles), np.bool_)
    while left > target and len(queue) > 0:
        cost, v, stamp = heapq.heappop(queue)
        if stamp != version[v] or size[v] == 0:
            continue
        _, goal = _best(v, triangles, uv_triangles, uv, poses, weight, ring, size, quadrics)
        if goal < 0:
            continue
        left -= _merge(v, goal, triangles, uv_triangles, ring, size, alive)
        quadrics[:, goal] += quadrics[:, v]
        for k in range(size[goal] + 1):
            near = goal if k == size[goal] else _next(goal, ring[goal, k], triangles)
            if weight[near] < 0:
                continue
            version[near] += 1
            cost, _ = _best(near, triangles, uv_triangles, uv, poses, weight, ring, size, quadrics)
            if cost < np.inf:
                heapq.heappush(queue, (cost, near, version[near]))
    return triangles[alive], uv_triangles[alive]


@numba.njit(cache=True)
def _quadrics(triangles: Longs, poses: Doubles) -> Doubles:
    """Sums of squared distances to the planes around each vertex, weighted by area: (K, V, 10) symmetric matrices."""
    result = np.zeros((poses.shape[0], poses.shape[1], 10))
    for k in range(len(poses)):
        for t in range(len(triangles)):
            a, b, c = triangles[t]
            n = np.cross(poses[k, b] - poses[k, a], poses[k, c] - poses[k, a])
            area = np.sqrt((n * n).sum())
            if area < 1e-12:
                continue
            n /= area
            d = -(n * poses[k, a]).sum()
            plane = (n[0], n[1], n[2], d)
            at = 0
            for i in range(4):
                for j in range(i, 4):
                    value = 0.5 * area * plane[i] * plane[j] * (1.0 if i == j else 2.0)
                    result[k, a, at] += value
                    result[k, b, at] += value
                    result[k, c, at] += value
                    at += 1
    return result


@numba.njit(cache=True)
def _error(q: Doubles, p: int, v: int, x: float, y: float, z: float) -> float:
    error = (q[p, v, 0] * x + q[p, v, 1] * y + q[p, v, 2] * z + q[p, v, 3]) * x + (q[p, v, 4] * y + q[p, v, 6]) * y
    error += (q[p, v, 5] * y + q[p, v, 7] * z + q[p, v, 8]) * z + q[p, v, 9]
    return float(max(error, 0.0))


@numba.njit(cache=True)
def _best(
    v: int, triangles: Longs, uv_triangles: Longs, uv: Doubles, poses: Doubles, weight: Doubles, ring: Longs,
    size: Longs, quadrics: Doubles,
) -> tuple[float, int]:  # fmt: skip
    """The cheapest neighbour that vertex v may be moved onto, and the cost; (inf, -1) if there is none."""
    best, goal = np.inf, -1
    for k in range(size[v]):
        u = _next(v, ring[v, k], triangles)
        cost = 0.0
        for p in range(len(poses)):
            x, y, z = poses[p, u, 0], poses[p, u, 1], poses[p, u, 2]
            length = (x - poses[p, v, 0]) ** 2 + (y - poses[p, v, 1]) ** 2 + (z - poses[p, v, 2]) ** 2
            cost += _error(quadrics, p, v, x, y, z) + _error(quadrics, p, u, x, y, z) + _LENGTH * length * length
        cost *= weight[v]
        if cost < best and _allowed(v, u, triangles, uv_triangles, uv, poses, ring, size):
            best, goal = cost, u
    return best, goal


@numba.njit(cache=True)
def _next(v: int, t: int, triangles: Longs) -> int:
    """The corner after v in triangle t."""
    if triangles[t, 0] == v:
        return int(triangles[t, 1])
    return int(triangles[t, 2] if triangles[t, 1] == v else triangles[t, 0])


@numba.njit(cache=True)
def _wedge(v: int, t: int, triangles: Longs, uv_triangles: Longs) -> int:
    for i in range(3):
        if triangles[t, i] == v:
            return int(uv_triangles[t, i])
    return -1


@numba.njit(cache=True)
def _holds(v: int, t: int, triangles: Longs) -> bool:
    return bool(triangles[t, 0] == v or triangles[t, 1] == v or triangles[t, 2] == v)


@numba.njit(cache=True)
def _allowed(
    v: int, u: int, triangles: Longs, uv_triangles: Longs, uv: Doubles, poses: Doubles, ring: Longs, size: Longs
) -> bool:
    """Whether moving v onto u keeps the surface a surface, every texture seam, and every triangle's side."""
    start, stop, shared, common = np.full(2, -1), np.full(2, -1), 0, 0
    for k in range(size[v]):
        t = ring[v, k]
        if _holds(u, t, triangles):
            if shared == 2:
                return False
            start[shared] = _wedge(v, t, triangles, uv_triangles)
            stop[shared] = _wedge(u, t, triangles, uv_triangles)
            shared += 1
    if shared != 2 or size[v] + size[u] - 4 > _RING:
        return False
    if start[0] == start[1] and stop[0] != stop[1]:  # it would tear a seam open that ends at u
        return False
    for k in range(size[v]):  # neighbours of both: exactly the two opposite the edge
        for w in triangles[ring[v, k]]:
            if w in (v, u):
                continue
            for j in range(size[u]):
                if _holds(w, ring[u, j], triangles):
                    common += 1
                    break
    if common != 4:  # each is met twice on the way round v
        return False
    for k in range(size[v]):
        t = ring[v, k]
        if _holds(u, t, triangles):
            continue
        mine = _wedge(v, t, triangles, uv_triangles)
        side = 0 if mine == start[0] else 1
        if mine != start[side] or not _keeps_side(t, v, u, stop[side], triangles, uv_triangles, uv, poses):
            return False
    return True


@numba.njit(cache=True)
def _keeps_side(
    t: int, v: int, u: int, wedge: int, triangles: Longs, uv_triangles: Longs, uv: Doubles, poses: Doubles
) -> bool:
    i = 0 if triangles[t, 0] == v else (1 if triangles[t, 1] == v else 2)
    b, c = triangles[t, (i + 1) % 3], triangles[t, (i + 2) % 3]
    for p in range(len(poses)):
        if _cosine(poses[p], b, c, v, u) <= _TURNED:
            return False
    one, two, old = uv_triangles[t, (i + 1) % 3], uv_triangles[t, (i + 2) % 3], uv_triangles[t, i]
    du, dv = uv[two, 0] - uv[one, 0], uv[two, 1] - uv[one, 1]
    was = du * (uv[old, 1] - uv[one, 1]) - dv * (uv[old, 0] - uv[one, 0])
    now = du * (uv[wedge, 1] - uv[one, 1]) - dv * (uv[wedge, 0] - uv[one, 0])
    return bool(was * now > 0)


@numba.njit(cache=True)
def _cosine(place: Doubles, b: int, c: int, v: int, u: int) -> float:
    """Of the angle between the normals of the triangles (b, c, v) and (b, c, u); -1 if one has no area."""
    sx, sy, sz = place[c, 0] - place[b, 0], place[c, 1] - place[b, 1], place[c, 2] - place[b, 2]
    vx, vy, vz = place[v, 0] - place[b, 0], place[v, 1] - place[b, 1], place[v, 2] - place[b, 2]
    ux, uy, uz = place[u, 0] - place[b, 0], place[u, 1] - place[b, 1], place[u, 2] - place[b, 2]
    ax, ay, az = sy * vz - sz * vy, sz * vx - sx * vz, sx * vy - sy * vx
    bx, by, bz = sy * uz - sz * uy, sz * ux - sx * uz, sx * uy - sy * ux
    lengths = np.sqrt((ax * ax + ay * ay + az * az) * (bx * bx + by * by + bz * bz))
    return float((ax * bx + ay * by + az * bz) / lengths) if lengths > 0 else -1.0


@numba.njit(cache=True)
def _merge(
    v: int, u: int, triangles: Longs, uv_triangles: Longs, ring: Longs, size: Longs, alive: NDArray[np.bool_]
) -> int:
    """Move v onto u; returns how many triangles vanish."""
    start, stop, gone = np.full(2, -1), np.full(2, -1), 0
    for k in range(size[v]):
        t = ring[v, k]
        if _holds(u, t, triangles):
            start[gone] = _wedge(v, t, triangles, uv_triangles)
            stop[gone] = _wedge(u, t, triangles, uv_triangles)
            gone += 1
            alive[t] = False
            for w in triangles[t]:
                if w != v:
                    _drop(w, t, ring, size)
    for k in range(size[v]):
        t = ring[v, k]
        if not alive[t]:
            continue
        for i in range(3):
            if triangles[t, i] == v:
                triangles[t, i] = u
                uv_triangles[t, i] = stop[0] if uv_triangles[t, i] == start[0] else stop[1]
        ring[u, size[u]] = t
        size[u] += 1
    size[v] = 0
    return gone


@numba.njit(cache=True)
def _drop(v: int, t: int, ring: Longs, size: Longs) -> None:
    for k in range(size[v]):
        if ring[v, k] == t:
            size[v] -= 1
            ring[v, k] = ring[v, size[v]]
            return
