"""Reads the FaceKit morphable head and prepares it for drawing: surfaces, bases, landmarks and motion points."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.render.simplify import simplify

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# FaceKit vertex ranges, first and last included (ICT-FaceKit light model).
FACE = (0, 9408)
NARROW_FACE = (0, 6705)
SKULL_NECK = (9409, 11247)
MOUTH_SOCKET = (11248, 13293)
EYE_SOCKETS = (13294, 14061)
GUMS = (14062, 16310)
TONGUE = (16311, 17038)
TEETH = (17039, 21450)
EYE_LEFT = (21451, 22220)
EYE_RIGHT = (23021, 23790)
LASHES = (25351, 26718)

EYE_CENTRES = np.array([[3.105, 3.604, 7.89], [-3.105, 3.604, 7.89]], np.float32)  # left, right; fitted to the mesh, cm
CORNEA = 1.7  # from the eyeball's centre to the iris, cm; the ball itself has a radius of 1.537

# Multi-PIE 68 in FaceKit indices; 0 is on the subject's right (left of the picture).
MULTI_PIE = (
    *(1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443),
    *(268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147),
    *(4269, 3360, 1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081),
    *(0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966),
)
RIGHT_EYE_RIM = (36, 37, 38, 39, 40, 41)
LEFT_EYE_RIM = (42, 43, 44, 45, 46, 47)
OUTER_LIPS = tuple(range(48, 60))
INNER_LIPS = tuple(range(60, 68))

_KEPT = (FACE, SKULL_NECK, MOUTH_SOCKET, EYE_SOCKETS, GUMS, TONGUE, TEETH, EYE_LEFT, EYE_RIGHT, LASHES)
_RANGES = {
    "skin": (FACE, SKULL_NECK, EYE_SOCKETS),
    "mouth": (MOUTH_SOCKET,),
    "gums": (GUMS, TONGUE),
    "teeth": (TEETH,),
    "eye_left": (EYE_LEFT,),
    "eye_right": (EYE_RIGHT,),
    "lashes": (LASHES,),
}
_LIGHT = {"skin": 8400, "mouth": 500, "gums": 900, "teeth": 2200, "eye_left": 420, "eye_right": 420}  # triangles
_POSES: tuple[tuple[str, ...], ...] = (
    (), ("jawOpen",), ("eyeBlink_L", "eyeBlink_R", "mouthPucker"),
    ("mouthSmile_L", "mouthSmile_R", "browInnerUp_L", "browInnerUp_R", "cheekSquint_L", "cheekSquint_R"),
)  # fmt: skip
_SCATTERED = 98
_LASH_LENGTH = 0.3  # of FaceKit's


@dataclass(frozen=True)
class Surface:
    """One textured piece of the head.

    triangles, uv_triangles: (T, 3) int32, into the head's vertices and into `uv`; uv (U, 2) in [0, 1], u to the
    right and v DOWN the texture (row = v * height).
    """

    name: str
    triangles: Ints
    uv: Floats
    uv_triangles: Ints


@dataclass(frozen=True)
class Head:
    """The mean neutral head and how it varies; x to the subject's left, y up, z to the viewer, cm.

    neutral (V, 3); identity (100, V, 3), one standard deviation each; expression (57, V, 3), at weight 1;
    triangles (T, 3), all surfaces, counter-clockwise from outside. vertex_ids (V,): FaceKit's own index of each vertex.
    landmarks (100,): vertices of the 68 Multi-PIE points, then the middles of the eye rims' and lips' intervals.
    scatter (98,): further vertices spread over face, ears, skull, neck and shoulders. The K = 200 motion points are
    the landmarks, the two iris centres (left, right; no vertex has them), and the scatter, in this order.
    Texture layouts: "skin" holds two squares side by side, left the face (FaceKit tile 0), right skull, neck and
    eye sockets (tile 1), so textures are twice as wide as high; "mouth", "gums", "teeth", "lashes" one tile each;
    eyes are azimuthal: the pupil in the centre of the texture, angle from it = 90 degrees * radius / half side.
    """

    neutral: Floats
    identity: Floats
    expression: Floats
    expression_names: tuple[str, ...]
    surfaces: dict[str, Surface]
    triangles: Ints
    vertex_ids: Ints
    landmarks: Ints
    scatter: Ints

    @classmethod
    def load(cls, path: str | Path, whole: bool = False) -> Head:
        """Read `facekit.npz` (the ICT-FaceKit light model as arrays); raises OSError when it cannot be read.

        Its 46,000 triangles are simplified to about 13,000, dense at lids, lips and teeth, in some two seconds;
        landmarks and scatter are the same vertices either way. whole: leave the mesh as it is.
        """
        with np.load(path) as kit:
            ids = np.concatenate([np.arange(a, b + 1) for a, b in _KEPT])
            new = np.full(len(kit["neutral"]), -1, np.int32)
            new[ids] = np.arange(len(ids), dtype=np.int32)
            neutral = kit["neutral"][ids].astype(np.float32)
            identity = np.ascontiguousarray(kit["identity"][:, ids], np.float32)
            expression = np.ascontiguousarray(kit["expression"][:, ids], np.float32)
            names = tuple(str(n) for n in kit["expression_names"])
            surfaces = _surfaces(kit["quads"], kit["quads_uv"], kit["uv"], new, neutral)
        _stiffen(identity, expression, names, neutral, new)
        _trim_lashes(neutral, surfaces)
        triangles = np.concatenate([s.triangles for s in surfaces.values()])
        skin = surfaces["skin"].triangles
        open_jaw = neutral + expression[names.index("jawOpen")]
        landmarks = _landmarks(open_jaw, skin, new)
        scatter = _scatter(neutral, skin, landmarks)
        vertex_ids = ids.astype(np.int32)
        head = cls(neutral, identity, expression, names, surfaces, triangles, vertex_ids, landmarks, scatter)
        return head if whole else lighten(head)

    def span(self, vertex_range: tuple[int, int]) -> slice:
        """Where a FaceKit vertex range lies among the head's own vertices."""
        first, stop = np.searchsorted(self.vertex_ids, [vertex_range[0], vertex_range[1] + 1])
        return slice(int(first), int(stop))

    def shape(self, coefficients: Floats) -> Floats:
        """The neutral head (V, 3) of one person; coefficients (100,) in standard deviations."""
        flat = coefficients.astype(np.float32) @ self.identity.reshape(len(self.identity), -1)
        return np.asarray(self.neutral + flat.reshape(-1, 3), np.float32)


