"""How far a TensorRT build is, and the way to stop one: through what its progress monitor returns."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass(frozen=True)
class BuildStep:
    """One step of a build. ``step`` of ``steps`` are done in ``phase``, which may be part of another phase.

    ``share``, of the whole build, never goes back. It and ``remaining``, in seconds, are rough estimates: steps of one
    phase count alike, and TensorRT-RTX spends most of its time in a single one.
    """

    phase: str
    step: int
    steps: int
    share: float
    remaining: float | None


BuildProgress = Callable[[BuildStep], None]

LONGEST = "Computing profile costs"
"""The phase in which both TensorRTs choose, measure and compile kernels."""

LONGEST_SHARE = 0.9


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class Watch:
    """Keeps count of the phases and tells ``progress``; TensorRT may call from several threads.

    What ``progress`` raises stops the build and is in ``error`` afterwards: nothing may be thrown through TensorRT.
    """

    def __init__(self, progress: BuildProgress | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stopped = False
        self.error: BaseException | None = None
        self._progress, self._clock = progress, clock
        self._start = clock()
        self._phases: dict[str, _Phase] = {}
        self._longest = 0.0
        self._share = 0.0
        self._lock = threading.Lock()

    def begin(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase starts, within a step of its parent."""
        with self._lock:
            self._phases[phase] = _Phase(parent, max(1, steps))

    def advance(self, phase: str, step: int) -> bool:
        """The step with that number, from 0, is done; whether to go on."""
        with self._lock:
            known = self._phases.setdefault(phase, _Phase(None, step + 1))
            known.done = min(step + 1, known.steps)
            told = self._told(phase, known)
        if self._progress is not None and not self.stopped:
            try:
                self._progress(told)
            except BaseException as error:
                self.error, self.stopped = error, True
        return not self.stopped

    def end(self, phase: str) -> None:
        """A phase is over, finished or stopped."""
        with self._lock:
            if phase == LONGEST:
                self._longest = 1.0
            self._phases.pop(phase, None)

    def stop(self) -> None:
        """The build ends at its next step."""
        self.stopped = True

    def _told(self, phase: str, known: _Phase) -> BuildStep:
        outermost = (name for name, other in self._phases.items() if other.parent not in self._phases)
        whole = min(1.0, sum(map(self._done, outermost)))
        if LONGEST in self._phases:
            self._longest = max(self._longest, self._done(LONGEST))
        self._share = max(self._share, (1 - LONGEST_SHARE) * whole + LONGEST_SHARE * self._longest)
        passed = self._clock() - self._start
        remaining = passed * (1 - self._share) / self._share if self._share > 0 else None
        return BuildStep(phase, known.done, known.steps, self._share, remaining)

    def _done(self, name: str) -> float:
        """The share of a phase that is done, with what is done of the phases within its current step."""
        phase = self._phases[name]
        within = sum(self._done(child) for child, other in self._phases.items() if other.parent == name)
        return min(1.0, (phase.done + min(1.0, within)) / phase.steps)


def monitor(trt: Any, watch: Watch) -> Any:
    """What TensorRT reports to and asks whether to go on."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            watch.begin(phase_name, parent_phase or None, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return watch.advance(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            watch.end(phase_name)

    return Monitor()


@contextmanager
def signals_stop(watch: Watch) -> Iterator[None]:
    """Ctrl-C and termination stop the build at its next step, and take their usual effect once it has let go.

    Only the main thread gets signals; in others this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def put_off(number: int, _: FrameType | None) -> None:
        came.append(number)
        watch.stop()

    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    caught = {number: handler for number, handler in usual.items() if callable(handler)}
    for number in caught:
        signal.signal(number, put_off)
    try:
        yield
    finally:
        for number, handler in caught.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
