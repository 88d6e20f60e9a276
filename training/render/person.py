"""One person as a static mesh: the head with an identity, textured, and the props it wears."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.render import head as kit
from training.render.compiled import compiled
from training.render.head import Head
from training.render.part import LABELS, Part
from training.render.shade import Textures

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]

_ANCHORS = 240
_SOFTNESS = {"skin": 0.45, "gums": 0.45, "hair": 0.3}  # how far light reaches round a surface


@dataclass(frozen=True)
class Person:
    """The static mesh of one person: head surfaces first, then props. H head vertices, V in all, P parts.

    shape (V, 3): neutral, this person's identity, cm; follow (V,): head vertex whose expression a vertex takes, or -1;
    head_weight (V,): 1 turns with the head, 0 stays with the shoulders; eyes (2, 3): eyeball centres, left, right.
    triangles, uv_triangles (T, 3); part_of (T,); label_of (P,), -1: by the label map; material (P, 4): gloss,
    softness, two_sided, eyeball; one_sided (P,); cutout (P, 3) as in `rasterise`.
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
    head: Head, identity: Floats, textures: dict[str, Bytes], skin_gloss: float, props: list[Part], tongue_drop: float
) -> Person:
    """Join head and props.

    identity (100,) standard deviations; textures (h, w, 4) uint8 RGBA by the names of `head.surfaces` (a surface
    without one is left out); tongue_drop: cm the tongue sinks when the jaw opens fully. Props are modelled on
    the mean head and take over the identity of the vertices that they follow, or of the skin nearby.
    """
    shape = head.shape(identity)
    shift = shape - head.neutral
    parts = [*_head_parts(head, textures, skin_gloss), *props]
    vertices, follows, weights = [shape], [np.arange(len(shape), dtype=np.int32)], [head_weights(head)]
    triangles, uvs, uv_triangles = [], [], []
    count, uv_count = len(shape), 0
    for name in textures:
        surface = head.surfaces[name]
        triangles.append(surface.triangles)
        uv_triangles.append(surface.uv_triangles + uv_count)
        uvs.append(surface.uv)
        uv_count += len(surface.uv)
    skin = head.span(kit.SKULL_NECK).stop
    anchors = np.arange(0, skin, max(1, skin // _ANCHORS))
    for part in props:
        if part.follow is None:
            moved = part.vertices + spread(part.vertices, head.neutral[anchors], shift[anchors])
        else:
            moved = part.vertices + shift[part.follow]
        vertices.append(moved.astype(np.float32))
        follows.append(part.follow if part.follow is not None else np.full(len(moved), -1, np.int32))
        weights.append(part.head_weight.astype(np.float32))
        triangles.append(part.triangles + count)
        uv_triangles.append(part.triangles + uv_count)
        uvs.append(part.uv)
        count, uv_count = count + len(moved), uv_count + len(part.uv)
    packed = Textures.pack([p.texture for p in parts])
    cutout = packed.layout[:, 0].copy()
    for index, part in enumerate(parts):
        if part.texture[..., 3].min() >= 128:
            cutout[index, 1:] = 0
    material = np.array([(p.gloss, _SOFTNESS.get(p.name, 0.1), p.two_sided, p.name.startswith("eye_")) for p in parts])
    eyes = kit.EYE_CENTRES + np.stack([shift[head.span(r).start] for r in (kit.EYE_LEFT, kit.EYE_RIGHT)])
    return Person(
        shape=np.concatenate(vertices),
        follow=np.concatenate(follows).astype(np.int32),
        head_weight=np.concatenate(weights),
        eyes=eyes,
        triangles=np.concatenate(triangles).astype(np.int32),
        uv=np.concatenate(uvs).astype(np.float32),
        uv_triangles=np.concatenate(uv_triangles).astype(np.int32),
        part_of=np.repeat(np.arange(len(parts), dtype=np.int32), [len(t) for t in triangles]),
        label_of=np.array([p.label for p in parts], np.int32),
        material=material.astype(np.float32),
        one_sided=np.array([not p.two_sided for p in parts], np.uint8),
        cutout=cutout,
        textures=packed,
        tongue_drop=tongue_drop,
    )


def _head_parts(head: Head, textures: dict[str, Bytes], skin_gloss: float) -> list[Part]:
    gloss = {"skin": skin_gloss, "eye_left": 0.9, "eye_right": 0.9, "lashes": 0.0}
    no_weight = np.zeros(0, np.float32)
    return [
        Part(name, head.neutral, head.surfaces[name].triangles, head.surfaces[name].uv, texture, face_label(name),
             no_weight, gloss.get(name, 0.35), name == "lashes")
        for name, texture in textures.items()
    ]  # fmt: skip


@compiled
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
