"""Frames from a source through a process to a sink: a file frame by frame, or live, where the newest frame wins."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mien.errors import OutputError
from mien.stream.lane import Lane
from mien.stream.sinks import Sink
from mien.stream.sources import Source, SourceFrame
from mien.timing import StageTime, Stopwatch

# Two frames between two threads even out their steps; each more would only cost memory.
ROOM = 2
STEPS_KEPT = 1 << 16
AGES_KEPT = 1024


class Processed(Protocol):
    """What a process gives back: a new picture, marked as synthetic."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, in memory of its own: not the frame's, and never written to again."""

    @property
    def synthetic(self) -> bool: ...


Process = Callable[[NDArray[np.uint8], float], Processed]
"""Takes a frame, (H, W, 3) uint8 RGB, and its time in seconds."""
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Run:
    """What a run did, and how fast."""

    frames: int
    """Pictures written."""
    seconds: float
    """From the start of the run to the last picture written."""
    first_frame: float
    """When the first picture had been written, on the clock of time.perf_counter()."""
    stages: dict[str, StageTime]
    """decode, process and encode, each timed in its own thread."""
    dropped: int = 0
    """Live: frames of the source that a newer one replaced before they were looked at."""
    age: StageTime | None = None
    """Live: how old the frame behind an output was when the output had been written."""


def run_file(source: Source, process: Process, sink: Sink, on_progress: Progress | None = None) -> Run:
    """Processes every frame of `source` once, in order; decoding, processing and encoding overlap.

    The process runs in the calling thread. `on_progress` gets the frames processed and how many there are, if known.
    An error of the source, the process or the sink, and Ctrl-C, come out as they are, after every frame processed
    before has been written. Raises OutputError for a process that gives back the frame it was given.
    """
    decoded: Lane[SourceFrame] = Lane(ROOM)
    processed: Lane[SourceFrame] = Lane(ROOM)
    watches = {name: Stopwatch(STEPS_KEPT) for name in ("decode", "process", "encode")}
    start = time.perf_counter()
    with ThreadPoolExecutor(2, "mien-stream") as pool:
        decoding = pool.submit(_decode, source, decoded, watches["decode"])
        encoding = pool.submit(_encode, processed, sink, watches["encode"])
        try:
            for count, frame in enumerate(decoded, 1):
                with watches["process"]("process"):
                    image = _new_picture(process(frame.image, frame.time), frame)
                if not processed.put(replace(frame, image=image)):
                    break
                if on_progress is not None:
                    on_progress(count, source.frame_count)
        finally:
            decoded.abandon()
            processed.end()
    first_frame = encoding.result()
    decoding.result()
    seconds = time.perf_counter() - start
    stages = {name: time for watch in watches.values() for name, time in watch.summary().items()}
    return Run(sink.frames, seconds, first_frame, stages)


def run_live(source: Source, process: Process, sink: Sink, on_progress: Progress | None = None) -> Run:
    """Processes the newest frame of `source` again and again until the source ends.

    At most one frame waits: while one is processed and written, each new one replaces the one that waits, so the age of
    an output is bounded by two steps. Only what the process made goes out. Errors and Ctrl-C come out as they are.
    """
    newest: Lane[tuple[SourceFrame, float]] = Lane(1, newest=True)
    watch = Stopwatch()
    ages: deque[float] = deque(maxlen=AGES_KEPT)
    start = time.perf_counter()
    first_frame = start
    with ThreadPoolExecutor(1, "mien-camera") as pool:
        watching = pool.submit(_watch, source, newest)
        try:
            for frame, arrival in newest:
                with watch("process"):
                    image = _new_picture(process(frame.image, frame.time), frame)
                with watch("encode"):
                    sink.write(image, frame.pts, frame.duration)
                ages.append(time.perf_counter() - arrival)
                first_frame = time.perf_counter() if sink.frames == 1 else first_frame
                if on_progress is not None:
                    on_progress(sink.frames, None)
        finally:
            newest.abandon()
    watching.result()
    seconds = time.perf_counter() - start
    return Run(sink.frames, seconds, first_frame, watch.summary(), newest.dropped, _age(ages))


def _decode(source: Source, decoded: Lane[SourceFrame], watch: Stopwatch) -> None:
    frames = iter(source)
    try:
        while True:
            with watch("decode"):
                frame = next(frames, None)
            if frame is None or not decoded.put(frame):
                return
    finally:
        decoded.end()


def _encode(processed: Lane[SourceFrame], sink: Sink, watch: Stopwatch) -> float:
    """Writes all that comes; returns when the first picture had been written."""
    first_frame = 0.0
    try:
        for frame in processed:
            with watch("encode"):
                sink.write(frame.image, frame.pts, frame.duration)
            first_frame = first_frame or time.perf_counter()
    finally:
        processed.abandon()
    return first_frame


def _watch(source: Source, newest: Lane[tuple[SourceFrame, float]]) -> None:
    try:
        for frame in source:
            if not newest.put((frame, time.perf_counter())):
                return
    finally:
        newest.end()


def _new_picture(result: Processed, frame: SourceFrame) -> NDArray[np.uint8]:
    """The last gate before an output: nothing that came from the source as it was, or is not marked, passes."""
    if result.synthetic is not True or np.may_share_memory(result.image, frame.image):
        raise OutputError(
            f"Frame {frame.index} came back unprocessed; only synthetic pictures in memory of their own are written."
        )
    return result.image


def _age(ages: deque[float]) -> StageTime | None:
    if not ages:
        return None
    taken = np.array(ages) * 1e3
    p50, p99 = np.percentile(taken, [50, 99])
    return StageTime(len(ages), float(taken.mean()), float(p50), float(p99), float(taken[-1]))
