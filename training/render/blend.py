"""Sums blendshapes fast: most of them move a small part of the head, so only those vertices are kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.render.compiled import compiled

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_STILL = 1e-3  # cm: smaller offsets are dropped


@dataclass(frozen=True)
class Blendshapes:
    """E shapes of V vertices, by rows: shape e moves vertices[first[e]:first[e + 1]] by the offsets (N, 3) there."""

    first: Ints
    vertices: Ints
    offsets: Floats
    count: int

    @classmethod
    def from_dense(cls, shapes: Floats) -> Blendshapes:
        """shapes (E, V, 3), cm at weight 1."""
        moved = np.abs(shapes).max(axis=2) > _STILL
        first = np.concatenate([[0], np.cumsum(moved.sum(axis=1))]).astype(np.int32)
        return cls(first, np.nonzero(moved)[1].astype(np.int32), shapes[moved].astype(np.float32), shapes.shape[1])

    def mix(self, weights: Floats) -> Floats:
        """Offsets (V, 3) of the weighted sum; weights (E,)."""
        total = np.zeros((self.count, 3), np.float32)
        _accumulate(total, self.first, self.vertices, self.offsets, weights)
        return total


@compiled
def _accumulate(total: Floats, first: Ints, vertices: Ints, offsets: Floats, weights: Floats) -> None:
    for shape in range(len(weights)):
        weight = weights[shape]
        if weight == 0:
            continue
        for k in range(first[shape], first[shape + 1]):
            vertex = vertices[k]
            for axis in range(3):
                total[vertex, axis] += weight * offsets[k, axis]
