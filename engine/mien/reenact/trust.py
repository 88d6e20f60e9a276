"""How far to believe the motion network: what it did not see is not moved."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FULL, NONE = 0.65, 1.0
"""Uncertainties up to which a value is believed wholly, and from which on not at all, smoothly in between.

The unit is the value's deviation in training: who guesses without looking is off by 1.
"""

_PARTS = {
    1: (*range(17, 22), *range(36, 42), *range(68, 74), 101),
    2: (*range(22, 27), *range(42, 48), *range(74, 80), 100),
    3: range(27, 36),
    4: (*range(48, 68), *range(80, 100)),
}
GROUPS = 5
"""Groups of landmarks with an uncertainty of their own: the face's contour, each eye with its brow, nose, mouth."""


def group_of(landmark: int) -> int:
    """Number of the group that a landmark is in; the subject's right eye is 1, the left 2."""
    return next((group for group, members in _PARTS.items() if landmark in members), 0)


@cache
def _groups(landmarks: int) -> NDArray[np.int64]:
    return np.array([group_of(landmark) for landmark in range(landmarks)])


def trust(uncertainty: Floats) -> Floats:
    """1 where the network is sure, 0 where it only guesses; same shape as the uncertainty."""
    share = np.clip((NONE - uncertainty) / (NONE - FULL), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def value_trust(uncertainty: Floats, values: int) -> Floats:
    """(E,) trust in each expression value; 1 where the network says nothing of its uncertainty, an empty array."""
    return trust(uncertainty[:values]) if uncertainty.size else np.ones(values, np.float32)


def landmark_trust(uncertainty: Floats, landmarks: int) -> Floats:
    """(L,) trust in each landmark, that of its group; 1 where the network says nothing of its uncertainty."""
    if not uncertainty.size:
        return np.ones(landmarks, np.float32)
    return np.asarray(trust(uncertainty[-GROUPS:])[_groups(landmarks)], np.float32)
