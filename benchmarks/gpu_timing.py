"""Times on a GPU, between CUDA events and over streams, the memory that a run takes, and what was not measured and why.

Not executed on a GPU yet; the arithmetic is tested with a stand-in for the driver.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mien.sessions.base import Array
from mien.sessions.cuda import Buffer, Cuda, Stream
from mien.sessions.device_tensor import DeviceTensor

WARMUP = 20
COPIED = 256 << 20
"""Bytes of the copy that others are measured by; no cache holds them."""

Run = Callable[[], object]


@dataclass(frozen=True)
class Measured:
    """One contender at one task.

    ``p50_ms``, ``p99_ms``: of one run; of a throughput, of a round in which each stream runs once, by the wall's clock.
    ``a_second``: images or faces. ``allocated``: bytes of the GPU's memory that runs after the warm-up took and did not
    give back. ``share`` of the copy bandwidth, where the traffic is known.
    """

    task: str
    contender: str
    p50_ms: float
    p99_ms: float
    a_second: float
    batch: int = 1
    streams: int = 1
    allocated: int | None = None
    share: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Missed:
    """A contender that did not run, and why."""

    task: str
    contender: str
    why: str


class Mismatch(RuntimeError):
    """A contender computes something else than it should; its time would mean nothing."""


@dataclass
class Report:
    """What was measured and what was not."""

    measured: list[Measured] = field(default_factory=list)
    missed: list[Missed] = field(default_factory=list)

    def attempt(self, task: str, contender: str, measure: Callable[[], Measured]) -> Measured | None:
        """Measures, or writes down why not. A failure of one contender must not cost the others' figures."""
        try:
            self.measured.append(measure())
        except Exception as error:  # of any of four runtimes
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            self.missed.append(Missed(task, contender, why))
            return None
        return self.measured[-1]

    def find(self, task: str, contender: str, batch: int = 1, streams: int = 1) -> Measured | None:
        """The figures of a contender that took part."""
        asked = (task, contender, batch, streams)
        return next((m for m in self.measured if (m.task, m.contender, m.batch, m.streams) == asked), None)


@dataclass(frozen=True)
class Bench:
    """The GPU, the stream that one contender after the other runs on, and how often."""

    cuda: Cuda
    stream: Stream
    runs: int

    def up(self, array: Array) -> DeviceTensor:
        """The array on the GPU, for as long as the result is kept."""
        buffer = Buffer(self.cuda)
        pointer = buffer.upload(array, self.stream)
        self.stream.synchronize()
        return DeviceTensor(pointer, array.dtype.name, array.shape, buffer, device=f"cuda:{self.cuda.ordinal}")

    def down(self, tensor: DeviceTensor) -> Array:
        """A copy on the host of what lies there once the stream is done."""
        staged = self.cuda.pinned(tensor.bytes)
        self.stream.download(staged, tensor.pointer)
        self.stream.synchronize()
        return staged.view(tensor.dtype).reshape(tensor.shape).copy()

    def events(self, run: Run, stream: Stream | None = None) -> Array:
        """Milliseconds of runs one after the other, each between two events of its own."""
        place = stream or self.stream
        for _ in range(WARMUP):
            run()
        place.synchronize()
        events = [(self.cuda.event(), self.cuda.event()) for _ in range(self.runs)]
        for start, end in events:
            start.record(place)
            run()
            end.record(place)
        place.synchronize()
        return np.array([end.milliseconds_since(start) for start, end in events])

    def latency(
        self, task: str, contender: str, run: Run, *, batch: int = 1, stream: Stream | None = None, note: str = ""
    ) -> Measured:
        """One run at a time on one stream, and what it allocates."""
        taken = self.events(run, stream)
        return summed(task, contender, taken, batch=batch, allocated=self.allocated(run, stream), note=note)

    def queued(self, run: Run, count: int, stream: Stream | None = None) -> Array:
        """Milliseconds of one of ``count`` runs queued without a gap: for kernels shorter than a launch."""

        def many() -> None:
            for _ in range(count):
                run()

        return self.events(many, stream) / count

    def allocated(self, run: Run, stream: Stream | None = None) -> int:
        """Bytes of the GPU's memory that are gone after further runs. Others on the GPU would be counted as well."""
        place = stream or self.stream
        place.synchronize()
        before = self.cuda.free()
        for _ in range(self.runs):
            run()
        place.synchronize()
        return before - self.cuda.free()

    def throughput(
        self, task: str, contender: str, lanes: Sequence[tuple[Run, Stream]], *, batch: int = 1, note: str = ""
    ) -> Measured:
        """Runs in several streams at once, by the clock on the wall: nothing is waited for within a round of all."""
        taken = []
        for turn in range(WARMUP + self.runs):
            start = time.perf_counter()
            for run, _ in lanes:
                run()
            for _, stream in lanes:
                stream.synchronize()
            if turn >= WARMUP:
                taken.append(1000 * (time.perf_counter() - start))
        return summed(task, contender, np.array(taken), batch=batch, streams=len(lanes), note=note)

    def clocked(self, task: str, contender: str, run: Run, *, note: str = "") -> Measured:
        """Runs that wait for their own end, by the clock on the wall."""
        for _ in range(WARMUP):
            run()
        taken = []
        for _ in range(self.runs):
            start = time.perf_counter()
            run()
            taken.append(1000 * (time.perf_counter() - start))
        return summed(task, contender, np.array(taken), allocated=self.allocated(run), note=note)

    def copy_bandwidth(self) -> float:
        """Bytes a second, read and written, of the driver's own copy on the GPU."""
        one, two = Buffer(self.cuda), Buffer(self.cuda)
        try:
            source, target = one.reserve(COPIED), two.reserve(COPIED)
            taken = self.events(lambda: self.stream.copy(target, source, COPIED))
        finally:
            one.release()
            two.release()
        return 2 * COPIED / (float(np.median(taken)) / 1000)


def summed(
    task: str,
    contender: str,
    taken: Array,
    *,
    batch: int = 1,
    streams: int = 1,
    allocated: int | None = None,
    note: str = "",
) -> Measured:
    """The figures of runs that took so many milliseconds each."""
    p50, p99 = np.percentile(taken, (50, 99)).tolist()
    a_second = 1000 * batch * streams / float(np.mean(taken))
    return Measured(task, contender, p50, p99, a_second, batch, streams, allocated, note=note)
