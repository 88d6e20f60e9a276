"""Smoothing of values that are all known: a Kalman filter forwards, then back over it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

TRANSITION = 1e-5
"""Variance by which a value wanders from frame to frame..."""
OBSERVATION = 3e-7
"""...and that of the noise it is seen with; LivePortrait's figures. Only their ratio shapes the result."""


def kalman_smooth(
    values: ArrayLike,
    seen: ArrayLike | None = None,
    transition: float = TRANSITION,
    observation: float = OBSERVATION,
) -> Floats:
    """Each column of ``values`` (T, V) as a random walk seen with noise: its mean given all frames, (T, V).

    The filter starts at the first seen frame's values with variance 1, and is followed by the backward pass of Rauch,
    Tung and Striebel (Maximum likelihood estimates of linear dynamic systems, 1965). Where ``seen`` (T,) is false the
    row is not looked at and comes out as the way between its neighbours. Raises ValueError for shapes that do not fit,
    no seen frame, variances that are not above zero.
    """
    rows = np.array(values, np.float64)
    there = np.ones(len(rows), bool) if seen is None else np.asarray(seen, bool)
    if rows.ndim != 2 or there.shape != rows.shape[:1] or not there.any():
        raise ValueError(f"Values (T, V) and which of them were seen (T,) are needed; got {rows.shape}, {there.shape}.")
    if not (transition > 0 and observation > 0):
        raise ValueError(f"Variances are above zero; got {transition} and {observation}.")
    means, predicted, variances = _forwards(rows, there, transition, observation)
    for frame in range(len(rows) - 2, -1, -1):
        # The prediction for the next frame is this frame's mean: a random walk has no drift.
        means[frame] += variances[frame] / predicted[frame + 1] * (means[frame + 1] - means[frame])
    return means


def _forwards(
    rows: Floats, seen: NDArray[np.bool_], transition: float, observation: float
) -> tuple[Floats, Floats, Floats]:
    """Filtered means (T, V), and the variances (T,) before and after each frame was looked at, one for all columns."""
    means = np.empty_like(rows)
    predicted, variances = np.empty(len(rows)), np.empty(len(rows))
    mean, variance = rows[int(np.argmax(seen))], 1.0
    for frame, row in enumerate(rows):
        predicted[frame] = variance = variance + transition if frame else 1.0
        if seen[frame]:
            gain = variance / (variance + observation)
            mean, variance = mean + gain * (row - mean), variance * (1 - gain)
        means[frame], variances[frame] = mean, variance
    return means, predicted, variances
