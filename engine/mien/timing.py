"""A stopwatch with one hand per stage: what live statistics and benchmarks read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType

import numpy as np

KEPT = 1024


@dataclass(frozen=True)
class StageTime:
    """How long a stage took, milliseconds. ``count`` is all calls; the rest describes the last that are kept."""

    count: int
    mean: float
    p50: float
    p99: float
    last: float


class Stopwatch:
    """Times stages by name: ``with watch("track"): ...``. Keeps the last ``kept`` times of each; for one thread.

    A stage may stand inside of another, but not inside of itself.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._stages: dict[str, _Stage] = {}

    def __call__(self, stage: str) -> _Stage:
        """The context manager of that stage; always the same one, so that a turn costs half a microsecond."""
        found = self._stages.get(stage)
        if found is None:
            found = self._stages[stage] = _Stage(self._kept)
        return found

    def summary(self) -> dict[str, StageTime]:
        """Every stage that was timed, in the order of the first time."""
        return {name: stage.summary() for name, stage in self._stages.items() if stage.count}

    def last(self) -> dict[str, float]:
        """The latest time of every stage, milliseconds."""
        return {name: stage.latest * 1e3 for name, stage in self._stages.items() if stage.count}

    def reset(self) -> None:
        """Forgets everything."""
        self._stages.clear()


class _Stage:
    def __init__(self, kept: int) -> None:
        self.count = 0
        self.latest = 0.0
        self._ring = np.zeros(kept)
        self._start = 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.latest = time.perf_counter() - self._start
        self._ring[self.count % len(self._ring)] = self.latest
        self.count += 1

    def summary(self) -> StageTime:
        taken = self._ring[: self.count] * 1e3
        p50, p99 = np.percentile(taken, [50, 99])
        return StageTime(self.count, float(taken.mean()), float(p50), float(p99), self.latest * 1e3)
