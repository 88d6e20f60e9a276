"""One person as a static mesh: the head with an identity, textured, and the props it wears."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from training.render import head as kit
from training.render.head import Head
from training.render.part import LABELS, Part
from training.render.shade import Textures

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]

_ANCHORS = 1200


@dataclass(frozen=True)
class Person:
    """The static mesh of one person: head surfaces first, then props. H head vertices, V in all, P parts.

    shape (V, 3): neutral, this person's identity, cm; follow (V,): head vertex whose expression a vertex takes, or -1;
    head_weight (V,): 1 turns with the head, 0 stays with the shoulders; eyes (2, 3): eyeball centres, left, right.
    triangles, uv_triangles (T, 3); part_of (T,); label_of (P,), -1: by the label map; material (P, 5) as in `shade`;
    one_sided (P,); cutout (P, 3) as in `rasterise`.
    """

    shape: Floats
    follow: Ints
    head_weight: Floats
    eyes: Floats
    triangles: Ints
    uv: Floats
    uv_triangles: Ints
    part_of: Ints
    label_of: Ints
    material: Floats
    one_sided: Bytes
    cutout: Ints
    textures: Textures
    tongue_drop: float


def head_weights(head: Head) -> Floats:
    """How much each head vertex turns with the head: 1 above the neck, 0 at the shoulders, the chin always with it."""
    height = head.neutral[:, 1] + 0.3 * np.maximum(head.neutral[:, 2] - 4, 0)
    share = np.clip((height + 14.5) / 7.5, 0, 1)
    share[head.span(kit.MOUTH_SOCKET).start : head.span(kit.LASHES).stop] = 1
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def build_person(
    head: Head, identity: Floats, skin: dict[str, Part], props: list[Part], tongue_drop: float
) -> Person:
    """Join the head's textured surfaces (parts named as `head.surfaces`, whose own geometry is ignored) and props.

    identity (100,) standard deviations. Props are modelled on the mean head and take the identity of the skin nearby.
    """
    shape = head.shape(identity)
    shift = shape - head.neutral
    vertices, follows, weights = [shape], [np.arange(len(shape), dtype=np.int32)], [head_weights(head)]
    triangles, uvs, uv_triangles, part_of = [], [], [], []
    parts = [skin[name] for name in head.surfaces]
    count, uv_count = len(shape), 0
    for index, surface in enumerate(head.surfaces.values()):
        triangles.append(surface.triangles)
        uv_triangles.append(surface.uv_triangles + uv_count)
        uvs.append(surface.uv)
        part_of.append(np.full(len(surface.triangles), index, np.int32))
        uv_count += len(surface.uv)
    anchors = np.unique(head.surfaces["skin"].triangles)[:: max(1, 12000 // _ANCHORS)]
    for part in props:
        moved = part.vertices + spread(part.vertices, head.neutral[anchors], shift[anchors])
        vertices.append(moved.astype(np.float32))
        follows.append(part.follow if part.follow is not None else np.full(len(moved), -1, np.int32))
        weights.append(part.head_weight.astype(np.float32))
        triangles.append(part.triangles + count)
        uv_triangles.append(part.triangles + uv_count)
        uvs.append(part.uv)
        part_of.append(np.full(len(part.triangles), len(parts), np.int32))
        count, uv_count = count + len(moved), uv_count + len(part.uv)
        parts.append(part)
    textures = Textures.pack([p.texture for p in parts])
    cutout = textures.layout[:, 0].copy()
    for index, part in enumerate(parts):
        if part.texture[..., 3].min() >= 128:
            cutout[index, 1:] = 0
    skins = {"skin", "gums"}
    material = np.array(
        [
            (p.gloss, 12 + 160 * p.gloss**2, 0.45 if p.name in skins else 0.1, p.two_sided, p.name.startswith("eye_"))
            for p in parts
        ],
        np.float32,
    )
    eyes = kit.EYE_CENTRES + np.stack([shift[head.span(r).start] for r in (kit.EYE_LEFT, kit.EYE_RIGHT)])
    return Person(
        np.concatenate(vertices), np.concatenate(follows).astype(np.int32), np.concatenate(weights), eyes,
        np.concatenate(triangles).astype(np.int32), np.concatenate(uvs).astype(np.float32),
        np.concatenate(uv_triangles).astype(np.int32), np.concatenate(part_of),
        np.array([p.label for p in parts], np.int32), material,
        np.array([not p.two_sided for p in parts], np.uint8), cutout, textures, tongue_drop,
    )  # fmt: skip


@numba.njit(cache=True, nogil=True, fastmath=True)
def spread(places: Floats, anchors: Floats, values: Floats) -> Floats:
    """Smooth values (N, 3) at `places` (N, 3) from values (A, 3) known at `anchors` (A, 3), nearest ones first."""
    result = np.zeros_like(places)
    squares = np.empty(len(anchors), np.float32)
    for i in range(len(places)):
        for j in range(len(anchors)):
            dx, dy, dz = places[i, 0] - anchors[j, 0], places[i, 1] - anchors[j, 1], places[i, 2] - anchors[j, 2]
            squares[j] = dx * dx + dy * dy + dz * dz
        nearest = squares.min()
        width = nearest + 1.5
        total = 0.0
        for j in range(len(anchors)):
            if squares[j] < nearest + 4 * width:
                weight = np.exp(-(squares[j] - nearest) / width)
                total += weight
                for k in range(3):
                    result[i, k] += weight * values[j, k]
        for k in range(3):
            result[i, k] /= total
    return result


def face_label(name: str) -> int:
    """The label of a head surface; -1 for skin, whose label depends on the place."""
    if name == "skin":
        return -1
    return LABELS.index({"eye_left": "l_eye", "eye_right": "r_eye", "lashes": "skin"}.get(name, "mouth"))