def lighten(head: Head) -> Head:
    """The same head of fewer triangles: what is seldom seen or nearly flat goes, backs of the eyeballs entirely."""
    shown = [sum((head.expression[head.expression_names.index(n)] for n in names), head.neutral) for names in _POSES]
    poses, weight = np.stack(shown), _importance(head)
    surfaces = {}
    for name, surface in head.surfaces.items():
        if name.startswith("eye_"):
            surface = _front(surface, head.neutral, EYE_CENTRES[0 if name == "eye_left" else 1])
        if name in _LIGHT:
            left = simplify(surface.triangles, surface.uv_triangles, surface.uv, poses, weight, _LIGHT[name])
            surface = Surface(name, left[0], surface.uv, left[1])
        used, inverse = np.unique(surface.uv_triangles, return_inverse=True)
        surfaces[name] = Surface(name, surface.triangles, surface.uv[used], inverse.reshape(-1, 3).astype(np.int32))
    return _subset(head, surfaces)


def _importance(head: Head) -> Floats:
    """How much an error counts at each vertex (V,): infinite for landmarks and scatter, most at lids and lips."""
    weight = np.ones(len(head.neutral), np.float32)
    for vertex_range, share in ((NARROW_FACE, 3.0), (SKULL_NECK, 0.4), (EYE_SOCKETS, 0.1), (GUMS, 0.5)):
        weight[head.span(vertex_range)] = share
    fine = head.neutral[head.landmarks[[*range(17, 22), *range(22, 27), *range(31, 100)]]]
    near = np.min(np.linalg.norm(head.neutral[:, None] - fine[None], axis=2), axis=1)
    weight[head.span(FACE)] *= (1 + 12 * np.exp(-((near / 0.7) ** 2)))[head.span(FACE)]
    teeth = head.span(TEETH)
    weight[teeth] = np.where(head.neutral[teeth, 2] > np.quantile(head.neutral[teeth, 2], 0.5), 1.5, 0.3)
    weight[head.landmarks], weight[head.scatter] = np.inf, np.inf
    return weight


