"""Orbit: how deep eyes lie and how heavily the lids' folds hang, as a change of the neutral head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.render import head as kit
from training.render.head import Head
from training.render.looks import Look
from training.render.person import Person

Floats = NDArray[np.float32]


def orbit_relief(head: Head, depth: float, hood: float, ridge: float) -> Floats:
    """Offsets (V, 3), cm, of the head's vertices.

    depth: cm the eyeball sinks with its lids and socket; hood: cm the fold above the upper lid comes forward, and half
    of that down; ridge: cm the brow's bone comes forward. The eyeball's offset is the same everywhere on it.
    """
    place = head.neutral
    relief = np.zeros_like(place)
    front = place[:, 2] > 5.5
    for centre in kit.EYE_CENTRES:
        x, y = place[:, 0] - centre[0], place[:, 1] - centre[1]
        socket = _mound(x, y, 2.3, 1.25, 0.9) * front
        fold = np.exp(-((x / 1.9) ** 2) - ((y - 1.25) / 0.42) ** 2) * front
        bone = np.exp(-((x / 2.4) ** 2) - ((y - 1.95) / 0.75) ** 2) * front
        relief[:, 2] += -depth * socket + hood * fold + ridge * bone
        relief[:, 1] -= 0.5 * hood * fold
    for span in (kit.EYE_LEFT, kit.EYE_RIGHT):
        relief[head.span(span)] = np.array([0, 0, -depth], np.float32)
    relief[head.span(kit.MOUTH_SOCKET)] = 0
    relief[head.span(kit.GUMS).start : head.span(kit.TEETH).stop] = 0
    lashes = head.span(kit.LASHES)
    relief[lashes, 1] = 0
    relief[lashes, 2] = -depth
    return relief


def _mound(x: Floats, y: Floats, width: float, height: float, flat: float) -> Floats:
    """1 within `flat` of the radii (width, height) about the origin, falling to 0 at twice them."""
    radius = np.hypot(x / width, y / height)
    t = np.clip((radius - flat) / (2 - flat), 0, 1)
    return np.asarray(1 - t * t * (3 - 2 * t), np.float32)


def sunk(person: Person, head: Head, look: Look) -> Person:
    """The same person with this look's eye depth, hood and brow ridge."""
    relief = orbit_relief(head, look.eye_depth, look.lid_hood, look.brow_ridge)
    shape = person.shape.copy()
    shape[: len(relief)] += relief
    balls = np.stack([relief[head.span(r).start] for r in (kit.EYE_LEFT, kit.EYE_RIGHT)])
    return replace(person, shape=shape, eyes=person.eyes + balls)
