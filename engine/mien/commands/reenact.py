"""A portrait driven by a video, pictures, a camera or a template: from the files that come in to what goes out."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.commands.driver import Driver, Smooth, is_picture, open_driver
from mien.commands.still import SUFFIXES as STILL_SUFFIXES
from mien.commands.still import PictureSink
from mien.commands.usage import peak_memory, seconds_since_start
from mien.errors import InputError, MienError, NoFace
from mien.image import load_image
from mien.reenact import Reenacted, Reenactor
from mien.reenact.several import Choice
from mien.reenact.transfer import CHANGES, Transfer
from mien.stream.pipeline import Progress, Run, run_file, run_live
from mien.stream.sinks import GIF_SUFFIX, VIDEO_SUFFIXES, Sink, open_sink
from mien.stream.sources import CameraSource, open_source

FILM_SUFFIXES = (*VIDEO_SUFFIXES, ".avi", ".webm", GIF_SUFFIX)
"""Sources that are films by their name; whatever else is a file is read as a picture."""


Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Job:
    """What `mien reenact` was asked to do."""

    source: Path
    """A picture; or a film, a video or a folder of pictures, whose own motion the driver's comes on top of."""
    driving: str
    """A video, a folder of pictures, one picture, a camera by its number, or a motion template."""
    output: Path
    transfer: Transfer = CHANGES
    bundle: str = "studio"
    device: str = "cpu"
    backend: str = "ort"
    threads: int | None = None
    face: Choice = "largest"
    """Which of the source's faces."""
    smooth: Smooth = "live"


@dataclass(frozen=True)
class Report:
    """What came out, and how fast; seconds and milliseconds are wall-clock time."""

    output: str
    frames: int
    size: tuple[int, int]
    """Width and height of the output."""
    rate: str
    """Frames per second of the output, as a fraction."""
    fps: float
    """Frames made per second, from opening the driving video to the finished file."""
    seconds: float
    """For all frames, from opening the driving video to the finished file."""
    startup_seconds: float
    """From the start of the process to the first frame written."""
    step_ms: dict[str, float]
    """Of one step of the reenactor, 50th and 99th percentile."""
    stage_seconds: dict[str, float]
    """Decode, process and encode, each in a thread of its own, and the parts of process."""
    status: dict[str, int]
    """How many frames had a tracked face, held the last picture, or were blank."""
    peak_memory_mb: float
    sessions: dict[str, object]
    """What ran each network."""
    dropped: int = 0
    """Camera: frames that a newer one replaced."""
    age_ms: dict[str, float] | None = None
    """Camera: how old a frame was when its output had been written, 50th and 99th percentile."""
    synthetic: bool = True


def reenact(job: Job, progress: Progress | None = None) -> Report:
    """Does the job. Raises the MienErrors of its parts, and NoFace where no frame of the driver had a face.

    An error or Ctrl-C half way leaves what was made so far, and says on stderr where.
    """
    reenactor = Reenactor(
        job.bundle,
        device=job.device,
        backend=job.backend,
        threads=job.threads,
        transfer=job.transfer,
        smooth=job.smooth == "live",
        neutral=is_picture(job.driving),
    )
    with ExitStack() as stack:
        portrait, film = open_portrait(job, stack)
        reenactor.set_source(portrait, job.face)
        start = time.perf_counter()
        driver = stack.enter_context(open_driver(job.driving, job.smooth, reenactor.family, portrait, progress))
        return _drive(job, reenactor, driver, film, (portrait.shape[1], portrait.shape[0]), start, progress)


def open_portrait(job: Job, stack: ExitStack) -> tuple[Image, Iterator[Image] | None]:
    """The source's picture and, where it is a film, those that follow. Raises ImageError, VideoError, InputError."""
    if not (job.source.is_dir() or job.source.suffix.lower() in FILM_SUFFIXES):
        return load_image(job.source), None
    if job.face != "largest":
        raise InputError(f"{job.source} is a film; only the largest face of a film can be moved, not {job.face!r}.")
    frames = iter(stack.enter_context(open_source(job.source)))
    first = next(frames).image
    return first, (frame.image for frame in frames)


def _drive(
    job: Job,
    reenactor: Reenactor,
    driver: Driver,
    film: Iterator[Image] | None,
    size: tuple[int, int],
    start: float,
    progress: Progress | None,
) -> Report:
    """Every frame of the driver, made and written."""
    status: Counter[str] = Counter()

    def step(image: Image, seconds: float) -> Reenacted:
        first = not status  # whose source is set already
        if film is not None and not first and (picture := next(film, None)) is not None:
            reenactor.next_source(picture)
        if driver.motions is None:
            result = reenactor.step(image, seconds)
        else:
            result = reenactor.move(next(driver.motions), seconds)
        status[result.status] += 1
        return result

    frames = driver.frames
    if job.output.suffix.lower() in STILL_SUFFIXES:
        sink: Sink = PictureSink(job.output)
    else:
        sink = open_sink(job.output, size, frames.rate, frames.time_base, job.driving if driver.sound else None)
    with unfinished_work_named(sink), sink:
        run = (run_live if isinstance(frames, CameraSource) else run_file)(frames, step, sink, progress)
        if not status["tracked"]:
            raise NoFace(f"None of the {run.frames} frames of {job.driving} shows a face that could drive anything.")
    seconds = time.perf_counter() - start
    return _report(run, reenactor, str(frames.rate), sink, size, seconds, dict(status))


@contextmanager
def unfinished_work_named(sink: Sink) -> Iterator[None]:
    """Says on stderr, where an error or Ctrl-C ends the work in it, what of it is there already."""
    try:
        yield
    except (MienError, KeyboardInterrupt, SystemExit):
        if sink.result is not None:
            print(f"mien: stopped; the {sink.frames} frames made so far are in {sink.result}", file=sys.stderr)
        raise


def _report(
    run: Run,
    reenactor: Reenactor,
    rate: str,
    sink: Sink,
    size: tuple[int, int],
    seconds: float,
    status: dict[str, int],
) -> Report:
    process = run.stages["process"]
    parts = {**run.stages, **reenactor.timings.summary()}
    return Report(
        output=str(sink.result),
        frames=run.frames,
        size=size,
        rate=rate,
        fps=run.frames / seconds,
        seconds=seconds,
        startup_seconds=seconds_since_start() - (time.perf_counter() - run.first_frame),
        step_ms={"p50": process.p50, "p99": process.p99},
        stage_seconds={name: stage.mean * stage.count / 1e3 for name, stage in parts.items()},
        status=status,
        peak_memory_mb=peak_memory(),
        sessions={role: asdict(session.info) for role, session in reenactor.family.sessions.items()},
        dropped=run.dropped,
        age_ms={"p50": run.age.p50, "p99": run.age.p99} if run.age else None,
    )
