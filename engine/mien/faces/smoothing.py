"""Causal smoothing of values over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class OneEuro:
    """The One-Euro filter (Casiez, Roussel and Vogel, CHI 2012), for each element of an array on its own.

    Each element passes a first-order low-pass whose cutoff rises with that element's own speed: still values are
    steady, moving ones follow at once. ``cutoff`` is the cutoff at rest in Hz, ``beta`` what one unit per second of
    speed adds to it (both a number, or an array that broadcasts to the values), ``speed_cutoff`` the cutoff in Hz of
    the speed's own low-pass. Memory is one array of values and one of speeds; nothing looks ahead.
    """

    def __init__(self, cutoff: ArrayLike = 1.0, beta: ArrayLike = 0.0, speed_cutoff: float = 1.0) -> None:
        self.cutoff = np.asarray(cutoff, np.float64)
        self.beta = np.asarray(beta, np.float64)
        self.speed_cutoff = speed_cutoff
        if not ((self.cutoff > 0).all() and (self.beta >= 0).all() and speed_cutoff > 0):
            raise ValueError("OneEuro needs cutoffs above 0 Hz and a beta of at least 0.")
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next value passes unchanged."""
        self._time = -np.inf
        self._value: Floats | None = None
        self._speed: Floats | None = None

    def __call__(self, value: ArrayLike, time: float) -> Floats:
        """The smoothed value at ``time``, in seconds.

        An element that is not finite keeps its last smoothed value. A time that is not later than the last one brings
        nothing new, so the last smoothed value comes back. Raises ValueError when the shape changes without `reset`.
        """
        raw = np.array(value, np.float64)
        if self._value is None or self._speed is None:
            self._time, self._value, self._speed = time, raw, np.zeros_like(raw)
            return raw.copy()
        if raw.shape != self._value.shape:
            raise ValueError(f"OneEuro has seen shape {self._value.shape}, now {raw.shape}; reset it in between.")
        elapsed = time - self._time
        if not elapsed > 0:
            return self._value.copy()
        self._time = time
        last = np.where(np.isfinite(self._value), self._value, raw)
        raw = np.where(np.isfinite(raw), raw, last)
        self._speed = self._speed + _share(self.speed_cutoff, elapsed) * ((raw - last) / elapsed - self._speed)
        self._speed = np.nan_to_num(self._speed, nan=0.0)
        self._value = last + _share(self.cutoff + self.beta * np.abs(self._speed), elapsed) * (raw - last)
        return self._value.copy()


def _share(cutoff: ArrayLike, elapsed: float) -> Floats:
    """How much of a step a first-order low-pass of this cutoff (Hz) takes over in a time (s)."""
    turns = 2 * np.pi * np.asarray(cutoff, np.float64) * elapsed
    share: Floats = turns / (1 + turns)
    return share