def _front(eye: Surface, neutral: Floats, centre: Floats) -> Surface:
    """An eyeball without what is more than 115 degrees from the pupil."""
    ray = neutral - centre
    ahead = ray[:, 2] / np.linalg.norm(ray, axis=1) > np.cos(np.radians(115))
    seen = ahead[eye.triangles].all(axis=1)
    return Surface(eye.name, eye.triangles[seen], eye.uv, eye.uv_triangles[seen])


def _subset(head: Head, surfaces: dict[str, Surface]) -> Head:
    """The head with these surfaces and only the vertices that they, the landmarks and the scatter need."""
    triangles = np.concatenate([s.triangles for s in surfaces.values()])
    kept = np.unique(np.concatenate([triangles.ravel(), head.landmarks, head.scatter]))
    new = np.full(len(head.neutral), -1, np.int32)
    new[kept] = np.arange(len(kept), dtype=np.int32)
    return replace(
        head, neutral=head.neutral[kept], identity=np.ascontiguousarray(head.identity[:, kept]),
        expression=np.ascontiguousarray(head.expression[:, kept]), vertex_ids=head.vertex_ids[kept],
        surfaces={n: replace(s, triangles=new[s.triangles]) for n, s in surfaces.items()}, triangles=new[triangles],
        landmarks=new[head.landmarks], scatter=new[head.scatter],
    )  # fmt: skip


def split_quads(quads: NDArray[np.int32]) -> NDArray[np.int32]:
    """Quads (Q, 4), -1 in the last place for a triangle, to triangles (T, 3) in the same winding."""
    whole = quads[quads[:, 3] >= 0]
    return np.concatenate([quads[:, :3], whole[:, [0, 2, 3]]])


def _surfaces(
    quads: NDArray[np.int32], quads_uv: NDArray[np.int32], uv: Floats, new: Ints, neutral: Floats
) -> dict[str, Surface]:
    surfaces = {}
    for name, ranges in _RANGES.items():
        keep = np.zeros(len(quads), bool)
        for first, last in ranges:
            keep |= (quads[:, 0] >= first) & (quads[:, 0] <= last)
        triangles = new[split_quads(quads[keep])].astype(np.int32)
        texture = quads_uv[keep].copy()
        texture[quads[keep][:, 3] < 0, 3] = -1
        uv_triangles = split_quads(texture)
        used, inverse = np.unique(uv_triangles, return_inverse=True)
        coordinates = uv[used].astype(np.float32)
        uv_triangles = inverse.reshape(-1, 3).astype(np.int32)
        if name.startswith("eye_"):
            used, inverse = np.unique(triangles, return_inverse=True)
            uv_triangles = inverse.reshape(-1, 3).astype(np.int32)
            coordinates = azimuthal(neutral[used], EYE_CENTRES[0 if name == "eye_left" else 1])
        elif name == "skin":
            coordinates[:, 0] /= 2
        else:
            coordinates[:, 0] -= np.floor(coordinates[:, 0].min())
        if not name.startswith("eye_"):
            coordinates[:, 1] = 1 - coordinates[:, 1]
        surfaces[name] = Surface(name, triangles, np.ascontiguousarray(coordinates), uv_triangles)
    return surfaces


def azimuthal(vertices: Floats, centre: Floats) -> Floats:
    ray = vertices - centre
    angle = np.arccos(np.clip(ray[:, 2] / np.linalg.norm(ray, axis=1), -1, 1))
    around = np.arctan2(-ray[:, 1], ray[:, 0])
    radius = np.minimum(angle / np.pi, 0.5)
    return np.stack([0.5 + radius * np.cos(around), 0.5 + radius * np.sin(around)], 1).astype(np.float32)


def _stiffen(identity: Floats, expression: Floats, names: tuple[str, ...], neutral: Floats, new: Ints) -> None:
    """Let identity only shift the teeth, the gums and the eyeballs: its modes bend them (seen: teeth on one side)."""
    jaw = np.linalg.norm(expression[names.index("jawOpen")], axis=1) > 0.2
    inside = np.zeros(len(neutral), bool)
    for first, last in (GUMS, TONGUE, TEETH):
        inside[new[first] : new[last] + 1] = True
    groups = [inside & jaw, inside & ~jaw]
    for first, last in (EYE_LEFT, EYE_RIGHT):
        eye = np.zeros(len(neutral), bool)
        eye[new[first] : new[last] + 1] = True
        groups.append(eye)
    for index, group in enumerate(groups):
        shift = identity[:, group].mean(axis=1, keepdims=True)
        if index < 2:
            shift[..., 0] = 0
        identity[:, group] = shift


def _trim_lashes(neutral: Floats, surfaces: dict[str, Surface]) -> None:
    """Shorten the upper lashes and drop the lower ones: as given, at picture size, they are a heavy black band."""
    lashes = surfaces["lashes"]
    hairs, skin = np.unique(lashes.triangles), neutral[np.unique(surfaces["skin"].triangles)]
    lid = skin[skin[:, 2] > 7]
    roots = np.array([lid[np.linalg.norm(lid - hair, axis=1).argmin()] for hair in neutral[hairs]])
    neutral[hairs] = roots + _LASH_LENGTH * (neutral[hairs] - roots)
    middle = neutral[lashes.triangles].mean(axis=1)
    corners = neutral[lashes.triangles]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    # hairs whose roots were found far apart stand off the lid as black wedges
    upper = (middle[:, 1] > EYE_CENTRES[0, 1] - 0.1) & (np.abs(middle[:, 0]) > 2.4) & (longest < 0.3)
    surfaces["lashes"] = Surface("lashes", lashes.triangles[upper], lashes.uv, lashes.uv_triangles[upper])


def _landmarks(open_jaw: Floats, triangles: Ints, new: Ints) -> Ints:
    """68 Multi-PIE points, then the middle of each interval of the eye rims (right, left), inner and outer lips."""
    main = [int(new[i]) for i in MULTI_PIE]
    edges = mesh_edges(triangles, open_jaw)
    extra: list[int] = []
    for ring in (RIGHT_EYE_RIM, LEFT_EYE_RIM, INNER_LIPS, OUTER_LIPS):
        for here, there in zip(ring, (*ring[1:], ring[0]), strict=True):
            extra.append(halfway(edges, open_jaw, main[here], main[there]))
    return np.array(main + extra, np.int32)


def mesh_edges(triangles: Ints, vertices: Floats) -> dict[int, list[tuple[int, float]]]:
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    lengths = np.linalg.norm(vertices[pairs[:, 0]] - vertices[pairs[:, 1]], axis=1)
    edges: dict[int, list[tuple[int, float]]] = {}
    for (a, b), length in zip(pairs.tolist(), lengths.tolist(), strict=True):
        edges.setdefault(a, []).append((b, length))
        edges.setdefault(b, []).append((a, length))
    return edges


def halfway(edges: dict[int, list[tuple[int, float]]], vertices: Floats, start: int, goal: int) -> int:
    """The vertex nearest to the middle of the shortest path along the mesh (it stays on its own lid or lip)."""
    queue: list[tuple[float, int]] = [(0.0, start)]
    best = {start: 0.0}
    before: dict[int, int] = {}
    while queue:
        length, vertex = heapq.heappop(queue)
        if vertex == goal:
            break
        for other, step in edges[vertex]:
            if length + step < best.get(other, np.inf):
                best[other] = length + step
                before[other] = vertex
                heapq.heappush(queue, (length + step, other))
    path = [goal]
    while path[-1] != start:
        path.append(before[path[-1]])
    return min(path, key=lambda v: abs(best[v] - best[goal] / 2))


def _scatter(neutral: Floats, triangles: Ints, landmarks: Ints) -> Ints:
    """Vertices spread over face, ears, skull, neck and shoulders by farthest-point sampling."""
    candidates = np.unique(triangles)
    candidates = candidates[candidates < SKULL_NECK[1] + 1]
    gap = np.min(np.linalg.norm(neutral[candidates, None] - neutral[landmarks][None], axis=2), axis=1)
    chosen = []
    for _ in range(_SCATTERED):
        chosen.append(int(candidates[int(gap.argmax())]))
        gap = np.minimum(gap, np.linalg.norm(neutral[candidates] - neutral[chosen[-1]], axis=1))
    return np.array(chosen, np.int32)
